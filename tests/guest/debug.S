/* Debug exceptions: INT1, single step, instruction and data breakpoints, general detect, RF, shadows. [SDM3 17.2, 17.3],
   [APM2 13.1] */
#include "guest.inc"

        .set    TF, 0x100
        .set    RF, 0x10000

        // DR6 must hold these bits besides its fixed ones; then it is cleared.
        .macro  dr6_is bits, line
        movq    %db6, %rax
        movl    $(0xffff0ff0 | \bits), %edx
        check_equal %rax, %rdx, \line
        xorl    %eax, %eax
        movq    %rax, %db6
        .endm
        // The instructions with TF set: `vector` must come behind the last of them.
        .macro  steps vector, line, instruction
        pushq   $(TF | 2)
        traps   \vector, 0, \line, "popfq ; \instruction"
        addq    $8, %rsp
        .endm
#define STEPS(vector, instruction) steps vector, __LINE__, instruction
#define DR6_IS(bits) dr6_is bits, __LINE__
        .macro  set_dr7 value
        movl    $\value, %eax
        movq    %rax, %db7
        .endm

main64: xorl    %eax, %eax
        movq    %rax, %db6
        call    single_step
        call    code_breakpoints
        call    data_breakpoints
        call    detect
        call    resume_flag
        ret

single_step:
        TRAPS(DB, 0, ".byte 0xf1")              // INT1: DR6 stays
        DR6_IS(0)
        USER_TRAPS(DB, 0, ".byte 0xf1")         // no DPL check
        // TF: after the instruction behind POPF.
        STEPS(DB, "nop")
        DR6_IS(0x4000)
        movq    seen_rflags, %rax
        andl    $0x10100, %eax
        CHECK(%rax, $TF)                        // a trap: RF is not set
        movq    seen_handler_rflags, %rax
        andl    $TF, %eax
        CHECK(%rax, $0)
        // MOV SS holds the trap back by one instruction, STI does not.
        movl    $DATA, %ecx
        STEPS(DB, "movl %ecx, %ss ; movb $1, %bl")
        DR6_IS(0x4000)
        STEPS(DB, "sti")
        DR6_IS(0x4000)
        cli
        // A fault goes first and saves TF; INTn saves it too, and neither adds a trap of its own.
        pushq   $(TF | 2)
        movq    %rsp, %rbx
        addq    $8, %rbx
        movq    %rbx, recover_rsp
        movq    $2f, recover_rip
        popfq
1:      ud2
2:      CHECK(seen_vector, $UD)
        CHECK(seen_rip, $1b)
        movq    seen_rflags, %rax
        andl    $(TF | RF), %eax
        CHECK(%rax, $(TF | RF))
        STEPS(0x90, "int $0x90")
        DR6_IS(0)
        ret

code_breakpoints:
        movl    $1f, %eax
        movq    %rax, %db0
        set_dr7 1
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
        nop
1:      ud2                                     // the breakpoint comes before the instruction's own fault
2:      CHECK(seen_vector, $DB)
        CHECK(seen_rip, $1b)
        DR6_IS(1)
        // With RF in the image IRET runs the instruction.
        movq    %rsp, recover_rsp
        movq    $3f, recover_rip
        movq    %rsp, %rbx
        pushq   $DATA
        pushq   %rbx
        pushq   $(RF | 2)
        pushq   $CODE64
        pushq   $1b
        iretq
3:      CHECK(seen_vector, $UD)
        CHECK(seen_rip, $1b)
        movq    seen_rflags, %rax
        andl    $RF, %eax
        CHECK(%rax, $RF)                        // a fault's image has RF
        DR6_IS(0)
        // Global enable; four at once; all that match are reported.
        movl    $1f, %eax
        movq    %rax, %db1
        movq    %rax, %db3
        set_dr7 0x88
        movq    $2f, recover_rip
1:      nop
2:      CHECK(seen_vector, $DB)
        DR6_IS(0xa)
        set_dr7 0
        RUNS("nop")
        ret

data_breakpoints:
        movl    $word + 4, %eax
        movq    %rax, %db1
        movl    $word, %edi
        set_dr7 0x00d00004                      // DR1: write, 4 bytes
        TRAPS(DB, 0, "movl %ecx, 4(%rdi)")
        DR6_IS(2)
        TRAPS(DB, 0, "movl %ecx, 4(%rdi)")      // each time
        DR6_IS(2)
        TRAPS(DB, 0, "movb %cl, 7(%rdi)")
        DR6_IS(2)
        TRAPS(DB, 0, "movq %rcx, (%rdi)")       // overlaps
        DR6_IS(2)
        TRAPS(DB, 0, "addl $1, 4(%rdi)")
        DR6_IS(2)
        TRAPS(DB, 0, "movl %esp, %esp ; movl $0, 4(%rdi)")
        DR6_IS(2)
        RUNS("movl %ecx, (%rdi) ; movl %ecx, 8(%rdi) ; movl 4(%rdi), %ecx")
        DR6_IS(0)
        // A fault leaves nothing: the write does not happen.
        movq    $0x7000000000, %rsi
        PAGE_FAULTS(2, $0x7000000000, "movl %ecx, (%rsi)")
        DR6_IS(0)
        // So does one of the processor's own: a gate of the IDT that can't be read.
        movl    $idt, %esi
        movl    $0x5ff800, %edi                 // half of it lies in the next large page
        movl    $256, %ecx
        cld
        rep movsq
        movq    $0, pd + 24
        invlpg  0x600000
        movl    $0x5ff800, idtr + 2
        lidt    idtr
        movl    $0x600100, %eax
        movq    %rax, %db1
        set_dr7 0x00f00004                      // read or write, 4 bytes
        PAGE_FAULTS(0, $0x600100, "int $0x90")
        DR6_IS(0)
        RUNS("nop")
        DR6_IS(0)
        movl    $idt, idtr + 2
        lidt    idtr
        movl    $word + 4, %eax
        movq    %rax, %db1
        movl    $word, %edi
        // Read or write, 8 bytes.
        movl    $word, %eax
        movq    %rax, %db1
        set_dr7 0x00b00004
        TRAPS(DB, 0, "movb 3(%rdi), %cl")
        DR6_IS(2)
        TRAPS(DB, 0, "movb 3(%rdi), %cl")
        DR6_IS(2)
        TRAPS(DB, 0, "pushq (%rdi)")
        addq    $8, %rsp
        DR6_IS(2)
        // Together with single step: both are reported by one #DB.
        STEPS(DB, "movb %cl, (%rdi)")
        DR6_IS(0x4002)
        // MOV SS from a watched word: held back.
        movl    $DATA, %ecx
        set_dr7 0
        movw    %cx, (%rdi)
        set_dr7 0x00b00004
        TRAPS(DB, 0, "movw (%rdi), %ss ; nop")
        DR6_IS(2)
        // Strings: after the iteration.
        movl    $word - 16, %edi
        movl    $4, %ecx
        movl    $0x5a5a5a5a, %eax
        cld
        movq    %rax, %rbx
        set_dr7 0x00d00004
        movq    %rbx, %rax
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
1:      rep stosq
        movq    $0x1000, seen_vector
        movq    $0, recover_rip
2:      CHECK(seen_vector, $DB)
        CHECK(seen_rip, $1b)
        CHECK(%rcx, $1)
        movl    $word + 8, %eax
        CHECK(%rdi, %rax)
        DR6_IS(2)
        set_dr7 0
        ret

detect: movl    $0x2000, %eax                   // GD
        movq    %rax, %db7
        FAULTS(DB, 0, "movq %db0, %rbx")
        movq    %db7, %rax                      // the handler runs with GD clear
        CHECK(%rax, $0x400)
        DR6_IS(0x2000)
        // DR4 and DR5 are DR6 and DR7 without CR4.DE, and #UD with it.
        movq    %db7, %rbx
        RUNS(".byte 0x0f, 0x21, 0xe8")          // mov %db5, %rax
        CHECK(%rax, %rbx)
        movq    %cr4, %rbx
        movq    %rbx, %rax
        orq     $8, %rax
        movq    %rax, %cr4
        FAULTS(UD, 0, ".byte 0x0f, 0x21, 0xe8")
        movq    %rbx, %cr4
        ret

resume_flag:
        // TF and a repeated string: a trap after each iteration [SDM2 REP].
        movl    $FREE, %edi
        movl    $3, %ecx
        pushq   $(TF | 2)
        movq    %rsp, %rbx
        addq    $8, %rbx
        movq    %rbx, recover_rsp
        movq    $2f, recover_rip
        popfq
1:      rep stosb
        movq    $0x1000, seen_vector
        movq    $0, recover_rip
2:      CHECK(seen_vector, $DB)
        CHECK(seen_rip, $1b)
        CHECK(%rcx, $2)
        DR6_IS(0x4000)
        ret

        .data
        .balign 64
        .quad   0, 0
word:   .quad   0, 0, 0, 0
