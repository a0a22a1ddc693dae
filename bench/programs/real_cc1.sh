#!/bin/sh
# gcc: a generated file compiled and assembled.
cd /tmp && gcc-12 -O2 -c generated.c -o generated.o && cksum <generated.o | tr ' ' -
