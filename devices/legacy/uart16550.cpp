#include "devices/legacy/uart16550.h"

#include "base/bits.h"
#include "devices/timer/cycles.h"

namespace orrery::devices {
namespace {

namespace ier {
constexpr u8 ERBFI = 0x01, ETBEI = 0x02, ELSI = 0x04, EDSSI = 0x08;
}
namespace iir {
constexpr u8 NONE = 0x01, MODEM = 0x00, THRE = 0x02, DATA = 0x04, LINE = 0x06, TIMEOUT = 0x0c, FIFOS = 0xc0;
}
namespace fcr {
constexpr u8 ENABLE = 0x01, CLEAR_RECEIVER = 0x02, CLEAR_TRANSMITTER = 0x04, KEPT = 0xc9;
}
namespace lcr {
constexpr u8 DLAB = 0x80;
}
namespace mcr {
constexpr u8 DTR = 0x01, RTS = 0x02, OUT1 = 0x04, OUT2 = 0x08, LOOP = 0x10, WRITABLE = 0x1f;
}
namespace lsr {
constexpr u8 DR = 0x01, OE = 0x02, THRE = 0x20, TEMT = 0x40;
}
namespace msr {
constexpr u8 DELTAS = 0x0f, CTS = 0x10, DSR = 0x20, RI = 0x40, DCD = 0x80;
}
constexpr u64 kBaudBase = 115'200;  // 1.8432 MHz / 16
constexpr u64 kTimeoutCharacters = 4;
constexpr u64 kSenderDelayNs = 200'000;

}  // namespace

Uart16550::Uart16550(Config config, EventQueue& events, IrqLine irq, CharacterBackend& output)
    : config_(std::move(config)),
      events_(events),
      irq_(irq),
      output_(output),
      timeout_(events, config_.name + ".timeout",
               [this] {
                 state_.timed_out = state_.fifo_count != 0;
                 update();
               }),
      sender_(events, config_.name + ".sender", [this] {
        state_.receiving = true;
        refill();
        restart_timeout();
        update();
      }) {}

void Uart16550::reset() {
  state_ = State{};
  timeout_.cancel();
  sender_.cancel();
  update();
}

bool Uart16550::fifo_enabled() const { return state_.fcr & fcr::ENABLE; }

unsigned Uart16550::trigger_level() const {
  static constexpr u8 kLevels[4] = {1, 4, 8, 14};
  return fifo_enabled() ? kLevels[state_.fcr >> 6] : 1;
}

/// MSR's upper half: the other end is always there; in loopback the outputs come back [16550D 8.6.7].
u8 Uart16550::modem_lines() const {
  if (!(state_.mcr & mcr::LOOP)) return msr::CTS | msr::DSR | msr::DCD;
  u8 lines = 0;
  if (state_.mcr & mcr::RTS) lines |= msr::CTS;
  if (state_.mcr & mcr::DTR) lines |= msr::DSR;
  if (state_.mcr & mcr::OUT1) lines |= msr::RI;
  if (state_.mcr & mcr::OUT2) lines |= msr::DCD;
  return lines;
}

/// IIR's lower four bits, highest priority first [16550D table 5].
u8 Uart16550::pending_interrupt() const {
  if ((state_.ier & ier::ELSI) && state_.lsr_errors != 0) return iir::LINE;
  if (state_.ier & ier::ERBFI) {
    if (state_.fifo_count >= trigger_level()) return iir::DATA;
    if (state_.timed_out && state_.fifo_count != 0) return iir::TIMEOUT;
  }
  if ((state_.ier & ier::ETBEI) && state_.transmitter_empty_pending) return iir::THRE;
  if ((state_.ier & ier::EDSSI) && state_.msr_deltas != 0) return iir::MODEM;
  return iir::NONE;
}

void Uart16550::update() {
  const bool gate = (state_.mcr & mcr::OUT2) && !(state_.mcr & mcr::LOOP);
  irq_.set(gate && pending_interrupt() != iir::NONE);
}

/// One character on the line. Ten bits; the exact frame length is not worth a table.
u64 Uart16550::character_ns() const {
  return 10 * kNanosecondsPerSecond * std::max<u64>(state_.divisor, 1) / kBaudBase;
}

void Uart16550::restart_timeout() {
  state_.timed_out = false;
  timeout_.cancel();
  if (!fifo_enabled() || state_.fifo_count == 0 || state_.fifo_count >= trigger_level()) return;
  timeout_.arm(events_.clock().now() + VirtualTime{kTimeoutCharacters * character_ns()});
}

void Uart16550::push_fifo(u8 byte) {
  if (state_.fifo_count >= fifo_capacity()) {
    state_.lsr_errors |= lsr::OE;
    if (!fifo_enabled()) state_.fifo[0] = byte;
    return;
  }
  state_.fifo[state_.fifo_count++] = byte;
}

/// The other end honours flow control: it sends once RTS has been set, or receive interrupts enabled, for a
/// while. So what was typed before a driver took the port is neither cleared with the FIFO nor eaten by a
/// driver's probing.
void Uart16550::flow_changed() {
  const bool ready =
      (state_.mcr & mcr::LOOP) == 0 && ((state_.mcr & mcr::RTS) != 0 || (state_.ier & ier::ERBFI) != 0);
  if (!ready) {
    state_.receiving = false;
    sender_.cancel();
  } else if (!state_.receiving && !sender_.armed()) {
    sender_.arm(events_.clock().now() + VirtualTime{kSenderDelayNs});
  }
}

/// Moves bytes from the backlog up.
void Uart16550::refill() {
  if (!state_.receiving) return;
  while (state_.fifo_count < fifo_capacity() && state_.backlog_start < state_.backlog.size()) {
    push_fifo(state_.backlog[state_.backlog_start++]);
  }
  if (state_.backlog_start == state_.backlog.size()) {
    state_.backlog.clear();
    state_.backlog_start = 0;
  }
}

void Uart16550::receive(std::span<const u8> bytes) {
  if (state_.backlog_start != 0) {
    state_.backlog.erase(state_.backlog.begin(),
                         state_.backlog.begin() + static_cast<i64>(state_.backlog_start));
    state_.backlog_start = 0;
  }
  const size_t room = kMaxBacklogBytes - state_.backlog.size();
  bytes = bytes.first(std::min(bytes.size(), room));
  state_.backlog.insert(state_.backlog.end(), bytes.begin(), bytes.end());
  refill();
  restart_timeout();
  update();
}

u8 Uart16550::read_receiver() {
  if (state_.fifo_count == 0) return 0;
  const u8 byte = state_.fifo[0];
  std::memmove(state_.fifo, state_.fifo + 1, kFifoBytes - 1);
  state_.fifo[kFifoBytes - 1] = 0;
  --state_.fifo_count;
  if (fifo_enabled()) {
    refill();
  } else if (state_.receiving && !state_.backlog.empty()) {
    // Without the FIFO the next character takes its time on the line, so the interrupt falls in between: an
    // edge-triggered controller must see each one.
    state_.receiving = false;
    sender_.arm(events_.clock().now() + VirtualTime{character_ns()});
  }
  restart_timeout();

  update();
  return byte;
}

void Uart16550::write_transmitter(u8 byte) {
  if (state_.mcr & mcr::LOOP) {
    push_fifo(byte);
    restart_timeout();
  } else {
    output_.write({&byte, 1});
  }
  state_.transmitter_empty_pending = true;
  update();
}

void Uart16550::write_fifo_control(u8 value) {
  const bool toggled = (value ^ state_.fcr) & fcr::ENABLE;
  if (toggled || (value & fcr::CLEAR_RECEIVER)) {
    std::memset(state_.fifo, 0, sizeof state_.fifo);
    state_.fifo_count = 0;
  }
  if (value & fcr::CLEAR_TRANSMITTER) state_.transmitter_empty_pending = true;
  state_.fcr = (value & fcr::ENABLE) ? value & fcr::KEPT : 0;
  refill();
  restart_timeout();
}

u64 Uart16550::read(u64 offset, unsigned) {
  const bool divisor_latch = state_.lcr & lcr::DLAB;
  switch (offset & 7) {
    case 0:
      return divisor_latch ? state_.divisor & 0xff : read_receiver();
    case 1:
      return divisor_latch ? state_.divisor >> 8 : state_.ier;
    case 2: {
      const u8 pending = pending_interrupt();
      if (pending == iir::THRE) {  // reading IIR takes this one back
        state_.transmitter_empty_pending = false;
        update();
      }
      return pending | (fifo_enabled() ? iir::FIFOS : 0);
    }
    case 3:
      return state_.lcr;
    case 4:
      return state_.mcr;
    case 5: {
      const u8 status =
          static_cast<u8>(lsr::THRE | lsr::TEMT | state_.lsr_errors | (state_.fifo_count ? lsr::DR : 0));
      state_.lsr_errors = 0;
      update();
      return status;
    }
    case 6: {
      const u8 status = static_cast<u8>(modem_lines() | state_.msr_deltas);
      state_.msr_deltas = 0;
      update();
      return status;
    }
    default:
      return state_.scratch;
  }
}

void Uart16550::write(u64 offset, u64 value, unsigned) {
  const auto byte = static_cast<u8>(value);
  const bool divisor_latch = state_.lcr & lcr::DLAB;
  switch (offset & 7) {
    case 0:
      if (!divisor_latch) return write_transmitter(byte);
      state_.divisor = static_cast<u16>((state_.divisor & 0xff00) | byte);
      return;
    case 1: {
      if (divisor_latch) {
        state_.divisor = static_cast<u16>((state_.divisor & 0x00ff) | (byte << 8));
        return;
      }
      // Enabling the interrupt while the transmitter is empty makes one at once; drivers rely on it.
      const u8 enabled = byte & static_cast<u8>(~state_.ier);
      state_.ier = byte & 0x0f;
      if (enabled & ier::ETBEI) state_.transmitter_empty_pending = true;
      flow_changed();
      break;
    }
    case 2:
      write_fifo_control(byte);
      break;
    case 3:
      state_.lcr = byte;
      break;
    case 4: {
      const u8 before = modem_lines();
      state_.mcr = byte & mcr::WRITABLE;
      flow_changed();
      const u8 after = modem_lines();
      const u8 changed = static_cast<u8>(before ^ after);
      state_.msr_deltas |= (changed & (msr::CTS | msr::DSR | msr::DCD)) >> 4;
      if ((changed & msr::RI) && !(after & msr::RI)) state_.msr_deltas |= msr::RI >> 4;  // trailing edge
      refill();
      restart_timeout();
      break;
    }
    case 5:
    case 6:
      return;  // factory test only
    default:
      state_.scratch = byte;
      return;
  }
  update();
}

void Uart16550::visit_state(StateVisitor& v) {
  v.begin(name(), 1);
  v.field("ier", state_.ier);
  v.field("fcr", state_.fcr);
  v.field("lcr", state_.lcr);
  v.field("mcr", state_.mcr);
  v.field("lsr_errors", state_.lsr_errors);
  v.field("msr_deltas", state_.msr_deltas);
  v.field("scratch", state_.scratch);
  v.field("divisor", state_.divisor);
  v.field("transmitter_empty_pending", state_.transmitter_empty_pending);
  v.field("timed_out", state_.timed_out);
  v.field("receiving", state_.receiving);
  v.array("fifo", state_.fifo);
  v.field("fifo_count", state_.fifo_count);
  v.vector("backlog", state_.backlog, kMaxBacklogBytes);
  v.field("backlog_start", state_.backlog_start);
  const bool holds = state_.fifo_count <= kFifoBytes && state_.backlog_start <= state_.backlog.size();
  v.require(holds, "queues in range");
  v.end();
  if (!v.loading()) return;
  if (!holds) state_ = State{};
  const bool gate = (state_.mcr & mcr::OUT2) && !(state_.mcr & mcr::LOOP);
  irq_.restore_level(gate && pending_interrupt() != iir::NONE);
}

}  // namespace orrery::devices
