#!/bin/sh
# gzip: compression and back.
gzip -n </tmp/corpus >/tmp/gz
for _ in 1 2 3; do gzip -dc </tmp/gz; done | cat /tmp/gz - | cksum | tr ' ' -
rm /tmp/gz
