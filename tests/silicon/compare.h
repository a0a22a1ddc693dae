// Comparing the two results of a silicon case, and telling people about a difference.
#pragma once

#include <span>
#include <string>

#include "cpu/insn.h"
#include "cpu/isa/table.h"
#include "tests/silicon/context.h"
#include "tests/silicon/forms.h"

namespace orrery::silicon {

/// Empty, or one line per difference. Flags that `row` leaves undefined count only if `undefined_too`.
std::string compare(const cpu::isa::Row& row, const cpu::Insn& insn, const Context& start,
                    const Result& native, const Result& emulated, const u8* native_memory,
                    const u8* emulated_memory, const u8* memory_before, bool undefined_too);
/// The registers, for people.
std::string describe_context(const Context& context);
/// Everything needed to run the case again.
std::string describe_case(const Form& form, std::span<const u8> code, u64 number, u64 seed,
                          const Context& start, const std::string& difference, const Result& native);

}  // namespace orrery::silicon
