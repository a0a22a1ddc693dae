/* Virtual-8086 mode: what is sensitive to IOPL, the six ways of INT n, virtual interrupts (CR4.VME) and their protected-mode
   counterpart (CR4.PVI), ports, entry and exit. [SDM3 20.2-20.4, table 20-2], [APM2 8.9, 8.10] */
#include "guest.inc"
#include "legacy.inc"

        .set    IF, 0x200
        .set    IOPL3, 0x3000
        .set    VIF, 0x80000
        .set    VIP, 0x100000
        .set    VME, 1
        .set    PVI, 2
        .set    PROGRAM, 0x2000          // linear address of the 8086 code, CS 0x200
        .set    STACK, 0x3000            // of SS:0, SP 0x400
        .set    IO_MAP, 0x88             // in the TSS, behind the redirection map

main32: movw    $IO_MAP, tss32 + 102
        movl    $tss32 + IO_MAP, %edi            // all ports denied but 0x80 and 0x81
        movl    $-1, %eax
        movl    $0x2004 / 4, %ecx
        rep stosl
        movb    $0xfc, tss32 + IO_MAP + 0x10
        movw    $IO_MAP + 0x2000, gdt + TSS      // the limit: with the byte of ones behind the map
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        movl    $0x02500000, 4 * 0x60            // the program's vectors: INT 0x60 and 0x61 at 0250:0000
        movl    $0x02500000, 4 * 0x61
        movb    $0xcc, 0x2500
        movl    $0, tss32 + 104                  // redirection: all to the program ...
        movl    $0, tss32 + 108
        movl    $0, tss32 + 112
        movl    $2, tss32 + 116                  // ... but 0x61
        movb    $0xee, idt + 8 * 0x60 + 5
        movb    $0xee, idt + 8 * 0x61 + 5
        call    table
        call    frames
        call    protected_virtual_interrupts
        call    bad_maps
        ret

        .macro  enter_vm86 flags
        pushl   $0x666                           // GS FS DS ES SS ESP EFLAGS CS EIP
        pushl   $0x555
        pushl   $0x444
        pushl   $0x111
        pushl   $STACK / 16
        pushl   $0x400
        pushl   \flags
        pushl   $PROGRAM / 16
        pushl   $0
        iret
        .endm

table:  movl    $rows, %ebx
        movl    $0, row
1:      incl    row
        movl    $PROGRAM, %edi
        leal    28(%ebx), %esi
        movl    $16, %ecx
        rep movsb
        movl    $0xcccccccc, PROGRAM + 16
        movl    $0, STACK + 0x3fc
        movl    $0x600, %eax
        orl     (%ebx), %eax
        movl    %eax, %cr4
        arm32   2f
        movl    4(%ebx), %eax
        orl     $VM + 2, %eax
        enter_vm86 %eax
2:      movl    8(%ebx), %eax
        WANT(seen_vector, %eax)
        WANT(seen_error, 12(%ebx))
        movl    seen_rflags, %eax
        andl    $~0x10000, %eax                  // RF is the debug test's
        movl    16(%ebx), %ecx
        orl     $VM + 2, %ecx
        WANT(%eax, %ecx)
        WANT(seen_cs, 20(%ebx))
        movzwl  STACK + 0x3fe, %eax
        WANT(%eax, 24(%ebx))
        addl    $44, %ebx
        cmpl    $rows_end, %ebx
        jb      1b
        movl    $0, row
        movl    $0x600, %eax
        movl    %eax, %cr4
        ret

        .data
        .balign 4
        // CR4, EFLAGS, wanted vector and error, EFLAGS and CS then, the word at the top of the stack, up to 16 bytes of code.
        // What ends well ends with INT3, which is not sensitive.
        .macro  vm cr4, flags, vector, error, after, cs, top, code:vararg
        .long   \cr4, \flags, \vector, \error, \after, \cs, \top
9:      .byte   \code
        .fill   16 - (. - 9b), 1, 0xcc
        .endm
        // INT n: methods 1 to 6.
rows:   vm      0, IOPL3, 0x60, 0, IOPL3, 0x200, 0, 0xcd, 0x60
        vm      0, 0, GP, 0, 0, 0x200, 0, 0xcd, 0x60
        vm      0, 0x2000, GP, 0, 0x2000, 0x200, 0, 0xcd, 0x60
        vm      VME, 0, GP, 0, 0, 0x200, 0, 0xcd, 0x61
        vm      VME, IOPL3, 0x61, 0, IOPL3, 0x200, 0, 0xcd, 0x61
        vm      VME, IOPL3, BP, 0, IOPL3, 0x250, 0x3002, 0xcd, 0x60
        vm      VME, IOPL3 + IF, BP, 0, IOPL3, 0x250, 0x3202, 0xcd, 0x60
        vm      VME, IOPL3 + IF + VIF, BP, 0, IOPL3 + VIF, 0x250, 0x3202, 0xcd, 0x60
        vm      VME, 0, BP, 0, 0, 0x250, 0x3002, 0xcd, 0x60
        vm      VME, IF, BP, 0, IF, 0x250, 0x3002, 0xcd, 0x60
        vm      VME, VIF, BP, 0, 0, 0x250, 0x3202, 0xcd, 0x60
        vm      VME, IF + VIF, BP, 0, IF, 0x250, 0x3202, 0xcd, 0x60
        vm      VME, VIF + VIP, BP, 0, VIP, 0x250, 0x3202, 0xcd, 0x60
        vm      VME, 0x1000 + 0x4400, BP, 0, 0x1000 + 0x4400, 0x250, 0x7402, 0xcd, 0x60
        // INT3 and INTO are not: through the IDT whatever IOPL is.
        vm      0, 0, BP, 0, 0, 0x200, 0, 0xcc
        vm      VME, 0, BP, 0, 0, 0x200, 0, 0xcc
        vm      0, 0x800, OF, 0, 0x800, 0x200, 0, 0xce
        vm      0, 0, BP, 0, 0, 0x200, 0, 0xce
        // CLI.
        vm      0, IOPL3 + IF, BP, 0, IOPL3, 0x200, 0, 0xfa
        vm      0, IF, GP, 0, IF, 0x200, 0, 0xfa
        vm      VME, IOPL3 + IF + VIF, BP, 0, IOPL3 + VIF, 0x200, 0, 0xfa
        vm      VME, IF + VIF, BP, 0, IF, 0x200, 0, 0xfa
        vm      VME, IF + VIF + VIP, BP, 0, IF + VIP, 0x200, 0, 0xfa
        vm      PVI, IF + VIF, GP, 0, IF + VIF, 0x200, 0, 0xfa
        // STI.
        vm      0, IOPL3, BP, 0, IOPL3 + IF, 0x200, 0, 0xfb
        vm      0, 0, GP, 0, 0, 0x200, 0, 0xfb
        vm      VME, IOPL3, BP, 0, IOPL3 + IF, 0x200, 0, 0xfb
        vm      VME, IOPL3 + VIP, BP, 0, IOPL3 + IF + VIP, 0x200, 0, 0xfb
        vm      VME, 0, BP, 0, VIF, 0x200, 0, 0xfb
        vm      VME, VIF, BP, 0, VIF, 0x200, 0, 0xfb
        vm      VME, VIP, GP, 0, VIP, 0x200, 0, 0xfb
        vm      VME, VIF + VIP, GP, 0, VIF + VIP, 0x200, 0, 0xfb
        // PUSHF, PUSHFD.
        vm      0, IOPL3 + IF, BP, 0, IOPL3 + IF, 0x200, 0x3202, 0x9c
        vm      0, 0, GP, 0, 0, 0x200, 0, 0x9c
        vm      VME, IF, BP, 0, IF, 0x200, 0x3002, 0x9c
        vm      VME, VIF + 0x2000, BP, 0, VIF + 0x2000, 0x200, 0x3202, 0x9c
        vm      VME, IOPL3 + VIF, BP, 0, IOPL3 + VIF, 0x200, 0x3002, 0x9c
        vm      VME, VIF, GP, 0, VIF, 0x200, 0, 0x66, 0x9c
        vm      0, 0, GP, 0, 0, 0x200, 0, 0x66, 0x9c
        vm      VME, IOPL3 + VIF + VIP, BP, 0, IOPL3 + VIF + VIP, 0x200, 0x0018, 0x66, 0x9c
        // POPF: IF goes to VIF; IOPL stays; IF with VIP, and TF, are refused.
        vm      0, IOPL3, BP, 0, IOPL3 + IF, 0x200, 0x202, 0x68, 0x02, 0x02, 0x9d
        vm      0, 0, GP, 0, 0, 0x200, 0x202, 0x68, 0x02, 0x02, 0x9d
        vm      VME, 0, BP, 0, VIF + 0x4000, 0x200, 0x7202, 0x68, 0x02, 0x72, 0x9d, 0x9c
        vm      VME, 0, BP, 0, VIF + 1, 0x200, 0x3203, 0x68, 0x03, 0x32, 0x9d
        vm      VME, VIF + IF, BP, 0, IF, 0x200, 2, 0x68, 0x02, 0, 0x9d
        vm      VME, VIP, GP, 0, VIP, 0x200, 0x202, 0x68, 0x02, 0x02, 0x9d
        vm      VME, VIP + VIF, BP, 0, VIP, 0x200, 2, 0x68, 0x02, 0, 0x9d
        vm      VME, 0, GP, 0, 0, 0x200, 0x102, 0x68, 0x02, 0x01, 0x9d
        vm      VME, 0, GP, 0, 0, 0x200, 2, 0x68, 2, 0, 0x66, 0x9d
        vm      VME, IOPL3 + VIP, BP, 0, IOPL3 + VIP + IF, 0x200, 0x202, 0x68, 0x02, 0x02, 0x9d
        vm      VME, IOPL3, BP, 0, IOPL3, 0x200, 2, 0x68, 0x02, 0, 0x9d
        // IRET to 0200:0010.
        vm      0, IOPL3, BP, 0, IOPL3 + IF, 0x200, 0x202, 0x68, 0x02, 0x02, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      0, 0, GP, 0, 0, 0x200, 0x202, 0x68, 0x02, 0x02, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      VME, 0, BP, 0, VIF, 0x200, 0x202, 0x68, 0x02, 0x02, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      VME, VIF + IF, BP, 0, IF, 0x200, 0x3002, 0x68, 0x02, 0x30, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      VME, VIP, GP, 0, VIP, 0x200, 0x202, 0x68, 0x02, 0x02, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      VME, 0, GP, 0, 0, 0x200, 0x102, 0x68, 0x02, 0x01, 0x0e, 0x68, 0x10, 0, 0xcf
        vm      VME, 0, GP, 0, 0, 0x200, 0, 0x66, 0xcf
        vm      VME, IOPL3, BP, 0, IOPL3 + IF, 0x200, 0x202, 0x68, 0x02, 0x02, 0x0e, 0x68, 0x10, 0, 0xcf
        // Ports: the permission map, whatever IOPL is.
        vm      0, IOPL3, BP, 0, IOPL3, 0x200, 0, 0xe6, 0x80
        vm      0, 0, BP, 0, 0, 0x200, 0, 0xe6, 0x80
        vm      0, IOPL3, BP, 0, IOPL3, 0x200, 0, 0xe7, 0x80
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0xe6, 0x82
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0xe7, 0x81
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0xe4, 0x60
        // Privileged instructions, those of protected mode, and HLT.
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0xf4
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0x0f, 0x20, 0xc0
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0x0f, 0x01, 0x17
        vm      0, IOPL3, UD, 0, IOPL3, 0x200, 0, 0x0f, 0x00, 0xc0
        vm      0, IOPL3, UD, 0, IOPL3, 0x200, 0, 0x0f, 0x00, 0xd8
        vm      0, IOPL3, UD, 0, IOPL3, 0x200, 0, 0x0f, 0x02, 0xc0
        vm      0, IOPL3, UD, 0, IOPL3, 0x200, 0, 0x63, 0xc0
        // Segments are loaded as in real mode, limits are 64 KiB: a word at ffff is #GP, of the stack #SS.
        vm      0, IOPL3, BP, 0, IOPL3, 0x200, 0x1234, 0xb8, 0x34, 0x12, 0x8e, 0xd8, 0x1e
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0xa1, 0xff, 0xff
        vm      0, IOPL3, SS, 0, IOPL3, 0x200, 0, 0xbd, 0xff, 0xff, 0x8b, 0x46, 0x00
        vm      0, IOPL3, GP, 0, IOPL3, 0x200, 0, 0x66, 0xea, 0, 0, 1, 0, 0, 2
        // Far jumps and calls.
        vm      0, IOPL3, BP, 0, IOPL3, 0x250, 0, 0xea, 0, 0, 0x50, 0x02
        vm      0, IOPL3, BP, 0, IOPL3, 0x250, 0x200, 0x9a, 0, 0, 0x50, 0x02
rows_end:
        .text

// The frame that an exception out of the 8086 program leaves; segments are null in the handler.
frames: movb    $0xcc, PROGRAM
        arm32   1f
        enter_vm86 $VM + 2
1:      WANT(seen_vector, $BP)
        WANT(seen_rip, $1)
        WANT(seen_rsp, $0x400)
        WANT(seen_ss, $STACK / 16)
        WANT(seen_es, $0x111)
        WANT(seen_ds, $0x444)
        WANT(seen_fs, $0x555)
        WANT(seen_gs, $0x666)
        WANT(seen_frame, $interrupt_stack - 24)
        movl    %fs, %eax
        WANT(%eax, $0)
        movl    %gs, %eax
        WANT(%eax, $0)
        // EIP beyond 64 KiB: IRET itself faults, in ring 0.
        arm32   1f
        pushl   $0
        pushl   $0
        pushl   $0
        pushl   $0
        pushl   $0
        pushl   $0
        pushl   $VM + 2
        pushl   $PROGRAM / 16
        pushl   $0x10000
2:      iret
1:      WANT(seen_vector, $GP)
        WANT(seen_rip, $2b)
        WANT(seen_cs, $CODE32)
        // A handler outside ring 0 is refused: #GP(CS), here for a conforming segment.
        descriptor SPARE, $0x0000ffff, $0x00cf9e00
        movw    $SPARE, idt + 8 * 0x60 + 2
        movw    $0x60cd, PROGRAM
        arm32   1f
        enter_vm86 $VM + IOPL3 + 2
1:      WANT(seen_vector, $GP)
        WANT(seen_error, $SPARE)
        movw    $CODE32, idt + 8 * 0x60 + 2
        // Ring 3 can't enter it: VM in IRET's image is not looked at.
        arm32   1f
        enter_ring3
        pushl   $VM + 2
        pushl   $USER_CODE32
        pushl   $2f
        iret
2:      int     $SYSTEM
1:      WANT(seen_vector, $SYSTEM)
        WANT(seen_cs, $USER_CODE32)
        WANT(seen_rflags, $2)
        ret

// CR4.PVI: ring 3's CLI and STI act on VIF; nothing else changes.
        .macro  pvi line, cr4, flags, vector, error, after, instruction
        movl    $0x600 + \cr4, %eax
        movl    %eax, %cr4
        movl    $\flags + 2, user_rflags
        arm32   .Lafter\@
        enter_ring3
        \instruction
        int     $SYSTEM
.Lafter\@:
        want32  \line, seen_vector, $\vector
        want32  \line, seen_error, $\error
        movl    seen_rflags, %eax
        andl    $~0x10000, %eax
        want32  \line, %eax, "$\after + 2"
        .endm
#define PVI_ROW(...) pvi __LINE__, __VA_ARGS__
protected_virtual_interrupts:
        PVI_ROW(0, IF, GP, 0, IF, cli)
        PVI_ROW(0, 0, GP, 0, 0, sti)
        PVI_ROW(VME, 0, GP, 0, 0, sti)
        PVI_ROW(PVI, 0, SYSTEM, 0, VIF, sti)
        PVI_ROW(PVI, IF + VIF, SYSTEM, 0, IF, cli)
        PVI_ROW(PVI, VIP, GP, 0, VIP, sti)
        PVI_ROW(PVI, VIP + VIF, SYSTEM, 0, VIP, cli)
        PVI_ROW(PVI, IOPL3, SYSTEM, 0, IOPL3 + IF, sti)
        PVI_ROW(PVI, IOPL3 + VIP, SYSTEM, 0, IOPL3 + VIP + IF, sti)
        PVI_ROW(PVI, IOPL3 + IF + VIF, SYSTEM, 0, IOPL3 + VIF, cli)
        PVI_ROW(PVI, IF + VIF, SYSTEM, 0, IF + VIF, "pushl $2 ; popfl")    // neither IF nor VIF
        movl    $2, user_rflags
        movl    $0x600, %eax
        movl    %eax, %cr4
        ret

// A TSS that ends before the redirection map, or a 16-bit one: #GP(0).
bad_maps:
        movl    $0x601, %eax
        movl    %eax, %cr4
        movw    $0x60cd, PROGRAM
        movw    $IO_MAP - 32 + 11, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        arm32   1f
        enter_vm86 $VM + IOPL3 + 2
1:      WANT(seen_vector, $GP)
        WANT(seen_error, $0)
        WANT(seen_rip, $0)
        movw    $IO_MAP - 32 + 12, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        movl    $TSS, %eax
        ltr     %ax
        arm32   1f
        enter_vm86 $VM + IOPL3 + 2
1:      WANT(seen_vector, $BP)                   // byte 12 holds INT 0x60's bit
        movl    $0x600, %eax
        movl    %eax, %cr4
        ret
