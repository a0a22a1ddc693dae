// The TOML form of a machine description: `pc.toml` in, `orrery config` out.
//
// Keys are those of `config_keys()`; a table groups the dotted ones, and each `[[disk]]` adds a disk. A file
// is untrusted: anything unknown, of the wrong type or out of range is one line with file, line and column.
// Paths in a file are relative to the working directory, as they are on the command line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "machine/config.h"

namespace orrery::machine {

/// A larger machine file is a mistake.
inline constexpr size_t kMaxConfigFileBytes = 256u << 10;

/// Applies a file's settings to `config`; `name` stands in messages. On an error `config` may be half
/// changed.
Result<> apply_toml(Config& config, std::string_view text, std::string_view name);
/// The same from a file on the host.
Result<> apply_toml_file(Config& config, const std::string& path);
/// The whole description as a TOML file; applied to a default Config it gives `config` again, exactly.
std::string to_toml(const Config& config);

}  // namespace orrery::machine
