"""Alternatives that Debian's kernel offers: other interrupt controllers, clocks and page tables than it would choose.

Each row boots on its boards, under both engines and under the quicker one twice: the guest's log must show that the
alternative is in use, and all runs must end in the same state. A row becomes the cases `matrix_<board>_<name>`.
"""

import dataclasses
import re
import subprocess

from guest_machine import Machine, expect, hash_of

BOARDS = ("minimal", "q35")
ENGINES = ("interpreter", "jit", "jit")
REPORT = ("uname -a; od -An -tx1 -N5 /bin/busybox; dmesg; cat /proc/interrupts; cd /sys/devices/system; "
          "grep . clocksource/clocksource0/*source cpu/vulnerabilities/*; cat /proc/cpuinfo; echo cpus=$(nproc)")
CURRENT = rb"current_clocksource:"
AVAILABLE = rb"available_clocksource:.*"
TROUBLE = (rb"Kernel panic", rb"BUG:", rb"Call Trace", rb"Oops", rb"could not load", rb"rcu.*stall", rb"Lost \d+ RTC")


@dataclasses.dataclass(frozen=True)
class Variant:
    parameters: str = ""  # of the kernel
    shows: tuple[bytes, ...] = ()  # patterns that the log must have
    hides: tuple[bytes, ...] = ()  # and must not
    on: dict[str, tuple[bytes, ...]] = dataclasses.field(default_factory=dict)  # what one board's must have besides
    boards: tuple[str, ...] = BOARDS
    cpus: int = 1
    flags: tuple[str, ...] = ()
    disk: bool = False
    end: str = "poweroff -f"
    i386: bool = False  # the 32-bit kernel and user programs that tools/fetch_guest.sh i386 fetches
    allows: tuple[bytes, ...] = ()  # trouble that is the kernel's own


# The kernel's own clock is needed to see the others: without KVM's signature the TSC is calibrated against PIT or HPET.
NO_KVM = ("--set", "cpu.kvm=false")
ON_PIC = rb" 4: +\d+ +XT-PIC +ttyS0"
ON_IOAPIC = rb" 4: .*IO-APIC +4-edge +ttyS0"
INTX_DISK = rb"virtio1"

VARIANTS: dict[str, Variant] = {
    "plain": Variant(shows=(rb"x2apic enabled", ON_IOAPIC, CURRENT + rb"tsc", rb"cpus=1\b", rb"meltdown:Not affected"),
                     on={"q35": (rb"hpet0: 3 comparators, 64-bit 14\.318180 MHz", rb" 0: +[1-9]\d* +IO-APIC +2-edge +timer",
                                 rb"MMCONFIG .*0xb0000000-0xbfffffff\] reserved", rb"Interrupt link LNKH configured for IRQ 11")}),
    "cpus4": Variant(cpus=4, shows=(rb"x2apic enabled", rb"Brought up 1 node, 4 CPUs", rb"cpus=4\b", CURRENT + rb"tsc")),
    "nox2apic": Variant("nox2apic", cpus=4, shows=(ON_IOAPIC, rb"cpus=4\b", rb"LOC: +[1-9]\d* +[1-9]\d* +[1-9]\d* +[1-9]"),
                        hides=(rb"x2apic enabled",)),
    "hpet_disable": Variant("hpet=disable", boards=("q35",), hides=(rb"hpet0:", AVAILABLE + rb"hpet", rb"IO-APIC +2-edge +timer"),
                            shows=(CURRENT + rb"tsc",)),
    "tsc_unstable": Variant("tsc=unstable", shows=(rb"Marking TSC unstable due to boot parameter", CURRENT + rb"kvm-clock"),
                            hides=(AVAILABLE + rb"\btsc\b",)),
    "tsc_unstable_no_kvm": Variant("tsc=unstable", flags=NO_KVM, hides=(AVAILABLE + rb"\btsc\b", AVAILABLE + rb"kvm"),
                                   on={"minimal": (CURRENT + rb"acpi_pm",), "q35": (CURRENT + rb"hpet",)}),
    "clocksource_acpi_pm": Variant("clocksource=acpi_pm", shows=(CURRENT + rb"acpi_pm",)),
    "clocksource_hpet": Variant("clocksource=hpet", boards=("q35",), shows=(CURRENT + rb"hpet",)),
    "no_kvm": Variant(flags=NO_KVM, shows=(rb"tsc: (Fast TSC calibration using PIT|Detected 2000|Detected 1999)", CURRENT + rb"tsc"),
                      hides=(rb"Hypervisor detected: KVM", AVAILABLE + rb"kvm-clock")),
    # KVM's guests skip the timer check anyway; here the parameter does.
    "no_timer_check": Variant("no_timer_check", flags=NO_KVM, shows=(ON_IOAPIC, CURRENT + rb"tsc"),
                              hides=(rb"Unknown kernel command line.*no_timer_check", rb"8254 timer not connected"),
                              on={"q35": (rb"TIMER: vector=0x\w+ apic1=0 pin1=2",)}),
    "no_deadline_timer": Variant("lapic=notscdeadline", cpus=4, flags=NO_KVM, shows=(rb"cpus=4\b", rb"LOC: +[1-9]"),
                                 hides=(rb"TSC deadline timer available",)),
    "nosmp": Variant("nosmp", cpus=4, disk=True, shows=(rb"SMP mode deactivated", rb"cpus=1\b", ON_PIC, rb"disk-sum-ok")),
    "nopti": Variant("nopti", shows=(rb"Command line: .* nopti ", rb"meltdown:Not affected"), hides=(rb"isolation: enabled",)),
    "pti_on": Variant("pti=on", shows=(rb"isolation: force enabled on command line", rb"Kernel/User page tables isolation: enabled")),
    "mitigations_auto": Variant("mitigations=auto", shows=(rb"spectre_v2:Mitigation", rb"spectre_v1:Mitigation")),
    "mitigations_off": Variant("mitigations=off", shows=(rb"spectre_v2:Vulnerable", rb"spectre_v1:Vulnerable")),
    "noapic": Variant("noapic", shows=(rb"Skipping IOAPIC probe due to 'noapic'", ON_PIC), hides=(rb"\d: .*IO-APIC",)),
    "nomsi": Variant("pci=nomsi", disk=True, shows=(rb"disk-sum-ok",), hides=(rb"\d: .*PCI-MSI",),
                     on={"minimal": (rb" 16: +[1-9]\d* +IO-APIC +16-fasteoi +virtio1",),
                         "q35": (rb" 20: +[1-9]\d* +IO-APIC +20-fasteoi +virtio1",)}),
    "noapic_nomsi": Variant("noapic pci=nomsi", disk=True, shows=(rb"disk-sum-ok", rb" 10: +[1-9]\d* +XT-PIC +virtio1"),
                            hides=(rb"\d: .*PCI-MSI", rb"\d: .*IO-APIC")),
    # Without a local APIC nothing handles MSI, and the kernel has a warning of its own for that (drivers/pci/msi/msi.h).
    "nolapic": Variant("nolapic", shows=(rb" 0: +[1-9]\d* +XT-PIC +timer", ON_PIC), hides=(rb"LOC: +[1-9]",),
                       allows=(rb"Call Trace",)),
    # No tables: the 8259s and the 8254 alone. The kernel cannot turn itself off.
    "acpi_off": Variant("acpi=off", cpus=4, shows=(rb" 0: +[1-9]\d\d+ +XT-PIC +timer", ON_PIC, rb"cpus=1\b", rb"reboot: Restarting"),
                        hides=(rb"\d: .*IO-APIC", rb"\d: .*PCI-MSI", rb"ACPI: RSDP"), flags=("--no-reboot",), end="reboot -f",
                        allows=(rb"Call Trace",)),
    "i386": Variant(i386=True, disk=True, shows=(rb"Linux orrery .* i686", rb"\b7f 45 4c 46 01\b", rb"disk-sum-ok", rb"cpus=1\b")),
    "i386_cpus4": Variant(i386=True, cpus=4, shows=(rb"Linux orrery .* i686", rb"Brought up 1 node, 4 CPUs", rb"cpus=4\b")),
    "i386_noapic_pit": Variant("noapic nohpet lapic=notscdeadline", i386=True, flags=NO_KVM,
                               shows=(ON_PIC, rb"calibration using PIT"), hides=(rb"\d: .*IO-APIC", AVAILABLE + rb"hpet")),
}


def run(machine: Machine, board: str, name: str) -> None:
    variant = VARIANTS[name]
    if variant.i386:
        machine = machine.with_guest(machine.guest.parent / "guest-i386")
    commands = f"{REPORT}; {variant.end}"
    flags = ["--board", board, "--cpus", str(variant.cpus), "--clock", "fixed", "--state-hash", *variant.flags]
    if variant.disk:
        image = machine.scratch / "disk.img"
        image.write_bytes(b"".join(n.to_bytes(4, "little") for n in range(1 << 20)))
        md5 = subprocess.run(["md5sum", str(image)], stdout=subprocess.PIPE, check=True).stdout.split()[0].decode()
        commands = f"md5sum /dev/vda | grep -q {md5} && echo disk-sum-ok; {commands}"
        flags += ["--disk", f"{image},snapshot"]
    outputs = [machine.boot(commands, "--engine", engine, *flags, parameters=f"quiet {variant.parameters}") for engine in ENGINES]
    for pattern in variant.shows + variant.on.get(board, ()):
        expect(re.search(pattern, outputs[0]) is not None, f"the log has no {pattern!r}", outputs[0])
    for pattern in variant.hides + tuple(bad for bad in TROUBLE if bad not in variant.allows):
        found = re.search(pattern, outputs[0])
        expect(found is None, f"the log has {found.group(0) if found else b''!r}", outputs[0])
    hashes = [hash_of(output) for output in outputs]
    expect(len(set(hashes)) == 1, f"the runs differ: {list(zip(ENGINES, hashes))}")
    print(f"state-hash {hashes[0][0].decode()} at tick {hashes[0][1].decode()} in {len(hashes)} runs")


def cases():
    """Every board's variants, by the name of their test."""
    return {f"matrix_{board}_{name}": lambda machine, board=board, name=name: run(machine, board, name)
            for name, variant in VARIANTS.items() for board in variant.boards}


if __name__ == "__main__":
    # For tests/boot/CMakeLists.txt.
    print(";".join(cases()), end="")
