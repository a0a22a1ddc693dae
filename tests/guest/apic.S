/* The local APIC of one processor: registers by MMIO and by MSR, priorities, TPR and CR8, EOI, self-IPIs, the timer's
   three modes, shadows, HLT, NMI. [SDM3 10.4 - 10.12] */
#include "guest.inc"

        // Waits for interrupts a while, with IF set.
        .macro  let_in
        sti
        nop
        nop
        cli
        .endm
        // The interrupts since the last look, newest in the low byte.
        .macro  came_is want, line
        check_equal came, \want, \line
        movq    $0, came
        .endm
#define CAME(want) came_is want, __LINE__
        .macro  self_ipi vector
        apic_write 0x300, $(0x44000 + \vector)
        .endm
        .macro  msr_write number, low
        movl    $\number, %ecx
        movl    $\low, %eax
        xorl    %edx, %edx
        wrmsr
        .endm

main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        call    priorities
        call    shadows
        call    timer
        call    nmi
        call    x2apic
        ret

// Shifts the vector into `came`; EOI unless told otherwise.
on_interrupt:
        movq    came, %rax
        shlq    $8, %rax
        movb    %dil, %al
        movq    %rax, came
        movq    (%rsi), %rax
        movq    %rax, came_rip
        cmpl    $2, %edi
        je      2f
        cmpb    $0, no_eoi
        jne     1f
        cmpb    $0, by_msr
        jne     3f
        apic_write 0xb0, $0
1:      ret
3:      movl    $0x80b, %ecx
        xorl    %eax, %eax
        xorl    %edx, %edx
        wrmsr
        ret
2:      // In the NMI's handler another NMI waits until IRET.
        cmpb    $0, again
        je      1b
        movb    $0, again
        apic_write 0x300, $0x44400
        nop
        nop
        movq    came, %rax
        movq    %rax, came_inside
        ret

priorities:
        apic_read 0x20
        CHECK(%rax, $0)
        apic_read 0xf0
        andl    $0x1ff, %eax
        CHECK(%rax, $0x1ff)                     // virtual wire mode, as firmware leaves it [MP 1.4 3.6.2.2]
        apic_read 0x350
        CHECK(%rax, $0x700)
        apic_write 0xf0, $0xff                  // software-disabled: every LVT entry is masked
        apic_read 0x350
        CHECK(%rax, $0x10700)
        apic_write 0x350, $0x700
        apic_read 0x350
        CHECK(%rax, $0x10700)                   // stays masked while disabled [SDM3 10.4.7.2]
        apic_write 0xf0, $0x1ff
        // Pending in IRR, delivered by priority.
        self_ipi 0x41
        self_ipi 0x63
        self_ipi 0x52
        apic_read 0x220
        CHECK(%rax, $0x40002)
        apic_read 0x230
        CHECK(%rax, $8)
        movb    $1, no_eoi
        let_in
        CAME($0x63)                             // higher classes first; those below wait for EOI
        apic_read 0x130
        CHECK(%rax, $8)
        apic_read 0xa0
        CHECK(%rax, $0x60)                      // PPR
        self_ipi 0x6f                           // the same class waits too
        let_in
        CAME($0)
        self_ipi 0x70
        let_in
        CAME($0x70)
        apic_write 0xb0, $0
        let_in
        CAME($0)                                // 0x63 is still in service
        apic_write 0xb0, $0
        movb    $0, no_eoi
        let_in
        CAME($0x6f5241)
        // TPR and CR8.
        apic_write 0x80, $0x4f
        self_ipi 0x4e
        self_ipi 0x50
        let_in
        CAME($0x50)
        movq    %cr8, %rax
        CHECK(%rax, $4)
        movl    $3, %eax
        movq    %rax, %cr8
        let_in
        CAME($0x4e)
        apic_read 0x80
        CHECK(%rax, $0x30)
        xorl    %eax, %eax
        movq    %rax, %cr8
        // Twice the same vector before it is taken is once.
        self_ipi 0x41
        self_ipi 0x41
        let_in
        CAME($0x41)
        // Vectors below 16 are errors: ESR is latched by a write.
        self_ipi 0x05
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0x20)
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0)
        ret

shadows:
        // STI: the next instruction still runs.
        self_ipi 0x41
        sti
        nop
1:      nop
        cli
        CHECK(came_rip, $1b)
        CAME($0x41)
        self_ipi 0x41
        sti
        cli                                     // never open
        nop
        CAME($0)
        // MOV SS, with IF set already: the interrupt becomes pending by the shadowed instruction itself.
        movl    $DATA, %ebx
        movl    $0, %eax
        let_in
        CAME($0x41)
        self_ipi 0x42
        pushq   $0x202
        movl    $DATA, %ebx
        popfq
        CAME($0x42)
        cli
        // HLT behind STI wakes.
        self_ipi 0x43
        sti
        hlt
1:      cli
        CHECK(came_rip, $1b)
        CAME($0x43)
        ret

timer:  apic_write 0x3e0, $0xb                  // divide by 1: 1 GHz
        apic_write 0x320, $0x44                 // one-shot
        apic_write 0x380, $1000
        apic_read 0x390
        cmpl    $1000, %eax
        ja      1f
        cmpl    $900, %eax
        ja      2f
1:      CHECK(%rax, $1000)
2:      sti
        hlt
        cli
        CAME($0x44)
        apic_read 0x390
        CHECK(%rax, $0)
        movl    $4000, %ecx
3:      loop    3b
        let_in
        CAME($0)                                // only once
        // Periodic.
        apic_write 0x320, $0x20045
        apic_write 0x380, $500
        movl    $4, %ecx
4:      sti
        hlt
        cli
        loop    4b
        CAME($0x45454545)
        apic_write 0x320, $0x30045              // masked: it counts on, and is silent
        movl    $4000, %ecx
3:      loop    3b
        let_in
        CAME($0)
        // TSC deadline [SDM3 10.5.4.1].
        apic_write 0x320, $0x40046
        apic_read 0x390
        CHECK(%rax, $0)
        rdtsc
        addl    $5000, %eax
        adcl    $0, %edx
        movl    %eax, %ebx
        movl    $0x6e0, %ecx
        wrmsr
        rdmsr
        CHECK(%rax, %rbx)
        sti
        hlt
        cli
        CAME($0x46)
        rdtsc
        subl    %ebx, %eax
        cmpl    $2000, %eax
        jb      5f
        CHECK(%rax, $0)
5:      movl    $0x6e0, %ecx
        rdmsr
        CHECK(%rax, $0)                         // disarmed
        msr_write 0x6e0, 1                      // long past: at once
        let_in
        let_in
        CAME($0x46)
        apic_write 0x320, $0x10000
        ret

nmi:    // NMIs come with IF clear, and are held back until IRET.
        movb    $1, again
        apic_write 0x300, $0x44400
        nop
        nop
        CHECK(came_inside, $2)
        CAME($0x0202)
        ret

x2apic: movl    $0x1b, %ecx
        rdmsr
        CHECK(%rax, $0xfee00900)                // EN, BSP
        movl    $0x802, %ecx
        FAULTS(GP, 0, "rdmsr")                  // not in xAPIC mode
        movl    $0x1b, %ecx
        xorl    %edx, %edx
        movl    $0xfee00500, %eax
        FAULTS(GP, 0, "wrmsr")                  // EXTD without EN
        movl    $0xfee00d01, %eax
        FAULTS(GP, 0, "wrmsr")                  // reserved
        msr_write 0x1b, 0xfee00d00
        movl    $0xfee00900, %eax
        FAULTS(GP, 0, "wrmsr")                  // back to xAPIC only through disabled
        movb    $1, by_msr
        movl    $0x802, %ecx
        rdmsr
        CHECK(%rax, $0)
        FAULTS(GP, 0, "wrmsr")                  // read-only
        movl    $0x80d, %ecx
        rdmsr
        CHECK(%rax, $1)                         // LDR
        movl    $0x80e, %ecx
        FAULTS(GP, 0, "rdmsr")                  // no DFR
        movl    $0x831, %ecx
        FAULTS(GP, 0, "rdmsr")                  // ICR is one register
        movl    $0x80b, %ecx
        FAULTS(GP, 0, "rdmsr")                  // write-only
        movl    $1, %eax
        FAULTS(GP, 0, "wrmsr")                  // EOI takes 0
        movl    $0x808, %ecx
        movl    $0x100, %eax
        FAULTS(GP, 0, "wrmsr")                  // reserved bits of the TPR
        movl    $0x83f, %ecx
        FAULTS(GP, 0, "rdmsr")
        msr_write 0x83f, 0x47                   // SELF IPI
        let_in
        CAME($0x47)
        movl    $0x830, %ecx
        xorl    %edx, %edx
        movl    $0x4048, %eax
        wrmsr                                   // to id 0
        let_in
        CAME($0x48)
        // Off, then xAPIC again: as after reset.
        msr_write 0x1b, 0xfee00000
        msr_write 0x1b, 0xfee00900
        movb    $0, by_msr
        apic_read 0xf0
        CHECK(%rax, $0xff)
        ret

        .data
        .balign 8
came:   .quad   0
came_rip: .quad 0
came_inside: .quad 0
no_eoi: .byte   0
by_msr: .byte   0
again:  .byte   0
