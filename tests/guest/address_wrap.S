/* Linear addresses outside 64-bit mode have 32 bits and go round: operands and code of compatibility mode that cross the
   last byte, descriptor tables of 32-bit mode. [SDM3 3.3, 3.4], [APM2 1.1.3] */
#include "guest.inc"

        .set    DATA_1000, SPARE         // base 0x1000, 4 GiB
        .set    CODE_1000, SPARE + 8
        .set    TOP, FREE                // the page frames of the last 2 MiB

main64: movl    $TOP + 0x83, pd + 0x3ff8
        movl    $0xffffffff, %eax
        invlpg  (%rax)
        movq    $0x00cf930010000000, %rax
        orq     $0xffff, %rax
        movq    %rax, gdt + DATA_1000
        movq    $0x00cf9b0010000000, %rax
        orq     $0xffff, %rax
        movq    %rax, gdt + CODE_1000
        movw    $0x2211, TOP + 0x1ffffe
        movl    $0x88774433, 0
        pushq   $CODE32
        pushq   $1f
        lretq
        .code32
1:      movl    $DATA_1000, %eax
        movl    %eax, %es
        movl    %es:0xffffeffe, %ecx
        movl    %ecx, loaded
        movl    $0xaabbccdd, %ecx
        movl    %ecx, %es:0xffffeffe
        addl    $0x01010101, %es:0xffffeffe
        movups  %es:0xffffeff8, %xmm0
        ljmp    $CODE64, $1f
        .code64
1:      movl    loaded, %eax
        CHECK(%rax, $0x44332211)
        movzwl  TOP + 0x1ffffe, %eax
        CHECK(%rax, $0xcdde)
        movl    0, %eax
        CHECK(%rax, $0x8877abbc)
        movq    %xmm0, %rax
        shrq    $48, %rax
        CHECK(%rax, $0xcdde)
        call    code
        call    tables
        ret

code:   movb    $0xb8, TOP + 0x1ffffd    // movl $0x12345678, %eax
        movw    $0x5678, TOP + 0x1ffffe
        movl    $0xea1234, 0             // and ljmp $CODE64, $1f
        movl    $0, 4
        movl    $1f, %eax
        movl    %eax, 3
        movw    $CODE64, 7
        pushq   $CODE_1000
        movl    $0xffffeffd, %eax
        pushq   %rax
        lretq
1:      CHECK(%rax, $0x12345678)
        ret

// The LDT lies over the end of the address space: its upper part is at linear 0, where INVLPG reaches it.
tables: pushq   $CODE32
        pushq   $1f
        lretq
        .code32
1:      movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        movl    $0xc0000080, %ecx
        rdmsr
        andl    $~0x100, %eax
        wrmsr
        // 32-bit paging: the first 4 MiB by small pages, all the same but that of address 8000.
        movl    $small_pages, %edi
        movl    $3, %eax
        movl    $1024, %ecx
2:      movl    %eax, (%edi)
        addl    $4096, %eax
        addl    $4, %edi
        loop    2b
        movl    $small_pages + 3, directory
        movl    $FREE + 3, small_pages + 4 * 8
        movl    $directory, %eax
        movl    %eax, %cr3
        movl    $0x610, %eax
        movl    %eax, %cr4
        movl    $0x00409a00, 0x9004      // two descriptors, in the frames that the page will have
        movl    $0x0000ffff, 0x9000
        movl    $0x0000ffff, FREE
        movl    $0x0040f200, FREE + 4
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        movl    $0xf000ffff, gdt + SPARE + 16    // LDT: base fffff000, limit ffff
        movl    $0xff0082ff, gdt + SPARE + 20
        movl    $SPARE + 16, %eax
        lldt    %ax
        movl    $0x9004, %ecx            // linear 100008000
        xorl    %edx, %edx
        lar     %ecx, %edx
        movl    $0x9003, small_pages + 4 * 8
        invlpg  0x8000
        xorl    %ebx, %ebx
        lar     %ecx, %ebx
        xorl    %eax, %eax
        lldt    %ax
        movl    %edx, first_lar
        movl    %ebx, second_lar
        // Back to long mode.
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        movl    $0x620, %eax
        movl    %eax, %cr4
        movl    $pml4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmp    $CODE64, $1f
        .code64
1:      movl    first_lar, %eax
        CHECK(%rax, $0x0040f200)
        movl    second_lar, %eax
        CHECK(%rax, $0x00409a00)
        ret
        .data
        .balign 8
loaded: .quad   0
first_lar: .quad 0
second_lar: .quad 0
        .bss
        .balign 4096
directory: .skip 4096
small_pages: .skip 4096
        .text
