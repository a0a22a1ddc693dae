#!/bin/bash
# Builds Orrery for AArch64 on a Debian 12 amd64 host, runs its unit, contract, guest and replay tests under user-mode
# emulation, and requires of every guest program the state hash that it has on x86-64.
# The release preset must be built. Installs packages with apt; adds arm64 as a foreign architecture.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(g++-aarch64-linux-gnu qemu-user-static
  libzydis-dev:arm64 libfmt-dev:arm64 libxxhash-dev:arm64 libtomlplusplus-dev:arm64 zlib1g-dev:arm64
  libgtest-dev:arm64 libgmock-dev:arm64)
if ! dpkg-query -W "${packages[@]}" >/dev/null 2>&1; then
  dpkg --add-architecture arm64
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi

cmake --preset aarch64 >/dev/null
cmake --build --preset aarch64
ctest --test-dir build/aarch64 --output-on-failure -R '^(unit|contract|guest|replay)$'

hashes() {
  python3 -c '
import json, sys
for suite in json.load(open(sys.argv[1]))["testsuites"]:
    for test in suite["testsuite"]:
        if "state_hash" in test:
            print(test["name"], test["state_hash"])
' "$1"
}

build/release/tests/test_guest --gtest_brief=1 --gtest_output=json:$PWD/build/guest_x86_64.json
qemu-aarch64-static build/aarch64/tests/test_guest --gtest_brief=1 --gtest_output=json:$PWD/build/guest_aarch64.json
diff <(hashes build/guest_x86_64.json) <(hashes build/guest_aarch64.json)
echo "$(hashes build/guest_aarch64.json | grep -c .) guest programs end with the same state hash on x86-64 and AArch64"
