// Listings for people: a translation with the guest's instructions above the host code made of them, and the
// map by which `perf` names translated code.
#pragma once

#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "jit/block_scan.h"

namespace orrery::jit {

/// Closes what fopen opened.
struct FileCloser {
  void operator()(std::FILE* f) const { std::fclose(f); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

/// Opens `path` for writing; an error names it.
Result<File> open_listing(const std::string& path);

/// `host_code` lies at `host_address` and starts with `insns[i]` at `starts[i]`; cold code follows.
std::string list_block(u64 rip, const u8* guest_bytes, std::span<const GuestInsn> insns,
                       std::span<const u8> host_code, u64 host_address, std::span<const u32> starts);

/// One line of /tmp/perf-<pid>.map.
std::string perf_map_line(u64 host_address, u32 bytes, u64 rip);

}  // namespace orrery::jit
