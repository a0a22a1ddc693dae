/* LDMXCSR takes effect on the next instruction, also in code that ran often with all exceptions masked: with ZM clear a
   division by zero faults, here and not in the host. */
#include "guest.inc"
main64: xorl %ebx,%ebx
        movl $FREE,%edi
        movl $0x1f80,(%rdi)
        movss one,%xmm0
        xorps %xmm1,%xmm1
        movq $5f,hook0
1:      incl %ebx
        cmpl $40,%ebx
        jne 2f
        movl $0x1d80,(%rdi)     // ZM clear
        movq %rsp,recover_rsp
        movq $5f,recover_rip
2:      jmp 3f
3:      ldmxcsr (%rdi)
        movaps %xmm0,%xmm2
        divss %xmm1,%xmm2
        nop
        cmpl $41,%ebx
        jb 1b
5:      CHECK(%rbx, $40)
        ret
        .data
one:    .float 1.0
hook0:  .quad 0
        .text
