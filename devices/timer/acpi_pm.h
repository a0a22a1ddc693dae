// ACPI fixed hardware: PM1a event and control blocks, PM timer, GPE0 block, the SMI command port's ACPI
// switch and the reset control register at 0xcf9.
//
// Modelled: SCI (level) from power button, timer overflow and GPE0; S5; a 24-bit PM timer at 3.579545 MHz;
// SMI_EN and SMI_STS as registers, with the lock of GBL_SMI_EN. Documents: [ACPI 6.4 4.8.3, 4.8.4.1],
// [ICH9 13.8.3] for the offsets, [ICH9 13.7.5] for 0xcf9. Not modelled: sleep states other than S5, wake
// events, SMM (the SMI command port switches ACPI mode, which a firmware's SMI handler would do), the TCO
// watchdog.
#pragma once

#include "base/event_queue.h"
#include "base/irq_line.h"
#include "devices/device.h"
#include "devices/io_window.h"
#include "devices/machine_control.h"

namespace orrery::devices {

class AcpiPm final : public Device {
 public:
  static constexpr u64 kTimerHz = 3'579'545;
  static constexpr unsigned kTimerBits = 24;
  // Offsets in `ports()`; the FADT gives them out.
  static constexpr u16 kEventOffset = 0x00;    // PM1a_EVT_BLK, 4 bytes
  static constexpr u16 kControlOffset = 0x04;  // PM1a_CNT_BLK, 2 bytes
  static constexpr u16 kTimerOffset = 0x08;    // PM_TMR_BLK, 4 bytes
  static constexpr u16 kGpe0Offset = 0x20;     // GPE0_BLK: half status, half enables
  static constexpr u16 kSmiEnableOffset = 0x30, kSmiStatusOffset = 0x34;  // 4 bytes each
  static constexpr u16 kPortBytes = 0x80;
  // Values of the SMI command port.
  static constexpr u8 kAcpiEnable = 0x02;
  static constexpr u8 kAcpiDisable = 0x03;

  struct Config {
    u8 soft_off_types = 0;  // a bit for each value of SLP_TYP that turns the machine off
    u16 gpe0_bytes = 4;     // of the whole block: 4 or 16
  };
  AcpiPm(Config config, EventQueue& events, IrqLine sci, MachineControl& control);

  std::string_view name() const override { return "acpi_pm"; }
  void reset() override;
  void visit_state(StateVisitor& v) override;

  /// kPortBytes ports; any size up to 4.
  memory::IoHandler& ports() { return ports_; }
  /// Two ports: SMI command and status (APMC, APMS).
  memory::IoHandler& smi_ports() { return smi_ports_; }
  /// One port: reset control.
  memory::IoHandler& reset_port() { return reset_port_; }

  /// As firmware leaves it for an operating system that finds ACPI mode on.
  void enable_acpi_mode();
  /// SMI_LOCK: GBL_SMI_EN keeps its value [ICH9 13.8.1.1].
  void lock_smi_enable(bool locked) { state_.smi_enable_locked = locked; }
  /// The user presses the power button.
  void press_power_button();

 private:
  struct State {
    u16 status = 0;
    u16 enable = 0;
    u16 control = 0;
    u64 gpe_status = 0;
    u64 gpe_enable = 0;
    u32 smi_enable = 0;
    u32 smi_events = 0;
    bool smi_enable_locked = false;
    u64 timer_acknowledged = 0;  // the cycle at which TMR_STS was last cleared
    u8 smi_command = 0;
    u8 smi_status = 0;
    u8 reset_control = 0;
  };
  u64 timer_cycles() const;
  bool timer_overflowed() const;
  u16 status() const;
  u8 read_byte(u64 offset) const;
  void write_byte(u64 offset, u8 value);
  void write_control(u16 value);
  bool sci_level() const;
  void update();

  Config config_;
  EventQueue& events_;
  IrqLine sci_;
  MachineControl& control_;
  Timer timer_;
  State state_;
  IoWindow ports_;
  IoWindow smi_ports_;
  IoWindow reset_port_;
};

}  // namespace orrery::devices
