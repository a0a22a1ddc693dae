// Inputs for silicon cases: boundary values and random ones, by a seeded generator.
#pragma once

#include "cpu/insn.h"
#include "tests/silicon/context.h"
#include "tests/silicon/forms.h"

namespace orrery::silicon {

/// SplitMix64.
class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() {
    u64 z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  u64 below(u64 n) { return next() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }

 private:
  u64 state_;
};

/// The bytes of one case: an encoding of `form` with fresh immediates.
Encoding make_code(Random& random, const Form& form);
/// Registers and the memory that the operand of `insn` addresses.
void make_case(Random& random, const Form& form, const cpu::Insn& insn, Context& context, u8* memory);
/// General, x87 and vector registers and flags that fit no instruction in particular: many point to the data.
void make_registers(Random& random, Context& context);
/// Fills the data pages with numbers of all kinds.
void fill_memory(Random& random, u8* memory);

}  // namespace orrery::silicon
