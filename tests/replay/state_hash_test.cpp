// The state hash sees everything: each field of each part changed by itself, RAM, the disk's overlay.
//
// A field is changed in the bytes that StateWriter makes of one machine; a second, identical machine loads
// them. It must either refuse them or hash differently.
#include <gtest/gtest.h>

#include <fstream>

#include "cpu/vcpu.h"
#include "tests/contract/virtio_driver.h"
#include "tests/replay/machines.h"

namespace orrery::machine {
namespace {

using tests::Machine;

/// Writes like StateWriter and notes where each field lies.
class FieldIndex final : public StateVisitor {
 public:
  struct Field {
    std::string path;
    size_t offset;
    size_t size_bytes;
    bool is_count;
  };
  void begin(std::string_view name, u32 version) override {
    path_.emplace_back(name);
    writer_.begin(name, version);
  }
  void end() override {
    path_.pop_back();
    writer_.end();
  }
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override {
    writer_.raw(name, data, size_bytes, is_number);
    note(name, size_bytes, false);
  }
  void count(std::string_view name, u64& n, u64 limit) override {
    const size_t before = writer_.bytes().size();
    writer_.count(name, n, limit);
    note(name, writer_.bytes().size() - before, true);
  }
  void require(bool, std::string_view) override {}
  const std::vector<u8>& bytes() const { return writer_.bytes(); }
  const std::vector<Field>& fields() const { return fields_; }

 private:
  void note(std::string_view name, size_t size_bytes, bool is_count) {
    std::string path;
    for (const std::string& part : path_) path += part + ".";
    fields_.push_back({path + std::string(name), writer_.bytes().size() - size_bytes, size_bytes, is_count});
  }
  StateWriter writer_;
  std::vector<std::string> path_;
  std::vector<Field> fields_;
};

bool load(VirtualMachine& vm, std::span<const u8> bytes) {
  StateReader reader(bytes);
  vm.visit_state(reader);
  return static_cast<bool>(reader.finish());
}

struct StateHashTest : testing::Test {
  tests::TemporaryFile disk{1 << 20};
  Machine a{"busy"};
  Machine b{"busy"};
  FieldIndex index;

  void SetUp() override {
    for (Machine* machine : {&a, &b}) {
      machine->config.cpus = 2;
      machine->config.virtio_console = true;
      machine->config.disks = {{.file = disk.path(), .snapshot = true}};
      ASSERT_TRUE(machine->create()) << machine->error;
      ASSERT_EQ(machine->vm->run(50'000), StopReason::kMaxTicks);
    }
    ASSERT_EQ(a.vm->state_hash(), b.vm->state_hash());
    a.vm->visit_state(index);
  }
};

TEST_F(StateHashTest, EveryField) {
  const u64 hash = a.vm->state_hash();
  const std::vector<u8>& good = index.bytes();
  size_t tlb_fields = 0;
  size_t changed = 0;
  size_t refused = 0;
  for (const FieldIndex::Field& field : index.fields()) {
    // The TLBs have thousands of equal fields.
    if (field.path.find(".tlb.") != std::string::npos && ++tlb_fields % 97 != 0) continue;
    if (field.is_count) continue;
    std::vector<u8> bytes = good;
    bytes[field.offset + field.size_bytes / 2] ^= 1;
    if (load(*b.vm, bytes)) {
      ++changed;
      EXPECT_NE(b.vm->state_hash(), hash) << field.path;
    } else {
      ++refused;
    }
  }
  EXPECT_GT(changed, 500u);
  EXPECT_LT(refused, changed / 4);
  ASSERT_TRUE(load(*b.vm, good));
  EXPECT_EQ(b.vm->state_hash(), hash);
}

TEST_F(StateHashTest, TheNamedPartsExist) {
  for (const char* part :
       {"machine.tick", "machine.clock.rate", "machine.timers.lapic0.deadline", "machine.entropy.state",
        "machine.cpu0.state.rax", "machine.cpu1.state.cs.base", "machine.cpu0.state.ymm7",
        "machine.cpu0.lapic.irr", "machine.cpu0.tlb.page", "machine.board_minimal.com1.",
        "machine.board_minimal.pit.", "machine.board_minimal.disk0.overlay.blocks"}) {
    const bool found = std::any_of(index.fields().begin(), index.fields().end(),
                                   [part](const FieldIndex::Field& f) { return f.path.starts_with(part); });
    EXPECT_TRUE(found) << part;
  }
}

TEST_F(StateHashTest, Ram) {
  const u64 hash = a.vm->state_hash();
  for (const u64 address :
       {u64{0x100000}, u64{0x400123}, tests::kMemoryBytes - 1}) {  // code, data, never touched
    u8 byte = 0;
    ASSERT_TRUE(a.vm->read_physical(address, {&byte, 1}));
    const u8 other = byte ^ 0x80;
    ASSERT_TRUE(a.vm->write_physical(address, {&other, 1}));
    EXPECT_NE(a.vm->state_hash(), hash) << address;
    ASSERT_TRUE(a.vm->write_physical(address, {&byte, 1}));
    EXPECT_EQ(a.vm->state_hash(), hash) << address;  // a page of zeros is as one never touched
  }
}

TEST_F(StateHashTest, DiskOverlay) {
  const auto blocks = std::find_if(
      index.fields().begin(), index.fields().end(),
      [](const FieldIndex::Field& f) { return f.path == "machine.board_minimal.disk0.overlay.blocks"; });
  ASSERT_NE(blocks, index.fields().end());
  // One block more: its number, then its bytes.
  std::vector<u8> bytes = index.bytes();
  bytes[blocks->offset] = 1;
  std::vector<u8> block(8 + 4096, 0x5a);
  store_le<u64>(block.data(), 3);
  bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(blocks->offset + blocks->size_bytes),
               block.begin(), block.end());
  ASSERT_TRUE(load(*b.vm, bytes));
  const u64 with_block = b.vm->state_hash();
  EXPECT_NE(with_block, a.vm->state_hash());
  bytes[blocks->offset + blocks->size_bytes + 8 + 100] ^= 1;
  ASSERT_TRUE(load(*b.vm, bytes));
  EXPECT_NE(b.vm->state_hash(), with_block);
}

}  // namespace
}  // namespace orrery::machine
