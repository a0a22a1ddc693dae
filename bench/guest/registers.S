# Register arithmetic: a xorshift generator with a few adds, 12 instructions a round.
        .include "enter_long_mode.inc"
main64: movabsq $0x9e3779b97f4a7c15, %rax
        movl    $1, %ebx
        movl    $4000000, %ecx
1:      movq    %rax, %rdx
        shlq    $13, %rdx
        xorq    %rdx, %rax
        movq    %rax, %rdx
        shrq    $7, %rdx
        xorq    %rdx, %rax
        leaq    3(%rbx,%rax,2), %rsi
        addq    %rsi, %rbx
        subq    %rdx, %rsi
        orq     $1, %rbx
        decl    %ecx
        jnz     1b
        ret
