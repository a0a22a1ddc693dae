/* A loop in which ADC finds CF set from round 700,000 on, and in which a store's immediate is only read
   back at the end. */
#include "guest.inc"

main64: xorl    %ecx, %ecx
        xorl    %r8d, %r8d
        movl    $FREE, %edi
        movl    $3, %eax
1:      incl    %ecx
        movl    $0x1234, (%rdi)
        leaq    (%rcx, %rcx, 2), %rbx
        cmpl    $700000, %ecx
        cmc
        nop
        adcq    %rax, %r8
        movq    %r8, %r10
        xorq    %rcx, %r10
        cmpl    $1000000, %ecx
        jne     1b
        movl    (%rdi), %esi
        CHECK(%rsi, $0x1234)
        CHECK(%r8, $3300001)
        ret
