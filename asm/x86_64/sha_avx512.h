/* What sha_avx512.S (one stream) and sha_avx512_x2.S (two) share: the frame, the offsets of the caller's structs, and how
 * lanes and trees begin.
 *
 * Register map
 *	xmm0        sha256rnds2's implicit operand; scratch		zmm16..31  BLAKE3: see blake3_avx512.h
 *	xmm1, xmm2  first stream: a b e f, c d g h			k1         scratch
 *	xmm3..6     its message words
 *	r8          SHA-256's input						r11        SHA-256's constants
 *	ecx         which half rounds have a block of SHA-256 stitched in, bit 0 for the first
 *	edi         the block within the chunks, or what is left of the tree's levels
 *	r15         the frame: offsets below
 */
/* The frame, from r15 on. Its first part is the first stream of blake3_avx512.h. */
#define SAVE STREAM_BYTES	/* SHA-256's states before the block, 64 bytes */
#define LANE (SAVE + 64)	/* the caller's ah_lane, */
#define LEFT (LANE + 8)		/* what is left to do, */
#define COUNTER (LANE + 16)	/* the next chunk, */
#define OUT (LANE + 24)		/* where its value goes, */
#define ROWS (LANE + 32)	/* where the 16 chunks are; */
#define SECOND_LANE 40		/* the same for the second lane */
#define STAGE (SAVE + 192)	/* the first free byte: rows of fewer than 16 chunks, or the second stream */

#define S_IN	r8
#define S_K	r11
#define S_FRAME	r15
#define S_SAVE	SAVE
#define S_ABEF	xmm1
#define S_CDGH	xmm2
#define S_W0	xmm3
#define S_W1	xmm4
#define S_W2	xmm5
#define S_W3	xmm6
#include "blake3_avx512.h"
#include "sha256_ni.h"

/* Offsets in ah_lane. */
#define LANE_SHA256 0
#define LANE_IN 8
#define LANE_COUNTER 16
#define LANE_OUT 24

#define ALL_HALF_ROUNDS 0x3fff
/* Bytes: how far ahead of SHA-256 the input is fetched, a line a block; more than the 16 KiB of 16 chunks, which is too
 * much for the first level. Sixteen streams a KiB apart are followed by no hardware prefetcher; on a Zen 3 the kernel of
 * eight lanes was a sixth slower without (sha_avx2.S). */
#define AHEAD 18432

	/* One lane of the values in zmm16..23 to 32 bytes at rax. */
	.macro STORE_VALUE lane
	vpextrd	dword ptr [rax], xmm16, \lane
	vpextrd	dword ptr [rax + 4], xmm17, \lane
	vpextrd	dword ptr [rax + 8], xmm18, \lane
	vpextrd	dword ptr [rax + 12], xmm19, \lane
	vpextrd	dword ptr [rax + 16], xmm20, \lane
	vpextrd	dword ptr [rax + 20], xmm21, \lane
	vpextrd	dword ptr [rax + 24], xmm22, \lane
	vpextrd	dword ptr [rax + 28], xmm23, \lane
	.endm

	/* What the caller gave of a lane, to the frame; rax is left at its SHA-256. */
	.macro OPEN_LANE lane, at
	mov	[r15 + LANE + \at], \lane
	mov	rax, [\lane + LANE_COUNTER]
	mov	[r15 + COUNTER + \at], rax
	mov	rax, [\lane + LANE_OUT]
	mov	[r15 + OUT + \at], rax
	mov	rax, [\lane + LANE_SHA256]
	.endm

	/* The first chunks of 16, or fewer, begin. */
	.macro OPEN_CHUNKS at
	mov	rax, [r15 + COUNTER + \at]
	STORE_COUNTERS
	IV_TO_CV
	.endm

	.macro WORDS_OF_PARENTS word, register
	vpermd	zmm26, zmm24, zmm\register
	vpermd	zmm27, zmm25, zmm\register
	vmovdqa32 [rbx + MESSAGE + 64 * \word], zmm26
	vmovdqa32 [rbx + MESSAGE + 64 * \word + 512], zmm27
	.endm

	/* The subroutine .Lwords_of_parents. The 16 values in zmm16..23 become the words of their parents: left children are
	 * the even ones. */
	.macro PARENTS_SUBROUTINE
	LOCAL .Lwords_of_parents
	vmovdqa32 zmm24, [rip + .Leven]
	vmovdqa32 zmm25, [rip + .Lodd]
	WORDS_OF_PARENTS 0, 16
	WORDS_OF_PARENTS 1, 17
	WORDS_OF_PARENTS 2, 18
	WORDS_OF_PARENTS 3, 19
	WORDS_OF_PARENTS 4, 20
	WORDS_OF_PARENTS 5, 21
	WORDS_OF_PARENTS 6, 22
	WORDS_OF_PARENTS 7, 23
	IV_TO_CV
	ret
	.cfi_endproc
	.endm

	.macro PARENTS_CONSTANTS
	.p2align 6
.Leven:	.long 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
.Lodd:	.long 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
	.endm
