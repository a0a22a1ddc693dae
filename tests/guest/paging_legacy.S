/* Paging outside long mode as tables: rights of 32-bit paging (U/S, R/W of both levels against WP, SMEP, ring), PSE and PSE-36,
   reserved bits; PAE with its pointers, reserved bits and XD. [SDM3 4.3, 4.4, 4.6, 4.7] */
#include "guest.inc"
#include "legacy.inc"

        .set    P, 1
        .set    W, 2
        .set    U, 4
        .set    A, 0x20
        .set    D, 0x40
        .set    PS, 0x80
        .set    PSE, 0x10
        .set    PAE, 0x20
        .set    SMEP, 0x100000
        .set    SMAP, 0x200000
        .set    AREA, 0x40000000         // directory entry 0x100; in PAE the second pointer's table
        .set    LOAD, 0
        .set    STORE, 1
        .set    JUMP, 2
        .set    NONE, 0x1000

main32: call    rights
        call    large
        call    pae
        ret

        // 32-bit paging: the first 4 MiB by one large page for ring 0, and again behind it for ring 3.
        .set    MIRROR, 0x400000
two_levels:
        movl    $pd, %edi
        xorl    %eax, %eax
        movl    $1024, %ecx
        cld
        rep stosl
        movl    $P + W + PS, pd
        movl    $P + W + U + PS, pd + 4
        movl    $pd, %eax
        movl    %eax, %cr3
        ret
paging_off:
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        movl    $0x600, %eax
        movl    %eax, %cr4
        ret

// Runs the access `kind` to AREA in ring edx; its error code comes in seen_error, or NONE.
access:
        popl    after_access
        arm32   9f
        movl    kind, %ecx
        testl   %edx, %edx
        jz      1f
        pushl   $USER_DATA
        pushl   $user_stack + MIRROR
        pushl   $2
        pushl   $USER_CODE32
        pushl   $1f + MIRROR
        iret
1:      movl    $USER_DATA, %eax
        movl    %eax, %ds
        cmpl    $STORE, %ecx
        je      2f
        cmpl    $JUMP, %ecx
        je      3f
        movb    AREA, %al
        int     $SYSTEM
2:      movb    $0xcd, AREA
        int     $SYSTEM
3:      movl    $AREA, %eax
        jmp     *%eax
9:      movl    $0, recover_rip
        cmpl    $SYSTEM, seen_vector
        jne     4f
        movl    $NONE, seen_error
4:      jmp     *after_access

// Rows: directory entry's and table entry's rights, CR4, WP, ring, kind, wanted error.
rights: call    two_levels
        movl    $0x80cd, FREE_PAGE       // int $SYSTEM
        movl    $rights_rows, %ebx
        movl    $0, row
1:      incl    row
        movl    $0x610, %eax
        orl     8(%ebx), %eax
        movl    %eax, %cr4
        movl    (%ebx), %eax
        orl     $pt, %eax
        movl    %eax, pd + 0x400
        movl    4(%ebx), %eax
        orl     $FREE_PAGE, %eax
        movl    %eax, pt
        movl    %cr0, %eax
        andl    $~0x10000, %eax
        orl     12(%ebx), %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        movl    %cr3, %eax
        movl    %eax, %cr3
        movl    16(%ebx), %edx
        movl    20(%ebx), %eax
        movl    %eax, kind
        call    access
        WANT(seen_error, 24(%ebx))
        addl    $28, %ebx
        cmpl    $rights_rows_end, %ebx
        jb      1b
        movl    $0, row
        // What was used is marked: A in the directory, A and D in the table.
        movl    $pt + P + W, pd + 0x400
        movl    $FREE_PAGE + P + W, pt
        movl    %cr3, %eax
        movl    %eax, %cr3
        movb    AREA, %al
        WANT(pd + 0x400, $pt + P + W + A)
        WANT(pt, $FREE_PAGE + P + W + A)
        movb    $0xcd, AREA
        WANT(pt, $FREE_PAGE + P + W + A + D)
        jmp     paging_off

        .data
        .balign 4
        .set    WP, 0x10000
        .set    FREE_PAGE, 0x300000      // within the first 4 MiB
        .macro  right pde, pte, cr4, wp, ring, kind, error
        .long   \pde, \pte, \cr4, \wp, \ring, \kind, \error
        .endm
rights_rows:
        .irp    kind, LOAD, STORE, JUMP
        // Not present at either level.
        right   U + W, P + U + W, 0, 0, 0, \kind, ((\kind == STORE) & 2)
        right   P + U + W, U + W, 0, 0, 0, \kind, ((\kind == STORE) & 2)
        right   P + U + W, U + W, 0, 0, 3, \kind, 4 + ((\kind == STORE) & 2)
        // With SMEP fetches are told apart, also without XD.
        right   P + U + W, U + W, SMEP, 0, 3, \kind, 4 + ((\kind == STORE) & 2) + ((\kind == JUMP) & 16)
        // Everything allowed.
        right   P + U + W, P + U + W, 0, WP, 3, \kind, NONE
        right   P + U + W, P + U + W, 0, WP, 0, \kind, NONE
        // Supervisor at either level.
        right   P + W, P + U + W, 0, 0, 3, \kind, 5 + ((\kind == STORE) & 2)
        right   P + U + W, P + W, 0, 0, 3, \kind, 5 + ((\kind == STORE) & 2)
        right   P + W, P + W, SMEP, WP, 0, \kind, NONE
        .endr
        // Read-only at either level: always for ring 3, by WP for ring 0.
        right   P + U, P + U + W, 0, 0, 3, STORE, 7
        right   P + U + W, P + U, 0, 0, 3, STORE, 7
        right   P + U, P + U, 0, 0, 3, LOAD, NONE
        right   P + U, P + U + W, 0, WP, 0, STORE, 3
        right   P + U + W, P + U, 0, WP, 0, STORE, 3
        right   P + U + W, P + U, 0, 0, 0, STORE, NONE
        // SMEP and SMAP keep ring 0 out of user pages, whichever level says so: both must.
        right   P + U + W, P + U + W, SMEP, WP, 0, JUMP, 0x11
        right   P + U + W, P + W, SMEP, WP, 0, JUMP, NONE
        right   P + U + W, P + U + W, SMEP, WP, 0, LOAD, NONE
rights_rows_end:
kind:   .long   0
after_access: .long 0
        .text

// 4 MiB pages: without PSE the bit is nothing; with it bits 13 to 20 are address bits 32 to 39, and 21 is reserved.
large:  call    two_levels
        movl    $0x610, %eax
        movl    %eax, %cr4
        movl    %cr0, %eax
        orl     $0x80010000, %eax
        movl    %eax, %cr0
        movl    $0x12345678, FREE_PAGE
        movl    $P + W + U + PS, pd + 0x400
        WANT(AREA + FREE_PAGE, $0x12345678)
        WANT(pd + 0x400, $P + W + U + PS + A)
        movl    $P + W + U + PS + 0x2000, pd + 0x400     // 4 GiB: there is nothing
        movl    %cr3, %eax
        movl    %eax, %cr3
        WANT(AREA + FREE_PAGE, $-1)
        movl    $P + W + U + PS + 0x100000, pd + 0x400   // 512 GiB, within 40 bits
        movl    %cr3, %eax
        movl    %eax, %cr3
        WANT(AREA + FREE_PAGE, $-1)
        movl    $P + W + U + PS + 0x200000, pd + 0x400
        movl    %cr3, %eax
        movl    %eax, %cr3
        FAULTS32(PF, 9, movb AREA + FREE_PAGE, %al)
        movl    $P + W + U + PS + 0x1000, pd + 0x400     // PAT
        movl    %cr3, %eax
        movl    %eax, %cr3
        WANT(AREA + FREE_PAGE, $0x12345678)
        // Without PSE: a table at that address. (This page stays in the TLB until CR4 changes.)
        movl    $pt + P + W + PS, pd + 0x400
        movl    $FREE_PAGE + P + W, pt
        movl    $pt2 + P + W + U, pd
        movl    $pt2, %edi
        movl    $P + W + U, %eax
        movl    $1024, %ecx
1:      stosl
        addl    $4096, %eax
        loop    1b
        movl    $0x600, %eax
        movl    %eax, %cr4
        WANT(AREA, $0x12345678)
        jmp     paging_off

pae:    movl    $pdpt, %edi
        xorl    %eax, %eax
        movl    $16, %ecx
        rep stosl
        movl    $pd, %edi
        movl    $2048, %ecx
        rep stosl
        movl    $pd + P, pdpt
        movl    $pd + 0x1000 + P, pdpt + 8
        movl    $P + W + PS, pd
        movl    $0x200000 + P + W + PS, pd + 8
        movl    $P + W + U + PS, pd + 16
        movl    $0x200000 + P + W + U + PS, pd + 24
        movl    $pdpt, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax
        movl    %eax, %cr4
        movl    %cr0, %eax
        orl     $0x80010000, %eax
        movl    %eax, %cr0
        // Pointers: rows of low and high half, accepted by MOV to CR3?
        movl    $pointer_rows, %ebx
        movl    $0, row
1:      incl    row
        movl    (%ebx), %eax
        movl    %eax, pdpt + 16
        movl    4(%ebx), %eax
        movl    %eax, pdpt + 20
        movl    $pdpt, %eax
        arm32   2f
        movl    %eax, %cr3
2:      movl    $0, recover_rip
        WANT(seen_vector, 8(%ebx))
        addl    $12, %ebx
        cmpl    $pointer_rows_end, %ebx
        jb      1b
        movl    $0, row
        movl    $0, pdpt + 16
        movl    $0, pdpt + 20
        // Entries: rows of the directory's and the table's extra bits (high halves), and the wanted error of a load.
        movl    $entry_rows, %ebx
1:      incl    row
        movl    $pt + P + W + U, pd + 0x1000
        movl    (%ebx), %eax
        orl     %eax, pd + 0x1000
        movl    4(%ebx), %eax
        movl    %eax, pd + 0x1004
        movl    $FREE_PAGE + P + W + U, pt
        movl    8(%ebx), %eax
        movl    %eax, pt + 4
        movl    $pdpt, %eax
        movl    %eax, %cr3
        movl    $LOAD, kind
        movl    $3, %edx
        call    access
        WANT(seen_error, 12(%ebx))
        addl    $16, %ebx
        cmpl    $entry_rows_end, %ebx
        jb      1b
        movl    $0, row
        // XD at either level stops a fetch.
        movl    $0x80cd, FREE_PAGE
        movl    $JUMP, kind
        movl    $pt + P + W + U, pd + 0x1000
        movl    $0, pd + 0x1004
        movl    $0x80000000, pt + 4
        movl    $pdpt, %eax
        movl    %eax, %cr3
        movl    $3, %edx
        call    access
        WANT(seen_error, $0x15)
        movl    $0, pt + 4
        movl    $0x80000000, pd + 0x1004
        movl    $pdpt, %eax
        movl    %eax, %cr3
        movl    $3, %edx
        call    access
        WANT(seen_error, $0x15)
        // Without EFER.NXE the bit is reserved, and a fetch is not told apart.
        movl    $0xc0000080, %ecx
        rdmsr
        andl    $~0x800, %eax
        wrmsr
        movl    $3, %edx
        call    access
        WANT(seen_error, $0xd)
        jmp     paging_off

        .data
        .balign 4
pointer_rows:
        .long   P, 0, NONE
        .long   0, 0, NONE
        .long   0x1e6, 0xffffffff, NONE  // not present: nothing is looked at
        .long   P + 2, 0, GP             // R/W, U/S and others are reserved here
        .long   P + 4, 0, GP
        .long   P + 0x20, 0, GP
        .long   P + 0x40, 0, GP
        .long   P + 0x80, 0, GP
        .long   P + 0x100, 0, GP
        .long   P + 8, 0, NONE           // PWT, PCD, and software's
        .long   P + 0x10, 0, NONE
        .long   P + 0xe00, 0, NONE
        .long   P, 0x80, NONE            // address bit 39
        .long   P, 0x100, GP             // and 40
        .long   P, 0x80000000, GP
pointer_rows_end:
entry_rows:
        .long   0, 0, 0, NONE
        .long   0, 0x100, 0, 0xd         // address bits from 40 on
        .long   0, 0, 0x100, 0xd
        .long   0, 0x80000, 0, 0xd
        .long   0, 0x100000, 0, 0xd      // 52 to 62 are reserved, too
        .long   0, 0, 0x100000, 0xd
        .long   0, 0x40000000, 0, 0xd
        .long   0, 0, 0x40000000, 0xd
        .long   0, 0x80000000, 0, NONE   // XD
        .long   0, 0, 0x80000000, NONE
        .long   PS, 0, 0, 0xd            // a 2 MiB page with address bits below 2 MiB
entry_rows_end:
        .bss
        .balign 4096
pt:     .skip   4096
pt2:    .skip   4096
        .text
