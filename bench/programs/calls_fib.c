// Calls: a recursive function.
#include "program.h"

static __attribute__((noipa, optimize("no-optimize-sibling-calls"))) uint64_t fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 400);
  for (long i = 0; i < n; ++i) mix(fib(27) + (uint64_t)i);
  return finish();
}
