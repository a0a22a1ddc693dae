#!/bin/bash
# Installs what building and testing Orrery needs on Debian 12, with apt only. Does nothing if all of it is there.
set -euo pipefail

packages=(
  # the build
  g++ cmake ninja-build ccache mold pkg-config
  libzydis-dev libasmjit-dev libfmt-dev libxxhash-dev libtomlplusplus-dev libcli11-dev zlib1g-dev
  # tests and benchmarks
  libgtest-dev libgmock-dev libbenchmark-dev
  # the DSDT is compiled when building; the guest's packages are unpacked by tools
  acpica-tools python3 xz-utils
  # disks for boot tests
  e2fsprogs
)
# Sanitizer and fuzz builds, formatting.
full_packages=(clang clang-format clang-tidy libclang-rt-14-dev gdb shellcheck)

wanted=("${packages[@]}")
if [ "${1:-}" = --full ]; then
  wanted+=("${full_packages[@]}")
elif [ $# -gt 0 ]; then
  echo "usage: tools/install_deps.sh [--full]" >&2
  exit 2
fi

missing=()
for package in "${wanted[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    env DEBIAN_FRONTEND=noninteractive "$@"
  elif command -v sudo >/dev/null; then
    sudo env DEBIAN_FRONTEND=noninteractive "$@"
  else
    echo "install_deps: must be root, or have sudo, to run: $*" >&2
    exit 2
  fi
}

# The guest's packages are downloaded later, which needs lists but no root.
if [ ${#missing[@]} -gt 0 ] || ! apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1; then
  as_root apt-get update -qq
fi
if [ ${#missing[@]} -gt 0 ]; then
  as_root apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
