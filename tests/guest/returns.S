/* Returns that are hot, while where they lead changes between call and return: by INVLPG, by CR3, by other pages in the
   TLB, not at all since that has the page still; to another mapping of the caller's page, past the caller; and calls
   nested deeper than a host would remember. [SDM3 4.10], [APM2 5.5] */
#include "guest.inc"

        // The program's own tables map 0x80_8000_0000 .. (PML4 entry 1, PDPT entry 2) by 4 KiB pages to FREE ..
        .set    WINDOW, 0x8080000000
        .set    BITS, 7         // present, writable, for users
        .set    TURNS, 200
        .set    TABLE, 0

        .macro  forget n
        movabsq $(WINDOW + 4096 * \n), %r15
        invlpg  (%r15)
        .endm
        // Page 0 of the window leads to where page_of_caller, or page_instead, says.
        .macro  lead by
        movq    \by, %r15
        movq    %r15, page_table
        .endm
        // What lies at `from` .. goes to page n of FREE.
        .macro  place n, from, to
        movl    $\from, %esi
        movl    $(FREE + 4096 * \n), %edi
        movl    $(\to - \from), %ecx
        rep movsb
        .endm
        // The caller is in page n of FREE, and in the one behind it what may be there instead.
        .macro  callers n
        movq    $(FREE + 4096 * \n + BITS), page_of_caller
        movq    $(FREE + 4096 * (\n + 1) + BITS), page_instead
        .endm
        // With `callee` between call and return, the function at WINDOW gives `number`, and has run on in window page
        // `page`, `behind` its start, TURNS times.
#define RETURNS(callee, number, page, behind)              \
        movl    $callee, %eax ;                            \
        movl    $number, %esi ;                            \
        movabsq $(WINDOW + 4096 * page + behind), %rbp ;   \
        call    hot ;                                      \
        CHECK(%rdx, $TURNS)

main64: movq    $(page_directory + BITS), user_pdpt + 16
        .rept   9               // every 4 MiB, too: pages for one and the same set of the TLB
        movq    $(page_table + BITS), page_directory + 16 * TABLE
        .set    TABLE, TABLE + 1
        .endr
        movabsq $WINDOW, %r12
        place   0, first, second
        place   1, second, large_pages
        place   2, large_pages, large_pages_instead
        place   3, large_pages_instead, other_view
        place   4, other_view, other_view_instead
        place   5, other_view_instead, templates_end
        movq    $(FREE + BITS), page_table + 8
        forget  1

        callers 0
        RETURNS(plain, 1, 0, FIRST)
        RETURNS(change_and_forget, 2, 0, FIRST)
        RETURNS(change, 1, 0, FIRST)
        RETURNS(change_space, 2, 0, FIRST)
        RETURNS(change_and_evict, 2, 0, FIRST)
        RETURNS(to_other_mapping, 1, 1, FIRST)
        RETURNS(past_the_caller, 0, 0, FIRST)
        RETURNS(plain, 1, 0, FIRST)
        callers 2
        RETURNS(plain, 1, 0, LARGE_PAGES)
        RETURNS(change_and_evict, 2, 0, LARGE_PAGES)
        RETURNS(plain, 1, 0, LARGE_PAGES)
        movq    %cr4, %rax
        orl     $0x200000, %eax         // SMAP
        movq    %rax, %cr4
        callers 4
        RETURNS(plain, 1, 0, OTHER_VIEW)
        RETURNS(change_and_evict, 2, 0, OTHER_VIEW)
        RETURNS(plain, 1, 0, OTHER_VIEW)

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
1:      lead    page_of_caller
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
change: lead    page_instead
        ret
change_and_forget:
        lead    page_instead
        forget  0
        ret
change_space:
        lead    page_instead
        movq    %cr3, %r15
        movq    %r15, %cr3
        ret
change_and_evict:
        lead    page_instead
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

// What lies at WINDOW, and what may be there instead: a call; one behind the eviction of 2 MiB pages; and one
// behind STAC. It gives `number`; `before` and `after` stand around the call.
        .macro  caller number, before, after
        \before
        call    *%rax
        leaq    (%rip), %rcx
2:      movl    $\number, %ebx
        \after
        ret
        .endm
        .macro  touch_stack     // so that the call finds its page in the quick TLB
        pushq   %rax
        popq    %rax
        .endm
        .macro  touch_large_pages
        movl    $(160 << 20), %r10d     // not of the program's set
        .rept   6
        movb    (%r10), %cl
        addq    $(128 << 20), %r10
        .endr
        touch_stack
        .endm
        .macro  go_to_other_view
        stac
        touch_stack
        .endm
first:  caller  1
        .set    FIRST, 2b - first
second: caller  2
large_pages:
        caller  1, touch_large_pages
        .set    LARGE_PAGES, 2b - large_pages
large_pages_instead:
        caller  2, touch_large_pages
other_view:
        caller  1, go_to_other_view, clac
        .set    OTHER_VIEW, 2b - other_view
other_view_instead:
        caller  2, go_to_other_view, clac
templates_end:

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
page_of_caller: .skip 8
page_instead: .skip 8
own_stack: .skip 8
        .text
