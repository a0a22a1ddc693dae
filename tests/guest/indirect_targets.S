/* Indirect jumps and calls that are hot, while where their target leads changes: by INVLPG, by CR3, by a store through
   another mapping, by a page that goes; and targets that share their low bits. [SDM3 4.10], [APM2 5.5] */
#include "guest.inc"

        // The program's own tables map 0x80_8000_0000 .. (PML4 entry 1, PDPT entry 2) by 4 KiB pages to FREE ..
        .set    WINDOW, 0x8080000000
        .set    P, 1
        .set    W, 2
        .set    U, 4
        .set    TURNS, 300

        // Page n of the window leads to page `to` of FREE.
        .macro  map n, to, bits=(P | W | U)
        movq    $(FREE + 4096 * \to + \bits), page_table + 8 * \n
        .endm
        .macro  forget n
        movabsq $(WINDOW + 4096 * \n), %r15
        invlpg  (%r15)
        .endm
        // Each page of FREE begins with a function that returns its number.
        .macro  function page, number
        movb    $0xb8, FREE + 4096 * \page      // movl $number, %eax ; ret
        movl    $\number, FREE + 4096 * \page + 1
        movb    $0xc3, FREE + 4096 * \page + 5
        .endm
#define GIVES(number) movl $number, %ebx ; call hot ; CHECK(%rax, $TURNS)
#define ALTERNATES(first, second) movl $first, %ebx ; movl $second, %ebp ; call two ; CHECK(%rax, $(2 * TURNS))

main64: movq    $(page_directory + P + W + U), user_pdpt + 16
        movq    $(page_table + P + W + U), page_directory
        function 0, 11
        function 1, 22
        function 2, 33
        movq    $WINDOW, %rdi

        map     0, 0
        forget  0
        GIVES(11)
        map     0, 1
        GIVES(11)               // the TLB has it
        forget  0
        GIVES(22)
        map     0, 0
        movq    %cr3, %rax
        movq    %rax, %cr3
        GIVES(11)

        // A store through another mapping.
        movl    $44, FREE + 1
        GIVES(44)
        movl    $11, FREE + 1
        GIVES(11)

        // The page goes, and comes back.
        map     0, 0, 0
        forget  0
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        call    *%rdi
1:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $0x10)
        CHECK(seen_cr2, %rdi)
        map     0, 1
        GIVES(22)

        // Two targets with the same offset in their pages, near and far from each other.
        leaq    0x1000(%rdi), %rsi
        map     1, 2
        forget  1
        ALTERNATES(22, 33)
        leaq    0x2000(%rdi), %rsi
        map     2, 0
        forget  2
        ALTERNATES(22, 11)

        // In the same 16 bytes, and a whole table apart.
        movl    $0x55b8, FREE + 4096 + 8        // movl $0x55, %eax ; ret
        movl    $0xc300, FREE + 4096 + 12
        leaq    8(%rdi), %rsi
        ALTERNATES(22, 0x55)
        leaq    0x40000(%rdi), %rsi
        map     64, 2
        forget  64
        ALTERNATES(22, 33)

        // Two address spaces.
        movq    %cr3, %rax
        movq    %rax, %rsi
        movl    $other_pml4, %edx
        call    copy_page
        movl    $user_pdpt, %esi
        movl    $other_pdpt, %edx
        call    copy_page
        movl    $page_directory, %esi
        movl    $other_directory, %edx
        call    copy_page
        movl    $page_table, %esi
        movl    $other_table, %edx
        call    copy_page
        movq    $(other_pdpt + P + W + U), other_pml4 + 8
        movq    $(other_directory + P + W + U), other_pdpt + 16
        movq    $(other_table + P + W + U), other_directory
        movq    $(FREE + 4096 * 2 + P + W + U), other_table     // window page 0: function 2
        movq    %cr3, %r8
        movl    $other_pml4, %r9d
        xorl    %r10d, %r10d
        movl    $TURNS, %ecx
2:      call    *%rdi
        addl    %eax, %r10d
        movq    %r9, %cr3
        call    *%rdi
        addl    %eax, %r10d
        movq    %r8, %cr3
        decl    %ecx
        jnz     2b
        CHECK(%r10, $(TURNS * (22 + 33)))
        // The other one changes while it is not used.
        movq    %r9, %cr3
        GIVES(33)
        movq    %r8, %cr3
        movq    $(FREE + P + W + U), other_table
        GIVES(22)
        movq    %r9, %cr3
        GIVES(11)
        movq    %r8, %cr3
        ret

// RAX := how many times of TURNS, by CALL and by JMP in turn, the function at RDI gives EBX.
hot:    xorl    %edx, %edx
        movl    $(TURNS / 2), %ecx
1:      call    *%rdi
        cmpl    %ebx, %eax
        jne     2f
        incl    %edx
2:      pushq   $3f
        jmp     *%rdi
3:      cmpl    %ebx, %eax
        jne     4f
        incl    %edx
4:      decl    %ecx
        jnz     1b
        movl    %edx, %eax
        ret

// Likewise for the functions at RDI and RSI, by one and the same CALL: EBX and EBP.
two:    xorl    %edx, %edx
        movl    $(2 * TURNS), %ecx
        movq    %rdi, %r12
        movq    %rsi, %r13
1:      call    *%r12
        cmpl    %ebx, %eax
        jne     2f
        incl    %edx
2:      xchgq   %r12, %r13
        xchgl   %ebx, %ebp
        decl    %ecx
        jnz     1b
        movl    %edx, %eax
        ret

// From the page at RSI to the page at RDX.
copy_page:
        pushq   %rdi
        movq    %rdx, %rdi
        movl    $512, %ecx
        andq    $-4096, %rsi
        rep movsq
        popq    %rdi
        ret

        .bss
        .balign 4096
page_directory: .skip 4096
page_table: .skip 4096
other_pml4: .skip 4096
other_pdpt: .skip 4096
other_directory: .skip 4096
other_table: .skip 4096
        .text
