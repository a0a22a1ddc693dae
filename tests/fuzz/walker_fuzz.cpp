// needs: cpu/paging/walker.cpp cpu/apic/local_apic.cpp cpu/decode/decode_cache.cpp
// Fuzzes the page walker: the input builds page tables of any content and sets any paging mode, then
// translates. Nothing crashes; a walk changes nothing in memory but Accessed and Dirty bits; the debugger's
// quiet translation agrees with the architectural one and changes nothing at all.

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "cpu/decode/decode_cache.h"
#include "cpu/vcpu.h"

namespace {

using namespace orrery;

constexpr u64 kRamBytes = 64 << 10;

/// Takes numbers from the input; zeros at its end.
class Input {
 public:
  Input(const u8* data, size_t size) : data_(data), size_(size) {}
  template <class T>
  T take() {
    T value = 0;
    const size_t n = std::min(sizeof(T), size_);
    std::memcpy(&value, data_, n);
    data_ += n;
    size_ -= n;
    return value;
  }
  bool empty() const { return size_ == 0; }

 private:
  const u8* data_;
  size_t size_;
};

struct World {
  std::unique_ptr<memory::Ram> ram = memory::Ram::create("fuzz", kRamBytes).value();
  memory::AddressSpace memory{0};
  memory::AddressSpace ports{0x10000};
  Timeline timeline;
  Clock clock{timeline};
  EventQueue events{timeline, clock};
  Entropy entropy;
  cpu::CpuModel model = cpu::cpu_models().back();
  cpu::DecodeCache decode_cache{*ram, model};
  cpu::Vcpu cpu{0,
                {.ram = *ram,
                 .memory = memory,
                 .ports = ports,
                 .events = events,
                 .entropy = entropy,
                 .decode_cache = decode_cache,
                 .model = model,
                 .tsc_hz = 1'000'000'000}};
  World() { memory.add_ram("ram", 0, *ram, 0, kRamBytes); }
};

/// Paging as the input wants it, within what MOV to CR would let through. The tables are in memory already.
void set_mode(cpu::Vcpu& cpu, u32 wish, u64 cr3) {
  namespace cr0 = cpu::cr0;
  namespace cr4 = cpu::cr4;
  namespace efer = cpu::efer;
  cpu::CpuState& s = cpu.state;
  s.cr0 = cr0::PE | cr0::PG | cr0::ET | (bit(wish, 0) ? cr0::WP : 0);
  s.cr4 = wish & (cr4::PSE | cr4::PAE | cr4::PGE | cr4::SMEP | cr4::SMAP);
  s.efer = bit(wish, 1) ? efer::NXE : 0;
  const bool long_mode = bit(wish, 2);
  if (long_mode) {
    s.cr4 |= cr4::PAE;
    if (bit(wish, 3)) s.cr4 |= cr4::PCIDE;
    s.efer |= efer::LME | efer::LMA;
  }
  s.cr3 = cr3 % kRamBytes & ~u64{0xfff};
  if (!long_mode && !cpu.load_pdptes(s.cr3)) std::memset(s.pdpte, 0, sizeof s.pdpte);
  s.cpl = bit(wish, 8) ? 3 : 0;
  if (bit(wish, 9)) s.rflags |= cpu::rflags::AC;
  namespace attr = cpu::seg_attr;
  const u32 dpl = u32{s.cpl} << attr::kDplShift;
  s.seg[cpu::kCs] = {.base = 0,
                     .limit = ~u32{0},
                     .attributes = attr::kP | attr::kS | attr::kCode | attr::kReadable | attr::kG | dpl |
                                   (long_mode ? attr::kL : attr::kDb),
                     .selector = static_cast<u16>(8 | s.cpl)};
  s.seg[cpu::kSs] = {.base = 0,
                     .limit = ~u32{0},
                     .attributes = attr::kP | attr::kS | attr::kWritable | attr::kG | attr::kDb | dpl,
                     .selector = static_cast<u16>(16 | s.cpl)};
  cpu.mode_changed();
  cpu.flush_tlb_all();
}

/// Bits that differ between two images of memory, besides A and D of a 4- or 8-byte entry.
bool only_accessed_and_dirty(const std::vector<u8>& before, const u8* after) {
  constexpr u8 kAccessedDirty = 0x60;  // bits 5 and 6 of an entry's lowest byte
  for (size_t i = 0; i < before.size(); ++i) {
    const u8 changed = before[i] ^ after[i];
    if (changed != 0 && (i % 4 != 0 || (changed & ~kAccessedDirty) != 0 || (before[i] & changed) != 0))
      return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  Input in(data, size);
  // One for all inputs, for speed; every part that matters starts afresh.
  static World world;
  u8* ram = world.ram->data();
  std::memset(ram, 0, kRamBytes);
  cpu::Vcpu& cpu = world.cpu;
  cpu.reset(false);
  const u32 wish = in.take<u32>();
  const u64 cr3 = in.take<u64>();
  const unsigned entries = in.take<u8>();
  for (unsigned i = 0; i < entries; ++i) {
    const u64 slot = in.take<u16>() % (kRamBytes / 8);
    u64 entry = in.take<u64>();
    // Mostly point into RAM, so that walks get somewhere.
    if (!bit(entry, 9)) entry = (entry & 0x8000000000000fff) | (entry % kRamBytes & ~u64{0xfff});
    store_le(ram + 8 * slot, entry);
  }
  set_mode(cpu, wish, cr3);
  struct Translation {
    u64 linear;
    u8 how;
    bool quietly;
    u64 quiet;
  };
  std::vector<Translation> translations;
  const std::vector<u8> before(ram, ram + kRamBytes);
  while (!in.empty() && translations.size() < 64) {
    Translation t{.linear = in.take<u64>(), .how = in.take<u8>(), .quietly = false, .quiet = 0};
    if (!cpu.long_mode()) t.linear &= 0xffffffff;
    t.quietly = cpu.translate_quietly(t.linear, t.quiet);
    translations.push_back(t);
  }
  CHECK(std::memcmp(before.data(), ram, kRamBytes) == 0, "a quiet translation wrote");
  for (const Translation& t : translations) {
    u64 physical = 0;
    const auto access = static_cast<cpu::Access>(t.how % 3);
    const auto privilege = static_cast<cpu::Privilege>(t.how / 4 % 3);
    // Quietly, tables outside RAM are not followed. The TLB can't be stale: nothing else changes the tables.
    if (cpu.translate(t.linear, access, privilege, physical) && t.quietly) {
      CHECK(physical == t.quiet, "the quiet translation disagrees");
    }
    if (bit(t.how, 7)) cpu.flush_tlb_page(t.linear);
  }
  CHECK(only_accessed_and_dirty(before, ram), "a walk changed more than A and D bits");
  return 0;
}
