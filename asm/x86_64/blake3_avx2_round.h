/* BLAKE3's round in eight lanes of AVX2 with the whole state in registers: word i of eight lanes in ymm i, four G at
 * once.
 *
 * The including file defines:
 *
 *     B_K      general register, or rip and a symbol: ah_blake3_avx2_k, see blake3_avx2.h
 *     SPILL    the address of one vector, 32-byte aligned
 *     MESSAGE  a macro of r0, r1, r2, r3, m0, m1, m2, m3: adds message word mi of this round to ymm ri
 *     SLICE    a macro, expanded B3_ROUND_SLICES times in a round, for another instruction stream, of which it may emit a
 *              part: it may use no vector register
 *
 * Sixteen words take all registers, and a rotation by 12 or by 7 needs one more: word 8, of row c, is always in SPILL
 * then, and comes back as the memory operand of the next addition. Row c is the one that is not wanted for another
 * four instructions of the chain, which hides the way through memory; with row a, which is wanted at once, it was 5 %
 * slower. So word 8 is in SPILL, not in ymm8, before a round and after it. */
#define B3_ROUND_SLICES	40

	/* Four instructions, one a G. */
	.macro EACH op, r0, r1, r2, r3, s0, s1, s2, s3
	\op	ymm\r0, ymm\r0, ymm\s0
	\op	ymm\r1, ymm\r1, ymm\s1
	\op	ymm\r2, ymm\r2, ymm\s2
	\op	ymm\r3, ymm\r3, ymm\s3
	SLICE
	.endm

	.macro BYTES r0, r1, r2, r3, mask
	vpshufb	ymm\r0, ymm\r0, [B_K + \mask]
	vpshufb	ymm\r1, ymm\r1, [B_K + \mask]
	vpshufb	ymm\r2, ymm\r2, [B_K + \mask]
	vpshufb	ymm\r3, ymm\r3, [B_K + \mask]
	SLICE
	.endm

	/* c += d */
	.macro ADD_TO_C c0, c1, c2, c3, d0, d1, d2, d3
	ADD_TO_ONE \c0, \d0
	ADD_TO_ONE \c1, \d1
	ADD_TO_ONE \c2, \d2
	ADD_TO_ONE \c3, \d3
	SLICE
	.endm

	.macro ADD_TO_ONE c, d
	.if \c == 8
	vpaddd	ymm8, ymm\d, [SPILL]
	.else
	vpaddd	ymm\c, ymm\c, ymm\d
	.endif
	.endm

	/* Rotations of four b. */
	.macro ROTATE_B b0, b1, b2, b3, right
	vmovdqa	[SPILL], ymm8
	.irp b, \b0, \b1, \b2, \b3
	vpsrld	ymm8, ymm\b, \right
	vpslld	ymm\b, ymm\b, (32 - \right)
	vpor	ymm\b, ymm\b, ymm8
	SLICE
	.endr
	.endm

	/* Four G: rows a, b, c, d, and message words x, y. */
	.macro G4 a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, x1, x2, x3, y0, y1, y2, y3
	MESSAGE	\a0, \a1, \a2, \a3, \x0, \x1, \x2, \x3
	SLICE
	EACH	vpaddd, \a0, \a1, \a2, \a3, \b0, \b1, \b2, \b3
	EACH	vpxor, \d0, \d1, \d2, \d3, \a0, \a1, \a2, \a3
	BYTES	\d0, \d1, \d2, \d3, B3_ROT16
	ADD_TO_C \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	EACH	vpxor, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	MESSAGE	\a0, \a1, \a2, \a3, \y0, \y1, \y2, \y3
	SLICE
	ROTATE_B \b0, \b1, \b2, \b3, 12
	EACH	vpaddd, \a0, \a1, \a2, \a3, \b0, \b1, \b2, \b3
	EACH	vpxor, \d0, \d1, \d2, \d3, \a0, \a1, \a2, \a3
	BYTES	\d0, \d1, \d2, \d3, B3_ROT8
	ADD_TO_C \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	EACH	vpxor, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	ROTATE_B \b0, \b1, \b2, \b3, 7
	.endm

	/* The arguments are the message words in this round's order. */
	.macro ROUND m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15
	G4	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \m0, \m2, \m4, \m6, \m1, \m3, \m5, \m7
	G4	0, 1, 2, 3, 5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14, \m8, \m10, \m12, \m14, \m9, \m11, \m13, \m15
	.endm
