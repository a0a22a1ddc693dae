/* Calls that nobody returns from, one with every tick, so many that the longest run is full of them. */
#include "guest.inc"

        .set    ROUNDS, 4000
        .set    CALLS, 600              // of a round; what they push is below the stack that it begins with

main64: movq    %rsp, %rbx
        movl    $ROUNDS, %ebp
        jmp     1f
        .balign 4096
1:      movl    $(FREE + 0x10000), %esp
        .rept   CALLS
        call    2f
        nop
2:
        .endr
        decl    %ebp
        jnz     1b
        popq    %rax
        CHECK(%rax, $(2b-1))
        movq    %rbx, %rsp
        ret
