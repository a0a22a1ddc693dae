// Translator: the engine that runs 64-bit guest code, and 32-bit code in flat segments, as translated host
// code, and leaves everything else (other modes, single steps, what is run once) to the interpreter.
// [SDM1 3.4], [SysV ABI]
//
// Not modelled: 16-bit code, 32-bit code in other segments, superblocks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "cpu/interpreter.h"
#include "jit/statistics.h"
#include "jit/translator_config.h"

namespace orrery::jit {

class Translator final : public cpu::Engine {
 public:
  using Config = TranslatorConfig;
  /// Outlived by `ram`, `decode_cache` and every vCPU that it runs.
  static Result<std::unique_ptr<Translator>> create(memory::Ram& ram, cpu::DecodeCache& decode_cache,
                                                    const Config& config);
  ~Translator() override;

  cpu::EngineExit run(cpu::Vcpu& cpu, bool skip_breakpoint) override;
  std::string statistics() const override;

 private:
  struct Impl;
  explicit Translator(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace orrery::jit
