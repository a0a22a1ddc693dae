/* SYSENTER, SYSEXIT, SYSCALL and SYSRET in 32-bit protected mode as AMD's processors have them: selectors, flags, flat hidden
   parts whatever the descriptors say, and every fault. [APM3 SYSENTER, SYSEXIT, SYSCALL, SYSRET], [SDM3 5.8.7] */
#include "guest.inc"
#include "legacy.inc"

        .macro  write_msr number, low, high
        movl    $\number, %ecx
        movl    \low, %eax
        movl    $\high, %edx
        wrmsr
        .endm

main32: call    sysenter_faults
        call    sysenter_and_exit
        call    syscall_and_sysret
        ret

sysenter_faults:
        write_msr 0x174, $0, 0
        FAULTS32(GP, 0, sysenter)                // no code segment
        FAULTS32(GP, 0, sysexit)
        write_msr 0x174, $3, 0
        FAULTS32(GP, 0, sysenter)                // a null selector with an RPL
        write_msr 0x174, $CODE32, 0
        arm32   1f
        enter_ring3
2:      sysexit
1:      WANT(seen_vector, $GP)                   // ring 0 only
        WANT(seen_rip, $2b)
        write_msr 0xc0000080, $0x800, 0
        FAULTS32(UD, 0, syscall)                 // EFER.SCE
        FAULTS32(UD, 0, sysret)
        write_msr 0xc0000080, $0x801, 0
        ret

// CS and SS need no descriptors of the right kind: 0xa0 and 0xa8 are empty.
        .set    ENTER_CS, 0xa0
sysenter_and_exit:
        write_msr 0x174, $(ENTER_CS + 3), 0      // the RPL is not looked at
        write_msr 0x175, $enter_stack, 0
        write_msr 0x176, $entered, 0
        movl    $0x602, user_rflags              // IF, DF
        arm32   9f
        movl    %esp, %ebp
        enter_ring3
        stc
        sysenter
entered:
        movl    %esp, %eax
        movl    %cs, %ecx
        movl    %ss, %edx
        pushfl
        popl    %ebx
        cld
        movl    %ebp, %esp                       // writable and flat by its hidden part
        WANT(%eax, $enter_stack)
        WANT(%ecx, $ENTER_CS)
        WANT(%edx, $ENTER_CS + 8)
        WANT(%ebx, $0x403)                       // IF is clear, DF and CF stay
        // Back: CS + 16, SS + 24, both with RPL 3.
        movl    $user_stack, %ecx
        movl    $1f, %edx
        sysexit
1:      movl    %cs, %esi
        movl    %ss, %edi
        int     $SYSTEM
9:      WANT(seen_vector, $SYSTEM)
        WANT(seen_cs, $ENTER_CS + 16 + 3)
        WANT(seen_ss, $ENTER_CS + 24 + 3)
        WANT(seen_rsp, $user_stack)
        WANT(%esi, $ENTER_CS + 16 + 3)
        movl    $2, user_rflags
        ret

syscall_and_sysret:
        write_msr 0xc0000081, $called, 0x00b000a0 // STAR: target, kernel a0/a8, user b0/b8
        movl    $0x602, user_rflags
        arm32   9f
        movl    %esp, %ebp
        enter_ring3
        stc
        syscall
2:      int     $SYSTEM
called: movl    %cs, %eax
        movl    %ss, %edx
        pushfl
        popl    %ebx
        cld
        WANT(%ecx, $2b)
        WANT(%eax, $0xa0)
        WANT(%edx, $0xa8)
        WANT(%ebx, $0x403)                       // SFMASK is long mode's; IF is clear
        WANT(%esp, $user_stack)                  // the stack pointer stays
        movl    $2b, %ecx
        sysret
9:      WANT(seen_vector, $SYSTEM)
        WANT(seen_cs, $0xb3)
        WANT(seen_ss, $0xbb)
        movl    seen_rflags, %eax
        andl    $0x200, %eax
        WANT(%eax, $0x200)                       // SYSRET sets IF
        movl    $2, user_rflags
        arm32   1f
        enter_ring3
2:      sysret
1:      WANT(seen_vector, $GP)
        WANT(seen_rip, $2b)
        ret

        .bss
        .balign 16
        .skip   512
enter_stack:
