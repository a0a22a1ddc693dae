/* Debugging by branches and ports: DEBUGCTL's BTF and last-branch records, I/O breakpoints (CR4.DE), RF in the images of
   interrupts and traps between two iterations of a REP. [SDM3 17.2.4, 17.3.1, 17.4], [APM2 13.1.1] */
#include "guest.inc"

        .set    TF, 0x100
        .set    RF, 0x10000
        .set    DEBUGCTL, 0x1d9

        .macro  dr6_is bits, line
        movq    %db6, %rax
        movl    $(0xffff0ff0 | \bits), %edx
        check_equal %rax, %rdx, \line
        xorl    %eax, %eax
        movq    %rax, %db6
        .endm
#define DR6_IS(bits) dr6_is bits, __LINE__
        .macro  set_debugctl value
        movl    $DEBUGCTL, %ecx
        movl    $\value, %eax
        xorl    %edx, %edx
        wrmsr
        .endm
        // With BTF and TF: the trap must come behind the last of the instructions.
        .macro  steps_branch line, instruction
        set_debugctl 2
        pushq   $(TF | 2)
        traps   DB, 0, \line, "popfq ; \instruction"
        addq    $8, %rsp
        dr6_is  0x4000, \line
        movl    $DEBUGCTL, %ecx
        rdmsr
        check_equal %rax, $0, \line              // #DB clears BTF
        .endm
#define STEPS_BRANCH(instruction) steps_branch __LINE__, instruction
        // The last branch recorded, read before a check's own branches are.
        .macro  last_branch_is from, to, line
        movl    $0x1db, %ecx
        rdmsr
        movl    %eax, branches
        incl    %ecx
        rdmsr
        movl    %eax, branches + 8
        check_equal branches, $\from, \line
        check_equal branches+8, $\to, \line
        .endm
#define LAST_BRANCH_IS(from, to) last_branch_is from, to, __LINE__

main64: xorl    %eax, %eax
        movq    %rax, %db6
        call    single_step_on_branches
        call    last_branch
        call    ports
        call    repeated
        ret

single_step_on_branches:
        STEPS_BRANCH("nop ; nop ; jmp 7f ; ud2 ; 7:")
        STEPS_BRANCH("clc ; jc 7f ; nop ; jnc 7f ; ud2 ; 7:")
        STEPS_BRANCH("movl $1, %ecx ; 6: loop 6b ; jmp 7f ; 7:")  // not taken, then taken
        STEPS_BRANCH("call 7f ; 7:")
        STEPS_BRANCH("movl $7f, %eax ; jmp *%rax ; 7:")
        STEPS_BRANCH("movl $7f, %eax ; pushq %rax ; ret ; 7:")
        STEPS_BRANCH("xorl %ecx, %ecx ; jrcxz 7f ; ud2 ; 7:")
        // Without BTF each instruction traps.
        pushq   $(TF | 2)
        TRAPS(DB, 0, "popfq ; nop")
        addq    $8, %rsp
        DR6_IS(0x4000)
        ret

last_branch:
        set_debugctl 1
1:      jmp     2f
        nop
2:      nop
        LAST_BRANCH_IS(1b, 2b)
        stc
3:      jc      4f
4:      jnc     4b                              // not taken
        LAST_BRANCH_IS(3b, 4b)
        // An exception keeps the branch before it, and is one itself; INT3's stub has the address that it goes to.
        movq    %rsp, recover_rsp
        movq    $7f, recover_rip
        movl    $stubs + 16 * BP, %ebx
        movl    $note_branches, %eax
        movl    $BP, %edi
        movl    $0xee00, %edx
        call    set_gate
5:      jmp     6f
6:      int3
7:      CHECK(branches, $6b)
        CHECK(branches + 8, $note_branches)
        CHECK(branches + 16, $5b)
        CHECK(branches + 24, $6b)
        movl    %ebx, %eax
        movl    $BP, %edi
        movl    $0xee00, %edx
        call    set_gate
        // #DB clears LBR.
        set_debugctl 1
        TRAPS(DB, 0, ".byte 0xf1")
        movl    $DEBUGCTL, %ecx
        rdmsr
        CHECK(%rax, $1)                          // INT1 is no debug exception of the registers'
        pushq   $(TF | 2)
        TRAPS(DB, 0, "popfq ; nop")
        addq    $8, %rsp
        DR6_IS(0x4000)
        movl    $DEBUGCTL, %ecx
        rdmsr
        CHECK(%rax, $0)
        ret
note_branches:                                   // without a branch, which would be recorded
        .irp    number, 0, 1, 2, 3
        movl    $(0x1db + \number), %ecx
        rdmsr
        movl    %eax, branches + 8 * \number
        movl    %edx, branches + 8 * \number + 4
        .endr
        movq    $0, recover_rip
        iretq

ports:  movl    $0x80, %eax
        movq    %rax, %db0
        movl    $0x20001, %eax                   // DR0: I/O, one byte
        movq    %rax, %db7
        RUNS("outb %al, $0x80")                  // without CR4.DE there are none
        DR6_IS(0)
        movq    %cr4, %rax
        orl     $8, %eax
        movq    %rax, %cr4
        TRAPS(DB, 0, "outb %al, $0x80")
        DR6_IS(1)
        TRAPS(DB, 0, "inb $0x80, %al")
        DR6_IS(1)
        TRAPS(DB, 0, "outw %ax, $0x80")
        DR6_IS(1)
        TRAPS(DB, 0, "inw $0x7f, %ax")           // overlaps
        DR6_IS(1)
        RUNS("outb %al, $0x81 ; outb %al, $0x7f")
        DR6_IS(0)
        movq    $0x80, %rbx                      // memory at the same number does not count
        RUNS("movb 0x80, %al")
        DR6_IS(0)
        // A repeated one traps after each iteration, with RF in the image but for the last.
        movl    $0x80, %edx
        movl    $FREE, %esi
        movl    $2, %ecx
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
        cld
1:      rep outsb
2:      CHECK(seen_vector, $DB)
        CHECK(seen_rip, $1b)
        CHECK(%rcx, $1)
        movq    seen_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $RF)
        DR6_IS(1)
        movl    $0x80, %edx
        movl    $1, %ecx
        TRAPS(DB, 0, "rep outsb")
        movq    seen_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $0)
        DR6_IS(1)
        xorl    %eax, %eax
        movq    %rax, %db7
        ret

// The APIC timer interrupts a long REP STOSB.
repeated:
        movl    $on_timer, %eax
        movq    %rax, hook
        apic_write 0xf0, $0x1ff
        apic_write 0x320, $0x40
        apic_write 0x3e0, $0xb
        movl    $FREE, %edi
        movl    $0x100000, %ecx
        xorl    %eax, %eax
        apic_write 0x380, $300
        sti                                      // its shadow covers the first iteration only
1:      rep stosb
        cli
        CHECK(%rcx, $0)
        CHECK(%rdi, $FREE+0x100000)
        CHECK(timer_rip, $1b)
        movq    timer_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $RF)
        movq    $0, timer_rip
        // Between two plain instructions it is not set.
        sti
        nop
        apic_write 0x300, $0x44040
        nop
        cli
        movq    timer_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $0)
        // TF: the trap behind an iteration has it, too.
        movl    $FREE, %edi
        movl    $3, %ecx
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
        pushq   $(TF | 2)
        popfq
1:      rep stosb
2:      CHECK(seen_rip, $1b)
        movq    seen_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $RF)
        DR6_IS(0x4000)
        ret
on_timer:
        movq    (%rsi), %rax
        movq    %rax, timer_rip
        movq    16(%rsi), %rax
        movq    %rax, timer_rflags
        apic_write 0xb0, $0
        ret

        .data
        .balign 8
branches: .quad 0, 0, 0, 0
timer_rip: .quad 0
timer_rflags: .quad 0
