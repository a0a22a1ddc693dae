// Hot loops: arithmetic in registers only.
#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 200000000);
  uint64_t a = 1, b = 2, c = 3;
  for (long i = 0; i < n; ++i) {
    a += b ^ (c << 7);
    b = (b >> 3) + a * 5;
    c ^= a + (uint64_t)i;
  }
  mix(a);
  mix(b);
  mix(c);
  return finish();
}
