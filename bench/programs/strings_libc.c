// String functions of the C library, over short and middle-sized strings.
#include <string.h>

#include "program.h"

static char text[1 << 16], copy[1 << 16];

int main(int argc, char** argv) {
  const long rounds = scaled(argc, argv, 80000);
  for (size_t i = 0; i + 1 < sizeof text; ++i) text[i] = (char)('a' + i % 23);
  for (long r = 0; r < rounds; ++r) {
    text[(r * 97) & 0xffff] = 'z';
    memcpy(copy, text, sizeof text - 1);
    mix(strlen(copy));
    mix((uint64_t)((char*)memchr(copy, 'z', sizeof copy) - copy));
    mix((uint64_t)(memcmp(copy, text, sizeof text) == 0));
    for (int i = 0; i < 200; ++i) {
      mix(strlen(copy + 65400 + (i & 63)));
      memcpy(copy + i * 37, text + i * 5, 24 + (size_t)(i & 31));
      mix((uint64_t)(strcmp(copy + i * 16, text + i * 16) > 0));
    }
  }
  return finish();
}
