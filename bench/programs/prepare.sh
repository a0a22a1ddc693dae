#!/bin/sh
# What the programs of Debian's packages work on, made in /tmp before the first of them is timed.
percent=${1:-100}
# Text, source code and machine code, in equal parts.
size=$((64 + 40 * percent))k
{
  head -c $size /orrery/numbers
  cat /usr/lib/python3.11/[a-f]*.py | head -c $size
  tail -c +2000000 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 | head -c $size
} >/tmp/corpus

# A C file of functions with loops, switches, structures and calls.
gawk -v functions=$((2 + 40 * percent / 100)) 'BEGIN {
  print "struct item { int key, rank; double weight; struct item *next; };"
  print "unsigned f0(struct item *p, unsigned n) { return p ? (unsigned)p->key + n : n; }"
  for (i = 1; i <= functions; i++) {
    printf "unsigned f%d(struct item *p, unsigned n) {\n  unsigned a[%d] = {n, %d}, s = n;\n", i, 4 + i % 13, i * 2654435761 % 65536
    printf "  for (unsigned k = 1; k < %d; k++) {\n    a[k] = a[k - 1] * %du ^ (s >> %d);\n", 4 + i % 13, i * 40503 % 65521, i % 31
    print "    switch (a[k] & 7) {"
    for (c = 0; c < 7; c++)
      printf "    case %d: s += f%d(p, a[k] / %d); break;\n", c, (i * 7 + c) % i, c + 3
    print "    default: s ^= a[k]; }\n  }"
    printf "  while (p && p->rank < %d) {\n    p->weight = p->weight * %d.5 + s; s += (unsigned)p->key * n;\n", i % 97, i % 11
    print "    if (p->weight > 1e6) p->weight /= s + 1.0;\n    p = p->next;\n  }\n  return s;\n}"
  }
}' >/tmp/generated.c
