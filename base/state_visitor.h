// StateVisitor: one `visit_state` per class serves saving, loading, hashing, dumping and comparing.
//
// A class lists every field of its `State` once, in a fixed order:
//
//   void visit_state(StateVisitor& v) {
//     v.field("mask", state_.mask);
//     v.array("lines", state_.lines);
//   }
//
// The order is the format; a changed order bumps the section's version. Loading is untrusted input: counts
// are bounded before anything is allocated, and a class checks its invariants after loading through
// `v.require`.
#pragma once

#include <array>
#include <concepts>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace orrery {

class StateVisitor {
 public:
  virtual ~StateVisitor() = default;

  /// True only for the reader: fields are being replaced, and derived state must be rebuilt after.
  virtual bool loading() const { return false; }

  /// Opens a named part ("cpu0", "pic"); parts nest. `version` must match when loading.
  virtual void begin(std::string_view name, u32 version) = 0;
  virtual void end() = 0;

  /// `size_bytes` of plain bytes at `data`; integers and enums come through here, little-endian.
  virtual void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) = 0;
  /// The count of a variable-sized sequence. When loading, sets it, and fails if over `limit`.
  virtual void count(std::string_view name, u64& n, u64 limit) = 0;
  /// When loading: records an error naming the part unless `holds`. Else nothing.
  virtual void require(bool holds, std::string_view what) = 0;

  template <class T>
  requires(std::is_integral_v<T> || std::is_enum_v<T>) void field(std::string_view name, T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      u8 byte = value ? 1 : 0;
      raw(name, &byte, 1, true);
      require(byte <= 1, "boolean is 0 or 1");
      value = byte == 1;
    } else {
      raw(name, &value, sizeof value, true);
    }
  }
  void field(std::string_view name, VirtualTime& value) { field(name, value.ns); }
  template <class Tag>
  void field(std::string_view name, Address<Tag>& value) {
    field(name, value.value);
  }
  /// An enumerator that must be at most `last` when loaded.
  template <class T>
  requires(std::is_enum_v<T>) void enumeration(std::string_view name, T& value, T last) {
    T loaded = value;
    raw(name, &loaded, sizeof loaded, true);
    using U = std::make_unsigned_t<std::underlying_type_t<T>>;
    const bool holds = static_cast<U>(loaded) <= static_cast<U>(last);
    require(holds, "enumerator in range");
    if (holds) value = loaded;
  }
  /// A fixed-size array of integers or bytes.
  template <class T, size_t N>
  requires(std::is_integral_v<T>) void array(std::string_view name, std::array<T, N>& values) {
    raw(name, values.data(), sizeof values, false);
  }
  template <class T, size_t N>
  requires(std::is_integral_v<T>) void array(std::string_view name, T (&values)[N]) {
    raw(name, values, sizeof values, false);
  }
  /// A vector of integers, at most `limit` elements when loaded.
  template <class T>
  requires(std::is_integral_v<T>) void vector(std::string_view name, std::vector<T>& values, u64 limit) {
    u64 n = values.size();
    count(name, n, limit);
    if (loading()) values.assign(static_cast<size_t>(n), T{});
    if (n != 0) raw(name, values.data(), static_cast<size_t>(n) * sizeof(T), false);
  }
  void string(std::string_view name, std::string& value, u64 limit);
};

/// Hashes with XXH3 (64 bit).
class StateHasher final : public StateVisitor {
 public:
  StateHasher();
  ~StateHasher() override;
  void begin(std::string_view name, u32 version) override;
  void end() override {}
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override;
  void count(std::string_view name, u64& n, u64 limit) override;
  void require(bool, std::string_view) override {}
  void bytes(std::span<const u8> data);
  u64 digest() const;

 private:
  void* state_;
};

/// Writes a snapshot section.
class StateWriter final : public StateVisitor {
 public:
  void begin(std::string_view name, u32 version) override;
  void end() override;
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override;
  void count(std::string_view name, u64& n, u64 limit) override;
  void require(bool, std::string_view) override {}
  const std::vector<u8>& bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_;
};

/// Reads what StateWriter wrote; the first error stays and every later field is left alone.
class StateReader final : public StateVisitor {
 public:
  explicit StateReader(std::span<const u8> bytes) : bytes_(bytes) {}
  bool loading() const override { return true; }
  void begin(std::string_view name, u32 version) override;
  void end() override;
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override;
  void count(std::string_view name, u64& n, u64 limit) override;
  void require(bool holds, std::string_view what) override;
  /// Ok when every field was there and every requirement held, and all bytes were used.
  Result<> finish() const;

 private:
  void fail(std::string message);
  bool take(void* out, size_t size_bytes);
  std::span<const u8> bytes_;
  size_t at_ = 0;
  std::vector<std::string> path_;
  std::optional<std::string> error_;
};

/// Text for people: one "part.field: value" per line.
class StateDumper final : public StateVisitor {
 public:
  void begin(std::string_view name, u32 version) override;
  void end() override;
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override;
  void count(std::string_view name, u64& n, u64 limit) override;
  void require(bool, std::string_view) override {}
  const std::string& text() const { return text_; }

 private:
  std::string prefix() const;
  std::vector<std::string> path_;
  std::string text_;
};

/// Compares with bytes that StateWriter made of another machine, and names the first field that differs.
class StateDiffer final : public StateVisitor {
 public:
  explicit StateDiffer(std::span<const u8> other) : other_(other) {}
  void begin(std::string_view name, u32 version) override;
  void end() override;
  void raw(std::string_view name, void* data, size_t size_bytes, bool is_number) override;
  void count(std::string_view name, u64& n, u64 limit) override;
  void require(bool, std::string_view) override {}
  /// "cpu0.rax: 0x1 here, 0x2 there", or nothing when equal.
  const std::optional<std::string>& difference() const { return difference_; }

 private:
  std::span<const u8> take(size_t size_bytes, std::string_view name);
  std::span<const u8> other_;
  size_t at_ = 0;
  std::vector<std::string> path_;
  std::optional<std::string> difference_;
};

}  // namespace orrery
