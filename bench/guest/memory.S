# Loads, stores and read-modify-write over 64 KiB.
        .include "enter_long_mode.inc"
main64: movl    $400, %edx
2:      movl    $0x400000, %esi
        movl    $8192, %ecx
1:      movq    (%rsi), %rax
        addq    %rcx, %rax
        movq    %rax, 65536(%rsi)
        addq    $5, (%rsi)
        addq    $8, %rsi
        decl    %ecx
        jnz     1b
        decl    %edx
        jnz     2b
        ret
