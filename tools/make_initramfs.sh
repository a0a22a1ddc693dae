#!/bin/bash
# Builds the guest's initramfs from what tools/fetch_guest.sh fetched.
#
#   tools/make_initramfs.sh DIR OUT.cpio.gz [SCRIPT [FILE...]]
#
# It holds busybox, tools/guest_init.sh as /init, and the kernel package's virtio and ext4 modules with everything
# they depend on, in loading order. SCRIPT becomes /orrery/run: the guest runs it and powers off; FILEs go beside it,
# under their own names. The same inputs give the same bytes. No root needed.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: tools/make_initramfs.sh DIR OUT.cpio.gz [SCRIPT [FILE...]]" >&2
  exit 2
fi
tools=$(cd "$(dirname "$0")" && pwd)
guest=$1
out=$2
script=${3:-}
version=$(cat "$guest/kernel-version")
modules=$guest/root/lib/modules/$version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/root

mkdir -p "$stage/bin" "$stage/dev" "$stage/modules"
cp "$guest/root/bin/busybox" "$stage/bin/busybox"
ln -s busybox "$stage/bin/sh"
install -m 755 "$tools/guest_init.sh" "$stage/init"
if [ -n "$script" ]; then
  mkdir "$stage/orrery"
  install -m 755 "$script" "$stage/orrery/run"
  [ $# -eq 3 ] || install -m 755 "${@:4}" "$stage/orrery/"
fi

# The package has no modules.dep (its installation makes it), so dependencies come from the modules themselves.
# Names in there have '_' where the file may have '-'.
find "$modules/kernel" -name '*.ko*' | sort >"$work/all"
sed -e 's|.*/||' -e 's|\.ko.*||' -e 'y/-/_/' "$work/all" | paste -d ' ' - "$work/all" >"$work/index"
: >"$stage/modules/order"

load() {
  local name path file dependencies dependency
  name=$(echo "$1" | tr - _)
  path=$(awk -v name="$name" '$1 == name {print $2; exit}' "$work/index")
  # Not a module here: part of the kernel.
  [ -n "$path" ] || return 0
  file=$name.ko
  [ ! -e "$stage/modules/$file" ] || return 0
  case $path in
  *.xz) xz -dc "$path" >"$stage/modules/$file" ;;
  *.gz) gzip -dc "$path" >"$stage/modules/$file" ;;
  *) cp "$path" "$stage/modules/$file" ;;
  esac
  dependencies=$(tr '\0' '\n' <"$stage/modules/$file" | sed -n 's/^depends=//p' | head -n 1 | tr ',' ' ')
  for dependency in $dependencies; do
    load "$dependency"
  done
  echo "$file" >>"$stage/modules/order"
}

# Not named as a dependency, but asked for by name at run time: crc32c by ext4.
for module in virtio_pci virtio_blk virtio_console virtio_rng crc32c_generic ext4; do
  load "$module"
done

python3 "$tools/make_cpio.py" "$stage" "$out"
