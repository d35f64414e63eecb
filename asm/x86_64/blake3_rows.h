/* BLAKE3 by rows: one compression with the 16 words of its state in four vectors of four words (xmm), or two independent
 * ones side by side, one in each half (ymm). For inputs too short to fill the lanes of blake3_avx2.h.
 *
 * All is latency here: 14 half rounds in sequence, each 14 cycles where simple vector instructions take one:
 *
 *     a += b (x was added before); d ^= a; d >>>= 16; c += d; b ^= c; b >>>= 12 (two)         7
 *     the same with y, 8 and 7                                                                 7
 *
 * so nothing else may get onto that path. Hence the diagonals are made by rotating rows a, c and d, which are ready
 * before b is; and the message is permuted for all seven rounds ahead of the first (28 vectors, to memory).
 *
 * The including file defines R_FRAME (general, 32-byte aligned) and R_M, the offset from it of those 28 vectors, 32 bytes
 * each; R_K (general), ah_blake3_avx2_k; and two macros: R_SLICE, expanded 5 times a half round, 70 times in R_ROUNDS,
 * for another instruction stream of which it may emit a part; R_BURST, expanded after each round but the last, and at
 * which it may store and load rows.
 *
 * Registers, xmm or ymm as the parameter p says: 7 to 10 are the rows a to d; 11 is free for rotations. The message takes
 * 7 to 15. Both leave 0 to 6 alone.
 */

	/* The message words of a round lie in four vectors, in the order in which the round adds them: A and B are what the
	 * columns add first and second, words 0 2 4 6 and 1 3 5 7 of the round's order; C and D are the diagonals', 14 8 10 12
	 * and 15 9 11 13. Those of the next round, by the permutation of the paper's table 2:
	 *     A' 2 3 7 4    B' 6 10 0 13    C' 15 1 12 9    D' 8 11 5 14. */
	.macro R_PERMUTE p, A, B, C, D, a, b, c, d
	vshufps	\p\a, \p\A, \p\B, 0xd9		/* 2 4 3 7 */
	vpshufd	\p\a, \p\a, 0x78
	vpblendd \p\b, \p\C, \p\D, 0x88		/* - - 10 13 */
	vshufps	\p\b, \p\A, \p\b, 0xe3		/* 6 0 10 13 */
	vpshufd	\p\b, \p\b, 0xd8
	vpblendd \p\c, \p\C, \p\D, 0x33		/* 15 9 - 12 */
	vpunpckldq \p\d, \p\c, \p\B		/* 15 1 - - */
	vshufps	\p\c, \p\d, \p\c, 0x74
	vpblendd \p\d, \p\C, \p\D, 0x44		/* 14 8 11 - */
	vpblendd \p\()15, \p\C, \p\B, 0x44		/* 14 - 5 - */
	vshufps	\p\d, \p\d, \p\()15, 0x29
	.endm

	.macro R_STORE p, round, A, B, C, D
	vmovdqa	[R_FRAME + R_M + 128 * \round], \p\A
	vmovdqa	[R_FRAME + R_M + 128 * \round + 32], \p\B
	vmovdqa	[R_FRAME + R_M + 128 * \round + 64], \p\C
	vmovdqa	[R_FRAME + R_M + 128 * \round + 96], \p\D
	.endm

	/* The message of the block in registers 7 to 10, for all rounds. */
	.macro R_MESSAGE p
	vshufps	\p\()11, \p\()7, \p\()8, 0x88	/* 0 2 4 6 */
	vshufps	\p\()12, \p\()7, \p\()8, 0xdd	/* 1 3 5 7 */
	vshufps	\p\()13, \p\()9, \p\()10, 0x88	/* 8 10 12 14 */
	vshufps	\p\()14, \p\()9, \p\()10, 0xdd
	vpshufd	\p\()13, \p\()13, 0x93		/* 14 8 10 12 */
	vpshufd	\p\()14, \p\()14, 0x93
	R_STORE	\p, 0, 11, 12, 13, 14
	.irp round, 1, 3, 5
	R_PERMUTE \p, 11, 12, 13, 14, 7, 8, 9, 10
	R_STORE	\p, \round, 7, 8, 9, 10
	R_PERMUTE \p, 7, 8, 9, 10, 11, 12, 13, 14
	R_STORE	\p, (\round + 1), 11, 12, 13, 14
	.endr
	.endm

	/* Four G at once; \at is the offset of x, and y's is 32 more. */
	.macro R_HALF p, at
	vpaddd	\p\()7, \p\()7, [R_FRAME + \at]
	vpaddd	\p\()7, \p\()7, \p\()8
	vpxor	\p\()10, \p\()10, \p\()7
	R_SLICE
	vpshufb	\p\()10, \p\()10, [R_K + B3_ROT16]
	vpaddd	\p\()9, \p\()9, \p\()10
	vpxor	\p\()8, \p\()8, \p\()9
	R_SLICE
	vpaddd	\p\()7, \p\()7, [R_FRAME + \at + 32]
	vpsrld	\p\()11, \p\()8, 12
	vpslld	\p\()8, \p\()8, 20
	vpor	\p\()8, \p\()8, \p\()11
	R_SLICE
	vpaddd	\p\()7, \p\()7, \p\()8
	vpxor	\p\()10, \p\()10, \p\()7
	vpshufb	\p\()10, \p\()10, [R_K + B3_ROT8]
	R_SLICE
	vpaddd	\p\()9, \p\()9, \p\()10
	vpxor	\p\()8, \p\()8, \p\()9
	vpsrld	\p\()11, \p\()8, 7
	vpslld	\p\()8, \p\()8, 25
	vpor	\p\()8, \p\()8, \p\()11
	R_SLICE
	.endm

	/* G of diagonal i needs a[i], b[i+1], c[i+2], d[i+3]: b stays, so it happens in lane i + 1. */
	.macro R_ROUND p, round
	R_HALF	\p, (R_M + 128 * \round)
	vpshufd	\p\()7, \p\()7, 0x93
	vpshufd	\p\()9, \p\()9, 0x39
	vpshufd	\p\()10, \p\()10, 0x4e
	R_HALF	\p, (R_M + 128 * \round + 64)
	vpshufd	\p\()7, \p\()7, 0x39
	vpshufd	\p\()9, \p\()9, 0x93
	vpshufd	\p\()10, \p\()10, 0x4e
	.endm

	/* Seven rounds on the rows in 7 to 10. The chaining value is then 7 ^ 9 and 8 ^ 10. */
	.macro R_ROUNDS p
	.irp round, 0, 1, 2, 3, 4, 5
	R_ROUND	\p, \round
	R_BURST	\p, \round
	.endr
	R_ROUND	\p, 6
	.endm
