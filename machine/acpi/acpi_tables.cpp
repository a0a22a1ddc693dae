#include "machine/acpi/acpi_tables.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>

#include "base/bits.h"
#include "base/check.h"
#include "devices/timer/acpi_pm.h"
#include "devices/timer/hpet.h"
#include "machine/address_map.h"

namespace orrery::machine {
namespace {

#include "dsdt_minimal.hex"
#include "dsdt_q35.hex"

using devices::AcpiPm;
namespace map = address_map;

constexpr u64 kAlignment = 64;
constexpr size_t kChecksumOffset = 9;

/// Bytes that grow field by field, little-endian.
class Table {
 public:
  /// The common header [ACPI 5.2.6]; length and checksum come with `finish`.
  Table(std::string_view signature, u8 revision) {
    text(signature).u32_(0).u8_(revision).u8_(0).text("ORRERY").text("ORRERYPC").u32_(1).text("ORRY").u32_(1);
  }
  Table& u8_(u64 v) { return number(v, 1); }
  Table& u16_(u64 v) { return number(v, 2); }
  Table& u32_(u64 v) { return number(v, 4); }
  Table& u64_(u64 v) { return number(v, 8); }
  Table& text(std::string_view v) {
    bytes_.insert(bytes_.end(), v.begin(), v.end());
    return *this;
  }
  /// Generic Address Structure of an I/O port [ACPI 5.2.3.2].
  Table& port(u64 address, unsigned width_bytes) {
    const u8 access = width_bytes == 2 ? 2 : width_bytes == 4 ? 3 : 1;
    return u8_(1).u8_(8 * width_bytes).u8_(0).u8_(address == 0 ? 0 : access).u64_(address);
  }
  Table& no_address() { return u32_(0).u64_(0); }
  size_t size() const { return bytes_.size(); }
  std::vector<u8> finish();

 private:
  Table& number(u64 v, unsigned n) {
    bytes_.resize(bytes_.size() + n);
    store_le_n(&bytes_[bytes_.size() - n], v, n);
    return *this;
  }
  std::vector<u8> bytes_;
};

void set_checksum(std::span<u8> bytes, size_t at) {
  bytes[at] = 0;
  const unsigned sum = std::accumulate(bytes.begin(), bytes.end(), 0u);
  bytes[at] = static_cast<u8>(0u - sum);
}

std::vector<u8> Table::finish() {
  store_le(&bytes_[4], static_cast<u32>(bytes_.size()));
  set_checksum(bytes_, kChecksumOffset);
  return std::move(bytes_);
}

std::vector<u8> dsdt(const AcpiPlatform& platform) {
  std::vector<u8> bytes(std::begin(dsdt_minimal_aml_code), std::end(dsdt_minimal_aml_code));
  if (platform.board == BoardKind::kQ35)
    bytes.assign(std::begin(dsdt_q35_aml_code), std::end(dsdt_q35_aml_code));
  // Name (NCPU, 0x7F): NameOp, "NCPU", BytePrefix, value.
  static constexpr u8 kPattern[] = {0x08, 'N', 'C', 'P', 'U', 0x0a, 0x7f};
  const auto at = std::search(bytes.begin(), bytes.end(), std::begin(kPattern), std::end(kPattern));
  CHECK(at != bytes.end());
  at[std::size(kPattern) - 1] = static_cast<u8>(platform.cpus);
  set_checksum(bytes, kChecksumOffset);
  return bytes;
}

std::vector<u8> facs() {
  std::vector<u8> bytes(64, 0);  // has no header of the common kind [ACPI 5.2.10]
  std::copy_n("FACS", 4, bytes.begin());
  store_le<u32>(&bytes[4], 64);
  bytes[32] = 2;
  return bytes;
}

std::vector<u8> fadt(const AcpiPlatform& platform, u64 facs_address, u64 dsdt_address) {
  constexpr u16 kBootLegacyDevices = 1 << 0, kBoot8042 = 1 << 1, kBootNoVga = 1 << 2;
  constexpr u32 kWbinvd = 1 << 0, kProcC1 = 1 << 2, kNoFixedSleepButton = 1 << 5, kNoFixedRtc = 1 << 6,
                kResetRegister = 1 << 10;
  constexpr u8 kFullReset = 0x06;
  const u64 event = map::kAcpiPmPort + AcpiPm::kEventOffset;
  const u64 control = map::kAcpiPmPort + AcpiPm::kControlOffset;
  const u64 timer = map::kAcpiPmPort + AcpiPm::kTimerOffset;
  const u64 gpe0 = map::kAcpiPmPort + AcpiPm::kGpe0Offset;
  Table t("FACP", 6);
  t.u32_(facs_address).u32_(dsdt_address).u8_(0).u8_(1).u16_(map::kSciIrq).u32_(map::kSmiCommandPort);
  t.u8_(AcpiPm::kAcpiEnable).u8_(AcpiPm::kAcpiDisable).u8_(0).u8_(0);
  t.u32_(event).u32_(0).u32_(control).u32_(0).u32_(0).u32_(timer).u32_(gpe0).u32_(0);
  t.u8_(4).u8_(2).u8_(0).u8_(4).u8_(platform.gpe0_bytes).u8_(0).u8_(0).u8_(0);  // block lengths, GPE1 base,
                                                                                // CST_CNT
  t.u16_(101).u16_(1001);                                                       // no C2, no C3
  t.u16_(0).u16_(0).u8_(0).u8_(0).u8_(0).u8_(0).u8_(0x32);  // flush, duty, alarms, century
  t.u16_(kBootLegacyDevices | kBootNoVga | (platform.has_keyboard_controller ? kBoot8042 : 0)).u8_(0);
  t.u32_(kWbinvd | kProcC1 | kNoFixedSleepButton | kNoFixedRtc | kResetRegister);
  t.port(map::kResetControlPort, 1).u8_(kFullReset).u16_(0).u8_(4);
  t.u64_(0).u64_(dsdt_address);  // the 32-bit FACS field is in use, so the wide one is zero [ACPI 5.2.9]
  t.port(event, 4)
      .no_address()
      .port(control, 2)
      .no_address()
      .no_address()
      .port(timer, 4)
      .port(gpe0, platform.gpe0_bytes)
      .no_address();
  t.no_address().no_address().u64_(0);  // sleep registers, hypervisor vendor
  return t.finish();
}

std::vector<u8> madt(u32 cpus) {
  constexpr u16 kActiveHighLevel = 0x000d;
  Table t("APIC", 5);
  t.u32_(map::kLocalApicStart).u32_(1);  // PCAT_COMPAT: there is an 8259 pair
  for (u32 cpu = 0; cpu < cpus; ++cpu) t.u8_(0).u8_(8).u8_(cpu).u8_(cpu).u32_(1);
  t.u8_(1).u8_(12).u8_(map::kIoApicId).u8_(0).u32_(map::kIoApicStart).u32_(0);
  t.u8_(2).u8_(10).u8_(0).u8_(map::kPitIrq).u32_(map::kPitIoApicPin).u16_(0);
  t.u8_(2).u8_(10).u8_(0).u8_(map::kSciIrq).u32_(map::kSciIrq).u16_(kActiveHighLevel);
  t.u8_(4).u8_(6).u8_(0xff).u16_(0).u8_(1);  // NMI at LINT1 of every CPU
  return t.finish();
}

std::vector<u8> mcfg(u64 ecam_start) {
  Table t("MCFG", 1);
  t.u64_(0).u64_(ecam_start).u16_(0).u8_(0).u8_(0xff).u32_(0);
  return t.finish();
}

std::vector<u8> hpet() {
  constexpr u8 kMemory = 0;
  Table t("HPET", 1);
  t.u32_(devices::Hpet::kIdentity).u8_(kMemory).u8_(64).u8_(0).u8_(0).u64_(map::kHpetStart);
  t.u8_(0)
      .u16_(devices::Hpet::kMinimumTick)
      .u8_(0);  // number, minimum period in periodic mode, no page protection
  return t.finish();
}

std::vector<u8> waet() {
  constexpr u32 kPmTimerGood = 1 << 1;  // one read of the PM timer is enough
  Table t("WAET", 1);
  t.u32_(kPmTimerGood);
  return t.finish();
}

}  // namespace

std::vector<u8> build_acpi_tables(const AcpiPlatform& platform, u64 base) {
  const u32 cpus = platform.cpus;
  CHECK(cpus >= 1 && cpus <= kMaxAcpiCpus && base % kAlignment == 0);
  constexpr size_t kRsdpBytes = 36;
  std::vector<u8> image(kRsdpBytes, 0);
  const auto place = [&image, base](const std::vector<u8>& table) {
    image.resize(align_up(image.size(), kAlignment));
    const u64 address = base + image.size();
    image.insert(image.end(), table.begin(), table.end());
    return address;
  };
  const u64 facs_address = place(facs());
  const u64 dsdt_address = place(dsdt(platform));
  std::vector<u64> tables{place(fadt(platform, facs_address, dsdt_address)), place(madt(cpus)),
                          place(mcfg(platform.ecam_start)), place(waet())};
  if (platform.has_hpet) tables.push_back(place(hpet()));
  Table rsdt_table("RSDT", 1);
  Table xsdt_table("XSDT", 1);
  for (const u64 address : tables) {
    rsdt_table.u32_(address);
    xsdt_table.u64_(address);
  }
  const u64 rsdt_address = place(rsdt_table.finish());
  const u64 xsdt_address = place(xsdt_table.finish());
  // RSDP [ACPI 5.2.5.3]: the first checksum covers 20 bytes, the second all.
  std::copy_n("RSD PTR ", 8, image.begin());
  std::copy_n("ORRERY", 6, image.begin() + 9);
  image[15] = 2;
  store_le(&image[16], static_cast<u32>(rsdt_address));
  store_le<u32>(&image[20], kRsdpBytes);
  store_le(&image[24], xsdt_address);
  set_checksum(std::span(image).first(20), 8);
  set_checksum(std::span(image).first(kRsdpBytes), 32);
  return image;
}

PhysAddr write_acpi_tables(memory::AddressSpace& memory, const AcpiPlatform& platform) {
  const auto tables = build_acpi_tables(platform, map::kAcpiTablesStart);
  CHECK(tables.size() <= map::kAcpiTablesEnd - map::kAcpiTablesStart);
  memory.write_bytes(map::kAcpiTablesStart, tables);
  return PhysAddr(map::kAcpiTablesStart);
}

}  // namespace orrery::machine
