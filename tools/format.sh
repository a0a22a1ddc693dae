#!/bin/bash
# Formats the C++ sources with clang-format; with --check only says what would change.
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
if [ "${1:-}" = --check ]; then
  mode=(--dry-run --Werror)
elif [ $# -gt 0 ]; then
  echo "usage: tools/format.sh [--check]" >&2
  exit 2
fi
git ls-files -z '*.cpp' '*.h' | xargs -0 -r clang-format "${mode[@]}"
