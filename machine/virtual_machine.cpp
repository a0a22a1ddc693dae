#include "machine/virtual_machine.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/host_file.h"
#include "cpu/apic/local_apic.h"
#include "cpu/interpreter.h"
#include "cpu/system/exception.h"
#include "machine/board.h"
#include "machine/clock_governor.h"
#include "machine/direct_boot.h"
#include "machine/recording.h"
#include "machine/symbols.h"
#if defined(ORRERY_JIT)
#include "jit/translator.h"
#endif
#include "memory/dma_port.h"

namespace orrery::machine {
namespace {

constexpr u64 kTscHz = 2'000'000'000;
/// RTC and wall clock of a `fixed` machine at power-on: 2024-01-01 00:00:00 UTC.
constexpr u64 kFixedEpoch = 1'704'067'200;
/// Idle time shorter than this on the host is not slept.
constexpr auto kShortestSleep = std::chrono::microseconds(60);
constexpr u64 kMaxKernelBytes = u64{1} << 30, kMaxInitrdBytes = u64{4} << 30;

/// The 8259 pair's INTR wire reaches LINT0 of every CPU.
class IntrFanout final : public IrqSink {
 public:
  void add(cpu::Vcpu& vcpu) { cpus_.push_back(&vcpu); }
  void set_irq(unsigned, bool level) override {
    for (cpu::Vcpu* vcpu : cpus_) vcpu->set_extint(level);
  }

 private:
  std::vector<cpu::Vcpu*> cpus_;
};

/// IGNNE# of the bootstrap processor.
class IgnneWire final : public IrqSink {
 public:
  void connect(cpu::Vcpu& vcpu) { cpu_ = &vcpu; }
  void set_irq(unsigned, bool level) override { cpu_->set_ignne(level); }

 private:
  cpu::Vcpu* cpu_ = nullptr;
};

u64 thread_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<u64>(t.tv_sec) * 1'000'000'000 + static_cast<u64>(t.tv_nsec);
}

Result<u64> draw_seed() {
  u64 seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
    return make_errno_error("drawing a seed from the host");
  return seed;
}

/// What the machine writes on the host must not be one of the files that it reads.
Result<> check_serial_file(const Config& config) {
  struct stat serial {};
  if (config.serial.kind != SerialConfig::Kind::kFile || stat(config.serial.path.c_str(), &serial) != 0)
    return {};
  std::vector<std::string> inputs{config.kernel, config.initrd};
  for (const DiskConfig& disk : config.disks) inputs.push_back(disk.file);
  for (const std::string& input : inputs) {
    struct stat info {};
    if (stat(input.c_str(), &info) == 0 && info.st_dev == serial.st_dev && info.st_ino == serial.st_ino) {
      return make_error("serial output file '{}': it is also '{}', which the machine reads",
                        config.serial.path, input);
    }
  }
  return {};
}

}  // namespace

struct VirtualMachine::Impl final : public devices::MachineControl {
  Impl(const Config& machine_config, Options machine_options)
      : config(machine_config),
        options(std::move(machine_options)),
        clock(timeline),
        events(timeline, clock),
        inputs(timeline),
        memory(0),
        ports(0x10000),
        governor(config.clock, clock) {}

  Result<> build(bool replaying);
  Result<std::unique_ptr<cpu::Engine>> make_engine();
  Result<> power_on();
  StopReason run(Tick max_tick);
  StopReason step(unsigned index);
  bool idle_until(Tick limit);
  std::optional<StopReason> pending_stop();
  void rotate() {
    current = (current + 1) % static_cast<u32>(cpus.size());
    quantum_left = config.quantum_ticks;
  }
  /// Counts `ticks` of the current vCPU's turn, which ends if there are others.
  void take_turn(u64 ticks) {
    if (cpus.size() > 1) quantum_left -= std::min(quantum_left, ticks);
  }
  bool runnable(const cpu::Vcpu& vcpu) const {
    return vcpu.state.activity == cpu::Activity::kRunning || vcpu.has_wake_event();
  }
  /// The next tick, after this one, at which a timer fires, a logged input is due or a replayed log ends.
  Tick next_event_tick() const {
    const Tick now = timeline.now();
    Tick next = std::max(std::min(events.next_tick(), inputs.next_tick()), now + 1);
    if (inputs.mode() == InputPort::Mode::kReplay && inputs.replay_log().end_tick > now) {
      next = std::min(next, inputs.replay_log().end_tick);
    }
    return next;
  }
  void correct_clock();
  std::string explain_shutdown(cpu::Vcpu& vcpu) const {
    const SymbolTable symbols = SymbolTable::from_elf(boot_files.kernel);
    return cpu::explain_shutdown(vcpu, [&symbols](u64 address) { return symbols.describe(address); });
  }
  /// At most one a second: a guest may triple-fault for ever.
  void report_shutdown() {
    const auto now = HostClock::now();
    if (options.silent) return;
    if (last_report && now - *last_report < std::chrono::seconds(1)) return;
    last_report = now;
    std::fprintf(stderr, "orrery: %s", stop_message.c_str());
  }
  void skip_idle_to(Tick tick) {
    idle_ticks += tick - timeline.now();
    timeline.skip_to(tick);
  }
  StopReason host_error(const Error& error) {
    stop_message = error.message;
    return StopReason::kHostError;
  }
  void visit(StateVisitor& v);

  // devices::MachineControl
  void request_power_off() override { request(StopReason::kPowerOff); }
  void request_reset() override { request(StopReason::kReset); }
  // In a direct boot there is no firmware at the reset vector, and what a firmware would do there is to start
  // anew.
  void request_init() override { request(StopReason::kReset); }
  void request_exit(u32 value) override {
    exit_value = value;
    request(StopReason::kDebugExit);
  }
  void report_host_error(std::string message) override {
    stop_message = std::move(message);
    request(StopReason::kHostError);
  }
  void request(StopReason reason) {
    if (!requested || reason == StopReason::kHostError) requested = reason;
    timeline.shorten_slice(timeline.now() + 1);
  }

  Config config;
  Options options;
  Timeline timeline;
  Clock clock;
  EventQueue events;
  InputPort inputs;
  Entropy entropy;
  memory::AddressSpace memory;
  memory::AddressSpace ports;
  std::unique_ptr<memory::Ram> ram;
  cpu::CpuModel model{};
  std::unique_ptr<cpu::DecodeCache> decode_cache;
  cpu::ApicBus apic_bus;
  IntrFanout intr;
  IgnneWire ignne;
  std::vector<std::unique_ptr<cpu::Vcpu>> cpus;
  std::unique_ptr<Board> board;
  std::unique_ptr<cpu::Engine> engine;
  ClockGovernor governor;
  BootFiles boot_files;
  InputPort::Channel rate_channel = 0;

  // Part of the machine's state.
  u32 current = 0;
  u64 quantum_left = 0;

  u64 idle_ticks = 0;  // a statistic

  std::optional<HostClock::time_point> last_report;
  std::optional<StopReason> requested;
  std::atomic<bool> stop_requested = false;
  u32 exit_value = 0;
  unsigned stopped_vcpu = 0;
  u64 stopped_watch = 0;
  std::string stop_message;
  bool stopped_at_breakpoint = false;
  u64 stopped_rip = 0;
};

Result<> VirtualMachine::Impl::build(bool replaying) {
  const auto found = cpu::find_cpu_model(config.cpu);
  if (!found) {
    std::string names;
    for (const auto& m : cpu::cpu_models()) names += fmt::format("{}{}", names.empty() ? "" : ", ", m.name);
    return make_error("unknown CPU model '{}'; there are: {}", config.cpu, names);
  }
  model = *found;
  model.kvm_signature = config.kvm;
  if (config.kernel.empty()) return make_error("no kernel given (--kernel FILE)");
  TRY_ASSIGN(boot_files.kernel, read_host_file(config.kernel, kMaxKernelBytes, "kernel"));
  boot_files.kernel_name = config.kernel;
  if (!config.initrd.empty()) {
    const u64 limit = std::min(kMaxInitrdBytes, config.memory_bytes);
    TRY_ASSIGN(boot_files.initrd, read_host_file(config.initrd, limit, "initrd"));
    if (boot_files.initrd.empty()) return make_error("initrd '{}': empty", config.initrd);
    boot_files.initrd_name = config.initrd;
  }
  boot_files.command_line = config.append;
  TRY(check_serial_file(config));

  TRY_ASSIGN(ram, memory::Ram::create("orrery-ram", config.memory_bytes));
  decode_cache = std::make_unique<cpu::DecodeCache>(*ram, model);
  TRY_ASSIGN(engine, make_engine());
  entropy.seed(config.seed);
  if (config.clock == ClockPolicy::kFixed) clock.set_rate(config.clock_rate);
  rate_channel = inputs.open("clock-rate", [this](std::span<const u8> payload) {
    if (payload.size() != 8) return;
    const u64 rate = load_le<u64>(payload.data());
    if (rate != 0) clock.set_rate(rate);
  });
  for (u32 id = 0; id < config.cpus; ++id) {
    cpus.push_back(std::make_unique<cpu::Vcpu>(id, cpu::VcpuServices{.ram = *ram,
                                                                     .memory = memory,
                                                                     .ports = ports,
                                                                     .events = events,
                                                                     .entropy = entropy,
                                                                     .decode_cache = *decode_cache,
                                                                     .model = model,
                                                                     .tsc_hz = kTscHz,
                                                                     .cpu_count = config.cpus,
                                                                     .wall_clock_base = config.rtc_start}));
    cpus.back()->apic().connect(apic_bus);
    apic_bus.add(*cpus.back());
    intr.add(*cpus.back());
  }
  ignne.connect(*cpus[0]);
  if (replaying) {
    for (DiskConfig& disk : config.disks) disk.snapshot = true;
  }
  TRY_ASSIGN(board, make_board({.config = config,
                                .ram = *ram,
                                .memory = memory,
                                .ports = ports,
                                .events = events,
                                .inputs = inputs,
                                .entropy = entropy,
                                .msi = apic_bus,
                                .intr = IrqLine(intr, 0),
                                .ignne = IrqLine(ignne, 0),
                                .control = *this,
                                .serial_output = options.serial_output,
                                .silent = options.silent}));
  for (auto& vcpu : cpus) vcpu->set_interrupt_acknowledge(board->interrupt_acknowledge());
  apic_bus.set_eoi_sink(board->eoi_sink());
  if (IrqSink* const ferr = board->ferr_input()) cpus[0]->set_ferr_line(IrqLine(*ferr, 0));
  return power_on();
}

Result<std::unique_ptr<cpu::Engine>> VirtualMachine::Impl::make_engine() {
  if (config.engine == EngineKind::kInterpreter)
    return std::unique_ptr<cpu::Engine>(std::make_unique<cpu::Interpreter>());
  if (config.engine == EngineKind::kLockstep)
    return make_error("engine 'lockstep': it is not one machine; there are here: interpreter, jit");
#if defined(ORRERY_JIT)
  TRY_ASSIGN(auto translator, jit::Translator::create(*ram, *decode_cache, options.translator));
  return std::unique_ptr<cpu::Engine>(std::move(translator));
#else
  return make_error("engine 'jit': this build has no translator for its host; there is: interpreter");
#endif
}

Result<> VirtualMachine::Impl::power_on() {
  board->reset();
  for (auto& vcpu : cpus) {
    vcpu->reset(false);
    program_mtrrs(*vcpu, board->pci_hole_start());
    vcpu->apic().enter_virtual_wire_mode();
  }
  current = 0;
  quantum_left = config.quantum_ticks;
  TRY_ASSIGN(const PhysAddr rsdp, board->prepare_direct_boot());
  return direct_boot(boot_files, {.memory = memory, .cpu = *cpus[0], .e820 = board->e820(), .rsdp = rsdp});
}

void VirtualMachine::Impl::correct_clock() {
  // Reading the thread's CPU time is a system call, and this runs between any two slices.
  if (config.clock != ClockPolicy::kFollow || inputs.mode() == InputPort::Mode::kReplay) return;
  if (const auto rate = governor.correction(HostClock::now(), timeline.now() - idle_ticks, thread_cpu_ns())) {
    u8 payload[8];
    store_le<u64>(payload, *rate);
    inputs.inject(rate_channel, payload);
  }
}

// Every vCPU halts: guest time moves on to `limit` or to the next input. True if the machine should look
// around again.
bool VirtualMachine::Impl::idle_until(Tick limit) {
  const bool live = inputs.mode() != InputPort::Mode::kReplay;
  const bool paced = live && (config.clock == ClockPolicy::kFollow || options.interactive || limit == kNever);
  if (!paced) {
    if (limit == kNever) return false;  // a replay without an end: nothing will ever happen
    skip_idle_to(limit);
    return true;
  }
  const auto now = HostClock::now();
  governor.start_idle(now);
  const VirtualTime deadline = limit == kNever ? kEndOfTime : clock.at(limit);
  const auto wake_at = governor.host_time_of(deadline);
  if (wake_at - now > kShortestSleep) {
    inputs.wait_until(wake_at);
    governor.end_idle(HostClock::now(), wake_at);
  } else if (limit != kNever) {
    skip_idle_to(limit);
    return true;
  }
  const Tick here = clock.tick_of(governor.guest_time_of(HostClock::now()));
  skip_idle_to(std::min(limit, std::max(timeline.now(), here)));
  return true;
}

std::optional<StopReason> VirtualMachine::Impl::pending_stop() {
  if (!requested) return std::nullopt;
  const StopReason reason = *requested;
  requested.reset();
  if (reason == StopReason::kReset && config.reboot) {
    if (auto done = power_on(); !done) return host_error(done.error());
    return std::nullopt;
  }
  return reason;
}

StopReason VirtualMachine::Impl::run(Tick max_tick) {
  governor.start(HostClock::now(), config.clock == ClockPolicy::kFollow ? thread_cpu_ns() : 0);
  bool first = true;
  while (true) {
    if (stop_requested.exchange(false)) return StopReason::kRequested;
    inputs.deliver_due();
    events.fire_due();
    correct_clock();
    if (const auto stop = pending_stop()) return *stop;
    if (auto log = inputs.log_status(); !log) return host_error(log.error());
    const Tick now = timeline.now();
    if (now >= max_tick) return StopReason::kMaxTicks;
    if (inputs.mode() == InputPort::Mode::kReplay && inputs.exhausted() &&
        now >= inputs.replay_log().end_tick) {
      return StopReason::kEndOfLog;
    }
    const Tick limit = std::min(max_tick, next_event_tick());

    size_t tried = 0;
    while (tried < cpus.size() && !runnable(*cpus[current])) {
      rotate();
      ++tried;
    }
    if (tried == cpus.size()) {
      if (!idle_until(limit)) return StopReason::kEndOfLog;
      continue;
    }
    cpu::Vcpu& vcpu = *cpus[current];
    const bool skip =
        first && stopped_at_breakpoint && stopped_vcpu == current && vcpu.state.rip() == stopped_rip;
    first = false;
    stopped_at_breakpoint = false;
    const u64 turn = cpus.size() == 1 ? options.turn_alone : std::max<u64>(quantum_left, 1);
    timeline.begin_slice(&vcpu.ticks_left, std::min(limit, now + std::min(turn, cpu::Engine::kMostTicks)));
    const cpu::EngineExit exit = engine->run(vcpu, skip);
    timeline.end_slice();
    take_turn(timeline.now() - now);
    switch (exit) {
      case cpu::EngineExit::kTicks:
        if (quantum_left == 0) rotate();
        break;
      case cpu::EngineExit::kIdle:
      case cpu::EngineExit::kYield:
        rotate();
        break;
      case cpu::EngineExit::kShutdown:
        stop_message = explain_shutdown(vcpu);
        stopped_vcpu = current;
        if (!config.reboot) return StopReason::kTripleFault;
        report_shutdown();
        request_reset();
        break;
      case cpu::EngineExit::kBreakpoint:
        stopped_vcpu = current;
        stopped_at_breakpoint = true;
        stopped_rip = vcpu.state.rip();
        return StopReason::kBreakpoint;
      case cpu::EngineExit::kWatchpoint:
        stopped_vcpu = current;
        stopped_watch = vcpu.watch_address;
        return StopReason::kWatchpoint;
    }
  }
}

StopReason VirtualMachine::Impl::step(unsigned index) {
  inputs.deliver_due();
  events.fire_due();
  if (auto log = inputs.log_status(); !log) return host_error(log.error());
  // What is recorded or replayed keeps its schedule: the vCPU whose turn it is steps.
  if (inputs.mode() != InputPort::Mode::kLive) {
    for (size_t tried = 0; tried < cpus.size() && !runnable(*cpus[current]); ++tried) rotate();
    index = current;
  }
  cpu::Vcpu& vcpu = *cpus[index];
  stopped_vcpu = index;
  if (!runnable(vcpu)) {
    if (!idle_until(next_event_tick())) return StopReason::kEndOfLog;
    return StopReason::kStep;
  }
  timeline.begin_slice(&vcpu.ticks_left, timeline.now() + 1);
  const cpu::EngineExit exit = engine->run(vcpu, true);
  timeline.end_slice();
  if (inputs.mode() != InputPort::Mode::kLive) {
    take_turn(1);
    if (exit == cpu::EngineExit::kIdle || exit == cpu::EngineExit::kYield || quantum_left == 0) rotate();
  }
  stopped_at_breakpoint = false;
  if (const auto stop = pending_stop()) return *stop;
  if (exit == cpu::EngineExit::kShutdown) {
    stop_message = explain_shutdown(vcpu);
    return StopReason::kTripleFault;
  }
  if (exit == cpu::EngineExit::kWatchpoint) {
    stopped_watch = vcpu.watch_address;
    return StopReason::kWatchpoint;
  }
  return StopReason::kStep;
}

void VirtualMachine::Impl::visit(StateVisitor& v) {
  v.begin("machine", 1);
  Tick tick = timeline.now();
  v.field("tick", tick);
  v.field("current_cpu", current);
  v.require(current < cpus.size(), "the current CPU exists");
  v.field("quantum_left", quantum_left);
  if (v.loading()) timeline.skip_to(tick);
  clock.visit_state(v);
  events.visit_state(v);
  entropy.visit_state(v);
  for (auto& vcpu : cpus) vcpu->visit_state(v);
  board->visit_state(v);
  v.end();
}

// ---- The outside ----

VirtualMachine::VirtualMachine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
VirtualMachine::~VirtualMachine() = default;

Result<std::unique_ptr<VirtualMachine>> VirtualMachine::create(const Config& given, Options options) {
  Config config = given;
  // What differs from run to run is drawn once, here, and stands in the recording's description.
  if (!config.seed_given) {
    if (config.clock == ClockPolicy::kFollow) {
      TRY_ASSIGN(config.seed, draw_seed());
    }
    config.seed_given = true;
  }
  if (config.rtc_start == 0) {
    config.rtc_start =
        config.clock == ClockPolicy::kFixed ? kFixedEpoch : static_cast<u64>(std::time(nullptr));
  }
  if (!options.record_path.empty()) {
    for (DiskConfig& disk : config.disks) disk.snapshot = true;
  }
  const std::string record_path = options.record_path;
  auto impl = std::make_unique<Impl>(config, std::move(options));
  TRY(impl->build(false));
  if (!record_path.empty()) {
    TRY_ASSIGN(std::string description, describe_machine(config));
    TRY_ASSIGN(auto log, InputLogWriter::create(record_path, description));
    impl->inputs.start_recording(std::move(log));
  }
  return std::unique_ptr<VirtualMachine>(new VirtualMachine(std::move(impl)));
}

Result<std::unique_ptr<VirtualMachine>> VirtualMachine::create_replay(const std::string& log_path,
                                                                      Options options) {
  TRY_ASSIGN(InputLog log, InputLog::load(log_path));
  auto restored = restore_machine(log.description);
  if (!restored) return std::move(restored).take_error().with_context(fmt::format("log '{}'", log_path));
  if (options.replay_engine) restored.value().engine = *options.replay_engine;
  auto impl = std::make_unique<Impl>(*restored, std::move(options));
  TRY(impl->build(true));
  impl->inputs.start_replay(std::move(log));
  return std::unique_ptr<VirtualMachine>(new VirtualMachine(std::move(impl)));
}

Result<std::unique_ptr<VirtualMachine>> VirtualMachine::create_follower(const Config& config,
                                                                        Options options) {
  auto impl = std::make_unique<Impl>(config, std::move(options));
  TRY(impl->build(true));
  InputLog endless;
  endless.end_tick = kNever;
  impl->inputs.start_replay(std::move(endless));
  return std::unique_ptr<VirtualMachine>(new VirtualMachine(std::move(impl)));
}

const Config& VirtualMachine::config() const { return impl_->config; }
StopReason VirtualMachine::run(Tick max_tick) {
  const StopReason reason = impl_->run(max_tick);
  if (reason == StopReason::kHostError) return reason;
  if (auto drained = impl_->board->drain(); !drained) return impl_->host_error(drained.error());
  return reason;
}
u64 VirtualMachine::idle_ticks() const { return impl_->idle_ticks; }
std::string VirtualMachine::engine_statistics() const { return impl_->engine->statistics(); }
StopReason VirtualMachine::step(unsigned index) { return impl_->step(index); }
void VirtualMachine::request_stop() {
  impl_->stop_requested = true;
  impl_->inputs.wake();
}
u32 VirtualMachine::exit_value() const { return impl_->exit_value; }
unsigned VirtualMachine::stopped_vcpu() const { return impl_->stopped_vcpu; }
u64 VirtualMachine::stopped_watch_address() const { return impl_->stopped_watch; }
const std::string& VirtualMachine::stop_message() const { return impl_->stop_message; }
Tick VirtualMachine::tick() const { return impl_->timeline.now(); }
VirtualTime VirtualMachine::now() const { return impl_->clock.now(); }

u64 VirtualMachine::state_hash() {
  StateHasher hasher;
  impl_->visit(hasher);
  impl_->ram->hash(hasher);
  return hasher.digest();
}

std::string VirtualMachine::dump_state() {
  StateDumper dumper;
  impl_->visit(dumper);
  return dumper.text();
}

void VirtualMachine::visit_state(StateVisitor& v) { impl_->visit(v); }
unsigned VirtualMachine::cpus() const { return static_cast<unsigned>(impl_->cpus.size()); }
cpu::Vcpu& VirtualMachine::vcpu(unsigned index) { return *impl_->cpus[index]; }
InputPort& VirtualMachine::inputs() { return impl_->inputs; }
memory::Ram& VirtualMachine::ram() { return *impl_->ram; }
void VirtualMachine::type(std::span<const u8> bytes) {
  impl_->inputs.post(impl_->board->serial_channel(), bytes);
}

bool VirtualMachine::read_linear(unsigned index, u64 address, std::span<u8> out) {
  while (!out.empty()) {
    u64 physical = 0;
    if (!impl_->cpus[index]->translate_quietly(address, physical)) return false;
    const u64 n = std::min<u64>(out.size(), memory::kPageBytes - (address & (memory::kPageBytes - 1)));
    if (!read_physical(physical, out.first(n))) return false;
    out = out.subspan(n);
    address += n;
  }
  return true;
}

bool VirtualMachine::write_linear(unsigned index, u64 address, std::span<const u8> data) {
  while (!data.empty()) {
    u64 physical = 0;
    if (!impl_->cpus[index]->translate_quietly(address, physical)) return false;
    const u64 n = std::min<u64>(data.size(), memory::kPageBytes - (address & (memory::kPageBytes - 1)));
    if (!write_physical(physical, data.first(n))) return false;
    data = data.subspan(n);
    address += n;
  }
  return true;
}

bool VirtualMachine::read_physical(u64 address, std::span<u8> out) {
  return memory::DmaPort(impl_->memory).read(address, out);
}

bool VirtualMachine::write_physical(u64 address, std::span<const u8> data) {
  return memory::DmaPort(impl_->memory).write(address, data);
}

void VirtualMachine::add_breakpoint(u64 address) {
  for (auto& vcpu : impl_->cpus) {
    vcpu->breakpoints.push_back(address);
    vcpu->debug_points_changed();
  }
}

void VirtualMachine::remove_breakpoint(u64 address) {
  for (auto& vcpu : impl_->cpus) {
    const auto it = std::find(vcpu->breakpoints.begin(), vcpu->breakpoints.end(), address);
    if (it != vcpu->breakpoints.end()) vcpu->breakpoints.erase(it);
    vcpu->debug_points_changed();
  }
}

void VirtualMachine::add_watchpoint(u64 address, u64 length, WatchKind kind) {
  for (auto& vcpu : impl_->cpus) {
    vcpu->watches.push_back({.address = address,
                             .length = length,
                             .on_read = kind != WatchKind::kWrite,
                             .on_write = kind != WatchKind::kRead});
    vcpu->debug_points_changed();
  }
}

void VirtualMachine::remove_watchpoint(u64 address, u64 length, WatchKind kind) {
  for (auto& vcpu : impl_->cpus) {
    auto& watches = vcpu->watches;
    const auto it = std::find_if(watches.begin(), watches.end(), [&](const cpu::Vcpu::Watch& w) {
      return w.address == address && w.length == length && w.on_read == (kind != WatchKind::kWrite) &&
             w.on_write == (kind != WatchKind::kRead);
    });
    if (it != watches.end()) watches.erase(it);
    vcpu->debug_points_changed();
  }
}

Result<> VirtualMachine::finish_recording() {
  const u64 hash = impl_->inputs.mode() == InputPort::Mode::kRecord ? state_hash() : 0;
  TRY(impl_->inputs.finish_recording(hash));
  return impl_->board->drain();
}

}  // namespace orrery::machine
