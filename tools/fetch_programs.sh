#!/bin/bash
# Builds a disk of real programs from Debian's packages: openssl, python with its test suite, perl, gcc, node.js and more.
#
#   tools/fetch_programs.sh DIR
#
# DIR gets root/ (the packages' files, keys and data made once) and programs.img, an ext4 image of it: the guest and the
# host run the same files, so that their outputs (tests/boot/boot_programs.py) and times (tools/compare.py) can be
# compared. Packages with all that they depend on come from apt-get, which is told that nothing is installed; the
# host's package system stays as it is.
# Needs no root, but package lists (tools/install_deps.sh) and e2fsprogs.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: tools/fetch_programs.sh DIR" >&2
  exit 2
fi
mkdir -p "$1"
directory=$(cd "$1" && pwd)
tools=$(cd "$(dirname "$0")" && pwd)
script=$tools/../tests/boot/guest/programs.sh

packages=(dash coreutils diffutils sed grep gawk openssl perl gzip bzip2 xz-utils zstd sqlite3 luajit lua5.4 nodejs bc
  gcc-12 libc6-dev python3.11 libpython3.11-testsuite)

# `complete` names the packages: a longer list is fetched again.
if [ "$(cat "$directory/root/complete" 2>/dev/null)" != "${packages[*]}" ]; then
  work=$(mktemp -d "$directory/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/cache/archives/partial" "$work/root"
  : >"$work/status"
  options=(-o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache" -o Debug::NoLocking=1
    -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=root)
  apt-get "${options[@]}" --no-install-recommends --download-only -y -qq install "${packages[@]}" >"$work/apt.log" 2>&1 || {
    cat "$work/apt.log" >&2
    echo "fetch_programs: could not download; run 'apt-get update' as root first" >&2
    exit 2
  }
  for package in "$work"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$work/root"
  done
  root=$work/root
  rm -rf "$root"/usr/share/{doc,man,locale,info,i18n} "$root"/usr/lib/x86_64-linux-gnu/gconv
  # The alternatives that the packages' installation would set up.
  ln -s gawk "$root/usr/bin/awk"
  mkdir -p "$root"/{dev,proc,tmp,orrery}
  # Keys and data are made once, by the programs' own files.
  run() { LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu "$root/lib64/ld-linux-x86-64.so.2" "$@"; }
  openssl() { OPENSSL_CONF=/dev/null run "$root/usr/bin/openssl" "$@" 2>>"$work/openssl.log"; }
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$root/orrery/rsa.pem"
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$root/orrery/p256.pem"
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521 -out "$root/orrery/p521.pem"
  openssl genpkey -algorithm ED25519 -out "$root/orrery/ed25519.pem"
  openssl genpkey -algorithm X25519 -out "$root/orrery/x25519.pem"
  seq 1 200000 >"$root/orrery/numbers"
  head -c 300000 "$root/usr/lib/gcc/x86_64-linux-gnu/12/cc1" >"$root/orrery/binary"
  for key in p256 p521; do
    openssl dgst -sha256 -sign "$root/orrery/$key.pem" -out "$root/orrery/$key.signature" "$root/orrery/numbers"
  done
  echo "${packages[*]}" >"$root/complete"
  rm -rf "$directory/root" "$directory/programs.img"
  mv "$root" "$directory/root"
fi

# The script and its programs may have changed since.
if [ ! -e "$directory/programs.img" ] || [ -n "$(find "$tools/../tests/boot/guest" -newer "$directory/programs.img")" ]; then
  cp "$script" "$tools"/../tests/boot/guest/program_* "$directory/root/orrery/"
  size_kib=$(($(du -sk "$directory/root" | cut -f 1) * 5 / 4 + 32768))
  rm -f "$directory/programs.img.new"
  truncate -s "${size_kib}K" "$directory/programs.img.new"
  /sbin/mkfs.ext4 -q -F -d "$directory/root" -U 00000000-0000-4000-8000-000000000001 \
    -E hash_seed=00000000-0000-4000-8000-000000000002,lazy_itable_init=0 "$directory/programs.img.new"
  mv "$directory/programs.img.new" "$directory/programs.img"
fi
