/* BLAKE3 in eight lanes of AVX2: one compression of eight chunks (or parents) at once, word i of all of them in vector i.
 *
 * The 16 vectors of the state stay in memory between bursts. A burst is what the vector unit does between two moments at
 * which no register of BLAKE3's is alive: another instruction stream, and vzeroupper, may stand there. The including
 * file defines the macro BURST_END, which says what does; it is expanded 31 times (B3_BURSTS) in a B3_COMPRESS:
 *
 *     2    loading and transposing the message
 *     28   seven rounds of four pairs of G: two columns, two more, two diagonals, two more
 *     1    the new chaining value
 *
 * Registers. The including file defines:
 *
 *     B_IN     general  lane 0's block; lane i's is at B_IN + i * B_S
 *     B_IN4    general  B_IN + 4 * B_S
 *     B_S B_S3 general  the distance of two lanes' blocks, and three times that
 *     B_K      general  ah_blake3_avx2_k
 *     B_FLAGS  general  32 bytes: the flags of eight lanes
 *     B_FRAME  general  32-byte aligned: B_CV, B_V, B_M, B_LO and B_HI are offsets from it
 *     ymm9 to ymm15     BLAKE3's within a burst: three rows of two G, and B_T
 *
 * Frame: B_CV 8 vectors, the chaining values, taken and given; B_V 16, the state; B_M 16, the message; B_LO and B_HI one
 * each, the halves of the counters. Two streams in turns make symbols of them. B_WORD(x), where word x of the message is,
 * may be defined otherwise: then the words that B3_G2V is given are whatever that takes.
 */
#define B_T	ymm15
#ifndef B_WORD
#define B_WORD(x) B_FRAME + B_M + 32 * x
#endif

#define B3_ROT16	0	/* offsets from B_K */
#define B3_ROT8		32
#define B3_IV		64	/* 8 vectors */
#define B3_IV8		(64-256)	/* where word 0 of it stands as word 8 of the state */
#define B3_IV_ROWS	320	/* the first four words, twice; the last four */
#define B3_LENGTH	384
#define B3_NONE		416	/* flags */
#define B3_START	448
#define B3_END		480
#define B3_PARENT	512
#define B3_ORDER	544	/* seven rounds of 16 message words: 32 times the number, 4 bytes */
#define B3_BURSTS	31
#define B3_AHEAD	12288	/* bytes: how far ahead of SHA-256 the input is fetched; more than the 8 KiB of eight chunks */

	/* Four words of eight lanes, at \offset in each block, to their message vectors: 32 bytes each, so at 8 * \offset. */
	.macro B3_LOAD4 offset, r0, r1, r2, r3, t0, t1
	vmovdqu	xmm\r0, [B_IN + \offset]
	vmovdqu	xmm\r1, [B_IN + B_S + \offset]
	vmovdqu	xmm\r2, [B_IN + 2 * B_S + \offset]
	vmovdqu	xmm\r3, [B_IN + B_S3 + \offset]
	vinserti128 ymm\r0, ymm\r0, [B_IN4 + \offset], 1
	vinserti128 ymm\r1, ymm\r1, [B_IN4 + B_S + \offset], 1
	vinserti128 ymm\r2, ymm\r2, [B_IN4 + 2 * B_S + \offset], 1
	vinserti128 ymm\r3, ymm\r3, [B_IN4 + B_S3 + \offset], 1
	B3_TRANSPOSE \r0, \r1, \r2, \r3, \t0, \t1
	vmovdqa	[B_FRAME + B_M + 8 * \offset], ymm\r2
	vmovdqa	[B_FRAME + B_M + 8 * \offset + 32], ymm\r3
	vmovdqa	[B_FRAME + B_M + 8 * \offset + 64], ymm\t0
	vmovdqa	[B_FRAME + B_M + 8 * \offset + 96], ymm\t1
	.endm

	/* 4x4 words in each half: rows r0, r1, r2, r3 to columns r2, r3, t0, t1. */
	.macro B3_TRANSPOSE r0, r1, r2, r3, t0, t1
	vpunpckldq ymm\t0, ymm\r0, ymm\r1	/* 00 10 01 11 */
	vpunpckhdq ymm\t1, ymm\r0, ymm\r1	/* 02 12 03 13 */
	vpunpckldq ymm\r0, ymm\r2, ymm\r3	/* 20 30 21 31 */
	vpunpckhdq ymm\r1, ymm\r2, ymm\r3	/* 22 32 23 33 */
	vpunpcklqdq ymm\r2, ymm\t0, ymm\r0
	vpunpckhqdq ymm\r3, ymm\t0, ymm\r0
	vpunpcklqdq ymm\t0, ymm\t1, ymm\r1
	vpunpckhqdq ymm\t1, ymm\t1, ymm\r1
	.endm

	.macro B3_LOAD
	B3_LOAD4 0, 9, 10, 11, 12, 13, 14
	B3_LOAD4 16, 9, 10, 11, 12, 13, 14
	BURST_END
	B3_LOAD4 32, 9, 10, 11, 12, 13, 14
	B3_LOAD4 48, 9, 10, 11, 12, 13, 14
	BURST_END
	.endm

	.macro B3_ROTATE r, right
	vpsrld	B_T, \r, \right
	vpslld	\r, \r, (32 - \right)
	vpor	\r, \r, B_T
	.endm

	/* Two G at once: state words a b c d and e f g h, message words x0 y0 and x1 y1. The state comes from \from_.., since
	 * in the first round it lies elsewhere, and goes to B_V. (No spaces in these arguments: to gas a space ends one.)
	 * Row a never has a register of its own: between its two additions it waits in memory. */
	.macro B3_G2 a, b, c, d, x0, y0, e, f, g, h, x1, y1, from_a, from_b, from_c, from_d, from_h
	vmovdqa	ymm9, [\from_b + 32 * \b]
	vmovdqa	ymm12, [\from_b + 32 * \f]
	vpaddd	B_T, ymm9, [\from_a + 32 * \a]
	vpaddd	B_T, B_T, [B_WORD(\x0)]
	vpxor	ymm11, B_T, [\from_d]
	vpaddd	B_T, B_T, [B_WORD(\y0)]
	vmovdqa	[B_FRAME + B_V + 32 * \a], B_T
	vpaddd	B_T, ymm12, [\from_a + 32 * \e]
	vpaddd	B_T, B_T, [B_WORD(\x1)]
	vpxor	ymm14, B_T, [\from_h]
	vpaddd	B_T, B_T, [B_WORD(\y1)]
	vmovdqa	[B_FRAME + B_V + 32 * \e], B_T
	vpshufb	ymm11, ymm11, [B_K + B3_ROT16]
	vpshufb	ymm14, ymm14, [B_K + B3_ROT16]
	vpaddd	ymm10, ymm11, [\from_c + 32 * \c]
	vpaddd	ymm13, ymm14, [\from_c + 32 * \g]
	vpxor	ymm9, ymm9, ymm10
	vpxor	ymm12, ymm12, ymm13
	B3_ROTATE ymm9, 12
	B3_ROTATE ymm12, 12
	vpaddd	B_T, ymm9, [B_FRAME + B_V + 32 * \a]
	vmovdqa	[B_FRAME + B_V + 32 * \a], B_T
	vpxor	ymm11, ymm11, B_T
	vpaddd	B_T, ymm12, [B_FRAME + B_V + 32 * \e]
	vmovdqa	[B_FRAME + B_V + 32 * \e], B_T
	vpxor	ymm14, ymm14, B_T
	vpshufb	ymm11, ymm11, [B_K + B3_ROT8]
	vpshufb	ymm14, ymm14, [B_K + B3_ROT8]
	vmovdqa	[B_FRAME + B_V + 32 * \d], ymm11
	vmovdqa	[B_FRAME + B_V + 32 * \h], ymm14
	vpaddd	ymm10, ymm10, ymm11
	vpaddd	ymm13, ymm13, ymm14
	vmovdqa	[B_FRAME + B_V + 32 * \c], ymm10
	vmovdqa	[B_FRAME + B_V + 32 * \g], ymm13
	vpxor	ymm9, ymm9, ymm10
	vpxor	ymm12, ymm12, ymm13
	B3_ROTATE ymm9, 7
	B3_ROTATE ymm12, 7
	vmovdqa	[B_FRAME + B_V + 32 * \b], ymm9
	vmovdqa	[B_FRAME + B_V + 32 * \f], ymm12
	BURST_END
	.endm

	.macro B3_G2V a, b, c, d, x0, y0, e, f, g, h, x1, y1
	B3_G2 \a, \b, \c, \d, \x0, \y0, \e, \f, \g, \h, \x1, \y1, \
		B_FRAME+B_V, B_FRAME+B_V, B_FRAME+B_V, B_FRAME+B_V+32*\d, B_FRAME+B_V+32*\h
	.endm

	.macro B3_DIAGONALS m8, m9, m10, m11, m12, m13, m14, m15
	B3_G2V	0, 5, 10, 15, \m8, \m9, 1, 6, 11, 12, \m10, \m11
	B3_G2V	2, 7, 8, 13, \m12, \m13, 3, 4, 9, 14, \m14, \m15
	.endm

	.macro B3_ROUND m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15
	B3_G2V	0, 4, 8, 12, \m0, \m1, 1, 5, 9, 13, \m2, \m3
	B3_G2V	2, 6, 10, 14, \m4, \m5, 3, 7, 11, 15, \m6, \m7
	B3_DIAGONALS \m8, \m9, \m10, \m11, \m12, \m13, \m14, \m15
	.endm

	/* The new chaining values: both halves of the state. */
	.macro B3_FINISH
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm9, [B_FRAME + B_V + 32 * \i]
	vpxor	ymm9, ymm9, [B_FRAME + B_V + 32 * \i + 256]
	vmovdqa	[B_FRAME + B_CV + 32 * \i], ymm9
	.endr
	.endm

	/* One compression; the message permutation of the paper's table 2, applied 0 to 6 times. */
	.macro B3_COMPRESS
	B3_LOAD
	/* words 8 to 11 are the IV's first four: word 8 is at B3_IV */
	B3_G2	0, 4, 8, 12, 0, 1, 1, 5, 9, 13, 2, 3, B_FRAME+B_CV, B_FRAME+B_CV, B_K+B3_IV8, \
		B_FRAME+B_LO, B_FRAME+B_HI
	B3_G2	2, 6, 10, 14, 4, 5, 3, 7, 11, 15, 6, 7, B_FRAME+B_CV, B_FRAME+B_CV, B_K+B3_IV8, \
		B_K+B3_LENGTH, B_FLAGS
	B3_DIAGONALS 8, 9, 10, 11, 12, 13, 14, 15
	B3_ROUND 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8
	B3_ROUND 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1
	B3_ROUND 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6
	B3_ROUND 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4
	B3_ROUND 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7
	B3_ROUND 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	B3_FINISH
	BURST_END
	.endm

	/* The chaining values of eight lanes from B_CV to 256 bytes at \out, lane after lane. */
	.macro B3_STORE out
	.irp half, 0, 16
	vmovdqa	ymm9, [B_FRAME + B_CV + 8 * \half]
	vmovdqa	ymm10, [B_FRAME + B_CV + 8 * \half + 32]
	vmovdqa	ymm11, [B_FRAME + B_CV + 8 * \half + 64]
	vmovdqa	ymm12, [B_FRAME + B_CV + 8 * \half + 96]
	B3_TRANSPOSE 9, 10, 11, 12, 13, 14
	vmovdqu	[\out + \half], xmm11
	vmovdqu	[\out + \half + 32], xmm12
	vmovdqu	[\out + \half + 64], xmm13
	vmovdqu	[\out + \half + 96], xmm14
	vextracti128 [\out + \half + 128], ymm11, 1
	vextracti128 [\out + \half + 160], ymm12, 1
	vextracti128 [\out + \half + 192], ymm13, 1
	vextracti128 [\out + \half + 224], ymm14, 1
	.endr
	.endm

	/* The chaining values of eight lanes become BLAKE3's IV. */
	.macro B3_IV_TO_CV
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm9, [B_K + B3_IV + 32 * \i]
	vmovdqa	[B_FRAME + B_CV + 32 * \i], ymm9
	.endr
	.endm

	/* The counters of eight lanes: \counter and the next ones. \t is lost. */
	.macro B3_COUNTERS counter, t, t32
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	lea	\t, [\counter + \i]
	mov	[B_FRAME + B_LO + 4 * \i], \t32
	shr	\t, 32
	mov	[B_FRAME + B_HI + 4 * \i], \t32
	.endr
	.endm
