/* The frame itself: ring 3 and back, a fault, a trap. */
#include "guest.inc"
main64: xorl    %ecx, %ecx
        movl    $1, %eax
        xorl    %edx, %edx
        FAULTS(DE, 0, "divl %ecx")
        TRAPS(BP, 0, "int3")
        USER_FAULTS(GP, 0, "hlt")
        USER_TRAPS(SYSTEM, 0, "int $SYSTEM")
        RUNS("divl %eax")
        ret
