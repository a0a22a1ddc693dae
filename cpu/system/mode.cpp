#include "cpu/system/mode.h"

namespace orrery::cpu {
namespace {

bool refuse(Vcpu& cpu) {
  cpu.raise(kGP, 0);
  return false;
}
bool uses_pdptes(const CpuState& s) {
  return (s.cr0 & cr0::PG) != 0 && (s.cr4 & cr4::PAE) != 0 && (s.efer & efer::LMA) == 0;
}

}  // namespace

u64 valid_cr4(const CpuModel& model) {
  using namespace cr4;
  using isa::Feature;
  u64 valid = VME | PVI | TSD | DE | PSE | PAE | MCE | PGE | PCE | OSFXSR | OSXMMEXCPT;
  if (model.has(Feature::kUmip)) valid |= UMIP;
  if (model.has(Feature::kFsgsbase)) valid |= FSGSBASE;
  if (model.has(Feature::kInvpcid)) valid |= PCIDE;
  if (model.has(Feature::kXsave)) valid |= OSXSAVE;
  if (model.has(Feature::kSmap)) valid |= SMEP | SMAP;
  if (model.has(Feature::kPku)) valid |= PKE;
  if (model.linear_address_bits == 57) valid |= LA57;
  return valid;
}

u64 valid_efer(const CpuModel& model) {
  using namespace efer;
  u64 valid = SCE | LME | LMA | NXE;
  if (model.amd) valid |= FFXSR | TCE | AIBRSE;
  return valid;
}

bool write_cr0(Vcpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if ((value >> 32) != 0) return refuse(cpu);
  value = (value & cr0::kDefined) | cr0::ET;
  if ((value & cr0::PG) != 0 && (value & cr0::PE) == 0) return refuse(cpu);
  if ((value & cr0::NW) != 0 && (value & cr0::CD) == 0) return refuse(cpu);
  const bool paging_on = (value & cr0::PG) != 0 && (s.cr0 & cr0::PG) == 0;
  const bool paging_off = (value & cr0::PG) == 0 && (s.cr0 & cr0::PG) != 0;
  u64 new_efer = s.efer;
  if (paging_on && (s.efer & efer::LME) != 0) {
    if ((s.cr4 & cr4::PAE) == 0 || (s.seg[kCs].attributes & seg_attr::kL) != 0) return refuse(cpu);
    // Intel's processors want a 32-bit TSS [SDM2 MOV to CR0].
    if (!cpu.model().amd && (s.seg[kTr].type() & 8) == 0) return refuse(cpu);
    new_efer |= efer::LMA;
  }
  if (paging_off) {
    if (cpu.long64() || (s.cr4 & cr4::PCIDE) != 0) return refuse(cpu);
    new_efer &= ~efer::LMA;
  }
  const u64 old_cr0 = s.cr0;
  const u64 old_efer = s.efer;
  s.cr0 = value;
  s.efer = new_efer;
  constexpr u64 kPagingBits = cr0::PG | cr0::CD | cr0::NW;
  if (uses_pdptes(s) && ((value ^ old_cr0) & kPagingBits) != 0 && !cpu.load_pdptes(s.cr3)) {
    s.cr0 = old_cr0;
    s.efer = old_efer;
    return false;
  }
  if (((value ^ old_cr0) & (cr0::PG | cr0::PE)) != 0) cpu.flush_tlb_all();
  if (((value ^ old_cr0) & cr0::WP) != 0) cpu.flush_fast();
  if ((value & cr0::PE) == 0) s.cpl = 0;
  cpu.mode_changed();
  return true;
}

bool write_cr3(Vcpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  const bool pcide = (s.cr4 & cr4::PCIDE) != 0;
  const bool keep = pcide && (value & cr3::kNoFlush) != 0;
  if (pcide) value &= ~cr3::kNoFlush;
  if (cpu.long_mode() && (value & ~low_mask(cpu.model().physical_address_bits)) != 0) return refuse(cpu);
  if (uses_pdptes(s) && !cpu.load_pdptes(value)) return false;
  s.cr3 = value;
  if (!pcide) {
    cpu.flush_tlb_non_global();
  } else if (keep) {
    cpu.flush_fast_non_global();
  } else {
    cpu.flush_tlb_pcid(cpu.current_pcid());
  }
  return true;
}

bool write_cr4(Vcpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if ((value & ~valid_cr4(cpu.model())) != 0) return refuse(cpu);
  const u64 changed = value ^ s.cr4;
  if (cpu.long_mode() && ((value & cr4::PAE) == 0 || (changed & cr4::LA57) != 0)) return refuse(cpu);
  if ((changed & value & cr4::PCIDE) != 0 && (!cpu.long_mode() || (s.cr3 & cr3::kPcidMask) != 0))
    return refuse(cpu);
  const u64 old = s.cr4;
  s.cr4 = value;
  constexpr u64 kTranslation = cr4::PSE | cr4::PAE | cr4::PGE | cr4::PCIDE | cr4::LA57;
  if (uses_pdptes(s) && (changed & (cr4::PAE | cr4::PGE | cr4::PSE | cr4::SMEP)) != 0 &&
      !cpu.load_pdptes(s.cr3)) {
    s.cr4 = old;
    return false;
  }
  if ((changed & kTranslation) != 0) cpu.flush_tlb_all();
  if ((changed & (cr4::SMEP | cr4::SMAP | cr4::PKE)) != 0) cpu.flush_fast();
  cpu.mode_changed();
  return true;
}

bool write_efer(Vcpu& cpu, u64 value) {
  CpuState& s = cpu.state;
  if ((value & ~valid_efer(cpu.model())) != 0) return refuse(cpu);
  if ((s.cr0 & cr0::PG) != 0 && ((value ^ s.efer) & efer::LME) != 0) return refuse(cpu);
  if (cpu.model().amd && ((value ^ s.efer) & efer::LMA) != 0) return refuse(cpu);  // [APM2 3.1.7]
  const u64 changed = value ^ s.efer;
  s.efer = (value & ~efer::LMA) | (s.efer & efer::LMA);
  if ((changed & efer::NXE) != 0) cpu.flush_tlb_all();
  cpu.mode_changed();
  return true;
}

}  // namespace orrery::cpu
