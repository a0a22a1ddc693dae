// Cryptography: SHA-NI rounds and AES-NI rounds.
#pragma GCC target("sha,aes,sse4.1")
#include <immintrin.h>

#include "program.h"

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 60000000);
  __m128i a = _mm_set_epi32(1, 2, 3, 4), b = _mm_set_epi32(5, 6, 7, 8), c = _mm_set_epi32(9, 10, 11, 12);
  __m128i block = _mm_set_epi32(13, 14, 15, 16);
  for (long i = 0; i < n; ++i) {
    const __m128i k = _mm_set1_epi32((int)i);
    a = _mm_sha256rnds2_epu32(a, b, k);
    b = _mm_sha256rnds2_epu32(b, a, c);
    c = _mm_sha256msg1_epu32(c, a);
    c = _mm_sha256msg2_epu32(c, b);
    for (int r = 0; r < 4; ++r) block = _mm_aesenc_si128(block, k);
    block = _mm_aesenclast_si128(block, c);
  }
  uint64_t out[8];
  _mm_storeu_si128((__m128i*)out, a);
  _mm_storeu_si128((__m128i*)(out + 2), b);
  _mm_storeu_si128((__m128i*)(out + 4), c);
  _mm_storeu_si128((__m128i*)(out + 6), block);
  for (int i = 0; i < 8; ++i) mix(out[i]);
  return finish();
}
