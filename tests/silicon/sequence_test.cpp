// Sequences of random instructions on the host CPU, in the interpreter and in the translator, in 64-bit and
// in 32-bit user mode: all end in the same state, and both engines at the same tick.
//
// ORRERY_SEQUENCES: how many (default 20000); ORRERY_SEQUENCE_SEED: of the first (default 0). A failure
// prints the shortest sequence that still fails as a line for tests/silicon/corpus. Not modelled: see
// sequence.h.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "cpu/interpreter.h"
#include "jit/translator.h"
#include "tests/silicon/compare.h"
#include "tests/silicon/emulated_cpu.h"
#include "tests/silicon/native_cpu.h"
#include "tests/silicon/sequence.h"

namespace orrery::silicon {
namespace {

constexpr i64 kMostTicks = 1500;
constexpr u64 kMostFailures = 8;

u64 setting(const char* name, u64 otherwise) {
  const char* v = std::getenv(name);
  return v == nullptr ? otherwise : std::strtoull(v, nullptr, 0);
}

bool same_registers(const Result& a, const Result& b) {
  const Context &x = a.context, &y = b.context;
  constexpr u64 kFlags = 0x204cd5;
  bool same = a.vector == b.vector && a.error_code == b.error_code && a.address == b.address &&
              x.rip == y.rip && x.cs == y.cs && ((x.rflags ^ y.rflags) & kFlags) == 0 &&
              std::memcmp(x.gpr, y.gpr, sizeof x.gpr) == 0 && x.fx.mxcsr == y.fx.mxcsr &&
              x.fx.fcw == y.fx.fcw && x.fx.fsw == y.fx.fsw && x.fx.ftw == y.fx.ftw &&
              std::memcmp(x.fx.xmm, y.fx.xmm, sizeof x.fx.xmm) == 0 &&
              std::memcmp(x.ymm_high, y.ymm_high, sizeof x.ymm_high) == 0;
  for (unsigned i = 0; i < 8; ++i)
    same = same && x.fx.st[i][0] == y.fx.st[i][0] && ((x.fx.st[i][1] ^ y.fx.st[i][1]) & 0xffff) == 0;
  const bool pending = (x.fx.fsw & 0x80) != 0 && NativeCpu::is_zen();
  return same && (!pending || (x.fx.fop == y.fx.fop && x.fx.fip == y.fx.fip && x.fx.fdp == y.fx.fdp));
}

// The host's kernel begins here, as far as programs may know.
constexpr u64 kHostUserEnd = 0x7ffffffff000;
constexpr u64 kHostVsyscall = 0xffffffffff600000;

/// The host's kernel says of every page of its own that it is there, so that programs don't learn which are.
Result without_host_secrets(Result r) {
  constexpr u32 kPresent = 1;
  if (r.vector == 14 && r.address >= kHostUserEnd) r.error_code |= kPresent;
  return r;
}
/// The code of this page is the host's kernel's, which emulates it.
bool ends_in_vsyscall(const Result& r) {
  constexpr u32 kFetch = 16;
  return r.vector == 14 && (r.error_code & kFetch) != 0 && (r.address & ~u64{0xfff}) == kHostVsyscall;
}

/// The pointers of the last x87 instruction, which the host does not always show. Empty if the engines agree.
std::string pointer_difference(const Result& a, const Result& b) {
  const FxArea &x = a.context.fx, &y = b.context.fx;
  if (x.fop == y.fop && x.fip == y.fip && x.fdp == y.fdp && a.fcs == b.fcs && a.fds == b.fds) return {};
  return fmt::format(
      "    x87 pointers: interpreter {:x}:{:x} {:x}:{:x} {:03x}  translator {:x}:{:x} {:x}:{:x} {:03x}\n",
      a.fcs, x.fip, a.fds, x.fdp, x.fop, b.fcs, y.fip, b.fds, y.fdp, y.fop);
}

// The tested instructions' signals and addresses belong to the sanitizer: the engines are alone there.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kHasHost = false;
#else
constexpr bool kHasHost = true;
#endif

/// The host CPU and the two engines, side by side.
class Bench {
 public:
  Bench() {
    jit::Translator::Config config;
    config.cache_bytes = 8 << 20;
    // At once, although the last sequence's code was there.
    config.hot_runs = config.hot_runs_when_full = config.hot_runs_after_writes = 1;
    auto translator = jit::Translator::create(emulated_.ram(), emulated_.decode_cache(), config);
    if (!translator.ok()) std::abort();
    translator_ = std::move(translator.value());
    if (kHasHost) native_.emplace().guard_host();
  }

  /// Empty if all agree, the host only if `with_host`; else who differs and in what.
  std::string run(Mode mode, u64 state_seed, const std::vector<u8>& code, bool with_host = true) {
    prepare(mode, state_seed);
    // Engines come back now and then, wherever that is.
    const i64 slice =
        state_seed % 4 != 0 ? i64{cpu::Engine::kMostTicks} : 1 + static_cast<i64>(state_seed / 4 % 9);
    emulated_.load_code(code);
    i64 ticks = 0, translated_ticks = 0;
    std::memcpy(emulated_.memory(), start_memory_.data(), kDataBytes);
    const Result interpreted = emulated_.run_to_fault(interpreter_, start_, slice, kMostTicks, ticks);
    interpreted_memory_.assign(emulated_.memory(), emulated_.memory() + kDataBytes);

    std::memcpy(emulated_.memory(), start_memory_.data(), kDataBytes);
    const Result translated =
        emulated_.run_to_fault(*translator_, start_, slice, kMostTicks, translated_ticks);
    std::string out;
    if (interpreted.vector != kStopped || translated.vector != kStopped) {
      out = difference("translator", interpreted, translated, interpreted_memory_.data(), emulated_.memory());
      out += pointer_difference(interpreted, translated);
      if (ticks != translated_ticks)
        out += fmt::format("    ticks: interpreter {}  translator {}\n", ticks, translated_ticks);
    }
    ++ends[interpreted.vector];
    const bool has_host = native_ && with_host && (mode == Mode::k64 || native_->has_ldt());
    if (!has_host || interpreted.vector == kStopped || ends_in_vsyscall(interpreted)) return out;
    // Thrice, since a context switch in the middle of a case makes an AMD host forget FIP and FDP.
    std::string native_difference;
    for (unsigned attempt = 0; attempt < 3; ++attempt) {
      std::memcpy(native_->memory(), start_memory_.data(), kDataBytes);
      const Result native = native_->run_to_fault(code, start_);
      if (native.vector == kStopped) break;
      // Another vendor's faults come in another order.
      if (!NativeCpu::is_zen() && (native.vector != cpu::kBP || interpreted.vector != cpu::kBP)) break;
      native_difference = difference("interpreter", native, in_order_of(native, code, interpreted),
                                     native_->memory(), interpreted_memory_.data());
      if (native_difference.empty()) break;
    }
    return out + native_difference;
  }
  /// How many blocks the translator has made so far.
  u64 blocks_translated() const {
    constexpr std::string_view kLine = "blocks translated";
    const std::string text = translator_->statistics();
    const size_t at = text.find(kLine);
    return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + kLine.size(), nullptr, 10);
  }
  /// The last run's.
  const Context& start() const { return start_; }
  std::map<unsigned, u64> ends;  // how many ended by which vector

 private:
  void prepare(Mode mode, u64 state_seed) {
    if (!mode_ || *mode_ != mode) {
      if (native_) native_->set_mode(mode);
      emulated_.set_mode(mode);
      mode_ = mode;
    }
    const u64 memory_seed = state_seed / kSharedMemory;
    if (!memory_seed_ || *memory_seed_ != memory_seed) make_memory(state_seed, start_memory_.data());
    memory_seed_ = memory_seed;
    make_start(mode, state_seed, start_);
  }
  Result in_order_of(const Result& native, const std::vector<u8>& code, const Result& got) {
    const u64 at = got.context.rip - kCodeStart;
    if (at >= code.size()) return got;
    std::memcpy(emulated_.memory(), interpreted_memory_.data(), kDataBytes);
    return emulated_.in_order_of(native, std::span(code).subspan(at), got);
  }
  std::string difference(const char* who, const Result& want, const Result& got, const u8* want_memory,
                         const u8* got_memory) {
    const Result w = without_host_secrets(want), g = without_host_secrets(got);
    if (same_registers(w, g) && std::memcmp(want_memory, got_memory, kDataBytes) == 0) return {};
    static const cpu::isa::Row kAnyRow{};
    const std::string text =
        compare(kAnyRow, {}, start_, w, g, want_memory, got_memory, start_memory_.data(), true);
    return text.empty() ? text : fmt::format("   {}:\n{}", who, text);
  }

  std::optional<NativeCpu> native_;
  EmulatedCpu emulated_;
  cpu::Interpreter interpreter_;
  std::unique_ptr<jit::Translator> translator_;
  std::optional<Mode> mode_;
  std::optional<u64> memory_seed_;
  Memory start_memory_{};
  std::vector<u8> interpreted_memory_;
  Context start_{};
};

Sequence minimised(Bench& bench, Sequence s, bool with_host) {
  for (bool shorter = true; shorter;) {
    shorter = false;
    for (size_t n = s.pieces.size(); n-- > 0;) {
      Sequence candidate = s.without(n);
      if (candidate.pieces.empty() || bench.run(s.mode, s.state_seed, candidate.code(), with_host).empty())
        continue;
      s = std::move(candidate);
      shorter = true;
    }
  }
  return s;
}

std::string listing(Mode mode, const std::vector<u8>& code) {
  std::string out;
  const unsigned bits = mode == Mode::k64 ? 64 : 32;
  cpu::Decoder decoder(EmulatedCpu::model());
  for (size_t at = 0; at < code.size();) {
    const std::span<const u8> rest(code.data() + at, code.size() - at);
    cpu::Insn insn;
    const u32 key = cpu::decode_key::kOsfxsr | cpu::decode_key::kAvxEnabled |
                    (mode == Mode::k64 ? cpu::decode_key::kBits64 : cpu::decode_key::kBits32);
    decoder.decode(rest, key, insn);
    out += fmt::format("    {:x}: {}\n", kCodeStart + at,
                       cpu::Decoder::disassemble(rest, bits, kCodeStart + at));
    at += insn.length;
  }
  return out;
}

TEST(Sequences, HostInterpreterAndTranslatorAgree) {
  const u64 count = setting("ORRERY_SEQUENCES", 20000), first = setting("ORRERY_SEQUENCE_SEED", 0);
  // On a host of another profile, what all vendors define alike is compared with it, and everything between
  // the engines, in turns.
  const bool same_profile = NativeCpu::has_profile();
  const char* const group = std::getenv("ORRERY_SEQUENCE_GROUP");
  const std::string_view favoured = group == nullptr ? "" : group;
  const SequenceMaker wide(Mode::k64, true, favoured), narrow(Mode::k32, true, favoured);
  const SequenceMaker defined_wide(Mode::k64, same_profile, favoured),
      defined_narrow(Mode::k32, same_profile, favoured);
  if (std::getenv("ORRERY_SILICON_LIST") != nullptr) {
    for (const std::string_view row : wide.rows()) fmt::print("sequence64 {}\n", row);
    for (const std::string_view row : narrow.rows()) fmt::print("sequence32 {}\n", row);
  }
  Bench bench;
  u64 failures = 0, pieces = 0;
  const auto started = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  };
  u64 seed = first;
  for (; seed < first + count && failures < kMostFailures; ++seed) {
    const bool is_wide = seed / kSharedMemory % 2 == 0, with_host = same_profile || seed % 2 == 0;
    const SequenceMaker& maker =
        with_host ? (is_wide ? defined_wide : defined_narrow) : (is_wide ? wide : narrow);
    const Sequence s = maker.make(seed);
    pieces += s.pieces.size();
    if (bench.run(s.mode, seed, s.code(), with_host).empty()) {
      if ((seed - first) % 1000000 == 999999)
        fmt::print("sequences: {} to {} agree, {:.0f} s\n", first, seed, seconds()), std::fflush(stdout);
      continue;
    }
    ++failures;
    const Sequence least = minimised(bench, s, with_host);
    const std::vector<u8> code = least.code();
    ADD_FAILURE() << "sequence " << seed << ":\n"
                  << listing(s.mode, code) << bench.run(s.mode, seed, code, with_host) << "  start:\n"
                  << describe_context(bench.start()) << corpus_line(s.mode, seed, code);
  }
  EXPECT_GE(bench.blocks_translated(), seed - first) << "the translator is not tested";
  fmt::print("sequences: {} of {} instructions in {:.1f} s, {} failures; ended", seed - first, pieces,
             seconds(), failures);
  for (const auto& [vector, times] : bench.ends)
    vector == kStopped ? fmt::print(" endless {}", times) : fmt::print(" #{} {}", vector, times);
  fmt::print("\n");
}

TEST(Sequences, HostIsGuarded) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the tested instructions' signals and addresses belong to the sanitizer";
#endif
  NativeCpu native;
  native.guard_host();
  Context start;
  make_start(Mode::k64, 0, start);
  const u8 endless[] = {0xeb, 0xfe};      // JMP to itself
  const u8 system_call[] = {0x0f, 0x05};  // SYSCALL
  EXPECT_EQ(native.run_to_fault(endless, start).vector, kStopped);
  EXPECT_EQ(native.run_to_fault(system_call, start).vector, kStopped);
  if (!native.has_ldt()) GTEST_SKIP() << NativeCpu::kNoLdt;
  native.set_mode(Mode::k32);
  make_start(Mode::k32, 0, start);
  const u8 legacy_call[] = {0xcd, 0x80};  // INT 80
  EXPECT_EQ(native.run_to_fault(endless, start).vector, kStopped);
  EXPECT_EQ(native.run_to_fault(legacy_call, start).vector, kStopped);
  EXPECT_EQ(native.run_to_fault({}, start).vector, 3u);
}

TEST(Sequences, CorpusAgrees) {
  // Hosts of other profiles have other undefined flags.
  const bool with_host = NativeCpu::has_profile();
  Bench bench;
  u64 cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(ORRERY_SILICON_CORPUS)) {
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      if (line.empty() || line[0] == '#') continue;
      const auto c = parse_corpus_line(line);
      ASSERT_TRUE(c) << entry.path() << ": not '64' or '32', seed, bytes: " << line;
      const std::string difference = bench.run(c->mode, c->state_seed, c->code, with_host);
      EXPECT_TRUE(difference.empty()) << line << "\n" << listing(c->mode, c->code) << difference;
      ++cases;
    }
  }
  EXPECT_GE(bench.blocks_translated(), cases) << "the translator is not tested";
  fmt::print("sequences: {} in the corpus\n", cases);
}

}  // namespace
}  // namespace orrery::silicon
