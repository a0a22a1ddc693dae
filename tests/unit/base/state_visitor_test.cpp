// The five state visitors over one object that has a field of every kind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/bits.h"
#include "base/entropy.h"
#include "base/state_visitor.h"

namespace orrery {
namespace {

enum class Mode : u8 { kOne, kTwo, kThree };

struct Part {
  u32 number = 7;
  bool flag = true;
  Mode mode = Mode::kTwo;
  u16 table[3] = {1, 2, 3};
  std::vector<u8> bytes = {9, 8};
  std::string name = "part";
  VirtualTime time{55};
  u32 version = 1;

  void visit_state(StateVisitor& v) {
    v.begin("part", version);
    v.field("number", number);
    v.field("flag", flag);
    v.enumeration("mode", mode, Mode::kThree);
    v.array("table", table);
    v.vector("bytes", bytes, 16);
    v.string("name", name, 16);
    v.field("time", time);
    v.require(number < 1000, "number is small");
    v.end();
  }
};

std::vector<u8> save(Part& part) {
  StateWriter writer;
  part.visit_state(writer);
  return writer.bytes();
}

u64 hash(Part& part) {
  StateHasher hasher;
  part.visit_state(hasher);
  return hasher.digest();
}

Result<> load(Part& part, std::span<const u8> bytes) {
  StateReader reader(bytes);
  part.visit_state(reader);
  return reader.finish();
}

TEST(StateVisitorTest, SaveLoadSaveIsIdentical) {
  Part original;
  original.number = 99;
  original.mode = Mode::kThree;
  original.bytes = {1, 2, 3, 4};
  original.name = "another";
  const std::vector<u8> saved = save(original);
  Part other;
  const auto loaded = load(other, saved);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(save(other), saved);
  EXPECT_EQ(hash(other), hash(original));
  EXPECT_EQ(other.name, "another");
}

TEST(StateVisitorTest, EveryFieldReachesTheHash) {
  Part reference;
  const u64 expected = hash(reference);
  const std::vector<std::function<void(Part&)>> changes = {
      [](Part& p) { p.number ^= 1; },       [](Part& p) { p.flag = false; },
      [](Part& p) { p.mode = Mode::kOne; }, [](Part& p) { p.table[2] ^= 0x80; },
      [](Part& p) { p.bytes[1] ^= 1; },     [](Part& p) { p.bytes.push_back(0); },
      [](Part& p) { p.name = "parT"; },     [](Part& p) { p.time.ns ^= 1; }};
  for (const auto& change : changes) {
    Part part;
    change(part);
    EXPECT_NE(hash(part), expected);
  }
  Part same;
  EXPECT_EQ(hash(same), expected);
}

TEST(StateVisitorTest, DamagedBytesAreRefusedOrHarmless) {
  Part original;
  const std::vector<u8> saved = save(original);
  for (size_t length = 0; length < saved.size(); ++length) {
    Part part;
    EXPECT_FALSE(load(part, std::span(saved).first(length)).ok()) << length;
  }
  std::vector<u8> longer = saved;
  longer.push_back(0);
  Part part;
  EXPECT_FALSE(load(part, longer).ok());
  for (size_t bit_number = 0; bit_number < saved.size() * 8; ++bit_number) {
    std::vector<u8> damaged = saved;
    damaged[bit_number / 8] = static_cast<u8>(damaged[bit_number / 8] ^ (1u << (bit_number % 8)));
    Part victim;
    if (load(victim, damaged).ok()) {
      EXPECT_LT(victim.number, 1000u);
      EXPECT_LE(victim.mode, Mode::kThree);
      EXPECT_LE(victim.bytes.size(), 16u);
    }
  }
}

TEST(StateVisitorTest, AnotherVersionIsRefused) {
  Part original;
  const std::vector<u8> saved = save(original);
  Part newer;
  newer.version = 2;
  EXPECT_FALSE(load(newer, saved).ok());
}

TEST(StateVisitorTest, TheDumpNamesFields) {
  Part part;
  StateDumper dumper;
  part.visit_state(dumper);
  EXPECT_THAT(dumper.text(), testing::HasSubstr("part.number: "));
  EXPECT_THAT(dumper.text(), testing::HasSubstr("part.flag: "));
}

TEST(StateVisitorTest, TheDifferNamesTheFirstDifference) {
  Part here, there;
  const std::vector<u8> same = save(there);
  StateDiffer equal(same);
  here.visit_state(equal);
  EXPECT_FALSE(equal.difference().has_value());
  there.table[1] = 77;
  there.time = {1};
  const std::vector<u8> other = save(there);
  StateDiffer differ(other);
  here.visit_state(differ);
  ASSERT_TRUE(differ.difference().has_value());
  EXPECT_THAT(*differ.difference(), testing::StartsWith("part.table"));
}

TEST(EntropyTest, TheSeedIsTheStream) {
  Entropy a, b, c;
  a.seed(5);
  b.seed(5);
  c.seed(6);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const u64 value = a.next();
    EXPECT_EQ(value, b.next());
    differs |= value != c.next();
  }
  EXPECT_TRUE(differs);
}

TEST(BitsTest, EdgesOfTheLittleFunctions) {
  EXPECT_EQ(bits(~u64{0}, 63, 0), ~u64{0});
  EXPECT_EQ(bits(0xf0, 7, 4), 0xfu);
  EXPECT_EQ(low_mask(64), ~u64{0});
  EXPECT_EQ(low_mask(0), 0u);
  EXPECT_EQ(sign_extend(0x80, 8), -128);
  EXPECT_EQ(sign_extend(~u64{0}, 64), -1);
  EXPECT_EQ(align_up(4097, 4096), 8192u);
}

}  // namespace
}  // namespace orrery
