// Encodings for the silicon tester, found by decoding: every opcode of the legacy and VEX maps under every
// prefix is decoded, and those that belong to a table row are grouped by row and operand form.
//
// Not modelled: EVEX; FS as an override.
#pragma once

#include <string>
#include <vector>

#include "base/types.h"

namespace orrery::silicon {

struct Encoding {
  u8 bytes[15];
  u8 length;
  u8 imm_offset, imm_bytes;  // immediates that may be varied; 0: none
  u8 rip_disp_offset;        // of a RIP-relative operand's displacement; 0: none
};

/// One row and operand form: "ADD r64, m64 lock".
struct Form {
  u16 row = 0;
  std::string text;
  bool has_memory = false;
  bool repeated = false;  // REP or REPNE string
  bool branch = false;
  bool vsib = false;
  std::vector<Encoding> encodings;
};

/// Why a row is never run natively, or null. The list is in README.md.
const char* no_silicon_reason(u16 row);

/// All forms of rows that can run natively, in table order.
std::vector<Form> make_forms();

}  // namespace orrery::silicon
