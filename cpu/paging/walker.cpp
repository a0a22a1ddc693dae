// The page walker: 32-bit, PAE, 4-level and 5-level paging by one template. [SDM3 4.3-4.5], [APM2 5]
//
// Accessed bits of the entries used, and the leaf's Dirty bit for a write, are set as the walk goes; the
// leaf's only if the access is allowed.
//
// Not modelled: shadow-stack pages, supervisor protection keys (PKS), nested paging (cpu/virt).
#include "cpu/vcpu.h"

namespace orrery::cpu {
namespace {

constexpr u64 kPresent = 1, kWrite = 2, kUser = 4, kAccessed = 1u << 5, kDirty = 1u << 6, kPageSize = 1u << 7,
              kGlobal = 1u << 8, kNoExecute = u64{1} << 63;

enum class PagingMode : u8 { kLegacy32, kPae, kLevel4, kLevel5 };

PagingMode paging_mode(const CpuState& s) {
  if ((s.cr4 & cr4::PAE) == 0) return PagingMode::kLegacy32;
  if ((s.efer & efer::LMA) == 0) return PagingMode::kPae;
  return (s.cr4 & cr4::LA57) != 0 ? PagingMode::kLevel5 : PagingMode::kLevel4;
}

enum class WalkResult : u8 { kOk, kNotPresent, kReserved, kDenied };

/// The walk itself. `Memory` reads and (for A and D bits) writes table entries; `allowed` judges the leaf.
template <class Memory, class Allowed>
WalkResult walk_tables(const CpuState& s, const CpuModel& model, u64 linear, bool write, Memory memory,
                       Allowed allowed, TlbEntry& out) {
  const u8 physical_bits = model.physical_address_bits;
  const PagingMode mode = paging_mode(s);
  const bool nxe = (s.efer & efer::NXE) != 0;
  out = TlbEntry{};
  out.user = true;
  out.writable = true;
  const bool legacy = mode == PagingMode::kLegacy32;
  const unsigned entry_bytes = legacy ? 4 : 8;
  const unsigned index_bits = legacy ? 10 : 9;
  const u64 address_bits = low_mask(physical_bits) & ~u64{0xfff};
  unsigned level = 0;  // 1 is the page table
  u64 table = 0;
  switch (mode) {
    case PagingMode::kLegacy32:
      level = 2;
      table = s.cr3 & 0xfffff000u;
      break;
    case PagingMode::kLevel4:
      level = 4;
      table = s.cr3 & address_bits;
      break;
    case PagingMode::kLevel5:
      level = 5;
      table = s.cr3 & address_bits;
      break;
    case PagingMode::kPae: {
      const u64 pdpte = s.pdpte[bits(linear, 31, 30)];
      if ((pdpte & kPresent) == 0) return WalkResult::kNotPresent;
      level = 2;
      table = pdpte & address_bits;
      break;
    }
  }
  for (;; --level) {
    const unsigned shift = 12 + index_bits * (level - 1);
    const u64 address = table + ((linear >> shift) & low_mask(index_bits)) * entry_bytes;
    const u64 entry = memory.read(address, entry_bytes);
    if ((entry & kPresent) == 0) return WalkResult::kNotPresent;
    const bool may_be_leaf = level == 1 || (level == 2 && (!legacy || (s.cr4 & cr4::PSE) != 0)) ||
                             (level == 3 && (mode == PagingMode::kLevel4 || mode == PagingMode::kLevel5));
    const bool leaf = level == 1 || ((entry & kPageSize) != 0 && may_be_leaf);
    u64 reserved = 0;
    if (!legacy) {
      reserved |= ~low_mask(physical_bits) & low_mask(mode == PagingMode::kPae ? 63 : 52);
      if (!nxe) reserved |= kNoExecute;
      if (level >= 4) reserved |= kPageSize;
      if (leaf && level > 1) reserved |= low_mask(shift) & ~u64{0x1fff};
      // AMD's processors reserve the Global bit of upper tables [APM2 figures 5-18, 5-20].
      if (model.amd && level >= 3 && !leaf) reserved |= kGlobal;
    } else if (leaf && level == 2) {
      reserved = physical_bits >= 40 ? (1u << 21)
                                     : (bits(~u64{0}, 20, 13) << 13) & ~(low_mask(physical_bits - 32u) << 13);
      reserved &= low_mask(22);
    }
    if ((entry & reserved) != 0) return WalkResult::kReserved;
    out.user = out.user && (entry & kUser) != 0;
    out.writable = out.writable && (entry & kWrite) != 0;
    if (!legacy) out.no_execute = out.no_execute || (nxe && (entry & kNoExecute) != 0);
    if (!leaf) {
      if ((entry & kAccessed) == 0) memory.write(address, entry | kAccessed, entry_bytes);
      table = entry & (legacy ? u64{0xfffff000u} : address_bits);
      continue;
    }
    out.global = (entry & kGlobal) != 0 && (s.cr4 & cr4::PGE) != 0;
    out.dirty = (entry & kDirty) != 0 || write;
    if (!legacy) out.key = static_cast<u8>(bits(entry, 62, 59));
    u64 base = entry & (legacy ? u64{0xfffff000u} : address_bits) & ~low_mask(shift);
    if (legacy && level == 2) base = (entry & 0xffc00000u) | (bits(entry, 20, 13) << 32);
    out.size_log2 = static_cast<u8>(shift == 22 ? 21 : shift);  // 4 MiB pages are kept as halves
    out.page = align_down(linear, u64{1} << out.size_log2);
    out.physical = base + (out.page & low_mask(shift));
    if (!allowed(out)) return WalkResult::kDenied;
    const u64 used = entry | kAccessed | (write ? kDirty : 0);
    if (used != entry) memory.write(address, used, entry_bytes);
    return WalkResult::kOk;
  }
}

}  // namespace

bool Vcpu::page_fault(u64 linear, Access access, Privilege privilege, u32 extra) {
  u32 error = extra;
  if (access == Access::kWrite) error |= pf::W;
  const bool user = privilege == Privilege::kUser || (privilege == Privilege::kCurrent && state.cpl == 3);
  if (user) error |= pf::U;
  const bool nx_known = (state.efer & efer::NXE) != 0 && (state.cr4 & cr4::PAE) != 0;
  if (access == Access::kExecute && (nx_known || (state.cr4 & cr4::SMEP) != 0)) error |= pf::I;
  fault_ = Fault{.vector = kPF, .has_error_code = true, .error_code = error, .address = linear};
  return false;
}

bool Vcpu::pkey_allowed(const TlbEntry& entry, Access access, Privilege privilege) const {
  if ((state.cr4 & cr4::PKE) == 0 || !long_mode() || !entry.user || access == Access::kExecute) return true;
  const u32 rights = (state.pkru >> (2 * entry.key)) & 3;
  if ((rights & 1) != 0) return false;
  const bool user = privilege == Privilege::kUser || (privilege == Privilege::kCurrent && state.cpl == 3);
  return !(access == Access::kWrite && (rights & 2) != 0 && (user || (state.cr0 & cr0::WP) != 0));
}

bool Vcpu::allowed(const TlbEntry& entry, Access access, Privilege privilege) const {
  const bool user = privilege == Privilege::kUser || (privilege == Privilege::kCurrent && state.cpl == 3);
  if (user) {
    if (!entry.user) return false;
    if (access == Access::kWrite && !entry.writable) return false;
    if (access == Access::kExecute && entry.no_execute) return false;
    return pkey_allowed(entry, access, privilege);
  }
  if (access == Access::kExecute) {
    if (entry.no_execute) return false;
    return !(entry.user && (state.cr4 & cr4::SMEP) != 0);
  }
  if (entry.user && (state.cr4 & cr4::SMAP) != 0) {
    if (privilege == Privilege::kImplicit || (state.rflags & rflags::AC) == 0) return false;
  }
  if (access == Access::kWrite && !entry.writable && (state.cr0 & cr0::WP) != 0) return false;
  return pkey_allowed(entry, access, privilege);
}

bool Vcpu::walk(u64 linear, Access access, Privilege privilege, TlbEntry& result) {
  struct TableMemory {
    memory::AddressSpace& space;
    u64 read(u64 address, unsigned size) { return space.read(address, size); }
    void write(u64 address, u64 value, unsigned size) { space.write(address, value, size); }
  };
  const WalkResult walked = walk_tables(
      state, model(), linear, access == Access::kWrite, TableMemory{services_.memory},
      [&](const TlbEntry& e) { return allowed(e, access, privilege); }, result);
  switch (walked) {
    case WalkResult::kOk:
      result.pcid = current_pcid();
      return true;
    case WalkResult::kNotPresent:
      return page_fault(linear, access, privilege, 0);
    case WalkResult::kReserved:
      return page_fault(linear, access, privilege, pf::P | pf::RSVD);
    case WalkResult::kDenied:
      break;
  }
  const bool by_key = !pkey_allowed(result, access, privilege);
  return page_fault(linear, access, privilege, pf::P | (by_key ? pf::PK : 0));
}

bool Vcpu::translate_quietly(u64 linear, u64& physical) const {
  if ((state.cr0 & cr0::PG) == 0) {
    physical = linear;
    return true;
  }
  if (long_mode() && !canonical(linear)) return false;
  struct QuietMemory {
    const memory::AddressSpace& space;
    // Tables outside RAM are not followed: reading device registers has effects.
    u64 read(u64 address, unsigned size) {
      return space.find(address).host != nullptr ? space.read(address, size) : 0;
    }
    void write(u64, u64, unsigned) {}
  };
  TlbEntry entry;
  if (walk_tables(
          state, model(), linear, false, QuietMemory{services_.memory}, [](const TlbEntry&) { return true; },
          entry) != WalkResult::kOk) {
    return false;
  }
  physical = entry.physical + (linear - entry.page);
  return true;
}

bool Vcpu::load_pdptes(u64 cr3) {
  u64 loaded[4];
  for (unsigned i = 0; i < 4; ++i) {
    loaded[i] = services_.memory.read((cr3 & 0xffffffe0u) + 8 * i, 8);
    const u64 reserved =
        bits(~u64{0}, 2, 1) << 1 | bits(~u64{0}, 8, 5) << 5 | ~low_mask(model().physical_address_bits);
    if ((loaded[i] & kPresent) != 0 && (loaded[i] & reserved) != 0) {
      raise(kGP, 0);
      return false;
    }
  }
  for (unsigned i = 0; i < 4; ++i) state.pdpte[i] = loaded[i];
  return true;
}

}  // namespace orrery::cpu
