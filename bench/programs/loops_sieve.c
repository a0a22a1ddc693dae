// Hot loops: a sieve of Eratosthenes, byte stores and loads with strides.
#include <string.h>

#include "program.h"

static unsigned char composite[1 << 20];

int main(int argc, char** argv) {
  const long rounds = scaled(argc, argv, 150);
  for (long r = 0; r < rounds; ++r) {
    memset(composite, 0, sizeof composite);
    long count = 0;
    for (size_t i = 2; i < sizeof composite; ++i) {
      if (composite[i]) continue;
      ++count;
      for (size_t j = i * 2; j < sizeof composite; j += i) composite[j] = 1;
    }
    mix((uint64_t)count + (uint64_t)r);
  }
  return finish();
}
