// Result<T>: the channel for what is bad about the host, a file, a flag, a snapshot or a log.
//
// Never for what the guest does: that is `cpu::Fault` or a device's bus default.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/check.h"

namespace orrery {

/// What was being done and what went wrong, in one lower-case line that names the thing.
struct Error {
  std::string message;
  /// The same error with what was being done put before it: "context: message".
  Error with_context(std::string_view context) && { return Error{fmt::format("{}: {}", context, message)}; }
};

template <class... Args>
Error make_error(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}
/// `make_error` with the host's word for `errno` at the end.
Error make_errno_error(std::string_view what);

template <class T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : v_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }
  T& value() & {
    CHECK(ok(), ok() ? "" : error().message);
    return std::get<0>(v_);
  }
  const T& value() const& {
    CHECK(ok(), ok() ? "" : error().message);
    return std::get<0>(v_);
  }
  T&& value() && {
    CHECK(ok(), ok() ? "" : error().message);
    return std::get<0>(std::move(v_));
  }
  T& operator*() & { return value(); }
  T* operator->() { return &value(); }
  const Error& error() const { return std::get<1>(v_); }
  Error take_error() && { return std::get<1>(std::move(v_)); }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}
  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const { return *error_; }
  Error take_error() && { return *std::move(error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace orrery

#define ORRERY_CONCAT_(a, b) a##b
#define ORRERY_CONCAT(a, b) ORRERY_CONCAT_(a, b)
/// Evaluates a Result<void>; returns its error from the enclosing function.
#define TRY(expr)                                                                                 \
  do {                                                                                            \
    if (auto try_result_ = (expr); !try_result_.ok()) return std::move(try_result_).take_error(); \
  } while (false)
/// Declares `decl` from a Result<T>'s value; returns its error from the enclosing function.
#define TRY_ASSIGN(decl, expr)                                          \
  auto ORRERY_CONCAT(try_value_, __LINE__) = (expr);                    \
  if (!ORRERY_CONCAT(try_value_, __LINE__).ok())                        \
    return std::move(ORRERY_CONCAT(try_value_, __LINE__)).take_error(); \
  decl = std::move(ORRERY_CONCAT(try_value_, __LINE__)).value()
