/* An empty IDT and a page fault: #PF, #GP (no IDT entry), #DF, shutdown. */
#include "guest.inc"
main64: movw    $0, idtr
        lidt    idtr
        movq    $0x7000000000, %rsi
        movq    (%rsi), %rax
        ret
