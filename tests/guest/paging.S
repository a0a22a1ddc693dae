/* Paging: rights, page sizes, reserved bits, A and D bits, what the TLB may keep and what drops it, PCID, page crossing.
   [SDM3 4.5 - 4.10], [APM2 5] */
#include "guest.inc"

        // The program's own tables map 0x80_8000_0000 .. (PML4 entry 1, PDPT entry 2) by 4 KiB pages to FREE ..
        .set    WINDOW, 0x8080000000
        .set    P, 1
        .set    W, 2
        .set    U, 4
        .set    A, 0x20
        .set    D, 0x40

        // Page n of the window gets the low bits `bits`; the TLB forgets it.
        .macro  map n, bits
        movq    $(FREE + 4096 * \n + \bits), page_table + 8 * \n
        movabsq $(WINDOW + 4096 * \n), %r15
        invlpg  (%r15)
        .endm
        .macro  entry_is n, bits, line
        check_equal "page_table+8*\n", "$(FREE+4096*\n+\bits)", \line
        .endm
#define ENTRY_IS(n, bits) entry_is n, bits, __LINE__
        .macro  set_cr4 set, clear
        movq    %cr4, %r15
        andq    $~\clear, %r15
        orq     $\set, %r15
        movq    %r15, %cr4
        .endm
        .set    SMEP, 0x100000
        .set    SMAP, 0x200000
        .set    PGE, 0x80
        .set    PCIDE, 0x20000

main64: movq    $(page_directory + 7), user_pdpt + 16
        movq    $(page_table + 7), page_directory
        movq    $WINDOW, %rdi
        call    rights
        call    supervisor_modes
        call    reserved
        call    accessed_dirty
        call    large_pages
        call    stale
        call    global_pages
        call    pcids
        call    crossing
        ret

rights: map     0, 0
        PAGE_FAULTS(0, %rdi, "movl (%rdi), %eax")
        PAGE_FAULTS(2, %rdi, "movl %eax, (%rdi)")
        PAGE_FAULTS(2, %rdi, "addl $0, (%rdi)")         // read and write: as a write
        PAGE_FAULTS(2, %rdi, "cmpxchgl %ecx, (%rdi)")
        PAGE_FAULTS(0, %rdi, "cmpl $0, (%rdi)")
        USER_PAGE_FAULTS(4, %rdi, "movl (%rdi), %eax")
        USER_PAGE_FAULTS(6, %rdi, "movl %eax, (%rdi)")
        map     0, (P | W)
        RUNS("movl %eax, (%rdi)")
        USER_PAGE_FAULTS(5, %rdi, "movl (%rdi), %eax")
        USER_PAGE_FAULTS(7, %rdi, "movl %eax, (%rdi)")
        map     0, (P | U)
        PAGE_FAULTS(3, %rdi, "movl %eax, (%rdi)")       // CR0.WP
        movq    %cr0, %rbx
        movq    %rbx, %rax
        btrq    $16, %rax
        movq    %rax, %cr0
        RUNS("movl %eax, (%rdi)")
        movq    %rbx, %cr0
        PAGE_FAULTS(3, %rdi, "movl %eax, (%rdi)")       // at once, though the entry was used
        USER_PAGE_FAULTS(7, %rdi, "movl %eax, (%rdi)")
        USER_TRAPS(SYSTEM, 0, "movl (%rdi), %eax ; int $SYSTEM")
        // A table's rights count too.
        map     0, (P | W | U)
        andq    $~W, page_directory
        invlpg  (%rdi)
        PAGE_FAULTS(3, %rdi, "movl %eax, (%rdi)")
        orq     $W, page_directory
        andq    $~U, page_directory
        invlpg  (%rdi)
        USER_PAGE_FAULTS(5, %rdi, "movl (%rdi), %eax")
        orq     $U, page_directory
        invlpg  (%rdi)
        // No execute.
        movb    $0xc3, (%rdi)
        RUNS("call *%rdi")
        btsq    $63, page_table
        invlpg  (%rdi)
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        call    *%rdi
1:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $0x11)
        CHECK(seen_cr2, %rdi)
        CHECK(seen_rip, %rdi)
        RUNS("movb (%rdi), %al")
        ret

supervisor_modes:
        map     0, (P | W | U)
        movb    $0xc3, (%rdi)
        set_cr4 SMEP, 0
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        call    *%rdi
1:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $0x11)
        set_cr4 SMAP, SMEP
        PAGE_FAULTS(1, %rdi, "movl (%rdi), %eax")
        PAGE_FAULTS(3, %rdi, "movl %eax, (%rdi)")
        RUNS("stac ; movl (%rdi), %eax ; movl %eax, (%rdi) ; clac")
        PAGE_FAULTS(1, %rdi, "movl (%rdi), %eax")
        USER_TRAPS(SYSTEM, 0, "movl (%rdi), %eax ; int $SYSTEM")
        // Implicit accesses fault whatever AC says: the LDT in a user page.
        map     6, (P | W | U)
        movq    gdt + DATA, %rax
        movq    %rax, FREE + 0x6000
        leaq    0x6000(%rdi), %rbx
        movq    $0x0000820000000fff, %rax       // an LDT at WINDOW + 0x6000
        movq    %rax, gdt + SPARE
        movq    %rbx, %rax
        movw    %ax, gdt + SPARE + 2
        shrq    $16, %rax
        movb    %al, gdt + SPARE + 4
        movb    %ah, gdt + SPARE + 7
        shrq    $16, %rax
        movq    %rax, gdt + SPARE + 8
        movl    $SPARE, %eax
        lldt    %ax
        movl    $4, %ecx                        // entry 0 of the LDT
        PAGE_FAULTS(1, %rbx, "movl %ecx, %fs")
        stac
        PAGE_FAULTS(1, %rbx, "movl %ecx, %fs")
        clac
        set_cr4 0, SMAP
        ret

reserved:
        map     0, (P | W | U)
        movq    page_table, %rax
        btsq    $50, %rax                       // above the physical address bits
        movq    %rax, page_table
        invlpg  (%rdi)
        PAGE_FAULTS(9, %rdi, "movl (%rdi), %eax")
        PAGE_FAULTS(0xb, %rdi, "movl %eax, (%rdi)")
        USER_PAGE_FAULTS(0xd, %rdi, "movl (%rdi), %eax")
        map     0, (P | W | U)
        orq     $0x80, pml4 + 8                 // PS in a PML4 entry
        invlpg  (%rdi)
        PAGE_FAULTS(9, %rdi, "movl (%rdi), %eax")
        andq    $~0x80, pml4 + 8
        movq    $(FREE + 0x2083), page_directory + 8    // a 2 MiB page with bit 13
        addq    $0x200000, %rdi
        PAGE_FAULTS(9, %rdi, "movl (%rdi), %eax")
        movq    $0, page_directory + 8
        movq    $WINDOW, %rdi
        // XD without EFER.NXE.
        btsq    $63, page_table
        invlpg  (%rdi)
        movl    $0xc0000080, %ecx
        rdmsr
        andl    $~0x800, %eax
        wrmsr
        PAGE_FAULTS(9, %rdi, "movl (%rdi), %eax")
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x800, %eax
        wrmsr
        map     0, (P | W | U)
        ret

accessed_dirty:
        map     1, (P | W)
        leaq    4096(%rdi), %rsi
        andq    $~A, page_directory
        invlpg  (%rsi)
        movl    (%rsi), %eax
        ENTRY_IS(1, (P | W | A))
        movq    page_directory, %rax
        andl    $(A | D), %eax
        CHECK(%rax, $A)                         // tables get A only
        movl    %eax, (%rsi)
        ENTRY_IS(1, (P | W | A | D))
        map     1, (P | W)
        movl    %eax, (%rsi)
        ENTRY_IS(1, (P | W | A | D))
        // A write that is not allowed sets nothing; neither does a read-only CMPXCHG's sibling, the failed user access.
        map     1, P
        PAGE_FAULTS(3, %rsi, "movl %eax, (%rsi)")
        ENTRY_IS(1, P)
        map     1, (P | W)
        USER_PAGE_FAULTS(5, %rsi, "movl (%rsi), %eax")
        ENTRY_IS(1, (P | W))
        // CMPXCHG writes always.
        movl    (%rsi), %eax
        notl    %eax
        lock cmpxchgl %ecx, (%rsi)
        ENTRY_IS(1, (P | W | A | D))
        // A cleared A bit is not set again while the TLB has the entry; D is, when the entry was clean.
        map     1, (P | W)
        movl    (%rsi), %eax
        movq    $(FREE + 4096 + P + W), page_table + 8
        movl    (%rsi), %eax
        ENTRY_IS(1, (P | W))
        movl    %eax, (%rsi)
        ENTRY_IS(1, (P | W | A | D))
        ret

large_pages:
        // 2 MiB and 1 GiB, both over FREE's frame.
        movq    $(FREE + 0x83), page_directory + 16
        movq    $WINDOW + 0x400000, %rsi
        movl    $0x11223344, FREE + 0x1234
        movl    0x1234(%rsi), %eax
        CHECK(%rax, $0x11223344)
        CHECK("page_directory+16", "$(FREE+0xa3)")
        movl    %eax, 0x1238(%rsi)
        CHECK("page_directory+16", "$(FREE+0xe3)")
        movq    $0x83, user_pdpt + 24           // 1 GiB at 0
        movq    $0x80c0000000, %rsi
        movl    FREE + 0x1238(%rsi), %eax
        CHECK(%rax, $0x11223344)
        CHECK("user_pdpt+24", $0xa3)
        movq    $0x4083, user_pdpt + 24
        invlpg  (%rsi)
        PAGE_FAULTS(9, %rsi, "movl (%rsi), %eax")
        movq    $0, user_pdpt + 24
        ret

stale:  map     2, (P | W)
        map     3, (P | W)
        leaq    0x2000(%rdi), %rsi
        movl    $2, FREE + 0x2000
        movl    $3, FREE + 0x3000
        movl    (%rsi), %eax
        movq    $(FREE + 0x3000 + P + W), page_table + 16
        movl    (%rsi), %eax
        CHECK(%rax, $2)                         // this model keeps it (allowed by [SDM3 4.10.2.3])
        invlpg  5(%rsi)
        movl    (%rsi), %eax
        CHECK(%rax, $3)
        // A page fault drops what is cached: after more rights no INVLPG is needed.
        map     2, P
        movl    (%rsi), %eax
        PAGE_FAULTS(3, %rsi, "movl %eax, (%rsi)")
        orq     $W, page_table + 16
        RUNS("movl %eax, (%rsi)")
        // MOV CR3 drops it.
        movq    $0, page_table + 16
        movq    %cr3, %rax
        movq    %rax, %cr3
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        // INVLPG of one page of a large one drops all of it.
        movq    $WINDOW + 0x400000, %rsi
        movl    (%rsi), %eax
        movq    $0, page_directory + 16
        invlpg  0x1ff000(%rsi)
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        ret

global_pages:
        set_cr4 PGE, 0
        map     2, (P | W | 0x100)
        leaq    0x2000(%rdi), %rsi
        movl    (%rsi), %eax
        movq    $0, page_table + 16
        movq    %cr3, %rax
        movq    %rax, %cr3
        RUNS("movl (%rsi), %eax")               // global: MOV CR3 keeps it
        invlpg  (%rsi)
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        map     2, (P | W | 0x100)
        movl    (%rsi), %eax
        movq    $0, page_table + 16
        set_cr4 0, PGE                          // a change of PGE drops everything
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        ret

pcids:  movq    %cr3, %rbx
        leaq    0x2000(%rdi), %rsi
        movq    %rbx, %rax
        orq     $1, %rax
        movq    %rax, %cr3
        movq    %cr4, %rax
        orq     $PCIDE, %rax
        FAULTS(GP, 0, "movq %rax, %cr4")        // CR3 bits 11:0 must be 0
        movq    %rbx, %cr3
        set_cr4 PCIDE, 0
        // An entry of PCID 1 is not seen in PCID 2, and is there again in PCID 1.
        leaq    1(%rbx), %r8
        leaq    2(%rbx), %r9
        movq    %r8, %cr3
        map     2, (P | W)
        movl    (%rsi), %eax
        movq    $0, page_table + 16
        movq    %r9, %cr3
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        btsq    $63, %r8
        movq    %r8, %cr3                       // bit 63: keep
        movq    %cr3, %rax
        leaq    1(%rbx), %rcx
        CHECK(%rax, %rcx)                       // it does not read back
        RUNS("movl (%rsi), %eax")
        movq    %rcx, %cr3                      // without it PCID 1's go
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        // INVPCID. 0: one address of one PCID.
        call    fill_pcid1
        movq    $1, descriptor
        movq    %rsi, descriptor + 8
        movl    $0, %edx
        invpcid descriptor, %rdx
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        call    fill_pcid1
        movq    $2, descriptor
        movl    $1, %edx                        // 1: all of another PCID
        invpcid descriptor, %rdx
        RUNS("movl (%rsi), %eax")
        movq    $1, descriptor
        invpcid descriptor, %rdx
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        call    fill_pcid1
        movl    $2, %edx
        invpcid descriptor, %rdx
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        call    fill_pcid1
        movl    $3, %edx
        invpcid descriptor, %rdx
        PAGE_FAULTS(0, %rsi, "movl (%rsi), %eax")
        movl    $4, %edx
        FAULTS(GP, 0, "invpcid descriptor, %rdx")
        movl    $2, %edx
        movq    $0x1000, descriptor
        FAULTS(GP, 0, "invpcid descriptor, %rdx")       // bits 63:12, whatever the type
        movl    $0, %edx
        movq    $1, descriptor
        movq    $0x8000000000000000, %rax
        movq    %rax, descriptor + 8
        FAULTS(GP, 0, "invpcid descriptor, %rdx")
        USER_FAULTS(GP, 0, "invpcid (%rdi), %rdx")
        movq    %rbx, %cr3
        set_cr4 0, PCIDE
        ret
fill_pcid1:
        map     2, (P | W)
        movl    (%rsi), %eax
        movq    $0, page_table + 16
        ret

// An operand over two pages, the second of which faults: nothing changes; CR2 is the second page.
crossing:
        map     4, (P | W)
        map     5, 0
        movq    $0x1111111111111111, %rax
        movq    %rax, FREE + 0x4ff8
        movq    %rax, FREE + 0x5000
        leaq    0x4ffc(%rdi), %rsi
        leaq    0x5000(%rdi), %rbx
        movq    $-1, %rax
        PAGE_FAULTS(2, %rbx, "movq %rax, (%rsi)")
        PAGE_FAULTS(2, %rbx, "addq %rax, (%rsi)")
        PAGE_FAULTS(0, %rbx, "movq (%rsi), %rcx")
        PAGE_FAULTS(2, %rbx, "movups %xmm0, -8(%rsi)")
        PAGE_FAULTS(2, %rbx, "xchgq %rax, (%rsi)")
        CHECK(%rax, $-1)
        movq    $0x1111111111111111, %rcx
        CHECK("FREE+0x4ff8", %rcx)
        CHECK("FREE+0x5000", %rcx)
        map     5, P
        PAGE_FAULTS(3, %rbx, "movq %rax, (%rsi)")
        RUNS("movq (%rsi), %rcx")
        CHECK("FREE+0x4ff8", %rcx)
        map     5, (P | W)
        RUNS("movq %rax, (%rsi)")
        movq    $0x11111111ffffffff, %rcx
        CHECK("FREE+0x5000", %rcx)
        // The first page's fault comes first.
        map     4, 0
        map     5, 0
        PAGE_FAULTS(2, %rsi, "movq %rax, (%rsi)")
        // Instructions: movl $imm32, %eax with 2 of 5 bytes in the second page.
        map     4, (P | W)
        movl    $0x11b8, FREE + 0x4ffd          // b8 11 00 |
        leaq    0x4ffd(%rdi), %rsi
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        call    *%rsi
1:      CHECK(seen_vector, $PF)
        CHECK(seen_error, $0x10)
        CHECK(seen_cr2, %rbx)
        CHECK(seen_rip, %rsi)
        movl    $0xc30022, FREE + 0x5000
        map     5, P
        RUNS("call *%rsi")
        CHECK(%rax, $0x00220011)
        // The same with another second page: the decoded instruction must not be kept.
        movl    $0xc30033, FREE + 0x6000
        movq    $(FREE + 0x6000 + P), page_table + 40
        invlpg  (%rbx)
        RUNS("call *%rsi")
        CHECK(%rax, $0x00330011)
        // The last byte of a page can be an instruction though the next page faults.
        map     5, 0
        movb    $0xc3, FREE + 0x4fff
        leaq    0x4fff(%rdi), %rsi
        RUNS("call *%rsi")
        // An invalid opcode at the end does not need the next page.
        movw    $0x0b0f, FREE + 0x4ffe
        decq    %rsi
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        jmp     *%rsi
1:      CHECK(seen_vector, $UD)
        ret

        .data
        .balign 16
descriptor: .quad 0, 0
        .bss
        .balign 4096
page_directory: .skip 4096
page_table: .skip 4096
        .text
