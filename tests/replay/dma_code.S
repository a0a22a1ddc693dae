/* Code that a disk delivers: the guest writes small functions to a virtio disk, and reads them back over the very loop in
   which it waits for the disk. Exit value: the number of wrong results. [virtio 4.1, 5.2] */
#include "guest.inc"

        .set    DESCRIPTORS, FREE
        .set    AVAILABLE, FREE + 0x400
        .set    USED_RING, FREE + 0x800
        .set    HEADER, FREE + 0x1000
        .set    STATUS, FREE + 0x1100
        .set    BUFFER, FREE + 0x2000
        .set    CODE, FREE + 0x3200
        .set    SECTORS, 24
        .set    SLOT, 0x80002000                // device 4 of bus 0

        .macro  config_read register            // to eax
        movl    $(SLOT + \register), %eax
        movw    $0xcf8, %dx
        outl    %eax, %dx
        movw    $0xcfc, %dx
        inl     %dx, %eax
        .endm

main64: config_read 0x24
        movl    %eax, %ebx
        shlq    $32, %rbx
        config_read 0x20
        andl    $~15, %eax
        orq     %rax, %rbx                      // BAR4: the common configuration
        config_read 4
        orl     $6, %eax                        // memory space, bus master
        outl    %eax, %dx
        movb    $0, 0x14(%rbx)
        movb    $3, 0x14(%rbx)
        movl    $1, 0x08(%rbx)
        movl    $1, 0x0c(%rbx)                  // VERSION_1
        movb    $11, 0x14(%rbx)
        movw    $0, 0x16(%rbx)
        movw    $16, 0x18(%rbx)
        movl    $DESCRIPTORS, 0x20(%rbx)
        movl    $0, 0x24(%rbx)
        movl    $AVAILABLE, 0x28(%rbx)
        movl    $0, 0x2c(%rbx)
        movl    $USED_RING, 0x30(%rbx)
        movl    $0, 0x34(%rbx)
        movw    $1, 0x1c(%rbx)
        movb    $15, 0x14(%rbx)

        // Sector n gets the loop that returns n + 1.
        xorl    %ebp, %ebp
1:      movl    $BUFFER, %edi
        call    new_loop
        movl    $BUFFER, %edi
        movl    $1, %eax                        // OUT
        call    submit
2:      pause
        cmpw    %cx, USED_RING + 2
        jne     2b
        CHECK(STATUS, $0)
        incl    %ebp
        cmpl    $SECTORS, %ebp
        jne     1b

        movl    $CODE, %edi
        movl    $0xdeac, %ebp
        call    new_loop
        xorl    %ebp, %ebp
1:      movl    $CODE, %edi
        xorl    %eax, %eax                      // IN
        call    submit
        movl    $CODE, %edi
        call    *%rdi                           // spins until the disk has replaced it
        leal    1(%rbp), %edx
        CHECK(%rax, %rdx)
        incl    %ebp
        cmpl    $SECTORS, %ebp
        jne     1b
        ret

// The loop at rdi, to return ebp + 1.
new_loop:
        movl    $loop_start, %esi
        movl    $512, %ecx
        leal    1(%rbp), %eax
        movl    %eax, loop_value
        rep movsb
        ret

// A request of kind eax for sector ebp, 512 bytes at rdi. ecx: the used index that says it is done.
submit: movl    %eax, HEADER
        movl    $0, HEADER + 4
        movq    %rbp, HEADER + 8
        movq    $0xff, STATUS
        movq    $HEADER, DESCRIPTORS
        movl    $16, DESCRIPTORS + 8
        movl    $0x10001, DESCRIPTORS + 12      // NEXT, then 1
        movq    %rdi, DESCRIPTORS + 16
        movl    $512, DESCRIPTORS + 24
        xorl    $1, %eax
        leal    0x20001(, %rax, 2), %eax        // NEXT, WRITE for IN, then 2
        movl    %eax, DESCRIPTORS + 28
        movq    $STATUS, DESCRIPTORS + 32
        movl    $1, DESCRIPTORS + 40
        movl    $2, DESCRIPTORS + 44            // WRITE
        movzwl  AVAILABLE + 2, %ecx
        movl    %ecx, %edx
        andl    $15, %edx
        movw    $0, AVAILABLE + 4(, %rdx, 2)
        incl    %ecx
        movw    %cx, AVAILABLE + 2
        movw    $0, 0x3000(%rbx)
        ret

        .data
loop_start:
1:      cmpw    %cx, USED_RING + 2
        jne     1b
        .byte   0xb8
loop_value:
        .long   0
        ret
        .skip   512
        .text
