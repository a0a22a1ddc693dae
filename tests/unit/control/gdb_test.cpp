// gdb's protocol: framing, and every packet of the stub against a target that only remembers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "control/gdb_packet.h"
#include "control/gdb_stub.h"
#include "control/gdb_target_xml.h"
#include "tests/support/fake_debug_target.h"

namespace orrery::control {
namespace {

using machine::StopReason;
using FakeTarget = FakeDebugTarget;

std::vector<GdbEvent> read_packets(std::string_view bytes) {
  GdbPacketReader reader;
  std::vector<GdbEvent> events;
  for (const char c : bytes) {
    const u8 byte = static_cast<u8>(c);
    reader.feed({&byte, 1}, events);
  }
  return events;
}

TEST(GdbPacket, FramesAndReadsBack) {
  EXPECT_EQ(frame_packet("OK"), "$OK#9a");
  EXPECT_EQ(frame_packet(""), "$#00");
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  const auto events = read_packets(frame_packet(all));
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].payload, all);
}

TEST(GdbPacket, NoiseInterruptsAndDamage) {
  const auto events = read_packets("+++x\x03-$g#66$g#67$g#zz");
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0].kind, GdbEvent::Kind::kInterrupt);
  EXPECT_EQ(events[1].kind, GdbEvent::Kind::kResend);
  EXPECT_EQ(events[2].kind, GdbEvent::Kind::kBadPacket);
  EXPECT_EQ(events[3].kind, GdbEvent::Kind::kPacket);
  EXPECT_EQ(events[4].kind, GdbEvent::Kind::kBadPacket);
}

TEST(GdbPacket, TooLongIsRefusedWithoutGrowing) {
  const auto events = read_packets("$" + std::string(kMaxPacketBytes + 1, 'a') + "#00$g#67");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, GdbEvent::Kind::kBadPacket);
  EXPECT_EQ(events[1].payload, "g");
}

TEST(GdbPacket, Numbers) {
  std::string_view text = "ffffffffffffffff,1";
  EXPECT_EQ(take_hex(text), ~u64{0});
  EXPECT_EQ(text, ",1");
  text = "10000000000000000";
  EXPECT_FALSE(take_hex(text));
  text = "";
  EXPECT_FALSE(take_hex(text));
  EXPECT_FALSE(from_hex("abc"));
  EXPECT_FALSE(from_hex("0g"));
}

class GdbStubTest : public testing::Test {
 protected:
  std::string ask(std::string_view packet) {
    const auto answer = stub.handle(packet);
    return answer.packets.size() == 1 ? answer.packets[0]
                                      : fmt::format("<{} packets>", answer.packets.size());
  }
  FakeTarget target;
  GdbStub stub{target};
};

TEST_F(GdbStubTest, RegistersOneByOneAndAll) {
  target.registers[0].gpr[0] = 0x1122334455667788;
  EXPECT_EQ(ask("p0"), "8877665544332211");
  EXPECT_EQ(ask("P10=0010000000000000"), "OK");
  EXPECT_EQ(target.registers[0].rip, 0x1000u);
  EXPECT_EQ(ask("p11"), "00000000");
  const std::string all = ask("g");
  size_t size = 0;
  for (const auto& reg : gdb_registers()) size += reg.size_bytes;
  EXPECT_EQ(all.size(), 2 * size);
  EXPECT_EQ(ask("G" + all), "OK");
  EXPECT_EQ(ask("G" + all.substr(2)), "E16");
  EXPECT_EQ(ask("G" + all + "00"), "E16");
  EXPECT_EQ(ask("p1000"), "E16");
  EXPECT_EQ(ask("P0=00"), "E16");
  EXPECT_EQ(ask("P12=00000000"), "E16") << "selectors are read-only";
}

TEST_F(GdbStubTest, TheDescriptionNumbersEveryRegister) {
  const std::string xml = gdb_target_xml();
  size_t count = 0;
  for (size_t at = 0; (at = xml.find("<reg ", at)) != std::string::npos; ++at) ++count;
  EXPECT_EQ(count, gdb_registers().size());
  std::string fetched;
  while (true) {
    const std::string piece = ask(fmt::format("qXfer:features:read:target.xml:{:x},123", fetched.size()));
    fetched += piece.substr(1);
    if (piece[0] == 'l') break;
    ASSERT_EQ(piece[0], 'm');
  }
  EXPECT_EQ(fetched, xml);
  EXPECT_EQ(ask("qXfer:features:read:target.xml:ffffffffffffffff,1"), "l");
}

TEST_F(GdbStubTest, MemoryLinearPhysicalAndEdges) {
  EXPECT_EQ(ask("M1000,3:010203"), "OK");
  EXPECT_EQ(ask("m1000,4"), "01020300");
  EXPECT_EQ(ask(std::string_view("X1004,2:\x7f\x00", 10)), "OK");
  EXPECT_EQ(target.memory[4], 0x7f);
  EXPECT_EQ(ask("m0,4"), "E0e");
  EXPECT_EQ(ask("m2ffe,8"), "0000") << "what is mapped is given";
  EXPECT_EQ(ask("M2ffe,4:00000000"), "E0e");
  EXPECT_EQ(ask("mffffffffffffffff,ffffffffffffffff"), "E0e");
  EXPECT_EQ(ask("Qqemu.PhyMemMode:1"), "OK");
  EXPECT_EQ(ask("qqemu.PhyMemMode"), "1");
  EXPECT_EQ(ask("m0,3"), "010203");
  EXPECT_EQ(ask("Qqemu.PhyMemMode:0"), "OK");
  for (const char* bad : {"m", "m,", "m0", "m0,", "m0,1x", "M0,1", "M1000,2:00", "M1000,1:0", "X1000,2:a"}) {
    EXPECT_EQ(ask(bad), "E16") << bad;
  }
}

TEST_F(GdbStubTest, PointsAreInsertedOnceAndClearedAtTheEnd) {
  EXPECT_EQ(ask("Z0,1000,1"), "OK");
  EXPECT_EQ(ask("Z0,1000,1"), "OK");
  EXPECT_EQ(ask("Z1,1000,1"), "OK");
  EXPECT_EQ(ask("z0,1000,1"), "OK");
  EXPECT_THAT(target.breakpoints, testing::ElementsAre(0x1000u));
  EXPECT_EQ(ask("z1,1000,1"), "OK");
  EXPECT_TRUE(target.breakpoints.empty());
  EXPECT_EQ(ask("Z2,1000,8"), "OK");
  EXPECT_EQ(ask("Z3,1000,8"), "OK");
  EXPECT_EQ(ask("Z4,2000,1"), "OK");
  EXPECT_EQ(target.watchpoints.size(), 3u);
  EXPECT_EQ(ask("Z2,1000,9"), "E16");
  EXPECT_EQ(ask("Z2,1000,0"), "E16");
  EXPECT_EQ(ask("Z5,1000,1"), "");
  EXPECT_EQ(ask("Z0,1000,1;X1,00"), "E16");
  EXPECT_EQ(ask("Z0,3000,1"), "OK");
  EXPECT_EQ(ask("Z1,3000,1"), "OK");
  stub.clear();
  EXPECT_TRUE(target.watchpoints.empty());
  EXPECT_TRUE(target.breakpoints.empty()) << "also one that has both kinds";
}

TEST_F(GdbStubTest, PointsAreBounded) {
  for (int i = 0; i < 1024; ++i) ASSERT_EQ(ask(fmt::format("Z0,{:x},1", i)), "OK");
  EXPECT_EQ(ask("Z0,ffff,1"), "E1c");
}

TEST_F(GdbStubTest, StopsNameThreadAndCause) {
  EXPECT_EQ(ask("?"), "T05thread:1;");
  EXPECT_EQ(stub.stopped(StopReason::kRequested, 1), "T02thread:2;");
  EXPECT_EQ(ask("qC"), "QC2");
  EXPECT_TRUE(ask("qSupported:swbreak+;hwbreak+").starts_with("PacketSize=4000;"));
  ask("Z0,2000,1");
  target.registers[0].rip = 0x2000;
  EXPECT_EQ(stub.stopped(StopReason::kBreakpoint, 0), "T05thread:1;swbreak:;");
  ask("Z4,1000,8");
  EXPECT_EQ(stub.stopped(StopReason::kWatchpoint, 0, 0x1004), "T05thread:1;awatch:1004;");
  EXPECT_EQ(ask("?"), "T05thread:1;awatch:1004;");
  EXPECT_EQ(GdbStub::exited(3), "W03");
}

TEST_F(GdbStubTest, ThreadsAndSelection) {
  EXPECT_EQ(ask("qfThreadInfo"), "m1,2");
  EXPECT_EQ(ask("qsThreadInfo"), "l");
  EXPECT_EQ(ask("T2"), "OK");
  EXPECT_EQ(ask("T3"), "E16");
  EXPECT_EQ(ask("Hg2"), "OK");
  target.registers[1].gpr[1] = 7;
  EXPECT_EQ(ask("p1"), "0700000000000000");
  EXPECT_EQ(ask("Hg9"), "E16");
  EXPECT_EQ(ask("Hc-1"), "OK");
  EXPECT_EQ(ask("H"), "E16");
  EXPECT_EQ(ask("qThreadExtraInfo,2"), text_to_hex("vCPU 1"));
}

TEST_F(GdbStubTest, GoingOn) {
  EXPECT_EQ(ask("vCont?"), "vCont;c;C;s;S");
  auto answer = stub.handle("vCont;s:2;c");
  EXPECT_EQ(answer.wish, GdbStub::Wish::kStep);
  EXPECT_EQ(answer.cpu, 1u);
  EXPECT_TRUE(answer.packets.empty());
  EXPECT_EQ(stub.handle("vCont;c").wish, GdbStub::Wish::kContinue);
  EXPECT_EQ(stub.handle("c").wish, GdbStub::Wish::kContinue);
  EXPECT_EQ(stub.handle("s2000").wish, GdbStub::Wish::kStep);
  EXPECT_EQ(target.registers[0].rip, 0x2000u);
  EXPECT_EQ(stub.handle("C05").wish, GdbStub::Wish::kContinue);
  EXPECT_EQ(stub.handle("k").wish, GdbStub::Wish::kKill);
  EXPECT_EQ(stub.handle("D").wish, GdbStub::Wish::kDetach);
  for (const char* bad : {"vCont", "vCont;", "vCont;r", "vCont;s:9", "vCont;c;x", "cxyz", "C"}) {
    EXPECT_EQ(ask(bad), "E16") << bad;
  }
}

TEST_F(GdbStubTest, MonitorAndTheRest) {
  auto answer = stub.handle("qRcmd," + text_to_hex("tick"));
  ASSERT_EQ(answer.packets.size(), 2u);
  EXPECT_EQ(answer.packets[0], "O" + text_to_hex("tick: 1234 time: 5678 ns\n"));
  EXPECT_EQ(answer.packets[1], "OK");
  target.memory[1] = 0xab;
  answer = stub.handle("qRcmd," + text_to_hex("phys 0x1 2"));
  EXPECT_EQ(answer.packets[0], "O" + text_to_hex("0000000000000001: ab 00\n"));
  answer = stub.handle("qRcmd," + text_to_hex("state"));
  EXPECT_GT(answer.packets.size(), 2u);
  for (const auto& packet : answer.packets) EXPECT_LT(packet.size(), kMaxPacketBytes);
  EXPECT_EQ(ask("qRcmd,0"), "E16");
  EXPECT_TRUE(stub.handle("QStartNoAckMode").start_no_ack);
  EXPECT_EQ(ask("vMustReplyEmpty"), "");
  EXPECT_EQ(ask("qUnknown"), "");
  EXPECT_EQ(ask(""), "");
  EXPECT_EQ(ask("qAttached"), "1");
}

}  // namespace
}  // namespace orrery::control
