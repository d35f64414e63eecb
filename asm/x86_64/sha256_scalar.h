/* SHA-256's 64 rounds of one block by scalar instructions (BMI1, BMI2), to be laid between another instruction
 * stream: `SC_ROUNDS n` emits the next n, through one block.
 *
 * The message schedule is somebody else's: SC_WK is the address of word 0 plus constant 0, and that of round t is 32
 * * t bytes further (word t of eight blocks is one vector). SC_STATE is the address of the state, eight words a to h.
 *
 * Registers: eax ebx ecx edx r8d r9d r10d r11d are a to h at the beginning of a block and at its end; r12d to r15d
 * serve within a round, and r12 and r13 are free between two. r14 and r15 hold b ^ c of the next round and nothing,
 * in turns: the majority of a, b, c is b ^ ((a ^ b) & (b ^ c)), of which a ^ b is the next round's b ^ c.
 *
 * A round is 22 operations of the scalar units and two moves: four units need 5.5 cycles for it. Its chain from e to
 * the next e is 5: two xors after a rotation, two additions. The order is one that random exchanges found: a 50th
 * faster than the one written down first. */
	.set	sc_round, 0

	.macro SC_ROUND a, b, c, d, e, f, g, h, b_c, a_b
	rorx	r13d, \e, 11
	add	\h, [SC_WK + 32 * sc_round]
	rorx	r12d, \e, 6
	mov	\a_b, \e
	xor	r12d, r13d
	and	\a_b, \f
	add	\h, \a_b
	andn	\a_b, \e, \g
	rorx	r13d, \e, 25
	xor	r12d, r13d
	add	\h, \a_b
	add	\h, r12d
	rorx	r12d, \a, 13
	mov	\a_b, \a
	rorx	r13d, \a, 2
	xor	\a_b, \b
	and	\b_c, \a_b
	xor	r13d, r12d
	add	\d, \h
	rorx	r12d, \a, 22
	xor	\b_c, \b
	xor	r13d, r12d
	add	\h, \b_c
	add	\h, r13d
	.set	sc_round, sc_round + 1
	.endm

	.macro SC_NEXT_ROUND
	.if sc_round % 8 == 0
	SC_ROUND eax, ebx, ecx, edx, r8d, r9d, r10d, r11d, r14d, r15d
	.elseif sc_round % 8 == 1
	SC_ROUND r11d, eax, ebx, ecx, edx, r8d, r9d, r10d, r15d, r14d
	.elseif sc_round % 8 == 2
	SC_ROUND r10d, r11d, eax, ebx, ecx, edx, r8d, r9d, r14d, r15d
	.elseif sc_round % 8 == 3
	SC_ROUND r9d, r10d, r11d, eax, ebx, ecx, edx, r8d, r15d, r14d
	.elseif sc_round % 8 == 4
	SC_ROUND r8d, r9d, r10d, r11d, eax, ebx, ecx, edx, r14d, r15d
	.elseif sc_round % 8 == 5
	SC_ROUND edx, r8d, r9d, r10d, r11d, eax, ebx, ecx, r15d, r14d
	.elseif sc_round % 8 == 6
	SC_ROUND ecx, edx, r8d, r9d, r10d, r11d, eax, ebx, r14d, r15d
	.else
	SC_ROUND ebx, ecx, edx, r8d, r9d, r10d, r11d, eax, r15d, r14d
	.endif
	.endm

	.macro SC_ROUNDS count
	.rept \count
	SC_NEXT_ROUND
	.endr
	.endm

	.macro SC_BEGIN
	.set	sc_round, 0
	mov	r14d, ebx
	xor	r14d, ecx
	.endm

	.macro SC_END
	.if sc_round != 64
	.error "not 64 rounds"
	.endif
	SC_ADD eax, ebx, ecx, edx, r8d, r9d, r10d, r11d
	.endm

	.macro SC_ADD r:vararg
	.set	sc_word, 0
	.irp i, \r
	add	\i, [SC_STATE + sc_word]
	mov	[SC_STATE + sc_word], \i
	.set	sc_word, sc_word + 4
	.endr
	.endm

	.macro SC_LOAD r:vararg
	.set	sc_word, 0
	.irp i, \r
	mov	\i, [SC_STATE + sc_word]
	.set	sc_word, sc_word + 4
	.endr
	.endm
