#!/bin/bash
# Fetches a guest from Debian's packages: the cloud kernel with its modules, and a static busybox.
#
#   tools/fetch_guest.sh DIR
#
# DIR gets vmlinuz, root/ (the packages' files) and kernel-version. Packages are kept, and fetched again only when
# DIR has none. Uses apt-get download and dpkg-deb only; needs no root, but package lists (tools/install_deps.sh).
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: tools/fetch_guest.sh DIR" >&2
  exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)

if [ -e "$directory/vmlinuz" ] && [ -x "$directory/root/bin/busybox" ]; then
  exit 0
fi

# The unversioned package only depends on the kernel of the day.
kernel_package=$(apt-cache depends linux-image-cloud-amd64 |
  sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
if [ -z "$kernel_package" ]; then
  echo "fetch_guest: apt knows no linux-image-cloud-amd64; run 'apt-get update' as root first" >&2
  exit 2
fi
kernel_version=${kernel_package#linux-image-}
kernel_version=${kernel_version%-unsigned}

work=$(mktemp -d "$directory/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
if ! (cd "$work" && apt-get download -qq "$kernel_package" busybox-static) >"$work/apt.log" 2>&1; then
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
