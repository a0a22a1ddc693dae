// Floating point: bodies under gravity, scalar SSE2 with square roots and divisions.
#include <math.h>
#include <string.h>

#include "program.h"

enum { BODIES = 5 };
static double x[BODIES][3], v[BODIES][3], m[BODIES];

int main(int argc, char** argv) {
  const long steps = scaled(argc, argv, 6000000);
  for (int i = 0; i < BODIES; ++i) {
    m[i] = 1.0 + i;
    for (int k = 0; k < 3; ++k) x[i][k] = (i + 1) * (k + 2) * 0.7, v[i][k] = (i - k) * 0.01;
  }
  for (long s = 0; s < steps; ++s) {
    for (int i = 0; i < BODIES; ++i) {
      for (int j = i + 1; j < BODIES; ++j) {
        double d[3], r2 = 0.01;
        for (int k = 0; k < 3; ++k) d[k] = x[i][k] - x[j][k], r2 += d[k] * d[k];
        const double f = 0.001 / (r2 * sqrt(r2));
        for (int k = 0; k < 3; ++k) v[i][k] -= d[k] * m[j] * f, v[j][k] += d[k] * m[i] * f;
      }
    }
    for (int i = 0; i < BODIES; ++i)
      for (int k = 0; k < 3; ++k) x[i][k] += 0.001 * v[i][k];
  }
  for (int i = 0; i < BODIES; ++i) {
    uint64_t bits;
    memcpy(&bits, &x[i][0], 8);
    mix(bits);
  }
  return finish();
}
