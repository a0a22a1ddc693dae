/* Long mode: 64-bit call gates from 64-bit and compatibility code, what no longer exists there (task gates, 16-bit gates), far
   returns and IRET tables with null stacks. [SDM3 5.8.3.1, 5.8.5.1, 5.8.6, 6.14], [APM2 4.10] */
#include "guest.inc"

        .set    GATE, SPARE              // two slots
        .set    TARGET, SPARE + 16
        .set    CODE_R0, 0x00af9a00
        .set    CODE_R3, 0x00affa00
        .set    CONFORMING_R0, 0x00af9e00

main64: call    check_table
        call    stack_switch
        call    same_ring
        call    iret_table
        ret

// Each row: ring, selector's RPL, the gate's attributes, what it names, the code segment's upper half, bits of the gate's upper
// half, wanted vector and error (0x1000: it goes there, with this CS).
check_table:
        movl    $gates, %ebx
1:      movl    $reached, %eax
        movq    $0, gdt + GATE
        movq    $0, gdt + GATE + 8
        movw    %ax, gdt + GATE
        shrl    $16, %eax
        movw    %ax, gdt + GATE + 6
        movw    8(%rbx), %ax
        movb    %al, gdt + GATE + 5
        movw    12(%rbx), %ax
        movw    %ax, gdt + GATE + 2
        movl    $0x0000ffff, gdt + TARGET
        movl    16(%rbx), %eax
        movl    %eax, gdt + TARGET + 4
        movl    20(%rbx), %eax
        movl    %eax, gdt + GATE + 12
        movl    4(%rbx), %eax
        addl    $GATE, %eax
        movw    %ax, far_pointer + 4
        arm     2f
        cmpl    $0, (%rbx)
        je      3f
        enter_user 3f
3:      lcall   *far_pointer(%rip)
        int3
reached: movl   %cs, %eax
        movl    %eax, %ebp
        int     $SYSTEM
2:      cmpq    $SYSTEM, seen_vector
        jne     5f
        movq    $0x1000, seen_vector
        movq    seen_cs, %rax
        movq    %rax, seen_error
5:      movl    24(%rbx), %eax
        CHECK(seen_vector, %rax)
        movl    28(%rbx), %eax
        CHECK(seen_error, %rax)
        addl    $32, %ebx
        cmpl    $gates_end, %ebx
        jb      1b
        ret
        .data
        .balign 4
        .macro  gate_row ring, rpl, attributes, selector, code, upper, vector, error
        .long   \ring, \rpl, \attributes, \selector, \code, \upper, \vector, \error
        .endm
gates:  gate_row 0, 0, 0x8c, TARGET, CODE_R0, 0, 0x1000, TARGET
        gate_row 3, 3, 0xec, TARGET, CODE_R0, 0, 0x1000, TARGET
        gate_row 3, 3, 0xec, TARGET, CONFORMING_R0, 0, PF, 0x15 // in ring 3, at a supervisor address
        gate_row 3, 3, 0x8c, TARGET, CODE_R0, 0, GP, GATE
        gate_row 0, 1, 0x8c, TARGET, CODE_R0, 0, GP, GATE
        gate_row 0, 0, 0x0c, TARGET, CODE_R0, 0, NP, GATE
        gate_row 0, 0, 0x8c, TARGET, CODE_R0, 0x0100, GP, GATE  // the upper half's type is not zero
        gate_row 0, 0, 0x8c, TARGET, CODE_R0, 0x1000, GP, GATE
        gate_row 0, 0, 0x8c, 0, CODE_R0, 0, GP, 0
        gate_row 0, 0, 0x8c, DATA, CODE_R0, 0, GP, DATA
        gate_row 0, 0, 0x8c, CODE32, CODE_R0, 0, GP, CODE32     // only 64-bit code
        gate_row 0, 0, 0x8c, TARGET, 0x00ef9a00, 0, GP, TARGET  // L and D
        gate_row 0, 0, 0x8c, TARGET, CODE_R3, 0, GP, TARGET
        gate_row 0, 0, 0x8c, TARGET, 0x00af1a00, 0, NP, TARGET
        gate_row 0, 0, 0x84, TARGET, CODE_R0, 0, GP, GATE       // 16-bit gate, task gate, TSS
        gate_row 0, 0, 0x85, TARGET, CODE_R0, 0, GP, GATE
        gate_row 0, 0, 0x89, TARGET, CODE_R0, 0, GP, GATE
        gate_row 0, 0, 0x8e, TARGET, CODE_R0, 0, GP, GATE
gates_end:
        .text

// Ring 3 to ring 0: RIP, CS, RSP, SS as quadwords, SS null, RFLAGS as they were; RETFQ goes back.
stack_switch:
        movl    $0x0000ffff, gdt + TARGET
        movl    $CODE_R0, gdt + TARGET + 4
        movl    $inner, %eax
        movq    $0, gdt + GATE
        movq    $0, gdt + GATE + 8
        movw    %ax, gdt + GATE
        shrl    $16, %eax
        movw    %ax, gdt + GATE + 6
        movw    $TARGET, gdt + GATE + 2
        movb    $0xec, gdt + GATE + 5
        movb    $31, gdt + GATE + 4              // no parameter count here: IST's place, not looked at
        movw    $GATE + 3, far_pointer + 4
        arm     1f
        enter_user 2f
2:      movq    %rsp, %rbx
        lcall   *far_pointer(%rip)
3:      int     $SYSTEM
1:      CHECK(seen_vector, $SYSTEM)
        CHECK(seen_cs, $USER_CODE64)
        CHECK(seen_ss, $USER_DATA)
        CHECK(seen_rsp, %rbx)
        movl    $3b, %eax
        addq    user_base, %rax
        CHECK(inner_frame, %rax)
        CHECK(inner_frame + 8, $USER_CODE64)
        CHECK(inner_frame + 16, %rbx)
        CHECK(inner_frame + 24, $USER_DATA)
        CHECK(inner_rsp, $interrupt_stack-32)
        CHECK(inner_ss, $0)
        CHECK(inner_cs, $TARGET)
        // A stack pointer that is not canonical: #SS(0). An offset that is not: #GP(0).
        movq    tss + 4, %rcx
        movq    $idt_stack, tss + 36
        movb    $1, idt + 16 * SS + 4            // its own stack
        movq    noncanonical, %rax
        movq    %rax, tss + 4
        USER_FAULTS(SS, 0, "lcall *far_pointer(%rip)")
        movq    %rcx, tss + 4
        movb    $0, idt + 16 * SS + 4
        movl    $0x8000, gdt + GATE + 8
        USER_FAULTS(GP, 0, "lcall *far_pointer(%rip)")
        FAULTS(GP, 0, "ljmp *far_pointer(%rip)")
        movl    $0, gdt + GATE + 8
        // A TSS that ends within RSP1: #TS(TSS).
        movl    $0x00afba00, gdt + TARGET + 4
        movw    $18, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        USER_FAULTS(TS, TSS, "lcall *far_pointer(%rip)")
        movw    $0x67, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        movl    $CODE_R0, gdt + TARGET + 4
        ret
inner:  movq    %rsp, inner_rsp
        movl    %ss, %eax
        movq    %rax, inner_ss
        movl    %cs, %eax
        movq    %rax, inner_cs
        movq    (%rsp), %rax
        movq    %rax, inner_frame
        movq    8(%rsp), %rax
        movq    %rax, inner_frame + 8
        movq    16(%rsp), %rax
        movq    %rax, inner_frame + 16
        movq    24(%rsp), %rax
        movq    %rax, inner_frame + 24
        lretq

// Ring 0 to ring 0: two quadwords on the current stack.
same_ring:
        movw    $GATE, far_pointer + 4
        movq    %rsp, %rbx
        lcall   *far_pointer(%rip)
1:      movq    %rsp, %rax
        CHECK(%rax, %rbx)
        CHECK(inner_frame, $1b)
        CHECK(inner_frame + 8, $CODE64)
        subq    $16, %rbx
        CHECK(inner_rsp, %rbx)
        ljmp    *far_to_32(%rip)                 // compatibility code

// Compatibility code calls 64-bit code by a gate and gets control back.
        .code32
compatible:
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %esp, %ebx
        lcall   $GATE, $0
2:      cmpl    %esp, %ebx
        jne     1f
        movl    $1, came_back
1:      ljmp    $CODE64, $1f
        .code64
1:      CHECK(came_back, $1)
        CHECK(inner_frame, $2b)
        CHECK(inner_frame + 8, $CODE32)
        movl    $DATA, %eax
        movl    %eax, %ss
        ret

// IRETQ: what the frame may hold. Rows: RIP's upper half, CS, SS, wanted vector and error; 0x1000 goes there.
iret_table:
        movl    $0x0000ffff, gdt + GATE
        movl    $0x00cff300, gdt + GATE + 4      // GATE: DPL 3 data; GATE + 8: DPL 1 64-bit code
        movl    $0x0000ffff, gdt + GATE + 8
        movl    $0x00afba00, gdt + GATE + 12
        movl    $0x0000ffff, gdt + TARGET        // DPL 1 data
        movl    $0x00cfb300, gdt + TARGET + 4
        movl    $irets, %ebx
1:      arm     2f
        movl    16(%rbx), %eax
        pushq   %rax
        pushq   $kernel_stack - 512
        pushq   $2
        movl    8(%rbx), %eax
        pushq   %rax
        movl    $3f, %eax
        movq    (%rbx), %rcx
        orq     %rcx, %rax
        pushq   %rax
4:      iretq
3:      int     $SYSTEM
2:      movl    20(%rbx), %eax
        CHECK(seen_vector, %rax)
        cmpl    $SYSTEM, %eax
        je      5f
        movl    24(%rbx), %eax
        CHECK(seen_error, %rax)
        CHECK(seen_rip, $4b)
        jmp     6f
5:      movl    8(%rbx), %eax
        CHECK(seen_cs, %rax)
        movl    16(%rbx), %eax
        CHECK(seen_ss, %rax)
6:      addl    $32, %ebx
        cmpl    $irets_end, %ebx
        jb      1b
        ret
        .data
        .balign 8
        .macro  iret_row upper, cs, ss, vector, error
        .quad   \upper, \cs
        .long   \ss, \vector, \error, 0
        .endm
irets:  iret_row 0, CODE64, DATA, SYSTEM, 0
        iret_row 0, CODE64, 0, SYSTEM, 0                 // null, ring 0, to 64-bit code
        iret_row 0, CODE64, 1, GP, 0                     // its RPL is not CS's
        iret_row 0, USER_CODE64, 3, GP, 0                // ring 3 needs one
        iret_row 0, CODE32, 0, GP, 0                     // so does compatibility code
        iret_row 0, 0, DATA, GP, 0
        iret_row 0, 0x103, DATA, GP, 0x100
        iret_row 0, DATA, DATA, GP, DATA
        iret_row 0, TSS, DATA, GP, TSS
        iret_row 0, CODE64 + 1, DATA, GP, CODE64         // RPL above the DPL
        iret_row 0, USER_CODE64-3, DATA, GP, USER_CODE64-3
        iret_row 0, USER_CODE64-1, USER_DATA, GP, USER_CODE64-3
        iret_row 0, ABSENT_CODE, DATA, NP, ABSENT_CODE
        iret_row 0, CODE64, USER_DATA, GP, USER_DATA-3
        iret_row 0, CODE64, DATA + 1, GP, DATA
        iret_row 0, CODE64, CODE64, GP, CODE64
        iret_row 0, CODE64, ABSENT_DATA, SS, ABSENT_DATA
        iret_row 0, CODE64, 0x104, GP, 0x104
        iret_row 0, USER_CODE64, DATA + 3, GP, DATA
        iret_row 0x800000000000, CODE64, DATA, GP, 0     // not canonical
irets_end:
inner_frame: .quad 0, 0, 0, 0
inner_rsp: .quad 0
inner_ss: .quad 0
inner_cs: .quad 0
came_back: .quad 0
noncanonical: .quad 0x0000900000000000
far_pointer: .long 0x11223344
        .word   GATE, 0
far_to_32: .long compatible
        .word   CODE32, 0
        .bss
        .balign 16
        .skip   1024
idt_stack:
