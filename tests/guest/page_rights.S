/* The permission matrix of 4-level paging: every leaf (U/S, R/W, XD, protection key) against CR0.WP, SMEP, SMAP, RFLAGS.AC,
   ring and kind of access, with the exact error code; and the reserved bits of every level. [SDM3 4.6, 4.7], [APM2 5.6] */
#include "guest.inc"

        .set    P, 1
        .set    W, 2
        .set    U, 4
        .set    AREA, 0x10000000000      // entry 2 of the top level

main64: movq    $pdpt2 + 7, pml4 + 16
        movq    $pd2 + 7, pdpt2
        movq    $pt2 + 7, pd2
        movl    $0xc38090, FREE          // nop ; (of the write: its own byte) ; see `run_row`
        call    matrix
        call    no_execute_off
        call    reserved
        ret

// Rows: what it is about in bits, then the wanted error code, or 0xffff for none.
        .set    A_USER, 1                // leaf: U/S, R/W, XD
        .set    A_WRITE, 2
        .set    A_XD, 4
        .set    A_KEY_AD, 8              // its key's rights
        .set    A_KEY_WD, 16
        .set    A_WP, 32
        .set    A_SMEP, 64
        .set    A_SMAP, 128
        .set    A_AC, 256
        .set    A_RING3, 512
        .set    A_STORE, 1024            // kind of access: else a load
        .set    A_FETCH, 2048

matrix: movq    %cr4, %rax
        orl     $0x400000, %eax          // PKE
        movq    %rax, %cr4
        movl    $rows, %ebx
1:      movzwl  (%rbx), %ebp
        // The leaf, with key 1.
        movq    $0x0800000000000000 + FREE + P, %rax
        testl   $A_USER, %ebp
        jz      2f
        orl     $U, %eax
2:      testl   $A_WRITE, %ebp
        jz      2f
        orl     $W, %eax
2:      testl   $A_XD, %ebp
        jz      2f
        btsq    $63, %rax
2:      movq    %rax, pt2
        movq    $AREA, %rdi
        invlpg  (%rdi)
        movl    $0xc3, FREE              // ret, in case it is fetched
        movl    %ebp, %eax
        andl    $24, %eax
        shrl    $1, %eax                 // PKRU's AD and WD of key 1
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        wrpkru
        movq    %cr0, %rax
        andl    $~0x10000, %eax
        testl   $A_WP, %ebp
        jz      2f
        orl     $0x10000, %eax
2:      movq    %rax, %cr0
        movq    %cr4, %rax
        andl    $~0x300000, %eax
        testl   $A_SMEP, %ebp
        jz      2f
        orl     $0x100000, %eax
2:      testl   $A_SMAP, %ebp
        jz      2f
        orl     $0x200000, %eax
2:      movq    %rax, %cr4
        movq    $2, user_rflags
        testl   $A_AC, %ebp
        jz      2f
        movq    $0x40002, user_rflags
2:      arm     9f
        testl   $A_RING3, %ebp
        jz      3f
        enter_user 4f
3:      pushq   user_rflags
        popfq
4:      testl   $A_STORE, %ebp
        jz      5f
        movb    $0x90, (%rdi)
        jmp     6f
5:      testl   $A_FETCH, %ebp
        jz      5f
        call    *%rdi
        jmp     6f
5:      movb    (%rdi), %al
6:      movl    %cs, %eax
        testl   $3, %eax
        jz      7f
        int     $SYSTEM
7:      pushq   $2
        popfq
        movq    $SYSTEM, seen_vector
        movq    $0, recover_rip
9:      movl    $0xffff, %eax
        cmpq    $SYSTEM, seen_vector
        je      1f
        movl    seen_error, %eax
        cmpq    $PF, seen_vector
        je      1f
        movl    $0xbad, %eax
1:      movzwl  2(%rbx), %edx
        cmpl    %edx, %eax
        je      1f
        // The row's bits stand in the line's place.
        movl    %ebp, %r13d
        movl    %eax, %r15d
        movl    %edx, %r14d
        call    report
1:      addl    $4, %ebx
        cmpl    $rows_end, %ebx
        jb      1b
        call    restore
        ret
restore:
        movq    %cr4, %rax
        andl    $~0x700000, %eax
        movq    %rax, %cr4
        movq    %cr0, %rax
        orl     $0x10000, %eax
        movq    %rax, %cr0
        movq    $2, user_rflags
        ret

        .data
        .balign 4
rows:   .set    i, 0
        .rept   4096
        .set    user, (i & A_USER) != 0
        .set    ring3, (i & A_RING3) != 0
        .set    store, (i & A_STORE) != 0
        .set    fetch, (i & A_FETCH) != 0
        // gas' comparisons give -1 for true.
        .set    by_key, user && !fetch && ((i & A_KEY_AD) || ((i & A_KEY_WD) && store && (ring3 || (i & A_WP))))
        .set    read_only, store && !(i & A_WRITE) && (ring3 || (i & A_WP))
        .set    kept_out, (ring3 && !user) || (!ring3 && user && fetch && (i & A_SMEP)) || (!ring3 && user && !fetch && (i & A_SMAP) && !(i & A_AC))
        .set    not_code, fetch && (i & A_XD)
        .if     !(store && fetch)
        .if     by_key || read_only || kept_out || not_code
        .set    error, P
        .if     store
        .set    error, error + 2
        .endif
        .if     ring3
        .set    error, error + 4
        .endif
        .if     fetch
        .set    error, error + 16
        .endif
        .if     by_key
        .set    error, error + 32
        .endif
        .else
        .set    error, 0xffff
        .endif
        .word   i, error
        .endif
        .set    i, i + 1
        .endr
rows_end:
        .text

        // Ring 3 jumps to (rdi).
        .macro  fetch_faults error, line
        arm     .Lafter\@
        enter_user .Ljump\@
.Ljump\@: jmp   *%rdi
.Lafter\@:
        check_equal seen_vector, $PF, \line
        check_equal seen_error, $\error, \line
        check_equal seen_rip, %rdi, \line
        .endm
#define FETCH_FAULTS(error) fetch_faults error, __LINE__
// With EFER.NXE and SMEP off a fetch is not told apart; with SMEP alone it is.
no_execute_off:
        movq    $FREE + P, pt2
        movq    $AREA, %rdi
        movq    %cr3, %rax
        movq    %rax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        andl    $~0x800, %eax
        wrmsr
        FETCH_FAULTS(5)
        movq    %cr4, %rax
        orl     $0x100000, %eax
        movq    %rax, %cr4
        FETCH_FAULTS(0x15)
        movq    %cr4, %rax
        andl    $~0x100000, %eax
        movq    %rax, %cr4
        // XD is a reserved bit then.
        movq    $FREE + P, pt2
        btsq    $63, pt2
        invlpg  (%rdi)
        PAGE_FAULTS(9, %rdi, "movb (%rdi), %al")
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x800, %eax
        wrmsr
        ret

// Rows: which entry, the bit set in it; is it reserved? The lower levels are in place.
reserved:
        movl    $reserved_rows, %ebx
1:      movl    (%rbx), %esi             // the entry's place
        movq    (%rsi), %rbp
        movq    %rbp, %rax
        movzbl  4(%rbx), %ecx
        btsq    %rcx, %rax
        movzbl  5(%rbx), %ecx
        testl   %ecx, %ecx
        jz      2f
        movl    $0x87, %eax              // a large page at 0
        btsq    %rcx, %rax
2:      movq    %rax, (%rsi)
        movq    %cr3, %rax
        movq    %rax, %cr3
        movq    $AREA, %rdi
        arm     3f
        movb    (%rdi), %al
        missed
3:      movq    %rbp, (%rsi)
        movzwl  6(%rbx), %eax
        CHECK(seen_vector, %rax)
        cmpl    $PF, %eax
        jne     4f
        CHECK(seen_error, $9)
        CHECK(seen_cr2, %rdi)
4:      addl    $8, %ebx
        cmpl    $reserved_rows_end, %ebx
        jb      1b
        ret
        .data
        .balign 4
        .macro  reserved_row entry, bit, also, vector
        .long   \entry
        .byte   \bit, \also
        .word   \vector
        .endm
        .set    FINE, 0x1000
reserved_rows:
        // Physical address bits from 40 on, at every level.
        .irp    entry, pml4 + 16, pdpt2, pd2, pt2
        .irp    bit, 40, 41, 45, 50, 51
        reserved_row "\entry", \bit, 0, PF
        .endr
        // What software may use, and bits that mean something.
        .irp    bit, 9, 10, 11, 52, 58, 59, 62
        reserved_row "\entry", \bit, 0, FINE
        .endr
        .endr
        reserved_row pml4+16, 7, 0, PF           // PS
        reserved_row pml4+16, 8, 0, PF           // G, on AMD's processors
        reserved_row pdpt2, 8, 0, PF
        reserved_row pd2, 8, 0, FINE
        reserved_row pt2, 7, 0, FINE             // PAT
        reserved_row pt2, 8, 0, FINE
        // Large pages: low address bits; bit 12 is PAT.
        .irp    bit, 13, 14, 19, 20
        reserved_row pd2, 7, \bit, PF
        .endr
        .irp    bit, 8, 9, 12, 21, 29, 39, 52, 63
        reserved_row pd2, 7, \bit, FINE
        .endr
        .irp    bit, 8, 9, 12, 30, 39, 52, 63
        reserved_row pdpt2, 7, \bit, FINE
        .endr
        reserved_row pd2, 7, 40, PF
        reserved_row pdpt2, 7, 51, PF
        .irp    bit, 13, 20, 21, 28, 29
        reserved_row pdpt2, 7, \bit, PF
        .endr
reserved_rows_end:
        .bss
        .balign 4096
pdpt2:  .skip   4096
pd2:    .skip   4096
pt2:    .skip   4096
        .text
