#include "base/input_log.h"

#include <cstring>

#include <xxhash.h>

#include "base/bits.h"

namespace orrery {
namespace {

constexpr char kMagic[8] = {'O', 'R', 'R', 'E', 'R', 'Y', 'L', 'G'};
constexpr size_t kHeaderFixedBytes = 16;
constexpr size_t kRecordFixedBytes = 1 + 8 + 2 + 4;
constexpr u8 kInputRecord = 1;
constexpr u8 kEndRecord = 2;

template <class T>
void put(std::vector<u8>& out, T value) {
  u8 bytes[sizeof(T)];
  store_le(bytes, value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

}  // namespace

Result<std::unique_ptr<InputLogWriter>> InputLogWriter::create(const std::string& path,
                                                               std::string_view description) {
  CHECK(description.size() <= kMaxDescriptionBytes);
  std::FILE* file = std::fopen(path.c_str(), "wxbe");
  if (file == nullptr) return make_errno_error(fmt::format("creating the log '{}'", path));
  auto writer = std::unique_ptr<InputLogWriter>(new InputLogWriter(file, path));
  std::vector<u8> header(kMagic, kMagic + sizeof kMagic);
  put(header, kInputLogVersion);
  put(header, static_cast<u32>(description.size()));
  header.insert(header.end(), description.begin(), description.end());
  put(header, static_cast<u64>(XXH3_64bits(header.data(), header.size())));
  if (std::fwrite(header.data(), 1, header.size(), file) != header.size() || std::fflush(file) != 0) {
    const Error error = make_errno_error(fmt::format("writing the log '{}'", path));
    std::remove(path.c_str());  // it is new, and of no use
    return error;
  }
  return writer;
}

InputLogWriter::~InputLogWriter() {
  if (file_ != nullptr) std::fclose(file_);
}

Result<> InputLogWriter::write_record(u8 kind, Tick tick, u16 channel, std::span<const u8> payload) {
  if (error_) return Error{*error_};
  CHECK(payload.size() <= kMaxPayloadBytes);
  std::vector<u8> record;
  record.reserve(kRecordFixedBytes + payload.size() + 4);
  put(record, kind);
  put(record, tick);
  put(record, channel);
  put(record, static_cast<u32>(payload.size()));
  record.insert(record.end(), payload.begin(), payload.end());
  put(record, static_cast<u32>(XXH3_64bits(record.data(), record.size())));
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size()) {
    error_ = make_errno_error(fmt::format("writing the log '{}'", path_));
    return Error{*error_};
  }
  return {};
}

Result<> InputLogWriter::append(const InputEvent& event) {
  return write_record(kInputRecord, event.tick, event.channel, event.payload);
}

Result<> InputLogWriter::flush() {
  if (error_) return Error{*error_};
  if (std::fflush(file_) != 0) {
    error_ = make_errno_error(fmt::format("writing the log '{}'", path_));
    return Error{*error_};
  }
  return {};
}

Result<> InputLogWriter::finish(Tick tick, u64 state_hash) {
  u8 payload[8];
  store_le(payload, state_hash);
  TRY(write_record(kEndRecord, tick, 0, payload));
  return flush();
}

Result<InputLog> InputLog::load(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return make_errno_error(fmt::format("opening the log '{}'", path));
  std::vector<u8> bytes;
  u8 buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file))
    bytes.insert(bytes.end(), buffer, buffer + n);
  const bool failed = std::ferror(file) != 0;
  std::fclose(file);
  if (failed) return make_errno_error(fmt::format("reading the log '{}'", path));
  return parse(bytes, path);
}

Result<InputLog> InputLog::parse(std::span<const u8> bytes, std::string_view name) {
  if (bytes.size() < kHeaderFixedBytes || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0) {
    return make_error("log '{}': not an orrery log", name);
  }
  const u32 version = load_le<u32>(bytes.data() + 8);
  if (version != kInputLogVersion) {
    return make_error("log '{}': version {}, this program reads version {}", name, version, kInputLogVersion);
  }
  const u32 length = load_le<u32>(bytes.data() + 12);
  if (length > kMaxDescriptionBytes || bytes.size() < kHeaderFixedBytes + length + 8) {
    return make_error("log '{}': the header is truncated", name);
  }
  const size_t header_size = kHeaderFixedBytes + length;
  if (load_le<u64>(bytes.data() + header_size) != XXH3_64bits(bytes.data(), header_size)) {
    return make_error("log '{}': the header is damaged", name);
  }
  InputLog log;
  log.description.assign(reinterpret_cast<const char*>(bytes.data()) + kHeaderFixedBytes, length);
  size_t at = header_size + 8;
  Tick last_tick = 0;
  while (at < bytes.size()) {
    const size_t left = bytes.size() - at;
    if (left < kRecordFixedBytes) break;  // the recorder was killed while writing
    const u8* record = bytes.data() + at;
    const u32 payload_length = load_le<u32>(record + 11);
    if (payload_length > kMaxPayloadBytes) {
      return make_error("log '{}': the record at byte {} is damaged", name, at);
    }
    const size_t record_size = kRecordFixedBytes + payload_length;
    if (left < record_size + 4) break;
    if (load_le<u32>(record + record_size) != static_cast<u32>(XXH3_64bits(record, record_size))) {
      return make_error("log '{}': the record at byte {} is damaged", name, at);
    }
    const u8 kind = record[0];
    const Tick tick = load_le<u64>(record + 1);
    if (log.complete || tick < last_tick || (kind != kInputRecord && kind != kEndRecord)) {
      return make_error("log '{}': the record at byte {} is out of order", name, at);
    }
    last_tick = tick;
    if (kind == kInputRecord) {
      InputEvent event{.tick = tick, .channel = load_le<u16>(record + 9), .payload = {}};
      event.payload.assign(record + kRecordFixedBytes, record + record_size);
      log.events.push_back(std::move(event));
    } else {
      if (payload_length != 8) return make_error("log '{}': the end record is damaged", name);
      log.complete = true;
      log.end_tick = tick;
      log.end_state_hash = load_le<u64>(record + kRecordFixedBytes);
    }
    at += record_size + 4;
  }
  if (!log.complete && !log.events.empty()) log.end_tick = last_tick;
  return log;
}

}  // namespace orrery
