// HostProfile: how far the host's undefined flags and results are those of the CPU model's vendor profile,
// which is AMD's Zen. What an instruction leaves undefined on another host is made good, or its handler runs.
//
//   Intel, against the profile        made good by
//   SHL SHR SAR: AF 0, not 1          BlockEmitter::af_is_set_, or a deferred shift (x64/flags.cpp)
//   shifts, rotates by 2 and more:    two of them: OF is the last step's, by one
//     OF
//   MUL IMUL: SF ZF AF PF change      the image keeps them
//   DIV IDIV: other flags             the image gets the profile's
//   TZCNT LZCNT: OF 0, not kept       an image with the old OF
//   BMI1, BZHI: PF 0; BEXTR: AF 0     an image with the profile's
//   ROL ROR of registers by CL: OF    the last step again
//   other rotates by CL: OF           the handler, if it is wanted
//   SHLD SHRD: AF, OF                 likewise; always with 16 bits: large counts give other results
//   BSF BSR on some, and on AMD's     the handler, if the result is not the profile's, or other flags than
//     before Zen 4: flags, result       ZF are wanted (scans_are_exact)
//   LAHF: AF (see SHL)                the handler
//   DPPS DPPD: which NaN comes out    the handler
#pragma once

#include "base/types.h"

namespace orrery::jit {

struct HostProfile {
  enum class Kind : u8 {
    kSame,     // the profile's own
    kIntel,    // as above
    kUnknown,  // whatever leaves something undefined runs its handler
  };
  Kind kind = Kind::kUnknown;
  /// BSF and BSR do as the profile has it: they clear CF, OF, SF and AF, set PF by the result, and with a
  /// source of zero leave all of the destination as it was.
  bool scans_are_exact = false;
  /// That is so but for their flags, of which ZF is right.
  bool scans_differ_in_flags = false;

  bool is_same() const { return kind == Kind::kSame; }
  bool is_known() const { return kind != Kind::kUnknown; }
  static HostProfile of_host();
  /// The family of an AMD processor; 0 for others.
  static unsigned amd_family();
};

}  // namespace orrery::jit
