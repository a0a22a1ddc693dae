/* Wide stores to memory-mapped configuration space: their first half may move the device that the second half meets.
   [PCI 3.0 6.2.5], [PCIe 7.2.2] */
#include "guest.inc"

        .set    ECAM, 0xe0000000
        .set    SLOT1, ECAM + 0x8000        // bus 0, device 1, function 0: the entropy source

main64: movl    $SLOT1, %esi
        movl    (%rsi), %eax
        CHECK(%rax, $0x10441af4)
        // BAR 4 and 5, a 64-bit one, in one store; then COMMAND and STATUS with what lies behind them.
        movq    0x20(%rsi), %rbx
        movabsq $0x00000000c8000004, %rax
        movq    %rax, 0x20(%rsi)
        movq    0x20(%rsi), %rcx
        shrq    $20, %rcx
        CHECK(%rcx, $0xc80)
        movq    %rbx, 0x20(%rsi)
        movq    4(%rsi), %rax
        andq    $-8, %rax
        movq    %rax, 4(%rsi)               // decoding off
        orq     $6, %rax
        movq    %rax, 4(%rsi)               // and on
        movups  0x10(%rsi), %xmm0
        movups  %xmm0, 0x10(%rsi)
        movl    (%rsi), %eax
        CHECK(%rax, $0x10441af4)
        ret
