/* #NP and #AC that raise each other in turn, for ever: the handler of #NP runs in ring 3, on a misaligned stack, and #AC has
   none. No pair of them is a double fault [SDM3 table 6-5]; the emulator ends it. */
#include "guest.inc"
#include "legacy.inc"

main32: movl    $NP, %ecx
        movl    $user_handler, %eax
        movl    $0xee00, %edx
        call    set_gate32
        movw    $USER_CODE32, idt + 8 * NP + 2
        movb    $0x0e, idt + 8 * AC + 5          // not present
        movb    $0x6e, idt + 8 * 0x90 + 5        // DPL 3, not present
        movl    %cr0, %eax
        orl     $0x40000, %eax                   // AM
        movl    %eax, %cr0
        movl    $0x40002, user_rflags            // AC
        enter_ring3
        decl    %esp
        int     $0x90
user_handler:
        jmp     user_handler
