/* System calls and GS: SYSCALL, SYSRET as AMD defines them, SWAPGS, TF across them. [APM3 SYSCALL, SYSRET],
   [SDM3 5.8.8] */
#include "guest.inc"

        .macro  write_msr number, low, high
        movl    $\number, %ecx
        movl    $\low, %eax
        movl    $\high, %edx
        wrmsr
        .endm

main64: write_msr 0xc0000081, 0, 0x00180008     // STAR: kernel 08/10, user 18/20/28
        write_msr 0xc0000082, entry, 0          // LSTAR
        write_msr 0xc0000084, 0x700, 0          // SFMASK: TF, IF, DF
        call    system_call
        call    trap_flag
        call    bad_return
        call    stack_attributes
        call    gs_bases
        ret

// Where SYSCALL goes: what it left is kept, then back through `entry_next`.
entry:  movq    %rcx, call_rcx
        movq    %r11, call_r11
        movl    %cs, %eax
        movq    %rax, call_cs
        movl    %ss, %eax
        movq    %rax, call_ss
        pushfq
        popq    call_rflags
        jmp     *entry_next

system_call:
        movq    $1f, entry_next
        movq    %rsp, %rbx
        movq    $0x603, user_rflags             // DF, IF, CF
        enter_user 2f
2:      syscall
3:      int     $SYSTEM
1:      movq    %rbx, %rsp
        movl    $3b, %eax
        addq    user_base, %rax
        CHECK(call_rcx, %rax)
        CHECK(call_r11, $0x603)
        CHECK(call_cs, $CODE64)
        CHECK(call_ss, $DATA)
        CHECK(call_rflags, $3)
        // Back: selectors by STAR, flags by R11 without RF, RIP by RCX.
        cld
        movq    %rsp, recover_rsp
        movq    $4f, recover_rip
        movq    call_rcx, %rcx
        movq    $0x13203, %r11
        sysretq
4:      CHECK(seen_vector, $SYSTEM)
        CHECK(seen_cs, $USER_CODE64)
        CHECK(seen_ss, $USER_DATA)
        CHECK(seen_rflags, $0x3203)
        movq    $2, user_rflags
        ret

// TF is looked at after SYSCALL has masked it, and after SYSRET has loaded it.
trap_flag:
        movq    $1f, entry_next
        movq    %rsp, %rbx
        movq    $0x102, user_rflags
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip                // a #DB would come here too
        movq    $0, call_rcx
        movq    $0x1000, seen_vector
        enter_user 2f
2:      syscall
3:      nop
        int     $SYSTEM
1:      movq    %rbx, %rsp
        CHECK(seen_vector, $0x1000)
        CHECK(call_r11, $0x102)
        movq    %rsp, recover_rsp
        movq    $4f, recover_rip
        movq    call_rcx, %rcx
        movq    $0x102, %r11
        sysretq
4:      CHECK(seen_vector, $DB)
        CHECK(seen_rip, call_rcx)
        CHECK(seen_cs, $USER_CODE64)
        movq    $2, user_rflags
        ret

// AMD: #GP comes in ring 3, at the fetch.
bad_return:
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        movq    noncanonical, %rcx
        movl    $2, %r11d
        sysretq
1:      CHECK(seen_vector, $GP)
        CHECK(seen_error, $0)
        CHECK(seen_cs, $USER_CODE64)
        CHECK(seen_rip, noncanonical)
        ret

// SYSRET leaves the hidden part of SS: after a null SS the 32-bit program's stack does not work.
stack_attributes:
        movl    $0x87, pd + 8 * 3               // 0x600000 for ring 3
        orl     $4, pdpt
        orl     $4, pml4
        movq    %cr3, %rax
        movq    %rax, %cr3
        movl    $0x80cd50, 0x600000             // push %eax ; int $0x80
        movl    $0x600000, %ecx
        movl    $2, %r11d
        movq    %rsp, %rbx
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        xorl    %eax, %eax
        movl    %eax, %ss
        movl    $0x601000, %esp
        sysretl
1:      CHECK(seen_vector, $SS)
        CHECK(seen_error, $0)
        CHECK(seen_rip, $0x600000)
        CHECK(seen_cs, $USER_CODE32)
        CHECK(seen_ss, $USER_DATA)
        movl    $0x600000, %ecx
        movl    $2, %r11d
        movq    %rsp, recover_rsp
        movq    $1f, recover_rip
        movl    $DATA, %eax
        movl    %eax, %ss
        movl    $0x601000, %esp
        sysretl
1:      CHECK(seen_vector, $SYSTEM)
        CHECK(seen_rip, $0x600003)
        CHECK(seen_rsp, $0x600ffc)
        // SYSCALL from there goes to CSTAR.
        write_msr 0xc0000083, entry, 0
        movl    $0x050f, 0x600000
        movq    $1f, entry_next
        movl    $0x600000, %ecx
        movl    $2, %r11d
        movq    %rsp, %rbx
        sysretl
1:      movq    %rbx, %rsp
        CHECK(call_rcx, $0x600002)
        CHECK(call_cs, $CODE64)
        movl    $0x83, pd + 8 * 3
        movq    %cr3, %rax
        movq    %rax, %cr3
        ret

gs_bases:
        write_msr 0xc0000101, 0x1000, 0x10
        write_msr 0xc0000102, 0x2000, 0x20
        swapgs
        movl    $0xc0000101, %ecx
        rdmsr
        CHECK(%rax, $0x2000)
        CHECK(%rdx, $0x20)
        movl    $0xc0000102, %ecx
        rdmsr
        CHECK(%rax, $0x1000)
        CHECK(%rdx, $0x10)
        USER_FAULTS(GP, 0, "swapgs")
        // The base is used, and loading a null selector clears it [APM3 E.4.13].
        write_msr 0xc0000101, call_rcx, 0
        movq    $0x1234, call_rcx
        movq    %gs:0, %rax
        CHECK(%rax, $0x1234)
        movl    $call_rcx + 8, %eax
        movl    $0xc0000100, %ecx
        xorl    %edx, %edx
        wrmsr
        movq    %fs:-8, %rax
        CHECK(%rax, $0x1234)
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    $0xc0000100, %ecx
        rdmsr
        CHECK(%rax, $0)
        // FSGSBASE.
        movq    %cr4, %rax
        orl     $0x10000, %eax
        movq    %rax, %cr4
        movq    $0x7fff12345678, %rbx
        RUNS("wrgsbase %rbx ; rdgsbase %rcx")
        CHECK(%rcx, %rbx)
        movq    noncanonical, %rbx
        FAULTS(GP, 0, "wrfsbase %rbx")
        USER_TRAPS(SYSTEM, 0, "rdgsbase %rcx ; int $SYSTEM")
        ret

        .data
        .balign 8
entry_next: .quad 0
call_rcx: .quad 0
call_r11: .quad 0
call_cs: .quad  0
call_ss: .quad  0
call_rflags: .quad 0
noncanonical: .quad 0x0000800000000000
