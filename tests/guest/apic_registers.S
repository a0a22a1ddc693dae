/* The local APIC's registers as tables: what x2APIC mode takes and refuses bit by bit, what xAPIC mode keeps, the transitions
   of APIC_BASE, errors (ESR), timer modes and changes between them, logical destinations. [SDM3 10.4-10.12] */
#include "guest.inc"

        .macro  let_in
        sti
        nop
        nop
        cli
        .endm
        .macro  msr_write number, low
        movl    $\number, %ecx
        movl    $\low, %eax
        xorl    %edx, %edx
        wrmsr
        .endm
#define CAME(want) check_equal came, want, __LINE__ ; movq $0, came

main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        call    memory_registers
        call    errors
        call    timer_changes
        call    logical
        call    transitions
        call    msr_registers
        ret

on_interrupt:
        movq    came, %rax
        shlq    $8, %rax
        movb    %dil, %al
        movq    %rax, came
        cmpb    $0, by_msr
        jne     1f
        apic_write 0xb0, $0
        ret
1:      msr_write 0x80b, 0
        ret

// What a write of all ones leaves, and one of zeros.
memory_registers:
        apic_write 0xf0, $0x1ff
        movl    $memory_rows, %ebx
1:      movl    (%rbx), %esi
        movl    $LAPIC, %edi
        movl    $-1, (%rdi,%rsi)
        movl    (%rdi,%rsi), %eax
        movl    4(%rbx), %edx
        CHECK(%rax, %rdx)
        movl    $0, (%rdi,%rsi)
        movl    (%rdi,%rsi), %eax
        movl    8(%rbx), %edx
        CHECK(%rax, %rdx)
        addl    $12, %ebx
        cmpl    $memory_rows_end, %ebx
        jb      1b
        // The APIC is disabled now: every LVT entry is masked, and stays so.
        apic_read 0x350
        CHECK(%rax, $0x10000)
        apic_write 0x350, $0x40
        apic_read 0x350
        CHECK(%rax, $0x10040)
        apic_write 0xf0, $0x1ff
        apic_read 0x350
        CHECK(%rax, $0x10040)
        apic_write 0x350, $0x700
        ret
        .data
        .balign 4
memory_rows:
        .long   0x20, 0, 0               // ID is fixed
        .long   0x30, 0x01060014, 0x01060014
        .long   0x80, 0xff, 0
        .long   0xa0, 0, 0
        .long   0xd0, 0xff000000, 0
        .long   0xe0, 0xffffffff, 0x0fffffff
        .long   0x310, 0xffffffff, 0
        .long   0x320, 0x000700ff, 0
        .long   0x330, 0x000107ff, 0
        .long   0x340, 0x000107ff, 0
        .long   0x350, 0x0001a7ff, 0
        .long   0x360, 0x0001a7ff, 0
        .long   0x370, 0x000100ff, 0
        .long   0x3e0, 0xb, 0
        .long   0xf0, 0x13ff, 0
memory_rows_end:
        .text

errors: // Reserved registers: ESR bit 7, seen after a write to ESR; one interrupt by the error's LVT entry.
        apic_write 0x370, $0x41
        apic_write 0x280, $0
        movl    LAPIC + 0x40, %eax
        let_in
        CAME($0x41)
        apic_read 0x280
        CHECK(%rax, $0)
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0x80)
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0)
        apic_write 0x3f0, $0             // SELF IPI is x2APIC's
        let_in
        CAME($0x41)
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0x80)
        apic_write 0x280, $0
        // Vectors below 16: sent (bit 5) and received (bit 6, here by a LVT entry). The second kind interrupts again.
        apic_write 0x300, $0x4400f
        let_in
        CAME($0x41)
        apic_write 0x320, $5
        apic_write 0x3e0, $0xb
        apic_write 0x380, $1
        movl    $100, %ecx
1:      loop    1b
        let_in
        CAME($0x41)
        apic_write 0x280, $0
        apic_read 0x280
        CHECK(%rax, $0x60)
        apic_write 0x320, $0x10000
        apic_write 0x370, $0x10000
        apic_write 0x280, $0
        ret

timer_changes:
        // One-shot: counts down to 0 and stays; a masked one counts, too.
        apic_write 0x320, $0x10046
        apic_write 0x380, $50
        movl    $100, %ecx
1:      loop    1b
        apic_read 0x390
        CHECK(%rax, $0)
        // Turning periodic does not start it again.
        apic_write 0x320, $0x20046
        movl    $100, %ecx
1:      loop    1b
        let_in
        CAME($0)
        apic_read 0x390
        CHECK(%rax, $0)
        // The divisor changes while it counts: the count goes on from where it is.
        apic_write 0x320, $0x10046
        apic_write 0x3e0, $0xb
        apic_write 0x380, $100000
        movl    $1000, %ecx
1:      loop    1b
        apic_read 0x390
        movl    %eax, %ebx
        apic_write 0x3e0, $0xa           // by 128
        apic_read 0x390
        subl    %eax, %ebx
        cmpl    $100, %ebx
        jb      1f
        CHECK(%rbx, $0)
1:      movl    $1000, %ecx
        apic_read 0x390
        movl    %eax, %ebx
1:      loop    1b
        apic_read 0x390
        subl    %eax, %ebx
        cmpl    $20, %ebx                // some 2,000 ns at 128
        jb      1f
        CHECK(%rbx, $0)
1:      apic_write 0x3e0, $0xb
        // Periodic to one-shot: the running period is the last.
        apic_write 0x380, $0
        apic_write 0x320, $0x20046
        apic_write 0x380, $2000
        movl    $6000, %ecx
        sti
1:      loop    1b
        cli
        cmpq    $0x4646, came            // at least two
        jae     1f
        CHECK(came, $0x4646)
1:      apic_write 0x320, $0x46
        movl    $5000, %ecx
        sti
1:      loop    1b
        cli
        movq    $0, came
        movl    $5000, %ecx
        sti
1:      loop    1b
        cli
        CAME($0)
        // A count of 0 stops it.
        apic_write 0x320, $0x20046
        apic_write 0x380, $2000
        apic_write 0x380, $0
        movl    $5000, %ecx
        sti
1:      loop    1b
        cli
        CAME($0)
        // Deadline mode: the count registers are dead, the MSR lives; leaving the mode disarms it.
        msr_write 0x6e0, 100
        movl    $0x6e0, %ecx
        rdmsr
        CHECK(%rax, $0)
        apic_write 0x320, $0x40046
        apic_write 0x380, $1000
        apic_read 0x390
        CHECK(%rax, $0)
        msr_write 0x6e0, 0x7fffffff
        movl    $0x6e0, %ecx
        movl    $-1, %eax
        movl    $0x7fff, %edx
        wrmsr
        rdmsr
        CHECK(%rdx, $0x7fff)
        apic_write 0x320, $0x46
        movl    $0x6e0, %ecx
        rdmsr
        CHECK(%rdx, $0)
        apic_write 0x320, $0x10000
        ret

// Rows: LDR, DFR, destination; does it reach this processor (logical id 0 of itself)?
logical:
        movl    $logical_rows, %ebx
1:      movl    $LAPIC, %edi
        movl    (%rbx), %eax
        movl    %eax, 0xd0(%rdi)
        movl    4(%rbx), %eax
        movl    %eax, 0xe0(%rdi)
        movl    8(%rbx), %eax
        movl    %eax, 0x310(%rdi)
        movl    $0x4848, 0x300(%rdi)
        let_in
        movl    12(%rbx), %eax
        CHECK(came, %rax)
        movq    $0, came
        movl    8(%rbx), %eax            // lowest priority among one
        movl    %eax, 0x310(%rdi)
        movl    $0x4948, 0x300(%rdi)
        let_in
        movl    12(%rbx), %eax
        CHECK(came, %rax)
        movq    $0, came
        addl    $16, %ebx
        cmpl    $logical_rows_end, %ebx
        jb      1b
        ret
        .data
        .balign 4
logical_rows:
        .long   0x01000000, 0xffffffff, 0x01000000, 0x48 // flat
        .long   0x01000000, 0xffffffff, 0x03000000, 0x48
        .long   0x01000000, 0xffffffff, 0x02000000, 0
        .long   0x01000000, 0xffffffff, 0xff000000, 0x48
        .long   0x00000000, 0xffffffff, 0x01000000, 0
        .long   0x00000000, 0xffffffff, 0xff000000, 0x48
        .long   0x80000000, 0xffffffff, 0x80000000, 0x48
        .long   0x31000000, 0x0fffffff, 0x31000000, 0x48 // cluster 3, member 0
        .long   0x31000000, 0x0fffffff, 0x33000000, 0x48
        .long   0x31000000, 0x0fffffff, 0x32000000, 0
        .long   0x31000000, 0x0fffffff, 0x21000000, 0
        .long   0x31000000, 0x0fffffff, 0xff000000, 0x48
logical_rows_end:
        .text

// Rows: from, to (APIC_BASE), accepted? Before each it is disabled, then brought to `from` by way of xAPIC mode.
transitions:
        movl    $transition_rows, %ebx
1:      movl    $0x1b, %ecx
        xorl    %edx, %edx
        movl    $0xfee00100, %eax
        wrmsr
        movl    (%rbx), %eax
        testl   $0x800, %eax
        jz      2f
        movl    $0xfee00900, %eax
        wrmsr
        movl    (%rbx), %eax
        wrmsr
2:      movl    4(%rbx), %eax
        movl    8(%rbx), %edx
        arm     3f
        wrmsr
        missed
3:      movl    12(%rbx), %eax
        CHECK(seen_vector, %rax)
        rdmsr
        movl    4(%rbx), %edx
        cmpl    $0x1000, 12(%rbx)
        je      4f
        movl    (%rbx), %edx
4:      CHECK(%rax, %rdx)
        // CPUID's APIC bit follows.
        shrl    $11, %eax
        movl    %eax, %esi
        andl    $1, %esi
        pushq   %rbx
        movl    $1, %eax
        cpuid
        popq    %rbx
        shrl    $9, %edx
        andl    $1, %edx
        CHECK(%rdx, %rsi)
        addl    $16, %ebx
        cmpl    $transition_rows_end, %ebx
        jb      1b
        msr_write 0x1b, 0xfee00100
        msr_write 0x1b, 0xfee00900
        // Moved: it answers there and not here.
        movl    $0x1b, %ecx
        movl    $0xfed90900, %eax
        xorl    %edx, %edx
        wrmsr
        movl    0xfed90030, %eax
        CHECK(%rax, $0x01060014)
        movl    LAPIC + 0x30, %eax
        movl    $-1, %edx
        CHECK(%rax, %rdx)
        msr_write 0x1b, 0xfee00900
        ret
        .data
        .balign 4
        .set    OFF, 0xfee00100
        .set    XAPIC, 0xfee00900
        .set    X2APIC, 0xfee00d00
        .set    FINE, 0x1000
transition_rows:
        .long   OFF, OFF, 0, FINE
        .long   OFF, XAPIC, 0, FINE
        .long   OFF, X2APIC, 0, GP
        .long   XAPIC, OFF, 0, FINE
        .long   XAPIC, XAPIC, 0, FINE
        .long   XAPIC, X2APIC, 0, FINE
        .long   X2APIC, OFF, 0, FINE
        .long   X2APIC, XAPIC, 0, GP
        .long   X2APIC, X2APIC, 0, FINE
        .long   OFF, 0xfee00500, 0, GP   // EXTD alone
        .long   XAPIC, 0xfee00500, 0, GP
        .long   X2APIC, 0xfee00500, 0, GP
        .long   XAPIC, XAPIC + 1, 0, GP  // reserved bits
        .long   XAPIC, XAPIC + 0x200, 0, GP
        .long   XAPIC, XAPIC, 0x100, GP  // beyond 40 address bits
transition_rows_end:
        .text

// x2APIC mode. Rows: MSR, the bits that it takes. Every other bit of 64 is #GP(0).
msr_registers:
        msr_write 0x1b, 0xfee00d00
        movb    $1, by_msr
        msr_write 0x80f, 0x1ff
        movl    $msr_rows, %ebx
1:      xorl    %esi, %esi
2:      movl    (%rbx), %ecx
        xorl    %eax, %eax
        btsq    %rsi, %rax
        movq    %rax, %rdx
        shrq    $32, %rdx
        arm     3f
        wrmsr
        missed
3:      movl    $0x1000, %eax
        btq     %rsi, 8(%rbx)
        jc      4f
        movl    $GP, %eax
4:      cmpq    %rax, seen_vector
        je      5f
        movl    (%rbx), %r13d            // the MSR in the line's place
        movq    %rsi, %r15
        movq    %rax, %r14
        call    report
5:      incl    %esi
        cmpl    $64, %esi
        jb      2b
        addl    $16, %ebx
        cmpl    $msr_rows_end, %ebx
        jb      1b
        // Reading: rows of MSR, FINE or GP.
        movl    $read_rows, %ebx
1:      movl    (%rbx), %ecx
        arm     3f
        rdmsr
        missed
3:      movl    4(%rbx), %eax
        cmpq    %rax, seen_vector
        je      4f
        movl    (%rbx), %r13d
        movq    seen_vector, %r15
        movq    %rax, %r14
        call    report
4:      addl    $8, %ebx
        cmpl    $read_rows_end, %ebx
        jb      1b
        // Logical destinations: cluster in the upper half, one bit of sixteen.
        msr_write 0x80f, 0x1ff
        msr_write 0x808, 0
        let_in
        CAME($0x80402010)                // what the table sent to SELF IPI
        movl    $0x830, %ecx
        xorl    %edx, %edx
        movl    $0x4849, %eax
        wrmsr
        let_in
        CAME($0)
        movl    $1, %edx
        wrmsr
        let_in
        CAME($0x49)
        movl    $0x830, %ecx
        movl    $0x4849, %eax
        movl    $0x10001, %edx
        wrmsr
        let_in
        CAME($0)
        movl    $0x830, %ecx
        movl    $0x4049, %eax
        movl    $-1, %edx                // broadcast
        wrmsr
        let_in
        CAME($0x49)
        ret
        .data
        .balign 8
        .macro  msr_row msr, bits
        .quad   \msr, \bits
        .endm
msr_rows:
        msr_row 0x802, 0
        msr_row 0x803, 0
        msr_row 0x808, 0xff
        msr_row 0x80a, 0
        msr_row 0x80b, 0
        msr_row 0x80c, 0
        msr_row 0x80d, 0
        msr_row 0x80e, 0
        msr_row 0x810, 0
        msr_row 0x818, 0
        msr_row 0x827, 0
        msr_row 0x828, 0
        msr_row 0x829, 0
        msr_row 0x82f, 0x117ff
        msr_row 0x831, 0
        msr_row 0x832, 0x710ff
        msr_row 0x833, 0x117ff
        msr_row 0x834, 0x117ff
        msr_row 0x835, 0x1f7ff
        msr_row 0x836, 0x1f7ff
        msr_row 0x837, 0x110ff
        msr_row 0x838, 0xffffffff
        msr_row 0x839, 0
        msr_row 0x83e, 0xb
        msr_row 0x840, 0
        msr_row 0x8ff, 0
        msr_row 0x83f, 0xff
        msr_row 0x80f, 0x13ff
msr_rows_end:
read_rows:
        .irp    msr, 0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f, 0x810, 0x817, 0x818, 0x81f, 0x820, 0x827, 0x828, 0x82f, 0x830, 0x832, 0x837, 0x838, 0x839, 0x83e
        .long   \msr, FINE
        .endr
        .irp    msr, 0x800, 0x801, 0x804, 0x807, 0x809, 0x80b, 0x80c, 0x80e, 0x829, 0x82e, 0x831, 0x83a, 0x83d, 0x83f, 0x840, 0x8ff
        .long   \msr, GP
        .endr
read_rows_end:
        .balign 8
came:   .quad   0
by_msr: .byte   0
