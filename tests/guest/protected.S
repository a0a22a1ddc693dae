// 32-bit protected mode outside long mode: 32-bit gates, ring 3 through a 32-bit TSS, paging with 4 MiB pages, and PAE.
// The exit value is the line of the first expectation that does not hold. [SDM3 4.3, 4.4, 5, 6.12.1, 9.8.5.4]
#include "guest.inc"

        .macro  want32 line, got, want
        cmpl    \want, \got
        je      .Lgood\@
        movl    $\line, %eax
        outl    %eax, $0xf4
.Lgood\@:
        .endm
#define WANT(got, want) want32 __LINE__, got, want
        // The instruction must fault; afterwards execution goes on behind it, in ring 0.
        .macro  faults32 line, vector, error, instruction
        movl    $.Lafter\@, recover_rip
        movl    %esp, recover_rsp
        movl    $0x1000, vector32
.Lat\@: \instruction
.Lafter\@:
        want32  \line, vector32, $\vector
        want32  \line, error32, $\error
        want32  \line, eip32, $.Lat\@
        .endm
#define FAULTS32(vector, error, instruction) faults32 __LINE__, vector, error, instruction
        .macro  gate32 number, target, attributes
        movl    $\target, %eax
        movw    %ax, idt + 8 * \number
        movw    $CODE32, idt + 8 * \number + 2
        movw    $\attributes, idt + 8 * \number + 4
        shrl    $16, %eax
        movw    %ax, idt + 8 * \number + 6
        .endm

main64: ljmpl   *to_32

        .code32
leave:  movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0                      // out of long mode
        movl    $0xc0000080, %ecx
        rdmsr
        WANT(%eax, $0x901)                      // LMA went, LME stays until it is cleared
        andl    $~0x100, %eax
        wrmsr
        gate32  GP, on_gp, 0x8e00
        gate32  PF, on_pf, 0x8e00
        gate32  NP, on_np, 0x8e00
        gate32  0x30, on_int, 0xee00
        gate32  0x31, on_int, 0x0e00
        movw    $8 * 256 - 1, idtr
        lidt    idtr
        movl    $tss32, %eax
        movw    %ax, gdt + SPARE + 2
        shrl    $16, %eax
        movb    %al, gdt + SPARE + 4
        movl    $0x67, %eax
        movw    %ax, gdt + SPARE
        movb    $0x89, gdt + SPARE + 5
        movl    $interrupt_stack, tss32 + 4
        movl    $DATA, tss32 + 8
        movl    $SPARE, %eax
        ltr     %ax
        call    same_ring
        call    outer_ring
        call    pages_4m
        call    pages_pae
        movl    failures, %eax
        outl    %eax, $0xf4
1:      hlt
        jmp     1b

same_ring:
        movl    %esp, %ebp
        int     $0x30
1:      WANT(eip32, $1b)
        WANT(frame32, %ebp)                     // three words, no stack switch
        WANT(cs32, $CODE32)
        FAULTS32(NP, 0x18a, "int $0x31")
        movl    $0x1003, %eax
        FAULTS32(GP, 0x1000, "movl %eax, %ds")
        xorl    %eax, %eax
        FAULTS32(GP, 0, "movl %eax, %ss")
        movl    %eax, %fs
        FAULTS32(GP, 0, "movl %fs:0, %eax")
        FAULTS32(GP, 0, "ljmp $0, $0")
        FAULTS32(GP, 0, "movl %ebx, %cs:0")
        ret

outer_ring:
        movl    %esp, %ebp
        pushl   $USER_DATA
        pushl   $user_stack
        pushl   $0x202
        pushl   $USER_CODE32
        pushl   $1f
        iret
1:      int     $0x30                           // the handler comes back here, in ring 3
2:      movl    $USER_DATA, %eax
        movl    %eax, %ds
        movl    $3f, recover_rip
        movl    %ebp, recover_rsp
4:      hlt
3:      WANT(vector32, $GP)
        WANT(error32, $0)
        WANT(eip32, $4b)
        WANT(cs32, $USER_CODE32)
        WANT(esp32, $user_stack)
        WANT(ss32, $USER_DATA)
        WANT(frame32, $interrupt_stack)
        movl    %es, %eax
        WANT(%eax, $0)                          // ring 0's data segments did not survive ring 3
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        ret

pages_4m:
        movl    $0x83, pd
        movl    $0x83, pd + 4                   // 4 MiB again
        movl    $0, pd + 8
        movl    $pd, %eax
        movl    %eax, %cr3
        movl    $0x610, %eax                    // PSE
        movl    %eax, %cr4
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        movl    $0x12345678, marker
        movl    marker + 0x400000, %eax
        WANT(%eax, $0x12345678)
        FAULTS32(PF, 0, "movl 0x800000, %eax")
        movl    %cr2, %eax
        WANT(%eax, $0x800000)
        FAULTS32(PF, 2, "movl %eax, 0xbffffc")
        andl    $~2, pd + 4
        invlpg  0x400000
        FAULTS32(PF, 3, "movl %eax, 0x400010")
        movl    pd, %eax
        andl    $0x60, %eax
        WANT(%eax, $0x60)                       // A and D
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        ret

pages_pae:
        movl    $pd + 1, pdpt
        movl    $0, pdpt + 4
        movl    $0, pdpt + 8
        movl    $0, pdpt + 16
        movl    $0, pdpt + 24
        movl    $0x83, pd
        movl    $0, pd + 4
        movl    $0x83, pd + 8
        movl    $0x80000000, pd + 12            // XD
        movl    $0, pd + 16
        movl    $0x630, %eax                    // PAE
        movl    %eax, %cr4
        movl    $pdpt, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        movl    marker + 0x200000, %eax
        WANT(%eax, $0x12345678)
        movb    $0xc3, marker
        movl    $marker + 0x200000, %ebx
        movl    $1f, recover_rip
        movl    %esp, recover_rsp
        call    *%ebx
1:      WANT(vector32, $PF)
        WANT(error32, $0x11)
        WANT(eip32, %ebx)
        FAULTS32(PF, 0, "movl 0x400000, %eax")
        // The pointers are loaded by MOV to CR3, not when they are used; reserved bits are refused there [SDM3 4.4.1].
        movl    $0, pdpt
        movl    marker, %eax
        movl    $pd + 7, pdpt                   // R/W and U/S are reserved in a PDPTE
        movl    $pdpt, %eax
        FAULTS32(GP, 0, "movl %eax, %cr3")
        movl    $pd + 1, pdpt
        movl    %eax, %cr3
        ret

on_int: call    note
        iret
on_gp:  movl    $GP, vector32
        jmp     1f
on_np:  movl    $NP, vector32
        jmp     1f
on_pf:  movl    $PF, vector32
1:      pushl   %eax
        movl    $DATA, %eax                     // ring 3's are null
        movl    %eax, %ds
        popl    %eax
        popl    error32
        call    note
        // Ring 3 does not come back: go on in ring 0.
        movl    recover_rsp, %esp
        pushl   $2
        pushl   $CODE32
        pushl   recover_rip
        iret
// The frame above the return address.
note:   pushl   %eax
        movl    %ds, %eax
        pushl   %eax
        movl    $DATA, %eax
        movl    %eax, %ds
        movl    12(%esp), %eax
        movl    %eax, eip32
        movl    16(%esp), %eax
        movl    %eax, cs32
        leal    24(%esp), %eax
        movl    %eax, frame32
        testl   $3, cs32
        jz      1f
        movl    24(%esp), %eax
        movl    %eax, esp32
        movl    28(%esp), %eax
        movl    %eax, ss32
        leal    32(%esp), %eax
        movl    %eax, frame32
1:      popl    %eax
        movl    %eax, %ds
        popl    %eax
        ret

        .data
        .balign 8
to_32:  .long   leave
        .word   CODE32, 0
vector32: .long 0
error32: .long  0
eip32:  .long   0
cs32:   .long   0
esp32:  .long   0
ss32:   .long   0
frame32: .long  0
marker: .long   0
tss32:  .skip   104
