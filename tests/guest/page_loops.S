/* Loops through pages: reads, writes and both, by a register, an index and groups, where the page that they went through last
   time is mapped elsewhere, may not be written, or is gone; and aligned operands, operands of PUSH and CALL, and PUSHF at
   places that meet another page. [SDM3 4.10] */
#include "guest.inc"
#include "area.inc"

        .macro  fill frame, value
        movl    $(FRAMES + 4096 * \frame), %edi
        movl    $512, %ecx
        movl    $\value, %eax
        rep stosq
        .endm
        // Every sum of `count` quadwords from AREA on is `want`, each of twenty times.
        .macro  sums want, count=300
        .irp    function, sum, sum_by_r9, sum_by_index, sum_pairs, sum_to_end
        movl    $20, %ebp
1:      movl    $AREA, %edi
        movl    $\count, %ecx
        call    \function
        CHECK(%rbx, $(\want))
        decl    %ebp
        jnz     1b
        .endr
        .endm
        .macro  misaligned base
        movl    $(\base), %edi
        arm     1f
        call    aligned
        missed
1:      CHECK(seen_vector, $GP)
        .endm

main64: area_mapped
        fill    0, 1
        fill    1, 2
        fill    2, 3
        map     0, 0, 3
        map     1, 1, 3
        sums    300
        map     0, 2, 3
        sums    900
        sums    512*3+88*2, 600
        map     1, 0, 3
        sums    512*3+88, 600

        movl    $20, %ebp
1:      .irp    function, store, store_by_r9, add
        movl    $AREA, %edi
        movl    $300, %ecx
        call    \function
        .endr
        decl    %ebp
        jnz     1b
        CHECK(FRAMES+4096*2, $600)      // stored, and added once
        CHECK(FRAMES+4096*2+8*299, $2)
        map     0, 2, 1
        denied  store, AREA, 3
        denied  store_by_r9, AREA, 3
        denied  add, AREA, 3
        sums    301*300
        map     0, 0, 0
        denied  store, AREA, 2
        denied  add, AREA, 2
        .irp    function, sum, sum_by_r9, sum_by_index, sum_pairs, sum_to_end
        denied  \function, AREA, 0
        .endr

        map     0, 0, 3
        map     1, 0, 0
        movl    $20, %ebp
1:      movl    $AREA, %edi
        movl    $512, %ecx
        call    sum
        decl    %ebp
        jnz     1b
        movl    $AREA, %edi
        movl    $600, %ecx
        arm     1f
        call    sum
        missed
1:      CHECK(seen_cr2, $(AREA+4096))
        CHECK(%rbx, $512)
        movl    $(AREA + 4), %edi       // the last that is there goes over the page's end
        movl    $600, %ecx
        arm     1f
        call    sum_by_r9
        missed
1:      CHECK(seen_cr2, $(AREA+4096))

        map     1, 1, 3
        movl    $300, %ebp
1:      movl    $(AREA + 0x800), %edi
        call    aligned
        decl    %ebp
        jnz     1b
        movl    $(AREA + 0x1800), %edi
        call    aligned
        misaligned AREA+0x808
        misaligned AREA+0x1808

        movl    $300, %ebp
1:      .irp    base, 0x800, 0x1800, 0x1004, 0x1000
        movl    $(AREA + \base), %edi
        call    pushes
        CHECK(%rcx, AREA+\base-8)
        .endr
        decl    %ebp
        jnz     1b
        ret

// RBX := the sum of ECX quadwords from RDI on.
sum:    xorl    %ebx, %ebx
1:      movq    (%rdi), %rax
        addq    %rax, %rbx
        addq    $8, %rdi
        subl    $1, %ecx
        jnz     1b
        ret
sum_by_r9:
        xorl    %ebx, %ebx
        movq    %rdi, %r9
        movl    %ecx, %r10d
1:      movq    (%r9), %rax
        addq    %rax, %rbx
        addq    $8, %r9
        subl    $1, %r10d
        jnz     1b
        ret
sum_by_index:
        xorl    %ebx, %ebx
        xorl    %edx, %edx
1:      addq    (%rdi,%rdx,8), %rbx
        addl    $1, %edx
        cmpl    %ecx, %edx
        jb      1b
        ret
sum_pairs:
        xorl    %ebx, %ebx
        shrl    $1, %ecx
1:      movq    (%rdi), %rax
        addq    8(%rdi), %rax
        addq    %rax, %rbx
        addq    $16, %rdi
        subl    $1, %ecx
        jnz     1b
        ret
sum_to_end:
        xorl    %ebx, %ebx
        leaq    (%rdi,%rcx,8), %rdx
1:      addq    (%rdi), %rbx
        addq    $8, %rdi
        cmpq    %rdx, %rdi
        jne     1b
        ret

// ECX to each of as many quadwords, counted down; or added.
store:  movq    %rcx, (%rdi)
        addq    $8, %rdi
        subl    $1, %ecx
        jnz     store
        ret
store_by_r9:
        movq    %rdi, %r9
1:      movq    %rcx, (%r9)
        addq    $8, %r9
        subl    $1, %ecx
        jnz     1b
        ret
add:    addq    %rcx, (%rdi)
        addq    $8, %rdi
        subl    $1, %ecx
        jnz     add
        ret

aligned:
        movq    %rsp, own_stack
        movq    %rdi, %rsp
        movaps  (%rsp), %xmm0
        paddd   %xmm0, %xmm0
        movaps  %xmm0, 16(%rsp)
        paddq   32(%rsp), %xmm1
        movq    own_stack, %rsp
        ret
// RCX := what is below the stack at RDI.
pushes: movq    %rsp, own_stack
        movq    %rdi, %rsp
        pushq   -8(%rsp)
        pushfq
        popq    %rax
        popq    %rcx
        pushq   to_call(%rip)
        popq    %rdx
        movq    %rcx, -8(%rsp)
        call    *to_call(%rip)
        movq    %rcx, -8(%rsp)
        movq    own_stack, %rsp
        ret
nothing: ret

        .data
to_call: .quad  nothing
        .bss
own_stack: .skip 8
        .text
