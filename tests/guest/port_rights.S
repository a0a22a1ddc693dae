/* IN, OUT, INS and OUTS in ring 3 of long mode: IOPL, the I/O permission map of the 64-bit TSS, its end, its offset. [SDM1 19.5],
   [APM2 12.2.4] */
#include "guest.inc"

        .set    MAP, 104
        .set    FINE, 0xff

main64: movl    $tss + MAP, %edi                 // ports 0 to 0x3ff; only 0x80 to 0x83 are open
        movl    $-1, %eax
        movl    $33, %ecx
        cld
        rep stosl
        movb    $0xf0, tss + MAP + 0x10
        movb    $0x7f, tss + MAP + 0x7f          // and 0x3ff, the last one
        movw    $MAP, tss + 102
        movl    $rows, %ebx
1:      movzwl  6(%rbx), %eax                    // the TSS's limit
        movw    %ax, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        movl    8(%rbx), %eax
        movl    %eax, FREE                       // the instruction
        movw    $0x80cd, FREE + 4
        movzwl  4(%rbx), %edx                    // IOPL
        shll    $12, %edx
        orl     $2, %edx
        movl    $data, %edi
        addq    user_base, %rdi
        movq    %rdi, %rsi
        movl    $1, %ecx
        movl    $FREE, %r8d
        addq    user_base, %r8
        movl    $user_stack, %r9d
        addq    user_base, %r9
        arm     2f
        pushq   $USER_DATA
        pushq   %r9
        pushq   %rdx
        pushq   $USER_CODE64
        pushq   %r8
        movzwl  (%rbx), %edx                     // the port
        iretq
2:      movzbl  2(%rbx), %eax
        cmpq    $SYSTEM, seen_vector
        jne     3f
        movq    $FINE, seen_vector
3:      cmpq    %rax, seen_vector
        je      4f
        movl    %ebx, %r13d
        subl    $rows, %r13d                     // the row's offset in the line's place
        movq    seen_vector, %r15
        movq    %rax, %r14
        call    report
4:      addl    $12, %ebx
        cmpl    $rows_end, %ebx
        jb      1b
        ret

        .data
        .balign 4
data:   .quad   0, 0
        // Port, wanted, IOPL, limit, code (padded with NOPs).
        .macro  row port, wanted, iopl, limit, code:vararg
        .word   \port
        .byte   \wanted, 0
        .word   \iopl, \limit
9:      .byte   \code
        .fill   4 - (. - 9b), 1, 0x90
        .endm
        .set    FULL, MAP + 128                  // the byte of ones behind the map included
rows:   row     0x80, FINE, 0, FULL, 0xec        // in, out: bytes, words, doublewords
        row     0x80, FINE, 0, FULL, 0xee
        row     0x80, FINE, 0, FULL, 0x66, 0xed
        row     0x82, FINE, 0, FULL, 0x66, 0xef
        row     0x80, FINE, 0, FULL, 0xed
        row     0x83, FINE, 0, FULL, 0xee
        row     0x84, GP, 0, FULL, 0xec
        row     0x7f, GP, 0, FULL, 0xec
        row     0x83, GP, 0, FULL, 0x66, 0xed    // every port of it must be open
        row     0x7f, GP, 0, FULL, 0x66, 0xed
        row     0x81, GP, 0, FULL, 0xed
        row     0, FINE, 0, FULL, 0xe6, 0x80     // by number
        row     0, GP, 0, FULL, 0xe6, 0x84
        row     0x80, FINE, 0, FULL, 0x6c        // ins, outs
        row     0x80, FINE, 0, FULL, 0x6e
        row     0x80, FINE, 0, FULL, 0xf3, 0x6c
        row     0x84, GP, 0, FULL, 0x6c
        row     0x84, GP, 0, FULL, 0x6e
        row     0x84, GP, 0, FULL, 0xf3, 0x6e
        // The last port; the map's end: two bytes are read, both within the limit.
        row     0x3ff, FINE, 0, FULL, 0xec
        row     0x3ff, GP, 0, FULL, 0x66, 0xed
        row     0x3ff, GP, 0, FULL-1, 0xec
        row     0x400, GP, 0, FULL, 0xec
        row     0xffff, GP, 0, FULL, 0xec
        row     0x80, GP, 0, MAP + 0x10, 0xec    // both bytes, for any width
        row     0x80, FINE, 0, MAP + 0x11, 0xec
        row     0x80, GP, 0, 103, 0xec
        // IOPL 3: the map is not looked at. Below CPL it is.
        row     0x84, FINE, 3, 103, 0xec
        row     0x84, GP, 2, FULL, 0xec
        row     0x80, FINE, 1, FULL, 0xec
rows_end:
