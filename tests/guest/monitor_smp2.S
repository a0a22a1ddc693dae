/* MONITOR and MWAIT: what arms, what wakes (stores of the other processor to the line, interrupts, masked ones by ECX.0, NMI),
   what does not, and the faults. [SDM2 MONITOR, MWAIT], [SDM3 8.10], [APM3] */
#include "guest.inc"
#include "smp.inc"

main64: movl    $on_interrupt, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        call    faults_and_no_waits
        movl    $1, %edi
        call    start_others
        call    stores
        call    interrupts
        ret

// Every case here returns at once, or the test hangs.
faults_and_no_waits:
        movl    $1, %eax
        cpuid
        andl    $8, %ecx
        CHECK(%rcx, $8)
        movl    $5, %eax
        cpuid
        CHECK(%rax, $64)
        CHECK(%rbx, $64)
        CHECK(%rcx, $3)
        movl    $line, %eax
        xorl    %edx, %edx
        movl    $1, %ecx
        FAULTS(GP, 0, "monitor")
        movl    $2, %ecx
        FAULTS(GP, 0, "mwait")
        movq    $0x100000000, %rcx              // only ECX counts [APM3]
        RUNS("monitor")
        movl    %eax, line                      // disarms it
        RUNS("mwait")
        xorl    %ecx, %ecx
        USER_FAULTS(UD, 0, "monitor")
        USER_FAULTS(UD, 0, "mwait")
        movl    $0xc0010015, %ecx                // HWCR.MonMwaitUserEn
        rdmsr
        orl     $0x400, %eax
        wrmsr
        movl    $line, %eax
        addq    user_base, %rax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        USER_TRAPS(SYSTEM, 0, "monitor ; int $SYSTEM")
        movl    $0xc0010015, %ecx                // HWCR.MonMwaitDis
        rdmsr
        andl    $~0x400, %eax
        orl     $0x200, %eax
        wrmsr
        movl    $line, %eax
        xorl    %ecx, %ecx
        FAULTS(UD, 0, "monitor")
        FAULTS(UD, 0, "mwait")
        movl    $1, %eax
        cpuid
        andl    $8, %ecx
        CHECK(%rcx, $0)
        movl    $0xc0010015, %ecx
        rdmsr
        andl    $~0x200, %eax
        xorl    %edx, %edx
        wrmsr
        movq    $0x7000000000, %rax
        xorl    %ecx, %ecx
        PAGE_FAULTS(0, $0x7000000000, "monitor")
        movq    noncanonical, %rax
        FAULTS(GP, 0, "monitor")
        RUNS("mwait")                            // nothing is armed
        movl    $line, %eax
        RUNS("monitor ; movb $1, line + 63 ; mwait")     // the line was stored to
        RUNS("monitor ; lock incl line ; mwait")
        RUNS("monitor ; movl $line + 62, %edi ; stosl ; mwait") // across its end
        // An event between the two.
        movl    $line, %eax
        monitor
        FAULTS(UD, 0, "ud2")
        xorl    %ecx, %ecx
        RUNS("mwait")
        ret

// The other processor waits for `line`: `waits` counts its MWAITs to come, `wakes` those that are over.
stores: call    wait_asleep
        // Not these: the lines beside it, and reads.
        movb    $1, line - 1
        movb    $1, line + 64
        movl    line, %eax
        call    let_run
        CHECK(wakes, $0)
        movb    $1, line
        call    wait_wake
        CHECK(wakes, $1)
        call    wait_asleep
        movb    $1, line + 63
        call    wait_wake
        call    wait_asleep
        movl    $0, line - 2                     // reaches into it
        call    wait_wake
        call    wait_asleep
        movl    $line - 8, %edi
        movl    $3, %ecx
        xorl    %eax, %eax
        rep stosq
        call    wait_wake
        call    wait_asleep
        movdqa  %xmm0, line + 16
        call    wait_wake
        call    wait_asleep
        movl    $line, %edi
        addq    user_base, %rdi
        movb    $1, 8(%rdi)                      // by another linear address
        call    wait_wake
        CHECK(wakes, $6)
        ret

interrupts:
        // IF clear: an interrupt does not wake it ...
        call    wait_asleep
        apic_write 0x310, $0x01000000
        apic_write 0x300, $0x4040
        call    let_run
        CHECK(wakes, $6)
        CHECK(taken, $0)
        // ... an NMI does ...
        apic_write 0x300, $0x4400
        call    wait_wake
        CHECK(nmis, $1)
        // ... and ECX.0 lets the masked one: it stays pending.
        movl    $1, extensions
        movb    $1, line
        call    wait_wake
        // From now on it does not sleep at all.
1:      pause
        cmpl    $12, wakes
        jb      1b
        CHECK(taken, $0)
        // IF set: taken, and MWAIT is over.
        movl    $0, extensions
        movl    $1, enable
1:      pause
        cmpl    $1, taken
        jne     1b
        call    wait_asleep
        movl    wakes, %ebx
        apic_write 0x300, $0x4040
1:      pause
        cmpl    $2, taken
        jne     1b
1:      pause
        cmpl    %ebx, wakes
        je      1b
        call    wait_asleep
        ret

wait_asleep:                                     // nothing has moved there for a while
        movl    wakes, %eax
        call    let_run
        cmpl    %eax, wakes
        jne     wait_asleep
        incl    %eax
        cmpl    %eax, waits
        jne     wait_asleep
        ret
let_run:
        movl    $300, %ecx
1:      pause
        loop    1b
        ret
wait_wake:
        movl    wakes_seen, %eax
1:      pause
        cmpl    %eax, wakes
        je      1b
        incl    wakes_seen
        ret

other64:
        apic_write 0xf0, $0x1ff
1:      movl    extensions, %ebp
        incl    waits
        movl    $line, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        monitor
        movl    %ebp, %ecx
        cmpl    $0, enable
        je      2f
        sti
2:      mwait
        cli
        incl    wakes
        jmp     1b

on_interrupt:
        cmpl    $2, %edi
        je      1f
        lock incl taken
        apic_write 0xb0, $0
        ret
1:      lock incl nmis
        ret

        .data
        .balign 8
waits:  .quad   0
wakes:  .quad   0
wakes_seen: .quad 0
extensions: .quad 0
enable: .quad   0
taken:  .quad   0
nmis:   .quad   0
noncanonical: .quad 0x0000800000000000
        .balign 64
        .skip   64
line:   .skip   64
        .skip   64
