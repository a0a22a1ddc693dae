/* 32-bit code that runs often enough to be translated, while what translations take for granted changes: bases and limits of
   the data segments and of FS and GS, the stack's width, and addresses that wrap at 4 GiB. [SDM3 5.3, 3.4.5], [APM2 4.5.3] */
#include "guest.inc"
#include "legacy.inc"
        .set    BASED, SPARE            // data from FREE on, 4 GiB
        .set    SHORT, SPARE + 8        // data from 0 on that ends where FREE begins
        .set    READ_ONLY, SPARE + 16   // data, 4 GiB, not writable
        .set    OTHER, FREE + 0x2000

main32: descriptor BASED, $0x0000ffff, $0x00cf9340
        descriptor SHORT, $0x000003ff, $0x00c09300
        descriptor READ_ONLY, $0x0000ffff, $0x00cf9100
        movl    $0x11111111, FREE
        movl    $0x22222222, FREE + 4
        movl    $0x33333333, OTHER
        movl    $40, %ebp
again:  call    flat
        call    through_gs
        call    other_data
        call    limits
        call    wraps
        call    narrow_stack
        decl    %ebp
        jnz     again
        ret

// Loads, stores, read-modify-writes, pushes, pops, calls and returns of every width.
flat:   movl    $FREE, %esi
        movl    $5, FREE + 8
        movl    $7, %ecx
        xorl    %eax, %eax
1:      addl    8(%esi), %eax
        addw    $1, 8(%esi)
        incl    %eax
        decl    %ecx
        jnz     1b
        WANT(%eax, $63)
        WANT(FREE + 8, $12)
        movl    %esp, %ebx
        pushl   $-3
        pushl   FREE
        pushl   %ebx
        popl    %edx
        WANT(%edx, %ebx)
        popl    %edx
        WANT(%edx, $0x11111111)
        popl    %edx
        WANT(%edx, $-3)
        WANT(%esp, %ebx)
        movl    $next, %eax
        call    *%eax
        movl    $next, FREE + 12
        call    *12(%esi)
        pushl   $4
        pushl   $5
        call    sum                             // which takes its arguments along
        WANT(%eax, $9)
        WANT(%esp, %ebx)
        movl    %esp, %edi
        enter   $8, $0
        leave
        WANT(%esp, %edi)
        pushfl
        popl    %eax
        andl    $0x200, %eax
        WANT(%eax, $0)
        movb    $0x7f, %ah
        addb    $1, %ah
        seto    %al
        WANT(%eax, $0x8001)
        ret
next:   ret
sum:    pushl   %ebp
        movl    %esp, %ebp
        movl    8(%ebp), %eax
        addl    12(%ebp), %eax
        popl    %ebp
        ret     $8

// The same code through GS with one base, with another, and with none at all.
load_gs:
        movl    %gs:4, %eax
        movl    $4, %ecx
        movl    %gs:(%ecx), %edx
        ret
through_gs:
        movl    $BASED, %ebx
        movl    %ebx, %gs
        call    load_gs
        WANT(%eax, $0x22222222)
        WANT(%edx, $0x22222222)
        descriptor BASED, $0x2000ffff, $0x00cf9340
        movl    %ebx, %gs
        movl    $0x44444444, OTHER + 4
        call    load_gs
        WANT(%eax, $0x44444444)
        descriptor BASED, $0x0000ffff, $0x00cf9340
        // A base in the middle of a page: the segment's end is there, too.
        descriptor BASED, $0x0010ffff, $0x00cf9340
        movl    %ebx, %gs
        movl    $0x77777777, FREE + 0x14
        call    load_gs
        WANT(%eax, $0x77777777)
        WANT(%edx, $0x77777777)
        movl    $-4, %ecx
        movl    %gs:(%ecx), %eax
        movl    $-2, %ecx
        FAULTS32(GP, 0, movl %gs:(%ecx), %eax)
        FAULTS32(GP, 0, movl %gs:0xfffffffe, %eax)
        FAULTS32(GP, 0, movl %eax, %gs:0xfffffffd)
        descriptor BASED, $0x0000ffff, $0x00cf9340
        xorl    %ebx, %ebx
        movl    %ebx, %gs
        FAULTS32(GP, 0, movl %gs:4, %eax)
        ret

// The same code with DS somewhere else, which changes in the middle of a block.
load_ds:
        movl    (%esi), %eax
        movl    4(%esi), %edx
        ret
other_data:
        movl    $FREE, %esi
        call    load_ds
        WANT(%eax, $0x11111111)
        movl    $BASED, %ebx
        xorl    %esi, %esi
        movl    %ebx, %ds
        movl    (%esi), %eax
        call    load_ds
        movl    $DATA, %ebx
        movl    %ebx, %ds
        WANT(%eax, $0x11111111)
        WANT(%edx, $0x22222222)
        movl    $FREE, %esi
        call    load_ds
        WANT(%edx, $0x22222222)
        ret

// A limit, and a segment that may not be written.
store_ds:
        movl    %eax, (%esi)
        ret
limits: movl    $FREE - 4, %esi
        call    load_ds
        movl    $FREE + 0x100, %esi
        movl    $0x55, %eax
        call    store_ds
        movl    $SHORT, %ebx
        movl    %ebx, %ds
        FAULTS32(GP, 0, movl %ds:FREE, %eax)
        movl    $DATA, %ebx
        movl    %ebx, %ds
        movl    $READ_ONLY, %ebx
        movl    %ebx, %fs
        movl    %fs:FREE, %eax
        WANT(%eax, $0x11111111)
        FAULTS32(GP, 0, movl %eax, %fs:FREE)
        FAULTS32(GP, 0, movl %eax, %cs:FREE)
        ret

// Effective addresses, and linear ones through GS, wrap at 4 GiB; an operand does not.
wraps:  movl    $0xfffffff0, %ecx
        movl    FREE + 16(%ecx), %eax
        WANT(%eax, $0x11111111)
        leal    32(%ecx), %edx
        WANT(%edx, $16)
        movl    $BASED, %ebx
        movl    %ebx, %gs
        movl    $-FREE, %ecx
        movl    %gs:FREE + 4(%ecx), %eax
        WANT(%eax, $0x22222222)
        movl    $0xfffffffe, %esi
        FAULTS32(GP, 0, movl (%esi), %eax)
        ret

// A stack segment of 16 bits: SP moves, ESP's upper half stays.
narrow_stack:
        descriptor BASED, $0x0000ffff, $0x008f9340
        movl    %esp, %edi
        movl    $BASED, %ebx
        movl    $0x12348000, %edx
        movl    %ebx, %ss
        movl    %edx, %esp
        pushl   $0x66
        popl    %eax
        pushl   $0x77
        movl    %esp, %edx
        movl    $DATA, %ebx
        movl    %ebx, %ss
        movl    %edi, %esp
        WANT(%eax, $0x66)
        WANT(%edx, $0x12347ffc)
        WANT(FREE + 0x7ffc, $0x77)
        descriptor BASED, $0x0000ffff, $0x00cf9340
        ret
