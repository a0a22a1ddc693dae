/* Four processors: INIT and STARTUP through real mode, fixed, logical, broadcast and NMI IPIs, locked counters, a TLB
   shootdown. [SDM3 8.4, 10.6] */
#include "guest.inc"
#include "smp.inc"

main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        movl    $3, %edi
        call    start_others
        CHECK(ids, $0xe)
        // Physical: each by its id.
        movl    $1, %ebx
1:      movl    %ebx, %eax
        shll    $24, %eax
        apic_write 0x310, %eax
        apic_write 0x300, $0x4040
        incl    %ebx
        cmpl    $4, %ebx
        jne     1b
        movl    $3, %edi
        call    wait_total
        CHECK(counts, $0x0001000100010000)
        // All but self; all with self.
        apic_write 0x300, $0xc4040
        movl    $6, %edi
        call    wait_total
        CHECK(counts, $0x0002000200020000)
        apic_write 0x300, $0x84040
        sti
        movl    $10, %edi
        call    wait_total
        cli
        CHECK(counts, $0x0003000300030001)
        // Logical, flat model: 1 and 3. Logical ids are 1 << id.
        apic_write 0x310, $0x0a000000
        apic_write 0x300, $0x4840
        movl    $12, %edi
        call    wait_total
        CHECK(counts, $0x0004000300040001)
        // NMI to 2, which keeps IF clear from now on.
        movl    $1, command + 8
2:      pause
        cmpl    $2, command + 8
        jne     2b
        apic_write 0x310, $0x02000000
        apic_write 0x300, $0x4400
3:      pause
        cmpl    $0, nmis
        je      3b
        apic_write 0x310, $0x02000000
        apic_write 0x300, $0x4040               // waits: IF is clear there
        movl    $2000, %ecx
4:      pause
        loop    4b
        CHECK(counts, $0x0004000300040001)
        CHECK(woken, $1)
        movl    $0, command + 8                 // it opens again
        apic_write 0x300, $0x4400
        movl    $13, %edi
        call    wait_total
        CHECK(counts, $0x0004000400040001)
        // Everybody adds to one word with LOCK: nothing is lost.
        movl    $1, command
        movl    $1, command + 4
        movl    $3, command + 8
        movl    $1, command + 12
        movl    $1000, %ecx
5:      lock incl shared
        loop    5b
6:      pause
        cmpl    $3, done
        jne     6b
        CHECK(shared, $4000)
        // INIT takes 3 back to waiting: it no longer answers.
        apic_write 0x310, $0x03000000
        apic_write 0x300, $0x4500
        apic_write 0x300, $0x4040
        movl    $2000, %ecx
7:      pause
        loop    7b
        CHECK(counts, $0x0004000400040001)
        ret

wait_total:
1:      pause
        movq    counts, %rax
        movq    %rax, %rcx
        xorl    %edx, %edx
        movl    $4, %r8d
2:      movzwl  %cx, %r9d
        addl    %r9d, %edx
        shrq    $16, %rcx
        decl    %r8d
        jnz     2b
        cmpl    %edi, %edx
        jne     1b
        ret

other64:
        lock btsl %ebx, ids
        apic_write 0xf0, $0x1ff
        movl    $0x01000000, %eax
        movl    %ebx, %ecx
        shll    %cl, %eax
        apic_write 0xd0, %eax
1:      cmpl    $1, command(, %rbx, 4)
        je      3f
        cmpl    $3, command(, %rbx, 4)
        je      4f
        sti
        pause
        cli
        cmpl    $0, shared
        je      1b
        jmp     4f
3:      cmpl    $2, %ebx
        jne     4f
        movl    $2, command + 8
2:      hlt                                     // IF is clear: only NMIs wake it
        incl    woken
        cmpl    $2, command + 8
        je      2b
        jmp     1b
4:      movl    $1000, %ecx
5:      lock incl shared
        loop    5b
        lock incl done
6:      sti
        hlt
        jmp     6b

on_interrupt:
        cmpl    $2, %edi
        je      1f
        movl    $LAPIC, %r10d
        movl    0x20(%r10), %eax
        shrl    $24, %eax
        lock incw counts(, %rax, 2)
        movl    $0, 0xb0(%r10)
        ret
1:      lock incl nmis
        ret

        .data
        .balign 8
ids:    .quad   0
counts: .quad   0
command: .quad  0, 0
shared: .quad   0
done:   .quad   0
nmis:   .quad   0
woken:  .quad   0
