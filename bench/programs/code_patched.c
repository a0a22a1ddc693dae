// Self-modifying code: an immediate is patched, then the function runs.
#include <string.h>
#include <sys/mman.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 10000000);
  unsigned char* code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 1;
  static const unsigned char function[] = {0x8d, 0x87, 0, 0, 0, 0, 0x0f, 0xaf, 0xc7, 0xc3};  // lea, imul, ret
  memcpy(code, function, sizeof function);
  uint32_t x = 1;
  for (long i = 0; i < n; ++i) {
    const uint32_t constant = (uint32_t)i;
    memcpy(code + 2, &constant, 4);
    x = ((uint32_t(*)(uint32_t))(void*)code)(x | 1);
  }
  mix(x);
  return finish();
}
