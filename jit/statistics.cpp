// The counters as text.
#include "jit/statistics.h"

#include <fmt/format.h>

namespace orrery::jit {

std::string Statistics::text() const {
  return fmt::format(
      "blocks translated      {}\n"
      "guest instructions     {} ({} bytes)\n"
      "host bytes             {} ({:.1f} per guest byte)\n"
      "translation            {} ms\n"
      "entries                {}\n"
      "exits: handler         {} (natively run instructions: {})\n"
      "exits: unlinked jump   {}\n"
      "exits: indirect        {}\n"
      "exits: budget          {}\n"
      "traces interpreted     {}\n",
      blocks_translated, guest_insns_translated, guest_bytes_translated, host_bytes_emitted,
      guest_bytes_translated == 0 ? 0.0
                                  : static_cast<double>(host_bytes_emitted) / static_cast<double>(guest_bytes_translated),
      translation_ns / 1'000'000, entries, exits[0], handlers_native, exits[1], exits[2], exits[3],
      traces_interpreted);
}

}  // namespace orrery::jit
