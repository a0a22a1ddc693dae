// Hot loops: integer matrix product, rows and columns of memory.
#include "program.h"

enum { N = 256 };
static uint32_t a[N][N], b[N][N], c[N][N];

int main(int argc, char** argv) {
  const long rounds = scaled(argc, argv, 70);
  for (int i = 0; i < N; ++i)
    for (int j = 0; j < N; ++j) a[i][j] = (uint32_t)(i * 7 + j), b[i][j] = (uint32_t)(i ^ (j * 3));
  for (long r = 0; r < rounds; ++r) {
    for (int i = 0; i < N; ++i) {
      for (int j = 0; j < N; ++j) {
        uint32_t sum = 0;
        for (int k = 0; k < N; ++k) sum += a[i][k] * b[k][j];
        c[i][j] = sum + (uint32_t)r;
      }
    }
    a[r % N][3] ^= c[5][r % N];
  }
  for (int i = 0; i < N; ++i) mix(c[i][i]);
  return finish();
}
