#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace orrery {
namespace {
thread_local CrashContext crash_context = nullptr;
}

void set_crash_context(CrashContext context) { crash_context = context; }

void check_failed(const char* file, int line, const char* expression, std::string_view message) {
  std::fprintf(stderr, "orrery: internal error at %s:%d: CHECK(%s) failed%s%.*s\n", file, line, expression,
               message.empty() ? "" : ": ", static_cast<int>(message.size()), message.data());
  if (crash_context != nullptr) crash_context();
  std::fflush(nullptr);
  std::abort();
}

}  // namespace orrery
