/* The double-fault table: every class of first exception against each way in which its delivery can fail, with the second
   exception's error code and its EXT bit. [SDM3 6.13, 6.15 (interrupt 8), table 6-5], [APM2 8.2.9] */
#include "guest.inc"

        .set    UNMAPPED, 0x7000000000

        // How the first one's gate is broken.
        .set    NOT_PRESENT, 0           // #NP(vector)
        .set    WRONG_TYPE, 1            // #GP(vector)
        .set    STACK_UNMAPPED, 2        // #PF
        .set    STACK_NOT_CANONICAL, 3   // #SS(0)
        .set    TSS_TOO_SHORT, 4         // #TS(TSS)

main64: movl    $on_nmi, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        movq    $UNMAPPED, %rax
        movq    %rax, tss + 44           // IST2
        movq    noncanonical, %rax
        movq    %rax, tss + 52           // IST3
        movw    $83, gdt + TSS           // ends before IST7
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        movl    $firsts, %ebx
1:      movl    $0, method
2:      movl    (%rbx), %edi
        movl    method, %esi
        movl    %edi, %eax
        shll    $4, %eax
        addl    $stubs, %eax
        movl    attributes(,%rsi,4), %edx
        orl     $0x6000, %edx            // INT n and INT3 may use it
        call    set_gate
        movq    %rsp, recover_rsp
        movq    $3f, recover_rip
        movq    $0x1000, seen_vector
        jmp     *8(%rbx)
3:      // Undo what the triggers did.
        clts
        fninit
        ldmxcsr masked
        apic_write 0xb0, $0
        movl    (%rbx), %edi
        movl    %edi, %eax
        shll    $4, %eax
        addl    $stubs, %eax
        movl    $0x8e00, %edx
        call    set_gate
        call    wanted
        cmpq    %rax, seen_vector
        jne     5f
        cmpq    %rdx, seen_error
        je      6f
5:      // FAIL line <first vector * 10 + method>.
        movl    (%rbx), %r13d
        imull   $10, %r13d
        addl    method, %r13d
        movq    seen_vector, %r15
        shlq    $16, %r15
        orq     seen_error, %r15
        movq    %rax, %r14
        shlq    $16, %r14
        orq     %rdx, %r14
        call    report
6:      incl    method
        cmpl    $5, method
        jb      2b
        addl    $16, %ebx
        cmpl    $firsts_end, %ebx
        jb      1b
        ret

// By the manual's table: rax, rdx: vector and error code.
wanted: movl    (%rbx), %ecx
        movl    4(%rbx), %esi            // class: 0 benign, 1 contributory, 2 page fault; bit 8: software
        movzbl  %sil, %eax
        cmpl    $2, %eax
        je      1f
        cmpl    $1, %eax
        jne     2f
        cmpl    $STACK_UNMAPPED, method
        je      2f
1:      movl    $DF, %eax
        xorl    %edx, %edx
        ret
2:      shrl    $8, %esi
        xorl    $1, %esi                 // EXT
        movl    method, %eax
        cmpl    $STACK_UNMAPPED, %eax
        jb      3f
        je      4f
        cmpl    $TSS_TOO_SHORT, %eax
        je      5f
        movl    $SS, %eax
        movl    %esi, %edx
        ret
3:      leal    2(%rsi,%rcx,8), %edx
        testl   %eax, %eax
        movl    $NP, %eax
        jz      6f
        movl    $GP, %eax
6:      ret
4:      movl    $PF, %eax
        movl    $2, %edx
        ret
5:      movl    $TS, %eax
        leal    TSS(%rsi), %edx
        ret

on_nmi: ret

t_de:   xorl    %ecx, %ecx
        divl    %ecx
t_db:   .byte   0xf1
t_bp:   int3
t_ud:   ud2
t_nm:   movq    %cr0, %rax
        orl     $8, %eax
        movq    %rax, %cr0
        fwait
t_np:   movl    $ABSENT_DATA, %eax
        movl    %eax, %ds
t_ss:   movq    noncanonical, %rbp
        movq    (%rbp), %rax
t_gp:   movl    $0x1230, %eax
        movl    %eax, %ds
t_pf:   movq    $UNMAPPED, %rsi
        movb    (%rsi), %al
t_mf:   fninit
        fldcw   unmasked
        fld1
        fldz
        fdivrp
        fwait
t_xm:   ldmxcsr unmasked_mxcsr
        xorps   %xmm0, %xmm0
        divps   %xmm0, %xmm0
t_int:  int     $0x90
t_irq:  apic_write 0x300, $0x44041
        sti
        nop
        nop

        .data
        .balign 8
attributes: .long 0x0e00, 0x8000, 0x8e02, 0x8e03, 0x8e07
        .macro  first vector, class, trigger
        .long   \vector, \class
        .quad   \trigger
        .endm
firsts: first   DE, 1, t_de
        first   DB, 0, t_db
        first   BP, 0x100, t_bp
        first   UD, 0, t_ud
        first   NM, 0, t_nm
        first   NP, 1, t_np
        first   SS, 1, t_ss
        first   GP, 1, t_gp
        first   PF, 2, t_pf
        first   MF, 0, t_mf
        first   XM, 0, t_xm
        first   0x90, 0x100, t_int
        first   0x41, 0, t_irq
firsts_end:
method: .long   0
masked: .long   0x1f80
unmasked_mxcsr: .long 0x1d00
unmasked: .word 0x37b
        .balign 8
noncanonical: .quad 0x0000900000000000
