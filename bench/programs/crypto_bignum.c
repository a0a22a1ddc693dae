// Cryptography: products of 1024-bit integers, with MUL and carries.
#include "program.h"

enum { LIMBS = 16 };

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 1500000);
  uint64_t a[LIMBS], b[LIMBS], r[2 * LIMBS];
  for (int i = 0; i < LIMBS; ++i) a[i] = 0x123456789abcdefu * (uint64_t)(i + 1), b[i] = ~a[i] * 31;
  for (long t = 0; t < n; ++t) {
    for (int i = 0; i < 2 * LIMBS; ++i) r[i] = 0;
    for (int i = 0; i < LIMBS; ++i) {
      uint64_t carry = 0;
      for (int j = 0; j < LIMBS; ++j) {
        const unsigned __int128 p = (unsigned __int128)a[i] * b[j] + r[i + j] + carry;
        r[i + j] = (uint64_t)p;
        carry = (uint64_t)(p >> 64);
      }
      r[i + LIMBS] = carry;
    }
    for (int i = 0; i < LIMBS; ++i) a[i] = r[i] ^ r[i + LIMBS];
  }
  for (int i = 0; i < LIMBS; ++i) mix(a[i]);
  return finish();
}
