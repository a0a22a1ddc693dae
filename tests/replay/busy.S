/* Work without inputs and without an end: a periodic APIC timer, arithmetic, x87 and SSE, memory, RDRAND. */
#include "guest.inc"
main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        apic_write 0x0f0, $0x1ff
        apic_write 0x320, $0x20040            // periodic, vector 0x40
        apic_write 0x3e0, $0xb                // divide by 1
        apic_write 0x380, $10007
        sti
        fldpi
        movl    $FREE, %edi
        movl    $1, %ebx
        cvtsi2sd %ebx, %xmm1
1:      rdrand  %rax
        stosq
        cmpl    $FREE + 0x40000, %edi
        jb      2f
        movl    $FREE, %edi
        incq    rounds
2:      fadd    %st(0), %st(0)
        addsd   %xmm1, %xmm0
        imulq   $0x5851f42d, %rbx, %rbx
        incq    %rbx
        testl   $0x3000, %ebx
        jnz     1b
        hlt
        jmp     1b
on_interrupt:
        incq    interrupts
        apic_write 0x0b0, $0
        ret
        .data
rounds: .quad   0
interrupts: .quad 0
