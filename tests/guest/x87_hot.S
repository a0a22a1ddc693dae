/* x87 and MMX code that runs often: what it leaves behind when it is left in its middle, by a fault, a device, a handler or
   another task's state. [SDM1 8.1, 8.5, 9.5], [SDM3 13.5] */
#include "guest.inc"
        // Ends the straight run, and leaves for a device.
        .macro  device
        outb    %al, $0x80
        jmp     9f
9:
        .endm
        .set    AREA, FREE
        .set    OTHER, FREE + 512
        .set    CROSSING, FREE + 0x1ffffc       // ten bytes from here reach the next 2 MiB, which is not there
        .set    GONE, FREE + 0x200000

main64: movl    $0, pd + 8 * (GONE >> 21)
        movq    %cr3, %rax
        movq    %rax, %cr3

        // Values survive what happens between their instructions.
        movl    $60, %ecx
        xorl    %ebp, %ebp
1:      movl    %ecx, slot
        fninit
        fildl   slot
        device
        fld     %st(0)
        fmul    %st, %st(1)
        device
        fsin                                    // a handler
        fstp    %st(0)
        fistpl  slot
        movl    %ecx, %eax
        imull   %eax, %eax
        cmpl    %eax, slot
        je      2f
        incl    %ebp
2:      loop    1b
        CHECK(%rbp, $0)

        // The pointers are those of the last instruction that has any, whatever its registers hold by now.
        movl    $60, %ecx
1:      movl    $slot - 16, %ebx
        movl    $2, %edx
        fninit
last_with_data:
        fildl   (%rbx, %rdx, 8)
        movl    $5, %edx
        addl    $77, %ebx
last:   fchs
        fnstcw  word
        movl    word, %eax
        device
        loop    1b
        fnstenv AREA

        movl    AREA + 12, %eax
        CHECK(%rax, $last)
        movzwl  AREA + 18, %eax
        CHECK(%rax, $0x1e0)
        movl    AREA + 20, %eax
        CHECK(%rax, $slot)
        // A side exit has them, too.
        movl    $60, %ecx
        fninit
1:      fldz
before: fstps   slot
        cmpl    $1, %ecx
        je      2f
        fld1
        fstp    %st(0)
        loop    1b
2:      fnstenv AREA
        movl    AREA + 12, %eax
        CHECK(%rax, $before)

        // A loop of its own, of which a later turn faults: the pointers are of that turn's instructions so far, and of the turn
        // before for data.
        movl    $GONE - 256, %ebx
        fninit
        fldpi
        arm     5f
1:      fld     %st(0)
2:      fchs
3:      fstps   (%rbx)
        addq    $4, %rbx
        cmpq    $GONE + 256, %rbx
        jne     1b
        missed
5:      CHECK(seen_rip, $3b)
        CHECK(seen_cr2, $GONE)
        CHECK(%rbx, $GONE)
        fnstenv AREA
        movl    AREA + 12, %eax
        CHECK(%rax, $2b)
        movl    AREA + 20, %eax
        CHECK(%rax, $GONE-4)
        movzwl  AREA + 4, %eax
        CHECK(%rax, $0x3020)                    // two registers are in use, PE
        // The same, to its end.
        movl    $GONE - 256, %ebx
        fninit
        fldpi
1:      fld     %st(0)
        fchs
3:      fstps   (%rbx)
        addq    $4, %rbx
        cmpq    $GONE, %rbx
        jne     1b
        fnstenv AREA
        movl    AREA + 12, %eax
        CHECK(%rax, $3b)
        movl    AREA + 20, %eax
        CHECK(%rax, $GONE-4)
        movl    GONE - 4, %eax
        CHECK(%rax, $0xc0490fdb)

        // A store that faults pops nothing, changes no pointer and no flag.
        movl    $60, %ecx
        fninit
        movl    $word, %ebx
1:      cmpl    $1, %ecx
        jne     2f
        movl    $CROSSING, %ebx
        arm     5f
2:      fldpi
        fnstcw  word
store:  fstpt   (%rbx)
        loop    1b
        missed
5:      CHECK(seen_vector, $PF)
        CHECK(seen_rip, $store)
        CHECK(seen_cr2, $GONE)
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK(%rax, $0x3800)
        fnstenv AREA
        movl    AREA + 12, %eax
        CHECK(%rax, $2b)
        movzwl  AREA + 8, %eax
        CHECK(%rax, $0x3fff)
        // So with a load, and with integers.
        movl    $20, %ecx
        fninit
        fld1
        movl    $word, %ebx
1:      cmpl    $1, %ecx
        jne     2f
        movl    $GONE, %ebx
        arm     5f
2:      fistl   (%rbx)
        fiaddl  (%rbx)
        fnclex
        loop    1b
        missed
5:      CHECK(seen_rip, $2b)
        fistpl  slot
        movslq  slot, %rax
        CHECK(%rax, $0x80000)                   // doubled 19 times

        // FLDCW: a division by zero faults as soon as it is not masked, before the next waiting instruction.
        movl    $60, %ecx
        fninit
        fnstcw  word
1:      cmpl    $1, %ecx
        jne     2f
        movl    $0x37b, word
        arm     5f
2:      fnclex
        fldcw   word
        fld1
        fldz
        fdivrp
3:      fstp    %st(0)
        loop    1b
        missed
5:      CHECK(seen_vector, $MF)
        CHECK(seen_rip, $3b)
        fnclex
        // An error that was masked when it came is pending once it is not.
        movl    $60, %ecx
        fninit
        fnstcw  word
1:      fld1
        fldz
        fdivrp
        cmpl    $1, %ecx
        jne     2f
        movl    $0x37b, word
        arm     5f
2:      fldcw   word
3:      fstp    %st(0)
        loop    1b
        missed
5:      CHECK(seen_vector, $MF)
        CHECK(seen_rip, $3b)
        fnstsw  %ax
        movzwl  %ax, %eax
        CHECK(%rax, $0xb884)
        // MMX waits, too.
        movl    $60, %ecx
        fninit
        fnstcw  word
1:      fldcw   word
        movq    slot, %mm1
        emms
        fld1
        fldz
        fdivrp
        fstp    %st(0)
        cmpl    $2, %ecx
        jne     2f
        movl    $0x37b, word
        arm     5f
2:      loop    1b
        missed
5:      CHECK(seen_vector, $MF)
        fninit

        // MMX and x87 share their registers; flags across both.
        movl    $60, %ecx
        xorl    %ebp, %ebp
1:      movq    %rcx, %mm3
        device
        paddd   %mm3, %mm3
        movq    %mm3, slot
        movd    %mm3, %eax
        emms
        leal    (%rcx, %rcx), %edx
        cmpl    %eax, %edx
        jne     2f
        cmpl    slot, %edx
        jne     2f
        fildl   slot
        fld1
        fcomi   %st(1), %st                     // below
        fcmovb  %st(1), %st
        fistpl  slot
        jae     3f                              // of FCOMI, still
        cmpl    slot, %edx
        je      3f
2:      incl    %ebp
3:      fninit
        loop    1b
        CHECK(%rbp, $0)

        // Two tasks that take turns.
        fninit
        fldpi
        fld1
        fxsave  AREA
        fninit
        fldz
        fchs
        fxsave  OTHER
        movl    $AREA, %esi
        movl    $OTHER, %edi
        movl    $60, %ecx
1:      fxrstor (%rsi)
        fchs
        fxch    %st(1)
        fincstp
        fdecstp
        fxsave  (%rsi)
        xchg    %rsi, %rdi
        loop    1b
        movl    AREA + 4, %eax
        CHECK(%rax, $0xc0)
        movq    AREA + 32, %rax                 // 30 turns: 1 and pi, each negated 15 times
        CHECK(%rax, $0x8000000000000000)
        movzwl  AREA + 40, %eax
        CHECK(%rax, $0xbfff)
        movzwl  AREA + 56, %eax
        CHECK(%rax, $0xc000)

        // CR0.TS.
        movl    $60, %ecx
        fninit
1:      cmpl    $1, %ecx
        jne     2f
        movq    %cr0, %rax
        orl     $8, %eax
        movq    %rax, %cr0
        arm     5f
2:      call    often
        loop    1b
        missed
5:      CHECK(seen_vector, $NM)
        CHECK(seen_rip, $often)
        clts
        ret

often:  fld1
        fstp    %st(0)
        ret

        .data
        .balign 16
slot:   .quad   0
word:   .long   0
        .skip   12
        .text
