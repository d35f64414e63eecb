/* BLAKE3 with AVX-512, one compression with a row of the state in each register: the form for a single chunk, bound by the
 * chain add, add, xor, rotate. b stays where it is, since it ends each half round; a, c and d turn around it while it is
 * still being made, so no shuffle is on the chain: 12 cycles a half round, 168 a compression.
 *
 *   xmm16 a  xmm17 b  xmm18 c  xmm19 d  zmm20, zmm21 scratch
 *
 * Hooks and frame as in blake3_avx512.h, which comes before. The message words of the rounds go to MESSAGE.
 */
	.macro ORDER_WORDS round
	vmovdqa32 zmm21, [rip + .Lorders + 64 * \round]
	vpermd	zmm21, zmm21, zmm20
	vmovdqa32 [rbx + MESSAGE + 64 * \round], zmm21
	.endm

	.macro ROW_HALF_ROUND at
	vpaddd	xmm16, xmm16, [rbx + MESSAGE + \at]
	vpaddd	xmm16, xmm16, xmm17
	vpxord	xmm19, xmm19, xmm16
	vprord	xmm19, xmm19, 16
	vpaddd	xmm16, xmm16, [rbx + MESSAGE + \at + 16]
	vpaddd	xmm18, xmm18, xmm19
	vpxord	xmm17, xmm17, xmm18
	vprord	xmm17, xmm17, 12
	vpaddd	xmm16, xmm16, xmm17
	vpxord	xmm19, xmm19, xmm16
	vprord	xmm19, xmm19, 8
	vpaddd	xmm18, xmm18, xmm19
	vpxord	xmm17, xmm17, xmm18
	vprord	xmm17, xmm17, 7
	.endm

	.macro ROW_ROUND hook, round
	\hook 2*\round+1
	ROW_HALF_ROUND 64*\round
	vpshufd	xmm16, xmm16, 0x93
	vpshufd	xmm19, xmm19, 0x4E
	vpshufd	xmm18, xmm18, 0x39
	\hook 2*\round+2
	ROW_HALF_ROUND 64*\round+32
	vpshufd	xmm16, xmm16, 0x39
	vpshufd	xmm19, xmm19, 0x4E
	vpshufd	xmm18, xmm18, 0x93
	.endm

	/* xmm16, xmm17: the chaining value, replaced; zmm20: the block; xmm19: counter, length and flags. */
	.macro ROW_COMPRESSION hook
	ORDER_WORDS 0
	ORDER_WORDS 1
	vmovdqa32 xmm18, [rip + .Liv]
	\hook 0
	ORDER_WORDS 2
	ORDER_WORDS 3
	ORDER_WORDS 4
	ORDER_WORDS 5
	ORDER_WORDS 6
	ROW_ROUND \hook, 0
	ROW_ROUND \hook, 1
	ROW_ROUND \hook, 2
	ROW_ROUND \hook, 3
	ROW_ROUND \hook, 4
	ROW_ROUND \hook, 5
	ROW_ROUND \hook, 6
	\hook 15
	vpxord	xmm16, xmm16, xmm18
	vpxord	xmm17, xmm17, xmm19
	.endm

	/* A round's words as ROW_HALF_ROUND reads them: x and y of the columns, then of the diagonals as they stand when b
	 * has not moved. */
	.macro ORDER s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15
	.long \s0, \s2, \s4, \s6, \s1, \s3, \s5, \s7
	.long \s14, \s8, \s10, \s12, \s15, \s9, \s11, \s13
	.endm

	.macro ROW_CONSTANTS
	.p2align 6
.Lorders:
	ORDER 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ORDER 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8
	ORDER 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1
	ORDER 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6
	ORDER 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4
	ORDER 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7
	ORDER 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	.endm
