// Fuzzes the machine file: any bytes give a description or one line; an accepted one survives being printed
// and read.

#include "base/check.h"
#include "machine/config_toml.h"

extern "C" int LLVMFuzzerTestOneInput(const orrery::u8* data, size_t size) {
  using namespace orrery::machine;
  Config config;
  const auto applied = apply_toml(config, {reinterpret_cast<const char*>(data), size}, "fuzz.toml");
  if (!applied) {
    CHECK(applied.error().message.find('\n') == std::string::npos, applied.error().message);
    return 0;
  }
  Config again;
  const std::string printed = to_toml(config);
  const auto reread = apply_toml(again, printed, "printed.toml");
  CHECK(reread.ok(), reread.ok() ? "" : reread.error().message);
  CHECK(again == config, printed);
  return 0;
}
