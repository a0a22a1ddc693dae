/* Every kind of store over code that has run often: straight before the code that it changes, over code on another page,
   through a second mapping of the same frame, and over an instruction that lies in two pages. What memory holds is what runs.
   [APM2 7.6.1], [SDM3 11.6] */
#include "guest.inc"

        .set    ROUNDS, 24                      // more than make a block hot
        .set    HOT, 6                          // runs of old code, so that a translation of it is there
        .set    LEAD, 32                        // bytes of nops in front of a stub
        .set    STUB, FREE + 0x10040            // nops, 48 b8 imm64, nops, ret at 64
        .set    STUB_ALIAS, FREE + 0x11040      // run here, stored to at USER
        .set    CROSSING, FREE + 0x13000 - 5    // its immediate lies in two pages
        .set    AREA, FREE + 0x10400
        .set    OLD, 0x5a5a5a5a

// rdi: the code `movabs $imm64, %rax` and 54 nops, entered LEAD before; rsi: an image of it with rbx as immediate. One
// round runs it HOT times with the immediate OLD, then with what `store` makes of it. `after` undoes what `store` did to registers.
        .macro  one_round store, after, line
        movq    $OLD, 2(%rdi)
        movl    $HOT, %ecx
.Lold\@:
        xorl    %eax, %eax
        call    *%r11
        CHECK(%rax, $OLD)
        decl    %ecx
        jnz     .Lold\@
        call    new_image
        movq    %rsp, %r12
        \store
        call    *%r11
        \after
        movq    2(%rdi), %rdx
        check_equal %rax, %rdx, \line
        xorl    %ecx, %ecx
        cmpq    $OLD, %rdx
        sete    %cl
        check_equal %rcx, $0, \line
        .endm

        // `store` may not use rbp, r11, r12; rsp it may.
        .macro  elsewhere address, run, store, after, line
        movl    $ROUNDS, %ebp
.Lround\@:
        movl    $(\run - LEAD), %r11d
        movq    $\address, %rdi
        one_round "\store", "\after", \line
        decl    %ebp
        jnz     .Lround\@
        .endm

        // Straight before the code: one block of translated code has both.
        .macro  in_line store, after, line, base, unaligned
        movl    $ROUNDS, %ebp
.Lround\@:
        movl    $.Lcode\@, %edi
        addq    \base, %rdi
        movq    $OLD, 2(%rdi)
        call    new_image
        movq    %rsp, %r12
        xorl    %r10d, %r10d
        jmp     .Lcode\@
.Lstore\@:
        \store
        .if     !\unaligned
        .balign 64                              // few, long NOPs
        .endif
.Lcode\@:
        .byte   0x48, 0xb8
        .quad   0
        .fill   6, 1, 0x90                      // stores end behind 16, 32 or 64 bytes
        .nops   16
        .nops   32
        \after
        incl    %r10d
        cmpl    $HOT, %r10d
        jb      .Lcode\@
        je      .Lstore\@
        movq    2(%rdi), %rdx
        check_equal %rax, %rdx, \line
        xorl    %ecx, %ecx
        cmpq    $OLD, %rdx
        sete    %cl
        check_equal %rcx, $0, \line
        decl    %ebp
        jnz     .Lround\@
        .endm

        .macro  everywhere store, after, line, unaligned
        in_line "\store", "\after", \line, $0, \unaligned
        in_line "\store", "\after", \line, user_base, \unaligned
        elsewhere STUB, STUB, "\store", "\after", \line
        elsewhere USER + STUB_ALIAS, STUB_ALIAS, "\store", "\after", \line
        .if     \unaligned
        elsewhere CROSSING, CROSSING, "\store", "\after", \line
        .endif
        .endm

#define STORE(instructions) everywhere instructions, "", __LINE__, 1
#define ALIGNED_STORE(instructions) everywhere instructions, "", __LINE__, 0
// With rsp in the code: it comes back before anything else uses the stack.
#define STACK_STORE(instructions) \
        in_line instructions, "movq %r12, %rsp", __LINE__, $0, 1 ; \
        in_line instructions, "movq %r12, %rsp", __LINE__, user_base, 1

main64: movl    $STUB, %edi
        call    new_stub
        movl    $STUB_ALIAS, %edi
        call    new_stub
        movl    $CROSSING, %edi
        call    new_stub
        movq    %cr4, %rax
        orl     $0x40000, %eax                  // OSXSAVE
        movq    %rax, %cr4
        xorl    %ecx, %ecx
        movl    $7, %eax
        xorl    %edx, %edx
        xsetbv
        call    integers
        call    atomics
        call    stacks
        call    strings
        call    vectors
        call    floats
        call    tables
        call    areas
        ret

integers:
        STORE("movq %rbx, 2(%rdi)")
        STORE("movl %ebx, 2(%rdi)")
        STORE("movw %bx, 2(%rdi)")
        STORE("movb %bl, 2(%rdi)")
        STORE("movb %bl, 9(%rdi)")
        STORE("movl $0x12345678, 3(%rdi)")
        STORE("movb $0x77, 5(%rdi)")
        STORE("addq %rbx, 2(%rdi)")
        STORE("incq 2(%rdi)")
        STORE("notq 2(%rdi)")
        STORE("shlq $3, 2(%rdi)")
        STORE("xorb %bl, 9(%rdi)")
        STORE("btcq $9, 2(%rdi)")
        STORE("movl $18, %ecx ; btsq %rcx, 2(%rdi)")
        STORE("cmpq %rbx, %rbx ; sete 2(%rdi)")
        STORE("movntiq %rbx, 2(%rdi)")
        STORE("movbeq %rbx, 2(%rdi)")
        STORE("movw %ds, 2(%rdi)")
        ret
atomics:
        STORE("movq %rbx, %rdx ; xchgq %rdx, 2(%rdi)")
        STORE("movq %rbx, %rdx ; lock xaddq %rdx, 2(%rdi)")
        STORE("movl $OLD, %eax ; lock cmpxchgq %rbx, 2(%rdi)")
        STORE("lock incl 3(%rdi)")
        STORE("lock btsq $63, 2(%rdi)")
        STORE("movl $OLD, %eax ; xorl %edx, %edx ; movl %ebx, %ecx ; lock cmpxchg8b 2(%rdi)")
        ALIGNED_STORE("movq (%rdi), %rax ; movq 8(%rdi), %rdx ; movq (%rsi), %rbx ; movq 8(%rsi), %rcx ; lock cmpxchg16b (%rdi)")
        ret
stacks: STACK_STORE("leaq 10(%rdi), %rsp ; pushq %rbx")
        STACK_STORE("leaq 10(%rdi), %rsp ; pushq $0x1234")
        STACK_STORE("leaq 10(%rdi), %rsp ; pushq (%rsi)")
        STACK_STORE("leaq 10(%rdi), %rsp ; pushfq")
        STACK_STORE("leaq 10(%rdi), %rsp ; movq %rbp, %r8 ; enter $0, $0 ; movq %r8, %rbp")
        STACK_STORE("leaq 10(%rdi), %rsp ; call 7f ; 7:")
        STACK_STORE("leaq 10(%rdi), %rsp ; movl $7f, %edx ; call *%rdx ; 7:")
        STORE("pushq %rbx ; popq 2(%rdi)")
        ret
strings:
        STORE("movq %rdi, %rdx ; addq $2, %rdi ; movq %rbx, %rax ; stosq ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; addq $3, %rdi ; movb %bl, %al ; stosb ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; addq $2, %rdi ; movb %bl, %al ; movl $8, %ecx ; rep stosb ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; movl $16, %ecx ; rep movsb ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; movl $8, %ecx ; rep movsq ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; movsq ; movsl ; movq %rdx, %rdi")
        STORE("movq %rdi, %rdx ; addq $63, %rdi ; addq $63, %rsi ; movl $64, %ecx ; std ; rep movsb ; cld ; movq %rdx, %rdi")
        ret
vectors:
        STORE("movups (%rsi), %xmm3 ; movups %xmm3, (%rdi)")
        STORE("movdqu (%rsi), %xmm9 ; movdqu %xmm9, (%rdi)")
        STORE("movq %rbx, %xmm1 ; movq %xmm1, 2(%rdi)")
        STORE("movd %ebx, %xmm1 ; movd %xmm1, 3(%rdi)")
        STORE("movq %rbx, %xmm1 ; movlps %xmm1, 2(%rdi)")
        STORE("movq %rbx, %xmm1 ; movss %xmm1, 2(%rdi)")
        STORE("movq %rbx, %xmm1 ; pextrb $1, %xmm1, 4(%rdi)")
        STORE("movq %rbx, %xmm1 ; pextrd $0, %xmm1, 2(%rdi)")
        STORE("movq %rbx, %xmm1 ; extractps $0, %xmm1, 2(%rdi)")
        STORE("vmovdqu (%rsi), %ymm3 ; vmovdqu %ymm3, (%rdi)")
        STORE("vmovups (%rsi), %ymm3 ; vextractf128 $0, %ymm3, (%rdi)")
        STORE("vpcmpeqd %ymm4, %ymm4, %ymm4 ; vmovups (%rsi), %ymm3 ; vmaskmovps %ymm3, %ymm4, (%rdi)")
        STORE("movq %rdi, %rdx ; pcmpeqd %xmm4, %xmm4 ; movups (%rsi), %xmm3 ; maskmovdqu %xmm4, %xmm3 ; movq %rdx, %rdi")
        ALIGNED_STORE("movups (%rsi), %xmm3 ; movaps %xmm3, (%rdi)")
        ALIGNED_STORE("movups (%rsi), %xmm3 ; movntdq %xmm3, (%rdi)")
        ALIGNED_STORE("vmovups (%rsi), %ymm3 ; vmovntps %ymm3, (%rdi)")
        ret
floats: STORE("movl %ebx, -8(%rsp) ; fildl -8(%rsp) ; fistpl 2(%rdi)")
        STORE("movq %rbx, -8(%rsp) ; fildll -8(%rsp) ; fistpll 2(%rdi)")
        STORE("fld1 ; fstpl 2(%rdi)")
        STORE("fld1 ; fstps 4(%rdi)")
        STORE("fnstcw 2(%rdi)")
        STORE("fnstsw 2(%rdi)")
        STORE("stmxcsr 2(%rdi)")
        ret
// SGDT's ten bytes are the whole instruction, if the limit is 48 b8.
tables: STORE("movw $0xb848, gdtr ; lgdt gdtr ; sgdt (%rdi)")
        STORE("smsw 2(%rdi)")
        STORE("str 2(%rdi)")
        movw    $0xff, gdtr
        lgdt    gdtr
        ret

        // Large areas, of which one field is the immediate.
        .macro  area line, store
        elsewhere AREA, AREA, "\store", "", \line
        .endm
areas:  movl    $AREA, %edi
        call    new_stub
        .macro  load_image
        movups  (%rsi), %xmm0
        movups  16(%rsi), %xmm1
        movups  32(%rsi), %xmm2
        movups  48(%rsi), %xmm3
        movl    $0xc3, %ecx
        movd    %ecx, %xmm4
        .endm
        area    __LINE__, "load_image ; fxsave -160(%rdi)"
        area    __LINE__, "load_image ; fxsave64 -160(%rdi)"
        .macro  load_image_2                    // 0x400 - 160 is no multiple of 64, 32 below it is
        movups  (%rsi), %xmm2
        movups  16(%rsi), %xmm3
        movups  32(%rsi), %xmm4
        movups  48(%rsi), %xmm5
        movl    $0xc3, %ecx
        movd    %ecx, %xmm6
        .endm
        area    __LINE__, "load_image_2 ; movl $7, %eax ; xorl %edx, %edx ; xsave -192(%rdi)"
        ret

new_stub:                                       // at rdi
        movw    $0xb848, (%rdi)
        movq    $OLD, 2(%rdi)
        movl    $54, %ecx
1:      movb    $0x90, 9(%rdi, %rcx)
        loop    1b
        movl    $LEAD, %ecx
        movq    %rdi, %rdx
1:      decq    %rdx
        movb    $0x90, (%rdx)
        loop    1b
        movb    $0xc3, 64(%rdi)
        ret

new_image:                                      // rbx changes with the round; rsi leads to the image
        imulq   $0x01010101, %rbp, %rbx
        movabsq $0x1122334400000000, %rcx
        addq    %rcx, %rbx
        movl    $image, %esi
        movw    $0xb848, (%rsi)
        movq    %rbx, 2(%rsi)
        ret

        .data
        .balign 64
image:  .fill   64, 1, 0x90
        .text
