/* Hardware task switches: every check of the manual's table with JMP, CALL, task gates and exceptions; what is saved and
   loaded, links, busy bits, NT, TS, the T bit, error codes, 16-bit and virtual-8086 tasks. [SDM3 7.2-7.4, table 7-1, 7-2] */
#include "guest.inc"
#include "legacy.inc"

        .set    TSS_B, SPARE             // the other task's, 32-bit
        .set    TASK_GATE, SPARE + 8
        .set    TSS_16, SPARE + 16
        .set    LDT, SPARE + 24
        .set    ABSENT_CODE3, SPARE + 32
        .set    ABSENT_DATA3, SPARE + 40
        .set    READ_ONLY3, SPARE + 48
        .set    CONFORMING0, SPARE + 56
        .set    CODE_ONLY3, SPARE + 64
        .set    ABSENT_LDT, SPARE + 72
        .set    CONFORMING3, SPARE + 80
        .set    TYPE, 0x900              // offsets of the descriptor's upper half

        .macro  tss_descriptor selector, base, attributes, limit
        movl    $\base, %eax
        movw    $\limit, gdt + \selector
        movw    %ax, gdt + \selector + 2
        shrl    $16, %eax
        movb    %al, gdt + \selector + 4
        movb    \attributes, gdt + \selector + 5
        movb    $0, gdt + \selector + 6
        movb    %ah, gdt + \selector + 7
        .endm

main32: descriptor ABSENT_CODE3, $0x0000ffff, $0x00cf7a00
        descriptor ABSENT_DATA3, $0x0000ffff, $0x00cf7300
        descriptor READ_ONLY3, $0x0000ffff, $0x00cff100
        descriptor CONFORMING0, $0x0000ffff, $0x00cf9e00
        descriptor CONFORMING3, $0x0000ffff, $0x00cffe00
        descriptor CODE_ONLY3, $0x0000ffff, $0x00cff800
        tss_descriptor LDT, local_table, $0x82, 0x1f
        tss_descriptor ABSENT_LDT, local_table, $0x02, 0x1f
        call    checks
        call    privilege
        call    there_and_back
        call    jumps
        call    debug_trap
        call    error_codes
        call    tasks_of_16_bits
        call    virtual_8086
        call    bad_links
        ret

// A ring-3 task B at `task_b`, which only makes a system call.
build_task_b:
        pushl   %eax
        pushl   %ecx
        pushl   %edi
        movl    $tss_b, %edi
        movl    $26, %ecx
        xorl    %eax, %eax
        cld
        rep stosl
        movl    $task_b_kernel_stack, tss_b + 4
        movl    $DATA, tss_b + 8
        movl    $task_b, tss_b + 32
        movl    $2, tss_b + 36
        movl    $user_stack, tss_b + 56
        movl    $USER_DATA, tss_b + 72
        movl    $USER_CODE32, tss_b + 76
        movl    $USER_DATA, tss_b + 80
        movl    $USER_DATA, tss_b + 84
        movw    $104, tss_b + 102
        tss_descriptor TSS_B, tss_b, $0x89, 0x67
        popl    %edi
        popl    %ecx
        popl    %eax
        ret
task_b: int     $SYSTEM

// Each row: how (0 JMP, 1 CALL, 2 JMP by gate, 3 CALL by gate, 4 INT, 5 #UD), the TSS's attributes, its limit, an offset of a
// selector in it with the selector to put there (offset 0: none), wanted vector and error, whether the new task gets it.
checks: movl    $rows, %ebx
        movl    $0, row
1:      incl    row
        call    build_task_b
        movb    4(%ebx), %al
        movb    %al, gdt + TSS_B + 5
        movw    8(%ebx), %ax
        movw    %ax, gdt + TSS_B
        movl    12(%ebx), %edi
        testl   %edi, %edi
        jz      2f
        movl    16(%ebx), %eax
        movl    %eax, tss_b(%edi)
2:      movl    $0, gdt + TASK_GATE
        movw    $TSS_B, gdt + TASK_GATE + 2
        movl    $0x8500, gdt + TASK_GATE + 4
        movl    $TSS_B << 16, idt + 8 * 0x90
        movl    $0x8500, idt + 8 * 0x90 + 4
        movl    idt + 8 * UD, %esi
        movl    idt + 8 * UD + 4, %edi
        movl    $TSS_B << 16, idt + 8 * UD
        movl    $0x8500, idt + 8 * UD + 4
        arm32   9f
        movl    (%ebx), %eax
        jmp     *how(,%eax,4)
how0:   ljmp    $TSS_B, $0
        jmp     9f
how1:   lcall   $TSS_B, $0
        jmp     9f
how2:   ljmp    $TASK_GATE, $0
        jmp     9f
how3:   lcall   $TASK_GATE, $0
        jmp     9f
how4:   int     $0x90
        jmp     9f
how5:   ud2
9:      movl    $0, recover_rip
        movl    idt + 8 * 0x10, %eax
        movl    $0x8e00, %edx
        movl    $UD, %ecx
        movl    $legacy_stubs + 16 * UD, %eax
        call    set_gate32
        // Registers came from the new task when the handler ran in it.
        movl    $rows, %ecx
        movl    rows_at, %ebx
        WANT(seen_vector, 20(%ebx))
        cmpl    $SYSTEM, 20(%ebx)
        je      3f
        WANT(seen_error, 24(%ebx))
3:      movl    $TSS, %eax
        cmpl    $0, 28(%ebx)
        je      4f
        movl    $TSS_B, %eax
4:      WANT(seen_handler_tr, %eax)
        cmpl    $0, 28(%ebx)
        je      5f
        cmpl    $SYSTEM, 20(%ebx)
        je      5f
        WANT(seen_rip, $task_b)                  // its first instruction has not run
5:      addl    $32, %ebx
        movl    %ebx, rows_at
        cmpl    $rows_end, %ebx
        jb      1b
        movl    $0, row
        ret

        .data
        .balign 4
rows_at: .long  rows
how:    .long   how0, how1, how2, how3, how4, how5
        .macro  check how, attributes, limit, at, selector, vector, error, inside
        .long   \how, \attributes, \limit, \at, \selector, \vector, \error, \inside
        .endm
rows:   .set    E_CS, 76
        .set    E_SS, 80
        .set    E_DS, 84
        .set    E_ES, 72
        .set    E_FS, 88
        .set    E_GS, 92
        .set    E_LDT, 96
        check   0, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        check   1, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        check   2, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        check   3, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        check   4, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        check   5, 0x89, 0x67, 0, 0, SYSTEM, 0, 1
        // Present, then not busy, then long enough.
        check   0, 0x09, 0x67, 0, 0, NP, TSS_B, 0
        check   3, 0x09, 0x67, 0, 0, NP, TSS_B, 0
        check   4, 0x09, 0x67, 0, 0, NP, TSS_B, 0
        check   0, 0x8b, 0x67, 0, 0, GP, TSS_B, 0
        check   1, 0x8b, 0x67, 0, 0, GP, TSS_B, 0
        check   2, 0x8b, 0x67, 0, 0, GP, TSS_B, 0
        check   4, 0x8b, 0x67, 0, 0, GP, TSS_B, 0
        check   5, 0x8b, 0x67, 0, 0, GP, TSS_B + 1, 0
        check   5, 0x09, 0x67, 0, 0, NP, TSS_B + 1, 0
        check   0, 0x89, 0x66, 0, 0, TS, TSS_B, 0
        check   1, 0x89, 0x66, 0, 0, TS, TSS_B, 0
        check   4, 0x89, 0x66, 0, 0, TS, TSS_B, 0
        check   5, 0x89, 0x66, 0, 0, TS, TSS_B + 1, 0
        check   0, 0x81, 0x2a, 0, 0, TS, TSS_B, 0
        check   2, 0x82, 0x67, 0, 0, GP, TSS_B, 0         // the gate names an LDT
        check   2, 0x92, 0x67, 0, 0, GP, TSS_B, 0         // data
        // The LDT: local, out of the table, no LDT, absent; null is good.
        check   1, 0x89, 0x67, E_LDT, LDT, SYSTEM, 0, 1
        check   1, 0x89, 0x67, E_LDT, LDT + 4, TS, LDT + 4, 1
        check   1, 0x89, 0x67, E_LDT, 0x100, TS, 0x100, 1
        check   1, 0x89, 0x67, E_LDT, DATA, TS, DATA, 1
        check   1, 0x89, 0x67, E_LDT, TSS, TS, TSS, 1
        check   1, 0x89, 0x67, E_LDT, ABSENT_LDT, TS, ABSENT_LDT, 1
        check   5, 0x89, 0x67, E_LDT, DATA, TS, DATA + 1, 1
        // CS.
        check   0, 0x89, 0x67, E_CS, 3, TS, 0, 1
        check   0, 0x89, 0x67, E_CS, 0x103, TS, 0x100, 1
        check   0, 0x89, 0x67, E_CS, USER_DATA, TS, USER_DATA-3, 1
        check   0, 0x89, 0x67, E_CS, CODE32 + 3, TS, CODE32, 1
        check   0, 0x89, 0x67, E_CS, TSS + 3, TS, TSS, 1
        check   0, 0x89, 0x67, E_CS, ABSENT_CODE3 + 3, NP, ABSENT_CODE3, 1
        check   0, 0x89, 0x67, E_CS, CONFORMING0 + 3, SYSTEM, 0, 1
        check   0, 0x89, 0x67, E_CS, CONFORMING3 + 3, SYSTEM, 0, 1
        check   0, 0x89, 0x67, E_CS, CODE_ONLY3 + 3, SYSTEM, 0, 1
        check   5, 0x89, 0x67, E_CS, ABSENT_CODE3 + 3, NP, ABSENT_CODE3 + 1, 1
        // SS.
        check   0, 0x89, 0x67, E_SS, 0, TS, 0, 1
        check   0, 0x89, 0x67, E_SS, 0x103, TS, 0x100, 1
        check   0, 0x89, 0x67, E_SS, DATA + 3, TS, DATA, 1
        check   0, 0x89, 0x67, E_SS, USER_DATA-3, TS, USER_DATA-3, 1
        check   0, 0x89, 0x67, E_SS, READ_ONLY3 + 3, TS, READ_ONLY3, 1
        check   0, 0x89, 0x67, E_SS, USER_CODE32, TS, USER_CODE32-3, 1
        check   0, 0x89, 0x67, E_SS, ABSENT_DATA3 + 3, SS, ABSENT_DATA3, 1
        check   5, 0x89, 0x67, E_SS, ABSENT_DATA3 + 3, SS, ABSENT_DATA3 + 1, 1
        // DS, ES, FS, GS: null is good.
        check   0, 0x89, 0x67, E_DS, 0, SYSTEM, 0, 1
        check   0, 0x89, 0x67, E_DS, 0x100, TS, 0x100, 1
        check   0, 0x89, 0x67, E_DS, DATA, TS, DATA, 1
        check   0, 0x89, 0x67, E_ES, DATA + 3, TS, DATA, 1
        check   0, 0x89, 0x67, E_DS, CODE_ONLY3 + 3, TS, CODE_ONLY3, 1
        check   0, 0x89, 0x67, E_DS, CONFORMING0 + 3, SYSTEM, 0, 1
        check   0, 0x89, 0x67, E_FS, ABSENT_DATA3 + 3, NP, ABSENT_DATA3, 1
        check   0, 0x89, 0x67, E_GS, LDT, TS, LDT, 1
        check   0, 0x89, 0x67, E_GS, USER_DATA-3, SYSTEM, 0, 1
        check   5, 0x89, 0x67, E_GS, ABSENT_DATA3 + 3, NP, ABSENT_DATA3 + 1, 1
        check   0, 0x89, 0x67, E_DS, 0xf, TS, 0xc, 1      // local, without an LDT
rows_end:
        .text

// From ring 3: CPL and RPL against the DPL of the TSS or of the gate, not of both.
privilege:
        call    build_task_b
        movl    $0x8500, gdt + TASK_GATE + 4
        arm32   1f
        enter_ring3
2:      lcall   $TSS_B, $0
1:      WANT(seen_vector, $GP)
        WANT(seen_error, $TSS_B)
        WANT(seen_rip, $2b)
        arm32   1f
        enter_ring3
        lcall   $TASK_GATE + 3, $0
1:      WANT(seen_vector, $GP)
        WANT(seen_error, $TASK_GATE)
        movl    $0xe500, gdt + TASK_GATE + 4
        arm32   1f
        enter_ring3
        lcall   $TASK_GATE + 3, $0
1:      WANT(seen_vector, $SYSTEM)
        WANT(seen_handler_tr, $TSS_B)
        call    build_task_b
        movb    $0xe9, gdt + TSS_B + 5
        arm32   1f
        enter_ring3
        ljmp    $TSS_B + 3, $0
1:      WANT(seen_vector, $SYSTEM)
        WANT(seen_handler_tr, $TSS_B + 3)
        call    build_task_b
        FAULTS32(GP, TSS_B, lcall $TSS_B + 1, $0)        // RPL 1 against DPL 0
        FAULTS32(GP, TSS_B + 4, lcall $TSS_B + 4, $0)    // local, no LDT
        movl    $0x0500, gdt + TASK_GATE + 4
        FAULTS32(NP, TASK_GATE, lcall $TASK_GATE, $0)
        movl    $0x8500, gdt + TASK_GATE + 4
        movw    $TSS_B + 4, gdt + TASK_GATE + 2
        FAULTS32(GP, TSS_B + 4, lcall $TASK_GATE, $0)
        movw    $0, gdt + TASK_GATE + 2
        FAULTS32(GP, 0, lcall $TASK_GATE, $0)
        movw    $TSS_B, gdt + TASK_GATE + 2
        arm32   1f
        enter_ring3
        int     $0x90                                    // the gate in the IDT has DPL 0
1:      WANT(seen_vector, $GP)
        WANT(seen_error, $0x90 * 8 + 2)
        ret

// CALL to a ring-0 task and IRET back; then again: it goes on behind its IRET.
there_and_back:
        call    build_task_b
        movl    $ring0_task, tss_b + 32
        movl    $0x8d5, tss_b + 36                       // OF and others
        movl    $0x11110000, tss_b + 40
        movl    $0x11110001, tss_b + 44
        movl    $0x11110002, tss_b + 48
        movl    $0x11110003, tss_b + 52
        movl    $task_b_stack, tss_b + 56
        movl    $0x11110005, tss_b + 60
        movl    $0x11110006, tss_b + 64
        movl    $0x11110007, tss_b + 68
        movl    $DATA, tss_b + 72
        movl    $CODE32, tss_b + 76
        movl    $DATA, tss_b + 80
        movl    $DATA, tss_b + 84
        movl    $USER_DATA, tss_b + 88
        movl    $0, tss_b + 92
        movl    $LDT, tss_b + 96
        movl    $0x555, %eax
        movl    %eax, %db7                               // local enables of all four, and LE
        clts
        movl    $0xa0, %eax
        movl    $0xa1, %ecx
        movl    $0xa2, %edx
        movl    $0xa3, %ebx
        movl    $0xa5, %ebp
        movl    $0xa6, %esi
        movl    $0xa7, %edi
        movl    %esp, saved_esp
        stc
        lcall   $TSS_B, $0
1:      movl    %eax, after_eax
        pushfl
        popl    after_flags
        WANT(after_eax, $0xa0)
        WANT(%ecx, $0xa1)
        WANT(%edx, $0xa2)
        WANT(%ebx, $0xa3)
        WANT(%ebp, $0xa5)
        WANT(%esi, $0xa6)
        WANT(%edi, $0xa7)
        WANT(%esp, saved_esp)
        andl    $0x4001, after_flags
        WANT(after_flags, $1)                            // CF; NT was not saved
        // What was saved in the old TSS.
        WANT(tss32 + 32, $1b)
        WANT(tss32 + 40, $0xa0)
        WANT(tss32 + 44, $0xa1)
        WANT(tss32 + 48, $0xa2)
        WANT(tss32 + 52, $0xa3)
        WANT(tss32 + 56, saved_esp)
        WANT(tss32 + 60, $0xa5)
        WANT(tss32 + 64, $0xa6)
        WANT(tss32 + 68, $0xa7)
        WANT(tss32 + 72, $DATA)
        WANT(tss32 + 76, $CODE32)
        WANT(tss32 + 80, $DATA)
        WANT(tss32 + 84, $DATA)
        WANT(tss32 + 28, $0)                             // CR3 and LDT are not
        WANT(tss32 + 96, $0)
        // What the new task saw.
        WANT(b_eax, $0x11110000)
        WANT(b_ecx, $0x11110001)
        WANT(b_edx, $0x11110002)
        WANT(b_ebx, $0x11110003)
        WANT(b_esp, $task_b_stack)
        WANT(b_ebp, $0x11110005)
        WANT(b_esi, $0x11110006)
        WANT(b_edi, $0x11110007)
        WANT(b_flags, $0x48d7)                           // NT, as of a nested task
        WANT(b_tr, $TSS_B)
        WANT(b_ldt, $LDT)
        WANT(b_fs, $USER_DATA)
        WANT(b_gs, $0)
        WANT(b_busy, $0x8b8b)                            // both are busy meanwhile
        WANT(b_dr7, $0x400)
        andl    $8, b_cr0
        WANT(b_cr0, $8)                                  // TS
        movzwl  tss_b, %eax
        WANT(%eax, $TSS)                                 // the link
        str     %eax
        WANT(%eax, $TSS)
        movzbl  gdt + TSS + 5, %eax
        WANT(%eax, $0x8b)
        movzbl  gdt + TSS_B + 5, %eax
        WANT(%eax, $0x89)
        // IRET saved B's state with EIP behind it, and without NT.
        WANT(tss_b + 32, $behind_iret)
        movl    tss_b + 36, %eax
        andl    $0x4000, %eax
        WANT(%eax, $0)
        movl    %cr0, %eax
        andl    $8, %eax
        WANT(%eax, $8)
        sldt    %eax
        WANT(%eax, $0)
        clts
        lcall   $TSS_B, $0
        WANT(again, $1)
        ret

ring0_task:
        movl    %eax, b_eax
        movl    %ecx, b_ecx
        movl    %edx, b_edx
        movl    %ebx, b_ebx
        movl    %esp, b_esp
        movl    %ebp, b_ebp
        movl    %esi, b_esi
        movl    %edi, b_edi
        pushfl
        popl    b_flags
        str     %eax
        movl    %eax, b_tr
        sldt    %eax
        movl    %eax, b_ldt
        movl    %fs, %eax
        movl    %eax, b_fs
        movl    %gs, %eax
        movl    %eax, b_gs
        movb    gdt + TSS + 5, %al
        movb    gdt + TSS_B + 5, %ah
        movw    %ax, b_busy
        movl    %db7, %eax
        movl    %eax, b_dr7
        movl    %cr0, %eax
        movl    %eax, b_cr0
        iret
behind_iret:
        incl    again
        iret

// JMP: the old task is free again, no link, no NT.
jumps:  call    build_task_b
        movl    $2f, tss_b + 32
        movl    $CODE32, tss_b + 76
        movl    $DATA, tss_b + 80
        movl    $task_b_stack, tss_b + 56
        movw    $0x1234, tss_b
        ljmp    $TSS_B, $0
1:      jmp     3f
2:      movl    $DATA, %eax
        movl    %eax, %ds
        pushfl
        popl    %ecx
        movl    %ecx, b_flags
        movb    gdt + TSS + 5, %al
        movb    gdt + TSS_B + 5, %ah
        movw    %ax, b_busy
        ljmp    $TSS, $0
3:      WANT(tss32 + 32, $1b)
        WANT(b_flags, $2)
        WANT(b_busy, $0x8b89)
        movzwl  tss_b, %eax
        WANT(%eax, $0x1234)
        movzbl  gdt + TSS_B + 5, %eax
        WANT(%eax, $0x89)
        movzbl  gdt + TSS + 5, %eax
        WANT(%eax, $0x8b)
        ret

// The T bit: #DB before the first instruction, DR6.BT.
debug_trap:
        call    build_task_b
        movb    $1, tss_b + 100
        xorl    %eax, %eax
        movl    %eax, %db6
        arm32   1f
        lcall   $TSS_B, $0
1:      WANT(seen_vector, $DB)
        WANT(seen_rip, $task_b)
        WANT(seen_cs, $USER_CODE32)
        WANT(seen_handler_tr, $TSS_B)
        movl    %db6, %eax
        WANT(%eax, $0xffff8ff0)
        ret

// Exceptions through a task gate: the error code on the new task's stack, RF in the saved flags, IRET goes back.
error_codes:
        call    build_task_b
        movl    $2f, tss_b + 32
        movl    $CODE32, tss_b + 76
        movl    $DATA, tss_b + 80
        movl    $DATA, tss_b + 84
        movl    $task_b_stack, tss_b + 56
        movl    $TSS_B << 16, idt + 8 * GP
        movl    $0x8500, idt + 8 * GP + 4
        movl    $0x1237, %eax
1:      movl    %eax, %fs                                // #GP(0x1234)
        jmp     3f
2:      movl    %esp, b_esp
        popl    b_eax
        movl    tss32 + 32, %eax
        movl    %eax, b_ecx
        movl    tss32 + 36, %eax
        movl    %eax, b_flags
        addl    $2, tss32 + 32                           // skip the instruction
        iret
3:      WANT(b_eax, $0x1234)
        WANT(b_esp, $task_b_stack - 4)
        WANT(b_ecx, $1b)
        andl    $0x14000, b_flags
        WANT(b_flags, $0x10000)
        movl    $GP, %ecx
        movl    $legacy_stubs + 16 * GP, %eax
        movl    $0x8e00, %edx
        call    set_gate32
        // INT n saves the EIP behind it, and no RF.
        call    build_task_b
        movl    $2f, tss_b + 32
        movl    $CODE32, tss_b + 76
        movl    $DATA, tss_b + 80
        movl    $DATA, tss_b + 84
        movl    $task_b_stack, tss_b + 56
        int     $0x90
1:      jmp     3f
2:      movl    tss32 + 36, %eax
        movl    %eax, b_flags
        movl    %esp, b_esp
        iret
3:      WANT(tss32 + 32, $1b)
        WANT(b_esp, $task_b_stack)
        andl    $0x10000, b_flags
        WANT(b_flags, $0)
        // A stack without room for the error code: #SS in the new task, and so a double fault there.
        call    build_task_b
        movl    $TSS_B << 16, idt + 8 * GP
        movl    $0x8500, idt + 8 * GP + 4
        movl    $0x0000000f, local_table                 // 16 bytes of data, ring 3
        movl    $0x0040f300, local_table + 4
        movl    $LDT, tss_b + 96
        movl    $7, tss_b + 80
        movl    $0x100, tss_b + 56
        arm32   1f
        movl    $0x1237, %eax
        movl    %eax, %fs
1:      WANT(seen_vector, $DF)
        WANT(seen_error, $0)
        WANT(seen_handler_tr, $TSS_B)
        WANT(seen_rip, $task_b)
        movl    $GP, %ecx
        movl    $legacy_stubs + 16 * GP, %eax
        movl    $0x8e00, %edx
        call    set_gate32
        ret

// A 16-bit TSS: words, no FS, GS and CR3; 32-bit registers get ones in their upper halves.
tasks_of_16_bits:
        tss_descriptor TSS_16, tss_16, $0x81, 0x2b
        descriptor ABSENT_CODE3, $0x0000ffff, $0x00009a10        // 16-bit code, base 0x100000
        movl    $task_16 - 0x100000, %eax
        movw    %ax, tss_16 + 14
        movw    $0x8d7, tss_16 + 16
        movw    $0xb0, tss_16 + 18
        movw    $0xb1, tss_16 + 20
        movw    $0x4000, tss_16 + 26
        movw    $DATA, tss_16 + 34
        movw    $ABSENT_CODE3, tss_16 + 36
        movw    $DATA16, tss_16 + 38
        movw    $DATA, tss_16 + 40
        movw    $0, tss_16 + 42
        movl    $USER_DATA, %eax
        movl    %eax, %fs
        movl    $0x12345678, %edi
        movl    %esp, saved_esp
        lcall   $TSS_16, $0
1:      WANT(%edi, $0x12345678)
        WANT(%esp, saved_esp)
        movl    %fs, %eax
        WANT(%eax, $USER_DATA)
        WANT(b_eax, $0xffff00b0)
        WANT(b_ecx, $0xffff00b1)
        WANT(b_fs, $0)
        WANT(b_tr, $TSS_16)
        movzwl  tss_16, %eax
        WANT(%eax, $TSS)
        movzwl  tss_16 + 14, %eax                        // saved by the IRET: words
        movl    $behind_iret_16 - 0x100000, %ecx
        WANT(%eax, %ecx)
        movzwl  tss_16 + 18, %eax
        WANT(%eax, $0xcafe)
        movzbl  gdt + TSS_16 + 5, %eax
        WANT(%eax, $0x81)
        ret
        .code16
task_16:
        addr32 movl %eax, b_eax
        addr32 movl %ecx, b_ecx
        movw    %fs, %ax
        movzwl  %ax, %eax
        addr32 movl %eax, b_fs
        str     %ax
        movzwl  %ax, %eax
        addr32 movl %eax, b_tr
        movl    $0x1234cafe, %eax
        iretw
behind_iret_16:
        nop
        .code32

// A task in virtual-8086 mode: its INT goes to ring 0 of its TSS with the eight-word frame.
virtual_8086:
        call    build_task_b
        movl    $0x80cd, 0x2000                          // int $0x80
        movl    $0, tss_b + 32
        movl    $0x23002, tss_b + 36                     // VM, IOPL 3
        movl    $0x100, tss_b + 56
        movl    $0x111, tss_b + 72
        movl    $0x200, tss_b + 76
        movl    $0x300, tss_b + 80
        movl    $0x444, tss_b + 84
        movl    $0x555, tss_b + 88
        movl    $0x666, tss_b + 92
        arm32   1f
        lcall   $TSS_B, $0
1:      WANT(seen_vector, $SYSTEM)
        WANT(seen_rip, $2)
        WANT(seen_cs, $0x200)
        WANT(seen_rsp, $0x100)
        WANT(seen_ss, $0x300)
        WANT(seen_es, $0x111)
        WANT(seen_ds, $0x444)
        WANT(seen_fs, $0x555)
        WANT(seen_gs, $0x666)
        WANT(seen_rflags, $0x27002)                      // NT: the task is nested
        WANT(seen_frame, $task_b_kernel_stack - 24)
        WANT(seen_handler_tr, $TSS_B)
        ret

// IRET with NT and a link that is no busy TSS: #TS(link); absent: #NP.
bad_links:
        call    build_task_b
        movl    $bad_link_rows, %ebx
        movl    $0, row
1:      incl    row
        movl    (%ebx), %eax
        movw    %ax, tss32
        movb    4(%ebx), %al
        movb    %al, gdt + TSS_B + 5
        arm32   3f
        pushl   $0x4002
        popfl
2:      iret
        movl    $2b, seen_rip
3:      WANT(seen_vector, 8(%ebx))
        WANT(seen_error, 12(%ebx))
        WANT(seen_rip, $2b)
        WANT(seen_handler_tr, $TSS)
        addl    $16, %ebx
        cmpl    $bad_link_rows_end, %ebx
        jb      1b
        movl    $0, row
        ret
        .data
        .balign 4
bad_link_rows:
        .long   TSS_B, 0x89, TS, TSS_B                   // not busy
        .long   TSS_B, 0x0b, NP, TSS_B
        .long   TSS_B + 4, 0x8b, TS, TSS_B + 4
        .long   0x100, 0x8b, TS, 0x100
        .long   0, 0x8b, TS, 0
        .long   DATA, 0x8b, TS, DATA
bad_link_rows_end:
saved_esp: .long 0
after_eax: .long 0
after_flags: .long 0
again:  .long   0
b_eax:  .long   0
b_ecx:  .long   0
b_edx:  .long   0
b_ebx:  .long   0
b_esp:  .long   0
b_ebp:  .long   0
b_esi:  .long   0
b_edi:  .long   0
b_flags: .long  0
b_tr:   .long   0
b_ldt:  .long   0
b_fs:   .long   0
b_gs:   .long   0
b_busy: .long   0
b_dr7:  .long   0
b_cr0:  .long   0
        .balign 8
local_table: .skip 32
tss_b:  .skip   104
tss_16: .skip   44
        .bss
        .balign 16
        .skip   512
task_b_kernel_stack:
        .skip   512
task_b_stack:
        .text
