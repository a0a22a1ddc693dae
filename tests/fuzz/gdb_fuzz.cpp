// Fuzzes the gdb stub: the bytes go through the packet reader, and, cut at newlines, straight to the stub.

#include "base/check.h"
#include "control/gdb_packet.h"
#include "control/gdb_stub.h"
#include "tests/support/fake_debug_target.h"

namespace {

using namespace orrery;
using namespace orrery::control;

void ask(GdbStub& stub, std::string_view packet) {
  const GdbStub::Answer answer = stub.handle(packet);
  for (const std::string& reply : answer.packets) CHECK(reply.size() <= 2 * kMaxPacketBytes);
  CHECK(answer.cpu < 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
  FakeDebugTarget target;
  GdbStub stub(target);
  GdbPacketReader reader;
  std::vector<GdbEvent> events;
  reader.feed({data, size}, events);
  for (const GdbEvent& event : events) {
    CHECK(event.payload.size() <= kMaxPacketBytes);
    if (event.kind == GdbEvent::Kind::kPacket) ask(stub, event.payload);
  }
  std::string_view text(reinterpret_cast<const char*>(data), size);
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    ask(stub, text.substr(0, end));
    stub.stopped(machine::StopReason::kBreakpoint, 1);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  stub.clear();
  CHECK(target.breakpoints.empty() && target.watchpoints.empty());
  return 0;
}
