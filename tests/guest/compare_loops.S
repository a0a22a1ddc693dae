/* Loops that end with a comparison with memory that no page of RAM can answer at once: a device's register, and an operand that
   lies in two pages. The flags of a turn are what the next one reads. */
#include "guest.inc"
        .set    CROSSING, FREE + 0x1000 - 2

// ebx: the sum of PF of each turn's comparison with `limit`, up to it.
        .macro  sum_turns limit
        xorl    %ebx, %ebx
        xorl    %ecx, %ecx
        cmpl    %ecx, %ecx
1:      setp    %dl
        movzbl  %dl, %edx
        leal    (%rbx,%rdx), %ebx
        leal    1(%rcx), %ecx
        cmpl    \limit, %ecx
        jb      1b
        .endm

// The sum with the limit at rsi; by a register it is right.
        .macro  sums limit, line
        sum_turns (%rsi)
        movl    %ebx, %r9d
        movl    \limit, %r8d
        sum_turns %r8d
        check_equal %r9, %rbx, \line
        .endm

main64: movl    $40, %ebp
again:  movl    $300, CROSSING
        movl    $CROSSING, %esi
        sums    $300, __LINE__
        apic_write 0x80, $0xb0                  // the task priority is a number that we choose
        movl    $LAPIC + 0x80, %esi
        sums    $0xb0, __LINE__
        apic_write 0x80, $0
        decl    %ebp
        jnz     again

        // A count that goes down with the ticks: how many turns there are says whether those are right.
        apic_write 0x3e0, $0xb
        apic_write 0xf0, $0x1ff
        apic_write 0x320, $0x10040              // masked
        apic_write 0x380, $100000
        movl    $LAPIC + 0x390, %esi
        xorl    %eax, %eax
1:      addl    $1, %eax
        cmpl    $50000, (%rsi)
        ja      1b
        ret
