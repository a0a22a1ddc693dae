// Floating point: 80-bit extended precision.
#include <string.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 40000000);
  long double s = 0, x = 1.0L, y = 0.5L;
  for (long i = 1; i <= n; ++i) {
    s += x / (long double)i;
    x = x * y + 0.75L;
    y = 1.0L - y * 0.5L;
  }
  uint64_t bits;
  memcpy(&bits, &s, 8);
  mix(bits);
  return finish();
}
