// The local APIC: xAPIC and x2APIC, timer with one-shot, periodic and TSC-deadline modes, interprocessor
// interrupts. [SDM3 10]
//
// Not modelled: CMCI, thermal and performance LVT delivery (the registers exist), APIC-access virtualization.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "base/state_visitor.h"

namespace orrery::cpu {

class Vcpu;
class ApicBus;

namespace apic_base_msr {
inline constexpr u64 BSP = 1u << 8, EXTD = 1u << 10, EN = 1u << 11;
}

class LocalApic {
 public:
  /// The crystal that the timer divides: 1 GHz, one count per nanosecond.
  static constexpr u64 kTimerHz = 1'000'000'000;

  LocalApic(Vcpu& cpu, EventQueue& events);

  /// Power-on; INIT keeps the APIC id and the base register.
  void reset(bool init);

  bool enabled() const { return (base_ & apic_base_msr::EN) != 0; }
  /// SVR.8 [SDM3 10.4.7.2].
  bool software_enabled() const { return (svr_ & (1u << 8)) != 0; }

  bool x2apic() const { return (base_ & apic_base_msr::EXTD) != 0; }
  bool mmio_enabled() const { return enabled() && !x2apic(); }
  u64 base() const { return base_ & 0x000ffffffffff000u; }
  u64 base_msr() const { return base_; }
  bool set_base_msr(u64 value);

  void mmio_read(u32 offset, void* out, unsigned size);
  void mmio_write(u32 offset, const void* data, unsigned size);
  bool x2apic_read(u32 msr, u64& value);
  bool x2apic_write(u32 msr, u64 value);

  u8 cr8() const { return static_cast<u8>(tpr_ >> 4); }
  void set_cr8(u8 value);

  /// A fixed or lowest-priority interrupt arrives.
  void accept(u8 vector, bool level);
  /// The vector that would be delivered now, or nothing. Does not look at RFLAGS.IF.
  std::optional<u8> pending() const;
  /// Takes `pending()` into service.
  u8 acknowledge();
  /// LINT0 in ExtINT mode (or the APIC disabled): the 8259 may interrupt.
  bool accepts_extint() const;
  /// LINT1 in NMI mode, or the APIC disabled.
  bool accepts_nmi_line() const;
  /// The 8259's INTR changed: LINT0 in fixed mode delivers its own vector.
  void lint0(bool level);

  u32 id() const { return id_; }
  u32 x2apic_ldr() const { return ((id_ >> 4) << 16) | (1u << (id_ & 15)); }
  /// Whether a message for `destination` reaches this APIC [SDM3 10.6.2].
  bool matches(u32 destination, bool logical) const;
  /// For lowest-priority arbitration.
  u8 processor_priority() const;
  u8 arbitration_priority() const;

  u64 tsc_deadline() const { return tsc_deadline_; }
  void set_tsc_deadline(u64 value);

  /// What firmware leaves behind: enabled, LINT1 as NMI, and on the bootstrap processor LINT0 as ExtINT, so
  /// that the 8259 pair works before (or without) an operating system that knows the APIC. [MP 1.4 3.6.2.2]
  void enter_virtual_wire_mode();

  void connect(ApicBus& bus) { bus_ = &bus; }
  void visit_state(StateVisitor& v);

 private:
  u32 read_register(u32 index);  // index: offset >> 4
  bool write_register(u32 index, u32 value);
  static bool readable(u32 index);
  static u64 x2apic_writable(u32 index);
  void send_ipi(u64 icr);
  void end_of_interrupt();
  void changed();
  void start_timer();
  void timer_fired();
  u64 timer_divisor() const;
  u32 current_count() const;
  void set_error(u32 bits);
  void local_interrupt(u32 lvt);

  Vcpu& cpu_;
  ApicBus* bus_ = nullptr;
  Timer timer_;

  // State
  u32 id_;
  u64 base_;
  u32 tpr_ = 0;
  u32 ldr_ = 0;
  u32 dfr_ = 0xffffffff;
  u32 svr_ = 0xff;
  u32 isr_[8] = {};
  u32 tmr_[8] = {};
  u32 irr_[8] = {};
  u32 esr_ = 0;
  u32 esr_pending_ = 0;
  u64 icr_ = 0;
  u32 lvt_[7] = {};  // CMCI, timer, thermal, performance, LINT0, LINT1, error
  u32 initial_count_ = 0;
  u32 divide_ = 0;
  u64 timer_start_ns_ = 0;  // virtual time at which the count was initial_count_
  u64 tsc_deadline_ = 0;
};

/// Connects the local APICs: interprocessor interrupts, messages from I/O APICs and devices, end-of-interrupt
/// broadcasts.
class ApicBus final : public MsiSink {
 public:
  void add(Vcpu& cpu) { cpus_.push_back(&cpu); }
  void set_eoi_sink(EoiSink& sink) { eoi_sink_ = &sink; }

  enum class Delivery : u8 {
    kFixed = 0,
    kLowest = 1,
    kSmi = 2,
    kNmi = 4,
    kInit = 5,
    kStartup = 6,
    kExtInt = 7
  };
  void deliver(u32 destination, bool logical, Delivery mode, u8 vector, bool level);
  void deliver_to(Vcpu& cpu, Delivery mode, u8 vector, bool level);
  const std::vector<Vcpu*>& cpus() const { return cpus_; }
  void broadcast_eoi(u8 vector) {
    if (eoi_sink_ != nullptr) eoi_sink_->end_of_interrupt(vector);
  }
  // MsiSink [SDM3 10.11]
  void send_msi(PhysAddr address, u32 data) override;

 private:
  std::vector<Vcpu*> cpus_;
  EoiSink* eoi_sink_ = nullptr;
};

}  // namespace orrery::cpu
