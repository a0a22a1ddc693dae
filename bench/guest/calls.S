# Calls, returns and indirect calls.
        .include "enter_long_mode.inc"
main64: movl    $3000000, %ecx
        leaq    leaf(%rip), %rbx
1:      call    leaf
        call    *%rbx
        decl    %ecx
        jnz     1b
        ret
leaf:   pushq   %rbp
        movq    %rsp, %rbp
        incq    %rax
        popq    %rbp
        ret
