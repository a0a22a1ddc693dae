/* Code that changes: before, at and behind the running instruction, on its page and another, through an alias, by a
   string store. What was stored is what runs next (no serialising needed on one processor: [SDM3 11.6]). */
#include "guest.inc"

        .set    ALIAS, 0x8000000000             // USER: a second mapping of the same frames

main64: movl    $FREE, %edi
        xorl    %ebp, %ebp                      // rounds: the second runs what the first has cached
rounds: // Behind, on the same page, straight after the store.
        movl    %ebp, %ebx
        addl    $0x10, %ebx
        movb    %bl, same + 1
same:   movl    $0, %eax
        CHECK(%rax, %rbx)
        // The very next byte of a long straight run, several instructions ahead.
        movb    %bl, ahead + 1
        nop
        nop
        leaq    (%rbx), %rcx
ahead:  movl    $0, %eax
        CHECK(%rax, %rbx)
        // Before: a loop body that patches its own start for the next turn.
        movl    $3, %ecx
        xorl    %edx, %edx
        movb    $1, before + 2
before: addl    $1, %edx
        addb    $1, before + 2
        loop    before
        CHECK(%rdx, $6)
        // Through the alias: the linear address differs, the frame is the same.
        movl    $alias_target + 1, %esi
        addq    user_base, %rsi
        movb    %bl, (%rsi)
alias_target:
        movl    $0, %eax
        CHECK(%rax, %rbx)
        // Another page, called before and after.
        movl    $0x000000b8, (%rdi)             // b8 00 00 00 00 c3
        movw    $0xc300, 4(%rdi)
        call    *%rdi
        CHECK(%rax, $0)
        movb    %bl, 1(%rdi)
        call    *%rdi
        CHECK(%rax, %rbx)
        movl    %edi, %esi
        addq    user_base, %rsi
        movb    $0x55, 1(%rsi)
        call    *%rdi
        CHECK(%rax, $0x55)
        // Run through the alias, written directly.
        movb    $0x66, 1(%rdi)
        orq     $4, pml4                        // (ring 0 may run user pages: no SMEP)
        call    *%rsi
        CHECK(%rax, $0x66)
        movb    $0x67, 1(%rdi)
        call    *%rsi
        CHECK(%rax, $0x67)
        // A string store over what comes next: it ends at the first byte behind itself.
        pushq   %rdi
        movl    $patched, %edi
        movl    $patched_end - patched, %ecx
        movb    $0x90, %al
        movl    $0, %edx
        rep stosb
patched:
        incl    %edx
        incl    %edx
        incl    %edx
        incl    %edx
patched_end:
        CHECK(%rdx, $0)
        movl    $patched, %edi
        movl    $4, %ecx
1:      movw    $0xc2ff, (%rdi)                 // incl %edx again
        addl    $2, %edi
        loop    1b
        // A string store over itself: the repeat goes on with what it has begun, then the new bytes run.
        movl    $whole, %esi                    // save
        movq    (%rsi), %r8
        movl    $over, %edi
        movl    $whole_end - over, %ecx
        movb    $0x90, %al
        movl    $7, %edx
        .balign 16
whole:
over:   rep stosb
        movl    $9, %edx
        nop
whole_end:
        CHECK(%rdx, $7)
        movl    $whole, %edi
        movq    %r8, (%rdi)
        popq    %rdi
        // An instruction over two pages, either half changed.
        movb    $0xb8, 0x1ffe(%rdi)             // b8 00 | 00 00 00 c3
        movb    $0, 0x1fff(%rdi)
        movl    $0xc3000000, 0x2000(%rdi)
        leaq    0x1ffe(%rdi), %rsi
        call    *%rsi
        CHECK(%rax, $0)
        movb    %bl, 0x1fff(%rdi)
        call    *%rsi
        CHECK(%rax, %rbx)
        movb    $1, 0x2000(%rdi)
        call    *%rsi
        leal    0x100(%rbx), %edx
        CHECK(%rax, %rdx)
        // Bytes decoded as invalid become valid, by a store that only touches their end.
        movl    $0xc3ff0f90, 0x3000(%rdi)       // nop ; ud0 ..
        leaq    0x3000(%rdi), %rsi
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        call    *%rsi
1:      CHECK(seen_vector, $UD)
        movb    $0x1f, 0x3002(%rdi)             // nopl %ebx
        movb    $0xc3, 0x3004(%rdi)
        RUNS("call *%rsi")
        incl    %ebp
        cmpl    $2, %ebp
        jne     rounds
        ret
