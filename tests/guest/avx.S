/* AVX as a system sees it: when VEX encodings exist, YMM state in XSAVE areas, upper halves, SIMD exceptions, gathers
   that go on after a page fault, 32-bit code. [SDM1 13, 14], [SDM3 2.6, 13.4] */
#include "guest.inc"

        .set    AREA, FREE                  // 64-byte aligned
        .set    DATA_AT, FREE + 0x2000
        .set    NOWHERE, 0x100000000        // not mapped

        .macro  components low
        movl    $\low, %eax
        xorl    %edx, %edx
        .endm
        .macro  upper_of number             // bits 128..191 to rcx, by itself
        vextractf128 $1, %ymm\number, %xmm15
        vmovq   %xmm15, %rcx
        .endm

main64: FAULTS(UD, 0, "vaddps %xmm1, %xmm1, %xmm1")   // CR4.OSXSAVE is clear
        FAULTS(UD, 0, "vzeroupper")
        movq    %cr4, %rax
        orl     $0x40000, %eax
        movq    %rax, %cr4
        xorl    %ecx, %ecx
        components 3
        xsetbv
        FAULTS(UD, 0, "vaddps %xmm1, %xmm1, %xmm1")   // XCR0 has no AVX
        RUNS("andn %eax, %eax, %eax")                 // needs none
        components 5
        FAULTS(GP, 0, xsetbv)                         // AVX without SSE
        components 7
        xsetbv
        RUNS("vaddps %xmm1, %xmm1, %xmm1")
        call    identification
        call    control_bits
        call    upper_halves
        call    numeric
        call    save_and_restore
        call    gathers
        call    masked
        movq    $0x00cf9a000000ffff, %rax             // 32-bit code
        movq    %rax, gdt + SPARE
        lcall   *to_32
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        CHECK(reached, $4)
        ret

identification:
        movl    $0xd, %eax
        xorl    %ecx, %ecx
        cpuid
        CHECK(%rbx, $832)                   // 512 + 64 + 256
        movl    $0xd, %eax
        movl    $2, %ecx
        cpuid
        CHECK(%rax, $256)
        CHECK(%rbx, $576)
        movl    $1, %eax
        cpuid
        andl    $0x30001000, %ecx           // F16C AVX FMA
        movl    $0x30001000, %edx
        CHECK(%rcx, %rdx)
        ret

control_bits:
        movq    %cr0, %rbx
        movq    %rbx, %rax
        orl     $8, %eax                    // TS
        movq    %rax, %cr0
        FAULTS(NM, 0, "vaddps %ymm1, %ymm1, %ymm1")
        FAULTS(NM, 0, "vzeroall")
        movq    %rbx, %rax
        orl     $4, %eax                    // EM is for legacy encodings
        movq    %rax, %cr0
        RUNS("vaddps %ymm1, %ymm1, %ymm1")
        FAULTS(UD, 0, "addps %xmm1, %xmm1")
        movq    %rbx, %cr0
        movq    %cr4, %rbx
        movq    %rbx, %rax
        andl    $~0x200, %eax               // so is OSFXSR
        movq    %rax, %cr4
        RUNS("vaddps %ymm1, %ymm1, %ymm1")
        FAULTS(UD, 0, "addps %xmm1, %xmm1")
        movq    %rbx, %cr4
        // Without OSXMMEXCPT a SIMD exception is an invalid opcode.
        movq    %rbx, %rax
        andl    $~0x400, %eax
        movq    %rax, %cr4
        vldmxcsr no_masks
        vpcmpeqd %ymm1, %ymm1, %ymm1
        vpsrld  $9, %ymm1, %ymm1            // denormals
        FAULTS(UD, 0, "vaddps %ymm1, %ymm1, %ymm2")
        movq    %rbx, %cr4
        FAULTS(XM, 0, "vaddps %ymm1, %ymm1, %ymm2")
        vldmxcsr default_mxcsr
        ret

upper_halves:
        movabsq $0x1122334455667788, %rbx
        movq    %rbx, DATA_AT
        vbroadcastsd DATA_AT, %ymm3
        addps   %xmm0, %xmm3                // a legacy encoding keeps it
        upper_of 3
        CHECK(%rcx, %rbx)
        vaddps  %xmm0, %xmm3, %xmm4
        upper_of 4
        CHECK(%rcx, $0)
        vbroadcastsd DATA_AT, %ymm5
        vzeroupper
        upper_of 5
        CHECK(%rcx, $0)
        vmovq   %xmm5, %rcx
        CHECK(%rcx, %rbx)
        vzeroall
        vmovq   %xmm5, %rcx
        CHECK(%rcx, $0)
        // Alignment: only the moves that say so.
        RUNS("vaddps DATA_AT + 1, %ymm1, %ymm2")
        RUNS("vmovups DATA_AT + 1, %ymm2")
        FAULTS(GP, 0, "vmovaps DATA_AT + 16, %ymm2")
        RUNS("vmovaps DATA_AT + 16, %xmm2")
        FAULTS(GP, 0, "vmovntdq %ymm2, DATA_AT + 16")
        FAULTS(GP, 0, "vmovntdqa DATA_AT + 8, %xmm2")
        ret

numeric:
        // An unmasked exception in one lane: flags are set, the destination is as it was.
        vldmxcsr zero_divide_unmasked
        vxorps  %ymm1, %ymm1, %ymm1
        vbroadcastss one, %ymm2
        vbroadcastsd DATA_AT, %ymm3
        FAULTS(XM, 0, "vdivps %ymm1, %ymm2, %ymm3")
        upper_of 3
        CHECK(%rcx, %rbx)
        vstmxcsr DATA_AT + 64
        movl    DATA_AT + 64, %ecx
        CHECK(%rcx, $0x1d84)
        vldmxcsr default_mxcsr
        RUNS("vdivps %ymm1, %ymm2, %ymm3")
        // (1 + e) * (1 + e) - 1 - 2e is e * e, which only a fused operation finds.
        vmovsd  one_and_a_bit, %xmm1
        vmovsd  one_and_two_bits, %xmm2
        vmovapd %xmm1, %xmm3
        vfmsub213sd %xmm2, %xmm1, %xmm3
        vmovq   %xmm3, %rcx
        movabsq $0x3970000000000000, %rdx
        CHECK(%rcx, %rdx)
        ret

save_and_restore:
        movl    $AREA, %edi
        xorl    %eax, %eax
        movl    $512, %ecx
        rep stosq
        vzeroall
        vbroadcastsd DATA_AT, %ymm7
        vmovdqa %xmm0, %xmm15
        components 7
        xsave64 AREA
        CHECK(AREA + 512, $6)
        CHECK(AREA + 272, %rbx)
        CHECK(AREA + 688, %rbx)
        CHECK(AREA + 704, $0)
        vzeroall
        components 7
        xrstor64 AREA
        upper_of 7
        CHECK(%rcx, %rbx)
        // Only AVX: the lower halves stay.
        vzeroall
        components 4
        xrstor64 AREA
        vmovq   %xmm7, %rcx
        CHECK(%rcx, $0)
        upper_of 7
        CHECK(%rcx, %rbx)
        // A clear bit in XSTATE_BV gives the initial value.
        movq    $2, AREA + 512
        components 7
        xrstor64 AREA
        upper_of 7
        CHECK(%rcx, $0)
        vmovq   %xmm7, %rcx
        CHECK(%rcx, %rbx)
        // In use or not.
        vzeroupper
        movl    $1, %ecx
        xgetbv
        andl    $4, %eax
        CHECK(%rax, $0)
        vbroadcastsd DATA_AT, %ymm9
        movl    $1, %ecx
        xgetbv
        andl    $4, %eax
        CHECK(%rax, $4)
        // Compacted.
        components 7
        xsavec64 AREA
        movq    AREA + 512, %rcx
        andl    $6, %ecx
        CHECK(%rcx, $6)
        CHECK(AREA + 720, %rbx)
        vzeroall
        components 7
        xrstor64 AREA
        upper_of 9
        CHECK(%rcx, %rbx)
        vzeroupper
        movq    $-1, AREA + 720
        components 7
        xsaves64 AREA
        movq    AREA + 512, %rcx
        andl    $6, %ecx
        CHECK(%rcx, $2)
        CHECK(AREA + 720, $-1)     // what is not in use is not written
        ret

gathers:
        movl    $0x1111, DATA_AT
        movl    $0x2222, DATA_AT + 4
        movl    $DATA_AT, %ebx
        vmovdqu indices, %ymm1              // 0, 4, what is not mapped, 0
        vpcmpeqd %ymm2, %ymm2, %ymm2
        vpcmpeqd %ymm0, %ymm0, %ymm0
        movabsq $NOWHERE, %rdx
        PAGE_FAULTS(0, %rdx, "vpgatherqd %xmm2, (%rbx,%ymm1), %xmm0")
        vmovq   %xmm2, %rcx                 // two elements are done, two to go
        CHECK(%rcx, $0)
        vpextrq $1, %xmm2, %rcx
        CHECK(%rcx, $-1)
        vmovq   %xmm0, %rcx
        movabsq $0x222200001111, %rdx
        CHECK(%rcx, %rdx)
        upper_of 0
        CHECK(%rcx, $-1)
        movl    $0x3333, DATA_AT            // read already: it stays 1111
        vpxor   %xmm1, %xmm1, %xmm1         // and now all lead to element 0
        vpgatherqd %xmm2, (%rbx,%ymm1), %xmm0
        vmovq   %xmm0, %rcx
        CHECK(%rcx, %rdx)
        vpextrq $1, %xmm0, %rcx
        movabsq $0x333300003333, %rdx
        CHECK(%rcx, %rdx)
        upper_of 0
        CHECK(%rcx, $0)
        FAULTS(UD, 0, ".byte 0xc4, 0xe2, 0x69, 0x90, 0x14, 0x0b") // the destination is the mask
        ret

masked:
        vpxor   %xmm1, %xmm1, %xmm1
        movabsq $NOWHERE, %rdx
        RUNS("vmaskmovps (%rdx), %ymm1, %ymm2")
        RUNS("vmaskmovps %ymm2, %ymm1, (%rdx)")
        vpcmpeqd %xmm1, %xmm1, %xmm1
        PAGE_FAULTS(0, %rdx, "vmaskmovps (%rdx), %ymm1, %ymm2")
        PAGE_FAULTS(2, %rdx, "vmaskmovps %ymm2, %ymm1, (%rdx)")
        ret

        .code32
compatibility:
        vpcmpeqd %ymm1, %ymm1, %ymm1
        vpmovmskb %ymm1, %eax
        cmpl    $-1, %eax
        jne     1f
        incl    reached
        // The upper bit of vvvv and of the fourth operand don't count: xmm2 and xmm4.
        movl    $5, %eax
        vmovd   %eax, %xmm2
        vpxor   %xmm4, %xmm4, %xmm4
        .byte   0xc4, 0xe3, 0x29, 0x4a, 0xc9, 0xc0  // vblendvps xmm1, xmm2 (10), xmm1, xmm4 (12)
        vmovd   %xmm1, %eax
        cmpl    $5, %eax
        jne     1f
        incl    reached
        // LES and LDS are still there.
        movl    $0x12345678, DATA_AT
        movw    $DATA, DATA_AT + 4
        movl    $DATA_AT, %ebx
        les     (%ebx), %ecx
        lds     (%ebx), %edx
        cmpl    %ecx, %edx
        jne     1f
        cmpl    $0x12345678, %ecx
        jne     1f
        incl    reached
        // VZEROALL leaves registers that this mode has not.
        vzeroall
        incl    reached
1:      lret
        .code64

        .data
        .balign 8
to_32:  .long   compatibility
        .word   SPARE, 0
reached: .quad  0
indices: .quad  0, 4
        .quad   NOWHERE - (DATA_AT), 0
no_masks: .long 0
default_mxcsr: .long 0x1f80
zero_divide_unmasked: .long 0x1d80
one:    .float  1.0
        .balign 8
one_and_a_bit: .quad 0x3ff0000000000001
one_and_two_bits: .quad 0x3ff0000000000002
