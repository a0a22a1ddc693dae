#!/bin/sh
# xz: compression in one thread, and back.
head -c $((20000 * ${1:-100})) /tmp/corpus | xz -T1 -5 >/tmp/xz
for _ in 1 2 3; do xz -dc </tmp/xz; done | cat /tmp/xz - | cksum | tr ' ' -
rm /tmp/xz
