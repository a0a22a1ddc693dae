// [16550D]: interrupts in order, FIFO, timeout, loopback.
#include "devices/legacy/uart16550.h"

#include <gtest/gtest.h>

#include "tests/contract/bench.h"

namespace orrery::devices {
namespace {

struct Uart : testing::Test {
  tests::Bench bench;
  Uart16550 uart{{.name = "com1"}, bench.events, bench.line(4), bench.output};
  void write(u64 offset, u64 v) { uart.write(offset, v, 1); }
  u64 read(u64 offset) { return uart.read(offset, 1); }
  void receive(std::string_view text) {
    uart.receive({reinterpret_cast<const u8*>(text.data()), text.size()});
  }
  bool irq() const { return bench.sink.levels[4]; }
};

TEST_F(Uart, SendsAndIsAlwaysReady) {
  for (const char c : std::string("hello")) write(0, static_cast<u8>(c));
  EXPECT_EQ(bench.text, "hello");
  EXPECT_EQ(read(5) & 0x60, 0x60u);
}

TEST_F(Uart, TransmitterInterruptComesBackAfterEachByte) {
  write(4, 0x08);
  write(1, 0x02);
  EXPECT_TRUE(irq());
  EXPECT_EQ(read(2), 0x02u);
  EXPECT_FALSE(irq()) << "reading IIR takes it back";
  EXPECT_EQ(read(2), 0x01u);
  write(0, 'x');
  EXPECT_TRUE(irq());
  write(4, 0);
  EXPECT_FALSE(irq()) << "OUT2 gates the interrupt";
}

TEST_F(Uart, FifoTriggersAndTimesOut) {
  write(4, 0x08), write(2, 0xc1), write(1, 0x01);  // trigger at 14
  receive("abc");
  EXPECT_FALSE(irq());
  bench.advance(5'000'000);  // four characters at 9600 baud
  EXPECT_TRUE(irq());
  EXPECT_EQ(read(2), 0xccu);
  EXPECT_EQ(read(0), u64{'a'});
  EXPECT_FALSE(irq());
  receive("0123456789012345678901234567890123456789");
  EXPECT_EQ(read(2), 0xc4u);
  std::string text;
  while (read(5) & 1) text += static_cast<char>(read(0));
  EXPECT_EQ(text, "bc0123456789012345678901234567890123456789") << "the backlog loses nothing";
}

TEST_F(Uart, WithoutFifoEachByteIsAnEdge) {
  write(4, 0x08), write(1, 0x01);
  receive("abc");
  bench.advance(5'000'000);
  for (const char c : std::string("abc")) {
    EXPECT_TRUE(irq());
    EXPECT_EQ(read(0), static_cast<u64>(c));
    EXPECT_FALSE(irq()) << "an edge-triggered controller sees the next byte only if the line falls";
    bench.advance(2'000'000);  // a character at 9600 baud, and a little
  }
  EXPECT_FALSE(irq());
}

TEST_F(Uart, DivisorLatchScratchAndDetection) {
  write(3, 0x80), write(0, 0x34), write(1, 0x12);
  EXPECT_EQ(read(0), 0x34u);
  EXPECT_EQ(read(1), 0x12u);
  write(3, 0x03);
  EXPECT_EQ(read(1), 0u);
  write(7, 0x5a);
  EXPECT_EQ(read(7), 0x5au);
  write(2, 0x01);
  EXPECT_EQ(read(2) & 0xc0, 0xc0u) << "a working FIFO";
}

TEST_F(Uart, LoopbackReturnsBytesAndModemLines) {
  write(4, 0x1a);  // RTS, OUT2
  EXPECT_EQ(read(6) & 0xf0, 0x90u);
  EXPECT_EQ(read(6) & 0x0f, 0u) << "deltas are taken back by reading";
  write(0, 'q');
  EXPECT_EQ(read(0), u64{'q'});
  EXPECT_EQ(bench.text, "");
  write(0, 'r'), write(0, 's');
  EXPECT_EQ(read(5) & 0x03, 0x03u) << "overrun without FIFO";
  EXPECT_EQ(read(5) & 0x02, 0u);
}

}  // namespace
}  // namespace orrery::devices
