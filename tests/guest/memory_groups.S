/* What one check of a memory group stands for is what each of its accesses reaches: displacements at the edge of 32 bits,
   with another page mapped 4 GiB away; what has the same base; and where its address is kept meanwhile. Runs often enough to be translated. */
#include "guest.inc"
main64: movl $FREE+0x100000,%esi
        movl $512,%ecx
        movl $0x200083,%eax
        movl %esi,%edi
1:      movl %eax,(%rdi)
        movl $0,4(%rdi)
        addl $0x200000,%eax
        addl $8,%edi
        loop 1b
        leal 3(%rsi),%eax
        movl %eax,pdpt+32
        movl $0,pdpt+36
        movq %cr3,%rax
        movq %rax,%cr3
        movl $12,%ebp
        movl $0x80000000,%ebx
        addq $0x600100,%rbx
        movl $0x11,%r8d
        movl $0x600100,%r9d
1:      movq %r8,(%r9)
        jmp 3f
3:      movl $0x22,%r10d
        movl $0x6000f0,%esi
        movq %r10,(%rsi)
        jmp 3f
3:      movabsq $0x1006000f0,%rdi
        movl $0x33,%r8d
        movq %r8,(%rdi)
        jmp 3f
3:      leaq 0x0(%rbx),%rax
        nop
        movq -0x80000000(%rax),%rcx
        subq $0x10,%rax
        movq -0x80000000(%rax),%rdx
        jmp 2f
2:      movl $0x11,%r8d
        decl %ebp
        jnz 1b
        CHECK(%rcx, $0x11)
        CHECK(%rdx, $0x22)

        // A group whose address is not in a register any more when its last access comes: the addresses of x87's last
        // instruction are made before what loses them, or before the block ends.
        movl $20,%ebp
1:      movl $0x5555,%ebx
        movl $0x6666,%edi
        call returns_with_pointers
        call loses_pointers
        decl %ebp
        jnz 1b
        CHECK(%rbx, $0x5555)
        CHECK(%rdi, $0x6666)
        fnstenv FREE+0x40
        movl FREE+0x40+20,%eax                  // FDP
        CHECK(%rax, $FREE)

        // Groups off a base and an index, and off copies of a base, one of which lives in the state: within a page, moving
        // across the end of one, and always in two.
        movl $FREE+0x10fe0,%edi
        xorl %edx,%edx
4:      movl $32,%ebp
1:      movq %rdi,%rbx
        leaq 8(%rbx),%rsi
        movq %rdi,%r9
        movq %rbp,(%rdi,%rbp,8)
        movq 8(%rdi,%rbp,8),%rax
        addq %rax,16(%rdi,%rbp,8)
        addq %rbp,(%rbx)
        addq %rax,8(%rsi)
        addq (%r9),%rdx
        addq 8(%rdi),%rdx
        decl %ebp
        jnz 1b
        addl $0x1018,%edi
        cmpl $FREE+0x12000,%edi
        jb 4b
        CHECK(%rdx, $22882)
        ret

returns_with_pointers:
        pushq %rbx
        pushq %rdi
        movl $FREE,%ecx
        jmp 2f
2:      fldl (%rcx)
        fstpl (%rcx)
        popq %rdi
        popq %rbx
        ret

loses_pointers:
        pushq %rdi
        pushq %rbx
        movl $FREE,%edi
        jmp 2f
2:      fldl (%rdi)
        fstpl (%rdi)
        popq %rbx
        popq %rdi
        ret
