# Fresh code: 4000 copies of a function of 128 instructions, each called once.
        .include "enter_long_mode.inc"
main64: movl    $0x400000, %ebx
        movl    $4000, %ebp
1:      leaq    function(%rip), %rsi
        movq    %rbx, %rdi
        movl    $(function_end - function), %ecx
        rep movsb
        call    *%rbx
        addq    $1024, %rbx
        decl    %ebp
        jnz     1b
        ret
        .balign 16
function:
        .rept   18
        movq    %rsp, %rax
        movq    -8(%rax), %rdx
        addq    $0x55, %rdx
        movq    %rdx, -16(%rax)
        leaq    4(%rax,%rdx,2), %rcx
        cmpl    $7, %edx
        cmovel  %ecx, %esi
        .endr
        nop
        ret
function_end:
