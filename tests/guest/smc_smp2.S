/* A processor spins in a loop that only another one's store into it can end: aligned stores, a string store, one through
   a second mapping of the frame. [APM2 7.6.1] */
#include "guest.inc"
#include "smp.inc"

        .set    ROUNDS, 40

main64: movl    $1, %edi
        call    start_others
        movl    $1, %ebx
1:      movl    %ebx, %eax
        xorl    %edx, %edx
        movl    $5, %ecx
        divl    %ecx
        movl    $spin_value, %edi
        call    *stores(, %rdx, 8)
2:      pause
        cmpl    %ebx, seen
        jne     2b
        movl    $0, seen
        incl    %ebx
        cmpl    $ROUNDS, %ebx
        jne     1b
        CHECK(rounds, $ROUNDS-1)
        ret

by_mov: movl    %ebx, (%rdi)
        ret
by_byte:
        movb    %bl, (%rdi)
        ret
by_xchg:
        movl    %ebx, %eax
        xchgl   %eax, (%rdi)
        ret
by_string:
        movl    %ebx, value
        movl    $value, %esi
        movl    $4, %ecx
        rep movsb
        ret
by_alias:
        addq    user_base, %rdi
        movl    %ebx, (%rdi)
        ret

other64:
        .balign 4
        .byte   0x90, 0x90, 0x90, 0xb8          // movl $spin_value, %eax
spin_value:
        .long   0
        testl   %eax, %eax
        jz      spin_value - 1
        movl    $0, spin_value
        incq    rounds
        movl    %eax, seen
1:      cmpl    $0, seen
        jne     1b
        jmp     spin_value - 1

        .data
        .balign 8
stores: .quad   by_mov, by_byte, by_xchg, by_string, by_alias
rounds: .quad   0
seen:   .long   0
value:  .long   0
