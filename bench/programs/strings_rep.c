// Repeated string instructions.
#include "program.h"

static unsigned char a[1 << 16], b[1 << 16];

static void movsb(void* to, const void* from, size_t n) {
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}
static void stosq(void* to, uint64_t value, size_t n) {
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(n) : "a"(value) : "memory");
}
static size_t scasb(const void* at, size_t n) {
  const size_t all = n;
  __asm__ volatile("repne scasb" : "+D"(at), "+c"(n) : "a"(255) : "cc", "memory");
  return all - n;
}

int main(int argc, char** argv) {
  const long rounds = scaled(argc, argv, 450000);
  for (size_t i = 0; i < sizeof a; ++i) a[i] = (unsigned char)(i % 251);
  for (long r = 0; r < rounds; ++r) {
    movsb(b, a, sizeof a);
    stosq(b + 4096, (uint64_t)r, 512);
    for (int i = 0; i < 40; ++i) movsb(b + i * 64, a + i * 3, 48);
    b[700] = 255;
    mix(scasb(b, sizeof b) + b[4097]);
  }
  return finish();
}
