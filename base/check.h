// CHECK: our own code is wrong. Stays on in release builds; the guest can never reach one.
// DCHECK: the same in `dev` and sanitizer builds only.
#pragma once

#include <string_view>

namespace orrery {

/// Prints what failed, with whatever `set_crash_context` was given, and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               std::string_view message = {});

/// Something to print with a failed CHECK (the machine's tick, the seed). Called on the failing thread.
using CrashContext = void (*)();
void set_crash_context(CrashContext context);

}  // namespace orrery

#define CHECK(expr, ...) \
  (static_cast<bool>(expr) ? void() : ::orrery::check_failed(__FILE__, __LINE__, #expr, ##__VA_ARGS__))
#if defined(ORRERY_DCHECK)
#define DCHECK(expr, ...) CHECK(expr, ##__VA_ARGS__)
#else
#define DCHECK(expr, ...) static_cast<void>(sizeof(!(expr)))
#endif
