/* Five-level paging: entering it, canonical addresses of 57 bits, the fifth level's entries, code and stacks up there, what may
   hold wide addresses while CR4.LA57 is clear. [SDM3 4.5], [APM2 5.3.2] */
#include "guest.inc"

        .set    HIGH, 0x0080000000000000 // bit 55: entry 0x80 of the fifth level
        .set    LOW_HALF_END, 0x0100000000000000

main64: movl    $7, %eax
        xorl    %ecx, %ecx
        cpuid
        btl     $16, %ecx
        setc    %al
        movzbl  %al, %eax
        CHECK(%rax, $1)
        movl    $0x80000008, %eax
        cpuid
        CHECK(%rax, $0x3934)
        // With four levels: addresses have 48 bits, but bases may have 57.
        movq    wide, %rsi
        FAULTS(GP, 0, "movb (%rsi), %al")
        call    wide_bases
        movq    %cr4, %rax
        orl     $0x1000, %eax
        FAULTS(GP, 0, "movq %rax, %cr4")         // not in long mode
        ljmpl   *to_32
        .code32
1:      .globl  leave_long
leave_long:
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %ss
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        movl    %cr4, %eax
        orl     $0x1000, %eax
        movl    %eax, %cr4
        movl    $pml4 + 7, pml5
        movl    $pml4 + 7, pml5 + 8 * 0x80
        movl    $pml4 + 7, pml5 + 8 * 0x1ff
        movl    $pml5, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmp    $CODE64, $1f
        .code64
1:      movq    $0x1234567890abcdef, %rax
        movq    %rax, marker
        movq    wide, %rsi
        addq    $marker, %rsi
        movq    (%rsi), %rbx
        CHECK(%rbx, %rax)
        movzbl  pml5 + 8 * 0x80, %eax
        CHECK(%rax, $0x27)                       // accessed
        movq    $-0x1000000000000, %rsi          // the last entry, the other half
        addq    $marker, %rsi
        movq    (%rsi), %rbx
        CHECK(%rbx, marker)
        movq    $0x0040000000000000, %rsi        // canonical, not mapped
        PAGE_FAULTS(0, %rsi, "movb (%rsi), %al")
        // The hole begins at 2^56.
        movq    hole, %rsi
        FAULTS(GP, 0, "movb (%rsi), %al")
        FAULTS(GP, 0, "jmp *%rsi")
        RUNS("invlpg (%rsi)")                    // nothing to do, no fault
        movq    %rsi, %rbp
        FAULTS(SS, 0, "movq (%rbp), %rax")
        movq    %cr4, %rax
        btrl    $12, %eax
        FAULTS(GP, 0, "movq %rax, %cr4")
        // Code and stack in the fifth level's reach.
        movq    wide, %rax
        movq    %rsp, %rbx
        addq    %rax, %rsp
        addq    $up_there, %rax
        call    *%rax
1:      subq    wide, %rsp
        movq    %rsp, %rax
        CHECK(%rax, %rbx)
        movl    $1b, %eax
        CHECK(%rcx, %rax)
        movl    $up_there, %eax
        addq    wide, %rax
        CHECK(%rdx, %rax)
        // Reserved bits of the fifth level: PS, G, none of the address (52 bits).
        movq    wide, %rsi
        btsq    $7, pml5 + 8 * 0x80
        invlpg  (%rsi)
        PAGE_FAULTS(9, %rsi, "movb (%rsi), %al")
        btrq    $7, pml5 + 8 * 0x80
        btsq    $8, pml5 + 8 * 0x80
        PAGE_FAULTS(9, %rsi, "movb (%rsi), %al")
        btrq    $8, pml5 + 8 * 0x80
        // Its rights count.
        andq    $~2, pml5 + 8 * 0x80
        PAGE_FAULTS(3, %rsi, "movb %al, (%rsi)")
        orq     $2, pml5 + 8 * 0x80
        btsq    $63, pml5 + 8 * 0x80
        movq    wide, %rax
        addq    $up_there, %rax
        arm     1f
        jmp     *%rax
1:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $0x11)
        CHECK(seen_rip, %rax)
        ret
up_there:
        leaq    up_there(%rip), %rdx
        movq    (%rsp), %rcx
        ret

// MSRs and table bases are checked against the widest address that the processor has.
wide_bases:
        .irp    msr, 0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101, 0xc0000102
        movl    $\msr, %ecx
        movl    $0, %eax
        movl    $HIGH >> 32, %edx
        RUNS("wrmsr")
        rdmsr
        CHECK(%rdx, $(HIGH >> 32))
        movl    $LOW_HALF_END >> 32, %edx
        FAULTS(GP, 0, "wrmsr")
        xorl    %edx, %edx
        wrmsr
        .endr
        FAULTS(GP, 0, "lgdt wide_table")
        ret

        .data
        .balign 8
marker: .quad   0
wide:   .quad   HIGH
hole:   .quad   LOW_HALF_END
to_32:  .long   leave_long
        .word   CODE32, 0
wide_table: .word 0xff
        .quad   LOW_HALF_END
        .bss
        .balign 4096
pml5:   .skip   4096
