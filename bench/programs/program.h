// What every program of the suite has: a checksum that its result goes into, and its work scaled by argv[1]
// percent.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t checksum = 0x9e3779b97f4a7c15u;

static inline void mix(uint64_t value) {
  checksum ^= value;
  checksum *= 0xff51afd7ed558ccdu;
  checksum ^= checksum >> 32;
}

/// `n` at 100 percent.
static inline long scaled(int argc, char** argv, long n) {
  const long percent = argc > 1 ? atol(argv[1]) : 100;
  return n * percent / 100 > 0 ? n * percent / 100 : 1;
}

static inline int finish(void) {
  printf("%016llx\n", (unsigned long long)checksum);
  return 0;
}
