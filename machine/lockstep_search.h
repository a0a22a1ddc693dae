// LockstepSearch: from a stretch of ticks at whose start two engines were alike and at whose end they are
// not, to the instruction.
//
// The stretch is run again, in halves, by a fresh pair of machines whose translator translates everything at
// once. A block of translated code is entered only if it ends within the run, so the first tick at which the
// sides differ is the end of the guilty block; the last tick from which the run to there still differs is the
// instruction in it that matters.
#pragma once

#include "machine/machine_copy.h"
#include "machine/virtual_machine.h"

namespace orrery::machine {

class LockstepSearch {
 public:
  /// `inputs`: everything that entered. `alike`: where both sides were alike.
  LockstepSearch(const Config& config, const jit::TranslatorConfig& translator,
                 const std::vector<InputEvent>& inputs, const MachineCopy& alike)
      : config_(config), translator_(translator), inputs_(inputs), alike_(alike) {}

  /// The report. `until`: a tick at which the sides differ. `suspect`: the machine that differs there, asked
  /// if fresh translations are right: it is put back to `alike` with what it has translated.
  Result<std::string> run(Tick until, VirtualMachine& suspect);

 private:
  /// Ticks [first, last): one translated block, or one instruction.
  struct Window {
    Tick first = 0, last = 0;
  };
  Result<std::unique_ptr<VirtualMachine>> make_side(EngineKind engine,
                                                    const jit::TranslatorConfig& translator);
  /// Both sides from `from` to `via` (if that is behind it), then to `to`; whether they differ.
  Result<bool> differs(const MachineCopy& from, Tick via, Tick to);
  /// None if the sides do not differ at `until`.
  Result<std::optional<Window>> find(Tick until);
  Result<std::string> describe(const Window& window, bool fresh);
  /// The instructions around the window, as the interpreter runs them.
  Result<std::string> list_guest(const Window& window);

  const Config& config_;
  const jit::TranslatorConfig& translator_;
  const std::vector<InputEvent>& inputs_;
  const MachineCopy& alike_;
  std::unique_ptr<VirtualMachine> reference_;
  VirtualMachine* subject_ = nullptr;
};

}  // namespace orrery::machine
