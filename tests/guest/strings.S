/* String instructions with REP: both directions, page crossing, faults in the middle, interrupts in the middle,
   overlap, 32-bit addresses. [SDM2 REP, MOVS, STOS, LODS, CMPS, SCAS] */
#include "guest.inc"

        .set    WINDOW, 0x8080000000            // page n maps FREE + 4096 * n; page 2 is absent, page 3 read-only

        .macro  set_string_registers from, to, number
        movq    \from, %rsi
        movq    \to, %rdi
        movq    \number, %rcx
        .endm
main64: movq    $(page_directory + 3), user_pdpt + 16
        movq    $(page_table + 3), page_directory
        movq    $(FREE + 3), page_table
        movq    $(FREE + 0x1003), page_table + 8
        movq    $(FREE + 0x3001), page_table + 24
        call    directions
        call    faulting
        call    comparing
        call    overlapping
        call    narrow
        call    interrupted
        ret

// FREE .. FREE + 0x4000 holds its own offsets / 4.
fill:   movl    $FREE, %edi
        xorl    %eax, %eax
1:      stosl
        incl    %eax
        cmpl    $0x1000, %eax
        jne     1b
        ret

directions:
        call    fill
        set_string_registers "$FREE + 0xff0", "$FREE + 0x4ff4", $16    // both cross a page, at different elements
        rep movsl
        CHECK(%rcx, $0)
        CHECK(%rsi, "$FREE + 0x1030")
        CHECK(%rdi, "$FREE + 0x5034")
        CHECK("FREE+0x4ff4", $0x3fd000003fc)
        CHECK("FREE+0x502c", $0x40b0000040a)
        std
        set_string_registers "$FREE + 0x102c", "$FREE + 0x6030", $16
        rep movsl
        cld
        CHECK(%rsi, "$FREE + 0xfec")
        CHECK(%rdi, "$FREE + 0x5ff0")
        CHECK("FREE+0x5ff4", $0x3fd000003fc)
        CHECK("FREE+0x602c", $0x40b0000040a)
        // Elements that lie across the page themselves.
        set_string_registers "$FREE + 1", "$FREE + 0x7ffd", $3
        rep movsq
        CHECK("FREE+0x7ffd", $0x0200000001000000)
        CHECK("FREE+0x800d", $0x0600000005000000)
        std
        movq    $0x0102030405060708, %rax
        set_string_registers $0, "$FREE + 0x9001", $2
        rep stosq
        cld
        CHECK(%rdi, "$FREE + 0x8ff1")
        CHECK("FREE+0x9001", %rax)
        CHECK("FREE+0x8ff9", %rax)
        set_string_registers "$FREE + 0x100", $0, $100
        movq    $-1, %rax
        rep lodsw
        CHECK(%rax, $0xffffffffffff0000)
        CHECK(%rsi, "$FREE + 0x1c8")
        // No count: nothing is touched, nothing faults.
        set_string_registers $0, $0x7000000000, $0
        RUNS("rep stosb ; rep movsq ; rep lodsb ; repe cmpsb ; repne scasb")
        CHECK(%rdi, $0x7000000000)
        // One element each without REP; RCX is not used.
        set_string_registers "$FREE", "$FREE + 0xa000", $5
        movsb
        movsq
        CHECK(%rcx, $5)
        CHECK(%rsi, "$FREE + 9")
        ret

faulting:
        // Forward into the absent page: what was done stays done.
        call    fill
        movabsq $(WINDOW + 0x1fe8), %rdi
        movabsq $(WINDOW + 0x2000), %rbx
        movl    $FREE, %esi
        movl    $100, %ecx
        PAGE_FAULTS(2, %rbx, "rep movsl")
        CHECK(%rcx, $94)
        CHECK(%rdi, %rbx)
        CHECK(%rsi, "$FREE + 24")
        CHECK("FREE+0x1ff8", $0x0000000500000004)
        // An element across the edge is not begun.
        movabsq $(WINDOW + 0x1fec), %rdi
        movl    $10, %ecx
        movq    $-1, %rax
        PAGE_FAULTS(2, %rbx, "rep stosq")
        CHECK(%rcx, $8)
        leaq    -4(%rbx), %rdx
        CHECK(%rdi, %rdx)
        CHECK("FREE+0x1ff8", $0x00000005ffffffff)
        // Reading; backwards into a read-only page.
        movabsq $(WINDOW + 0x1ffe), %rsi
        movl    $10, %ecx
        movl    $FREE + 0xb000, %edi
        PAGE_FAULTS(0, %rbx, "rep movsb")
        CHECK(%rcx, $8)
        CHECK(%rsi, %rbx)
        CHECK(%rdi, "$FREE + 0xb002")
        movabsq $(WINDOW + 0x4000), %rdi
        movq    $(FREE + 0x4003), page_table + 32
        movl    $3, %ecx
        std
        movabsq $(WINDOW + 0x3ff8), %rbx
        PAGE_FAULTS(3, %rbx, "rep stosq")
        cld
        CHECK(%rcx, $2)
        CHECK(%rdi, %rbx)
        // Compare: flags of the last pair that was compared stay.
        movabsq $(WINDOW + 0x1ffc), %rsi
        movabsq $(WINDOW + 0x2000), %rbx
        movl    $FREE + 0xc000, %edi
        movl    $0, (%rdi)
        movl    $0, FREE + 0x1ffc
        movl    $9, %ecx
        cmpb    $1, (%rdi)
        PAGE_FAULTS(0, %rbx, "repe cmpsb")
        CHECK(%rcx, $5)
        movq    seen_rflags, %rax
        andl    $0x8d5, %eax
        CHECK(%rax, $0x44)                      // ZF, PF of 0 - 0
        ret

comparing:
        call    fill
        movl    $FREE, %esi
        movl    $FREE + 0xd000, %edi
        movl    $0x400, %ecx
        rep movsl
        movb    $0x77, FREE + 0xd123
        set_string_registers $FREE, "$FREE + 0xd000", $0x1000
        repe cmpsb
        setb    %dl
        CHECK(%rcx, $0xedc)
        CHECK(%rsi, "$FREE + 0x124")
        movzbl  %dl, %edx
        CHECK(%rdx, $1)
        set_string_registers $0, "$FREE + 0x1000", $0x1000
        movl    $0x456, %eax
        repne scasl
        sete    %dl
        CHECK(%rdi, "$FREE + 0x115c")
        CHECK(%rcx, $0xfa9)
        movzbl  %dl, %edx
        CHECK(%rdx, $1)
        set_string_registers $0, "$FREE + 0x4000 - 2", $0x10
        std
        xorl    %eax, %eax
        repe scasw
        cld
        CHECK(%rdi, "$FREE + 0x3ffa")           // 0x0000, then 0x0fff
        CHECK(%rcx, $0xe)
        ret

overlapping:
        call    fill
        movb    $0xab, FREE
        set_string_registers $FREE, "$FREE + 1", $0x1100
        rep movsb                               // one byte smeared over all
        movq    $0xabababababababab, %rax
        CHECK("FREE+0xffc", %rax)
        CHECK("FREE+0x10f9", %rax)
        call    fill
        set_string_registers $FREE, "$FREE + 4", $0x10
        rep movsq                               // the pattern of 4 old and 4 new bytes moves along
        CHECK("FREE+4", $0x100000000)
        CHECK("FREE+12", $0x300000001)
        call    fill
        set_string_registers "$FREE + 8", $FREE, $0x200
        rep movsq
        CHECK("FREE+0x7f8", $0x20100000200)
        CHECK("FREE+0xff8", $0x40100000400)
        ret

// Address size 32: the upper halves do not take part, and are cleared.
narrow: movq    $0x1111111100000000 + FREE, %rsi
        movq    $0x2222222200000000 + FREE + 0xe000, %rdi
        movq    $0x3333333300000004, %rcx
        rep movsb (%esi), (%edi)
        CHECK(%rsi, "$FREE + 4")
        CHECK(%rdi, "$FREE + 0xe004")
        CHECK(%rcx, $0)
        movq    $0x2222222200000000 + FREE + 0xe000, %rdi
        movb    $0x42, %al
        stosb   %al, %es:(%edi)
        CHECK(%rdi, "$FREE + 0xe001")
        movl    $FREE + 0x100, %esi
        movabsq $0x500000000, %rax
        ret

// The APIC timer breaks into one long REP STOS many times; the count is exact whenever it does.
interrupted:
        movl    $on_timer, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        apic_write 0x3e0, $0xb
        apic_write 0x320, $0x20040
        movl    $FREE + 0x100000, %edi
        movl    $0x200000, %ecx
        movb    $0x5a, %al
        apic_write 0x380, $1009
        sti
        nop                                     // the shadow of STI would cover all of the repeat
string: rep stosb
        cli
        movl    $0x10000, %r14d
        apic_write 0x320, %r14d
        CHECK(%rcx, $0)
        CHECK(%rdi, "$FREE + 0x300000")
        CHECK(wrong, $0)
        cmpl    $10, in_string
        jae     1f
        CHECK(in_string, $10)
1:      movl    $FREE + 0x100000, %edi
        movl    $0x200001, %ecx
        movb    $0x5a, %al
        repe scasb
        CHECK(%rcx, $0)
        ret
on_timer:
        apic_write 0xb0, $0
        cmpq    $string, (%rsi)
        jne     1f
        incl    in_string
        // RDI + RCX is constant; what lies before RDI is written, what lies at it is not.
        movq    48(%rsp), %rdi                  // our return address, r12 .. r8, then rdi
        movq    88(%rsp), %rcx
        leaq    (%rdi, %rcx), %rax
        subq    $(FREE + 0x300000), %rax
        orq     %rax, wrong
        cmpb    $0x5a, -1(%rdi)
        jne     2f
        cmpb    $0x5a, (%rdi)
        jne     1f
2:      incq    wrong
1:      ret

        .data
        .balign 8
wrong:  .quad   0
in_string: .quad 0
        .bss
        .balign 4096
page_directory: .skip 4096
page_table: .skip 4096
        .text
