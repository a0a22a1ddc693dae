/* Interrupts from outside: the PIT through the 8259 pair and LINT0 (ExtINT), through the I/O APIC as an edge, and a
   level through COM1. [8259A], [82093AA], [SDM3 10.1, 10.8] */
#include "guest.inc"

        .macro  out port, value
        movb    $\value, %al
        outb    %al, $\port
        .endm
        .macro  ioapic index, value
        movl    $0xfec00000, %r15d
        movl    $\index, (%r15)
        movl    $\value, 0x10(%r15)
        .endm
        .macro  ioapic_read index
        movl    $0xfec00000, %r15d
        movl    $\index, (%r15)
        movl    0x10(%r15), %eax
        .endm

main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        out     0x20, 0x11
        out     0x21, 0x20
        out     0x21, 4
        out     0x21, 1
        out     0xa0, 0x11
        out     0xa1, 0x28
        out     0xa1, 2
        out     0xa1, 1
        out     0x21, 0xfe
        out     0xa1, 0xff
        // LINT0 masked: the 8259 can't interrupt.
        apic_write 0x350, $0x10700
        call    pit_once
        movl    $40000, %ecx
1:      sti
        nop
        cli
        loop    1b
        CHECK(came, $0)
        // ExtINT: the vector comes from the 8259, and the APIC's ISR does not know it.
        apic_write 0x350, $0x700
        sti
        nop
        nop
        cli
        CHECK(came, $0x20)
        apic_read 0x110
        CHECK(%rax, $0)
        // In service at the 8259: nothing more until EOI.
        call    pit_once
        movq    $0, came
        movl    $40000, %ecx
2:      sti
        nop
        cli
        loop    2b
        CHECK(came, $0)
        out     0x20, 0x20
        sti
        nop
        nop
        cli
        CHECK(came, $0x20)
        out     0x20, 0x20
        out     0x21, 0xff
        apic_write 0x350, $0x10000
        // I/O APIC, pin 2, edge.
        movq    $0, came
        ioapic  0x15, 0
        ioapic  0x14, 0x51
        call    pit_once
        sti
        hlt
        cli
        CHECK(came, $0x51)
        ioapic  0x14, 0x10051
        call    pit_once
        movl    $40000, %ecx
3:      sti
        nop
        cli
        loop    3b
        ioapic  0x14, 0x51                      // an edge while masked is lost
        sti
        nop
        cli
        CHECK(came, $0x51)
        ioapic  0x14, 0x10051
        // I/O APIC, pin 0, ExtINT: the 8259 pair's own output; the vector comes from there.
        movq    $0, came
        out     0x21, 0xfe
        ioapic  0x11, 0
        ioapic  0x10, 0x700
        call    pit_once
        sti
        hlt
        cli
        CHECK(came, $0x20)
        apic_read 0x110
        CHECK(%rax, $0)
        out     0x20, 0x20
        call    pit_once                        // and again: INT fell with the acknowledge
        sti
        hlt
        cli
        CHECK(came, $0x2020)
        out     0x20, 0x20
        ioapic  0x10, 0x10700
        out     0x21, 0xff
        // COM1 (IRQ 4), level-triggered: transmitter empty. It comes again after EOI as long as the line is up.
        movq    $0, came
        ioapic  0x19, 0
        ioapic  0x18, 0x8052
        movw    $0x3fc, %dx
        movb    $8, %al
        outb    %al, %dx
        movw    $0x3f9, %dx
        movb    $2, %al
        outb    %al, %dx
        sti
        nop
        nop
        nop
        cli
        CHECK(came, $0x525252)                  // the handler takes the line down at the third
        ioapic_read 0x18
        CHECK(%rax, $0x8052)                    // Remote IRR is clear after EOI
        movw    $0x3f9, %dx
        xorl    %eax, %eax
        outb    %al, %dx
        ret

// Channel 0, mode 0: one edge after 100 PIT clocks (84 us).
pit_once:
        out     0x43, 0x30
        out     0x40, 100
        out     0x40, 0
        ret

on_interrupt:
        movq    came, %rax
        shlq    $8, %rax
        movb    %dil, %al
        movq    %rax, came
        cmpl    $0x50, %edi
        jb      2f
        cmpq    $0x525252, came
        jne     1f
        movw    $0x3fa, %dx
        inb     %dx, %al                        // IIR: takes the interrupt back
1:      apic_write 0xb0, $0
2:      ret

        .data
        .balign 8
came:   .quad   0
