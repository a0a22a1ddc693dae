# Page walks: a load from each of 16 large pages after each flush of the TLB.
        .include "enter_long_mode.inc"
main64: movl    $20000, %edx
        movq    %cr3, %rdi
2:      movq    %rdi, %cr3
        movl    $0x400000, %esi
        movl    $16, %ecx
1:      movq    (%rsi), %rax
        addq    $0x200000, %rsi
        decl    %ecx
        jnz     1b
        decl    %edx
        jnz     2b
        ret
