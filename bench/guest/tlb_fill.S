# Loads that miss the quick TLB and find their page in the TLB: a load from each of 8192 pages in turn.
        .include "enter_long_mode.inc"
main64: movl    $100, %edx
2:      movl    $0x400000, %esi
        movl    $8192, %ecx
1:      movq    (%rsi), %rax
        addq    $4096, %rsi
        decl    %ecx
        jnz     1b
        decl    %edx
        jnz     2b
        ret
