// Freshly written code: functions of a few hundred bytes, each written, run ten times and overwritten.
#include <string.h>
#include <sys/mman.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 1200000);
  unsigned char* code = mmap(0, 1 << 20, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  uint32_t x = 1;
  for (long i = 0; i < n; ++i) {
    unsigned char* at = code + (i & 255) * 4096;
    unsigned char* p = at;
    *p++ = 0x89, *p++ = 0xf8;  // mov eax, edi
    for (int k = 0; k < 60; ++k) {
      const uint32_t constant = (uint32_t)(i * 61 + k);
      *p++ = k & 1 ? 0x05 : 0x35;  // add or xor eax, imm32
      memcpy(p, &constant, 4);
      p += 4;
    }
    *p = 0xc3;
    for (int k = 0; k < 10; ++k) x = ((uint32_t(*)(uint32_t))(void*)at)(x + (uint32_t)k);
  }
  mix(x);
  return finish();
}
