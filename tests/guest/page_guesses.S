/* Accesses to the stack, to frames, to data beside code, at fixed addresses and in GS that have met one page many times,
   and then meet another: another address, one that goes over a page's end, another base of GS, the same code elsewhere, a
   page that is mapped elsewhere, may not be written, or is gone. Some of their places guess the page. [SDM3 4.10] */
#include "guest.inc"
#include "area.inc"

        .set    TURNS, 300
        .set    COUNT, 0x800            // in each page, what the functions count
        .set    ELSEWHERE, 0x100        // in a page, code

#define FRAME(n) FRAMES+4096*n
        // TURNS calls of `function` with each base in turn; it finds its count at the base.
        .macro  touch function, bases:vararg
        movl    $TURNS, %ebp
1:      .irp    base, \bases
        movabsq $(\base), %rdi
        call    \function
        .endr
        decl    %ebp
        jnz     1b
        .endm
        .macro  clear_frames
        movl    $(FRAME(0)), %edi
        movl    $3072, %ecx
        xorl    %eax, %eax
        rep stosq
        .endm

main64: area_mapped

        .irp    function, by_stack, by_frame, by_gs
        clear_frames
        map     0, 0, 3
        map     1, 1, 3
        map     2, 5, 3
        touch   \function, AREA+COUNT
        CHECK(FRAME(0)+COUNT, $TURNS)
        touch   \function, AREA+0x1000+COUNT, AREA+COUNT
        CHECK(FRAME(0)+COUNT, $(2*TURNS))
        CHECK(FRAME(1)+COUNT, $TURNS)
        map     0, 3, 3
        touch   \function, AREA+COUNT
        CHECK(FRAME(0)+COUNT, $(2*TURNS))
        CHECK(FRAME(3)+COUNT, $TURNS)
        touch   \function, AREA+0x1000+COUNT, AREA+0x1fff       // the second over the end of its page
        CHECK(FRAME(1)+COUNT, $(2*TURNS))
        movabsq $(TURNS<<56), %rax
        CHECK(FRAME(1)+0xff8, %rax)
        CHECK(FRAME(5), $(TURNS>>8))
        CHECK(FRAME(2), $0)
        .endr

        .irp    function, by_address, beside_code
        clear_frames
        map     0, 0, 3
        touch   \function, 0
        CHECK(FRAME(0)+COUNT, $TURNS)
        map     0, 3, 3
        touch   \function, 0
        CHECK(FRAME(0)+COUNT, $TURNS)
        CHECK(FRAME(3)+COUNT, $TURNS)
        .endr

        // The same code in two pages, each with data of its own two pages on.
        clear_frames
        movl    $(elsewhere_end-elsewhere), %ecx
        leaq    elsewhere(%rip), %rsi
        movl    $(FRAME(0)+ELSEWHERE), %edi
        rep movsb
        map     0, 0, 3
        map     1, 0, 3
        map     2, 1, 3
        map     3, 3, 3
        touch   by_page_of_code, AREA+ELSEWHERE
        CHECK(FRAME(1)+COUNT, $TURNS)
        touch   by_page_of_code, AREA+ELSEWHERE, AREA+0x1000+ELSEWHERE
        CHECK(FRAME(1)+COUNT, $(2*TURNS))
        CHECK(FRAME(3)+COUNT, $TURNS)

        // Rights. (Where nothing can be pushed, a fault would be a double fault.)
        .irp    function, by_frame, by_gs, by_address, beside_code
        map     0, 0, 3
        touch   \function, AREA+COUNT
        map     0, 0, 1
        denied  \function, AREA+COUNT, 3
        map     0, 0, 0
        .ifc    \function, by_gs        // it reads first
        denied  \function, AREA+COUNT, 0
        .else
        denied  \function, AREA+COUNT, 2
        .endif
        map     0, 1, 3
        touch   \function, AREA+COUNT
        .endr
        ret

// Counts at RDI. RAX and RSI are lost; the flags after the count stay.
by_stack:
        movq    %rsp, own_stack
        leaq    8(%rdi), %rsp
        movq    -8(%rsp), %rsi
        incq    %rsi
        pushq   %rsi
        popq    %rax
        movq    own_stack, %rsp
        ret
by_frame:
        pushq   %rbp
        leaq    0x10(%rdi), %rbp
        incq    -0x10(%rbp)
        movq    -0x10(%rbp), %rsi
        popq    %rbp
        ret
by_gs:  movl    $0xc0000101, %ecx       // GS.base
        leaq    -0x100(%rdi), %rax
        xorl    %edx, %edx
        wrmsr
        movq    %gs:0x100, %rsi
        incq    %rsi
        movq    %rsi, %gs:0x100
        ret
by_address:
        incq    AREA+COUNT
        movq    AREA+COUNT, %rsi
        ret
beside_code:                            // the assembler takes plain numbers there for displacements
        incq    AREA+COUNT+(.-header)-(.-header)(%rip)
        movq    AREA+COUNT+(.-header)-(.-header)(%rip), %rsi
        ret

by_page_of_code:
        jmp     *%rdi
elsewhere:
        incq    0x2000+COUNT-ELSEWHERE-7(%rip)  // from behind its 7 bytes on
        ret
elsewhere_end:

        .bss
own_stack: .skip 8
        .text
