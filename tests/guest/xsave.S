/* XSAVE and its family: formats, header checks, the init and modified optimisations, XCR0. [SDM1 13], [APM2 11.5]

   The model has x87 and SSE state here; components in use are those that differ from their initial value. */
#include "guest.inc"

        .set    AREA, FREE                  // 64-byte aligned
        .set    OTHER, FREE + 0x1000

        .macro  components low
        movl    $\low, %eax
        xorl    %edx, %edx
        .endm

        .macro  clear_area address
        movl    $\address, %edi
        xorl    %eax, %eax
        movl    $512, %ecx
        rep stosq
        .endm

main64: FAULTS(UD, 0, xgetbv)               // CR4.OSXSAVE is clear
        FAULTS(UD, 0, "xsave AREA")
        movq    %cr4, %rax
        orl     $0x40000, %eax
        movq    %rax, %cr4
        movl    $1, %eax
        cpuid
        shrl    $27, %ecx                   // OSXSAVE follows CR4
        andl    $1, %ecx
        CHECK(%rcx, $1)
        call    control_register
        call    standard_format
        call    init_optimisation
        call    compacted_format
        call    bad_headers
        call    supervisor_forms
        ret

control_register:
        xorl    %ecx, %ecx
        xgetbv
        CHECK(%rax, $1)
        CHECK(%rdx, $0)
        components 3
        xsetbv
        xgetbv
        CHECK(%rax, $3)
        components 2                        // x87 must be on
        FAULTS(GP, 0, xsetbv)
        movl    $3, %eax
        movl    $1, %edx                    // a component that nobody has
        FAULTS(GP, 0, xsetbv)
        components 3
        movl    $2, %ecx                    // XCR2
        FAULTS(GP, 0, xsetbv)
        FAULTS(GP, 0, xgetbv)
        ret

standard_format:
        clear_area AREA
        fninit
        fld1
        fldpi
        movabsq $0x1122334455667788, %rbx
        movq    %rbx, %xmm3
        components 7                        // only what XCR0 has is saved
        xsave   AREA
        CHECK(AREA + 512, $3)               // XSTATE_BV
        CHECK(AREA + 520, $0)               // XCOMP_BV: standard
        CHECK(AREA + 160 + 48, %rbx)
        movzwl  AREA, %ecx
        CHECK(%rcx, $0x37f)
        movzbl  AREA + 4, %ecx              // abridged tags: two registers from the top down
        CHECK(%rcx, $0xc0)
        // Restoring: a component whose bit is clear takes its initial value.
        fninit
        xorps   %xmm3, %xmm3
        components 3
        xrstor  AREA
        movq    %xmm3, %rcx
        CHECK(%rcx, %rbx)
        movq    $1, AREA + 512
        components 3
        xrstor  AREA
        movq    %xmm3, %rcx
        CHECK(%rcx, $0)
        fnstsw  %ax
        movzwl  %ax, %ecx
        CHECK(%rcx, $0x3000)                // TOP is 6: x87 came back
        // Not asked for: left alone.
        movq    %rbx, %xmm3
        components 1
        xrstor  AREA
        movq    %xmm3, %rcx
        CHECK(%rcx, %rbx)
        FAULTS(GP, 0, "xsave AREA + 8")       // misaligned
        FAULTS(GP, 0, "xrstor AREA + 16")
        ret

init_optimisation:
        // FNINIT leaves the registers' contents; restoring nothing initialises all of both components.
        clear_area OTHER
        movl    $0x1f80, OTHER + 24
        components 3
        xrstor  OTHER
        movq    $-1, OTHER + 512
        components 3
        xsave   OTHER
        movq    OTHER + 512, %rcx
        andq    $3, %rcx
        CHECK(%rcx, $0)
        movq    $0, OTHER + 512
        components 3
        xsave   OTHER
        CHECK(OTHER + 512, $0)              // nothing differs from its initial value
        movq    %rbx, %xmm9
        movq    $-1, OTHER + 512
        components 3
        xsaveopt OTHER
        movq    OTHER + 512, %rcx
        andl    $3, %ecx
        CHECK(%rcx, $2)
        CHECK(OTHER + 160 + 144, %rbx)
        ret

compacted_format:
        clear_area OTHER
        components 3
        xsavec  OTHER
        CHECK(OTHER + 512, $2)
        movabsq $0x8000000000000003, %rcx
        CHECK(OTHER + 520, %rcx)
        CHECK(OTHER + 160 + 144, %rbx)
        xorps   %xmm9, %xmm9
        components 3
        xrstor  OTHER
        movq    %xmm9, %rcx
        CHECK(%rcx, %rbx)
        ret

bad_headers:
        clear_area AREA
        movl    $0x1f80, AREA + 24
        movq    $4, AREA + 512              // a component that XCR0 does not have
        components 3
        FAULTS(GP, 0, "xrstor AREA")
        movq    $2, AREA + 512
        movq    $1, AREA + 528              // reserved header bytes
        FAULTS(GP, 0, "xrstor AREA")
        movq    $0, AREA + 528
        movq    $3, AREA + 520              // XCOMP_BV without bit 63
        FAULTS(GP, 0, "xrstor AREA")
        movabsq $0x8000000000000001, %rcx   // XSTATE_BV has more than XCOMP_BV
        movq    %rcx, AREA + 520
        FAULTS(GP, 0, "xrstor AREA")
        movq    $0, AREA + 520
        movl    $0xffff0000, AREA + 24      // reserved MXCSR bits
        FAULTS(GP, 0, "xrstor AREA")
        ret

supervisor_forms:
        clear_area AREA
        movl    $0xda0, %ecx                // IA32_XSS: no supervisor component exists
        rdmsr
        CHECK(%rax, $0)
        movl    $0x100, %eax
        xorl    %edx, %edx
        FAULTS(GP, 0, wrmsr)
        movq    %rbx, %xmm5
        components 3
        xsaves64 AREA
        movabsq $0x8000000000000003, %rcx
        CHECK(AREA + 520, %rcx)
        xorps   %xmm5, %xmm5
        components 3
        xrstors64 AREA
        movq    %xmm5, %rcx
        CHECK(%rcx, %rbx)
        movq    $0, AREA + 520              // XRSTORS takes the compacted format only
        FAULTS(GP, 0, "xrstors AREA")
        USER_FAULTS(GP, 0, "xsaves AREA")
        ret
