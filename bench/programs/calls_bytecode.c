// Indirect branches: a bytecode interpreter with a switch.
#include "program.h"

enum { PUSH, ADD, MUL, DUP, SWAP, DROP, JNZ, DEC, XOR, HALT };
static const unsigned char program[] = {PUSH, 200, SWAP, DUP, ADD, PUSH, 5, XOR, SWAP, DEC, JNZ, 10, HALT};

static __attribute__((noinline)) uint64_t run(uint64_t start) {
  uint64_t stack[64], *sp = stack;
  *sp = start;
  for (const unsigned char* pc = program;;) {
    switch (*pc++) {
      case PUSH: *++sp = *pc++; break;
      case ADD: sp[-1] += *sp; --sp; break;
      case MUL: sp[-1] *= *sp; --sp; break;
      case DUP: sp[1] = *sp; ++sp; break;
      case SWAP: { const uint64_t t = *sp; *sp = sp[-1]; sp[-1] = t; break; }
      case DROP: --sp; break;
      case DEC: --*sp; break;
      case XOR: sp[-1] ^= *sp; --sp; break;
      case JNZ: { const unsigned char back = *pc++; if (*sp) pc -= back; break; }
      default: return sp[-1];
    }
  }
}

int main(int argc, char** argv) {
  const long n = scaled(argc, argv, 100000);
  for (long i = 0; i < n; ++i) mix(run((uint64_t)i));
  return finish();
}
