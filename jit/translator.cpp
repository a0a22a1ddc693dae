// The loop around translated code: finding, translating and linking blocks, and running handlers for their
// sites.
#include "jit/translator.h"

#include <cpuid.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "cpu/exec/common.h"
#include "cpu/isa/table.h"
#include "jit/code_cache.h"
#include "jit/flags_image.h"
#include "jit/host_profile.h"
#include "jit/listing.h"
#include "jit/return_stack.h"
#include "jit/x64/block_emitter.h"

namespace orrery::jit {
namespace {

constexpr u32 kRewrittenSlots = 1u << 16;

using cpu::isa::Feature;

u64 features_of_host() {
  u64 features = 0;
  const auto add = [&features](Feature f, int has) {
    if (has != 0) features |= u64{1} << static_cast<unsigned>(f);
  };
  __builtin_cpu_init();
  for (const Feature f :
       {Feature::kBase, Feature::kFpu, Feature::kCx8, Feature::kCmov, Feature::kMmx, Feature::kFxsr,
        Feature::kSse, Feature::kSse2, Feature::kMmxExt, Feature::kPrefetchw, Feature::kTsc})
    add(f, 1);
  // What Clang's __builtin_cpu_supports has no name for is read from CPUID.
  const bool avx = __builtin_cpu_supports("avx") != 0;  // the system's part, too
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) {
    add(Feature::kCx16, ecx & bit_CMPXCHG16B);
    add(Feature::kMovbe, ecx & bit_MOVBE);
    add(Feature::kF16c, avx && (ecx & bit_F16C) != 0);
  }
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) {
    add(Feature::kAdx, ebx & bit_ADX);
    add(Feature::kSha, ebx & bit_SHA);
    add(Feature::kVaes, avx && (ecx & bit_VAES) != 0);
  }
  if (__get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0) {
    add(Feature::kLahf, ecx & bit_LAHF_LM);
    add(Feature::kLzcnt, ecx & bit_LZCNT);
  }
  add(Feature::kSse3, __builtin_cpu_supports("sse3"));
  add(Feature::kSsse3, __builtin_cpu_supports("ssse3"));
  add(Feature::kSse41, __builtin_cpu_supports("sse4.1"));
  add(Feature::kSse42, __builtin_cpu_supports("sse4.2"));
  add(Feature::kSse4a, __builtin_cpu_supports("sse4a"));
  add(Feature::kPopcnt, __builtin_cpu_supports("popcnt"));
  add(Feature::kAes, __builtin_cpu_supports("aes"));
  add(Feature::kPclmul, __builtin_cpu_supports("pclmul"));
  add(Feature::kAvx, avx);
  add(Feature::kAvx2, __builtin_cpu_supports("avx2"));
  add(Feature::kFma, __builtin_cpu_supports("fma"));
  add(Feature::kBmi1, __builtin_cpu_supports("bmi"));
  add(Feature::kBmi2, __builtin_cpu_supports("bmi2"));
  add(Feature::kVpclmul, __builtin_cpu_supports("vpclmulqdq"));
  add(Feature::kGfni, __builtin_cpu_supports("gfni"));
  return features;
}

/// Before Zen 3, AMD's PEXT takes hundreds of cycles.
bool pext_is_quick() {
  const unsigned family = HostProfile::amd_family();
  return __builtin_cpu_supports("bmi2") != 0 && (family == 0 || family >= 0x19);
}

constexpr u64 kArithmetic = cpu::rflags::kArithmetic;

void take_flags(cpu::Vcpu& cpu) {
  cpu.state.rflags = (cpu.state.rflags & ~kArithmetic) | flags_image::flags(cpu.translator);
}
void give_flags(cpu::Vcpu& cpu) { cpu.translator.flags_image = flags_image::of_flags(cpu.state.rflags); }

/// A data segment that lets every access through that does not reach over its 4 GiB.
bool is_open(const cpu::Segment& s) {
  using namespace cpu::seg_attr;
  return s.usable() && s.limit == 0xffffffff && (s.attributes & (kCode | kExpandDown)) == 0 &&
         (s.attributes & kWritable) != 0;
}
/// Whether this is 32-bit code in protected mode, with the segments that its translations take for granted.
bool is_flat(const cpu::Vcpu& cpu) {
  const auto& seg = cpu.state.seg;
  const auto from_zero = [&seg](cpu::SegmentIndex i) { return seg[i].base == 0 && is_open(seg[i]); };
  return cpu.code_bits() == 32 && cpu.protected_mode() && !cpu.vm86() && seg[cpu::kCs].base == 0 &&
         seg[cpu::kCs].limit == 0xffffffff && from_zero(cpu::kDs) && from_zero(cpu::kEs) &&
         from_zero(cpu::kSs) && (seg[cpu::kSs].attributes & cpu::seg_attr::kDb) != 0;
}
/// `offset`: from the running block's page on.
void set_rip(cpu::Vcpu& cpu, u64 offset) {
  const u64 rip = cpu.translator.code_page + offset;
  cpu.state.gpr[cpu::kRip] = cpu.long64() ? rip : static_cast<u32>(rip);
}

}  // namespace

struct Translator::Impl {
  Impl(memory::Ram& machine_ram, cpu::DecodeCache& machine_decode_cache, std::unique_ptr<CodeArena> arena,
       ReturnStack stack)
      : ram(machine_ram),
        return_stack(std::move(stack)),
        cache(machine_ram, std::move(arena)),
        scanner(machine_decode_cache.decoder()),
        decode_cache(machine_decode_cache),
        host_features(features_of_host()),
        has_pext(pext_is_quick()),
        host_profile(HostProfile::of_host()),
        rewritten(kRewrittenSlots) {
    stats.handlers.resize(cpu::isa::rows().size());
    stats.misses.resize(cpu::isa::rows().size());
  }

  static u32 rewritten_slot(const u8* host) {
    const u64 address = reinterpret_cast<u64>(host);
    return (address ^ (address >> 16)) % kRewrittenSlots;
  }
  /// Whether the place at `host` is written so often that its constants are taken for data.
  bool is_patched(const u8* host, u32 decode_key) const {
    constexpr u8 kLeastRewrites = 4;
    const u8 times = decode_cache.rewrites(host, decode_key);
    return times >= kLeastRewrites && times <= cpu::DecodeCache::kMostRewrites;
  }
  /// Counts a run of the place at `host`, which has no block. Whether it may have one now.
  bool becomes_hot(const u8* host, u32 decode_key);
  void attach(cpu::Vcpu& cpu);
  u32 frame_of(const u8* host) const { return static_cast<u32>(ram.frame_of(host)); }
  u32 key_of(const cpu::Vcpu& cpu) const;
  /// `key_bits`: kNoGroups or 0. `arrived`: this is a run of a place that has no block, and may translate it.
  BlockId find_block(cpu::Vcpu& cpu, u32 key_bits, bool arrived = true);
  BlockId translate(cpu::Vcpu& cpu, const u8* host, u32 key);
  /// The place at `host` is none for blocks that read their constants: for a while its code is translated
  /// only if it stays as it is.
  void distrust_constants(const u8* host, u32 key) {
    decode_cache.rewrites(host, key & block_key::kDecodeMask) = cpu::DecodeCache::kNoRewrites;
    rewritten[rewritten_slot(host)] = 1;
  }
  /// A dropped block of this place that holds again.
  BlockId find_revived(const u8* host, u32 key);
  /// Shortens what has been scanned at `host` to what lies before another block.
  void end_before_known(const u8* host, u32 key);
  const x64::IndirectStubs& stubs_for(u32 key);
  ExitKind enter(cpu::Vcpu& cpu, BlockId id);
  static x64::Resume run_site_for(void* engine, cpu::CpuState* state, u64 exit);
  template <cpu::Access access>
  static u64 fill(void* engine, cpu::CpuState*, u64 linear) {
    return static_cast<Impl*>(engine)->running->quick_fill(linear, access) ? 1 : 0;
  }
  static u64 fill_code(void* engine, cpu::CpuState*, u64 linear) {
    return static_cast<Impl*>(engine)->running->quick_fill_code(linear) ? 1 : 0;
  }
  static u64 read_time_stamp(void* engine, cpu::CpuState* state, u64 ticks_ago);
  static u64 find_target(void* engine, cpu::CpuState* state, u64 linear);
  /// Runs the handler of a site.
  x64::Resume run_site(cpu::Vcpu& cpu, SiteId id);
  /// The block that comes next, if there is one that may be entered.
  x64::Resume go_on(cpu::Vcpu& cpu);
  void prepare(cpu::Vcpu& cpu, const Block& b);
  /// Before blocks with `key` are entered: lets Targets go that don't hold any more. Whether all have held
  /// since the last call, and with them the host's return addresses. (In the kernel, a page may have its
  /// entry in the other view's quick TLB.)
  bool keep_targets(cpu::Vcpu& cpu, u32 key);
  /// Where returns lead that have no call, for blocks with `key`.
  void set_underflow(cpu::Vcpu& cpu, u32 key);

  const memory::Ram& ram;
  ReturnStack return_stack;
  CodeCache cache;
  BlockScanner scanner;
  cpu::DecodeCache& decode_cache;
  cpu::Interpreter interpreter;
  const u64 host_features;
  const bool has_pext;
  const HostProfile host_profile;
  TranslatorConfig config;
  std::vector<u8> rewritten;  // whether a place's code was written after it had been translated
  std::optional<cpu::Vcpu::Layout> layout;
  x64::Stubs stubs;
  std::vector<x64::IndirectStubs> indirect_stubs;  // by block key, without kNoGroups
  cpu::Vcpu* running = nullptr;
  asmjit::CodeHolder code;
  // Of the block that is being translated.
  std::vector<GuestInsn> scanned;
  x64::EmittedBlock emitted;
  std::vector<cpu::Insn> insns;
  std::vector<u16> offsets;
  LinkId pending_link = kNone;  // leads to the block that is looked for next
  Statistics stats;
  File listing, perf_map;
};

Result<std::unique_ptr<Translator>> Translator::create(memory::Ram& ram, cpu::DecodeCache& decode_cache,
                                                       const Config& config) {
  TRY_ASSIGN(auto arena, CodeArena::create(config.cache_bytes));
  TRY_ASSIGN(auto return_stack, ReturnStack::create());
  auto impl = std::make_unique<Impl>(ram, decode_cache, std::move(arena), std::move(return_stack));
  impl->config = config;
  if (!config.listing_path.empty()) {
    TRY_ASSIGN(impl->listing, open_listing(config.listing_path));
  }
  if (config.perf_map) {
    TRY_ASSIGN(impl->perf_map, open_listing(fmt::format("/tmp/perf-{}.map", getpid())));
  }
  return std::unique_ptr<Translator>(new Translator(std::move(impl)));
}

Translator::Translator(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Translator::~Translator() = default;
std::string Translator::statistics() const {
  const CodeCache& cache = impl_->cache;
  return impl_->stats.text() + fmt::format(
                                   "links patched          {}\n"
                                   "blocks dropped         {}, {} of them revived\n"
                                   "units evicted          {}\n"
                                   "cache flushes          {}\n",
                                   cache.links_patched, cache.blocks_dropped, cache.blocks_revived,
                                   cache.units_evicted, cache.flushes);
}

void Translator::Impl::attach(cpu::Vcpu& cpu) {
  if (!layout) {
    layout = cpu.layout();
    stubs = x64::emit_stubs(cache.arena(), *layout);
    cache.keep_stubs(stubs.link, stubs.gone);
  }
  if (cpu.translator.engine == reinterpret_cast<u64>(this)) return;
  cache.add_jump_table(cpu.jump_table);
  cpu.translator.engine = reinterpret_cast<u64>(this);
  cpu.translator.return_stack = return_stack.top();
  cpu.translator.code_to_writable =
      reinterpret_cast<u64>(cache.arena().writable(0)) - reinterpret_cast<u64>(cache.arena().executable(0));
  cpu.translator.run_site = reinterpret_cast<u64>(x64::RunSite{&run_site_for});
  const auto set = [](u64& slot, x64::Find find) { slot = reinterpret_cast<u64>(find); };
  set(cpu.translator.fill_read, &fill<cpu::Access::kRead>);
  set(cpu.translator.fill_write, &fill<cpu::Access::kWrite>);
  set(cpu.translator.fill_code, &fill_code);
  set(cpu.translator.find_target, &find_target);
  set(cpu.translator.read_time_stamp, &read_time_stamp);
}

u32 Translator::Impl::key_of(const cpu::Vcpu& cpu) const {
  u32 key = cpu.decode_key() | (cpu.view_index() << block_key::kViewShift);
  constexpr u32 kMasks = cpu::mxcsr::IM | cpu::mxcsr::DM | cpu::mxcsr::ZM | cpu::mxcsr::OM | cpu::mxcsr::UM |
                         cpu::mxcsr::PM | cpu::mxcsr::MM;
  constexpr u32 kAllMasked = kMasks & ~cpu::mxcsr::MM;
  const bool has_avx = (host_features >> static_cast<unsigned>(Feature::kAvx)) & 1;
  if (has_avx && (cpu.state.mxcsr & kMasks) == kAllMasked) key |= block_key::kNativeSimd;
  if ((cpu.state.fcw & 0x3f) == 0x3f && (cpu.state.fsw & cpu::fsw::ES) == 0) key |= block_key::kNativeX87;
  if (cpu.long64() || !is_flat(cpu)) return key;
  const cpu::Segment &fs = cpu.state.seg[cpu::kFs], &gs = cpu.state.seg[cpu::kGs];
  if (is_open(fs)) key |= block_key::kOpenFs | (fs.base % memory::kPageBytes == 0 ? block_key::kPagedFs : 0);
  if (is_open(gs)) key |= block_key::kOpenGs | (gs.base % memory::kPageBytes == 0 ? block_key::kPagedGs : 0);
  return key | block_key::kFlat32;
}

const x64::IndirectStubs& Translator::Impl::stubs_for(u32 key) {
  const u32 wanted = key & ~block_key::kNoGroups;
  if (wanted >= indirect_stubs.size()) indirect_stubs.resize(wanted + 1);
  x64::IndirectStubs& at = indirect_stubs[wanted];
  if (at.jump == 0) {
    cache.add_stubs([&] { at = x64::emit_indirect_stubs(cache.arena(), *layout, stubs, wanted); });
  }
  return at;
}

BlockId Translator::Impl::find_block(cpu::Vcpu& cpu, u32 key_bits, bool arrived) {
  if (cpu.view_index() == 3 || (cpu.cpl() != 0 && cpu.cpl() != 3)) return kNone;
  const u64 rip = cpu.state.rip();
  const u32 key = key_of(cpu) | key_bits;
  // At the end of its segment 32-bit code is the interpreter's; that page has no entry in the quick TLB.
  if (!cpu.long64() && (key & block_key::kFlat32) == 0) return kNone;
  if (align_down(rip, memory::kPageBytes) == cpu::Vcpu::kLastPageOf4GiB) return kNone;
  bool from_io = false;
  // A fetch that faults is delivered by the interpreter, which fetches again.
  const u8* const host = cpu.fetch_host(rip, &from_io);
  if (host == nullptr) return kNone;

  // What was entered last from here at this place, else the whole cache.
  const u64 place = cache.place_of(host, key);
  const bool known = key_bits == 0 && cpu.jump_table.place[jump_index(place)] == place;
  BlockId id = known ? cpu.jump_table.block[jump_index(place)] : cache.find(host, key);
  if (id != kNone && cache.block(id).host2 != nullptr &&
      cpu.fetch_host(align_up(rip, memory::kPageBytes), &from_io) != cache.block(id).host2) {
    // The second page has moved, or faults: that is the interpreter's.
    cache.drop(id);
    return kNone;
  }
  if (id == kNone) id = find_revived(host, key);
  if (id == kNone && !arrived) return kNone;
  if (id == kNone) {
    if (!becomes_hot(host, key & block_key::kDecodeMask)) return kNone;
    id = translate(cpu, host, key);
    if (id == kNone) return kNone;
  }
  if (pending_link != kNone) cache.connect(pending_link, id);
  if (!known && key_bits == 0) cache.put_target(cpu.jump_table, place, id);
  return id;
}

BlockId Translator::Impl::find_revived(const u8* host, u32 key) {
  using Kind = PatchedBlocks::Revival::Kind;
  if (!is_patched(host, key & block_key::kDecodeMask)) return kNone;
  switch (cache.revive(host, key)) {
    case Kind::kUnknown:
      return kNone;
    case Kind::kSame:
      return cache.find(host, key);
    case Kind::kReshaped:
      distrust_constants(host, key);
      return kNone;
  }
  return kNone;
}

// Stores take runs back to 0: code that is written again and again does not become hot.
bool Translator::Impl::becomes_hot(const u8* host, u32 decode_key) {
  for (const u8* const start : cache.overwritten) rewritten[rewritten_slot(start)] = 1;
  cache.overwritten.clear();
  const u32 slot = rewritten_slot(host);
  const u8 least = rewritten[slot] != 0       ? config.hot_runs_after_writes
                   : cache.units_evicted != 0 ? config.hot_runs_when_full
                                              : u8{0};
  const u8 wanted = std::max(least, config.hot_runs);
  u8& runs = decode_cache.runs(host, decode_key);
  if (++runs < wanted && !is_patched(host, decode_key)) return false;
  runs = 0;
  rewritten[slot] = 0;
  return true;
}

// What a block has need not be translated again: a large program's code is more than the host's caches hold.
// Where few instructions would be saved, as in a small loop, going on costs less than the jump.
void Translator::Impl::end_before_known(const u8* host, u32 key) {
  constexpr size_t kLeastBefore = 2, kLeastBehind = 8;
  for (size_t i = kLeastBefore; i + kLeastBehind <= scanned.size(); ++i) {
    // STI's shadow ends within its block.
    if (scanned[i - 1].z.mnemonic == ZYDIS_MNEMONIC_STI) continue;
    if (cache.find(host + scanned[i].offset, key & ~block_key::kNoGroups) == kNone) continue;
    scanned.resize(i);
    scanned.back().followed = false;
    return;
  }
}

BlockId Translator::Impl::translate(cpu::Vcpu& cpu, const u8* host, u32 key) {
  const auto started = std::chrono::steady_clock::now();
  const u64 rip = cpu.state.rip();
  if (!cache.has_room()) {
    if (cache.make_room() == CodeCache::Gone::kEverything) indirect_stubs.clear();
    pending_link = kNone;
  }
  const u64 in_page = memory::kPageBytes - (rip & (memory::kPageBytes - 1));
  scanner.scan(host, host + in_page, key & block_key::kDecodeMask, config.max_block_insns, scanned);
  const u8* second_page = nullptr;
  u8 crossing[15];
  if (scanned.empty()) {
    bool from_io = false;
    second_page = cpu.fetch_host(rip + in_page, &from_io);
    if (second_page == nullptr) return kNone;
    std::memcpy(crossing, host, in_page);
    std::memcpy(crossing + in_page, second_page, sizeof crossing - in_page);
    scanner.scan_one(crossing, key & block_key::kDecodeMask, scanned);
    if (scanned.empty() || scanned[0].insn.length <= in_page) return kNone;
  }
  const bool patched = is_patched(host, key & block_key::kDecodeMask);
  if (patched && (second_page != nullptr || !scanned.back().valid)) {
    distrust_constants(host, key);
    return kNone;
  }
  end_before_known(host, key);
  const x64::IndirectStubs indirect = stubs_for(key);
  u32 next_underflow = 0;
  const ZydisMnemonic last_mnemonic = scanned.back().z.mnemonic;
  if (scanned.back().valid &&
      (last_mnemonic == ZYDIS_MNEMONIC_STAC || last_mnemonic == ZYDIS_MNEMONIC_CLAC)) {
    const u32 view = block_key::view_of_supervisor(last_mnemonic == ZYDIS_MNEMONIC_STAC);
    next_underflow = stubs_for((key & ~block_key::kViewMask) | (view << block_key::kViewShift)).underflow;
  }

  const x64::EmitterContext context{.arena = cache.arena(),
                                    .stubs = stubs,
                                    .layout = *layout,
                                    .host_features = host_features,
                                    .has_pext = has_pext && config.quick_pext,
                                    .counts_ticks = config.counts_ticks,
                                    .single_cpu = cpu.services().cpu_count == 1,
                                    .host_profile = host_profile};
  for (GuestInsn& g : scanned) g.plan = x64::make_plan(context, key, g);
  for (GuestInsn& g : scanned) g.live_constant = patched ? live_constant_bytes(g, host + g.offset) : u8{0};
  if (config.sabotage) std::for_each(scanned.begin(), scanned.end(), config.sabotage);
  CodeArena& arena = cache.arena();
  while (true) {
    emitted.sites.clear();
    emitted.links.clear();
    emitted.starts.clear();
    code.reset();
    code.init(asmjit::Environment::host(), reinterpret_cast<u64>(arena.executable(arena.used())));
    asmjit::x86::Assembler a(&code);
    x64::BlockEmitter emitter(
        context, a,
        {.block = cache.next_block(),
         .start = rip % memory::kPageBytes,
         .key = key,
         .first_site = cache.next_site(),
         .first_link = cache.next_link(),
         .indirect = indirect,
         .next_underflow = next_underflow,
         .host = host,
         .frame = frame_of(host),
         .second_frame = second_page == nullptr ? std::nullopt : std::optional(frame_of(second_page))},
        scanned, emitted);
    if (!emitter.emit()) {
      // A form that AsmJit does not know runs its handler.
      CHECK(emitter.failed() < scanned.size());
      CHECK(scanned[emitter.failed()].plan != Plan::kHandler);
      scanned[emitter.failed()].plan = Plan::kHandler;
      continue;
    }
    CHECK(code.flatten() == asmjit::kErrorOk && code.resolveUnresolvedLinks() == asmjit::kErrorOk &&
          code.relocateToBase(code.baseAddress()) == asmjit::kErrorOk);
    const auto bytes = static_cast<u32>(code.codeSize());
    const u32 at = arena.take(bytes);
    CHECK(code.copyFlattenedData(arena.writable(at), bytes) == asmjit::kErrorOk);
    emitter.finish(code);
    const u64 address = reinterpret_cast<u64>(arena.executable(at));
    if (listing || config.on_translation) {
      const std::string text = list_block(rip, second_page != nullptr ? crossing : host, scanned,
                                          {arena.executable(at), bytes}, address, emitted.starts);
      if (listing) std::fputs(text.c_str(), listing.get());
      if (config.on_translation) config.on_translation(rip, text);
    }
    if (perf_map) std::fputs(perf_map_line(address, bytes, rip).c_str(), perf_map.get());
    insns.clear();
    offsets.clear();
    for (const GuestInsn& g : scanned) {
      insns.push_back(g.insn);
      offsets.push_back(g.offset);
    }
    const GuestInsn& last = scanned.back();
    Block block;
    block.host = host;
    block.host2 = second_page;
    block.key = key;
    block.code = at;
    block.code_bytes = bytes;
    block.count = static_cast<u16>(scanned.size());
    block.offset_in_page = static_cast<u16>(rip % memory::kPageBytes);
    block.bytes = static_cast<u16>(last.offset + last.insn.length);
    block.uses_vectors = emitted.uses_vectors;
    ++stats.blocks_translated;
    stats.guest_insns_translated += block.count;
    for (const GuestInsn& g : scanned) stats.guest_bytes_translated += g.insn.length;
    stats.host_bytes_emitted += bytes;
    const BlockId id = cache.add(block, emitted.sites, emitted.links, insns, offsets);
    if (patched) cache.add_patched(id, scanned);
    stats.translation_ns += static_cast<u64>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - started)
            .count());
    return id;
  }
}

u64 Translator::Impl::read_time_stamp(void* engine, cpu::CpuState*, u64 ticks_ago) {
  cpu::Vcpu& cpu = *static_cast<Impl*>(engine)->running;
  if (!cpu::exec::time_stamp_allowed(cpu)) return 0;
  const auto paid = static_cast<i64>(ticks_ago);
  cpu.ticks_left += paid;
  cpu.translator.time_stamp = cpu.read_tsc();
  cpu.ticks_left -= paid;
  return 1;
}

// What find_block would do without decoding, faulting or looking at a second page.
u64 Translator::Impl::find_target(void* engine, cpu::CpuState*, u64 linear) {
  auto& self = *static_cast<Impl*>(engine);
  cpu::Vcpu& cpu = *self.running;
  const u64 page = align_down(linear, memory::kPageBytes);
  const u8* host = cpu.quick_code_host(linear);
  if (host == nullptr && cpu.quick_fill_code(page)) host = cpu.quick_code_host(linear);
  if (host == nullptr) return 0;
  const u32 key = self.key_of(cpu);
  const u64 place = self.cache.place_of(host, key);
  if (cpu.jump_table.place[jump_index(place)] == place) return 1;  // only the page was not there
  const BlockId id = self.cache.find(host, key);
  if (id == kNone) return 0;
  self.cache.put_target(cpu.jump_table, place, id);
  return 1;
}

x64::Resume Translator::Impl::run_site_for(void* engine, cpu::CpuState*, u64 exit) {
  auto& self = *static_cast<Impl*>(engine);
  cpu::Vcpu& cpu = *self.running;
  take_flags(cpu);
  const auto kind = static_cast<ExitKind>(exit & low_mask(kExitKindBits));
  const auto of_kind = static_cast<u32>(exit >> kExitKindBits);
  const SiteId id = kind == ExitKind::kSiteAt ? self.cache.site_at(of_kind) : of_kind;
  if (kind == ExitKind::kBadReturn) {
    const Site& site = self.cache.site(id);
    cpu.state.gpr[cpu::kRsp] -= 8 + self.cache.insns_of(self.cache.block(site.block))[site.index].imm;
  }
  x64::Resume resume = self.run_site(cpu, id);
  if (resume.code == nullptr) resume = self.go_on(cpu);
  if (resume.code != nullptr) cpu.translator.interrupt_waiting = cpu.interrupt_waiting();
  give_flags(cpu);
  return resume;
}

x64::Resume Translator::Impl::run_site(cpu::Vcpu& cpu, SiteId id) {
  const Site site = cache.site(id);
  const Block& b = cache.block(site.block);
  const cpu::Insn& insn = cache.insns_of(b)[site.index];
  // The block has paid for all of its instructions.
  const i64 behind = i64{b.count} - site.index - 1;
  cpu.ticks_left += behind + 1 + site.paid_ahead;
  set_rip(cpu, b.offset_in_page + cache.offsets_of(b)[site.index] + insn.length);
  const bool vectors = b.uses_vectors;
  const u32 block_key_then = b.key;
  ++(site.native ? stats.misses : stats.handlers)[insn.row];
  cpu.trace_stale = 0;
  switch (insn.handler(cpu, insn)) {
    case cpu::Outcome::kNext:
      --cpu.ticks_left;
      break;
    case cpu::Outcome::kEndTrace:
      --cpu.ticks_left;
      pending_link = site.link;
      return {};
    case cpu::Outcome::kRestart:
      cpu.state.gpr[cpu::kRip] -= insn.length;
      return {};
    case cpu::Outcome::kFault:
      interpreter.take_fault(cpu, insn);
      return {};
  }
  // A store to other code does not matter here.
  const bool stale = cpu.trace_stale == cpu::Vcpu::kCodeWritten ? cache.block(site.block).host == nullptr
                                                                : cpu.trace_stale != 0;
  if (site.resume == kNone || stale || cpu.attention() || cpu.ticks_left < behind) return {};
  // What comes behind was translated, and linked, for the mode that the block was entered in.
  if (((key_of(cpu) ^ block_key_then) & ~block_key::kNoGroups) != 0) return {};
  u64 flags = vectors ? x64::Resume::kWithVectors : 0;
  if (!keep_targets(cpu, block_key_then)) {
    // Only a page that has an entry makes a new generation when it leaves the TLB.
    const u64 page = cpu.translator.code_page;
    if (cpu.quick_code_host(page) == nullptr && !cpu.quick_fill_code(page)) return {};
    flags |= x64::Resume::kNoReturns;
    set_underflow(cpu, block_key_then);
  }
  cpu.ticks_left -= behind;
  return {.code = cache.arena().executable(site.resume), .flags = flags};
}

// Within the kernel STAC and CLAC lead from one view to the other.
bool Translator::Impl::keep_targets(cpu::Vcpu& cpu, u32 key) {
  const u32 view = block_key::view_of(key);
  const u32 wanted = key & ~(block_key::kViewMask | block_key::kNoGroups);
  bool good = true;
  const auto keep = [&](u32 v) {
    auto& targets = cpu.jump_table.targets[v];
    const u64 generation = cpu.code_generation(v);
    if (targets.generation == generation && targets.key == wanted) return;
    good = false;
    targets.clear();
    targets.generation = generation;
    targets.key = wanted;
  };
  keep(view);
  if (view != 0) keep(block_key::view_of_supervisor(view == block_key::view_of_supervisor(false)));
  return good;
}

void Translator::Impl::set_underflow(cpu::Vcpu& cpu, u32 key) {
  cpu.translator.underflow = reinterpret_cast<u64>(cache.arena().executable(stubs_for(key).underflow));
}

void Translator::Impl::prepare(cpu::Vcpu& cpu, const Block& b) {
  cpu.note_branch_target();
  cpu.translator.interrupt_waiting = cpu.interrupt_waiting();
  give_flags(cpu);
  cpu.translator.code_page = align_down(cpu.state.rip(), memory::kPageBytes);
  set_underflow(cpu, b.key);
  keep_targets(cpu, b.key);
}

x64::Resume Translator::Impl::go_on(cpu::Vcpu& cpu) {
  if (cpu.ticks_left <= 0 || cpu.attention()) return {};
  const BlockId id = find_block(cpu, 0, false);
  if (id == kNone) return {};  // `run` looks again, with the link
  pending_link = kNone;
  if (cpu.ticks_left < cache.block(id).count) return {};
  prepare(cpu, cache.block(id));
  return {.code = cache.arena().executable(cache.block(id).code), .flags = x64::Resume::kNoReturns};
}

ExitKind Translator::Impl::enter(cpu::Vcpu& cpu, BlockId id) {
  const Block& b = cache.block(id);
  running = &cpu;
  prepare(cpu, b);
  ++stats.entries;
  const u64 result = stubs.enter(&cpu.state, cache.arena().executable(b.code));
  take_flags(cpu);
  const auto kind = static_cast<ExitKind>(result & low_mask(kExitKindBits));
  const auto at = static_cast<u32>(result >> kExitKindBits);
  ++stats.exits[static_cast<unsigned>(kind)];
  switch (kind) {
    case ExitKind::kLink: {
      const LinkId link = cache.link_at(at);
      set_rip(cpu, cache.link(link).target);
      pending_link = link;
      if (cache.link(link).to != kNone) ++stats.guards_failed;
      break;
    }
    case ExitKind::kBudget: {
      const Block& stopped = cache.block(cache.block_at(at - 1));
      cpu.ticks_left += stopped.count;
      set_rip(cpu, stopped.offset_in_page);
      break;
    }
    case ExitKind::kGone: {
      const Block& gone = cache.block(cache.block_at(at - 1));
      set_rip(cpu, gone.offset_in_page);
      CodeCache::forget_target(cpu.jump_table.targets[block_key::view_of(gone.key)], cpu.state.rip());
      // What is there now may be entered. (One of two pages is still itself.)
      if (gone.host == nullptr) return ExitKind::kLeft;
      break;
    }
    case ExitKind::kIndirect:
    case ExitKind::kSite:
    case ExitKind::kSiteAt:
    case ExitKind::kBadReturn:
    case ExitKind::kLeft:
      break;
  }
  return kind;
}

cpu::EngineExit Translator::run(cpu::Vcpu& cpu, bool skip_breakpoint) {
  Impl& impl = *impl_;
  CHECK(cpu.ticks_left >= 1 && cpu.ticks_left <= static_cast<i64>(kMostTicks));  // ReturnStack
  impl.attach(cpu);
  // The block here has not run: its ticks are more than there are. Another version of it may have fewer.
  bool interpret = false;
  while (cpu.ticks_left > 0) {
    if (cpu.attention()) [[unlikely]] {
      impl.pending_link = kNone;
      interpret = false;
      if (const auto exit = impl.interpreter.attend_once(cpu, skip_breakpoint)) return *exit;
      continue;
    }
    const u32 key_bits = impl.pending_link == kNone ? 0 : impl.cache.link(impl.pending_link).key_bits;
    const BlockId id = interpret ? kNone : impl.find_block(cpu, key_bits);
    impl.pending_link = kNone;
    interpret = false;
    if (id == kNone || cpu.ticks_left < impl.cache.block(id).count) {
      ++impl.stats.traces_interpreted;
      impl.interpreter.run_one_trace(cpu);
    } else {
      const ExitKind kind = impl.enter(cpu, id);
      interpret = kind == ExitKind::kBudget || kind == ExitKind::kGone;
    }
  }
  impl.pending_link = kNone;
  return cpu::EngineExit::kTicks;
}

}  // namespace orrery::jit
