// Sequences: a few random instructions in a row, with branches among them, and the state that they start
// from.
//
// Every instruction form of the silicon tester is drawn, but for those below; some sequences are mostly made
// of what programs are, on few registers, so that instructions work on what others have left. Branches lead
// forward, in one bounded loop backward, to a register's or the stack's address, now and then anywhere. Not
// modelled: rows whose results are only bound by the manual; loads of segment registers; self-modifying code.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/silicon/cases.h"

namespace orrery::silicon {

/// One instruction, and what in it depends on where things lie.
struct Piece {
  enum class Patch : u8 { kNone, kRelative8, kRelative32, kAbsolute32, kRipData };
  u8 bytes[15] = {};
  u8 length = 0;
  Patch patch = Patch::kNone;
  u8 patch_offset = 0;
  u16 target = 0;  // index of the piece that a branch leads to; one more than the last is the end
  u32 data = 0;    // kRipData: the address
};

struct Sequence {
  Mode mode = Mode::k64;
  u64 state_seed = 0;
  std::vector<Piece> pieces;
  std::vector<u8> code() const;
  /// Without piece `n`; branches to it lead to the next.
  Sequence without(size_t n) const;
};

/// Whether the sequence of this seed, and its start, have few faults before the end.
bool is_careful(u64 state_seed);
/// What a run starts from: a function of mode and seed alone, which corpus lines rely on: it must not change.
void make_start(Mode mode, u64 state_seed, Context& context);
/// The data pages; the same for kSharedMemory seeds in a row.
inline constexpr u64 kSharedMemory = 64;
void make_memory(u64 state_seed, u8* memory);

class SequenceMaker {
 public:
  /// With `undefined_too`, instructions that leave flags undefined, or vary by vendor, are drawn; what the
  /// host has not is not. Of `favoured` (integer, x87, mmx, sse, avx; or empty) are three instructions of
  /// four.
  SequenceMaker(Mode mode, bool undefined_too, std::string_view favoured = {});
  Sequence make(u64 seed) const;
  /// Names of the rows that are drawn.
  std::vector<std::string_view> rows() const;

 private:
  struct Choice {
    std::vector<const Form*> forms;  // of one row
  };
  struct Draft;
  void add_instruction(Draft& draft) const;
  /// A move, an addition, a comparison and the like, or a conditional jump.
  void add_everyday(Draft& draft) const;
  void add_branch(Draft& draft) const;
  Piece make_piece(Draft& draft, const Form& form, const Encoding& encoding) const;
  void place_operand(Draft& draft, const Form& form, const Encoding& encoding, Piece& piece) const;
  Mode mode_;
  bool undefined_too_;
  std::vector<Form> forms_;
  static constexpr unsigned kGroups = 5;
  std::vector<Choice> groups_[kGroups];
  u8 weights_[kGroups] = {50, 12, 8, 15, 15};  // percent
  std::vector<Choice> relative_, indirect_;
};

/// "64 <seed> <bytes>" and back; nothing if `line` is not of that form.
std::string corpus_line(Mode mode, u64 state_seed, const std::vector<u8>& code);
struct CorpusCase {
  Mode mode;
  u64 state_seed;
  std::vector<u8> code;
};
std::optional<CorpusCase> parse_corpus_line(std::string_view line);

}  // namespace orrery::silicon
