/* SHA-256 by SHA-NI, cut into steps that another instruction stream can be laid between.
 *
 * A block is 64 rounds: 16 quads of four rounds, each quad four steps, so 64 steps a block. `SHA_STEPS n` emits the next
 * n steps, through as many blocks as that makes; whoever calls it decides what stands between. The steps of a quad:
 *
 *     0   (quads 0 to 3: load four words and swap their bytes)  words + constants;  rounds 4q, 4q+1
 *     1   the upper two words down
 *     2   rounds 4q+2, 4q+3
 *     3   message schedule: the words of quad q+1, if they are not the input's; the first half of those of quad q+3
 *
 * Registers. The file that includes this defines their names first, in its register map:
 *
 *     S_IN     general   the input of the first block after SHA_BEGIN
 *     S_K      general   ah_sha256_ni_k: 64 constants, then the byte swap
 *     S_FRAME  general   S_FRAME + S_SAVE is 32 bytes, 16-byte aligned, for the state before the block
 *     xmm0               sha256rnds2 takes words + constants here and nowhere else; it serves as the temporary besides
 *     S_ABEF S_CDGH      the state, in the order that sha256rnds2 wants, highest lane first
 *     S_W0 .. S_W3       the last 16 message words: those of quad q in S_W(q mod 4)
 *
 * The critical path is sha256rnds2: 32 in sequence, 4 cycles each on Zen 3, 128 cycles a block, and one for the addition
 * of the state before. The message schedule needs 6 cycles a quad (alignr, add, msg2, add), and 8 are there.
 *
 * sha256rnds2, msg1 and msg2 have no VEX form. On some CPUs the change between a legacy-SSE instruction and any VEX one
 * costs hundreds of cycles while the upper half of some register is in use (measured on the Zen 3 of the table in
 * sha_avx2.S: 165 a change): these steps are for clean upper halves, that is, after vzeroupper.
 */

	.set	sha_step, 0		/* the next step */
	.set	sha_block, 0		/* of this block after S_IN */

	.macro SHA_LOAD w, offset
	vmovdqu	\w, [S_IN + \offset]
	vpshufb	\w, \w, [S_K + 256]
	.endm

	/* W of quad q+1 into \w_next, which holds msg1 of quads q-3 and q-2; \w is W of quad q, \w_prev of quad q-1. */
	.macro SHA_SCHEDULE w_next, w, w_prev
	vpalignr xmm0, \w, \w_prev, 4
	vpaddd	\w_next, \w_next, xmm0
	sha256msg2 \w_next, \w
	.endm

	/* Step sha_step. w0 is W of the quad, w1 the place of that of the next one, w3 of the one before. */
	.macro SHA_STEP_WITH w0, w1, w3
	.set	sha_quad, sha_step / 4
	.set	sha_k, 16 * sha_quad
	.set	sha_at, 64 * sha_block + 16 * sha_quad
	.if sha_step % 4 == 0
	.if sha_quad < 4
	SHA_LOAD \w0, sha_at
	.endif
	.if sha_quad == 0
	vmovdqa	[S_FRAME + S_SAVE], S_ABEF
	vmovdqa	[S_FRAME + S_SAVE + 16], S_CDGH
	.endif
	vpaddd	xmm0, \w0, [S_K + sha_k]
	sha256rnds2 S_CDGH, S_ABEF, xmm0
	.elseif sha_step % 4 == 1
	vpshufd	xmm0, xmm0, 0x0e
	.elseif sha_step % 4 == 2
	sha256rnds2 S_ABEF, S_CDGH, xmm0
	.else
	.if sha_quad >= 3 && sha_quad < 15
	SHA_SCHEDULE \w1, \w0, \w3
	.endif
	.if sha_quad >= 1 && sha_quad < 13
	sha256msg1 \w3, \w0
	.endif
	.if sha_quad == 15
	vpaddd	S_ABEF, S_ABEF, [S_FRAME + S_SAVE]
	vpaddd	S_CDGH, S_CDGH, [S_FRAME + S_SAVE + 16]
	.endif
	.endif
	.endm

	.macro SHA_ONE_STEP
	.if sha_step % 16 < 4
	SHA_STEP_WITH S_W0, S_W1, S_W3
	.elseif sha_step % 16 < 8
	SHA_STEP_WITH S_W1, S_W2, S_W0
	.elseif sha_step % 16 < 12
	SHA_STEP_WITH S_W2, S_W3, S_W1
	.else
	SHA_STEP_WITH S_W3, S_W0, S_W2
	.endif
	.set	sha_step, sha_step + 1
	.if sha_step == 64
	.set	sha_step, 0
	.set	sha_block, sha_block + 1
	.endif
	.endm

	/* Begin at block 0 of the loop's body. */
	.macro SHA_BEGIN
	.set	sha_step, 0
	.set	sha_block, 0
	.endm

	.macro SHA_STEPS count
	.rept \count
	SHA_ONE_STEP
	.endr
	.endm

	/* The eight words at \state, a to h, to the order of sha256rnds2, and back. xmm0 is lost. */
	.macro SHA_STATE_IN state
	vmovdqu	xmm0, [\state]			/* d c b a, highest lane first */
	vmovdqu	S_CDGH, [\state + 16]		/* h g f e */
	vpshufd	xmm0, xmm0, 0xb1		/* c d a b */
	vpshufd	S_CDGH, S_CDGH, 0x1b		/* e f g h */
	vpalignr S_ABEF, xmm0, S_CDGH, 8	/* a b e f */
	vpblendw S_CDGH, S_CDGH, xmm0, 0xf0	/* c d g h */
	.endm

	.macro SHA_STATE_OUT state
	vpshufd	S_ABEF, S_ABEF, 0x1b		/* f e b a */
	vpshufd	S_CDGH, S_CDGH, 0xb1		/* d c h g */
	vpblendw xmm0, S_ABEF, S_CDGH, 0xf0	/* d c b a */
	vpalignr S_CDGH, S_CDGH, S_ABEF, 8	/* h g f e */
	vmovdqu	[\state], xmm0
	vmovdqu	[\state + 16], S_CDGH
	.endm
