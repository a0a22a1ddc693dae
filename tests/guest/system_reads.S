/* Instructions that show or change a little of the system and that nothing else uses: SGDT, SIDT, SMSW, LMSW, RDTSCP, RDPID,
   RDPMC, RDRAND, RDSEED, WBINVD, INVD, LFS, LSS, IRETD, INS and OUTS of every size, XSAVEOPT64. [SDM2], [APM3 4] */
#include "guest.inc"

        .set    NOWHERE, 0x2000                 // a port without a device
        .set    AREA, FREE + 0x1000

main64: call    tables
        call    status_word
        call    processor_id
        call    caches
        call    far_pointers
        call    port_strings
        call    save_optimised
        call    random_numbers
        call    return_32
        ret

tables: movq    $0, FREE
        movq    $0, FREE + 8
        sgdt    FREE
        movzwl  FREE, %eax
        movzwl  gdtr, %ecx
        CHECK(%rax, %rcx)
        movq    FREE + 2, %rax
        movl    gdtr + 2, %ecx
        CHECK(%rax, %rcx)
        sidt    FREE
        movzwl  FREE, %eax
        movzwl  idtr, %ecx
        CHECK(%rax, %rcx)
        movq    FREE + 2, %rax
        movl    idtr + 2, %ecx
        CHECK(%rax, %rcx)
        ret

status_word:
        movq    %cr0, %rbx
        smsw    %rax
        CHECK(%rax, %rbx)
        movl    $-1, FREE
        smsw    FREE                            // a word, whatever the operand size
        movl    FREE, %eax
        movzwl  %bx, %ecx
        orl     $0xffff0000, %ecx
        CHECK(%rax, %rcx)
        movl    %ebx, %eax
        orl     $8, %eax
        lmsw    %ax                             // TS
        movq    %cr0, %rax
        movq    %rbx, %rcx
        orq     $8, %rcx
        CHECK(%rax, %rcx)
        xorl    %eax, %eax
        lmsw    %ax                             // PE stays
        movq    %cr0, %rax
        movq    %rbx, %rcx
        andq    $~0xe, %rcx
        CHECK(%rax, %rcx)
        movq    %rbx, %cr0
        USER_FAULTS(GP, 0, "lmsw %ax")
        ret

processor_id:
        movl    $0xc0000103, %ecx               // TSC_AUX
        movl    $0x12345, %eax
        xorl    %edx, %edx
        wrmsr
        movq    $-1, %rcx
        movq    $-1, %rax
        rdtscp
        CHECK(%rcx, $0x12345)
        shrq    $32, %rax
        CHECK(%rax, $0)
        rdpid   %rax
        CHECK(%rax, $0x12345)
        USER_FAULTS(GP, 0, "rdpmc")             // CR4.PCE is clear
        ret

caches: RUNS("wbinvd")
        RUNS("invd")
        USER_FAULTS(GP, 0, "wbinvd")
        USER_FAULTS(GP, 0, "invd")
        ret

far_pointers:
        movl    $0x87654321, FREE
        movw    $DATA, FREE + 4
        movq    $-1, %rcx
        lfs     FREE, %ecx
        movl    $0x87654321, %eax
        CHECK(%rcx, %rax)
        movl    %fs, %eax
        CHECK(%rax, $DATA)
        movq    $-1, %rdx
        lss     FREE, %edx
        CHECK(%rdx, %rcx)
        movl    %ss, %eax
        CHECK(%rax, $DATA)
        movw    $0xfff8, FREE + 4               // beyond the GDT
        FAULTS(GP, 0xfff8, "lfs FREE, %ecx")
        FAULTS(GP, 0xfff8, "lss FREE, %ecx")
        xorl    %eax, %eax
        movl    %eax, %fs
        ret

port_strings:
        cld
        movl    $NOWHERE, %edx
        movq    $0, FREE
        movl    $FREE, %edi
        insb
        insw
        insl
        CHECK(%rdi, $(FREE + 7))
        movq    FREE, %rax
        movq    $0x00ffffffffffffff, %rcx
        CHECK(%rax, %rcx)
        movl    $FREE, %esi
        outsb
        outsw
        outsl
        CHECK(%rsi, $(FREE + 7))
        ret

// CF says that there was a number; two of 64 bits are not the same.
random_numbers:
        xorl    %eax, %eax
        rdrand  %rax
        setc    %cl
        movzbl  %cl, %ecx
        CHECK(%rcx, $1)
        rdrand  %rbx
        xorl    %ecx, %ecx
        cmpq    %rax, %rbx
        sete    %cl
        CHECK(%rcx, $0)
        movq    $-1, %rdx
        rdseed  %edx
        setc    %cl
        movzbl  %cl, %ecx
        CHECK(%rcx, $1)
        shrq    $32, %rdx                       // a 32-bit one clears the upper half
        CHECK(%rdx, $0)
        ret

// IRETD in 64-bit mode pops five doublewords.
return_32:
        movq    %rsp, %rbx
        subq    $20, %rsp
        movl    $1f, (%rsp)
        movl    $CODE64, 4(%rsp)
        movl    $0x8d7, 8(%rsp)                 // the arithmetic flags
        movl    %ebx, 12(%rsp)
        movl    $DATA, 16(%rsp)
        iretl
        ud2
1:      pushfq
        popq    %rax
        movq    %rsp, %rcx
        CHECK(%rax, $0x8d7)
        CHECK(%rcx, %rbx)
        ret

save_optimised:
        movq    %cr4, %rax
        orl     $0x40000, %eax                  // OSXSAVE
        movq    %rax, %cr4
        movl    $AREA, %edi
        xorl    %eax, %eax
        movl    $72, %ecx
        rep stosq
        fninit
        fld1
        movl    $1, %eax
        xorl    %edx, %edx
        xsaveopt64 AREA
        movzwl  AREA, %eax
        CHECK(%rax, $0x37f)
        movq    AREA + 512, %rax
        CHECK(%rax, $1)
        movzwl  AREA + 40, %eax                 // sign and exponent of 1
        CHECK(%rax, $0x3fff)
        fninit
        ret
