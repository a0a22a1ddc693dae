// Host files that a machine is made of: read whole, or hashed so that a replay can refuse another one.
#pragma once

#include <string>

#include "base/host_vector.h"
#include "base/result.h"
#include "base/types.h"

namespace orrery {

/// Reads all of a regular file of at most `limit_bytes`; `what` stands in messages ("kernel").
Result<HostVector<u8>> read_host_file(const std::string& path, u64 limit_bytes, std::string_view what);

/// Size and XXH3-64 of a file's content.
struct FileIdentity {
  u64 size_bytes = 0;
  u64 hash = 0;
  bool operator==(const FileIdentity&) const = default;
};
Result<FileIdentity> identify_host_file(const std::string& path);

}  // namespace orrery
