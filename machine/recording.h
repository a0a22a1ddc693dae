// What a recording says about its machine: the effective configuration and the identity of every file that it
// read.
#pragma once

#include <string>

#include "base/result.h"
#include "machine/config.h"

namespace orrery::machine {

/// The description that goes into the log's header: TOML, then one "# image" line per file.
Result<std::string> describe_machine(const Config& config);
/// The configuration out of a description; fails if a file it names differs from the recorded one.
Result<Config> restore_machine(const std::string& description);

}  // namespace orrery::machine
