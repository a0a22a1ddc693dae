// Encodings for the silicon tester, found by decoding in 64-bit or 32-bit mode: every opcode of the legacy
// and VEX maps under every prefix is decoded, and those that belong to a table row are grouped by row and
// operand form.
//
// Not modelled: EVEX; FS as an override.
#pragma once

#include <string>
#include <vector>

#include "tests/silicon/context.h"

namespace orrery::silicon {

struct Encoding {
  u8 bytes[15];
  u8 length;
  u8 imm_offset, imm_bytes;        // immediates that may be varied; 0: none
  u8 branch_offset, branch_bytes;  // the displacement of a relative branch
  // The displacement of an operand without a register, which alone says where it lies; offset 0: none.
  u8 disp_offset, disp_bytes;
  bool relative;     // it is RIP-relative
  u8 modrm_offset;   // 0: none
  u8 address_bits;   // 16, 32, 64
  u16 gprs_written;  // bit n: register n, other than RSP by pushing and popping
};

/// One row and operand form: "ADD r64, m64 lock".
struct Form {
  Mode mode = Mode::k64;
  u16 row = 0;
  std::string text;
  bool has_memory = false;
  bool repeated = false;  // REP or REPNE string
  bool branch = false;
  bool vsib = false;
  std::vector<Encoding> encodings;
};

/// Why a row is never run natively in `mode`, or null. The list is in README.md.
const char* no_silicon_reason(u16 row, Mode mode);

/// Whether what `form` does without a fault, but for undefined flags, is not the same on all vendors'
/// processors. The list is in README.md.
bool varies_by_vendor(const Form& form);
/// Whether AMD's processors before Zen 4 do otherwise, in flags or results that are undefined.
bool varies_by_generation(const Form& form);

/// All forms of rows that can run natively in `mode`, in table order.
std::vector<Form> make_forms(Mode mode);

}  // namespace orrery::silicon
