// 16550A UART.
//
// Modelled: all registers, FIFOs with trigger levels, line status, modem status with deltas, received-data,
// timeout, transmitter-empty and modem interrupts in priority order, loopback, divisor latch, scratch. A sent
// byte leaves at once, so the transmitter is always empty; received bytes wait in a backlog and move up as
// the FIFO drains, so nothing overruns except in loopback. Documents: [16550D]. Not modelled: line errors and
// break detection, DMA pins, transmission time. OUT2 gates the interrupt as on a PC.
#pragma once

#include <vector>

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "devices/backend/character.h"
#include "devices/device.h"
#include "memory/address_space.h"

namespace orrery::devices {

class Uart16550 final : public Device, public memory::IoHandler {
 public:
  struct Config {
    std::string name = "com1";
  };
  /// `output` may not be null; it outlives the UART.
  Uart16550(Config config, EventQueue& events, IrqLine irq, CharacterBackend& output);

  std::string_view name() const override { return config_.name; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// Eight byte-wide ports.
  u64 read(u64 offset, unsigned size) override;
  void write(u64 offset, u64 value, unsigned size) override;

  /// Bytes arrive on the line: what the InputPort channel's receiver calls. What exceeds the backlog is
  /// dropped.
  void receive(std::span<const u8> bytes);

 private:
  static constexpr unsigned kFifoBytes = 16;
  static constexpr u64 kMaxBacklogBytes = 256 << 10;
  struct State {
    u8 ier = 0;
    u8 fcr = 0;
    u8 lcr = 0;
    u8 mcr = 0;
    u8 lsr_errors = 0;  // OE only
    u8 msr_deltas = 0;
    u8 scratch = 0;
    u16 divisor = 12;
    bool transmitter_empty_pending = false;
    bool timed_out = false;
    bool receiving = false;  // the other end sends
    u8 fifo[kFifoBytes] = {};
    u8 fifo_count = 0;
    std::vector<u8> backlog;
    u64 backlog_start = 0;  // bytes of `backlog` that have moved up
  };

  bool fifo_enabled() const;
  unsigned fifo_capacity() const { return fifo_enabled() ? kFifoBytes : 1; }
  unsigned trigger_level() const;
  u8 modem_lines() const;
  u8 pending_interrupt() const;
  u8 read_receiver();
  void write_transmitter(u8 byte);
  void write_fifo_control(u8 value);
  void push_fifo(u8 byte);
  void refill();
  void flow_changed();
  u64 character_ns() const;
  void restart_timeout();

  void update();

  Config config_;
  EventQueue& events_;
  IrqLine irq_;
  CharacterBackend& output_;
  Timer timeout_;
  Timer sender_;  // the other end starts to send
  State state_;
};

}  // namespace orrery::devices
