// Selectors that other families' selectors hand over to: one mnemonic, forms in several files.
#pragma once

#include "cpu/insn.h"

namespace orrery::cpu::exec {

Handler select_mov_segment(const Insn&, const DecodedForm&);
Handler select_mov_control(const Insn&, const DecodedForm&);
Handler select_mov_debug(const Insn&, const DecodedForm&);
Handler select_push_segment(const Insn&, const DecodedForm&);
Handler select_pop_segment(const Insn&, const DecodedForm&);
Handler select_jmp_far(const Insn&, const DecodedForm&);
Handler select_call_far(const Insn&, const DecodedForm&);

}  // namespace orrery::cpu::exec
