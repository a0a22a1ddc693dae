#!/bin/bash
# Fetches a guest from Debian's packages: a kernel with its modules, and a static busybox.
#
#   tools/fetch_guest.sh DIR          the cloud kernel of amd64
#   tools/fetch_guest.sh DIR i386     the 686-pae kernel of i386
#
# DIR gets vmlinuz, root/ (the packages' files) and kernel-version. Packages are kept, and fetched again only when
# DIR has none. Uses apt-get download and dpkg-deb only; needs no root, but package lists (tools/install_deps.sh);
# for i386 it keeps lists of its own, and the host's package system stays as it is.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: tools/fetch_guest.sh DIR [i386]" >&2
  exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
architecture=${2:-amd64}
case $architecture in
amd64) metapackage=linux-image-cloud-amd64 ;;
i386) metapackage=linux-image-686-pae ;;
*)
  echo "fetch_guest: '$architecture' is neither amd64 nor i386" >&2
  exit 2
  ;;
esac

if [ -e "$directory/vmlinuz" ] && [ -x "$directory/root/bin/busybox" ]; then
  exit 0
fi

work=$(mktemp -d "$directory/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

options=()
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
  mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
  : >"$work/state/status"
  options=(-o "APT::Architecture=$architecture" -o "APT::Architectures=$architecture" -o APT::Sandbox::User=root
    -o "Dir::State=$work/state" -o "Dir::State::status=$work/state/status" -o "Dir::Cache=$work/cache")
  apt-get "${options[@]}" update -qq >"$work/apt.log" 2>&1 || cat "$work/apt.log" >&2
fi

# The unversioned package only depends on the kernel of the day.
kernel_package=$(apt-cache "${options[@]}" depends "$metapackage" |
  sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
if [ -z "$kernel_package" ]; then
  echo "fetch_guest: apt knows no $metapackage; run 'apt-get update' as root first" >&2
  exit 2
fi
kernel_version=${kernel_package#linux-image-}
kernel_version=${kernel_version%-unsigned}

if ! (cd "$work" && apt-get "${options[@]}" download -qq "$kernel_package" busybox-static) >"$work/apt.log" 2>&1; then
  cat "$work/apt.log" >&2
fi

mkdir "$work/root"
found=0
for package in "$work"/*.deb; do
  [ -e "$package" ] || continue
  dpkg-deb -x "$package" "$work/root"
  found=$((found + 1))
done
if [ "$found" -ne 2 ] || [ ! -e "$work/root/boot/vmlinuz-$kernel_version" ]; then
  echo "fetch_guest: could not download $kernel_package and busybox-static" >&2
  exit 2
fi

rm -rf "$directory/root"
mv "$work/root" "$directory/root"
echo "$kernel_version" >"$directory/kernel-version"
cp "$directory/root/boot/vmlinuz-$kernel_version" "$directory/vmlinuz.new"
mv "$directory/vmlinuz.new" "$directory/vmlinuz"
