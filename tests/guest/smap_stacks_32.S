/* SMAP and the stacks that interrupts and call gates push to, outside long mode: as in smap_stacks.S, with a stack of ring 1.
   [SDM3 4.6.1] */
#include "guest.inc"
#include "legacy.inc"

        .set    GATE, SPARE
        .set    RING1_CODE, SPARE + 8
        .set    RING1_STACK, SPARE + 16
        .set    MIRROR, 0x400000         // the first 4 MiB again, for ring 3
        .set    STACK, 0x300000

main32: movl    $0x83, pd                // 4 MiB pages
        movl    $0x87, pd + 4
        movl    $pd, %eax
        movl    %eax, %cr3
        movl    $0x200610, %eax          // SMAP, PSE
        movl    %eax, %cr4
        movl    %cr0, %eax
        orl     $0x80010000, %eax
        movl    %eax, %cr0
        descriptor RING1_CODE, $0x0000ffff, $0x00cfbb00
        descriptor RING1_STACK, $0x0000ffff, $0x00cfb300
        movl    $ring1, %eax
        movw    %ax, gdt + GATE
        shrl    $16, %eax
        movw    %ax, gdt + GATE + 6
        movw    $RING1_CODE, gdt + GATE + 2
        movw    $0xec00, gdt + GATE + 4
        movl    $0x90, %ecx
        movl    $ring1, %eax
        movl    $0xee00, %edx
        call    set_gate32
        movw    $RING1_CODE, idt + 8 * 0x90 + 2
        movl    $RING1_STACK + 1, tss32 + 16
        movl    $2, %ebx
        call    from_ring3
        movl    $0x40002, %ebx           // AC
        call    from_ring3
        // In ring 0 AC counts.
        movl    $0x91, %ecx
        movl    $on_user_stack, %eax
        movl    $0x8e00, %edx
        call    set_gate32
        movl    %esp, %ebp
        movl    $STACK + MIRROR, %esp
        stac
        int     $0x91
        movl    %ebp, %esp
        clac
        WANT(reached, $1)
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        ret

// With EFLAGS of ebx: by INT and by a call gate to ring 1, whose stack is a user page, and then one that is not.
from_ring3:
        movl    $STACK + MIRROR, tss32 + 12
        movl    $3, %esi                 // a page fault of a supervisor's write
        movl    $PF, %edi
        call    1f
        movl    $STACK, tss32 + 12
        movl    $0, %esi
        movl    $SYSTEM, %edi
1:      arm32   9f
        call    to_ring3
        int     $0x90
9:      WANT(seen_vector, %edi)
        WANT(seen_error, %esi)
        arm32   9f
        call    to_ring3
        lcall   $GATE + 3, $0
9:      WANT(seen_vector, %edi)
        WANT(seen_error, %esi)
        ret
to_ring3:
        popl    %eax
        addl    $MIRROR, %eax
        pushl   $USER_DATA
        pushl   $user_stack + MIRROR
        pushl   %ebx
        pushl   $USER_CODE32
        pushl   %eax
        iret
ring1:  movl    $USER_DATA, %eax         // SYSTEM's gate may be used by ring 1
        int     $SYSTEM
on_user_stack:
        incl    reached
        iret
        .data
        .balign 4
reached: .long  0
        .text
