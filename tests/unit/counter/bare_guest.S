/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine with nothing but this: every timer interrupt wakes the CPU, runs the body, and lets it
 * halt again. So what runs between waking and halting is known to the instruction.
 *
 * NOPS: planted instructions. COPY, FILL: bytes that REP MOVSB and REP STOSB move. The device's
 * register is read in the middle of a block. All of it runs in the upper half, where kernels do.
 */
#ifndef NOPS
#define NOPS 0
#endif
#ifndef COPY
#define COPY 1
#endif
#ifndef FILL
#define FILL 1
#endif
#define HIGH 0xffffffff00000000
#define LOCAL_APIC_ID 0xfee00020
#define SCRATCH 0x400000

	.section .text
	.code32
	.align 4
	.long 0x1badb002, 0, -0x1badb002 /* multiboot */

	.globl _start
_start:
	cli
	movl $pages_low, %eax
	orl $3, %eax
	movl %eax, pages
	movl $pages_high, %eax
	orl $3, %eax
	movl %eax, pages + 511 * 8
	movl $0x83, %eax /* 1 GB pages: the first 4 GB, twice */
	xorl %ecx, %ecx
1:	movl %eax, pages_low(, %ecx, 8)
	movl %eax, pages_high + 508 * 8(, %ecx, 8)
	addl $0x40000000, %eax
	incl %ecx
	cmpl $4, %ecx
	jb 1b
	movl $pages, %eax
	movl %eax, %cr3
	movl $0x20, %eax
	movl %eax, %cr4
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x100, %eax
	wrmsr
	movl %cr0, %eax
	orl $0x80000000, %eax
	movl %eax, %cr0
	lgdt segments_at
	ljmp $8, $long_mode

	.code64
long_mode:
	movq $HIGH, %rbx
	leaq high(%rip), %rax
	addq %rbx, %rax
	jmp *%rax
high:
	leaq stack_top(%rip), %rsp
	leaq interrupt(%rip), %rax
	leaq gates + 8 * 16(%rip), %rdi /* the timer's vector, as the BIOS left it */
	movw %ax, (%rdi)
	movw $8, 2(%rdi)
	movw $0x8e00, 4(%rdi)
	shrq $16, %rax
	movw %ax, 6(%rdi)
	shrq $16, %rax
	movl %eax, 8(%rdi)
	leaq gates(%rip), %rax
	movq %rax, gates_at + 2(%rip)
	lidt gates_at(%rip)
	movb $0xfe, %al /* the timer alone */
	outb %al, $0x21
1:	sti
	hlt
	jmp 1b

	.align 64
	.globl interrupt
interrupt:
	.rept NOPS
	nop
	.endr
	movq $HIGH + LOCAL_APIC_ID, %rax
	movl (%rax), %edx
	addl $1, %edx
	movq $HIGH + SCRATCH, %rsi
	movq $HIGH + SCRATCH + 0x10000, %rdi
	movl $COPY, %ecx
	rep movsb
	movl $FILL, %ecx
	rep stosb
	movb $0x20, %al
	outb %al, $0x20
	iretq

	.section .data
	.align 4096
pages:
	.fill 4096
pages_low:
	.fill 4096
pages_high:
	.fill 4096
gates:
	.fill 4096
	.fill 4096
stack_top:
segments:
	.quad 0, 0x00209a0000000000, 0x0000920000000000
segments_at:
	.word 23
	.long segments
gates_at:
	.word 4095
	.quad 0
