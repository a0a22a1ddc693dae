// Silicon: one generated instruction on the host CPU against the interpreter's handler, for every user-mode
// row and operand form of the table, in 64-bit mode and in 32-bit compatibility mode.
//
// ORRERY_SILICON_CASES: cases per form (default 12); ORRERY_SILICON_SEED; ORRERY_SILICON_ROW: only rows with
// this prefix; ORRERY_SILICON_LIST: print every form with its mismatches. Not modelled: see README.md for
// rows that cannot run here.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "cpu/isa/table.h"
#include "tests/silicon/cases.h"
#include "tests/silicon/compare.h"
#include "tests/silicon/emulated_cpu.h"
#include "tests/silicon/forms.h"
#include "tests/silicon/native_cpu.h"

namespace orrery::silicon {
namespace {

u64 setting(const char* name, u64 otherwise) {
  const char* v = std::getenv(name);
  return v == nullptr ? otherwise : std::strtoull(v, nullptr, 0);
}
std::string_view text_setting(const char* name) {
  const char* v = std::getenv(name);
  return v == nullptr ? std::string_view() : v;
}

void run_every_form(Mode mode) {
  const u64 cases = setting("ORRERY_SILICON_CASES", 12), seed = setting("ORRERY_SILICON_SEED", 1);
  const std::string_view only = text_setting("ORRERY_SILICON_ROW");
  const bool list = !text_setting("ORRERY_SILICON_LIST").empty();
  NativeCpu native;
  if (mode == Mode::k32 && !native.has_ldt()) GTEST_SKIP() << NativeCpu::kNoLdt;
  EmulatedCpu emulated;
  native.set_mode(mode);
  emulated.set_mode(mode);
  // Another vendor's faults come in another order.
  const bool same_profile = NativeCpu::is_zen();
  const bool undefined_too = same_profile || !text_setting("ORRERY_SILICON_UNDEFINED").empty();
  const std::vector<Form> forms = make_forms(mode);
  EXPECT_GT(forms.size(), 500u);
  u64 run = 0, bad_forms = 0, absent = 0;
  for (const Form& form : forms) {
    const cpu::isa::Row& row = cpu::isa::rows()[form.row];
    if (!only.empty() && !row.name.starts_with(only)) continue;
    if (!NativeCpu::has_vectors_of(row, form.text.find("ymm") != std::string::npos) ||
        (!same_profile && varies_by_vendor(form)) ||
        (NativeCpu::is_before_zen4() && varies_by_generation(form))) {
      ++absent;
      continue;
    }
    u64 form_seed = seed;
    for (const char ch : form.text) form_seed = form_seed * 131 + static_cast<u8>(ch);
    Random random(form_seed);
    fill_memory(random, native.memory());
    u64 bad = 0;
    std::string first;
    for (u64 i = 0; i < cases; ++i) {
      const Encoding code = make_code(random, form);
      const std::span<const u8> bytes(code.bytes, code.length);
      cpu::Insn insn;
      emulated.decoder().decode(bytes, emulated.decode_key(), insn);
      Context context;
      make_case(random, form, insn, context, native.memory());
      Memory before;
      std::memcpy(before.data(), native.memory(), kDataBytes);
      // A mismatch must show twice: a context switch in the middle of a case makes an AMD host forget FIP and
      // FDP.
      std::string difference;
      Result want;
      for (unsigned attempt = 0; attempt == 0 || (attempt == 1 && !difference.empty()); ++attempt) {
        std::memcpy(native.memory(), before.data(), kDataBytes);
        std::memcpy(emulated.memory(), before.data(), kDataBytes);
        want = native.run(bytes, context);
        const Result got = emulated.in_order_of(want, bytes, emulated.run(bytes, context));
        difference = compare(row, insn, context, want, got, native.memory(), emulated.memory(), before.data(),
                             undefined_too);
        if (!same_profile && (want.vector != kNoFault || got.vector != kNoFault)) difference.clear();
      }
      ++run;
      if (!difference.empty() && bad++ == 0)
        first = describe_case(form, bytes, i, seed, context, difference, want);
      std::memcpy(native.memory(), before.data(), kDataBytes);
    }
    if (bad != 0) {
      ++bad_forms;
      ADD_FAILURE() << bad << " of " << cases << " cases: " << first;
    } else if (list) {
      fmt::print("ok{} {} ({})\n", mode == Mode::k64 ? 64 : 32, form.text, cases);
    }
  }
  fmt::print("silicon, {} bits: {} forms, {} cases, {} forms with mismatches, {} that this host has not\n",
             mode == Mode::k64 ? 64 : 32, forms.size(), run, bad_forms, absent);
}

TEST(Silicon, EveryFormAgrees) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the tested instructions' signals and addresses belong to the sanitizer";
#endif
  run_every_form(Mode::k64);
}

TEST(Silicon, EveryFormAgreesIn32BitMode) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the tested instructions' signals and addresses belong to the sanitizer";
#endif
  run_every_form(Mode::k32);
}

}  // namespace
}  // namespace orrery::silicon
