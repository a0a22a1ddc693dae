// The counters as text.
#include "jit/statistics.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "cpu/isa/table.h"

namespace orrery::jit {
namespace {

/// The rows with the highest counts: "MOV 1234, ADD 99".
std::string leaders(const std::vector<u64>& counts) {
  std::vector<size_t> rows(counts.size());
  std::iota(rows.begin(), rows.end(), size_t{0});
  std::stable_sort(rows.begin(), rows.end(), [&](size_t a, size_t b) { return counts[a] > counts[b]; });
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(rows.size(), 12) && counts[rows[i]] != 0; ++i)
    text += fmt::format("{}{} {}", i == 0 ? "" : ", ", cpu::isa::rows()[rows[i]].name, counts[rows[i]]);
  return text;
}

u64 sum(const std::vector<u64>& counts) { return std::accumulate(counts.begin(), counts.end(), u64{0}); }

}  // namespace

std::string Statistics::text() const {
  const double per_byte = guest_bytes_translated == 0 ? 0.0
                                                      : static_cast<double>(host_bytes_emitted) /
                                                            static_cast<double>(guest_bytes_translated);
  const auto count = [this](ExitKind kind) { return exits[static_cast<unsigned>(kind)]; };
  return fmt::format(
      "blocks translated      {}\n"
      "guest instructions     {} ({} bytes)\n"
      "host bytes             {} ({:.1f} per guest byte)\n"
      "translation            {} ms\n"
      "entries                {}\n"
      "exits: handler         {}: {}\n"
      "exits: miss            {}: {}\n"
      "exits: unlinked jump   {}, {} of them by a guard\n"
      "exits: indirect        {}\n"
      "exits: budget          {}\n"
      "exits: dropped block   {}\n"
      "traces interpreted     {}\n",
      blocks_translated, guest_insns_translated, guest_bytes_translated, host_bytes_emitted, per_byte,
      translation_ns / 1'000'000, entries, sum(handlers), leaders(handlers), sum(misses), leaders(misses),
      count(ExitKind::kLink), guards_failed, count(ExitKind::kIndirect), count(ExitKind::kBudget),
      count(ExitKind::kGone), traces_interpreted);
}

}  // namespace orrery::jit
