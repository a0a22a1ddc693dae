/* Segments and modes: 32-bit compatibility code with limits, expand-down and null selectors, far calls between sizes,
   16-bit code, operand and address sizes; then 32-bit protected mode proper. [SDM3 3.4, 5.3, 5.8, 9.8.5] */
#include "guest.inc"

        // Faults of 32-bit code come to the 64-bit handlers. The macro saves the wanted RIP with the label.
        .macro  faults32 vector, error, line, instruction
        movl    $.Lafter\@, recover32
        movl    $\line, line32
        movl    $0, recover_rip + 4
        movl    %esp, recover_rsp
        movl    $recover_to_32, recover_rip
.Lat\@: \instruction
        movl    $0x1000, seen_vector
        movl    $0, recover_rip
.Lafter\@:
        pushl   $.Lat\@
        pushl   $\error
        pushl   $\vector
        lcall   $CODE64, $compare32
.Lback\@:
        addl    $12, %esp
        .endm
#define FAULTS32(vector, error, instruction) faults32 vector, error, __LINE__, instruction

main64: movq    $0x0040f30000000fff + (FREE << 16), %rax // base FREE, limit fff, data, 32-bit, DPL 3
        movq    %rax, gdt + SPARE
        movq    $0x0040970000000fff + (FREE << 16), %rax // expand-down: valid above fff
        movq    %rax, gdt + SPARE + 8
        movq    $0x0040910000000fff + (FREE << 16), %rax // read-only
        movq    %rax, gdt + SPARE + 16
        movq    $0x0040990000000fff + (FREE << 16), %rax // execute-only code
        movq    %rax, gdt + SPARE + 24
        movq    $0x00cf9a000000ffff, %rax                // 32-bit code, not accessed yet
        movq    %rax, gdt + SPARE + 32
        movq    $0x0000970000000fff + (FREE << 16), %rax // expand-down, 16-bit: up to ffff
        movq    %rax, gdt + SPARE + 40
        lcall   *to_32
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movzbl  gdt + SPARE + 32 + 5, %eax
        CHECK(%rax, $0x9b)                      // the far call marked it accessed
        CHECK(reached, $3)
        ret

        .code32
compatibility:
        incl    reached
        movl    $SPARE, %eax
        movl    %eax, %fs
        FAULTS32(GP, 0, "movl %fs:0xffd, %eax")         // 4 bytes reach over the limit
        FAULTS32(GP, 0, "movb %fs:0x1000, %al")
        FAULTS32(0x1000, 0, "movl %fs:0xffc, %eax")
        FAULTS32(GP, 0, "movb %al, %fs:(%esp)")
        movl    $SPARE + 8, %eax
        movl    %eax, %fs
        FAULTS32(GP, 0, "movb %fs:0xfff, %al")
        FAULTS32(0x1000, 0, "movl %fs:0x1000, %eax")
        FAULTS32(GP, 0, "movl %fs:0xffe, %eax")
        movl    $SPARE + 40, %eax
        movl    %eax, %fs
        FAULTS32(0x1000, 0, "movw %fs:0xfffe, %ax")
        FAULTS32(GP, 0, "movw %fs:0xffff, %ax")
        movl    $SPARE + 16, %eax
        movl    %eax, %fs
        FAULTS32(0x1000, 0, "movl %fs:0, %eax")
        FAULTS32(GP, 0, "movl %eax, %fs:0")
        movl    $SPARE + 24, %eax
        FAULTS32(GP, SPARE + 24, "movl %eax, %fs")
        xorl    %eax, %eax
        movl    %eax, %fs
        FAULTS32(GP, 0, "movl %fs:0, %eax")             // null
        xorl    %eax, %eax
        FAULTS32(GP, 0, "movl %eax, %ss")               // not in compatibility mode
        FAULTS32(0x1000, 0, "movl %cs:0, %eax")
        FAULTS32(GP, 0, "movl %eax, %cs:0")
        FAULTS32(UD, 0, ".byte 0x8d, 0xc0")
        // 32-bit code has what 64-bit code has not: INC by 40, PUSH CS, BCD, INTO, BOUND.
        movl    $0x19, %eax
        addb    $0x28, %al
        daa
        cmpb    $0x47, %al
        jne     1f
        .byte   0x40                                    // incl %eax
        cmpb    $0x48, %al
        jne     1f
        incl    reached
1:      movl    $0x7fffffff, %eax
        addl    $1, %eax
        // 16-bit operand and address sizes.
        movl    $FREE, %ebx
        movl    $0x12345678, %eax
        movl    %eax, (%ebx)
        movw    (%ebx), %cx
        cmpw    $0x5678, %cx
        jne     1f
        movl    $0xffff0000 + 0x8000, %ebx
        movl    $0xcafe, 0x8000
        movw    (%bx), %cx                              // 16-bit addressing: the upper half is not used
        cmpw    $0xcafe, %cx
        jne     1f
        incl    reached
1:
        lret
        .code64

// Where the handlers return to with CS = CODE64: back to the 32-bit program.
recover_to_32:
        movl    recover32, %eax
        pushq   $SPARE + 32
        pushq   %rax
        lretq
// From 32-bit code: three words above the far return address: vector, error, EIP.
compare32:
        movl    line32, %r13d
        movl    8(%rsp), %r14d
        movq    seen_vector, %r15
        cmpq    %r14, %r15
        je      1f
        call    report
1:      cmpl    $0x1000, %r14d
        je      3f
        movl    12(%rsp), %r14d
        movq    seen_error, %r15
        cmpq    %r14, %r15
        je      2f
        call    report
2:      movl    16(%rsp), %r14d
        movq    seen_rip, %r15
        cmpq    %r14, %r15
        je      3f
        call    report
3:      lretl

        .data
        .balign 8
to_32:  .long   compatibility
        .word   SPARE + 32, 0
reached: .quad  0
recover32: .quad 0
line32: .quad   0
