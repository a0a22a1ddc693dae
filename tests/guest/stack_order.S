/* Calls and interrupts whose stack and whose target are both bad: the stack counts, the new one before the caller's; what
   has been pushed stays. [SDM2 CALL, INT n], [APM3 CALL (Far), INT] */
#include "guest.inc"
#include "legacy.inc"

        .set    GATE, SPARE
        .set    TARGET, SPARE + 8        // code that ends at 0xfff: offset 0x1000 is behind it
        .set    SMALL_STACK, SPARE + 16  // DPL 1 data, 16 bytes
        .set    RING1_STACK, SPARE + 24
        .set    CODE_R1, 0x0040ba00
        .set    CODE_R3, 0x0040fa00

        .macro  ring1_stack_is selector, sp
        movl    $\sp, tss32 + 12
        movl    $\selector + 1, tss32 + 16
        .endm
        // Gate 0x90 of the IDT leads to TARGET:1000.
        .macro  interrupt_to_target
        movl    $0x90, %ecx
        movl    $0x1000, %eax
        movl    $0xee00, %edx
        call    set_gate32
        movw    $TARGET, idt + 8 * 0x90 + 2
        .endm

main32: descriptor SMALL_STACK, $0x0000000f, $0x0040b300
        descriptor RING1_STACK, $0x0000ffff, $0x00cfb300
        descriptor GATE, $(TARGET << 16 | 0x1000), $0x0000ec00
        movl    $interrupt_stack, tss32 + 4
        call    same_ring
        call    inner_ring
        ret

same_ring:
        descriptor TARGET, $0x00000fff, $CODE_R3
        arm32   9f
        enter_ring3
        movl    $2, %esp                 // CS would lie over the end of the stack segment
1:      lcall   $TARGET + 3, $0x1000
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        movl    $0, user_stack - 4
        movl    $0, user_stack - 8
        arm32   9f
        enter_ring3
1:      lcall   $TARGET + 3, $0x1000
2:
9:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        WANT(seen_rsp, $user_stack)
        WANT(user_stack - 4, $USER_CODE32)
        WANT(user_stack - 8, $2b)
        // The same through a gate, and through a gate of the IDT.
        arm32   9f
        enter_ring3
        movl    $2, %esp
        lcall   $GATE + 3, $0
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $0)
        arm32   9f
        enter_ring3
        lcall   $GATE + 3, $0
9:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        interrupt_to_target
        arm32   9f
        enter_ring3
        movl    $2, %esp
1:      int     $0x90
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        arm32   9f
        enter_ring3
1:      int     $0x90
9:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        ret

inner_ring:
        descriptor TARGET, $0x00000fff, $CODE_R1
        ring1_stack_is SMALL_STACK, 12
        arm32   9f
        enter_ring3
1:      lcall   $GATE + 3, $0
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $SMALL_STACK)
        WANT(seen_rip, $1b)
        arm32   9f
        enter_ring3
        int     $0x90
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $SMALL_STACK)
        // One parameter, which the caller's stack does not have: the new stack counts all the same.
        movb    $1, gdt + GATE + 4
        arm32   9f
        enter_ring3
        movl    $0xfffffffe, %esp
        lcall   $GATE + 3, $0
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $SMALL_STACK)
        ring1_stack_is RING1_STACK, interrupt_stack-0x800
        arm32   9f
        enter_ring3
        movl    $0xfffffffe, %esp
        lcall   $GATE + 3, $0
9:      WANT(seen_vector, $SS)
        WANT(seen_error, $0)
        arm32   9f
        enter_ring3
1:      lcall   $GATE + 3, $0
9:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        WANT(seen_cs, $USER_CODE32)
        arm32   9f
        enter_ring3
1:      int     $0x90
9:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        WANT(seen_rip, $1b)
        WANT(seen_cs, $USER_CODE32)
        ret
