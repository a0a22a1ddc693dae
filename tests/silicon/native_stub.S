# Loads a Context (rdi) and jumps into it, by IRET, in 64-bit or compatibility mode; silicon_leave comes back with
# the host's registers. Offsets: gpr 0, rflags 128, rip 136, fx 144, ymm_high 656, cs 912, ds, es, gs. Not reentrant:
# one case runs at a time.
    .text
    .globl silicon_enter
silicon_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $520, %rsp
    fxsave64 (%rsp)
    mov %rsp, silicon_host_rsp(%rip)
    fxrstor64 144(%rdi)
    cmpb $0, silicon_has_avx(%rip)
    je 1f
    vinsertf128 $1, 656(%rdi), %ymm0, %ymm0
    vinsertf128 $1, 672(%rdi), %ymm1, %ymm1
    vinsertf128 $1, 688(%rdi), %ymm2, %ymm2
    vinsertf128 $1, 704(%rdi), %ymm3, %ymm3
    vinsertf128 $1, 720(%rdi), %ymm4, %ymm4
    vinsertf128 $1, 736(%rdi), %ymm5, %ymm5
    vinsertf128 $1, 752(%rdi), %ymm6, %ymm6
    vinsertf128 $1, 768(%rdi), %ymm7, %ymm7
    vinsertf128 $1, 784(%rdi), %ymm8, %ymm8
    vinsertf128 $1, 800(%rdi), %ymm9, %ymm9
    vinsertf128 $1, 816(%rdi), %ymm10, %ymm10
    vinsertf128 $1, 832(%rdi), %ymm11, %ymm11
    vinsertf128 $1, 848(%rdi), %ymm12, %ymm12
    vinsertf128 $1, 864(%rdi), %ymm13, %ymm13
    vinsertf128 $1, 880(%rdi), %ymm14, %ymm14
    vinsertf128 $1, 896(%rdi), %ymm15, %ymm15
1:
    cmpw $0x33, 912(%rdi)
    je 2f
    mov 914(%rdi), %ds
    mov 916(%rdi), %es
    mov 918(%rdi), %gs
2:  pushq $0x2b
    pushq 32(%rdi)
    pushq 128(%rdi)
    movzwl 912(%rdi), %eax
    push %rax
    pushq 136(%rdi)
    mov 0(%rdi), %rax
    mov 8(%rdi), %rcx
    mov 16(%rdi), %rdx
    mov 24(%rdi), %rbx
    mov 40(%rdi), %rbp
    mov 48(%rdi), %rsi
    mov 64(%rdi), %r8
    mov 72(%rdi), %r9
    mov 80(%rdi), %r10
    mov 88(%rdi), %r11
    mov 96(%rdi), %r12
    mov 104(%rdi), %r13
    mov 112(%rdi), %r14
    mov 120(%rdi), %r15
    mov 56(%rdi), %rdi
    iretq                       # serialises, so fresh code may have been written through another mapping

# The signal handler: RFLAGS.AC may be set, and compiled code has no regard for it. NT must go before the next IRET,
# and the kernel's return from a signal leaves it as it is.
    .globl silicon_signal
silicon_signal:
    pushfq
    andq $~0x44000, (%rsp)
    popfq
    mov %ds, silicon_selectors(%rip)
    mov %es, silicon_selectors+2(%rip)
    mov %gs, silicon_selectors+4(%rip)
    jmp silicon_on_signal

    .globl silicon_leave
silicon_leave:
    cmpb $0, silicon_has_avx(%rip)
    je 1f
    vzeroupper
1:  fninit
    fxrstor64 (%rsp)
    add $520, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    cld
    ret

    .bss
    .globl silicon_has_avx
silicon_has_avx: .skip 1
    .balign 8
    .globl silicon_host_rsp
silicon_host_rsp: .skip 8
    .globl silicon_selectors
silicon_selectors: .skip 8
    .section .note.GNU-stack,"",@progbits
