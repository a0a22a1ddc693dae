/* More code than a small cache of translations holds: 45,000 functions in a row, of 64 bytes each, which jump on to the next
   one directly or through a register, and call one that all share. Run in rounds; some change in between. */
#include "guest.inc"

        .set    FUNCTIONS, 45000
        .set    CODE, FREE + 0x100000
        .set    ROUNDS, 5

main64: movl    $CODE, %edi
        xorl    %ebp, %ebp                      // number
        xorl    %r8d, %r8d                      // what all of them add to rax
1:      movl    $direct, %esi
        testl   $7, %ebp
        jnz     2f
        movl    $indirect, %esi
2:      movl    $8, %ecx
        rep movsq
        leal    3(%rbp), %eax
        addq    %rax, %r8
        movl    %eax, (number_at - direct - 64)(%rdi)
        movl    $(shared + 64 - (call_at + 4 - direct)), %eax
        subl    %edi, %eax
        movl    %eax, (call_at - direct - 64)(%rdi)
        incl    %ebp
        cmpl    $FUNCTIONS, %ebp
        jne     1b
        movb    $0xc3, (%rdi)

        movl    $ROUNDS, %ebp
1:      xorl    %eax, %eax
        movl    $0, calls
        movl    $CODE, %edx
        call    *%rdx
        CHECK(%rax, %r8)
        CHECK(calls, $FUNCTIONS)
        // Every hundredth adds one more.
        movl    $(CODE + number_at - direct), %edi
        movl    $(FUNCTIONS / 100), %ecx
2:      incl    (%rdi)
        incq    %r8
        addl    $6400, %edi
        loop    2b
        decl    %ebp
        jnz     1b
        ret

shared: incl    calls
        ret

        // Two of them; the immediate and the call's displacement, at the same places, are filled in.
        .macro  function
        .byte   0x48, 0x05                      // addq $number, %rax
        .long   0
        movq    %rax, %rbx
        xorq    %rbx, %r9
        movq    %r9, -8(%rsp)
        .byte   0xe8                            // call shared
        .long   0
        .endm
        .data
        .balign 64
direct: function
        jmp     direct + 64
        .balign 64
indirect:
        function
        leaq    indirect + 64(%rip), %rcx
        jmp     *%rcx
        .balign 64
        .set    number_at, direct + 2
        .set    call_at, direct + 18
calls:  .quad   0
        .text
