/* Returns that are hot, while where they lead changes between call and return: by INVLPG, by CR3, by other pages in the
   TLB, not at all since that has the page still; to another mapping of the caller's page, past the caller; and calls
   nested deeper than a host would remember. [SDM3 4.10], [APM2 5.5] */
#include "guest.inc"

        // The program's own tables map 0x80_8000_0000 .. (PML4 entry 1, PDPT entry 2) by 4 KiB pages to FREE ..
        .set    WINDOW, 0x8080000000
        .set    BITS, 7         // present, writable, for users
        .set    TURNS, 200
        .set    TABLE, 0

        // Page n of the window leads to page `to` of FREE.
        .macro  map n, to
        movq    $(FREE + 4096 * \to + BITS), page_table + 8 * \n
        .endm
        .macro  forget n
        movabsq $(WINDOW + 4096 * \n), %r15
        invlpg  (%r15)
        .endm
        // With `callee` between call and return, the function at WINDOW gives `number`, and has run on in window page
        // `page` behind its call, TURNS times.
#define RETURNS(callee, number, page)                      \
        movl    $callee, %eax ;                            \
        movl    $number, %esi ;                            \
        movabsq $(WINDOW + 4096 * page + BEHIND), %rbp ;   \
        call    hot ;                                      \
        CHECK(%rdx, $TURNS)

main64: movq    $(page_directory + BITS), user_pdpt + 16
        .rept   9               // every 4 MiB, too: pages for one and the same set of the TLB
        movq    $(page_table + BITS), page_directory + 16 * TABLE
        .set    TABLE, TABLE + 1
        .endr
        movabsq $WINDOW, %r12
        movl    $first, %esi
        movl    $FREE, %edi
        movl    $(second - first), %ecx
        rep movsb
        movl    $second, %esi
        movl    $(FREE + 4096), %edi
        movl    $(second_end - second), %ecx
        rep movsb
        map     1, 0
        forget  1

        RETURNS(plain, 1, 0)
        RETURNS(change_and_forget, 2, 0)
        RETURNS(change, 1, 0)
        RETURNS(change_space, 2, 0)
        RETURNS(change_and_evict, 2, 0)
        RETURNS(to_other_mapping, 1, 1)
        RETURNS(past_the_caller, 0, 0)
        RETURNS(plain, 1, 0)

        movq    %rsp, own_stack
        movl    $(FREE + 0x100000), %esp
        movl    $20000, %edi
        call    nested
        CHECK(%rax, $20000)
        movl    $20000, %edi
        call    nested
        CHECK(%rax, $20000)
        movq    own_stack, %rsp
        ret

// RDX := in how many of TURNS the function at WINDOW, with RAX between call and return, gives ESI and RBP.
hot:    xorl    %edx, %edx
        movl    $TURNS, %r14d
1:      map     0, 0
        forget  0
        xorl    %ebx, %ebx
        movq    %rbp, %rcx      // if nothing there runs
        call    *%r12
        cmpl    %esi, %ebx
        jne     2f
        cmpq    %rbp, %rcx
        jne     2f
        incl    %edx
2:      decl    %r14d
        jnz     1b
        ret

plain:  ret
change: map     0, 1
        ret
change_and_forget:
        map     0, 1
        forget  0
        ret
change_space:
        map     0, 1
        movq    %cr3, %r15
        movq    %r15, %cr3
        ret
change_and_evict:
        map     0, 1
        movq    %r12, %r15
        .rept   8
        addq    $(4 << 20), %r15
        movb    (%r15), %cl
        .endr
        movq    %rbp, %rcx
        ret
to_other_mapping:
        addq    $4096, (%rsp)
        ret
past_the_caller:
        addq    $8, %rsp
        ret

// What lies at WINDOW, and what may be there instead.
first:  call    *%rax
        leaq    (%rip), %rcx
behind: movl    $1, %ebx
        ret
second: call    *%rax
        leaq    (%rip), %rcx
        movl    $2, %ebx
        ret
second_end:
        .set    BEHIND, behind - first

// RAX := RDI, by as many calls.
nested: xorl    %eax, %eax
        testl   %edi, %edi
        jz      1f
        decl    %edi
        call    nested
        incl    %eax
1:      ret

        .bss
        .balign 4096
page_directory: .skip 4096
page_table: .skip 4096
own_stack: .skip 8
        .text
