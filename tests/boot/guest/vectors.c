/* Vector code of x86-64-v3 with context switches and signals in its midst: four processes compute, alarms clobber the
   vector registers of each, and one line says what came out. The same program on another machine says the same. */
#include <immintrin.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kCount = 4096, kRounds = 40 };

static float f32[kCount];
static double f64[kCount];
static int32_t index_of[kCount];
static uint8_t bytes[kCount];
static volatile int alarms;

static void on_alarm(int signal) {
  (void)signal;
  _mm256_zeroall();
  ++alarms;
}

static uint64_t mix(uint64_t hash, const void* data, size_t size) {
  const uint8_t* p = data;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ p[i]) * 0x100000001b3u;
  return hash;
}

static void fill(uint64_t seed) {
  for (int i = 0; i < kCount; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    f32[i] = (float)(int32_t)(seed >> 32) / 65536.0f;
    f64[i] = (double)(int64_t)seed / 4294967296.0;
    index_of[i] = (int32_t)(seed >> 40) & (kCount - 1);
    bytes[i] = (uint8_t)(seed >> 56);
  }
}

static uint64_t arithmetic(uint64_t hash) {
  __m256 sum = _mm256_setzero_ps();
  __m256d wide = _mm256_setzero_pd();
  for (int i = 0; i < kCount; i += 8) {
    const __m256i at = _mm256_loadu_si256((const __m256i*)(index_of + i));
    const __m256 gathered = _mm256_i32gather_ps(f32, at, 4);
    sum = _mm256_fmadd_ps(gathered, _mm256_loadu_ps(f32 + i), sum);
    sum = _mm256_blendv_ps(sum, _mm256_sqrt_ps(_mm256_mul_ps(gathered, gathered)), _mm256_cmp_ps(sum, gathered, 30));
    wide = _mm256_fnmsub_pd(_mm256_loadu_pd(f64 + i), _mm256_loadu_pd(f64 + i + 4), wide);
    const __m256 halves = _mm256_cvtph_ps(_mm256_cvtps_ph(gathered, 0));
    sum = _mm256_add_ps(sum, halves);
  }
  hash = mix(hash, &sum, sizeof sum);
  return mix(hash, &wide, sizeof wide);
}

__attribute__((target("vaes,vpclmulqdq,gfni,avx2"))) static uint64_t bits(uint64_t hash) {
  __m256i state = _mm256_set1_epi64x((long long)hash);
  for (int i = 0; i < kCount; i += 32) {
    const __m256i v = _mm256_loadu_si256((const __m256i*)(bytes + i));
    state = _mm256_aesenc_epi128(state, v);
    state = _mm256_xor_si256(state, _mm256_clmulepi64_epi128(state, v, 0x10));
    state = _mm256_gf2p8affineinv_epi64_epi8(state, v, 0x63);
    state = _mm256_add_epi16(_mm256_shuffle_epi8(state, v), _mm256_sllv_epi32(v, _mm256_srli_epi32(state, 28)));
    state = _mm256_permutevar8x32_epi32(state, v);
  }
  return mix(hash, &state, sizeof state);
}

static int worker(int number) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  sigaction(SIGALRM, &action, NULL);
  const struct itimerval often = {{0, 2000}, {0, 2000}};
  setitimer(ITIMER_REAL, &often, NULL);
  uint64_t hash = 0xcbf29ce484222325u;
  fill((uint64_t)number);
  const int has_all = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                      __builtin_cpu_supports("gfni") && __builtin_cpu_supports("vpclmulqdq");
  for (int round = 0; round < kRounds || alarms < 20; ++round) {
    const uint64_t once = bits(arithmetic(0xcbf29ce484222325u));
    if (round == 0) hash = once;
    if (once != hash || !has_all) return 255;
  }
  return (int)(hash % 251);
}

int main(void) {
  pid_t children[4];
  for (int i = 0; i < 4; ++i) {
    children[i] = fork();
    if (children[i] == 0) _exit(worker(i));
  }
  printf("vectors");
  for (int i = 0; i < 4; ++i) {
    int status = 0;
    waitpid(children[i], &status, 0);
    printf(" %d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  }
  printf("\n");
  return 0;
}
