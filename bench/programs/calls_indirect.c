// Calls: through a table of functions, in an order that is hard to predict.
#include "program.h"

typedef uint64_t (*function)(uint64_t);
static __attribute__((noinline)) uint64_t f0(uint64_t x) { return x + 1; }
static __attribute__((noinline)) uint64_t f1(uint64_t x) { return x ^ 0x55; }
static __attribute__((noinline)) uint64_t f2(uint64_t x) { return x * 3; }
static __attribute__((noinline)) uint64_t f3(uint64_t x) { return x >> 1; }
static __attribute__((noinline)) uint64_t f4(uint64_t x) { return ~x; }
static __attribute__((noinline)) uint64_t f5(uint64_t x) { return x - 7; }
static __attribute__((noinline)) uint64_t f6(uint64_t x) { return x << 2; }
static __attribute__((noinline)) uint64_t f7(uint64_t x) { return x + (x >> 5); }
static function volatile functions[8] = {f0, f1, f2, f3, f4, f5, f6, f7};

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 60000000);
  uint64_t x = 1, seed = 12345;
  for (long i = 0; i < n; ++i) {
    if ((i & 7) == 0) seed = seed * 6364136223846793005u + 1442695040888963407u;
    x = functions[(seed >> 32 >> (i & 7)) & 7](x);
  }
  mix(x);
  return finish();
}
