/* uint64_t checked_call(void *function, const uint64_t arguments[6], const uint64_t constants[6])
 *
 * Call a function as nobody else would: callee-saved registers hold the constants, everything else that it might read by
 * mistake holds garbage, the stack below is overwritten. Returns 0, or a bit for each thing that it did not leave as the
 * ABI says: 1 to 32 rbx, rbp, r12 to r15; 64 the stack pointer; 128 the direction flag; 256 the control word of SSE;
 * 512 the words of its caller above the return address.
 */
	.intel_syntax noprefix
	.text
	.globl	checked_call
	.type	checked_call, @function
checked_call:
	endbr64
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	mov	rax, 0x8badf00d8badf00d
	mov	ecx, 512
1:	mov	[rsp + 8 * rcx - 4104], rax	/* the next 4 KiB down */
	dec	ecx
	jnz	1b
	sub	rsp, 72				/* 0: word of ours, 8: control word, 16: rsp, 24: constants */
	mov	[rsp], rax
	stmxcsr	[rsp + 8]
	mov	[saved_stack + rip], rsp
	mov	[rsp + 24], rdx
	mov	rbx, [rdx]
	mov	rbp, [rdx + 8]
	mov	r12, [rdx + 16]
	mov	r13, [rdx + 24]
	mov	r14, [rdx + 32]
	mov	r15, [rdx + 40]
	mov	r11, rdi
	mov	r10, rsi
	mov	rdi, [r10]
	mov	rsi, [r10 + 8]
	mov	rdx, [r10 + 16]
	mov	rcx, [r10 + 24]
	mov	r8, [r10 + 32]
	mov	r9, [r10 + 40]
	mov	r10, rax
	call	r11
	mov	rcx, rsp
	mov	rsp, [saved_stack + rip]
	xor	eax, eax
	mov	rdx, [rsp + 24]
	xor	rbx, [rdx]
	xor	rbp, [rdx + 8]
	xor	r12, [rdx + 16]
	xor	r13, [rdx + 24]
	xor	r14, [rdx + 32]
	xor	r15, [rdx + 40]
	xor	rcx, rsp
	.macro WRONG what, bit
	mov	esi, eax
	or	esi, \bit
	test	\what, \what
	cmovnz	eax, esi
	.endm
	WRONG	rbx, 1
	WRONG	rbp, 2
	WRONG	r12, 4
	WRONG	r13, 8
	WRONG	r14, 16
	WRONG	r15, 32
	WRONG	rcx, 64
	pushfq
	pop	rcx
	cld
	and	ecx, 0x400
	WRONG	rcx, 128
	stmxcsr	[rsp + 12]
	mov	ecx, [rsp + 12]
	xor	ecx, [rsp + 8]
	WRONG	rcx, 256
	mov	rcx, 0x8badf00d8badf00d
	xor	rcx, [rsp]
	WRONG	rcx, 512
	add	rsp, 72
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret
	.size	checked_call, . - checked_call
	.local	saved_stack
	.comm	saved_stack, 8, 8
	.section .note.GNU-stack, "", @progbits
