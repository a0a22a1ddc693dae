/* x87 errors with CR0.NE clear, as DOS knows them: the next waiting instruction stops, FERR# becomes IRQ 13, port 0xf0 takes it
   back and lets the handler's instructions through (IGNNE#); and #MF with CR0.NE. [SDM1 D.2.1] */
#include "guest.inc"
#include "legacy.inc"

        .macro  out port, value
        movb    $\value, %al
        outb    %al, $\port
        .endm
        // 1 / 0 with the exception unmasked.
        .macro  divide_by_zero
        fninit
        fldcw   unmasked
        fld1
        fldz
        fdivrp
        .endm

main32: out     0x20, 0x11
        out     0x21, 0x20
        out     0x21, 4
        out     0x21, 1
        out     0xa0, 0x11
        out     0xa1, 0x28
        out     0xa1, 2
        out     0xa1, 1
        out     0x21, 0xfb                      // the cascade
        out     0xa1, 0xdf                      // IRQ 13
        movl    $on_irq13, %eax
        movl    $0x2d, %ecx
        movl    $0x8e00, %edx
        call    set_gate32
        // With NE: #MF before the waiting instruction.
        divide_by_zero
        FAULTS32(MF, 0, fwait)
        FAULTS32(MF, 0, fld1)
        fnclex
        movl    %cr0, %eax
        andl    $~0x20, %eax
        movl    %eax, %cr0
        // Without: the error itself and instructions that don't wait make no interrupt ...
        divide_by_zero
        sti
        fnstsw  %ax
        fnstcw  word
        nop
        nop
        WANT(count, $0)
        // ... the waiting one stops, and is run again after the handler.
1:      fwait
        cli
        WANT(count, $1)
        WANT(irq_eip, $1b)
        WANT(irq_status, $0xb084)               // ES, B, ZE; nothing was popped
        // MMX waits, too.
        divide_by_zero
        sti
1:      movd    %eax, %mm0
        cli
        WANT(count, $2)
        WANT(irq_eip, $1b)
        emms
        // With interrupts masked at the processor it stops until an NMI; here the 8259 shows that the line is up.
        divide_by_zero
        fnclex
        fwait
        out     0xa0, 0x0a
        inb     $0xa0, %al
        movzbl  %al, %eax
        WANT(%eax, $0)
        // The write to port 0xf0 without an error pending sets no IGNNE#.
        out     0xf0, 0
        divide_by_zero
        sti
        fwait
        cli
        WANT(count, $3)
        ret

on_irq13:
        pushl   %eax
        movl    4(%esp), %eax
        movl    %eax, irq_eip
        fnstsw  %ax
        movzwl  %ax, %eax
        movl    %eax, irq_status
        out     0xf0, 0
        fwait                                   // ignored now
        fld1
        incl    count
        fnclex
        out     0xa0, 0x20
        out     0x20, 0x20
        popl    %eax
        iret

        .data
        .balign 4
unmasked: .word 0x37b
word:   .word   0
count:  .long   0
irq_eip: .long  0
irq_status: .long 0
