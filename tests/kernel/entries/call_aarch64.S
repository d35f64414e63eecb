/* checked_call of host.h by AAPCS64: x19 to x29, d8 to d15 and sp are the callee's to preserve; all else is noise.
 *
 * Bits of the result: 0 to 10 for x19 to x29, 16 to 23 for d8 to d15, 24 for sp. x0: the function; x1: its arguments.
 */
#ifdef __APPLE__
#define SYMBOL(name) _##name
#else
#define SYMBOL(name) name
#endif
#define FRAME 192

	/* a value that no other register has */
	.macro NOISE register, number
	movz	\register, #0x5a00 + \number
	movk	\register, #0xc3a5, lsl #16
	movk	\register, #0x1234 + \number, lsl #32
	movk	\register, #0xdead, lsl #48
	.endm

	.macro CHECK_GENERAL register, number, bit
	NOISE	x10, \number
	cmp	\register, x10
	b.eq	1f
	orr	x9, x9, #1 << \bit
1:
	.endm

	.macro CHECK_VECTOR register, number, bit
	NOISE	x10, \number
	fmov	x11, \register
	cmp	x11, x10
	b.eq	1f
	orr	x9, x9, #1 << \bit
1:
	.endm

	.text
	.p2align 4
	.globl	SYMBOL(checked_call)
SYMBOL(checked_call):
	hint	#34			/* bti c */
	stp	x29, x30, [sp, #-FRAME]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	NOISE	x10, 99
	stp	x10, x10, [sp, #160]	/* a canary above the callee's frame */

	sub	x11, sp, #4096		/* what lies below the stack pointer is nobody's */
	mov	x12, sp
1:	stp	x10, x10, [x11], #16
	cmp	x11, x12
	b.lo	1b

	mov	x16, x0
	.irp	number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	NOISE	x10, \number
	dup	v\number\().2d, x10
	.endr
	ldp	x2, x3, [x1, #16]
	ldp	x4, x5, [x1, #32]
	ldp	x0, x1, [x1]
	.irp	number, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
	NOISE	x\number, \number
	.endr
	blr	x16

	mov	x9, #0
	CHECK_GENERAL x19, 19, 0
	CHECK_GENERAL x20, 20, 1
	CHECK_GENERAL x21, 21, 2
	CHECK_GENERAL x22, 22, 3
	CHECK_GENERAL x23, 23, 4
	CHECK_GENERAL x24, 24, 5
	CHECK_GENERAL x25, 25, 6
	CHECK_GENERAL x26, 26, 7
	CHECK_GENERAL x27, 27, 8
	CHECK_GENERAL x28, 28, 9
	CHECK_GENERAL x29, 29, 10
	CHECK_VECTOR d8, 8, 16
	CHECK_VECTOR d9, 9, 17
	CHECK_VECTOR d10, 10, 18
	CHECK_VECTOR d11, 11, 19
	CHECK_VECTOR d12, 12, 20
	CHECK_VECTOR d13, 13, 21
	CHECK_VECTOR d14, 14, 22
	CHECK_VECTOR d15, 15, 23
	ldr	x11, [sp, #160]
	CHECK_GENERAL x11, 99, 24
	ldr	x11, [sp, #168]
	CHECK_GENERAL x11, 99, 24
	mov	x0, x9
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x29, x30, [sp], #FRAME
	ret
#ifdef __ELF__
	.type	SYMBOL(checked_call), %function
	.size	SYMBOL(checked_call), . - SYMBOL(checked_call)
	.section .note.GNU-stack, "", %progbits
#endif
