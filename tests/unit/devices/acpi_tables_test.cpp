// ACPI tables: checksums, reachability from the RSDP, and iasl's opinion of each of them.
#include "machine/acpi/acpi_tables.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>

#include "base/bits.h"
#include "machine/address_map.h"

namespace orrery::machine {
namespace {

constexpr u64 kBase = address_map::kAcpiTablesStart;
constexpr AcpiPlatform kMinimal{.board = BoardKind::kMinimal,
                                .cpus = 3,
                                .ecam_start = address_map::kEcamStart,
                                .gpe0_bytes = 4,
                                .has_keyboard_controller = false,
                                .has_hpet = false};
constexpr AcpiPlatform kQ35{.board = BoardKind::kQ35,
                            .cpus = 8,
                            .ecam_start = address_map::kQ35EcamStart,
                            .gpe0_bytes = 16,
                            .has_keyboard_controller = true,
                            .has_hpet = true};

struct AcpiTables : testing::TestWithParam<const AcpiPlatform*> {};
INSTANTIATE_TEST_SUITE_P(Boards, AcpiTables, testing::Values(&kMinimal, &kQ35), [](const auto& tested) {
  return std::string(tested.param->board == BoardKind::kQ35 ? "q35" : "minimal");
});

u8 sum(std::span<const u8> bytes) { return static_cast<u8>(std::accumulate(bytes.begin(), bytes.end(), 0u)); }

std::span<const u8> table_at(const std::vector<u8>& image, u64 address) {
  const u64 offset = address - kBase;
  return std::span(image).subspan(offset, load_le<u32>(&image[offset + 4]));
}

TEST_P(AcpiTables, EveryTableIsReachableAndSumsToZero) {
  const auto image = build_acpi_tables(*GetParam(), kBase);
  ASSERT_EQ(std::string(image.begin(), image.begin() + 8), "RSD PTR ");
  EXPECT_EQ(sum(std::span(image).first(20)), 0);
  EXPECT_EQ(sum(std::span(image).first(36)), 0);
  const auto xsdt = table_at(image, load_le<u64>(&image[24]));
  EXPECT_EQ(sum(xsdt), 0);
  EXPECT_EQ(sum(table_at(image, load_le<u32>(&image[16]))), 0);
  std::string signatures;
  for (size_t at = 36; at < xsdt.size(); at += 8) {
    const auto table = table_at(image, load_le<u64>(&xsdt[at]));
    EXPECT_EQ(sum(table), 0);
    signatures.append(table.begin(), table.begin() + 4);
  }
  EXPECT_EQ(signatures, GetParam()->has_hpet ? "FACPAPICMCFGWAETHPET" : "FACPAPICMCFGWAET");
  const auto fadt = table_at(image, load_le<u64>(&xsdt[36]));
  EXPECT_EQ(fadt.size(), 276u);
  EXPECT_EQ(sum(table_at(image, load_le<u64>(&fadt[140]))), 0);
}

TEST_P(AcpiTables, DisassembleWithoutComplaint) {
  if (std::system("iasl -v > /dev/null 2>&1") != 0) GTEST_SKIP() << "iasl is not installed";
  const auto image = build_acpi_tables(*GetParam(), kBase);
  const auto xsdt = table_at(image, load_le<u64>(&image[24]));
  std::vector<std::span<const u8>> tables{xsdt};
  for (size_t at = 36; at < xsdt.size(); at += 8) tables.push_back(table_at(image, load_le<u64>(&xsdt[at])));
  tables.push_back(table_at(image, load_le<u64>(&tables[1][140])));
  char pattern[] = "/tmp/orrery_acpi_XXXXXX";
  ASSERT_NE(::mkdtemp(pattern), nullptr);
  const std::filesystem::path folder(pattern);
  for (const auto& table : tables) {
    const std::string signature(table.begin(), table.begin() + 4);
    const auto file = folder / (signature + ".aml");
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(table.data()), static_cast<std::streamsize>(table.size()));
    const std::string log = (folder / "log").string();
    EXPECT_EQ(std::system(fmt::format("iasl -d {} > {} 2>&1", file.string(), log).c_str()), 0) << signature;
    std::ifstream text(log);
    const std::string output((std::istreambuf_iterator<char>(text)), {});
    EXPECT_EQ(output.find("rror"), std::string::npos) << output;
    EXPECT_EQ(output.find("nvalid"), std::string::npos) << output;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace orrery::machine
