/* SHA-256 by the SHA2 instructions, cut into steps that another instruction stream can be laid between.
 *
 * A block is 64 rounds: 16 quads of four, each quad three steps, so 48 steps a block. `SHA_STEPS n` emits the next n:
 *
 *     0   (quad 0: load the block and swap its bytes)  words + constants
 *     1   four rounds: sha256h needs a copy of a b c d for sha256h2
 *     2   message schedule: the words of quad q+4 in the place of quad q's; at the end, the state before is added
 *
 * Registers:   x2  input, moves on     x3  constants     sp + SHA_SAVE  32 bytes, 16-byte aligned
 *     v0  a b c d     v1  e f g h     v2  the copy     v3 to v6  message words, quad q's in v(3 + q mod 4)     v7  scratch
 *
 * The critical path is sha256h, then sha256h2 beside the next one: 16 by 4 cycles where that is its latency (Cortex-A76,
 * Neoverse N1 and later, by their optimisation guides), 64 a block, 1.0 a byte.
 */
	.set	sha_step, 0		/* the next step */

	.macro SHA_STEP_WITH w0, w1, w2, w3
	.set	sha_quad, sha_step / 3
	.if sha_step % 3 == 0
	.if sha_quad == 0
	stp	q0, q1, [sp, #SHA_SAVE]
	ld1	{v3.16b, v4.16b, v5.16b, v6.16b}, [x2], #64
	rev32	v3.16b, v3.16b
	rev32	v4.16b, v4.16b
	rev32	v5.16b, v5.16b
	rev32	v6.16b, v6.16b
	.endif
	ldr	q7, [x3, #(16 * sha_quad)]
	add	v7.4s, v7.4s, \w0\().4s
	.elseif sha_step % 3 == 1
	mov	v2.16b, v0.16b
	sha256h	q0, q1, v7.4s
	sha256h2 q1, q2, v7.4s
	.elseif sha_quad < 12
	sha256su0 \w0\().4s, \w1\().4s
	sha256su1 \w0\().4s, \w2\().4s, \w3\().4s
	.elseif sha_quad == 15
	ldp	q2, q7, [sp, #SHA_SAVE]
	add	v0.4s, v0.4s, v2.4s
	add	v1.4s, v1.4s, v7.4s
	.endif
	.endm

	.macro SHA_ONE_STEP
	.if sha_step / 3 % 4 == 0
	SHA_STEP_WITH v3, v4, v5, v6
	.elseif sha_step / 3 % 4 == 1
	SHA_STEP_WITH v4, v5, v6, v3
	.elseif sha_step / 3 % 4 == 2
	SHA_STEP_WITH v5, v6, v3, v4
	.else
	SHA_STEP_WITH v6, v3, v4, v5
	.endif
	.set	sha_step, (sha_step + 1) % 48
	.endm

	.macro SHA_STEPS count
	.rept \count
	SHA_ONE_STEP
	.endr
	.endm
