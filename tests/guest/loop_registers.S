/* Loops of one block that use r9 to r11, r14 and r15, which a translator may keep elsewhere in later turns: left at their
   end, by a jump out, by a fault in the middle, and by an access that needs a handler, all registers are what they must be.
   What they are is logged at FREE + LOG, so that the engines' memories say whether they agree; sums are checked as well. */
#include "guest.inc"
#include "log.inc"

        .set    DATA_AT, FREE + 0x10000
        .set    U, 0x1400000                    // 2 MiB that are not mapped

        .data
turns:  .quad   0
        .text

main64: movl    $DATA_AT, %edi                  // 0, 3, 6, ... in every eighth byte
        xorl    %eax, %eax
1:      movq    %rax, (%rdi)
        addl    $3, %eax
        addl    $8, %edi
        cmpl    $DATA_AT + 0x10000, %edi
        jb      1b
        movl    $0, pd + 8 * (U >> 21)
        invlpg  U

rounds: incq    turns

        mark_registers
        movl    $DATA_AT, %r9d                  // across pages
        xorl    %r10d, %r10d
        movq    turns, %r11
1:      movq    (%r9), %rax
        addq    %rax, %r10
        leaq    3(%r14,%r10), %r14
        xorq    %r14, %r15
        addq    8(%r9), %r14                    // in turn 31 in the next page
        addq    $264, %r9
        subq    $1, %r11
        jnz     1b
        log_registers
        movq    turns, %rax                     // the sum of 3 * 33 * i for i < turns
        leaq    -1(%rax), %rcx
        imulq   %rcx, %rax
        imulq   $99, %rax
        shrq    $1, %rax
        CHECK(%r10, %rax)

        mark_registers
        movl    $DATA_AT, %r9d                  // a jump out, after as many turns as there have been rounds
        imulq   $3, turns, %r15
        movl    $1000, %r11d
        xorl    %r14d, %r14d
1:      addq    $8, %r9
        movq    (%r9), %r10
        cmpq    %r10, %r15
        je      2f
        addq    $1, %r14
        cmpq    %r11, %r14
        jb      1b
2:      log_registers
        movq    turns, %rcx
        subq    $1, %rcx
        movq    %r14, %rbx
        CHECK(%rbx, %rcx)

        mark_registers
        movl    $DATA_AT, %esi                  // a product with its carries
        movl    $DATA_AT + 0x8000, %ecx
        movabsq $0x9e3779b97f4a7c15, %rdi
        movq    turns, %r8
        leaq    DATA_AT(,%r8,8), %r8
        xorl    %r11d, %r11d
1:      movq    %rdi, %rax
        mulq    (%rsi)
        movq    (%rcx), %r14
        xorl    %r15d, %r15d
        addq    %r14, %rax
        adcq    %r15, %rdx
        addq    %r11, %rax
        adcq    $0, %rdx
        addq    $8, %rsi
        movq    %rax, (%rcx)
        addq    $8, %rcx
        movq    %rdx, %r11
        cmpq    %rsi, %r8
        jne     1b
        log_registers

        mark_registers
        movl    $DATA_AT, %r9d                  // a product between a turn's flags and who looks at them
        movq    turns, %r10
        xorl    %r14d, %r14d
        xorl    %ebx, %ebx
1:      movq    (%r9), %rax
        mulq    %r11
        setnz   %bl
        leaq    1(%r14,%rbx), %r14
        jo      2f
        leaq    8(%r9), %r9
        subq    $1, %r10
        jnz     1b
2:      log_registers

        mark_registers
        movl    $DATA_AT, %r9d                  // the same, and flags that come from memory
        movq    turns, %r10
        movq    %r10, DATA_AT + 0xf000
        xorl    %r14d, %r14d
1:      setb    %bl
        movzbl  %bl, %ebx
        movq    (%r9), %rax
        imulq   (%r9), %r11
        leaq    1(%r14,%rbx), %r14
        leaq    8(%r9), %r9
        cmpq    DATA_AT + 0xf000, %r14
        jb      1b
        log_registers

        mark_registers
        movl    $U, %r9d                        // into a page that is not there
        movq    turns, %rax
        shlq    $3, %rax
        subq    %rax, %r9
        movl    $1000, %r10d
        arm     3f
1:      addq    $5, %r14
        movq    (%r9), %r11
        addq    %r14, %r15
        addq    $8, %r9
        subq    $1, %r10
        jnz     1b
        missed
3:      log_registers
        CHECK(seen_vector, $PF)
        CHECK(seen_cr2, $U)

        mark_registers
        movl    $LAPIC + 0x20, %r9d             // a device, in every turn
        movq    turns, %r10
1:      movl    (%r9), %r11d
        leaq    1(%r14,%r11), %r14
        subq    $1, %r10
        jnz     1b
        log_registers

        mark_registers
        movq    turns, %r10                     // parts of registers, the stack
1:      addb    $3, %r9b
        movw    %r9w, %r14w
        pushq   %r14
        popq    %r15
        shll    $1, %r11d
        subl    $1, %r10d
        jnz     1b
        log_registers

        mark_registers
        movq    turns, %r10                     // all of them
1:      addq    %rax, %rcx
        addq    %rcx, %rdx
        addq    %rdx, %rbx
        addq    %rbx, %rbp
        addq    %rbp, %rsi
        addq    %rsi, %rdi
        addq    %rdi, %r8
        addq    %r8, %r9
        addq    %r9, %r11
        addq    %r11, %r12
        addq    %r12, %r13
        addq    %r13, %r14
        addq    %r14, %r15
        addq    %r15, %rax
        subq    $1, %r10
        jnz     1b
        log_registers

        cmpq    $60, turns
        jb      rounds
        ret
