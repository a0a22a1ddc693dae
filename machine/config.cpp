// The key table of the machine description, and the text forms of its values.

#include "machine/config.h"

#include <algorithm>
#include <charconv>

#include "cpu/cpuid/model.h"

namespace orrery::machine {
namespace {

/// A decimal number without sign, space or rest.
Result<u64> parse_number(std::string_view text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  if (error == std::errc::result_out_of_range) return make_error("'{}' is too large", text);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return make_error("'{}' is not a number; a decimal number is wanted", text);
  }
  return value;
}

Result<u64> parse_in_range(std::string_view text, u64 low, u64 high) {
  TRY_ASSIGN(const u64 value, parse_number(text));
  if (value < low || value > high)
    return make_error("{} is out of range; {} to {} is wanted", value, low, high);
  return value;
}

Result<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return make_error("'{}' is neither true nor false", text);
}

Result<> set_bool(bool& field, std::string_view text) {
  TRY_ASSIGN(field, parse_bool(text));
  return {};
}

std::string format_bool(bool value) { return value ? "true" : "false"; }

/// Whether `text` is UTF-8 as Unicode 15 table 3-7 defines it: no overlong forms, no surrogates.
bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto at = [&](size_t n) { return i + n < text.size() ? static_cast<u8>(text[i + n]) : u8{0}; };
    const u8 lead = at(0);
    size_t length = 0;
    if (lead < 0x80) length = 1;
    if (lead >= 0xc2 && lead <= 0xdf) length = 2;
    if (lead >= 0xe0 && lead <= 0xef) length = 3;
    if (lead >= 0xf0 && lead <= 0xf4) length = 4;
    if (length == 0) return false;
    for (size_t n = 1; n < length; ++n) {
      if ((at(n) & 0xc0) != 0x80) return false;
    }
    if ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) > 0x9f)) return false;
    if ((lead == 0xf0 && at(1) < 0x90) || (lead == 0xf4 && at(1) > 0x8f)) return false;
    i += length;
  }
  return true;
}

/// A path or a line of text: what a TOML string holds without escapes, so that printing and reading agree.
Result<> set_text(std::string& field, std::string_view text) {
  if (!is_utf8(text)) return make_error("the text is not UTF-8");
  if (std::any_of(text.begin(), text.end(), [](char c) { return static_cast<u8>(c) < 0x20 || c == 0x7f; })) {
    return make_error("control characters are not allowed here");
  }
  field = text;
  return {};
}

template <class T>
struct Choice {
  std::string_view name;
  T value;
};

template <class T, size_t N>
Result<> set_choice(T& field, std::string_view text, const Choice<T> (&choices)[N]) {
  std::string right;
  for (const auto& choice : choices) {
    if (choice.name == text) {
      field = choice.value;
      return {};
    }
    right += fmt::format("{}'{}'", right.empty() ? "" : ", ", choice.name);
  }
  return make_error("unknown value '{}'; wanted: {}", text, right);
}

template <class T, size_t N>
std::string format_choice(T value, const Choice<T> (&choices)[N]) {
  for (const auto& choice : choices) {
    if (choice.value == value) return std::string(choice.name);
  }
  CHECK(false, "every enumerator has a name");
  return {};
}

constexpr Choice<BoardKind> kBoards[] = {{"minimal", BoardKind::kMinimal}, {"q35", BoardKind::kQ35}};
constexpr Choice<EngineKind> kEngines[] = {{"interpreter", EngineKind::kInterpreter},
                                           {"jit", EngineKind::kJit},
                                           {"lockstep", EngineKind::kLockstep}};
constexpr Choice<ClockPolicy> kClocks[] = {{"fixed", ClockPolicy::kFixed}, {"follow", ClockPolicy::kFollow}};

constexpr u64 kMaxQuantumTicks = 1'000'000'000;
/// Seconds since 1970 of 2106-02-07: the RTC's century register has its own limits, this keeps sums far from
/// overflow.
constexpr u64 kMaxRtcStart = 0xffffffff;

using Text = std::string_view;

constexpr ConfigKey kKeys[] = {
    {"board", ConfigType::kText, "the board: minimal or q35",
     [](Config& c, Text t) { return set_choice(c.board, t, kBoards); },
     [](const Config& c) { return format_choice(c.board, kBoards); }, nullptr},
    {"engine", ConfigType::kText, "what runs the instructions: interpreter, jit or lockstep (both, compared)",
     [](Config& c, Text t) { return set_choice(c.engine, t, kEngines); },
     [](const Config& c) { return format_choice(c.engine, kEngines); }, nullptr},
    {"memory", ConfigType::kSize, "guest RAM, 1M to 64G, a multiple of 4096",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(const u64 size, parse_size(t));
       if (size < kMinMemoryBytes || size > kMaxMemoryBytes) {
         return make_error("{} is out of range; {} to {} is wanted", t, format_size(kMinMemoryBytes),
                           format_size(kMaxMemoryBytes));
       }
       if (size % 4096 != 0) return make_error("{} is not a multiple of 4096", t);
       c.memory_bytes = size;
       return {};
     },
     [](const Config& c) { return format_size(c.memory_bytes); }, nullptr},
    {"seed", ConfigType::kNumber, "of the guest's entropy; without it, follow draws one and fixed uses 0",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(c.seed, parse_number(t));
       c.seed_given = true;
       return {};
     },
     [](const Config& c) { return fmt::format("{}", c.seed); }, [](const Config& c) { return c.seed_given; }},
    {"serial", ConfigType::kText, "the first serial port: stdio, file:PATH or none",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(c.serial, parse_serial(t));
       return {};
     },
     [](const Config& c) { return format_serial(c.serial); }, nullptr},
    {"debugcon", ConfigType::kBool, "ports 0xe9 and 0x402 to standard error",
     [](Config& c, Text t) { return set_bool(c.debugcon, t); },
     [](const Config& c) { return format_bool(c.debugcon); }, nullptr},
    {"virtio_console", ConfigType::kBool, "a virtio console beside the serial port",
     [](Config& c, Text t) { return set_bool(c.virtio_console, t); },
     [](const Config& c) { return format_bool(c.virtio_console); }, nullptr},
    {"reboot", ConfigType::kBool, "false: a guest's reset stops the machine",
     [](Config& c, Text t) { return set_bool(c.reboot, t); },
     [](const Config& c) { return format_bool(c.reboot); }, nullptr},
    {"pause_on_start", ConfigType::kBool, "with --gdb: wait for the debugger before the first instruction",
     [](Config& c, Text t) { return set_bool(c.pause_on_start, t); },
     [](const Config& c) { return format_bool(c.pause_on_start); }, nullptr},
    {"cpu.model", ConfigType::kText, "a named CPU model",
     [](Config& c, Text t) -> Result<> {
       if (!cpu::find_cpu_model(t)) {
         std::string right;
         for (const cpu::CpuModel& model : cpu::cpu_models()) {
           right += fmt::format("{}'{}'", right.empty() ? "" : ", ", model.name);
         }
         return make_error("unknown value '{}'; wanted: {}", t, right);
       }
       return set_text(c.cpu, t);
     },
     [](const Config& c) { return c.cpu; }, nullptr},
    {"cpu.count", ConfigType::kNumber, "virtual CPUs, 1 to 8",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(const u64 count, parse_in_range(t, 1, kMaxCpus));
       c.cpus = static_cast<u32>(count);
       return {};
     },
     [](const Config& c) { return fmt::format("{}", c.cpus); }, nullptr},
    {"cpu.quantum_ticks", ConfigType::kNumber, "ticks of a vCPU's turn when there are several",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(c.quantum_ticks, parse_in_range(t, 1, kMaxQuantumTicks));
       return {};
     },
     [](const Config& c) { return fmt::format("{}", c.quantum_ticks); }, nullptr},
    {"cpu.kvm", ConfigType::kBool, "show the KVM CPUID signature and kvmclock",
     [](Config& c, Text t) { return set_bool(c.kvm, t); }, [](const Config& c) { return format_bool(c.kvm); },
     nullptr},
    {"clock.policy", ConfigType::kText, "fixed or follow",
     [](Config& c, Text t) { return set_choice(c.clock, t, kClocks); },
     [](const Config& c) { return format_choice(c.clock, kClocks); }, nullptr},
    {"clock.ns_per_tick", ConfigType::kRate, "fixed: guest nanoseconds per tick, a decimal fraction",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(c.clock_rate, parse_rate(t));
       return {};
     },
     [](const Config& c) { return format_rate(c.clock_rate); }, nullptr},
    {"clock.rtc_start", ConfigType::kNumber, "seconds since 1970 at power-on; 0: a fixed date, or the host's",
     [](Config& c, Text t) -> Result<> {
       TRY_ASSIGN(c.rtc_start, parse_in_range(t, 0, kMaxRtcStart));
       return {};
     },
     [](const Config& c) { return fmt::format("{}", c.rtc_start); }, nullptr},
    {"boot.kernel", ConfigType::kText, "a bzImage, multiboot or PVH kernel; empty: none",
     [](Config& c, Text t) { return set_text(c.kernel, t); }, [](const Config& c) { return c.kernel; },
     nullptr},
    {"boot.initrd", ConfigType::kText, "the initial RAM disk, or the multiboot module; empty: none",
     [](Config& c, Text t) { return set_text(c.initrd, t); }, [](const Config& c) { return c.initrd; },
     nullptr},
    {"boot.append", ConfigType::kText, "the kernel's command line",
     [](Config& c, Text t) -> Result<> {
       if (t.size() > kMaxAppendBytes) {
         return make_error("the command line has {} characters; at most {} are possible", t.size(),
                           kMaxAppendBytes);
       }
       return set_text(c.append, t);
     },
     [](const Config& c) { return c.append; }, nullptr},
};

constexpr std::string_view kDiskKeys = "'file', 'snapshot', 'read_only'";

/// `rest` is "<n>.<key>".
Result<> set_disk_value(Config& config, std::string_view rest, std::string_view text) {
  const size_t dot = rest.find('.');
  if (dot == std::string_view::npos)
    return make_error("a disk's key is disk.<n>.<key>, with <key> of {}", kDiskKeys);
  const std::string_view key = rest.substr(dot + 1);
  TRY_ASSIGN(const u64 index, parse_number(rest.substr(0, dot)));
  if (index > config.disks.size()) {
    return make_error("there are {} disks; the next one has number {}", config.disks.size(),
                      config.disks.size());
  }
  if (index >= kMaxConfigDisks) return make_error("a machine has at most {} disks", kMaxConfigDisks);
  DiskConfig disk = index < config.disks.size() ? config.disks[index] : DiskConfig{};
  if (key == "file") {
    TRY(set_text(disk.file, text));
  } else if (key == "snapshot") {
    TRY(set_bool(disk.snapshot, text));
  } else if (key == "read_only") {
    TRY(set_bool(disk.read_only, text));
  } else {
    return make_error("unknown key '{}'; a disk has {}", key, kDiskKeys);
  }
  if (index == config.disks.size()) {
    config.disks.push_back(std::move(disk));
  } else {
    config.disks[index] = std::move(disk);
  }
  return {};
}

}  // namespace

std::span<const ConfigKey> config_keys() { return kKeys; }

Result<> set_config_value(Config& config, std::string_view key, std::string_view text) {
  if (key.starts_with("disk.")) return set_disk_value(config, key.substr(5), text);
  std::string right;
  for (const ConfigKey& known : kKeys) {
    if (known.name == key) return known.set(config, text);
    right += fmt::format("{}, ", known.name);
  }
  return make_error("unknown key '{}'; known: {}disk.<n>.<key>", key, right);
}

Result<> set_config_assignment(Config& config, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || equals == 0) {
    return make_error("'{}': key=value is wanted", assignment);
  }
  const std::string_view key = assignment.substr(0, equals);
  auto set = set_config_value(config, key, assignment.substr(equals + 1));
  if (!set) return std::move(set).take_error().with_context(key);
  return {};
}

Result<DiskConfig> parse_disk(std::string_view text) {
  // A comma separates, two stand for one of the file's name.
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      parts.back() += text[i];
    } else if (i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += ',';
      ++i;
    } else {
      parts.emplace_back();
    }
  }
  DiskConfig disk;
  TRY(set_text(disk.file, parts[0]));
  if (disk.file.empty()) return make_error("disk '{}': a file name is wanted", text);
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i] == "snapshot") {
      disk.snapshot = true;
    } else if (parts[i] == "readonly") {
      disk.read_only = true;
    } else {
      return make_error("disk '{}': unknown option '{}'; wanted: 'snapshot', 'readonly'", text, parts[i]);
    }
  }
  return disk;
}

Result<SerialConfig> parse_serial(std::string_view text) {
  constexpr std::string_view kFilePrefix = "file:";
  if (text == "stdio") return SerialConfig{.kind = SerialConfig::Kind::kStdio, .path = {}};
  if (text == "none") return SerialConfig{.kind = SerialConfig::Kind::kNone, .path = {}};
  if (text.starts_with(kFilePrefix) && text.size() > kFilePrefix.size()) {
    SerialConfig serial{.kind = SerialConfig::Kind::kFile, .path = {}};
    TRY(set_text(serial.path, text.substr(kFilePrefix.size())));
    return serial;
  }
  return make_error("unknown value '{}'; wanted: 'stdio', 'file:PATH', 'none'", text);
}

std::string format_serial(const SerialConfig& serial) {
  switch (serial.kind) {
    case SerialConfig::Kind::kStdio:
      return "stdio";
    case SerialConfig::Kind::kFile:
      return "file:" + serial.path;
    case SerialConfig::Kind::kNone:
      break;
  }
  return "none";
}

Result<u64> parse_size(std::string_view text) {
  u64 value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 10);
  const std::string_view suffix(end, static_cast<size_t>(text.data() + text.size() - end));
  unsigned shift = 0;
  if (error == std::errc{} && suffix.size() == 1) {
    constexpr std::string_view kSuffixes = "kKmMgGtT";
    const size_t which = kSuffixes.find(suffix[0]);
    if (which != std::string_view::npos) shift = 10 * (static_cast<unsigned>(which) / 2 + 1);
  }
  if (error == std::errc::result_out_of_range) return make_error("'{}' is too large for a size", text);
  if (error != std::errc{} || (!suffix.empty() && shift == 0)) {
    return make_error("'{}' is not a size; bytes, or a number with K, M, G or T is wanted", text);
  }
  if (shift != 0 && value > (~u64{0} >> shift)) return make_error("'{}' is too large for a size", text);
  return value << shift;
}

std::string format_size(u64 size_bytes) {
  constexpr std::string_view kSuffixes = "KMGT";
  for (size_t i = kSuffixes.size(); i-- > 0;) {
    const u64 unit = u64{1} << (10 * (i + 1));
    if (size_bytes != 0 && size_bytes % unit == 0)
      return fmt::format("{}{}", size_bytes / unit, kSuffixes[i]);
  }
  return fmt::format("{}", size_bytes);
}

// Ten decimal places have a step of 1e-10, below the 2^-32 of the fixed-point form; so rounding to nearest
// both ways brings back the same number.
constexpr unsigned kRatePlaces = 10;
constexpr u64 kRateScale = 10'000'000'000;

Result<u64> parse_rate(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole_text = text.substr(0, point);
  const std::string_view places = point == text.size() ? std::string_view{} : text.substr(point + 1);
  const bool digits_only =
      std::all_of(places.begin(), places.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (whole_text.empty() || !digits_only || (point != text.size() && places.empty())) {
    return make_error("'{}' is not a rate; nanoseconds per tick, such as 1 or 0.25, are wanted", text);
  }
  if (places.size() > kRatePlaces)
    return make_error("'{}' has more than {} decimal places", text, kRatePlaces);
  TRY_ASSIGN(const u64 whole, parse_number(whole_text));
  u64 fraction = 0;
  for (size_t i = 0; i < kRatePlaces; ++i) {
    fraction = fraction * 10 + (i < places.size() ? static_cast<u64>(places[i] - '0') : 0);
  }
  constexpr u64 kMaxWhole = 1'000'000;
  const u128 scaled = ((static_cast<u128>(fraction) << 32) + kRateScale / 2) / kRateScale;
  const u64 rate = whole > kMaxWhole ? 0 : (whole << 32) + static_cast<u64>(scaled);
  if (rate == 0 || rate > kMaxWhole << 32) {
    return make_error("{} is out of range; more than 0 and at most {} nanoseconds per tick are possible",
                      text, kMaxWhole);
  }
  return rate;
}

std::string format_rate(u64 rate_32_32) {
  const u128 scaled = (static_cast<u128>(rate_32_32) * kRateScale + (u64{1} << 31)) >> 32;
  std::string text = fmt::format("{}.{:0{}}", static_cast<u64>(scaled / kRateScale),
                                 static_cast<u64>(scaled % kRateScale), kRatePlaces);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text;
}

Result<> validate(const Config& config) {
  for (size_t i = 0; i < config.disks.size(); ++i) {
    if (config.disks[i].file.empty()) return make_error("disk {} has no file", i);
    for (size_t j = 0; j < i; ++j) {
      const bool both_write = !config.disks[i].snapshot && !config.disks[i].read_only &&
                              !config.disks[j].snapshot && !config.disks[j].read_only;
      if (both_write && config.disks[i].file == config.disks[j].file) {
        return make_error("disks {} and {} would both write '{}'; add ',snapshot' to one", j, i,
                          config.disks[i].file);
      }
    }
  }
  if (config.kernel.empty() && !config.initrd.empty()) {
    return make_error("initrd '{}' is given, but no kernel", config.initrd);
  }
  if (config.kernel.empty() && !config.append.empty()) {
    return make_error("a kernel command line is given, but no kernel");
  }
  return {};
}

}  // namespace orrery::machine
