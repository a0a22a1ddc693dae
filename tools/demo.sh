#!/bin/bash
# From a fresh Debian 12 to a shell in an emulated PC: installs what is missing, builds, fetches Debian's own kernel and
# busybox, boots them.
#
#   tools/demo.sh                        a shell; Ctrl-A x leaves
#   tools/demo.sh --batch                runs a few commands in the guest and ends
#   tools/demo.sh --run 'COMMANDS'       runs these instead
#   tools/demo.sh [--cpus N] [--memory M] [--disk F] [--kernel-arguments 'a=b'] [-- ORRERY-FLAGS...]
set -euo pipefail
cd "$(dirname "$0")/.."

batch_commands='uname -a; cat /proc/cpuinfo; cat /proc/interrupts; poweroff -f'
run=
kernel_arguments=
flags=()
while [ $# -gt 0 ]; do
  case $1 in
  --batch) run=$batch_commands ;;
  --run | --kernel-arguments | --cpus | --memory | --disk)
    if [ $# -lt 2 ]; then
      echo "demo: $1 needs a value" >&2
      exit 2
    fi
    case $1 in
    --run) run=$2 ;;
    --kernel-arguments) kernel_arguments=$2 ;;
    *) flags+=("$1" "$2") ;;
    esac
    shift
    ;;
  --)
    shift
    flags+=("$@")
    break
    ;;
  *)
    sed -n 's/^#   //p' "$0" >&2
    exit 2
    ;;
  esac
  shift
done

guest=build/guest
# Standard input belongs to the guest.
{
  tools/install_deps.sh
  if [ ! -e build/release/build.ninja ]; then
    cmake --preset release
  fi
  cmake --build --preset release --target orrery
  tools/fetch_guest.sh "$guest"
  tools/make_initramfs.sh "$guest" "$guest/initramfs.cpio.gz"
} </dev/null >&2

append="console=ttyS0 $kernel_arguments"
if [ -n "$run" ]; then
  append+=" quiet orrery.run=\"$run\""
fi
exec build/release/orrery run --kernel "$guest/vmlinuz" --initrd "$guest/initramfs.cpio.gz" --append "$append" "${flags[@]}"
