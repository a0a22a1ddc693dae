/* LAR, LSL, VERR, VERW in long mode: 64-bit code. [SDM2 LAR, LSL, VERR], [APM3], [APM2 4.8.3] */
#include "guest.inc"
        .set    LAR_TYPES, 0xffff1a04    // LDT, available and busy TSS, call gate
        .set    LSL_TYPES, 0xffff0a04
        .macro  equal got, want, line
        pushq   %rax
        movl    \want, %eax
        movq    %rax, wanted
        popq    %rax
        check_equal \got, wanted, \line
        .endm
#define EQUAL(got, want) equal got, want, __LINE__
#include "segment_queries.inc"

main64: orb     $4, pml4                         // ring 3 runs and writes the program's own pages
        orb     $4, pdpt
        movl    $pd, %edi
        movl    $512, %ecx
1:      orb     $4, (%rdi)
        addl    $8, %edi
        loop    1b
        movq    %cr3, %rax
        movq    %rax, %cr3
        movq    $0, user_base
        call    segment_queries
        ret

in_ring3:
        arm     1f
        enter_user 2f
2:      call    *%rdi
        int     $SYSTEM
1:      ret

        .data
        .balign 8
wanted: .quad   0
