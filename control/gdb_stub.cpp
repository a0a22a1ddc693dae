#include "control/gdb_stub.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "control/gdb_packet.h"
#include "control/gdb_target_xml.h"

namespace orrery::control {
namespace {

constexpr u64 kPageBytes = 4096;
constexpr size_t kMaxPoints = 1024;
constexpr size_t kMaxMemoryBytes = (kMaxPacketBytes - 64) / 2;

// The numbers of errors are gdb's own business; these are errno's.
constexpr const char* kErrorFault = "E0e";
constexpr const char* kErrorInvalid = "E16";
constexpr const char* kErrorTooMany = "E1c";

constexpr const char* kMonitorHelp =
    "monitor state          the whole state except memory\n"
    "monitor tick           the tick and the virtual time\n"
    "monitor phys ADDR LEN  LEN bytes (hexadecimal, at most 1000) at a physical address\n";

std::string without_low_characters(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<u8>(c) < 0x20) c = '?';
  }
  return out;
}

std::span<u8> bytes_of(GuestRegisters& registers, const GdbRegister& reg) {
  return {reinterpret_cast<u8*>(&registers) + reg.offset, reg.size_bytes};
}

/// Calls `each(address, done, bytes)` for the pieces of a range that stay in one page, until it returns
/// false; returns how many bytes were done. The range may wrap at 2^64.
template <class Each>
size_t for_pages(u64 address, size_t size_bytes, Each each) {
  size_t done = 0;
  while (done < size_bytes) {
    const u64 at = address + done;
    const size_t bytes = std::min<size_t>(size_bytes - done, kPageBytes - at % kPageBytes);
    if (!each(at, done, bytes)) break;
    done += bytes;
  }
  return done;
}

machine::WatchKind watch_kind(u8 type) {
  if (type == 2) return machine::WatchKind::kWrite;
  return type == 3 ? machine::WatchKind::kRead : machine::WatchKind::kAccess;
}

/// "addr,length" with nothing behind.
struct Range {
  u64 address;
  u64 length;
};
std::optional<Range> take_range(std::string_view& text) {
  const auto address = take_hex(text);
  if (!address || !take_literal(text, ",")) return std::nullopt;
  const auto length = take_hex(text);
  if (!length) return std::nullopt;
  return Range{*address, *length};
}

}  // namespace

GdbStub::Answer GdbStub::handle(std::string_view packet) {
  Answer answer;
  if (packet.empty()) {
    answer.packets.emplace_back();
    return answer;
  }
  const std::string_view rest = packet.substr(1);
  std::string reply;
  switch (packet[0]) {
    case '?':
      reply = last_stop_;
      break;
    case 'g':
      reply = read_all();
      break;
    case 'G':
      reply = write_all(rest);
      break;
    case 'p':
      reply = read_one(rest);
      break;
    case 'P':
      reply = write_one(rest);
      break;
    case 'm':
      reply = read_memory(rest);
      break;
    case 'M':
      reply = write_memory(rest, false);
      break;
    case 'X':
      reply = write_memory(rest, true);
      break;
    case 'H':
      reply = select_thread(rest);
      break;
    case 'T': {
      std::string_view id = rest;
      reply = take_thread(id) && id.empty() ? "OK" : kErrorInvalid;
      break;
    }
    case 'Z':
    case 'z':
      reply = change_point(packet);
      break;
    case 'q':
      reply = query(rest, answer);
      break;
    case 'Q':
      reply = set_query(rest, answer);
      break;
    case 'c':
    case 'C':
    case 's':
    case 'S':
      reply = resume(packet, answer);
      break;
    case 'v':
      if (rest.starts_with("Cont")) {
        reply = resume_verbose(rest.substr(4), answer);
      } else if (rest.starts_with("Kill")) {
        answer.wish = Wish::kKill;
        reply = "OK";
      }
      break;
    case 'D':
      clear();
      answer.wish = Wish::kDetach;
      reply = "OK";
      break;
    case 'k':
      answer.wish = Wish::kKill;
      return answer;  // has no reply
    default:
      break;  // an empty reply: not supported
  }
  if (answer.wish != Wish::kContinue && answer.wish != Wish::kStep)
    answer.packets.push_back(std::move(reply));
  return answer;
}

std::string GdbStub::stopped(machine::StopReason reason, unsigned cpu, u64 watch_address) {
  selected_ = cpu < target_.cpus() ? cpu : 0;
  std::string detail;
  if (reason == machine::StopReason::kBreakpoint) {
    // Says that RIP is the breakpoint's address already, not behind an INT3.
    const u64 rip = target_.read_registers(selected_).rip;
    const auto is_here = [rip](u8 type) {
      return [rip, type](const Point& p) { return p.type == type && p.address == rip; };
    };
    if (reports_swbreak_ && std::any_of(points_.begin(), points_.end(), is_here(0))) {
      detail = "swbreak:;";
    } else if (reports_hwbreak_ && std::any_of(points_.begin(), points_.end(), is_here(1))) {
      detail = "hwbreak:;";
    }
  } else if (reason == machine::StopReason::kWatchpoint) {
    // gdb wants to know which of its watchpoints it was.
    const char* name = "watch";
    for (const Point& point : points_) {
      if (point.type < 2 || watch_address - point.address >= point.length) continue;
      name = point.type == 2 ? "watch" : point.type == 3 ? "rwatch" : "awatch";
      break;
    }
    detail = fmt::format("{}:{:x};", name, watch_address);
  }
  const int signal = reason == machine::StopReason::kRequested ? 2 : 5;  // SIGINT, SIGTRAP
  last_stop_ = fmt::format("T{:02x}thread:{:x};{}", signal, selected_ + 1, detail);
  return last_stop_;
}

std::string GdbStub::exited(int status) { return fmt::format("W{:02x}", status & 0xff); }

void GdbStub::clear() {
  while (!points_.empty()) {
    const Point point = points_.back();
    points_.pop_back();
    apply(point, false);
  }
  physical_ = false;
}

std::optional<unsigned> GdbStub::take_thread(std::string_view& text) const {
  if (take_literal(text, "-1")) return selected_;
  const auto id = take_hex(text);
  if (!id || *id > target_.cpus()) return std::nullopt;
  return *id == 0 ? selected_ : static_cast<unsigned>(*id - 1);
}

std::string GdbStub::select_thread(std::string_view rest) {
  if (rest.empty() || (rest[0] != 'g' && rest[0] != 'c')) return kErrorInvalid;
  std::string_view id = rest.substr(1);
  const auto cpu = take_thread(id);
  if (!cpu || !id.empty()) return kErrorInvalid;
  if (rest[0] == 'g') selected_ = *cpu;
  return "OK";
}

// ---- Registers ----

std::string GdbStub::read_all() {
  GuestRegisters registers = target_.read_registers(selected_);
  std::string out;
  for (const GdbRegister& reg : gdb_registers()) out += to_hex(bytes_of(registers, reg));
  return out;
}

std::string GdbStub::write_all(std::string_view rest) {
  const auto bytes = from_hex(rest);
  if (!bytes) return kErrorInvalid;
  GuestRegisters registers = target_.read_registers(selected_);
  size_t at = 0;
  for (const GdbRegister& reg : gdb_registers()) {
    if (bytes->size() - at < reg.size_bytes) return kErrorInvalid;
    if (reg.writable) std::memcpy(bytes_of(registers, reg).data(), bytes->data() + at, reg.size_bytes);
    at += reg.size_bytes;
  }
  if (at != bytes->size()) return kErrorInvalid;
  target_.write_registers(selected_, registers);
  return "OK";
}

std::string GdbStub::read_one(std::string_view rest) {
  const auto number = take_hex(rest);
  if (!number || !rest.empty() || *number >= gdb_registers().size()) return kErrorInvalid;
  GuestRegisters registers = target_.read_registers(selected_);
  return to_hex(bytes_of(registers, gdb_registers()[*number]));
}

std::string GdbStub::write_one(std::string_view rest) {
  const auto number = take_hex(rest);
  if (!number || !take_literal(rest, "=") || *number >= gdb_registers().size()) return kErrorInvalid;
  const GdbRegister& reg = gdb_registers()[*number];
  const auto bytes = from_hex(rest);
  if (!bytes || bytes->size() != reg.size_bytes || !reg.writable) return kErrorInvalid;
  GuestRegisters registers = target_.read_registers(selected_);
  std::memcpy(bytes_of(registers, reg).data(), bytes->data(), reg.size_bytes);
  target_.write_registers(selected_, registers);
  return "OK";
}

// ---- Memory ----

std::string GdbStub::read_memory(std::string_view rest) {
  const auto range = take_range(rest);
  if (!range || !rest.empty()) return kErrorInvalid;
  // A shorter reply than asked for is a legal one.
  std::vector<u8> bytes(std::min<u64>(range->length, kMaxMemoryBytes));
  const size_t done = for_pages(range->address, bytes.size(), [&](u64 at, size_t offset, size_t size) {
    const std::span<u8> piece(bytes.data() + offset, size);
    return physical_ ? target_.read_physical(at, piece) : target_.read_linear(selected_, at, piece);
  });
  if (done == 0 && !bytes.empty()) return kErrorFault;
  return to_hex({bytes.data(), done});
}

std::string GdbStub::write_memory(std::string_view rest, bool binary) {
  const auto range = take_range(rest);
  if (!range || !take_literal(rest, ":")) return kErrorInvalid;
  std::vector<u8> bytes;
  if (binary) {
    bytes.assign(rest.begin(), rest.end());
  } else {
    auto decoded = from_hex(rest);
    if (!decoded) return kErrorInvalid;
    bytes = std::move(*decoded);
  }
  if (bytes.size() != range->length) return kErrorInvalid;
  const size_t done = for_pages(range->address, bytes.size(), [&](u64 at, size_t offset, size_t size) {
    const std::span<const u8> piece(bytes.data() + offset, size);
    return physical_ ? target_.write_physical(at, piece) : target_.write_linear(selected_, at, piece);
  });
  return done == bytes.size() ? "OK" : kErrorFault;
}

// ---- Breakpoints and watchpoints ----

void GdbStub::apply(const Point& point, bool insert) {
  if (point.type >= 2) {
    if (insert) {
      target_.add_watchpoint(point.address, point.length, watch_kind(point.type));
    } else {
      target_.remove_watchpoint(point.address, point.length, watch_kind(point.type));
    }
    return;
  }
  // Both kinds of breakpoint are the same to the machine; it holds one per address.
  const bool shared = std::any_of(points_.begin(), points_.end(), [&](const Point& other) {
    return other.type < 2 && other.address == point.address && other.type != point.type;
  });
  if (shared) return;
  if (insert) {
    target_.add_breakpoint(point.address);
  } else {
    target_.remove_breakpoint(point.address);
  }
}

std::string GdbStub::change_point(std::string_view packet) {
  const bool insert = packet[0] == 'Z';
  std::string_view rest = packet.substr(1);
  if (rest.empty() || rest[0] < '0' || rest[0] > '4') return {};
  Point point{.type = static_cast<u8>(rest[0] - '0'), .address = 0, .length = 1};
  rest.remove_prefix(1);
  if (!take_literal(rest, ",")) return kErrorInvalid;
  const auto range = take_range(rest);
  // Conditions and commands (";X...") were not offered.
  if (!range || !rest.empty()) return kErrorInvalid;
  point.address = range->address;
  if (point.type >= 2) {
    if (range->length < 1 || range->length > 8) return kErrorInvalid;
    point.length = range->length;
  }
  const auto found = std::find(points_.begin(), points_.end(), point);
  if (insert == (found != points_.end())) return "OK";  // gdb may ask twice
  if (!insert) {
    points_.erase(found);
    apply(point, false);
    return "OK";
  }
  if (points_.size() == kMaxPoints) return kErrorTooMany;
  apply(point, true);
  points_.push_back(point);
  return "OK";
}

// ---- Going on ----

std::string GdbStub::resume(std::string_view packet, Answer& answer) {
  const char kind = packet[0];
  std::string_view rest = packet.substr(1);
  if (kind == 'C' || kind == 'S') {
    // The signal means nothing to a machine.
    if (!take_hex(rest)) {
      answer.wish = Wish::kStay;
      return kErrorInvalid;
    }
    take_literal(rest, ";");
  }
  if (!rest.empty()) {
    const auto address = take_hex(rest);
    if (!address || !rest.empty()) return kErrorInvalid;
    GuestRegisters registers = target_.read_registers(selected_);
    registers.rip = *address;
    target_.write_registers(selected_, registers);
  }
  answer.wish = kind == 'c' || kind == 'C' ? Wish::kContinue : Wish::kStep;
  answer.cpu = selected_;
  return {};
}

std::string GdbStub::resume_verbose(std::string_view rest, Answer& answer) {
  if (rest == "?") return "vCont;c;C;s;S";
  // The first action that fits a thread counts; a step of any thread wins over continuing the others.
  Wish wish = Wish::kStay;
  unsigned cpu = selected_;
  while (take_literal(rest, ";")) {
    if (rest.empty()) return kErrorInvalid;
    const char kind = rest[0];
    rest.remove_prefix(1);
    if (kind != 'c' && kind != 'C' && kind != 's' && kind != 'S') return kErrorInvalid;
    if ((kind == 'C' || kind == 'S') && !take_hex(rest)) return kErrorInvalid;
    unsigned thread = selected_;
    if (take_literal(rest, ":")) {
      const auto taken = take_thread(rest);
      if (!taken) return kErrorInvalid;
      thread = *taken;
    }
    if (wish == Wish::kStep) continue;
    if (kind == 's' || kind == 'S') {
      wish = Wish::kStep;
      cpu = thread;
    } else {
      wish = Wish::kContinue;
    }
  }
  if (!rest.empty() || wish == Wish::kStay) return kErrorInvalid;
  answer.wish = wish;
  answer.cpu = cpu;
  return {};
}

// ---- Queries ----

std::string GdbStub::query(std::string_view packet, Answer& answer) {
  std::string_view rest = packet;
  if (take_literal(rest, "Supported")) {
    reports_swbreak_ = rest.find("swbreak+") != std::string_view::npos;
    reports_hwbreak_ = rest.find("hwbreak+") != std::string_view::npos;
    return fmt::format(
        "PacketSize={:x};QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+",
        kMaxPacketBytes);
  }
  if (take_literal(rest, "Xfer:features:read:target.xml:")) return transfer(rest);
  if (take_literal(rest, "Rcmd,")) return monitor(rest, answer);
  if (rest == "fThreadInfo") {
    std::string out = "m";
    for (unsigned i = 0; i < target_.cpus(); ++i) out += fmt::format("{}{:x}", i == 0 ? "" : ",", i + 1);
    return out;
  }
  if (rest == "sThreadInfo") return "l";
  if (take_literal(rest, "ThreadExtraInfo,")) {
    const auto cpu = take_thread(rest);
    if (!cpu || !rest.empty()) return kErrorInvalid;
    return text_to_hex(fmt::format("vCPU {}", *cpu));
  }
  if (rest == "C") return fmt::format("QC{:x}", selected_ + 1);
  if (rest.starts_with("Attached")) return "1";
  if (rest.starts_with("Symbol")) return "OK";
  if (rest == "qemu.PhyMemMode") return physical_ ? "1" : "0";
  return {};
}

std::string GdbStub::set_query(std::string_view packet, Answer& answer) {
  if (packet == "StartNoAckMode") {
    answer.start_no_ack = true;
    return "OK";
  }
  if (packet == "qemu.PhyMemMode:0" || packet == "qemu.PhyMemMode:1") {
    physical_ = packet.back() == '1';
    return "OK";
  }
  return {};
}

std::string GdbStub::transfer(std::string_view rest) {
  const auto range = take_range(rest);
  if (!range || !rest.empty()) return kErrorInvalid;
  const std::string xml = gdb_target_xml();
  if (range->address >= xml.size()) return "l";
  const u64 length = std::min<u64>(range->length, kMaxPacketBytes / 2);
  const std::string_view piece = std::string_view(xml).substr(range->address, length);
  return (range->address + piece.size() < xml.size() ? "m" : "l") + std::string(piece);
}

std::string GdbStub::monitor(std::string_view rest, Answer& answer) {
  const auto bytes = from_hex(rest);
  if (!bytes) return kErrorInvalid;
  const std::string command(bytes->begin(), bytes->end());
  std::string out;
  if (command == "state") {
    out = target_.dump_state();
  } else if (command == "tick") {
    out = fmt::format("tick: {} time: {} ns\n", target_.tick(), target_.virtual_time_ns());
  } else if (command.starts_with("phys ")) {
    out = monitor_physical(std::string_view(command).substr(5));
  } else {
    if (command != "help") out = fmt::format("unknown command '{}'\n", without_low_characters(command));
    out += kMonitorHelp;
  }
  constexpr size_t kPieceBytes = kMaxPacketBytes / 4;
  for (size_t at = 0; at < out.size(); at += kPieceBytes) {
    answer.packets.push_back("O" + text_to_hex(std::string_view(out).substr(at, kPieceBytes)));
  }
  return "OK";
}

std::string GdbStub::monitor_physical(std::string_view rest) {
  const auto take_number = [&rest] {
    while (take_literal(rest, " ")) continue;
    take_literal(rest, "0x");
    return take_hex(rest);
  };
  constexpr u64 kMaxBytes = 0x1000;
  const auto address = take_number();
  const auto length = take_number();
  if (!address || !length || !rest.empty() || *length > kMaxBytes) return kMonitorHelp;
  std::string out;
  for (u64 line = 0; line < *length; line += 16) {
    out += fmt::format("{:016x}:", *address + line);
    for (u64 i = line; i < std::min(*length, line + 16); ++i) {
      std::array<u8, 1> byte{};
      out += target_.read_physical(*address + i, byte) ? fmt::format(" {:02x}", byte[0]) : " --";
    }
    out += '\n';
  }
  return out;
}

}  // namespace orrery::control
