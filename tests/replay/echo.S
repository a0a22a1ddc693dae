/* Echoes what is typed at COM1: by interrupts first, after a 'p' by polling; 'q' ends it. What it echoes and what it
   leaves in memory depend on when each byte came. */
#include "guest.inc"
main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        // The 8259 pair at vectors 0x20 and 0x28, only IRQ 4 open; it reaches the CPU through LINT0.
        apic_write 0x0f0, $0x1ff
        apic_write 0x350, $0x700
        movb    $0x11, %al
        outb    %al, $0x20
        outb    %al, $0xa0
        movb    $0x20, %al
        outb    %al, $0x21
        movb    $0x28, %al
        outb    %al, $0xa1
        movb    $4, %al
        outb    %al, $0x21
        movb    $2, %al
        outb    %al, $0xa1
        movb    $1, %al
        outb    %al, $0x21
        outb    %al, $0xa1
        movb    $0xef, %al
        outb    %al, $0x21
        movb    $0xff, %al
        outb    %al, $0xa1
        // The port: 8 bits; OUT2 gates the interrupt, RTS asks the other end to send; received data available.
        movw    $0x3fb, %dx
        movb    $3, %al
        outb    %al, %dx
        movw    $0x3fc, %dx
        movb    $0xa, %al
        outb    %al, %dx
        movw    $0x3f9, %dx
        movb    $1, %al
        outb    %al, %dx
by_interrupt:
        cli
        cmpb    $0, polling
        jne     by_polling
        sti
        hlt
        jmp     by_interrupt
by_polling:
        movw    $0x3f9, %dx
        xorl    %eax, %eax
        outb    %al, %dx
1:      incq    spins
        movw    $0x3fd, %dx
        inb     %dx, %al
        testb   $1, %al
        jz      1b
        call    take
        jmp     1b

on_interrupt:
        call    take
        movb    $0x20, %al
        outb    %al, $0x20
        ret

// One byte: echoed, and mixed with the time into `mixed`.
take:   movw    $0x3f8, %dx
        inb     %dx, %al
        movb    %al, %bl
        outb    %al, %dx
        rdtsc
        shlq    $32, %rdx
        orq     %rdx, %rax
        xorq    mixed, %rax
        rolq    $7, %rax
        addq    spins, %rax
        movq    %rax, mixed
        cmpb    $'p', %bl
        jne     1f
        movb    $1, polling
1:      cmpb    $'q', %bl
        jne     2f
        movl    $0, %eax
        jmp     finish
2:      ret

        .data
        .balign 8
mixed:  .quad   0
spins:  .quad   0
polling: .byte  0
