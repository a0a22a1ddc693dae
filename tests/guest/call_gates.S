/* Call gates of 16 and 32 bits outside long mode: every check in its order, the stack switch with parameters, returns to the
   outer ring, conforming targets, JMP through gates. [SDM3 5.8.3-5.8.6, table 5-1] */
#include "guest.inc"
#include "legacy.inc"

        .set    GATE, SPARE              // the gate under test
        .set    TARGET, SPARE + 8        // its code segment
        .set    RING1_STACK, SPARE + 16  // 0x78: DPL 1 data
        .set    SMALL_STACK, SPARE + 24  // DPL 0 data, 16 bytes
        .set    ABSENT_STACK, SPARE + 32
        .set    READ_ONLY, SPARE + 40
        .set    CONFORMING, SPARE + 48

        // Descriptors' upper halves: flat 32-bit code and data.
        .set    CODE_R0, 0x00cf9a00
        .set    CODE_R1, 0x00cfba00
        .set    CODE_R3, 0x00cffa00
        .set    CONFORMING_R0, 0x00cf9e00
        .set    CONFORMING_R3, 0x00cffe00

main32: descriptor RING1_STACK, $0x0000ffff, $0x00cfb300
        descriptor SMALL_STACK, $0x0000000f, $0x00409300
        descriptor ABSENT_STACK, $0x0000ffff, $0x00cf1300
        descriptor READ_ONLY, $0x0000ffff, $0x00cf9100
        descriptor CONFORMING, $0x0000ffff, $0x00cf9e00
        call    check_table
        call    stack_switch
        call    sixteen_bits
        call    bad_stacks
        call    offsets
        ret

// Each row: instruction (0 CALL, 1 JMP), ring, selector's RPL, the gate's attributes (type, DPL, P), what it names, the code
// segment's upper half, wanted vector and error, or 0x1000 and the CS that is reached.
check_table:
        movl    $gates, %ebx
        movl    $0, row
1:      incl    row
        movl    $reached, %eax
        movw    %ax, gdt + GATE
        shrl    $16, %eax
        movw    %ax, gdt + GATE + 6
        movw    12(%ebx), %ax
        movb    $0, gdt + GATE + 4
        movb    %al, gdt + GATE + 5
        movw    16(%ebx), %ax
        movw    %ax, gdt + GATE + 2
        movl    $0x0000ffff, gdt + TARGET
        movl    20(%ebx), %eax
        movl    %eax, gdt + TARGET + 4
        movl    8(%ebx), %eax
        addl    $GATE, %eax
        movw    %ax, far_pointer + 4
        arm32   2f
        cmpl    $0, 4(%ebx)
        je      3f
        enter_ring3
3:      cmpl    $0, (%ebx)
        jne     4f
        lcall   *far_pointer
        jmp     2f
4:      ljmp    *far_pointer
reached:                                         // in the gate's segment, ring 0 or 3
        movl    %cs, %eax
        int     $SYSTEM
2:      movl    $0, recover_rip
        cmpl    $SYSTEM, seen_vector
        jne     5f
        movl    $0x1000, seen_vector
        movl    seen_eax, %eax
        movl    %eax, seen_error
5:      WANT(seen_vector, 24(%ebx))
        WANT(seen_error, 28(%ebx))
        addl    $32, %ebx
        cmpl    $gates_end, %ebx
        jb      1b
        movl    $0, row
        ret

        .data
        .balign 4
        .macro  gate_row instruction, ring, rpl, attributes, selector, code, vector, error
        .long   \instruction, \ring, \rpl, \attributes, \selector, \code, \vector, \error
        .endm
gates:
        // The gate's own rights: CPL and RPL against its DPL; then its presence.
        gate_row 0, 0, 0, 0x8c, TARGET, CODE_R0, 0x1000, TARGET
        gate_row 0, 3, 3, 0xec, TARGET, CODE_R0, 0x1000, TARGET
        gate_row 0, 3, 0, 0xec, TARGET, CODE_R0, 0x1000, TARGET
        gate_row 0, 3, 3, 0x8c, TARGET, CODE_R0, GP, GATE
        gate_row 0, 3, 0, 0xcc, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 3, 0x8c, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 1, 0x8c, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x0c, TARGET, CODE_R0, NP, GATE
        gate_row 0, 3, 3, 0x0c, TARGET, CODE_R0, GP, GATE
        gate_row 0, 3, 3, 0x6c, TARGET, CODE_R0, NP, GATE
        // Types that are no gates for a far call: interrupt and trap gates, LDT, reserved.
        gate_row 0, 0, 0, 0x8e, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x8f, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x86, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x82, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x80, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x88, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x8a, TARGET, CODE_R0, GP, GATE
        gate_row 0, 0, 0, 0x8d, TARGET, CODE_R0, GP, GATE
        // What it names: the RPL does not count; null, out of the table, data, absent.
        gate_row 0, 3, 3, 0xec, TARGET + 3, CODE_R0, 0x1000, TARGET
        gate_row 0, 0, 0, 0x8c, 0, CODE_R0, GP, 0
        gate_row 0, 0, 0, 0x8c, 3, CODE_R0, GP, 0
        gate_row 0, 0, 0, 0x8c, 0x103, CODE_R0, GP, 0x100
        gate_row 0, 0, 0, 0x8c, 0xc, CODE_R0, GP, 0xc
        gate_row 0, 0, 0, 0x8c, DATA, CODE_R0, GP, DATA
        gate_row 0, 0, 0, 0x8c, TSS, CODE_R0, GP, TSS
        gate_row 0, 0, 0, 0x8c, TARGET, CODE_R0 & ~0x8000, NP, TARGET
        // The target's DPL: never outwards.
        gate_row 0, 0, 0, 0x8c, TARGET, CODE_R3, GP, TARGET
        gate_row 0, 0, 0, 0x8c, TARGET, CONFORMING_R3, GP, TARGET
        gate_row 0, 3, 3, 0xec, TARGET, CODE_R3, 0x1000, TARGET + 3
        gate_row 0, 3, 3, 0xec, TARGET, CONFORMING_R3, 0x1000, TARGET + 3
        gate_row 0, 3, 3, 0xec, TARGET, CONFORMING_R0, 0x1000, TARGET + 3
        gate_row 0, 0, 0, 0x8c, TARGET, CONFORMING_R0, 0x1000, TARGET
        // JMP keeps the ring: a non-conforming target must be of the same one.
        gate_row 1, 0, 0, 0x8c, TARGET, CODE_R0, 0x1000, TARGET
        gate_row 1, 3, 3, 0xec, TARGET, CODE_R3, 0x1000, TARGET + 3
        gate_row 1, 3, 3, 0xec, TARGET, CODE_R0, GP, TARGET
        gate_row 1, 3, 3, 0xec, TARGET, CONFORMING_R0, 0x1000, TARGET + 3
        gate_row 1, 0, 0, 0x8c, TARGET, CONFORMING_R3, GP, TARGET
        gate_row 1, 3, 3, 0x8c, TARGET, CODE_R3, GP, GATE
        gate_row 1, 0, 0, 0x0c, TARGET, CODE_R0, NP, GATE
gates_end:
far_pointer: .long 0x11223344                    // a gate's offset counts, not this
        .word   GATE, 0
        .text

        .macro  set_gate_entry selector, target, segment, attributes, parameters
        movl    $\target, %eax
        movw    %ax, gdt + \selector
        movw    $\segment, gdt + \selector + 2
        movb    $\parameters, gdt + \selector + 4
        movb    $\attributes, gdt + \selector + 5
        shrl    $16, %eax
        movw    %ax, gdt + \selector + 6
        .endm

// Three parameters to ring 0 and back by RET 12; EFLAGS pass through.
stack_switch:
        descriptor TARGET, $0x0000ffff, $CODE_R0
        set_gate_entry GATE, inner, TARGET, 0xec, 3
        movw    $GATE + 3, far_pointer + 4
        arm32   9f
        enter_ring3
        movl    %esp, %ebp
        pushl   $0x333
        pushl   $0x222
        pushl   $0x111
        stc
        lcall   *far_pointer
call_return:
        setc    %cl
        movl    %ds, %edx
        movl    %ss, %ebx
        int     $SYSTEM
9:      WANT(seen_vector, $SYSTEM)
        WANT(seen_cs, $USER_CODE32)
        WANT(seen_ss, $USER_DATA)
        WANT(seen_rsp, %ebp)                     // RET 12 released the parameters on both stacks
        movzbl  %cl, %eax
        WANT(%eax, $1)
        WANT(%edx, $USER_DATA)
        WANT(%ebx, $USER_DATA)
        // What the gate pushed: from the top SS, ESP, parameters, CS, EIP.
        WANT(interrupt_stack - 4, $USER_DATA)
        WANT(inner_old_esp, $user_stack - 12)
        WANT(inner_parameters, $0x333)
        WANT(inner_parameters + 4, $0x222)
        WANT(inner_parameters + 8, $0x111)
        WANT(inner_cs, $USER_CODE32)
        WANT(inner_eip, $call_return)
        WANT(inner_esp, $interrupt_stack - 28)
        WANT(inner_ss, $DATA)
        WANT(inner_own_cs, $TARGET)
        // No parameters, and the largest number of them.
        set_gate_entry GATE, count, TARGET, 0xec, 0
        arm32   9f
        enter_ring3
        lcall   *far_pointer
9:      WANT(seen_vector, $0x90)
        WANT(seen_eax, $interrupt_stack - 16)
        set_gate_entry GATE, count, TARGET, 0xec, 0xff   // the upper three bits of the count are reserved
        arm32   9f
        enter_ring3
        subl    $256, %esp
        lcall   *far_pointer
9:      WANT(seen_vector, $0x90)
        WANT(seen_eax, $interrupt_stack - 16 - 31 * 4)
        // Ring 0's data segments become null on the way out, ring 3's stay.
        set_gate_entry GATE, load_inner, TARGET, 0xec, 0
        arm32   9f
        enter_ring3
        lcall   *far_pointer
        movl    %fs, %ecx
        movl    %gs, %edx
        int     $SYSTEM
9:      WANT(seen_vector, $SYSTEM)
        WANT(%ecx, $0)
        WANT(%edx, $USER_DATA)
        // Ring 3 to ring 1 by its stack, and from there to ring 0.
        movl    $ring1_stack, tss32 + 12
        movl    $RING1_STACK + 1, tss32 + 16
        descriptor TARGET, $0x0000ffff, $CODE_R1
        set_gate_entry GATE, count, TARGET, 0xec, 0
        movb    $0xae, idt + 8 * 0x90 + 5        // ring 1 may use INT 0x90
        arm32   9f
        enter_ring3
        lcall   *far_pointer
9:      WANT(seen_vector, $0x90)
        WANT(seen_cs, $TARGET + 1)
        WANT(seen_ss, $RING1_STACK + 1)
        WANT(seen_eax, $ring1_stack - 16)
        movb    $0x8e, idt + 8 * 0x90 + 5
        ret

inner:  movl    $DATA, %eax
        movl    %eax, %ds
        movl    %esp, inner_esp
        movl    %ss, %eax
        movl    %eax, inner_ss
        movl    %cs, %eax
        movl    %eax, inner_own_cs
        movl    (%esp), %eax
        movl    %eax, inner_eip
        movl    4(%esp), %eax
        movl    %eax, inner_cs
        movl    8(%esp), %eax
        movl    %eax, inner_parameters + 8
        movl    12(%esp), %eax
        movl    %eax, inner_parameters + 4
        movl    16(%esp), %eax
        movl    %eax, inner_parameters
        movl    20(%esp), %eax
        movl    %eax, inner_old_esp
        movl    $USER_DATA, %eax
        movl    %eax, %ds
        stc
        lret    $12
count:  movl    %esp, %eax
        int     $0x90
load_inner:
        movl    $DATA, %eax
        movl    %eax, %fs
        movl    $USER_DATA, %eax
        movl    %eax, %gs
        lret

// A 16-bit gate: 16-bit words on a 32-bit stack, and only the lower half of the offset.
sixteen_bits:
        descriptor TARGET, $0x0000ffff, $0x00cf9a10      // base 0x100000: offsets of 16 bits reach it
        set_gate_entry GATE, (count16 - 0x100000), TARGET, 0xe4, 2
        movw    $0xffff, gdt + GATE + 6                  // not looked at
        arm32   9f
        enter_ring3
        pushw   $0x2222
        pushw   $0x1111
        lcall   *far_pointer
1:
9:      WANT(seen_vector, $0x90)
        WANT(seen_eax, $interrupt_stack - 12)
        movzwl  interrupt_stack - 2, %eax
        WANT(%eax, $USER_DATA)
        movzwl  interrupt_stack - 4, %eax
        movl    $user_stack - 4, %ecx
        movzwl  %cx, %ecx
        WANT(%eax, %ecx)
        WANT(interrupt_stack - 8, $0x22221111)
        movzwl  interrupt_stack - 10, %eax
        WANT(%eax, $USER_CODE32)
        movzwl  interrupt_stack - 12, %eax
        movl    $1b, %ecx
        movzwl  %cx, %ecx
        WANT(%eax, %ecx)
        ret
count16: movl   %esp, %eax
        int     $0x90

// The stack that the TSS names [SDM2 CALL]: each violation before anything changes.
bad_stacks:
        descriptor TARGET, $0x0000ffff, $CODE_R0
        set_gate_entry GATE, count, TARGET, 0xec, 0
        movl    $stacks, %ebx
        movl    $0, row
1:      incl    row
        movl    (%ebx), %eax
        movl    %eax, tss32 + 4
        movl    4(%ebx), %eax
        movl    %eax, tss32 + 8
        // The fault's own delivery needs the stack too: it goes through a gate to a conforming segment, in ring 3.
        movw    $CONFORMING, idt + 8 * TS + 2
        movw    $CONFORMING, idt + 8 * SS + 2
        movl    $ring3_ts, %eax
        movw    %ax, idt + 8 * TS
        movl    $ring3_ss, %eax
        movw    %ax, idt + 8 * SS
        movl    $0, ring3_vector
        movl    $0x1000, ring3_error
        arm32   2f
        enter_ring3
        lcall   *far_pointer
ring3_ts:
        movl    $TS, ring3_vector
        jmp     3f
ring3_ss:
        movl    $SS, ring3_vector
3:      popl    ring3_error
        popl    ring3_eip
        movl    $interrupt_stack, tss32 + 4
        movl    $DATA, tss32 + 8
        int     $SYSTEM
2:      movl    $0, recover_rip
        WANT(ring3_vector, 8(%ebx))
        WANT(ring3_error, 12(%ebx))
        addl    $16, %ebx
        cmpl    $stacks_end, %ebx
        jb      1b
        movl    $0, row
        movl    $TS, %ecx
        call    3f
        movl    $SS, %ecx
        call    3f
        // A TSS that ends within SS1.
        movw    $0x10, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        descriptor TARGET, $0x0000ffff, $CODE_R1
        arm32   2f
        enter_ring3
        lcall   *far_pointer
2:      WANT(seen_vector, $TS)
        WANT(seen_error, $TSS)
        WANT(seen_cs, $USER_CODE32)
        movw    $0x67, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        ret
3:      movl    %ecx, %eax
        shll    $4, %eax
        addl    $legacy_stubs, %eax
        movl    $0x8e00, %edx
        jmp     set_gate32
        .data
        .balign 4
        // ESP0, SS0, wanted vector and error code.
stacks: .long   interrupt_stack, 0, TS, 0
        .long   interrupt_stack, 0x103, TS, 0x100
        .long   interrupt_stack, DATA + 1, TS, DATA
        .long   interrupt_stack, USER_DATA, TS, USER_DATA - 3
        .long   interrupt_stack, USER_DATA - 3, TS, USER_DATA - 3
        .long   interrupt_stack, RING1_STACK, TS, RING1_STACK
        .long   interrupt_stack, CODE32, TS, CODE32
        .long   interrupt_stack, READ_ONLY, TS, READ_ONLY
        .long   interrupt_stack, TSS, TS, TSS
        .long   interrupt_stack, ABSENT_STACK, SS, ABSENT_STACK
        .long   8, SMALL_STACK, SS, SMALL_STACK         // no room for four words
stacks_end:
ring3_vector: .long 0
ring3_error: .long 0
ring3_eip: .long 0
        .text

// The gate's offset against the target's limit: #GP(0), in the caller.
offsets:
        descriptor TARGET, $0x00000fff, $0x00409a00
        set_gate_entry GATE, 0x1000, TARGET, 0xec, 0
        movw    $GATE, far_pointer + 4
        FAULTS32(GP, 0, lcall *far_pointer)
        FAULTS32(GP, 0, ljmp *far_pointer)
        movw    $0xfff, gdt + GATE
        movw    $GATE + 3, far_pointer + 4
        arm32   9f
        enter_ring3
        movl    %esp, %edi
1:      lcall   *far_pointer
9:      WANT(seen_vector, $GP)                   // fetched there: beyond the limit after one byte
        ret

        .data
        .balign 4
inner_esp: .long 0
inner_ss: .long 0
inner_own_cs: .long 0
inner_eip: .long 0
inner_cs: .long 0
inner_parameters: .long 0, 0, 0
inner_old_esp: .long 0
        .bss
        .balign 16
        .skip   1024
ring1_stack:
        .text
