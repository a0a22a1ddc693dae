#include "control/gdb_target_xml.h"

#include <cstddef>
#include <type_traits>

#include <fmt/format.h>

namespace orrery::control {
namespace {

static_assert(std::is_standard_layout_v<GuestRegisters>);

#define AT(field) static_cast<u32>(offsetof(GuestRegisters, field))

constexpr std::string_view kCore = "gnu.gdb.i386.core";
constexpr std::string_view kSse = "gnu.gdb.i386.sse";
constexpr std::string_view kSegments = "gnu.gdb.i386.segments";
constexpr std::string_view kSystem = "orrery.i386.system";

constexpr GdbRegister gpr(std::string_view name, u32 number) {
  const bool is_pointer = name == "rbp" || name == "rsp";
  return {name, is_pointer ? "data_ptr" : "int64", kCore, AT(gpr) + 8 * number, 8, true};
}
constexpr GdbRegister segment(std::string_view name, u32 number) {
  return {name, "int32", kCore, AT(segment) + 4 * number, 4, false};
}
constexpr GdbRegister st(std::string_view name, u32 number) {
  return {name, "i387_ext", kCore, AT(st) + 10 * number, 10, true};
}
constexpr GdbRegister x87(std::string_view name, u32 number) {
  return {name, "int", kCore, AT(x87) + 4 * number, 4, true};
}
constexpr GdbRegister xmm(std::string_view name, u32 number) {
  return {name, "vec128", kSse, AT(xmm) + 16 * number, 16, true};
}
constexpr GdbRegister base(std::string_view name, std::string_view feature, u32 offset, bool writable) {
  return {name, "int64", feature, offset, 8, writable};
}

constexpr GdbRegister kRegisters[] = {
    gpr("rax", 0),
    gpr("rbx", 1),
    gpr("rcx", 2),
    gpr("rdx", 3),
    gpr("rsi", 4),
    gpr("rdi", 5),
    gpr("rbp", 6),
    gpr("rsp", 7),
    gpr("r8", 8),
    gpr("r9", 9),
    gpr("r10", 10),
    gpr("r11", 11),
    gpr("r12", 12),
    gpr("r13", 13),
    gpr("r14", 14),
    gpr("r15", 15),
    {"rip", "code_ptr", kCore, AT(rip), 8, true},
    {"eflags", "i386_eflags", kCore, AT(eflags), 4, true},
    segment("cs", 0),
    segment("ss", 1),
    segment("ds", 2),
    segment("es", 3),
    segment("fs", 4),
    segment("gs", 5),
    st("st0", 0),
    st("st1", 1),
    st("st2", 2),
    st("st3", 3),
    st("st4", 4),
    st("st5", 5),
    st("st6", 6),
    st("st7", 7),
    x87("fctrl", 0),
    x87("fstat", 1),
    x87("ftag", 2),
    x87("fiseg", 3),
    x87("fioff", 4),
    x87("foseg", 5),
    x87("fooff", 6),
    x87("fop", 7),
    xmm("xmm0", 0),
    xmm("xmm1", 1),
    xmm("xmm2", 2),
    xmm("xmm3", 3),
    xmm("xmm4", 4),
    xmm("xmm5", 5),
    xmm("xmm6", 6),
    xmm("xmm7", 7),
    xmm("xmm8", 8),
    xmm("xmm9", 9),
    xmm("xmm10", 10),
    xmm("xmm11", 11),
    xmm("xmm12", 12),
    xmm("xmm13", 13),
    xmm("xmm14", 14),
    xmm("xmm15", 15),
    {"mxcsr", "i386_mxcsr", kSse, AT(mxcsr), 4, true},
    base("fs_base", kSegments, AT(fs_base), true),
    base("gs_base", kSegments, AT(gs_base), true),
    base("k_gs_base", kSystem, AT(k_gs_base), false),
    base("cr0", kSystem, AT(cr0), false),
    base("cr2", kSystem, AT(cr2), false),
    base("cr3", kSystem, AT(cr3), false),
    base("cr4", kSystem, AT(cr4), false),
    base("cr8", kSystem, AT(cr8), false),
    base("efer", kSystem, AT(efer), false),
};

#undef AT

constexpr std::string_view kCoreTypes =
    "<flags id=\"i386_eflags\" size=\"4\">"
    "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
    "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
    "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
    "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
    "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
    "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
    "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
    "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/>"
    "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>";

constexpr std::string_view kSseTypes =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" "
    "count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>"
    "<flags id=\"i386_mxcsr\" size=\"4\">"
    "<field name=\"IE\" start=\"0\" end=\"0\"/><field name=\"DE\" start=\"1\" end=\"1\"/>"
    "<field name=\"ZE\" start=\"2\" end=\"2\"/><field name=\"OE\" start=\"3\" end=\"3\"/>"
    "<field name=\"UE\" start=\"4\" end=\"4\"/><field name=\"PE\" start=\"5\" end=\"5\"/>"
    "<field name=\"DAZ\" start=\"6\" end=\"6\"/><field name=\"IM\" start=\"7\" end=\"7\"/>"
    "<field name=\"DM\" start=\"8\" end=\"8\"/><field name=\"ZM\" start=\"9\" end=\"9\"/>"
    "<field name=\"OM\" start=\"10\" end=\"10\"/><field name=\"UM\" start=\"11\" end=\"11\"/>"
    "<field name=\"PM\" start=\"12\" end=\"12\"/><field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

std::string_view group_of(const GdbRegister& reg) {
  if (reg.type == "i387_ext" || reg.name.starts_with("f")) {
    if (reg.feature == kCore && reg.name != "fs") return " group=\"float\"";
  }
  return reg.feature == kSystem ? " group=\"system\"" : "";
}

}  // namespace

std::span<const GdbRegister> gdb_registers() { return kRegisters; }

std::string gdb_target_xml() {
  std::string xml =
      "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
      "<architecture>i386:x86-64</architecture>";
  std::string_view feature;
  u32 number = 0;
  for (const GdbRegister& reg : kRegisters) {
    if (reg.feature != feature) {
      if (!feature.empty()) xml += "</feature>";
      xml += fmt::format("<feature name=\"org.{}\">", reg.feature);
      if (reg.feature == kCore) xml += kCoreTypes;
      if (reg.feature == kSse) xml += kSseTypes;
      feature = reg.feature;
    }
    xml += fmt::format("<reg name=\"{}\" bitsize=\"{}\" type=\"{}\" regnum=\"{}\"{}/>", reg.name,
                       8 * reg.size_bytes, reg.type, number++, group_of(reg));
  }
  return xml + "</feature></target>";
}

}  // namespace orrery::control
