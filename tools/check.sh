#!/bin/bash
# Builds and tests from a fresh checkout on Debian 12; the last line counts what passed and failed.
#
#   tools/check.sh           install, release build, quick tests, a few boots of Debian's kernel (under 20 minutes)
#   tools/check.sh --full    also: all boots, a real gdb, 500 silicon cases per form, a million sequences, quick tests under
#                            AddressSanitizer and UBSan, every fuzz target for a minute
set -euo pipefail
cd "$(dirname "$0")/.."

full=no
if [ "${1:-}" = --full ]; then
  full=yes
elif [ $# -gt 0 ]; then
  echo "usage: tools/check.sh [--full]" >&2
  exit 2
fi

# The same with and without a standard input.
exec </dev/null

passed=0
failed=0
finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

step() {
  echo "== $*"
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "== failed: $*"
    return 1
  fi
}

# Runs ctest and adds its tests to the sums; a skipped test counts as neither.
tests() {
  local log status=0 total bad skipped
  log=$(mktemp)
  echo "== ctest $*"
  ctest --output-on-failure "$@" 2>&1 | tee "$log" || status=$?
  total=$(sed -n 's/.*tests failed out of \([0-9]*\).*/\1/p' "$log" | tail -n 1)
  bad=$(sed -n 's/.* \([0-9]*\) tests failed out of.*/\1/p' "$log" | tail -n 1)
  skipped=$(grep -c '\*\*\*Skipped' "$log" || true)
  rm -f "$log"
  if [ -z "$total" ]; then
    # No test matched, or ctest itself failed.
    failed=$((failed + 1))
    return
  fi
  passed=$((passed + total - bad - skipped))
  failed=$((failed + bad))
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then failed=$((failed + 1)); fi
}

prepare_guest() {
  tools/fetch_guest.sh build/guest && tools/make_initramfs.sh build/guest build/guest/initramfs.cpio.gz
  if [ "$full" = yes ]; then
    tools/fetch_guest.sh build/guest-i386 i386 &&
      tools/make_initramfs.sh build/guest-i386 build/guest-i386/initramfs.cpio.gz &&
      tools/fetch_programs.sh build/programs
  fi
}

silicon() {
  ORRERY_SILICON_CASES=500 ORRERY_SILICON_SEED=2 ORRERY_SEQUENCES=1000000 ORRERY_SEQUENCE_SEED=20000 \
    build/release/tests/test_silicon --gtest_brief=1
}

fuzz() {
  local target=$1
  mkdir -p "build/fuzz/corpus/$target"
  "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time=60 -timeout=10 -rss_limit_mb=2048 -print_final_stats=0 \
    -artifact_prefix=build/fuzz/ \
    "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" >"build/fuzz/$target.log" 2>&1 || {
    tail -n 40 "build/fuzz/$target.log"
    return 1
  }
}

if [ "$full" = yes ]; then
  step tools/install_deps.sh --full || { finish; exit 1; }
else
  step tools/install_deps.sh || { finish; exit 1; }
fi
# Before the configuration: it is what the boot tests look for.
step prepare_guest || true
step cmake --preset release || { finish; exit 1; }
step cmake --build --preset release || { finish; exit 1; }
tests --test-dir build/release -L quick
if [ "$full" = no ]; then
  # One and four CPUs; the same hash twice; a disk; a recording replayed.
  tests --test-dir build/release -R '^boot_(shell|cpus4|threads|disk|replay_follow)$'
else
  tests --test-dir build/release -L full
  step silicon || true
  step tools/check_aarch64.sh || true
  if step cmake --preset asan && step cmake --build --preset asan; then
    tests --test-dir build/asan -L quick
  fi
  if step cmake --preset fuzz && step cmake --build --preset fuzz --target fuzzers; then
    for source in tests/fuzz/*_fuzz.cpp; do
      name=$(basename "$source" _fuzz.cpp)
      [ -x "build/fuzz/tests/fuzz/fuzz_$name" ] || continue
      mkdir -p "tests/fuzz/corpus/$name"
      step fuzz "$name" || true
    done
  fi
fi
finish
