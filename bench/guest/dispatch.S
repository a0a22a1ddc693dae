# Indirect jumps, each to the next of 64 places.
        .include "enter_long_mode.inc"
main64: movl    $100000, %ecx
        movl    $0x400000, %esi
        leaq    first(%rip), %rax
        xorl    %edx, %edx
1:      movq    %rax, (%rsi,%rdx,8)
        addq    $16, %rax
        incl    %edx
        cmpl    $64, %edx
        jne     1b
again:  movl    %esi, %edi
        jmp     *(%rdi)
        .balign 16
first:  .rept   63
        .balign 16
        addq    $8, %rdi
        jmp     *(%rdi)
        .endr
        .balign 16
        decl    %ecx
        jnz     again
        ret
