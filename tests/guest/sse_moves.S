/* MOVSD and CMPSD of SSE alone between instructions that leave for a device: what they load and store is the guest's own
   registers, not what the device left behind. [SDM2 MOVSD, CMPSD] */
#include "guest.inc"

        // Ends the straight run, and what runs here has used vector registers of its own.
        .macro  device
        outb    %al, $0x80
        jmp     9f
9:
        .endm

main64: movl    $3000, %ecx
        xorl    %ebp, %ebp                      // rounds that went wrong
1:      cvtsi2sdl %ecx, %xmm0
        device
        movsd   %xmm0, slot                     // the store alone
        device
        movsd   slot, %xmm1                     // the load alone
        device
        movsd   %xmm1, %xmm2
        device
        cmpsd   $0, %xmm0, %xmm2                // equal: all ones
        device
        ucomisd %xmm0, %xmm1
        jne     2f
        cvttsd2si slot, %eax
        cmpl    %ecx, %eax
        jne     2f
        movq    %xmm2, %rax
        cmpq    $-1, %rax
        je      3f
2:      incl    %ebp
3:      loop    1b
        CHECK(%rbp, $0)
        // What has run often, and so has been translated, raises #NM as soon as CR0.TS is set. [SDM3 13.5]
        movl    $3000, %ecx
1:      call    often
        loop    1b
        movq    %cr0, %rbx
        movq    %rbx, %rax
        orq     $8, %rax
        movq    %rax, %cr0
        arm     2f
        call    often
        missed
2:      CHECK(seen_vector, $7)
        clts
        arm     3f
        call    often
        missed
3:      CHECK(seen_vector, $0x1000)
        ret

often:  movsd   slot, %xmm3
        movsd   %xmm3, slot
        ret

        .data
        .balign 8
slot:   .quad   0
