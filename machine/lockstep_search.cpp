#include "machine/lockstep_search.h"

#include <map>

#include "cpu/decode/decoder.h"
#include "cpu/vcpu.h"
#include "machine/machine_compare.h"

namespace orrery::machine {
namespace {

/// A stretch longer than this is shortened from its start, too, so that later runs are short.
constexpr Tick kShortStretch = 10'000;
constexpr Tick kListedAround = 6, kMostListed = 80;
constexpr size_t kMostFields = 16;

/// "cpu0 0x401000  48 01 c8   add rax, rcx", of the instruction at RIP.
std::string show_instruction(VirtualMachine& vm, unsigned cpu) {
  const cpu::Vcpu& vcpu = vm.vcpu(cpu);
  const u64 rip = vcpu.state.rip();
  const u64 linear = vcpu.long64() ? rip : static_cast<u32>(vcpu.state.seg[cpu::kCs].base + rip);
  u8 bytes[15];
  size_t have = 0;
  while (have < sizeof bytes && vm.read_linear(cpu, linear + have, {bytes + have, 1})) ++have;
  return fmt::format(
      "cpu{} {:#x}  {}", cpu, rip,
      have == 0 ? "(not mapped)" : cpu::Decoder::disassemble({bytes, have}, vcpu.code_bits(), rip));
}

std::vector<u8> registers_of(VirtualMachine& vm, unsigned cpu) {
  StateWriter writer;
  cpu::visit_cpu_state(writer, vm.vcpu(cpu).state);
  return writer.bytes();
}

}  // namespace

Result<std::unique_ptr<VirtualMachine>> LockstepSearch::make_side(EngineKind engine,
                                                                  const jit::TranslatorConfig& translator) {
  Config config = config_;
  config.engine = engine;
  TRY_ASSIGN(auto side, VirtualMachine::create_follower(config, {.translator = translator, .silent = true}));
  for (const InputEvent& input : inputs_) side->inputs().extend_replay(input);
  return side;
}

Result<bool> LockstepSearch::differs(const MachineCopy& from, Tick via, Tick to) {
  StopReason reasons[2] = {};
  VirtualMachine* const sides[2] = {reference_.get(), subject_};
  for (unsigned i = 0; i < 2; ++i) {
    TRY(from.restore(*sides[i]));
    if (via > from.tick()) reasons[i] = sides[i]->run(via);
    if (to > via) reasons[i] = sides[i]->run(to);
    if (reasons[i] == StopReason::kHostError) return make_error("{}", sides[i]->stop_message());
  }
  return reasons[0] != reasons[1] ||
         first_difference(*reference_, *subject_, CompareLevel::kMemory).has_value();
}

Result<std::optional<LockstepSearch::Window>> LockstepSearch::find(Tick until) {
  TRY_ASSIGN(MachineCopy from, MachineCopy::create(config_.memory_bytes));
  TRY(alike_.restore(*reference_));
  from.save(*reference_, alike_.inputs());
  TRY_ASSIGN(const bool there, differs(from, from.tick(), until));
  if (!there) return std::optional<Window>{};

  // Alike at `low`, different at `high`, and different there when run from `from`.
  Tick low = from.tick(), high = until;
  while (high - low > 1) {
    const Tick middle = low + (high - low) / 2;
    TRY_ASSIGN(const bool before, differs(from, from.tick(), middle));
    if (before) {
      high = middle;
      continue;
    }
    low = middle;
    if (high - low < kShortStretch) continue;
    // Later runs may begin here, if what is wrong happens behind.
    TRY_ASSIGN(const bool behind, differs(from, middle, high));
    if (!behind) continue;
    TRY(from.restore(*reference_));
    if (middle > from.tick()) reference_->run(middle);
    from.save(*reference_, reference_->inputs().replay_position());
  }
  // The last tick that the block can be entered at and still differ at its end.
  Tick first = from.tick(), behind = high;
  while (behind - first > 1) {
    const Tick middle = first + (behind - first) / 2;
    TRY_ASSIGN(const bool still, differs(from, middle, high));
    (still ? first : behind) = middle;
  }
  return std::optional(Window{first, high});
}

Result<std::string> LockstepSearch::list_guest(const Window& window) {
  TRY(alike_.restore(*reference_));
  const Tick start = std::max(alike_.tick(), window.first - std::min(window.first, kListedAround));
  const Tick end = std::min(window.last + kListedAround, start + kMostListed);
  if (start > alike_.tick()) reference_->run(start);
  std::string text = "guest instructions, by tick:\n";
  for (Tick tick = start; tick < end; ++tick) {
    // Whose turn it is shows when it has run.
    std::vector<std::vector<u8>> before;
    std::vector<std::string> at;
    for (unsigned i = 0; i < reference_->cpus(); ++i) {
      before.push_back(registers_of(*reference_, i));
      at.push_back(show_instruction(*reference_, i));
    }
    if (reference_->run(tick + 1) != StopReason::kMaxTicks) break;
    for (unsigned i = 0; i < reference_->cpus(); ++i) {
      if (registers_of(*reference_, i) == before[i]) continue;
      text +=
          fmt::format("  {} {}  {}\n", tick >= window.first && tick < window.last ? '>' : ' ', tick, at[i]);
    }
  }
  return text;
}

Result<std::string> LockstepSearch::describe(const Window& window, bool fresh) {
  std::string text;
  TRY_ASSIGN(const bool still, differs(alike_, window.first, window.last));
  const std::vector<std::string> at_end =
      still ? differences(*reference_, *subject_, kMostFields) : std::vector<std::string>{};

  // Once more with translations to look at; and cut into single instructions, which says whether one alone is
  // wrong.
  std::map<u64, std::string> listings;
  jit::TranslatorConfig translator = translator_;
  translator.listing_path.clear();
  translator.hot_runs = 1;
  translator.on_translation = [&listings](u64 rip, const std::string& listing) { listings[rip] = listing; };
  TRY_ASSIGN(const auto listed, make_side(EngineKind::kJit, translator));
  VirtualMachine* const suspect = subject_;
  subject_ = listed.get();
  TRY(differs(alike_, window.first, window.first));
  std::vector<u64> rips;
  for (unsigned i = 0; i < reference_->cpus(); ++i) rips.push_back(reference_->vcpu(i).state.rip());
  TRY(differs(alike_, window.first, window.last));
  translator.on_translation = nullptr;
  translator.max_block_insns = 1;
  TRY_ASSIGN(const auto single, make_side(EngineKind::kJit, translator));
  subject_ = single.get();
  TRY_ASSIGN(const bool alone, differs(alike_, window.first, window.first + 1));
  if (alone) {
    text += fmt::format("the instruction at tick {} is wrong, translated by itself, too; it leaves\n",
                        window.first);
    for (const std::string& field : differences(*reference_, *subject_, kMostFields))
      text += fmt::format("  {}\n", field);
  } else {
    text += fmt::format(
        "alike up to tick {}; at tick {} different, if translated code is entered at tick {}, not later\n",
        window.last - 1, window.last, window.first);
    for (const std::string& field : at_end) text += fmt::format("  {}\n", field);
    text += fresh ? "no instruction of it is wrong when it is translated by itself: look at what they share\n"
                  : "only code that was translated before does this: fresh translations are right\n";
  }
  subject_ = suspect;

  TRY_ASSIGN(const std::string guest, list_guest(alone ? Window{window.first, window.first + 1} : window));
  text += guest;
  for (const u64 rip : rips) {
    const auto found = listings.find(rip);
    if (found != listings.end()) text += found->second;
  }
  return text;
}

Result<std::string> LockstepSearch::run(Tick until, VirtualMachine& suspect) {
  jit::TranslatorConfig translator = translator_;
  translator.listing_path.clear();
  translator.perf_map = false;
  translator.hot_runs = 1;
  TRY_ASSIGN(reference_, make_side(EngineKind::kInterpreter, translator));
  TRY_ASSIGN(const auto fresh, make_side(EngineKind::kJit, translator));
  for (VirtualMachine* const subject : {fresh.get(), &suspect}) {
    subject_ = subject;
    TRY_ASSIGN(const auto window, find(until));
    if (window) return describe(*window, subject == fresh.get());
  }
  return fmt::format("run again from tick {}, the sides do not differ\n", alike_.tick());
}

}  // namespace orrery::machine
