/* SMAP and the stacks that exceptions push to: out of ring 3 pushing is an implicit supervisor access, which RFLAGS.AC does
   not help; in ring 0 it is an explicit one. [SDM3 4.6.1] */
#include "guest.inc"

        .set    STACK, FREE + 0x2000

main64: movq    %cr4, %rax
        orl     $0x200000, %eax                  // SMAP
        movq    %rax, %cr4
        movb    $1, idt + 16 * PF + 4            // #PF by IST1
        movl    $STACK, %ebx
        addq    user_base, %rbx
        // Ring 0 on a stack that is a user page.
        TRAPS(0x90, 0, "movq %rbx, %rsp ; stac ; int $0x90")
        clac
        CHECK(seen_rsp, %rbx)
        arm     9f
        movq    %rbx, %rsp
1:      int     $0x90
9:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $3)
        CHECK(seen_rip, $1b)
        leaq    -8(%rbx), %rcx
        CHECK(seen_cr2, %rcx)
        // Ring 3 to a ring 0 stack that is one.
        movq    %rbx, tss + 4
        movq    $0x40002, user_rflags            // AC
        USER_PAGE_FAULTS(3, %rcx, "int $0x80")
        movq    $2, user_rflags
        USER_PAGE_FAULTS(3, %rcx, "int $0x80")
        movq    $interrupt_stack, tss + 4
        USER_TRAPS(0x80, 0, "int $0x80")
        ret
