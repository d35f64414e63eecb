/* SHA-256 of two streams by SHA-NI, in steps as those of sha256_ni.h: 64 steps take one block of each.
 *
 * Two chains of sha256rnds2 fill the gaps of one another. To leave registers to another instruction stream, only the
 * message words of two quads are in registers; what is half computed waits in memory. The steps of a quad:
 *
 *     0   first stream: words + constants, its four rounds
 *     1   first stream: the words of quad q+1, and the first half of those of quad q+3
 *     2, 3  second stream: the same
 *
 * Registers. The including file defines:
 *
 *     D_IN D_IN2      general   the inputs of the first blocks after SHA2_BEGIN
 *     D_K             general   ah_sha256_ni_k
 *     D_FRAME         general   D_FRAME + D_SAVE is 192 bytes, 16-byte aligned: per stream the state before the block (32),
 *                               four slots of halves (64)
 *     xmm0                      words + constants of either, and the temporary; free between steps
 *     xmm1 xmm2 / xmm5 xmm6     ABEF and CDGH of the first / the second stream
 *     xmm3 xmm4 / xmm7 xmm8     the words of quad q and of the quad before, which become those of quad q+1: in turns
 *
 * As there: for clean upper halves only.
 */
#define D_STREAM	96	/* from one stream's memory to the other's */
#define D_HALVES	(D_SAVE+32)

	.set	sha2_step, 0
	.set	sha2_block, 0

	/* Step 0 or 2: registers of one stream; w holds the words of the quad, but for quad 0, which loads its own. */
	.macro SHA2_ROUNDS in, abef, cdgh, w, memory
	.if sha2_quad == 0
	SHA2_LOAD \in, \w, 0
	vmovdqa	[D_FRAME + D_SAVE + \memory], \abef
	vmovdqa	[D_FRAME + D_SAVE + \memory + 16], \cdgh
	.endif
	vpaddd	xmm0, \w, [D_K + sha2_k]
	sha256rnds2 \cdgh, \abef, xmm0
	vpshufd	xmm0, xmm0, 0x0e
	sha256rnds2 \abef, \cdgh, xmm0
	.if sha2_quad == 15
	vpaddd	\abef, \abef, [D_FRAME + D_SAVE + \memory]
	vpaddd	\cdgh, \cdgh, [D_FRAME + D_SAVE + \memory + 16]
	.endif
	.endm

	.macro SHA2_LOAD in, w, quad
	.set	sha2_at, 64 * sha2_block + 16 * (\quad)
	vmovdqu	\w, [\in + sha2_at]
	vpshufb	\w, \w, [D_K + 256]
	.endm

	/* Step 1 or 3: \w is W of quad q, \other that of quad q-1, then of quad q+1. msg1 makes of quad q-1 half of quad q+3,
	   in the slot of that number modulo 4. */
	.macro SHA2_SCHEDULE in, w, other, memory
	.set	sha2_half, D_HALVES + \memory + 16 * ((sha2_quad + 1) % 4)
	.set	sha2_half3, D_HALVES + \memory + 16 * ((sha2_quad + 3) % 4)
	.if sha2_quad >= 3 && sha2_quad < 15
	vpalignr xmm0, \w, \other, 4
	.endif
	.if sha2_quad >= 1 && sha2_quad < 13
	sha256msg1 \other, \w
	vmovdqa	[D_FRAME + sha2_half3], \other
	.endif
	.if sha2_quad < 3
	SHA2_LOAD \in, \other, (sha2_quad+1)
	.elseif sha2_quad < 15
	vpaddd	\other, xmm0, [D_FRAME + sha2_half]
	sha256msg2 \other, \w
	.endif
	.endm

	.macro SHA2_STEP_WITH w, other, w2, other2
	.set	sha2_quad, sha2_step / 4
	.set	sha2_k, 16 * sha2_quad
	.if sha2_step % 4 == 0
	SHA2_ROUNDS D_IN, xmm1, xmm2, \w, 0
	.elseif sha2_step % 4 == 1
	SHA2_SCHEDULE D_IN, \w, \other, 0
	.elseif sha2_step % 4 == 2
	SHA2_ROUNDS D_IN2, xmm5, xmm6, \w2, D_STREAM
	.else
	SHA2_SCHEDULE D_IN2, \w2, \other2, D_STREAM
	.endif
	.endm

	.macro SHA2_STEPS count
	.rept \count
	.if sha2_step % 8 < 4
	SHA2_STEP_WITH xmm3, xmm4, xmm7, xmm8
	.else
	SHA2_STEP_WITH xmm4, xmm3, xmm8, xmm7
	.endif
	.set	sha2_step, sha2_step + 1
	.if sha2_step == 64
	.set	sha2_step, 0
	.set	sha2_block, sha2_block + 1
	.endif
	.endr
	.endm

	.macro SHA2_BEGIN
	.set	sha2_step, 0
	.set	sha2_block, 0
	.endm

	/* As SHA_STATE_IN and SHA_STATE_OUT. */
	.macro SHA2_STATE_IN state, abef, cdgh
	vmovdqu	xmm0, [\state]
	vmovdqu	\cdgh, [\state + 16]
	vpshufd	xmm0, xmm0, 0xb1
	vpshufd	\cdgh, \cdgh, 0x1b
	vpalignr \abef, xmm0, \cdgh, 8
	vpblendw \cdgh, \cdgh, xmm0, 0xf0
	.endm

	.macro SHA2_STATE_OUT state, abef, cdgh
	vpshufd	\abef, \abef, 0x1b
	vpshufd	\cdgh, \cdgh, 0xb1
	vpblendw xmm0, \abef, \cdgh, 0xf0
	vpalignr \cdgh, \cdgh, \abef, 8
	vmovdqu	[\state], xmm0
	vmovdqu	[\state + 16], \cdgh
	.endm
