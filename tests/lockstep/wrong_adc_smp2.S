/* The second processor is the only one that runs an ADC. */
#include "guest.inc"
#include "smp.inc"

main64: movl    $1, %edi
        call    start_others
1:      pause
        cmpl    $0, done
        je      1b
        ret

other64:
        movl    $100000, %ecx
        xorl    %r8d, %r8d
1:      cmpl    $1, %ecx                        // CF never: the last round has ecx 1
        adcq    $2, %r8
        movl    $50000, %eax
        cmpl    %eax, %ecx
        adcq    $0, %r8                         // CF from round 50,001 on
        decl    %ecx
        jnz     1b
        movl    $1, done
2:      hlt
        jmp     2b
        .data
done:   .long   0
