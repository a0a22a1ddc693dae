/* Faults at every kind of instruction, in code that has run often: all registers, RFLAGS, the vector registers and memory are
   what they were before the instruction, or, for what may stop in the middle, at the point that it had reached.

   A case is a body: some instructions whose flags are live, the one that faults, and more that must not have run. It runs
   GOOD_ROUNDS times with a pointer that does no harm, then by turns with a bad and the good one, in ring 0 and in ring 3. What
   the handler must find comes from running the first part alone. A failure is printed as line * 100 + item: 0 to 15 the
   registers, 16 RIP, 17 RFLAGS, 18 the vector, 19 its error code, 20 CR2, 21 vector registers, 22 memory.
   [SDM3 6.5, 6.15], [APM2 8.2] */
#include "guest.inc"

        .set    GOOD_ROUNDS, 24
        .set    ROUNDS, 40
        .set    GOOD, FREE + 0x1080             // far from a page's ends
        .set    STACK, FREE + 0x3800
        .set    U, 0x1400000                    // 2 MiB that are not mapped
        .set    UEND, 0x1600000
        .set    RO, 0x1a00000                   // 2 MiB that can't be written
        .set    BAD, 0x8000000000000000         // not canonical
        .set    NOWHERE, 0xdead                 // no CR2

        .set    RAX, 0
        .set    RCX, 1
        .set    RDX, 2
        .set    RBX, 3
        .set    RSP, 4
        .set    RBP, 5
        .set    RSI, 6
        .set    RDI, 7
        .set    R8, 8
        .set    R11, 11
        .set    R13, 13
        .set    R14, 14

        .set    FAULT, 0x10000                  // what RFLAGS gets in the frame: RF
        .set    TRAP, 0

// rings: 1, 2 or 3 (both). raw: good and bad are numbers, not addresses in the ring's mapping. at: where RIP must be; 0: at
// the instruction, 1: behind it, else an address. extra: what the reference runs besides the first part.
        .macro  precise line, vector, error, cr2, reg, good, bad, first, instruction, extra="", rings=3, raw=0, at=0, rf=FAULT
        movl    $\line, d_line
        movq    $\vector, d_vector
        movq    $\error, d_error
        movq    $\cr2, %rax
        movq    %rax, d_cr2
        movq    $\reg, d_reg
        movq    $\good, %rax
        movq    %rax, d_good
        movq    $\bad, %rax
        movq    %rax, d_bad
        movq    $.Lbody\@, d_body
        movq    $.Lreference\@, d_reference
        movq    $\rf, d_rf
        movq    $\raw, d_raw
        .if     \at == 0
        movq    $.Lat\@, d_at
        .elseif \at == 1
        movq    $.Lbehind\@, d_at
        .else
        movq    $\at, %rax
        movq    %rax, d_at
        .endif
        movl    $\rings, %eax
        call    run_case
        jmp     .Lnext\@
.Lreference\@:
        \first
        \extra
        jmp     body_done
        // In a block of its own: in the reference the jump saw to that.
.Lbody\@:
        \first
.Lat\@: \instruction
.Lbehind\@:
        notq    %rax
        leaq    1(%rcx, %rdx), %rcx
        xorq    %rcx, %rdx
        incq    %rbx
        notq    %rbp
        subq    $5, %rsi
        decq    %rdi
        notq    %r8
        negq    %r9
        addq    %r8, %r10
        notq    %r11
        incq    %r12
        notq    %r13
        notq    %r14
        incq    %r15
        jmp     body_done
.Lnext\@:
        .endm

#define FLAGS "addq %r8, %r9 ; sbbq %r10, %r12"

// A load at (%rdi): no page, not canonical; with its base in a register that the translator keeps in memory, too.
#define LOADS(instruction, bytes) \
        precise __LINE__, PF, 0, U, RDI, GOOD, U, FLAGS, instruction ; \
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, BAD, FLAGS, instruction ; \
        precise __LINE__, PF, 0, U, RDI, GOOD, U-(bytes)+1, FLAGS, instruction
#define WRITES(instruction, bytes) \
        precise __LINE__, PF, 2, U, RDI, GOOD, U, FLAGS, instruction ; \
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, FLAGS, instruction ; \
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, BAD, FLAGS, instruction ; \
        precise __LINE__, PF, 2, U, RDI, GOOD, U-(bytes)+1, FLAGS, instruction

// A load behind flags that are live.
#define AFTER(first) precise __LINE__, PF, 0, U, RDI, GOOD, U, first, "movq (%rdi), %rax"

main64: movl    $0, pd + 8 * (U >> 21)
        movl    $0, user_pd + 8 * (U >> 21)
        andl    $~2, pd + 8 * (RO >> 21)
        andl    $~2, user_pd + 8 * (RO >> 21)
        movq    %cr3, %rax
        movq    %rax, %cr3
        movq    %cr0, %rax
        orl     $0x40000, %eax                  // AM
        movq    %rax, %cr0
        movq    %cr4, %rax
        orl     $0x40000, %eax                  // OSXSAVE
        movq    %rax, %cr4
        xorl    %ecx, %ecx
        movl    $7, %eax
        xorl    %edx, %edx
        xsetbv
        // Every vector on the IST's stack: RSP may be anything.
        xorl    %ecx, %ecx
1:      movl    %ecx, %edi
        movl    %ecx, %eax
        shll    $4, %eax
        addl    $exact_stubs, %eax
        movl    $0x8e01, %edx
        call    set_gate
        incl    %ecx
        cmpl    $129, %ecx
        jne     1b
        movb    $0xee, idt + 16 * BP + 5
        movb    $0xee, idt + 16 * SYSTEM + 5
        call    loads
        call    writes
        call    changes
        call    stack_cases
        call    branches
        call    string_cases
        call    vector_cases
        call    group_cases
        call    kept_flags
        call    number_cases
        call    alignment_cases
        ret

loads:  LOADS("movq (%rdi), %rax", 8)
        LOADS("movl (%rdi), %ecx", 4)
        LOADS("movw (%rdi), %dx", 2)
        LOADS("movzwl (%rdi), %r11d", 2)
        LOADS("movslq (%rdi), %r13", 4)
        LOADS("movbeq (%rdi), %rax", 8)
        LOADS("addq (%rdi), %rbx", 8)
        LOADS("adcq (%rdi), %r9", 8)
        LOADS("cmpq %r11, (%rdi)", 8)
        LOADS("testl $0x1234, (%rdi)", 4)
        LOADS("cmovcq (%rdi), %rdi", 8)
        LOADS("imulq (%rdi), %rdi", 8)
        LOADS("mulq (%rdi)", 8)
        LOADS("btq $5, (%rdi)", 8)
        LOADS("bsfq (%rdi), %r14", 8)
        LOADS("popcntq (%rdi), %rdi", 8)
        LOADS("andnq (%rdi), %rax, %rdi", 8)
        LOADS("shlxq %rcx, (%rdi), %rdi", 8)
        LOADS("crc32q (%rdi), %rdi", 8)
        // Flags that are known, since a jump has not been taken, or has.
        AFTER("movq %r8, %rbx ; cmpq %rbx, %r8 ; jne body_done ; movl $7, %ebx")
        AFTER("subq %rcx, %rcx ; jnz body_done ; leaq 5(%rdx), %rcx")
        AFTER("andl $0, %r14d ; jnz body_done ; movl $9, %r14d")
        AFTER("movb $0, %dl ; testb %dl, %dl ; movl %ecx, %ebx ; jne body_done ; movl %ecx, %edx")
        AFTER("xorl %ebx, %ebx ; negw %bx ; jnz body_done ; movl %ecx, %ebx")
        AFTER("pushq %rdx ; cmpq %rdx, (%rsp) ; leaq 8(%rsp), %rsp ; jne body_done ; movl %ecx, %edx")
        AFTER("cmpq %r9, %r9 ; je 77f ; jmp body_done ; 77:")
        AFTER("xorl %ebx, %ebx ; testl %ebx, %ebx ; jz 77f ; jmp body_done ; 77: movl %ecx, %ebx")
        // Flags of what has been overwritten.
        AFTER("cmpq %r8, %r9 ; movq %r10, %r8")
        AFTER("cmpq %rdx, %rbx ; leaq 3(%rbx), %rbx")
        AFTER("cmpq %rdx, %rbx ; movl %ecx, %ebx ; movl %ecx, %edx")
        AFTER("cmpw %dx, %bx ; movl %ecx, %edx ; movl %ecx, %ebx")
        AFTER("cmpb $-5, %bl ; movl %ecx, %ebx")
        AFTER("cmpq $0x12345678, %rbx ; movl %ecx, %ebx")
        AFTER("cmpq %r14, %r15 ; movl $1, %r14d ; movl $2, %r15d")
        AFTER("cmpq %rbx, %rbx ; movl %ecx, %ebx")
        AFTER("testq %rdx, %rbx ; movl %ecx, %edx")
        AFTER("testl %ebx, %ebx ; movl %ecx, %ebx")
        AFTER("testw $0x8001, %bx ; movl %ecx, %ebx")
        AFTER("subq %rdx, %rbx ; movl %ecx, %ebx")
        AFTER("subl %edx, %ebx ; movl %ecx, %edx ; movl %ecx, %ebx")
        AFTER("addq %rdx, %rbx ; movl %ecx, %edx")
        AFTER("addb $-3, %bl ; movl %ecx, %ebx")
        AFTER("negq %rbx ; movl %ecx, %ebx")
        AFTER("btsq $63, %rbx ; addq %rbx, %rbx ; movl %ecx, %ebx")
        AFTER("movb $0x88, %bl ; addb %bl, %bl ; movl %ecx, %ebx")
        AFTER("movl $0xc0000000, %r14d ; addl %r14d, %r14d ; movl %ecx, %r14d")
        AFTER("subq %rbx, %rbx ; movl %ecx, %ebx")
        AFTER("orq %rdx, %rbx ; movl %ecx, %ebx ; movl %ecx, %edx")
        AFTER("pushq %rbx ; cmpq %rdx, (%rsp) ; leaq 8(%rsp), %rsp ; movl %ecx, %edx")
        AFTER("pushq %rbx ; addq %rdx, (%rsp) ; leaq 8(%rsp), %rsp ; movl %ecx, %edx")
        AFTER("cmpq %rdx, %rbx ; movl %ecx, %ebx ; setle %bl ; movl %ecx, %edx")
        // A jump, and an addition, that look at them behind a check.
        AFTER("btsq $63, %rbx ; addq %rbx, %rbx ; movq (%rsp), %rbx ; movl $1, %ebx ; jnc body_done ; adcq %rdx, %rdx")
        AFTER("cmpq %rdx, %rbx ; movl %ecx, %edx ; pushq %rbx ; popq %rbx ; movl $1, %ebx ; setb %bl ; adcq %rdx, %rdx")
        precise __LINE__, PF, 0, U+16, R13, GOOD, U, FLAGS, "movq 16(%r13), %r13"
        precise __LINE__, PF, 0, U+24, R14, 3, (U+24-GOOD)/8, "movl $GOOD, %eax", "movl (%rax, %r14, 8), %r15d", "", 1, 1
        precise __LINE__, GP, 0, NOWHERE, R14, GOOD, BAD, FLAGS, "movb -1(%r14), %r14b"
        precise __LINE__, SS, 0, NOWHERE, RBP, GOOD, BAD, FLAGS, "movq (%rbp), %rbp"
        precise __LINE__, SS, 0, NOWHERE, RSP, STACK, BAD, FLAGS, "addq 8(%rsp), %rax"
        ret

writes: WRITES("movq %rax, (%rdi)", 8)
        WRITES("movl $0x11223344, (%rdi)", 4)
        WRITES("movw %r13w, (%rdi)", 2)
        WRITES("movbel %edx, (%rdi)", 4)
        WRITES("movntiq %r11, (%rdi)", 8)
        WRITES("movw %cs, (%rdi)", 2)
        precise __LINE__, PF, 3, RO+5, RDI, GOOD, RO, FLAGS, "setc 5(%rdi)"
        precise __LINE__, PF, 2, U, RBX, GOOD, U, FLAGS, "movb %ah, (%rbx)"
        precise __LINE__, SS, 0, NOWHERE, RBP, GOOD, BAD, FLAGS, "movq %rax, (%rbp)"
        ret

changes:
        WRITES("addq %rax, (%rdi)", 8)
        WRITES("sbbl $7, (%rdi)", 4)
        WRITES("incw (%rdi)", 2)
        WRITES("negq (%rdi)", 8)
        WRITES("shrq $3, (%rdi)", 8)
        WRITES("rclq $1, (%rdi)", 8)
        WRITES("shldq $9, %rax, (%rdi)", 8)
        WRITES("btsq $11, (%rdi)", 8)
        WRITES("lock btrq $11, (%rdi)", 8)
        WRITES("xchgq %rdi, (%rdi)", 8)
        WRITES("lock xaddq %rdi, (%rdi)", 8)
        WRITES("lock cmpxchgq %rdx, (%rdi)", 8)
        WRITES("lock cmpxchg8b (%rdi)", 8)
        WRITES("lock decl (%rdi)", 4)
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, FLAGS, "lock cmpxchg16b (%rdi)"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, GOOD+8, FLAGS, "cmpxchg16b (%rdi)"
        precise __LINE__, PF, 2, U+0x20000, RAX, 0x40, (U+0x20000-GOOD)*8, "movl $GOOD, %edi", "btcq %rax, (%rdi)", "", 1, 1
        ret

stack_cases:
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, FLAGS, "pushq %rax"
        precise __LINE__, PF, 2, UEND-4, RSP, STACK, UEND+4, FLAGS, "pushq %r13"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, FLAGS, "pushq $7"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, FLAGS, "pushfq"
        precise __LINE__, PF, 2, UEND-2, RSP, STACK, UEND, FLAGS, "pushw %ax"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, FLAGS, "enter $32, $0"
        precise __LINE__, PF, 3, RO+8, RSP, STACK, RO+16, FLAGS, "pushq %rsp"
        precise __LINE__, SS, 0, NOWHERE, RSP, STACK, BAD, FLAGS, "pushq %rax"
        precise __LINE__, SS, 0, NOWHERE, RSP, STACK, 0x0000800000000004, FLAGS, "pushq %rax", "", 1, 1
        precise __LINE__, PF, 0, U, RDI, GOOD, U, FLAGS, "pushq (%rdi)"
        precise __LINE__, PF, 0, U, RSP, STACK, U, FLAGS, "popq %rax"
        precise __LINE__, PF, 0, U, RSP, STACK, U-3, FLAGS, "popq %r14"
        precise __LINE__, PF, 0, U, RSP, STACK, U, FLAGS, "popq %rsp ; movl $STACK, %esp"
        precise __LINE__, SS, 0, NOWHERE, RSP, STACK, BAD, FLAGS, "popq %rcx"
        precise __LINE__, PF, 2, U, RDI, GOOD, U, FLAGS, "popq (%rdi)"
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, FLAGS, "popq (%rdi)"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, BAD, FLAGS, "popq (%rdi)"
        precise __LINE__, PF, 0, U, RBP, STACK, U, FLAGS, "leave"
        precise __LINE__, SS, 0, NOWHERE, RBP, STACK, BAD, FLAGS, "leave"
        ret

branches:
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, FLAGS, "call 7f ; 7:"
        precise __LINE__, SS, 0, NOWHERE, RSP, STACK, BAD, FLAGS, "call 7f ; 7:"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND, "leaq 7f(%rip), %rdx", "call *%rdx ; 7:"
        precise __LINE__, PF, 0, U, RDI, to_return, U, FLAGS, "call *(%rdi)", "", 1
        precise __LINE__, PF, 0, U, RDI, to_done, U, FLAGS, "jmp *(%rdi)", "", 1
        precise __LINE__, GP, 0, NOWHERE, RDI, return, BAD, FLAGS, "call *%rdi"
        precise __LINE__, GP, 0, NOWHERE, RDI, body_done, BAD, FLAGS, "jmp *%rdi"
        precise __LINE__, GP, 0, NOWHERE, R13, body_done, BAD, FLAGS, "jmp *%r13"
        precise __LINE__, PF, 0x10, U, RDI, body_done, U, FLAGS, "jmp *%rdi", "", 3, 0, U
        precise __LINE__, PF, 0x10, U, RDI, return, U, FLAGS, "call *%rdi", "leaq -8(%rsp), %rsp", 3, 0, U
        precise __LINE__, PF, 0x10, U, RDI, body_done, U, "movq %rdi, (%rsp)", "ret", "leaq 8(%rsp), %rsp", 3, 0, U
        precise __LINE__, GP, 0, NOWHERE, RDI, body_done, BAD, "movq %rdi, (%rsp) ; addq %r8, %r9", "ret"
        precise __LINE__, GP, 0, NOWHERE, RDI, body_done, BAD, "movq %rdi, (%rsp) ; addq %r8, %r9", "ret $16"
        precise __LINE__, PF, 0, U, RSP, to_done, U, FLAGS, "ret", "", 1
        precise __LINE__, SS, 0, NOWHERE, RSP, to_done, BAD, FLAGS, "ret", "", 1
        ret

// Repeated ones stop in the middle: the reference runs as many iterations as there is room for.
string_cases:
        precise __LINE__, PF, 2, U, RDI, GOOD, U-100, "movl $GOOD, %esi ; movl $200, %ecx ; addq %r8, %r9", \
                "rep movsb", "movl $100, %ecx ; rep movsb ; movl $100, %ecx", 1
        precise __LINE__, PF, 0, U, RSI, GOOD, U-80, "movl $(GOOD + 512), %edi ; movl $20, %ecx ; addq %r8, %r9", \
                "rep movsq", "movl $10, %ecx ; rep movsq ; movl $10, %ecx", 1
        precise __LINE__, PF, 2, U, RDI, GOOD, U-36, "movl $20, %ecx ; addq %r8, %r9", \
                "rep stosl", "movl $9, %ecx ; rep stosl ; movl $11, %ecx"
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, "movl $20, %ecx ; addq %r8, %r9", "rep stosq"
        precise __LINE__, PF, 2, UEND-1, RDI, GOOD, UEND+9, "std ; movl $20, %ecx ; addq %r8, %r9", \
                "rep stosb ; cld", "movl $10, %ecx ; rep stosb ; movl $10, %ecx"
        // Of the element over the edge nothing is stored.
        precise __LINE__, PF, 2, U, RDI, GOOD, U-13, "movl $20, %ecx ; addq %r8, %r9", \
                "rep stosq", "movl $1, %ecx ; rep stosq ; movl $19, %ecx"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, BAD, "movl $20, %ecx ; addq %r8, %r9", "rep stosb"
        precise __LINE__, PF, 0, U, RSI, GOOD, U, FLAGS, "lodsq"
        precise __LINE__, PF, 2, U, RDI, GOOD, U, FLAGS, "stosq"
        precise __LINE__, PF, 0, U, RSI, GOOD, U-3, "movl $(GOOD + 512), %edi ; addq %r8, %r9", "movsq", "", 1
        precise __LINE__, PF, 2, U, RDI, GOOD, U-3, "movl $(GOOD + 512), %esi ; addq %r8, %r9", "movsq", "", 1
        precise __LINE__, PF, 0, U, RDI, GOOD, U, FLAGS, "scasq"
        precise __LINE__, PF, 0, U, RSI, GOOD, U, "movl $(GOOD + 512), %edi ; addq %r8, %r9", "cmpsb", "", 1
        // The flags are those of the last iteration that was complete.
        precise __LINE__, PF, 0, U, RSI, GOOD, U-16, "movl $(GOOD + 512), %edi ; movl $200, %ecx ; addq %r8, %r9", \
                "repe cmpsb", "movl $16, %ecx ; repe cmpsb ; movl $184, %ecx", 1
        precise __LINE__, PF, 0, U, RDI, GOOD, U-24, "movq (%rdi), %rax ; movl $20, %ecx ; addq %r8, %r9", \
                "repe scasq", "movl $3, %ecx ; repe scasq ; movl $17, %ecx"
        ret

vector_cases:
        LOADS("movups (%rdi), %xmm0", 16)
        LOADS("movdqu (%rdi), %xmm9", 16)
        LOADS("movsd (%rdi), %xmm1", 8)
        LOADS("movss (%rdi), %xmm1", 4)
        LOADS("movhps (%rdi), %xmm1", 8)
        LOADS("movd (%rdi), %xmm2", 4)
        LOADS("pinsrw $3, (%rdi), %xmm2", 2)
        LOADS("pmovzxbw (%rdi), %xmm2", 8)
        LOADS("cvtsi2sdq (%rdi), %xmm3", 8)
        LOADS("addsd (%rdi), %xmm3", 8)
        LOADS("comisd (%rdi), %xmm3", 8)
        LOADS("ptest (%rdi), %xmm3", 1)
        LOADS("vmovdqu (%rdi), %ymm4", 32)
        LOADS("vpaddd (%rdi), %ymm4, %ymm5", 32)
        LOADS("vbroadcastss (%rdi), %ymm5", 4)
        LOADS("vfmadd231ps (%rdi), %ymm4, %ymm5", 32)
        LOADS("vlddqu (%rdi), %ymm4", 32)
        LOADS("vinserti128 $1, (%rdi), %ymm4, %ymm4", 16)
        precise __LINE__, PF, 0, U, RDI, GOOD, U, FLAGS, "movaps (%rdi), %xmm0"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, GOOD+8, FLAGS, "movaps (%rdi), %xmm0"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, U-8, FLAGS, "paddd (%rdi), %xmm0"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, GOOD+16, FLAGS, "vmovaps (%rdi), %ymm0"
        precise __LINE__, GP, 0, NOWHERE, RDI, GOOD, GOOD+1, FLAGS, "movntdq %xmm0, (%rdi)"
        WRITES("movups %xmm0, (%rdi)", 16)
        WRITES("movq %xmm1, (%rdi)", 8)
        WRITES("movhpd %xmm1, (%rdi)", 8)
        WRITES("pextrd $1, %xmm1, (%rdi)", 4)
        WRITES("vmovdqu %ymm7, (%rdi)", 32)
        WRITES("vextracti128 $1, %ymm7, (%rdi)", 16)
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, FLAGS, "movaps %xmm0, (%rdi)"
        // Masked: an element that is not wanted does not fault; one that is stops all of them.
        precise __LINE__, PF, 0, U, RDI, GOOD, U-8, "movl $maskq, %eax ; vmovdqu (%rax), %xmm6 ; addq %r8, %r9", \
                "vpmaskmovq (%rdi), %xmm6, %xmm7", "", 1
        precise __LINE__, PF, 2, U, RDI, U-8, U-4, "movl $maskd, %eax ; vmovdqu (%rax), %xmm6 ; addq %r8, %r9", \
                "vmaskmovps %xmm0, %xmm6, (%rdi)", "", 1
        precise __LINE__, PF, 2, U, RDI, GOOD, U-4, "vpcmpeqd %ymm6, %ymm6, %ymm6 ; addq %r8, %r9", "vmaskmovps %ymm0, %ymm6, (%rdi)"
        precise __LINE__, PF, 2, U, RDI, GOOD, U-4, "pcmpeqd %xmm6, %xmm6 ; addq %r8, %r9", "maskmovdqu %xmm6, %xmm0"
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "vpxor %xmm6, %xmm6, %xmm6 ; vpcmpeqd %xmm7, %xmm7, %xmm7 ; addq %r8, %r9", \
                "vpgatherdd %xmm7, (%rdi, %xmm6, 4), %xmm0"
        // A gather keeps the elements that it has, and takes them out of its mask.
        precise __LINE__, PF, 0, U, RDI, GOOD, U-8, \
                "movl $gather_index, %eax ; vmovdqu (%rax), %xmm6 ; vpcmpeqd %xmm7, %xmm7, %xmm7 ; vmovdqa %xmm0, %xmm0 ; addq %r8, %r9", \
                "vpgatherdd %xmm7, (%rdi, %xmm6, 4), %xmm0", \
                "vmovdqu 16(%rax), %xmm7 ; vpgatherdd %xmm7, (%rdi, %xmm6, 4), %xmm0 ; vmovdqu 32(%rax), %xmm7", 1
        // x87 and whole areas.
        LOADS("fldl (%rdi) ; fninit", 8)
        WRITES("fnstcw (%rdi)", 2)
        precise __LINE__, PF, 2, U, RDI, GOOD, U, "fld1 ; addq %r8, %r9", "fstpl (%rdi) ; fninit"
        // A Zen asks for the area's last byte first.
        precise __LINE__, PF, 2, U+255, RDI, GOOD, U-256, FLAGS, "fxsave (%rdi)"
        precise __LINE__, PF, 2, U+575, RDI, GOOD&-64, U-256, "movl $7, %eax ; xorl %edx, %edx", "xsave (%rdi)"
        ret

// Accesses off one base, which one check clears when they lie in one page: the one in the middle is beyond it.
group_cases:
        precise __LINE__, PF, 0, U, RDI, GOOD, U-16, "movq (%rdi), %rax ; addq 8(%rdi), %rax", \
                "adcq 16(%rdi), %rdx ; movq 24(%rdi), %rbx ; movq (%rdi), %r9"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-20, "movq (%rdi), %rax ; addq 8(%rdi), %rax", \
                "cmpq 16(%rdi), %rdx ; movq 24(%rdi), %rbx"
        precise __LINE__, PF, 2, U, RDI, GOOD, U-16, "movq %rax, (%rdi) ; addq %rcx, 8(%rdi)", \
                "movq %rdx, 16(%rdi) ; movq %rbx, 24(%rdi)"
        precise __LINE__, PF, 3, RO+8, RDI, GOOD, RO, "movq (%rdi), %rax ; subq %rax, %rdx", \
                "movq %rdx, 8(%rdi) ; movq 16(%rdi), %rbx"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND+16, "pushq %rax ; addq %r8, %r9 ; pushq %r13", \
                "pushq %rcx ; pushq %rdx"
        precise __LINE__, PF, 0, U, RSP, STACK, U-16, "popq %rax ; addq %r8, %r9 ; popq %r13", "popq %rcx ; popq %rdx"
        precise __LINE__, PF, 0, U+4, R13, GOOD, U-12, "movl (%r13), %eax ; addq $8, %r13 ; subl (%r13), %eax ; leaq 4(%r13), %r13", \
                "addl 4(%r13), %eax ; movl 8(%r13), %ecx"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-32, "movups (%rdi), %xmm0 ; addps 16(%rdi), %xmm1 ; addq %r8, %r9", \
                "mulps 32(%rdi), %xmm1 ; movups %xmm1, 48(%rdi)"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-8, "decq (%rdi) ; incq %r9", "xorq 8(%rdi), %rax ; incq (%rdi)"
        precise __LINE__, SS, 0, NOWHERE, RBP, GOOD, BAD, "addq %r8, %r9", "movq (%rbp), %rax ; movq 8(%rbp), %rcx ; movq 16(%rbp), %rdx"
        precise __LINE__, PF, 0, UEND-4, RBP, GOOD, UEND+8, "movl (%rbp), %eax ; movl -8(%rbp), %ecx ; addl %ecx, %eax", \
                "movl -12(%rbp), %edx ; movl 4(%rbp), %ebx"
        // The check may stand before what makes the flags.
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "mulq %rcx", "movq (%rdi), %rbx ; xorq %rax, %rax ; movq 8(%rdi), %r9"
        precise __LINE__, PF, 0, U+8, RDI, GOOD, U, "addq %rcx, %rax ; adcq %rdx, %rbx", "movq 8(%rdi), %r9 ; movq %rax, (%rdi)"
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, "imulq %rcx, %rax ; movq 8(%rdi), %r9", "movq %rax, (%rdi)"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-8, "movq %r8, %rax ; mulq %rdx ; movq (%rdi), %rbx ; adcq %rcx, %rbx", \
                "adcq 8(%rdi), %rax ; movq %rax, (%rdi)"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND+8, "imulq %rdx, %rax ; pushq %rax", "pushq %rcx ; pushq %rdx"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-16, "mulq %rcx ; leaq 8(%rdi), %rdi ; decq %r8", \
                "movq 8(%rdi), %rbx ; movq 16(%rdi), %r9"
        ret

// Instructions that leave some flags as they were: those are from before the body.
kept_flags:
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "incq %r9", "movq (%rdi), %rax"
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "rolq $3, %r9", "addq (%rdi), %rax"
        precise __LINE__, PF, 2, U, RDI, GOOD, U, "xorl %ecx, %ecx ; shlq %cl, %r9", "movq %rax, (%rdi)"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-8, "movq (%rdi), %rax ; decq %r9", "movq 8(%rdi), %rdx"
        precise __LINE__, PF, 2, U, RDI, GOOD, U-8, "addq %rax, (%rdi) ; incl %r9d ; btq $3, %r8", "movq %rdx, 8(%rdi)"
        precise __LINE__, PF, 0, U, RDI, GOOD, U-4, "negl (%rdi) ; rorl $1, %r9d", "adcl 4(%rdi), %edx"
        precise __LINE__, PF, 2, UEND-8, RSP, STACK, UEND+8, "subq %rax, %rdx ; pushq %rax ; decq %r9", "pushq %rdx"
        // RSP has been moved on where nobody looked at it.
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "pushq %rax ; movq %rcx, %rdx ; pushq %rbx ; subq $24, %rsp ; xorl %esi, %esi ; pushq %r13 ; addq %r8, %r9", \
                "movq (%rdi), %rax"
        precise __LINE__, PF, 2, U, RDI, GOOD, U, "popq %rax ; leaq 8(%rcx), %rdx ; popq %rbx ; addq $40, %rsp ; cmpq %rcx, %rdx", "addq %rax, (%rdi)"
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "pushq %rax ; cmpq %rax, %rax ; jne body_done ; pushq %rbx ; decl %ecx", "subq (%rdi), %rax"
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "pushq %rax ; pushq %rcx ; movq 8(%rsp), %rbx ; popq %rdx ; movq %rdx, (%rsp) ; testl %ecx, %ecx", "pushq (%rdi)"
        precise __LINE__, PF, 3, RO, RDI, GOOD, RO, "pushq %rax ; subq $64, %rsp ; movq %rbx, 8(%rsp) ; addq $16, %rsp ; orl %ecx, %edx", "movb %ah, (%rdi)"
        ret

number_cases:
        precise __LINE__, DE, 0, NOWHERE, RDI, 7, 0, "xorl %edx, %edx ; addq %r8, %r9", "divq %rdi", "", 3, 1
        precise __LINE__, DE, 0, NOWHERE, RDX, 0, 9, "movl $3, %ecx ; addq %r8, %r9", "divl %ecx", "", 3, 1
        precise __LINE__, DE, 0, NOWHERE, R13, 7, -1, "movabsq $0x8000000000000000, %rax ; cqto ; addq %r8, %r9", "idivq %r13", "", 3, 1
        precise __LINE__, DE, 0, NOWHERE, RCX, 7, 0, "movl $5, %eax ; addq %r8, %r9", "divb %cl", "", 3, 1
        precise __LINE__, PF, 0, U, RDI, GOOD, U, "xorl %edx, %edx ; addq %r8, %r9", "divq (%rdi)"
        precise __LINE__, XM, 0, NOWHERE, RAX, 0x3f800000, 0, \
                "movd %eax, %xmm0 ; movl $0x3f800000, %eax ; movd %eax, %xmm1 ; ldmxcsr unmasked ; addq %r8, %r9", "divss %xmm0, %xmm1", "", 1, 1
        precise __LINE__, MF, 0, NOWHERE, RAX, 0x37f, 0x37b, \
                "movw %ax, -8(%rsp) ; fldcw -8(%rsp) ; fldz ; fld1 ; fdiv %st(1), %st ; addq %r8, %r9", "fwait ; fninit", "", 3, 1
        precise __LINE__, MF, 0, NOWHERE, RAX, 0x37f, 0x37b, \
                "movw %ax, -8(%rsp) ; fldcw -8(%rsp) ; fldz ; fld1 ; fdiv %st(1), %st ; addq %r8, %r9", "fldl (%rsp) ; fninit", "", 3, 1
        // Single step: the trap comes behind one instruction.
        precise __LINE__, DB, 0, NOWHERE, RAX, 0x2, 0x102, \
                "pushq %rax ; popfq", "addq %r8, %r9", "addq %r8, %r9", 3, 1, 1, TRAP
        precise __LINE__, GP, 0, NOWHERE, RCX, 0x10, 0xdead, FLAGS, "rdmsr", "", 1, 1
        precise __LINE__, UD, 0, NOWHERE, RAX, 1, 0, "testq %rax, %rax ; jnz 7f ; addq %r8, %r9", "ud2 ; 7:", "", 3, 1
        precise __LINE__, BP, 0, NOWHERE, RAX, 1, 0, "testq %rax, %rax ; jnz 7f ; addq %r8, %r9", "int3 ; 7:", "", 3, 1, 1, TRAP
        ret

// RFLAGS.AC in ring 3.
#define CHECKED "pushfq ; orq $0x40000, (%rsp) ; popfq ; addq %r8, %r9"
alignment_cases:
        precise __LINE__, AC, 0, NOWHERE, RDI, GOOD, GOOD+1, CHECKED, "movq (%rdi), %rax", "", 2
        precise __LINE__, AC, 0, NOWHERE, RDI, GOOD, GOOD+2, CHECKED, "movl %eax, (%rdi)", "", 2
        precise __LINE__, AC, 0, NOWHERE, RDI, GOOD, GOOD+4, CHECKED, "lock addq %rax, (%rdi)", "", 2
        precise __LINE__, AC, 0, NOWHERE, RDI, STACK, STACK-12, "movq %rdi, %rsp ; andq $-8, %rsp ; pushfq ; orq $0x40000, (%rsp) ; popfq ; movq %rdi, %rsp ; addq %r8, %r9", \
                "pushq %rax", "", 2
        ret

body_done:
        int     $SYSTEM
return: ret

run_case:
        movl    %eax, d_rings
        testl   $1, %eax
        jz      1f
        movq    $0, base
        movq    $CODE64, d_cs
        movq    $DATA, d_ss
        call    run_ring
1:      testl   $2, d_rings
        jz      1f
        movq    user_base, %rax
        movq    %rax, base
        movq    $USER_CODE64, d_cs
        movq    $USER_DATA, d_ss
        call    run_ring
1:      ret

run_ring:
        movl    $0, d_round
1:      xorl    %eax, %eax
        cmpl    $GOOD_ROUNDS, d_round
        jb      2f
        testl   $3, d_round
        setz    %al
2:      movl    %eax, d_is_bad
        testl   %eax, %eax
        jz      3f
        call    prepare
        movq    d_reference, %rax
        call    launch
        call    keep_expected
3:      call    prepare
        movq    d_body, %rax
        call    launch
        call    compare
        incl    d_round
        cmpl    $ROUNDS, d_round
        jb      1b
        ret

// Registers, flags and memory of this round.
prepare:
        movl    $15, %ecx
        movabsq $0x0123456789abcdef, %rdx
        movl    d_round, %eax
        addq    %rax, %rdx
1:      leal    1(%rcx), %eax
        imulq   %rdx, %rax
        movq    %rax, start(, %rcx, 8)
        decl    %ecx
        jns     1b
        movq    $STACK, %rax
        addq    base, %rax
        movq    %rax, start + 8 * RSP
        movq    d_good, %rax
        cmpl    $0, d_is_bad
        je      1f
        movq    d_bad, %rax
1:      cmpq    $0, d_raw
        jne     1f
        addq    base, %rax
1:      movq    d_reg, %rcx
        movq    %rax, start(, %rcx, 8)
        movl    d_round, %eax
        shrl    $2, %eax
        imull   $0x49d, %eax, %eax
        andl    $0x8d5, %eax
        orl     $2, %eax
        movq    %rax, start_flags
        movq    %rdx, %rax
        movl    $GOOD, %edi
        movl    $128, %ecx
        rep stosq
        movl    $(U - 128), %edi
        movl    $16, %ecx
        rep stosq
        movl    $UEND, %edi
        movl    $16, %ecx
        rep stosq
        ret

// To rax in the ring, with the round's registers; comes back from the handler.
launch: addq    base, %rax
        movq    %rsp, launch_rsp
        pushq   d_ss
        pushq   start + 8 * RSP
        pushq   start_flags
        pushq   d_cs
        pushq   %rax
        .irp    number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu vectors + 32 * \number, %ymm\number
        .endr
        movq    start + 8 * 0, %rax
        movq    start + 8 * 1, %rcx
        movq    start + 8 * 2, %rdx
        movq    start + 8 * 3, %rbx
        movq    start + 8 * 5, %rbp
        movq    start + 8 * 6, %rsi
        movq    start + 8 * 7, %rdi
        .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
        movq    start + 8 * \number, %r\number
        .endr
        iretq

        .balign 16
exact_stubs:
        .set    vector, 0
        .rept   129
        .balign 16
        .if     (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17) || (vector == 21)
        .else
        pushq   $0
        .endif
        pushq   $vector
        jmp     exact
        .set    vector, vector + 1
        .endr

exact:  movq    %rax, saved + 8 * 0
        movq    %rcx, saved + 8 * 1
        movq    %rdx, saved + 8 * 2
        movq    %rbx, saved + 8 * 3
        movq    %rbp, saved + 8 * 5
        movq    %rsi, saved + 8 * 6
        movq    %rdi, saved + 8 * 7
        .irp    number, 8, 9, 10, 11, 12, 13, 14, 15
        movq    %r\number, saved + 8 * \number
        .endr
        .irp    number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu %ymm\number, saved_vectors + 32 * \number
        .endr
        popq    saved_vector
        popq    saved_error
        popq    saved + 8 * 16
        popq    %rax                            // CS
        popq    saved + 8 * 17
        popq    saved + 8 * RSP
        movq    %cr2, %rax
        movq    %rax, saved_cr2
        fninit
        ldmxcsr masked
        cld
        movq    launch_rsp, %rsp
        ret

keep_expected:
        movl    $saved, %esi
        movl    $expected, %edi
        movl    $18, %ecx
        rep movsq
        movl    $saved_vectors, %esi
        movl    $expected_vectors, %edi
        movl    $64, %ecx
        rep movsq
        movl    $expected_memory, %edi
        .macro  each_area operation
        movl    $GOOD, %esi
        movl    $128, %ecx
        \operation
        movl    $(U - 128), %esi
        movl    $16, %ecx
        \operation
        movl    $UEND, %esi
        movl    $16, %ecx
        \operation
        movl    $RO, %esi
        movl    $16, %ecx
        \operation
        .endm
        each_area "rep movsq"
        ret

        // r15 against r14; a difference is printed as item `number` of the case.
        .macro  item number
        cmpq    %r14, %r15
        je      .Lsame\@
        imull   $100, d_line, %r13d
        addl    \number, %r13d
        call    report
.Lsame\@:
        .endm

compare:
        movq    saved_vector, %r15
        movl    $SYSTEM, %r14d
        cmpl    $0, d_is_bad
        jne     1f
        item    $18
        ret
1:      movq    d_vector, %r14
        item    $18
        xorl    %ebx, %ebx
1:      movq    saved(, %rbx, 8), %r15
        movq    expected(, %rbx, 8), %r14
        item    %ebx
        incl    %ebx
        cmpl    $16, %ebx
        jne     1b
        movq    saved + 8 * 16, %r15
        movq    d_at, %r14
        addq    base, %r14
        item    $16
        movq    saved + 8 * 17, %r15
        movq    expected + 8 * 17, %r14
        orq     d_rf, %r14
        item    $17
        movq    saved_error, %r15
        movq    d_error, %r14
        cmpq    $PF, d_vector
        jne     1f
        cmpq    $0, base
        je      1f
        orl     $4, %r14d                       // U/S
1:      item    $19
        movq    d_cr2, %r14
        cmpq    $NOWHERE, %r14
        je      1f
        addq    base, %r14
        movq    saved_cr2, %r15
        item    $20
1:      movl    $saved_vectors, %esi
        movl    $expected_vectors, %edi
        movl    $64, %ecx
        repe cmpsq
        movq    -8(%rsi), %r15
        movq    -8(%rdi), %r14
        item    $21
        movl    $expected_memory, %edi
        .macro  compare_area
        repe cmpsq
        leaq    (%rdi, %rcx, 8), %rdx
        movq    -8(%rsi), %r15
        movq    -8(%rdi), %r14
        movq    %rdx, %rdi
        item    $22
        .endm
        each_area "compare_area"
        ret
        .balign 4096                            // stores below must not be stores to a page with code

        .data
        .balign 4096
masked: .long   0x1f80
unmasked: .long 0x1d80
to_return: .quad return
to_done: .quad  body_done
        .balign 16
gather_index: .long 0, 1, 2, 3, -1, -1, 0, 0, 0, 0, -1, -1
maskq:  .quad   -1, -1
maskd:  .long   -1, -1, 0, 0
        .balign 32
vectors:
        .set    n, 1
        .rept   64
        .quad   n * 0x0102030405060708
        .set    n, n + 1
        .endr

        .bss
        .balign 4096
saved:  .skip   18 * 8                          // registers, RIP, RFLAGS
expected: .skip 18 * 8
start:  .skip   16 * 8
start_flags: .skip 8
saved_vector: .skip 8
saved_error: .skip 8
saved_cr2: .skip 8
launch_rsp: .skip 8
base:   .skip   8
d_line: .skip   8
d_vector: .skip 8
d_error: .skip  8
d_cr2:  .skip   8
d_reg:  .skip   8
d_good: .skip   8
d_bad:  .skip   8
d_body: .skip   8
d_reference: .skip 8
d_rf:   .skip   8
d_raw:  .skip   8
d_at:   .skip   8
d_cs:   .skip   8
d_ss:   .skip   8
d_rings: .skip  8
d_round: .skip  8
d_is_bad: .skip 8
        .balign 32
saved_vectors: .skip 512
expected_vectors: .skip 512
expected_memory: .skip 1024 + 3 * 128
        .text
