/* One instruction per row, run in ring 0 or 3 with these bits of CR4 and RFLAGS: what it raises. Privileged instructions, UMIP,
   TSD, PCE, LOCK, REX positions, lengths, forms that 64-bit mode lacks. [SDM2 2.2, 2.3.11, LOCK; SDM3 2.8, 5.9], [APM3 1.2] */
#include "guest.inc"

        .set    BUFFER, FREE
        .set    FINE, 0x1000
        .set    UMIP, 0x800
        .set    TSD, 4
        .set    PCE, 0x100
        .set    FSGSBASE, 0x10000
        .set    OSXSAVE, 0x40000
        .set    PKE, 0x400000

main64: movl    $rows, %ebx
        movq    %cr4, %r11
        movq    %r11, cr4
1:      // The instruction, then INT SYSTEM.
        movl    $BUFFER, %edi
        movzbl  6(%rbx), %ecx
        leaq    7(%rbx), %rsi
        cld
        rep movsb
        movw    $0x80cd, (%rdi)
        movl    (%rbx), %eax
        orq     cr4, %rax
        movq    %rax, %cr4
        movl    $data, %edi
        movl    $data, %esi
        movl    $BUFFER, %r8d
        arm     3f
        cmpb    $0, 4(%rbx)
        je      2f
        addq    user_base, %rdi
        addq    user_base, %rsi
        addq    user_base, %r8
        pushq   $USER_DATA
        movl    $user_stack, %r15d
        addq    user_base, %r15
        pushq   %r15
        pushq   $2
        pushq   $USER_CODE64
        pushq   %r8
        xorl    %eax, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        iretq
2:      movl    $64, %eax
        xorl    %ecx, %ecx
        xorl    %edx, %edx
        jmp     *%r8
3:      movq    cr4, %rax
        movq    %rax, %cr4
        movzbl  5(%rbx), %eax
        cmpq    $SYSTEM, seen_vector
        jne     4f
        movq    $0xff, seen_vector
        jmp     5f
4:      CHECK(seen_error, $0)
        CHECK(seen_rip, %r8)
5:      cmpq    %rax, seen_vector
        je      6f
        movl    %ebx, %r13d
        subl    $rows, %r13d             // the row's offset in the line's place
        movq    seen_vector, %r15
        movq    %rax, %r14
        call    report
6:      movzbl  6(%rbx), %ecx
        leaq    7(%rbx,%rcx), %rbx
        cmpl    $rows_end, %ebx
        jb      1b
        ret

        .data
        .balign 8
cr4:    .quad   0
data:   .quad   0, 0, 0, 0
        .set    OK, 0xff
        .macro  row cr4, ring, vector, code:vararg
        .long   \cr4
        .byte   \ring, \vector, 7f - . - 1
        .byte   \code
7:
        .endm
rows:
        // Ring 0 only.
        row     0, 3, GP, 0xf4                           // hlt
        row     0, 3, GP, 0xfa                           // cli
        row     0, 3, GP, 0xfb                           // sti
        row     0, 3, GP, 0x0f, 0x06                     // clts
        row     0, 3, GP, 0x0f, 0x08                     // invd
        row     0, 0, OK, 0x0f, 0x08
        row     0, 3, GP, 0x0f, 0x09                     // wbinvd
        row     0, 0, OK, 0x0f, 0x09
        row     0, 0, OK, 0xf3, 0x0f, 0x09               // wbnoinvd is wbinvd where it does not exist
        row     0, 3, GP, 0x0f, 0x20, 0xc0               // mov %cr0, %rax
        row     0, 3, GP, 0x0f, 0x22, 0xc0
        row     0, 3, GP, 0x0f, 0x20, 0xd8
        row     0, 3, GP, 0x0f, 0x21, 0xc0               // mov %db0, %rax
        row     0, 3, GP, 0x0f, 0x23, 0xf8
        row     0, 3, GP, 0x44, 0x0f, 0x20, 0xc0         // mov %cr8, %rax
        row     0, 0, OK, 0x44, 0x0f, 0x20, 0xc0
        row     0, 0, OK, 0xf0, 0x0f, 0x20, 0xc0         // the same by LOCK, as AMD's processors have it
        row     0, 0, UD, 0x0f, 0x20, 0xc8               // no cr1, 5, 6, 7, 9 ... 15
        row     0, 3, UD, 0x0f, 0x20, 0xc8
        row     0, 0, UD, 0x0f, 0x20, 0xe8
        row     0, 0, UD, 0x0f, 0x20, 0xf8
        row     0, 0, UD, 0x44, 0x0f, 0x20, 0xc8
        row     0, 0, UD, 0x44, 0x0f, 0x20, 0xf8
        row     0, 0, UD, 0x44, 0x0f, 0x21, 0xc0         // no dr8
        row     0, 3, GP, 0x0f, 0x30                     // wrmsr
        row     0, 3, GP, 0x0f, 0x32                     // rdmsr
        row     0, 3, GP, 0x0f, 0x01, 0x17               // lgdt (%rdi)
        row     0, 3, GP, 0x0f, 0x01, 0x1f               // lidt
        row     0, 3, GP, 0x0f, 0x00, 0x17               // lldt
        row     0, 3, GP, 0x0f, 0x00, 0x1f               // ltr
        row     0, 3, GP, 0x0f, 0x01, 0x37               // lmsw
        row     0, 3, GP, 0x0f, 0x01, 0x3f               // invlpg
        row     0, 3, GP, 0x66, 0x0f, 0x38, 0x82, 0x07   // invpcid
        row     0, 3, GP, 0x0f, 0x01, 0xf8               // swapgs
        row     0, 3, GP, 0x48, 0x0f, 0x07               // sysret
        row     0, 3, UD, 0x0f, 0x01, 0xca               // clac
        row     0, 3, UD, 0x0f, 0x01, 0xcb
        row     0, 3, UD, 0x0f, 0x01, 0xc8               // monitor, mwait
        row     0, 3, UD, 0x0f, 0x01, 0xc9
        row     OSXSAVE, 3, GP, 0x0f, 0x01, 0xd1         // xsetbv
        row     0, 3, UD, 0x0f, 0x01, 0xd1
        row     0, 3, UD, 0x0f, 0x01, 0xd0               // xgetbv
        row     OSXSAVE, 3, OK, 0x0f, 0x01, 0xd0
        row     0, 0, UD, 0x0f, 0xaa                     // rsm
        row     0, 0, UD, 0x0f, 0x34                     // sysenter, sysexit: not in long mode
        row     0, 0, UD, 0x0f, 0x35
        row     0, 0, UD, 0x0f, 0x01, 0xc1               // vmcall
        row     0, 0, UD, 0x0f, 0x01, 0xd8               // vmrun without SVM
        row     0, 0, UD, 0x0f, 0x01, 0xfd               // rdpru
        row     0, 3, GP, 0xec                           // in (%dx)
        row     0, 3, GP, 0xe6, 0x80
        row     0, 3, GP, 0x6c                           // ins
        row     0, 3, GP, 0x6e                           // outs
        // UMIP.
        row     0, 3, OK, 0x0f, 0x01, 0x07               // sgdt
        row     UMIP, 3, GP, 0x0f, 0x01, 0x07
        row     UMIP, 0, OK, 0x0f, 0x01, 0x07
        row     UMIP, 3, GP, 0x0f, 0x01, 0x0f            // sidt
        row     UMIP, 3, GP, 0x0f, 0x00, 0xc0            // sldt %eax
        row     0, 3, OK, 0x0f, 0x00, 0xc0
        row     UMIP, 3, GP, 0x0f, 0x00, 0xc8            // str
        row     UMIP, 3, GP, 0x0f, 0x01, 0xe0            // smsw
        row     0, 3, OK, 0x0f, 0x01, 0xe0
        row     UMIP, 0, OK, 0x0f, 0x01, 0xe0
        // Counters: there are none, whoever asks.
        row     TSD, 3, GP, 0x0f, 0x31                   // rdtsc
        row     TSD, 3, GP, 0x0f, 0x01, 0xf9             // rdtscp
        row     TSD, 0, OK, 0x0f, 0x31
        row     0, 3, OK, 0x0f, 0x31
        row     0, 3, GP, 0x0f, 0x33                     // rdpmc
        row     PCE, 3, GP, 0x0f, 0x33
        row     0, 0, GP, 0x0f, 0x33
        // Enabled by CR4.
        row     0, 3, UD, 0xf3, 0x0f, 0xae, 0xc0         // rdfsbase
        row     FSGSBASE, 3, OK, 0xf3, 0x0f, 0xae, 0xc0
        row     0, 0, UD, 0x0f, 0x01, 0xee               // rdpkru, wrpkru
        row     PKE, 3, OK, 0x0f, 0x01, 0xee
        row     PKE, 3, OK, 0x0f, 0x01, 0xef
        // LOCK: only with a memory destination of the instructions that take it.
        row     0, 3, OK, 0xf0, 0x01, 0x07               // lock add %eax, (%rdi)
        row     0, 3, UD, 0xf0, 0x01, 0xc0               // a register
        row     0, 3, UD, 0xf0, 0x03, 0x07               // memory is the source
        row     0, 3, UD, 0xf0, 0x39, 0x07               // cmp
        row     0, 3, UD, 0xf0, 0x83, 0x3f, 0x00         // cmp by its group
        row     0, 3, OK, 0xf0, 0x83, 0x37, 0x00         // xor
        row     0, 3, UD, 0xf0, 0x85, 0x07               // test
        row     0, 3, UD, 0xf0, 0x89, 0x07               // mov
        row     0, 3, OK, 0xf0, 0xff, 0x07               // inc
        row     0, 3, UD, 0xf0, 0xff, 0x37               // push
        row     0, 3, OK, 0xf0, 0xf7, 0x17               // not
        row     0, 3, UD, 0xf0, 0xf7, 0x27               // mul
        row     0, 3, OK, 0xf0, 0x0f, 0xb1, 0x07         // cmpxchg
        row     0, 3, OK, 0xf0, 0x0f, 0xc1, 0x07         // xadd
        row     0, 3, OK, 0xf0, 0x0f, 0xc7, 0x0f         // cmpxchg8b
        row     0, 3, OK, 0xf0, 0x0f, 0xab, 0x07         // bts
        row     0, 3, UD, 0xf0, 0x0f, 0xa3, 0x07         // bt
        row     0, 3, UD, 0xf0, 0x0f, 0xba, 0x27, 0x00
        row     0, 3, OK, 0xf0, 0x87, 0x07               // xchg
        row     0, 3, UD, 0xf0, 0xd1, 0x27               // shl
        row     0, 3, UD, 0xf0, 0x90
        row     0, 3, UD, 0xf0, 0x0f, 0x0b
        row     0, 3, UD, 0xf0, 0x0f, 0xae, 0xf0         // mfence
        row     0, 3, UD, 0xf0, 0xa4                     // movs
        row     0, 3, UD, 0xf0, 0x0f, 0x58, 0x07         // addps
        // REX counts right before the opcode; before a legacy prefix it is nothing.
        row     0, 3, OK, 0x48, 0x66, 0x01, 0xc0
        row     0, 3, OK, 0x48, 0x40, 0x01, 0xc0
        row     0, 3, UD, 0x48, 0xf0, 0x01, 0xc0
        // 15 bytes are the longest; more are #GP, also where the rest would be #UD.
        row     0, 3, OK, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
        row     0, 3, GP, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
        row     0, 3, GP, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x06
        row     0, 3, GP, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x81, 0x04, 0x25, 0, 0, 0, 0, 0, 0, 0, 0
        // Not in 64-bit mode.
        row     0, 3, UD, 0x06                           // push %es
        row     0, 3, UD, 0x0e
        row     0, 3, UD, 0x17
        row     0, 3, UD, 0x1f
        row     0, 3, UD, 0x27                           // daa das aaa aas
        row     0, 3, UD, 0x2f
        row     0, 3, UD, 0x37
        row     0, 3, UD, 0x3f
        row     0, 3, UD, 0x60                           // pusha popa
        row     0, 3, UD, 0x61
        row     0, 3, UD, 0x82, 0xc0, 0x00
        row     0, 3, UD, 0x9a, 0, 0, 0, 0, 0, 0         // call far
        row     0, 3, UD, 0xea, 0, 0, 0, 0, 0, 0
        row     0, 3, UD, 0xce                           // into
        row     0, 3, UD, 0xd4, 0x0a                     // aam aad salc
        row     0, 3, UD, 0xd5, 0x0a
        row     0, 3, UD, 0xd6
        row     0, 3, UD, 0x8e, 0xc8                     // mov to %cs
        row     0, 3, UD, 0x8e, 0xf0                     // no such segments
        row     0, 3, UD, 0x8c, 0xf8
        row     0, 3, UD, 0x8f, 0xc8                     // pop's group
        row     0, 3, UD, 0xfe, 0xd0                     // inc and dec only
        row     0, 3, UD, 0xff, 0xf8
        row     0, 3, UD, 0xff, 0xd8                     // far call by register
        row     0, 3, UD, 0xff, 0xe8
        row     0, 3, UD, 0xc6, 0xc8, 0x00               // mov's group
        row     0, 3, UD, 0x8d, 0xc0                     // lea of a register
        row     0, 3, UD, 0x0f, 0x00, 0xf0               // group 6's 6 and 7
        row     0, 3, UD, 0x0f, 0x00, 0xf8
        row     0, 3, UD, 0x0f, 0x01, 0xd2
        row     0, 3, UD, 0x0f, 0xb9, 0xc0               // ud1
        row     0, 3, UD, 0x0f, 0xff, 0xc0               // ud0
        row     0, 3, UD, 0x0f, 0x0b
        row     0, 3, UD, 0x0f, 0xa6, 0xc0
        row     0, 3, UD, 0x0f, 0x04
        row     0, 3, UD, 0x0f, 0x24, 0xc0               // test registers
        row     0, 3, UD, 0x0f, 0xc7, 0xc8               // cmpxchg8b of a register
        row     0, 3, UD, 0x0f, 0xae, 0xc0               // fxsave of a register
        row     0, 3, UD, 0x62, 0x07                     // bound
rows_end:
