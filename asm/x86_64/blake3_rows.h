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
 * each; R_K (general), ah_blake3_avx2_k; and the macro R_SLICE, expanded ten times a round, for another instruction stream,
 * of which it may emit a part.
 *
 * Registers, xmm or ymm as the parameter p says: 7 to 10 are the rows a to d; 11 is free for rotations. The message takes
 * 9 to 15, so that a chaining value may stay in 7 and 8. 0 to 6 are left alone.
 */

	/* The message words of a round lie in four vectors, in the order in which the round adds them: A and B are what the
	 * columns add first and second, words 0 2 4 6 and 1 3 5 7 of the round's order; C and D are the diagonals', 14 8 10 12
	 * and 15 9 11 13. Those of the next round, by the permutation of the paper's table 2:
	 *     A' 2 3 7 4    B' 6 10 0 13    C' 15 1 12 9    D' 8 11 5 14. */
	/* Free registers f0, f1, f2 and A take A' (f0), B' (A), C' (f1), D' (f2); those of B, C, D are free then. */
	.macro R_PERMUTE p, round, A, B, C, D, f0, f1, f2
	vshufps	\p\f0, \p\A, \p\B, 0xd9		/* 2 4 3 7 */
	vpblendd \p\f1, \p\C, \p\D, 0x88		/* - - 10 13 */
	vshufps	\p\A, \p\A, \p\f1, 0xe3		/* 6 0 10 13 */
	vpshufd	\p\f0, \p\f0, 0x78
	vpshufd	\p\A, \p\A, 0xd8
	vpblendd \p\f1, \p\C, \p\D, 0x33		/* 15 9 - 12 */
	vpunpckldq \p\f2, \p\f1, \p\B		/* 15 1 - - */
	vshufps	\p\f1, \p\f2, \p\f1, 0x74
	vpblendd \p\f2, \p\C, \p\D, 0x44		/* 14 8 11 - */
	vpblendd \p\B, \p\C, \p\B, 0x44		/* 14 - 5 - */
	vshufps	\p\f2, \p\f2, \p\B, 0x29
	R_STORE	\p, \round, \f0, \A, \f1, \f2
	.endm

	.macro R_STORE p, round, A, B, C, D
	vmovdqa	[R_FRAME + R_M + 128 * \round], \p\A
	vmovdqa	[R_FRAME + R_M + 128 * \round + 32], \p\B
	vmovdqa	[R_FRAME + R_M + 128 * \round + 64], \p\C
	vmovdqa	[R_FRAME + R_M + 128 * \round + 96], \p\D
	.endm

	/* The message of the block in registers 9 to 12, for all rounds. */
	.macro R_MESSAGE p
	vshufps	\p\()13, \p\()9, \p\()10, 0x88	/* 0 2 4 6 */
	vshufps	\p\()9, \p\()9, \p\()10, 0xdd	/* 1 3 5 7 */
	vshufps	\p\()10, \p\()11, \p\()12, 0x88	/* 8 10 12 14 */
	vshufps	\p\()11, \p\()11, \p\()12, 0xdd
	vpshufd	\p\()10, \p\()10, 0x93		/* 14 8 10 12 */
	vpshufd	\p\()11, \p\()11, 0x93
	R_STORE	\p, 0, 13, 9, 10, 11
	R_PERMUTE \p, 1, 13, 9, 10, 11, 12, 14, 15
	R_PERMUTE \p, 2, 12, 13, 14, 15, 9, 10, 11
	R_PERMUTE \p, 3, 9, 12, 10, 11, 13, 14, 15
	R_PERMUTE \p, 4, 13, 9, 14, 15, 12, 10, 11
	R_PERMUTE \p, 5, 12, 13, 10, 11, 9, 14, 15
	R_PERMUTE \p, 6, 9, 12, 14, 15, 13, 10, 11
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
	R_HALF	\p, R_M+128*\round
	vpshufd	\p\()7, \p\()7, 0x93
	vpshufd	\p\()9, \p\()9, 0x39
	vpshufd	\p\()10, \p\()10, 0x4e
	R_HALF	\p, R_M+128*\round+64
	vpshufd	\p\()7, \p\()7, 0x39
	vpshufd	\p\()9, \p\()9, 0x93
	vpshufd	\p\()10, \p\()10, 0x4e
	.endm
