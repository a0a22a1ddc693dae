// Page faults: memory mapped, touched and unmapped.
#include <sys/mman.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 2500);
  const size_t bytes = 256 * 4096;
  for (long i = 0; i < n; ++i) {
    volatile unsigned char* p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return 1;
    for (size_t at = 0; at < bytes; at += 4096) p[at] = (unsigned char)(at >> 12);
    mix(p[(size_t)(i & 255) * 4096]);
    munmap((void*)p, bytes);
  }
  return finish();
}
