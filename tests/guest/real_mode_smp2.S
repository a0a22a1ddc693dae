/* Real mode, in a second processor that STARTUP has put there: segments, wrap-around of 16-bit addresses, the 64 KiB limit,
   the IVT, 16- and 32-bit operand sizes, then unreal mode and back to the boot processor's judgement.
   [SDM3 20.1], [SDM3 9.8.5] */
#include "guest.inc"

        .set    BASE, 0x8000                    // where the 16-bit code is copied
        .set    RESULTS, 0x7000                 // words that it leaves; the last is the flag that it is done

main64: movl    $code16, %esi
        movl    $BASE, %edi
        movl    $(code16_end - code16), %ecx
        rep movsb
        movl    $RESULTS, %edi
        xorl    %eax, %eax
        movl    $64, %ecx
        rep stosb
        // The IVT of the other processor: #GP, INT 0x21, #UD, #DE.
        movl    $(0x08000000 + on_gp - code16), 4 * GP
        movl    $(0x08000000 + on_int21 - code16), 4 * 0x21
        movl    $(0x08000000 + on_ud - code16), 4 * UD
        movl    $(0x08000000 + on_de - code16), 4 * DE
        apic_write 0xf0, $0x1ff
        apic_write 0x300, $0xc4500
        apic_write 0x300, $0xc4608
        movl    $1000000, %ecx
1:      pause
        cmpw    $0x600d, RESULTS + 62
        je      2f
        loop    1b
2:      CHECK("RESULTS+0", $0x0800000008000800) // CS at the start, twice; 0; what a push at SP 0 stored
        movzwl  RESULTS + 8, %eax
        CHECK(%rax, $0x1234)                    // 16-bit operand
        movl    RESULTS + 12, %eax
        CHECK(%rax, $0x89abcdef)                // 32-bit operand with a prefix
        movzwl  RESULTS + 16, %eax
        CHECK(%rax, $0xbeef)                    // [bx+si] wraps at 64 KiB
        movzwl  RESULTS + 20, %eax
        CHECK(%rax, $(over_limit - code16))     // #GP: the saved IP is the instruction's
        movzwl  RESULTS + 22, %eax
        CHECK(%rax, $(behind_int - code16))     // INT: behind it
        movzwl  RESULTS + 24, %eax
        CHECK(%rax, $(bad_opcode - code16))
        movzwl  RESULTS + 26, %eax
        CHECK(%rax, $(division - code16))       // #DE is a fault on everything since the 286
        movzwl  RESULTS + 28, %eax
        CHECK(%rax, $0x0202)                    // INT saved IF, the handler ran without it
        movzwl  RESULTS + 30, %eax
        andl    $0x202, %eax
        CHECK(%rax, $0x0002)
        movzwl  RESULTS + 32, %eax
        CHECK(%rax, $0xcafe)                    // unreal mode: DS reaches above 64 KiB
        movzwl  RESULTS + 34, %eax
        CHECK(%rax, $0x5a5a)                    // far call and far return
        movzwl  RESULTS + 36, %eax
        CHECK(%rax, $0x0f00)                    // PUSHA order: the pushed SP is the one before
        ret

        .code16
code16: movw    %cs, %ax
        xorw    %bx, %bx
        movw    %bx, %ds
        movw    %bx, %ss
        movw    $0x6ffe, %sp
        movw    %ax, RESULTS
        movw    %cs, RESULTS + 2
        // A push at SP 0 goes to the segment's top.
        movw    $0x1000, %ax
        movw    %ax, %ss
        xorw    %sp, %sp
        pushw   $0x0800
        movw    %ss:0xfffe, %cx
        movw    $0, RESULTS + 4
        movw    %cx, RESULTS + 6
        movw    %bx, %ss
        movw    $0x6f00, %sp
        movw    $0x1234, RESULTS + 8
        movl    $0x89abcdef, %edx
        movl    %edx, RESULTS + 12
        // 16-bit address arithmetic: 0xc000 + 0x4010 is 0x10, in segment 0x2000.
        movw    $0x2000, %ax
        movw    %ax, %es
        movw    $0xbeef, %es:0x10
        movw    $0xc000, %bx
        movw    $0x4010, %si
        movw    %es:(%bx,%si), %cx
        movw    %cx, RESULTS + 16
        // A word at 0xffff reaches over the limit.
        movw    $0xffff, %di
over_limit:
        movw    %es:(%di), %cx
        sti
        int     $0x21
behind_int:
        cli
bad_opcode:
        ud2
        xorw    %cx, %cx
        xorw    %dx, %dx
        movw    $1, %ax
division:
        divw    %cx
        // Far call.
        lcall   $0x0800, $(far_routine - code16)
        // PUSHA.
        movw    $0x6f00 - 0x6000, %sp
        movw    %sp, %bp
        pushaw
        movw    %ss:0x0f00 - 10, %cx
        movw    %cx, RESULTS + 36
        movw    $0x6f00, %sp
        // Unreal mode: a 4 GiB DS stays when PE goes.
        lgdtl   %cs:gdtr16 - code16
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        movw    $DATA, %cx
        movw    %cx, %ds
        andb    $0xfe, %al
        movl    %eax, %cr0
        xorw    %cx, %cx
        movw    %cx, %ds
        movl    $0x500000, %esi
        movw    $0xcafe, (%esi)
        movw    (%esi), %cx
        movw    %cx, RESULTS + 32
        movw    $0x600d, RESULTS + 62
1:      hlt
        jmp     1b
far_routine:
        movw    $0x5a5a, RESULTS + 34
        lret
on_gp:  popw    RESULTS + 20
        popw    %cx
        popw    %cx
        pushfw
        pushw   $0x0800
        pushw   $(over_limit + 3 - code16)
        iretw
on_int21:
        pushfw
        popw    RESULTS + 30
        movw    %sp, %bp
        movw    4(%bp), %cx
        andw    $0x0202, %cx
        movw    %cx, RESULTS + 28
        movw    (%bp), %cx
        movw    %cx, RESULTS + 22
        iretw
on_ud:  popw    RESULTS + 24
        addw    $2, RESULTS + 24
        pushw   RESULTS + 24
        subw    $2, RESULTS + 24
        iretw
on_de:  popw    RESULTS + 26
        addw    $2, RESULTS + 26
        pushw   RESULTS + 26
        subw    $2, RESULTS + 26
        iretw
        .balign 4
gdtr16: .word   gdt_end - gdt - 1
        .long   gdt
code16_end:
        .code64
