/* CLAC takes effect on the next access, also in code that ran often: a user page faults behind it every time. */
#include "guest.inc"
main64: movq %cr4,%rax
        orl $0x200000,%eax
        movq %rax,%cr4
        movl $12,%ebp
        movl $FREE,%esi
        addq user_base,%rsi
        xorl %ebx,%ebx
1:      movq %rsp,recover_rsp
        movq $5f,recover_rip
        stac
        jmp 2f
2:      movl (%rsi),%eax
        clac
        movl (%rsi),%ecx         // must fault
        incl %ebx
5:      movq $0,recover_rip
        clac
        decl %ebp
        jnz 1b
        CHECK(%rbx, $0)
        ret
