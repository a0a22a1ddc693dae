// Delivery of exceptions and interrupts in every mode. [SDM3 6], [APM2 8]
#pragma once

#include <functional>
#include <string>

#include "cpu/vcpu.h"

namespace orrery::cpu {

/// Delivers `fault` at the current RIP: the handler's first instruction is next. A fault during delivery
/// becomes the fault to deliver, #DF by the table of [SDM3 6.15], or shutdown.
void deliver(Vcpu& cpu, const Fault& fault);

/// "#PF(0x2) at 0x8:0xffffffff81000000 ..." lines for a triple fault: the faults in order with the
/// instruction of each, the descriptors used, and why the last delivery failed.
/// `symbol` names an address of the guest, or gives "".
std::string explain_shutdown(Vcpu& cpu, const std::function<std::string(u64)>& symbol);

std::string_view vector_name(u8 vector);

}  // namespace orrery::cpu
