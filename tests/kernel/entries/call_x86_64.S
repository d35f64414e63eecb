/* checked_call of host.h by the System V convention: rbx, rbp, r12 to r15, rsp and a clear direction flag are the
 * callee's to preserve; all else is noise, in the vector registers as wide as this CPU has them (AH_CPU_... in
 * checked_call_cpu), so that their upper parts are in use.
 *
 * Bits of the result: 0 rbx, 1 rbp, 2 to 5 r12 to r15, 6 rsp, 7 the direction flag, 8 the stack above.
 * rdi: the function; rsi: its arguments.
 */
#include "function.h"
#define NOISE 0x5a17c3a5deadbeef
#define CPU_AVX2 2
#define CPU_AVX512 8

	.macro CHECK register, number, bit
	mov	rdx, NOISE + \number
	cmp	\register, rdx
	je	1f
	or	eax, 1 << \bit
1:
	.endm

FUNCTION checked_call
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	.cfi_def_cfa_offset 56
	mov	rax, NOISE
	push	rax			/* a canary above the callee's frame; and rsp is a multiple of 16 now */
	.cfi_def_cfa_offset 64
	mov	[rip + saved_rsp], rsp
	mov	r10, rdi
	mov	r11, rsi

	mov	rax, NOISE		/* what lies below the stack pointer is nobody's */
	lea	rdi, [rsp - 4096]
	mov	ecx, 512
	rep stosq

	lea	rsi, [rip + noise]
	mov	eax, [rip + SYMBOL(checked_call_cpu)]
	test	eax, CPU_AVX512
	jnz	3f
	test	eax, CPU_AVX2
	jnz	2f
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	xmm\number, [rsi + \number]
	.endr
	jmp	4f
2:	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovdqu	ymm\number, [rsi + \number]
	.endr
	jmp	4f
3:	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	vmovdqu64 zmm\number, [rsi + \number]
	.endr
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7
	kmovq	k\number, [rsi + 2 * \number]
	.endr
4:	mov	rax, r10
	mov	rdi, [r11]
	mov	rsi, [r11 + 8]
	mov	rdx, [r11 + 16]
	mov	rcx, [r11 + 24]
	mov	r8, [r11 + 32]
	mov	r9, [r11 + 40]
	mov	rbx, NOISE + 1
	mov	rbp, NOISE + 2
	mov	r12, NOISE + 3
	mov	r13, NOISE + 4
	mov	r14, NOISE + 5
	mov	r15, NOISE + 6
	mov	r10, NOISE + 7
	mov	r11, NOISE + 8
	call	rax

	pushfq
	pop	rcx
	xor	eax, eax
	cmp	rsp, [rip + saved_rsp]
	je	5f
	or	eax, 1 << 6
	mov	rsp, [rip + saved_rsp]
5:	test	ecx, 1 << 10
	jz	6f
	or	eax, 1 << 7
	cld
6:	CHECK	rbx, 1, 0
	CHECK	rbp, 2, 1
	CHECK	r12, 3, 2
	CHECK	r13, 4, 3
	CHECK	r14, 5, 4
	CHECK	r15, 6, 5
	pop	rcx
	.cfi_def_cfa_offset 56
	CHECK	rcx, 0, 8
	test	dword ptr [rip + SYMBOL(checked_call_cpu)], CPU_AVX2
	jz	7f
	vzeroupper
7:	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret
END checked_call

	.data
	.globl	SYMBOL(checked_call_cpu)
SYMBOL(checked_call_cpu):
	.long	0
	.p2align 3
saved_rsp:
	.quad	0
noise:	.set	value, 0x9d
	.rept	128
	.byte	value & 0xff
	.set	value, value * 37 + 11 & 0xffff
	.endr
