/* RSP between pushes, pops, calls and returns that one check has cleared, where a translator need not move it at once: what
   lies on the stack, and RSP at every way out of a block. And accesses whose base or index the instruction itself changes,
   or whose operands a translator keeps where it makes addresses. What the registers are is logged, so that the engines'
   memories say whether they agree. */
#include "guest.inc"
#include "log.inc"

        .set    DATA_AT, FREE + 0x10000
        .data
turns:  .quad   0
        .text

main64:
rounds: incq    turns
        movl    $DATA_AT, %edi                  // each entry is the address of one a little further on
        leaq    0x48(%rdi), %rax
1:      movq    %rax, (%rdi)
        addq    $8, %rax
        addq    $8, %rdi
        cmpq    $DATA_AT + 0x1000, %rdi
        jb      1b

        mark_registers                          // ways out while RSP has not been moved
        movq    turns, %rdi
        call    prologue
        log_registers
        movq    turns, %rdi
        andl    $3, %edi
        call    early_out
        log_registers
        pushq   $77
        pushq   $88
        pushq   $99
        call    takes_arguments
        log_registers
        call    far_away
        log_registers
        call    moves_only
        log_registers
        call    uses_rsp
        log_registers

        mark_registers                          // bases that are operands
        movl    $DATA_AT, %ebx
        movq    (%rbx), %rbx
        movq    8(%rbx), %rbx
        addq    (%rbx), %rbx
        shrq    $1, %rbx
        andq    $~7, %rbx
        xchgq   %rbx, 8(%rbx)
        movl    $DATA_AT, %ecx
        xaddq   %rcx, 16(%rcx)
        log_registers
        movl    $DATA_AT, %eax
        movl    $DATA_AT, %edx
        cmpxchgq %rdx, (%rax)
        movq    %rdx, 24(%rdx)
        movl    $DATA_AT + 0x120, %eax
        movb    %ah, 32(%rax)
        movb    33(%rax), %ah
        addb    %ah, 40(%rbx)
        log_registers
        movl    $DATA_AT, %esi
        addq    %rsi, 48(%rsi)                  // with flags that come from what was stored
        movl    $5, %ecx
        jbe     2f
        incl    %ecx
2:      popcntq 56(%rsi), %rsi
        log_registers

        mark_registers                          // indices
        movl    $DATA_AT, %ebx
        movl    $3, %ecx
        movq    (%rbx,%rcx,8), %rcx
        andl    $0xf8, %ecx
        addq    (%rbx,%rcx), %rcx
        andl    $0xf8, %ecx
        xaddq   %rcx, (%rbx,%rcx)
        movl    $7, %ecx
        subq    %rcx, %rdx                      // flags that another block has left
        jmp     2f
2:      sbbq    (%rbx,%rcx,8), %rdx
        cmpq    %rbx, -16(%rbx,%rcx,8)
        adcq    8(%rbx,%rcx,8), %rdx
        cmovcq  (%rbx,%rcx,8), %rsi
        setc    80(%rbx,%rcx)
        shlq    %cl, (%rbx,%rcx,4)
        rolq    $3, (%rbx,%rcx,4)
        movl    $DATA_AT, %r9d
        movl    $9, %r11d
        movq    (%r9,%r11,8), %r14
        movq    %r14, 0x20(%r9,%r11,8)
        subq    0x10(%r9), %r15
        addl    %r11d, 0x40(%r9,%r11)
        movb    %bh, (%rbx,%rcx)
        movzbl  3(%ebx,%ecx), %edi
        movdqu  (%rbx,%rcx,8), %xmm1
        paddq   0x30(%rbx), %xmm1
        movups  %xmm1, 0x88(%rbx,%rcx,8)
        log_registers

        cmpq    $60, turns
        jb      rounds
        ret

prologue:
        pushq   %rbp
        movl    %edi, %eax
        pushq   %rbx
        movl    %edi, %ebx
        subq    $24, %rsp
        cmpl    $30, %edi
        ja      1f
        movq    %rdi, 8(%rsp)
        leal    1(%rdi), %edi
        call    2f
        addq    8(%rsp), %rax
1:      addq    $24, %rsp
        popq    %rbx
        leaq    3(%rax), %rax
        popq    %rbp
        ret
2:      pushq   %rax
        leaq    (%rax,%rdi,2), %rax
        popq    %rcx
        ret

early_out:
        pushq   %rsi
        pushq   %rdi
        testl   %edi, %edi
        jz      1f
        pushq   $5
        cmpl    $1, %edi
        je      2f
        pushq   $0x12345678
        subq    $8, %rsp
        cmpl    $2, %edi
        je      3f
        popq    %rdx
        popq    %rdx
        popq    %rcx
        popq    %rdi
        popq    %rsi
        ret
1:      movq    %rsp, %rdx
        popq    %rdi
        popq    %rsi
        ret
2:      movq    %rsp, %rcx
        addq    $8, %rsp
        jmp     1b
3:      movq    %rsp, %rax
        addq    $24, %rsp
        jmp     1b

takes_arguments:
        pushq   %rbx
        movq    16(%rsp), %rax
        addq    24(%rsp), %rax
        addq    32(%rsp), %rax
        popq    %rbx
        ret     $24

moves_only:
        pushq   %rax
        subq    $0x70, %rsp
        movl    $1, %ecx
        leaq    0x20(%rsp), %rsp
        incq    %rsp
        addq    $0x4f, %rsp
        decl    %ecx
        popq    %rax
        ret

uses_rsp:
        pushq   %rax
        movq    %rcx, %rdx
        pushq   %rsp
        pushq   %rcx
        movq    %rsp, %rbp
        leaq    8(%rsp), %rsi
        pushq   8(%rsp)
        popq    %rdi
        popq    8(%rsp)
        popq    %rbx
        popq    %rcx
        pushq   %rax
        movq    %rsp, (%rsp)
        popq    %rsp
        addq    $8, %rsp
        pushw   %ax
        popw    %dx
        enter   $16, $0
        leave
        ret

        .balign 4096
        .skip   0xff0
far_away:
        pushq   %rbx
        movq    %rax, %rbx
        pushq   %rcx
        subq    $8, %rsp
        testl   %eax, %eax
        call    prologue                        // it begins in one page and ends in the next
        addq    $8, %rsp
        popq    %rcx
        movq    %rbx, %rdx
        popq    %rbx
        ret
