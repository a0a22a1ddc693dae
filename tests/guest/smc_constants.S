/* Code whose constants are written again and again, as just-in-time compilers do: immediates and displacements of every
   width, at instructions with and without registers that the host has; flags of what has been patched meanwhile;
   opcodes that change after all; functions written anew as a whole. */
#include "guest.inc"

        .set    ROUNDS, 300

main64: xorl    %ebp, %ebp                      // rounds
        movabsq $0x9e3779b97f4a7c15, %r10       // what is written: its multiples
rounds: movl    %ebp, %ebx
        imulq   %r10, %rbx
        movslq  %ebx, %r8                       // as an immediate of 32 bits is read by 64-bit instructions
        movl    %ebx, %r9d                      // and by others

        movl    %ebx, move_32_end - 4
        call    move_32
        CHECK(%rax, %r9)
        movl    %ebx, move_sign_extended_end - 4
        call    move_sign_extended
        CHECK(%rax, %r8)
        movq    %rbx, move_64_end - 8
        call    move_64
        CHECK(%rax, %rbx)
        movl    %ebx, move_to_state_end - 4
        movq    $-1, %r11
        call    move_to_state
        CHECK(%r11, %r9)
        movl    %ebx, move_to_state_64_end - 4
        call    move_to_state_64
        CHECK(%r11, %r8)

        movl    %ebx, %ecx
        notl    %ecx
        movl    %ecx, add_end - 4
        movl    %ebx, %edi
        call    add_
        CHECK(%rax, $0xffffffff)
        CHECK(%rdx, $0)                         // no carry
        movl    $1, %edi
        addl    %ebx, %edi
        jz      1f
        call    add_
        CHECK(%rax, $0)
        CHECK(%rdx, $1)
1:      movl    %ebx, add_64_end - 4
        movq    %r10, %rdi
        call    add_64
        leaq    (%r10, %r8), %rcx
        CHECK(%rax, %rcx)
        movl    %ebx, xor_state_end - 4
        movl    %ebx, %r11d
        call    xor_state
        CHECK(%r11, $0)
        CHECK(%rdx, $1)
        movl    %ebx, compare_end - 4
        movq    %r8, %r14
        call    compare
        CHECK(%rdx, $0x100)                     // not less, equal
        leaq    -1(%r8), %r14
        call    compare
        CHECK(%rdx, $1)
        movl    %ebx, test_end - 4
        movl    %ebx, %edi
        notl    %edi
        call    test_
        CHECK(%rdx, $1)
        movl    %ebx, carry_end - 4
        movl    $0, %edi
        call    carry
        leal    1(%rbx), %ecx
        CHECK(%rax, %rcx)

        movl    %ebx, lea_end - 4
        movl    $0x1000, %edi
        movl    $0x10, %esi
        call    lea_
        leaq    0x1040(%r8), %rcx
        CHECK(%rax, %rcx)
        movl    %ebx, lea_state_end - 4
        movl    $0x20, %r15d
        call    lea_state
        leaq    0x20(%r8), %rcx
        CHECK(%r11, %rcx)
        movl    %ebx, lea_32_end - 4
        movq    $-1, %rdi
        call    lea_32
        leal    -1(%rbx), %ecx
        CHECK(%rax, %rcx)

        // The running block patches what comes next in it, and what has set the flags that are looked at then.
        movl    %ebx, ahead_end - 4
        movl    $0, %eax
        nop
        movl    $0x11111111, %eax
ahead_end:
        CHECK(%rax, %r9)
        movl    $5, %eax
        movl    $6, subtract_end - 4
        call    subtract
        CHECK(%rdx, $0x100)                     // 5 - 6: a carry; the 5 that was written meanwhile would be zero

        // A register that moves by a patched constant, between accesses of its neighbours: by little at first.
        movl    %ebx, %ecx
        andl    $0xff8, %ecx
        cmpl    $20, %ebp
        ja      1f
        andl    $0x78, %ecx
1:      movl    %ecx, moved_end - 4
        movl    $FREE + 0x100, %edi
        movq    $0, -8(%rdi)
        call    moved
        leaq    FREE + 0x100(%rcx), %rsi
        CHECK((%rsi), $0x222)
        CHECK(8(%rsi), $0x333)
        CHECK(FREE+0xf8, $0x111)

        // A byte of it, and a store that takes the opcode with it.
        movb    $0x77, move_32_end - 3
        movl    %ebx, %ecx
        andl    $~0xff00, %ecx
        orl     $0x7700, %ecx
        call    move_32
        CHECK(%rax, %rcx)
        movl    $0, %ecx
        testl   $63, %ebp                       // in one of 64 rounds it has another form
        jnz     1f
        movw    $0x12b9, move_32_end - 5        // mov $.., %ecx
        movl    $7, %eax
        call    move_32
        CHECK(%rax, $7)
        andl    $0xff, %ecx
        CHECK(%rcx, $0x12)
1:      movb    $0xb8, move_32_end - 5

        // A constant behind which nothing is an instruction, and data straight behind code.
        movl    %ebx, broken_end - 4
        xorl    %edi, %edi
        call    broken
        CHECK(%rax, %r9)
        movl    %ebx, behind
        call    move_64
        CHECK(%rax, %rbx)
        // Through the alias, and by a string store.
        notl    %ecx
        movabsq $USER + move_to_state_end - 4, %rsi
        movl    %ecx, (%rsi)
        call    move_to_state
        movl    %ecx, %ecx
        CHECK(%r11, %rcx)
        movl    $test_end - 4, %edi
        movl    %ebx, %eax
        stosl
        movl    $0, %edi
        call    test_
        CHECK(%rdx, $1)

        // A function written as a whole, called more than once: xor, add, xor .. with other constants. In one of
        // 128 rounds two of them change places.
        movl    $FREE + 0x5000, %edi
        movl    $12, %ecx
        movl    %ebx, %eax
        xorl    %edx, %edx                      // what it will make of zero
        testl   $127, %ebp
        jz      6f
2:      movb    $0x35, (%rdi)                   // xor $.., %eax
        movl    %eax, 1(%rdi)
        xorl    %eax, %edx
        imull   $0x343fd, %eax, %eax
        addl    $0x269ec3, %eax
        movb    $0x05, 5(%rdi)                  // add $.., %eax
        movl    %eax, 6(%rdi)
        addl    %eax, %edx
        addl    $10, %edi
        loop    2b
        jmp     7f
6:      movb    $0x05, (%rdi)
        movl    %eax, 1(%rdi)
        addl    %eax, %edx
        imull   $0x343fd, %eax, %eax
        addl    $0x269ec3, %eax
        movb    $0x35, 5(%rdi)
        movl    %eax, 6(%rdi)
        xorl    %eax, %edx
        addl    $10, %edi
        loop    6b
7:      movb    $0xc3, (%rdi)
        movl    $FREE + 0x5000, %edi
        movl    $3, %ecx
3:      xorl    %eax, %eax
        call    *%rdi
        CHECK(%rax, %rdx)
        loop    3b

        incl    %ebp
        cmpl    $ROUNDS, %ebp
        jne     rounds
        ret

        .balign 4096
move_32:
        movl    $0x11111111, %eax
move_32_end:
        ret
        .balign 64
move_sign_extended:
        .byte   0x48, 0xc7, 0xc0                // movq $.., %rax
        .long   0x11111111
move_sign_extended_end:
        ret
        .balign 64
move_64:
        movabsq $0x1111111122222222, %rax
move_64_end:
        ret
behind: .long   0
        .balign 64
move_to_state:
        movl    $0x11111111, %r11d
move_to_state_end:
        ret
        .balign 64
move_to_state_64:
        .byte   0x49, 0xc7, 0xc3                // movq $.., %r11
        .long   0x11111111
move_to_state_64_end:
        ret
        .balign 64
add_:   movl    %edi, %eax
        movl    $0, %edx
        addl    $0x11111111, %eax
add_end:
        setc    %dl
        ret
        .balign 64
add_64: movq    %rdi, %rax
        addq    $0x11111111, %rax
add_64_end:
        ret
        .balign 64
xor_state:
        movl    $0, %edx
        xorl    $0x11111111, %r11d
xor_state_end:
        setz    %dl
        ret
        .balign 64
compare:
        movl    $0, %edx
        cmpq    $0x11111111, %r14
compare_end:
        setl    %dl
        sete    %dh
        ret
        .balign 64
test_:  movl    $0, %edx
        testl   $0x11111111, %edi
test_end:
        setz    %dl
        ret
        .balign 64
carry:  movl    %edi, %eax
        stc
        adcl    $0x11111111, %eax
carry_end:
        ret
        .balign 64
lea_:   leaq    0x11111111(%rdi, %rsi, 4), %rax
lea_end:
        ret
        .balign 64
lea_state:
        leaq    0x11111111(%r15), %r11
lea_state_end:
        ret
        .balign 64
lea_32: leal    0x11111111(%rdi), %eax
lea_32_end:
        ret
        .balign 64
broken: movl    $0x11111111, %eax
broken_end:
        testl   %edi, %edi
        jnz     1f
        ret
1:      .byte   0x0f, 0xff, 0xff                // ud0
        .balign 64
        .long   -1, -1
        .balign 64
subtract:
        movl    $0, %edx
        subl    $0x11111111, %eax
subtract_end:
        movl    $5, subtract_end - 4
        setc    %dh
        setz    %dl
        ret
        .balign 64
moved:  movq    $0x111, -8(%rdi)
        addq    $0x11111111, %rdi
moved_end:
        movq    $0x222, (%rdi)
        movq    $0x333, 8(%rdi)
        ret
