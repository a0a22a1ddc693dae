/* Every vector that software can cause in 64-bit mode: error code, saved RIP, saved flags; and what comes first when
   an instruction has several reasons to fault. [SDM3 6.9, 6.13, 6.15], [APM2 8.2] */
#include "guest.inc"

        .set    NONCANONICAL, 0x8000000000000000

main64: call    divide_and_software
        call    invalid_opcode
        call    device_not_available
        call    segments
        call    protection
        call    floating_point
        call    alignment
        call    gates
        call    double_faults
        ret

divide_and_software:
        xorl    %ecx, %ecx
        movl    $7, %eax
        xorl    %edx, %edx
        FAULTS(DE, 0, "divl %ecx")
        CHECK(%rax, $7)
        CHECK(%rdx, $0)
        movq    $1, %rcx
        movq    $1, %rdx
        FAULTS(DE, 0, "divq %rcx")              // the quotient does not fit
        movq    $0x8000000000000000, %rax
        cqto
        movq    $-1, %rcx
        FAULTS(DE, 0, "idivq %rcx")
        TRAPS(BP, 0, "int3")
        TRAPS(BP, 0, ".byte 0xcd, 3")
        TRAPS(OF, 0, "int $4")
        TRAPS(0x45, 0, "int $0x45")
        ret

invalid_opcode:
        FAULTS(UD, 0, "ud2")
        FAULTS(UD, 0, ".byte 0x0f, 0xff, 0xc0") // UD0 with ModRM
        FAULTS(UD, 0, ".byte 0x0f, 0xb9, 0xc0") // UD1
        FAULTS(UD, 0, ".byte 0x0e")             // PUSH CS
        FAULTS(UD, 0, ".byte 0xce")             // INTO
        FAULTS(UD, 0, ".byte 0x27")             // DAA
        FAULTS(UD, 0, ".byte 0x9a, 0, 0, 0, 0, 8, 0") // CALL ptr16:32
        FAULTS(UD, 0, ".byte 0xf0, 0x01, 0xc0") // LOCK ADD with a register
        FAULTS(UD, 0, ".byte 0xf0, 0x90")       // LOCK NOP
        FAULTS(UD, 0, ".byte 0xf0, 0x8b, 0x00") // LOCK MOV r, m
        FAULTS(UD, 0, ".byte 0x8e, 0xc8")       // MOV CS
        FAULTS(UD, 0, ".byte 0x0f, 0x22, 0x08") // MOV CR1
        FAULTS(UD, 0, ".byte 0x8d, 0xc0")       // LEA with a register
        FAULTS(UD, 0, "rdfsbase %rax")          // CR4.FSGSBASE is clear
        FAULTS(UD, 0, "rdpkru")
        FAULTS(UD, 0, "xgetbv")                 // CR4.OSXSAVE is clear
        FAULTS(UD, 0, "vzeroupper")
        FAULTS(UD, 0, "sysenter")               // AMD, long mode [APM3 SYSENTER]
        USER_FAULTS(UD, 0, "ud2")
        // EFER.SCE
        movl    $0xc0000080, %ecx
        rdmsr
        andl    $~1, %eax
        wrmsr
        FAULTS(UD, 0, "syscall")
        FAULTS(UD, 0, "sysretq")
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $1, %eax
        wrmsr
        // A 16-byte instruction is too long [SDM2 2.3.11]: #GP(0).
        FAULTS(GP, 0, ".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90")
        RUNS(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x90")
        ret

// CR0.TS, EM and MP; CR4.OSFXSR. [SDM3 table 2-2, 6.15 interrupt 7]
device_not_available:
        movq    %cr0, %rbx
        movq    %rbx, %rax
        orq     $8, %rax
        movq    %rax, %cr0                      // TS, MP
        FAULTS(NM, 0, "fnop")
        FAULTS(NM, 0, "fwait")
        FAULTS(NM, 0, "addps %xmm0, %xmm0")
        FAULTS(NM, 0, "movups (%rax), %xmm0")   // #NM before the memory operand is looked at
        FAULTS(NM, 0, "movsd %xmm0, %xmm1")     // shares its name with a string instruction
        FAULTS(NM, 0, "movsd (%rsp), %xmm1")
        FAULTS(NM, 0, "movsd %xmm1, (%rsp)")
        FAULTS(NM, 0, "cmpsd $0, %xmm0, %xmm1")
        leaq    -256(%rsp), %rsi
        movq    %rsi, %rdi
        RUNS("movsl")                           // the string instructions are no SSE
        RUNS("cmpsl")
        movq    $NONCANONICAL, %rsi
        FAULTS(NM, 0, "fldl (%rsi)")
        RUNS("sfence")
        andq    $~2, %rax
        movq    %rax, %cr0                      // TS without MP
        RUNS("fwait")
        FAULTS(NM, 0, "fnop")
        clts
        RUNS("fnop")
        movq    %rbx, %rax
        orq     $4, %rax
        movq    %rax, %cr0                      // EM
        FAULTS(NM, 0, "fnop")
        FAULTS(UD, 0, "addps %xmm0, %xmm0")
        FAULTS(UD, 0, "movsd %xmm0, %xmm1")
        FAULTS(UD, 0, "cmpsd $0, %xmm0, %xmm1")
        RUNS("fwait")
        movq    %rbx, %cr0
        movq    %cr4, %rbx
        movq    %rbx, %rax
        andq    $~0x200, %rax
        movq    %rax, %cr4                      // no OSFXSR
        FAULTS(UD, 0, "addps %xmm0, %xmm0")
        movq    %rbx, %cr4
        ret

segments:
        movl    $ABSENT_DATA, %eax
        FAULTS(NP, ABSENT_DATA, "movl %eax, %ds")
        FAULTS(SS, ABSENT_DATA, "movl %eax, %ss")
        movl    $0x1003, %eax
        FAULTS(GP, 0x1000, "movl %eax, %ds")    // outside the GDT; RPL is not part of the code
        movl    $0x1007, %eax
        FAULTS(GP, 0x1004, "movl %eax, %es")    // no LDT; TI is
        movl    $TSS, %eax
        FAULTS(GP, TSS, "movl %eax, %ds")
        movl    $USER_DATA, %eax
        FAULTS(GP, 0x20, "movl %eax, %ss")      // RPL and DPL are not CPL
        movl    $CODE64, %eax
        FAULTS(GP, CODE64, "movl %eax, %ss")
        RUNS("movl %eax, %ds")                  // readable code
        xorl    %eax, %eax
        RUNS("movl %eax, %ds")
        RUNS("movl %eax, %ss")                  // null at CPL 0 in 64-bit mode
        movl    $3, %eax
        FAULTS(GP, 0, "movl %eax, %ss")         // null with another RPL
        movl    $DATA, %eax
        movl    %eax, %ss
        movl    %eax, %ds
        // Far transfers.
        movl    $1f, far_pointer
        movl    $ABSENT_CODE, far_pointer + 4
        FAULTS(NP, ABSENT_CODE, "ljmpl *far_pointer")
        FAULTS(NP, ABSENT_CODE, "lcalll *far_pointer")
        movl    $DATA, far_pointer + 4
        FAULTS(GP, DATA, "ljmpl *far_pointer")
        movl    $0, far_pointer + 4
        FAULTS(GP, 0, "ljmpl *far_pointer")
        movl    $0x28, far_pointer + 4          // ring 3's: DPL is not CPL
        FAULTS(GP, 0x28, "ljmpl *far_pointer")
        movl    $CODE64, far_pointer + 4
        RUNS("lcalll *far_pointer")
        // IRET with NT; RETF and IRET to bad places.
        pushfq
        orq     $0x4000, (%rsp)
        popfq
        FAULTS(GP, 0, "iretq")
        pushq   $2
        popfq
        movq    $NONCANONICAL, %rax
        movq    %rsp, %rbp
        pushq   $DATA
        pushq   %rsp
        pushq   $2
        pushq   $CODE64
        pushq   %rax
        FAULTS(GP, 0, "iretq")
        movl    $1f, %eax
        movq    %rax, (%rsp)
        movq    $ABSENT_CODE, 8(%rsp)
        FAULTS(NP, ABSENT_CODE, "iretq")
        movq    $CODE64, 8(%rsp)
        movq    $CODE64, 32(%rsp)
        FAULTS(GP, CODE64, "iretq")             // SS is code
        movq    $ABSENT_DATA, 32(%rsp)
        FAULTS(SS, ABSENT_DATA, "iretq")
        movq    $0x2b, 8(%rsp)
        movq    $0, 32(%rsp)
        FAULTS(GP, 0, "iretq")                  // a null SS for ring 3
        movq    %rbp, %rsp
        // LTR and LLDT.
        movl    $TSS, %eax
        FAULTS(GP, TSS, "ltr %ax")              // busy
        movl    $DATA, %eax
        FAULTS(GP, DATA, "lldt %ax")
        xorl    %eax, %eax
        RUNS("lldt %ax")
        FAULTS(GP, 0, "ltr %ax")
        USER_FAULTS(GP, 0, "lldt %ax")
        // Ring 3 gets null data segments for those of ring 0 [SDM3 5.8.6].
        USER_TRAPS(SYSTEM, 0, "int $SYSTEM")
        movl    %ds, %eax
        CHECK(%rax, $0)
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        ret
1:      lret

protection:
        movq    $NONCANONICAL, %rsi
        FAULTS(GP, 0, "movq (%rsi), %rax")
        movq    %rsi, %rbp
        FAULTS(SS, 0, "movq (%rbp), %rax")
        movq    $0x00007ffffffffffc, %rsi
        FAULTS(GP, 0, "movq (%rsi), %rax")      // reaches over the edge: canonical before paging
        movq    $0x00007ffffffffff8, %rsi
        PAGE_FAULTS(0, $0x00007ffffffffff8, "movq (%rsi), %rax")
        FAULTS(GP, 0, "jmp *noncanonical")
        FAULTS(GP, 0, "call *noncanonical")
        pushq   noncanonical
        FAULTS(GP, 0, "ret")
        addq    $8, %rsp
        // Misaligned SSE.
        FAULTS(GP, 0, "movaps far_pointer + 8, %xmm0")
        RUNS("movups far_pointer + 8, %xmm0")
        // Registers.
        movl    $0x12345678, %ecx
        FAULTS(GP, 0, "rdmsr")
        FAULTS(GP, 0, "wrmsr")
        movl    $0xc0000082, %ecx               // LSTAR
        movl    $0x80000000, %edx
        FAULTS(GP, 0, "wrmsr")
        movl    $0xc0000080, %ecx
        rdmsr
        movl    %eax, %ebx
        xorl    $0x100, %eax                    // EFER.LME with paging on
        FAULTS(GP, 0, "wrmsr")
        movl    %ebx, %eax
        orl     $0x80, %eax
        FAULTS(GP, 0, "wrmsr")
        movq    %cr0, %rax
        andq    $~1, %rax
        FAULTS(GP, 0, "movq %rax, %cr0")        // PG without PE
        movq    %cr0, %rax
        orq     $0x20000000, %rax
        FAULTS(GP, 0, "movq %rax, %cr0")        // NW without CD
        btsq    $32, %rax
        FAULTS(GP, 0, "movq %rax, %cr0")
        movq    %cr0, %rax
        btrq    $31, %rax
        FAULTS(GP, 0, "movq %rax, %cr0")        // paging off in 64-bit mode
        movq    %cr4, %rax
        andq    $~0x20, %rax
        FAULTS(GP, 0, "movq %rax, %cr4")        // PAE off in long mode
        movq    %cr4, %rax
        btsq    $30, %rax
        FAULTS(GP, 0, "movq %rax, %cr4")
        movq    %cr3, %rax
        btsq    $63, %rax
        FAULTS(GP, 0, "movq %rax, %cr3")        // without CR4.PCIDE
        movl    $16, %eax
        FAULTS(GP, 0, "movq %rax, %cr8")
        movq    $0x100000000, %rax
        FAULTS(GP, 0, "movq %rax, %db7")
        FAULTS(GP, 0, "movq %rax, %db6")
        // Ring 3.
        USER_FAULTS(GP, 0, "hlt")
        USER_FAULTS(GP, 0, "cli")
        USER_FAULTS(GP, 0, "movq %cr0, %rax")
        USER_FAULTS(GP, 0, "movq %rax, %db0")
        USER_FAULTS(GP, 0, "lidt (%rax)")
        USER_FAULTS(GP, 0, "rdmsr")
        USER_FAULTS(GP, 0, "swapgs")
        USER_FAULTS(GP, 0, "sysretq")
        USER_FAULTS(GP, 0, "inb $0x80, %al")
        USER_FAULTS(GP, 0, "invlpg (%rax)")
        USER_FAULTS(GP, 0, "clts")
        ret

floating_point:
        // x87: pending until the next waiting instruction, whose RIP is saved.
        fninit
        movw    $0x37b, far_pointer             // ZM clear
        fldcw   far_pointer
        fldz
        fld1
        RUNS("fdiv %st(1), %st")
        RUNS("fnstsw %ax")
        andl    $0x8084, %eax
        CHECK(%rax, $0x8084)                    // B, ES, ZE
        FAULTS(MF, 0, "fwait")
        FAULTS(MF, 0, "fld1")
        RUNS("fnclex")
        RUNS("fwait")
        fninit
        // SSE: at the instruction itself; #UD without CR4.OSXMMEXCPT.
        movl    $0x1d80, far_pointer            // ZM clear
        ldmxcsr far_pointer
        movl    $1, %eax
        cvtsi2sd %eax, %xmm0
        pxor    %xmm1, %xmm1
        FAULTS(XM, 0, "divsd %xmm1, %xmm0")
        stmxcsr far_pointer
        movl    far_pointer, %eax
        andl    $0x3f, %eax
        CHECK(%rax, $4)                         // ZE is set all the same
        movq    %xmm0, %rax
        CHECK(%rax, $0x3ff0000000000000)
        movq    %cr4, %rbx
        movq    %rbx, %rax
        andq    $~0x400, %rax
        movq    %rax, %cr4
        FAULTS(UD, 0, "divsd %xmm1, %xmm0")
        movq    %rbx, %cr4
        movl    $0x1f80, far_pointer
        ldmxcsr far_pointer
        movl    $0x80001f80, far_pointer
        FAULTS(GP, 0, "ldmxcsr far_pointer")
        ret

// RFLAGS.AC and CR0.AM, in ring 3 only. [SDM3 6.15 interrupt 17]
alignment:
        movq    %cr0, %rbx
        movq    %rbx, %rax
        btsq    $18, %rax
        movq    %rax, %cr0
        movq    $0x40002, user_rflags
        movl    $FREE + 1, %edi
        addq    user_base, %rdi
        USER_FAULTS(AC, 0, "movl (%rdi), %eax")
        USER_FAULTS(AC, 0, "movw %ax, (%rdi)")
        USER_FAULTS(AC, 0, "addq $1, 3(%rdi)")  // 4-byte aligned is not enough
        USER_TRAPS(SYSTEM, 0, "movb (%rdi), %al ; movl 3(%rdi), %eax ; int $SYSTEM")
        CHECK(seen_vector, $SYSTEM)
        movq    $2, user_rflags
        USER_TRAPS(SYSTEM, 0, "movl (%rdi), %eax ; int $SYSTEM")
        pushq   $0x40002
        popfq
        RUNS("movl (%rdi), %eax")               // ring 0
        pushq   $2
        popfq
        movq    %rbx, %cr0
        ret

gates:
        USER_FAULTS(GP, 0x40a, "int $0x81")     // DPL 0
        USER_FAULTS(GP, 0x6a, "int $13")        // the exception's own vector: no double fault
        movl    $0x90, %edi
        movl    $stubs + 16 * 0x90, %eax
        movl    $0x0e00, %edx
        call    set_gate
        FAULTS(NP, 0x482, "int $0x90")
        USER_FAULTS(GP, 0x482, "int $0x90")     // DPL before presence
        movl    $0x8c00, %edx                   // a call gate
        call    set_gate
        FAULTS(GP, 0x482, "int $0x90")
        movl    $0x8600, %edx                   // a 16-bit interrupt gate: not in long mode
        call    set_gate
        FAULTS(GP, 0x482, "int $0x90")
        movl    $0x8e00, %edx
        call    set_gate
        movw    $0, idt + 16 * 0x90 + 2
        FAULTS(GP, 0, "int $0x90")
        movw    $DATA, idt + 16 * 0x90 + 2
        FAULTS(GP, DATA, "int $0x90")
        movw    $CODE32, idt + 16 * 0x90 + 2
        FAULTS(GP, CODE32, "int $0x90")
        movw    $ABSENT_CODE, idt + 16 * 0x90 + 2
        FAULTS(NP, ABSENT_CODE, "int $0x90")
        movw    $0x28, idt + 16 * 0x90 + 2      // DPL 3 above CPL 0
        FAULTS(GP, 0x28, "int $0x90")
        movw    $0x1000, idt + 16 * 0x90 + 2
        FAULTS(GP, 0x1000, "int $0x90")
        // The IDT's limit.
        movw    $0x8f * 16 + 14, idtr
        lidt    idtr
        FAULTS(GP, 0x47a, "int $0x8f")
        movw    $4095, idtr
        lidt    idtr
        // Trap gates keep IF and TF goes; interrupt gates clear IF.
        movl    $0x8f00, %edx
        call    set_gate
        sti
        TRAPS(0x90, 0, "int $0x90")
        movq    seen_handler_rflags, %rax
        andl    $0x300, %eax
        CHECK(%rax, $0x200)
        sti
        TRAPS(0x91, 0, "int $0x91")
        movq    seen_handler_rflags, %rax
        andl    $0x300, %eax
        CHECK(%rax, $0)
        cli
        // Stacks: aligned to 16 bytes; IST; RSP0 from ring 3.
        movq    %rsp, %rbx
        andq    $~15, %rsp
        movq    %rsp, %rbp
        subq    $8, %rsp
        movq    %rsp, %r8
        TRAPS(0x91, 0, "int $0x91")
        CHECK(seen_rsp, %r8)
        subq    $8, %rbp
        andq    $~15, %rbp
        CHECK(seen_frame, %rbp)
        movq    %rbx, %rsp
        movl    $stubs + 16 * 0x90, %eax
        movl    $0x8e01, %edx
        call    set_gate
        TRAPS(0x90, 0, "int $0x90")
        CHECK(seen_frame, $ist1_stack)
        CHECK(seen_ss, $DATA)
        USER_TRAPS(SYSTEM, 0, "int $SYSTEM")
        CHECK(seen_frame, $interrupt_stack)
        // An IST slot beyond the TSS: #TS with the TSS selector.
        movl    $stubs + 16 * 0x90, %eax
        movl    $0x8e07, %edx
        call    set_gate
        movw    $80, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        FAULTS(TS, TSS, "int $0x90")
        movw    $103, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        ltr     %ax
        movl    $stubs + 16 * 0x90, %eax
        movl    $0x8e00, %edx
        call    set_gate
        ret

// [SDM3 table 6-5]. The handler's gate gets `flags`; afterwards it is whole again.
        .macro  break_gate vector, flags
        movb    $\flags, idt + 16 * \vector + 5
        .endm
double_faults:
        // #DF's own gate is fine. Contributory, then contributory.
        break_gate GP, 0x0e
        movl    $0x1000, %eax
        FAULTS(DF, 0, "movl %eax, %ds")
        break_gate GP, 0x8e
        break_gate DE, 0x0e
        xorl    %ecx, %ecx
        FAULTS(DF, 0, "divl %ecx")
        break_gate DE, 0x8e
        // Benign, then contributory: serial; EXT, as the first was no software interrupt.
        break_gate UD, 0x0e
        FAULTS(NP, 0x33, "ud2")
        break_gate UD, 0x8e
        break_gate BP, 0x6e
        FAULTS(NP, 0x1a, "int3")
        break_gate BP, 0xee
        // A page fault, then contributory.
        break_gate PF, 0x0e
        movq    $0x7000000000, %rsi
        FAULTS(DF, 0, "movq (%rsi), %rax")
        CHECK(seen_cr2, $0x7000000000)
        break_gate PF, 0x8e
        // A page fault, then another while its frame is pushed.
        movq    $0x7000001000, %rax
        movq    %rax, tss + 36 + 8
        movb    $2, idt + 16 * PF + 4
        FAULTS(DF, 0, "movq (%rsi), %rax")
        CHECK(seen_cr2, $0x7000000ff8)
        movb    $0, idt + 16 * PF + 4
        // Contributory, then a page fault: serial. W, and not P.
        movb    $2, idt + 16 * GP + 4
        movl    $0x1000, %eax
        PAGE_FAULTS(2, $0x7000000ff8, "movl %eax, %ds")
        movb    $0, idt + 16 * GP + 4
        // A software interrupt whose frame can't be pushed.
        movb    $2, idt + 16 * 0x90 + 4
        PAGE_FAULTS(2, $0x7000000ff8, "int $0x90")
        movb    $0, idt + 16 * 0x90 + 4
        // A non-canonical stack: #SS; its frame fits no better: #DF, which has an IST stack.
        movb    $1, idt + 16 * DF + 4
        movq    noncanonical, %rax
        movq    %rsp, %rbx
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
        movq    %rax, %rsp
1:      pushq   %rax
2:      movq    %rbx, %rsp
        CHECK(seen_vector, $DF)
        CHECK(seen_rip, $1b)
        CHECK(seen_frame, $ist1_stack)
        movb    $0, idt + 16 * DF + 4
        // IST on the #SS gate: #SS(0) arrives.
        movb    $1, idt + 16 * SS + 4
        movq    noncanonical, %rax
        movq    %rsp, recover_rsp
        movq    $2f, recover_rip
        movq    %rax, %rsp
1:      pushq   %rax
2:      movq    %rbx, %rsp
        CHECK(seen_vector, $SS)
        CHECK(seen_error, $0)
        CHECK(seen_rip, $1b)
        movq    noncanonical, %rax
        CHECK(seen_rsp, %rax)
        movb    $0, idt + 16 * SS + 4
        ret

        .data
        .balign 16
far_pointer: .quad 0, 0, 0
noncanonical: .quad NONCANONICAL
