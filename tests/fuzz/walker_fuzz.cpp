// needs: cpu/paging/walker.cpp cpu/apic/local_apic.cpp cpu/decode/decode_cache.cpp
// Fuzzes the page walker: the input builds page tables of any content and sets any paging mode, then translates. Nothing
// crashes; a walk changes nothing in memory but Accessed and Dirty bits; the debugger's quiet translation agrees with
// the architectural one and changes nothing at all.

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/bits.h"
#include "base/check.h"
#include "cpu/decode/decode_cache.h"
#include "cpu/vcpu.h"

namespace {

using namespace orrery;

constexpr u64 kRamBytes = 256 << 10;

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

/// Paging as the input wants it, within what MOV to CR would let through.
void set_mode(cpu::Vcpu& cpu, Input& in) {
  namespace cr0 = cpu::cr0;
  namespace cr4 = cpu::cr4;
  namespace efer = cpu::efer;
  cpu::CpuState& s = cpu.state;
  const u64 wish = in.take<u32>();
  s.cr0 = cr0::PE | cr0::PG | cr0::ET | (bit(wish, 0) ? cr0::WP : 0);
  s.cr4 = wish & (cr4::PSE | cr4::PAE | cr4::PGE | cr4::SMEP | cr4::SMAP);
  s.efer = bit(wish, 1) ? efer::NXE : 0;
  const bool long_mode = bit(wish, 2);
  if (long_mode) {
    s.cr4 |= cr4::PAE;
    if (bit(wish, 3)) s.cr4 |= cr4::PCIDE;
    s.efer |= efer::LME | efer::LMA;
  }
  s.cr3 = in.take<u64>() % kRamBytes & ~u64{0xfff};
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
    if (changed != 0 && (i % 4 != 0 || (changed & ~kAccessedDirty) != 0 || (before[i] & changed) != 0)) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  Input in(data, size);
  World world;
  u8* ram = world.ram->data();
  cpu::Vcpu& cpu = world.cpu;
  cpu.reset(false);
  set_mode(cpu, in);
  const unsigned entries = in.take<u8>();
  for (unsigned i = 0; i < entries; ++i) {
    const u64 slot = in.take<u16>() % (kRamBytes / 8);
    u64 entry = in.take<u64>();
    // Mostly point into RAM, so that walks get somewhere.
    if (!bit(entry, 9)) entry = (entry & 0x8000000000000fff) | (entry % kRamBytes & ~u64{0xfff});
    store_le(ram + 8 * slot, entry);
  }
  while (!in.empty()) {
    const u64 linear = in.take<u64>();
    const u8 how = in.take<u8>();
    const auto access = static_cast<cpu::Access>(how % 3);
    const auto privilege = static_cast<cpu::Privilege>(how / 4 % 3);
    const std::vector<u8> before(ram, ram + kRamBytes);
    u64 quiet = 0;
    const bool quietly = cpu.translate_quietly(linear, quiet);
    CHECK(std::memcmp(before.data(), ram, kRamBytes) == 0, "a quiet translation wrote");
    u64 physical = 0;
    const bool loudly = cpu.translate(linear, access, privilege, physical);
    CHECK(only_accessed_and_dirty(before, ram), "a walk changed more than A and D bits");
    // The TLB may hold what tables no longer say only after they were changed, which nothing does here.
    if (loudly) CHECK(quietly && quiet == physical, "the quiet translation disagrees");
    if (bit(how, 7)) cpu.flush_tlb_page(linear);
  }
  return 0;
}
