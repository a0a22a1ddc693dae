// The function names of an ELF kernel, for reports. [ELF gABI 4.1]
//
// The file is untrusted; whatever does not fit leaves the table without it.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/types.h"

namespace orrery::machine {

class SymbolTable {
 public:
  /// Reads .symtab of either class; empty if `image` is no ELF file or has none.
  static SymbolTable from_elf(std::span<const u8> image);
  /// "name+0x12" for an address inside or up to 1 MiB behind a symbol; "" if there is none.
  std::string describe(u64 address) const;
  bool empty() const { return names_.empty(); }

 private:
  std::map<u64, std::string> names_;
};

}  // namespace orrery::machine
