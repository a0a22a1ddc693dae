// Memory of the host's: which of it counts as populated, what is left after it was given back.
#include "base/host_memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/host_vector.h"

namespace orrery {
namespace {

constexpr u64 kHugePage = u64{2} << 20;

bool is_populated(const HostMemory& memory, u64 offset) {
  for (const auto& [start, size] : memory.populated_ranges()) {
    if (offset - start < size) return true;
  }
  return false;
}

TEST(HostMemory, IsZeroAndAlignedToHugePages) {
  auto memory = HostMemory::create("test", 3 * kHugePage + 4096);
  ASSERT_TRUE(memory.ok());
  EXPECT_EQ(reinterpret_cast<u64>(memory->data()) % kHugePage, 0u);
  EXPECT_EQ(memory->size_bytes(), 3 * kHugePage + 4096);
  for (u64 at = 0; at < memory->size_bytes(); at += 4096) ASSERT_EQ(memory->data()[at], 0u);
}

TEST(HostMemory, WhatWasWrittenIsPopulatedUntilItIsDiscarded) {
  if (access("/proc/self/pagemap", R_OK) != 0) GTEST_SKIP() << "without a page map all counts as populated";
  auto memory = HostMemory::create("test", 64 * kHugePage);
  ASSERT_TRUE(memory.ok());
  const u64 written = 40 * kHugePage + 5 * 4096, end = 64 * kHugePage - 1;
  memory->data()[written] = 1;
  memory->data()[end] = 2;
  EXPECT_TRUE(is_populated(*memory, written));
  EXPECT_TRUE(is_populated(*memory, end));
  EXPECT_FALSE(is_populated(*memory, 10 * kHugePage));
  u64 before = 0;
  for (const auto& [start, size] : memory->populated_ranges()) {
    EXPECT_GT(size, 0u);
    EXPECT_GE(start, before);
    before = start + size;
  }
  EXPECT_LE(before, memory->size_bytes());
  memory->discard(0, memory->size_bytes());
  EXPECT_EQ(memory->data()[written], 0u);
  EXPECT_EQ(memory->data()[end], 0u);
}

TEST(HostVector, GrowsAndCopies) {
  HostVector<u64> table;
  for (u64 i = 0; i < 100'000; ++i) table.push_back(i);
  const HostVector<u64> copy(table);
  table.assign(1000, 7);
  EXPECT_EQ(table.back(), 7u);
  EXPECT_EQ(copy[99'999], 99'999u);
}

}  // namespace
}  // namespace orrery
