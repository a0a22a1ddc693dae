// Floating point: 256-bit fused multiply-adds.
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#include <string.h>

#include "program.h"

static float a[4096] __attribute__((aligned(32))), b[4096] __attribute__((aligned(32)));

int main(int argc, char** argv) {
  const long rounds = scaled(argc, argv, 800000);
  for (int i = 0; i < 4096; ++i) a[i] = (float)i * 0.25f, b[i] = 1.0f / (float)(i + 1);
  __m256 sum = _mm256_setzero_ps();
  for (long r = 0; r < rounds; ++r) {
    const __m256 k = _mm256_set1_ps(1.0f + (float)(r & 3) * 0.125f);
    for (int i = 0; i < 4096; i += 8)
      sum = _mm256_fmadd_ps(_mm256_load_ps(a + i), _mm256_mul_ps(_mm256_load_ps(b + i), k), sum);
    sum = _mm256_mul_ps(sum, _mm256_set1_ps(0.5f));
  }
  float out[8];
  _mm256_storeu_ps(out, sum);
  for (int i = 0; i < 8; ++i) {
    uint32_t bits;
    memcpy(&bits, &out[i], 4);
    mix(bits);
  }
  return finish();
}
