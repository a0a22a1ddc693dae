/* A page fault whose handler has no stack: #PF, #PF, #DF, shutdown. */
#include "guest.inc"
main64: movq    $0x7000001000, %rsp
        pushq   %rax
        ret
