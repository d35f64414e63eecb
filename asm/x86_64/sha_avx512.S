/* BLAKE3 with AVX-512 in the latency shadow of SHA-256 with SHA-NI, over the same bytes: one stream, and two at once.
 *
 *	void ah_sha_avx512_dual_chunks(const ah_lane *lane, size_t chunks)
 *	void ah_sha_avx512_dual_groups(const ah_lane *lane, size_t groups)
 *	void ah_sha_avx512_dual_groups_pair(const ah_lane *first, const ah_lane *second, size_t groups)
 *	void ah_sha_avx512_dual_blocks(const ah_blocks *blocks)
 *
 * Contract: native/kernel.h, System V calling convention. Pointers need no alignment; nothing outside of the input is
 * read. No data-dependent branch or address: only counts steer. Needs SHA, AVX-512 F, DQ, VL.
 *
 * Register map
 *	xmm0        sha256rnds2's implicit operand; scratch		zmm16..31  BLAKE3: see blake3_avx512.h
 *	xmm1, xmm2  first stream: a b e f, c d g h			k1         scratch
 *	xmm3..6     its message words
 *	xmm7, xmm8  second stream, likewise				r8, r9     SHA-256's input of either stream
 *	xmm9..12    its message words					r11        SHA-256's constants
 *	xmm13..14   scratch of the pair					r15        the frame: offsets below
 *	ecx         which half rounds have a block of SHA-256 stitched in, bit 0 for the first
 *	edi         the block within the chunks, or what is left of the tree's levels
 * Clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11, flags, k1, xmm0 to xmm14 (their upper parts are zero afterwards),
 * zmm16 to zmm31. Stack: up to 3,520 bytes and the saved registers.
 *
 * The schedule. 16 lanes take 1,024 bytes a compression, which are 16 blocks of SHA-256. Of those, one goes between the
 * loads and shuffles of the transposition and one into each of the 14 half rounds: four rounds (8 instructions), then
 * four vector instructions, and so on. The remaining one of 16, 16 a group, goes into the four compressions that
 * merge the 16 chunks of a group, four blocks in each: then BLAKE3 has no instruction left that is not in the shadow of
 * SHA-256. With n < 16 chunks, n blocks are spread over the half rounds. Where a half round has no block, the form
 * without it runs, which stands aside so that the stitched path is straight.
 *
 * The pair. Four rounds of both streams, instruction by instruction, stand between every eight vector instructions: a
 * round of BLAKE3 covers a block of each stream. Both transpositions come first and share one block of each; then the
 * 14 half rounds of one stream's chunks and of the other's take 7 blocks of each; so 15 a step as well, and the four
 * merging compressions, which hold the nodes of both trees, take 4.
 *
 * Where the cycles go: arithmetic and models, no measurement. A block of SHA-256 is 32 sha256rnds2 in sequence: 128 cycles
 * where that has a latency of 4 (Zen 4 and 5), 32,768 a group. In that shadow are 56 vector instructions a block, 28 slots
 * of two 512-bit ALUs or 14 of four, beside SHA-256's own 128 instructions, half of which are vector work too. For the
 * pair the bound is the throughput of sha256rnds2: one in 2 cycles gives 128 cycles for a block of each, beside 112
 * vector instructions. On Zen 4, where a 512-bit operation takes two of four 256-bit slots, that is nearly full. On an
 * Intel core with 512-bit ALUs on ports 0 and 5, SHA-NI wants these as well: 256-bit lanes over three ports may fit better.
 *
 * The straight path of 14 half rounds and the transposition is 15 KiB and 2,700 instructions for one stream, 3,200 for
 * the pair: within the first-level instruction cache, and within the op cache of Zen 4, not of Ice Lake; there 16 bytes
 * decoded a cycle make about 950 cycles of the 2,048 that the chain takes.
 *
 *	LLVM-MCA 16, cycles of 14 half rounds		SHA-256 alone	BLAKE3 alone	stitched
 *	one stream, 14 blocks, model icelake-server		2,269		315	2,269
 *	one stream, 14 blocks, model znver4			1,876		457	2,031
 *	two streams, 7 blocks of each, icelake-server		1,135		315	1,135
 *	two streams, 7 blocks of each, znver4			1,688		457	2,027
 * It knows no caches, and its tables are not the silicon; other ways to mix the same instructions gave the same.
 *
 * SHA-NI has legacy encodings only. Nothing here writes the upper parts of zmm0 to zmm15, and vzeroupper comes first, for
 * what the caller may have left there; zmm16 to zmm31 do not count for that transition.
 *
 * Seen to run on: an emulator (Bochs 2.7, models corei7_icelake_u and tigerlake, by `make kernel-avx512`), with known
 * answers, against the portable kernel, with guard pages and the register checks. Measured on: no CPU so far.
 */
/* The frame, from r15 on. Its first part is the first stream of blake3_avx512.h. */
#define SAVE STREAM_BYTES	/* SHA-256's states before the block, 64 bytes */
#define LANE (SAVE + 64)	/* the caller's ah_lane, */
#define LEFT (LANE + 8)		/* what is left to do, */
#define COUNTER (LANE + 16)	/* the next chunk, */
#define OUT (LANE + 24)		/* where its value goes, */
#define ROWS (LANE + 32)	/* where the 16 chunks are; */
#define SECOND_LANE 40		/* the same for the second lane */
#define STAGE (SAVE + 192)	/* rows of fewer than 16 chunks, or the pair's second stream */
#define FRAME_BYTES (STAGE + 1024)
#define PAIR_FRAME_BYTES (STAGE + STREAM_BYTES)

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

/* Offsets in ah_lane and ah_blocks. */
#define LANE_SHA256 0
#define LANE_IN 8
#define LANE_COUNTER 16
#define LANE_OUT 24
#define BLOCKS_SHA256 0
#define BLOCKS_SHA256_IN 8
#define BLOCKS_SHA256_COUNT 16
#define BLOCKS_CV 24
#define BLOCKS_BLAKE3_IN 32
#define BLOCKS_BLAKE3_COUNT 40
#define BLOCKS_COUNTER 48
#define BLOCKS_FIRST_FLAGS 56
#define BLOCKS_LAST_FLAGS 60
#define BLOCKS_LAST_LENGTH 64

#define ALL_HALF_ROUNDS 0x3fff
#define FOUR_HALF_ROUNDS 0x0489
#define ALTERNATE_ROUNDS 0x1111	/* of the pair: bit 2r for round r */

	/* ---- Hooks. */

	/* One stream: a block over the sixteen places. */
	.macro ONE at
	SHA_STEPS 4
	.if \at == 15
	add	S_IN, 64
	SHA_BEGIN
	.endif
	.endm

	/* Four rounds of both streams. \a0 is W of the quad in the first stream, \a1 the place of the next one's, \a3 the
	 * last one's; \b0, \b1, \b3 likewise in the second. */
	.macro PAIR_QUAD_WITH quad, a0, a1, a3, b0, b1, b3
	.if \quad == 0
	vmovdqa	[r15 + SAVE], xmm1
	vmovdqa	[r15 + SAVE + 16], xmm2
	vmovdqa	[r15 + SAVE + 32], xmm7
	vmovdqa	[r15 + SAVE + 48], xmm8
	.endif
	.if \quad < 4
	vmovdqu	xmm\a0, [r8 + 16 * \quad]
	vmovdqu	xmm\b0, [r9 + 16 * \quad]
	vpshufb	xmm\a0, xmm\a0, [r11 + 256]
	vpshufb	xmm\b0, xmm\b0, [r11 + 256]
	.endif
	vpaddd	xmm13, xmm\a0, [r11 + 16 * \quad]
	vpaddd	xmm14, xmm\b0, [r11 + 16 * \quad]
	vmovdqa	xmm0, xmm13
	sha256rnds2 xmm2, xmm1, xmm0
	vmovdqa	xmm0, xmm14
	sha256rnds2 xmm8, xmm7, xmm0
	vpshufd	xmm0, xmm13, 0x0e
	sha256rnds2 xmm1, xmm2, xmm0
	vpshufd	xmm0, xmm14, 0x0e
	sha256rnds2 xmm7, xmm8, xmm0
	.if \quad >= 3 && \quad < 15
	vpalignr xmm13, xmm\a0, xmm\a3, 4
	vpalignr xmm14, xmm\b0, xmm\b3, 4
	vpaddd	xmm\a1, xmm\a1, xmm13
	vpaddd	xmm\b1, xmm\b1, xmm14
	sha256msg2 xmm\a1, xmm\a0
	sha256msg2 xmm\b1, xmm\b0
	.endif
	.if \quad >= 1 && \quad < 13
	sha256msg1 xmm\a3, xmm\a0
	sha256msg1 xmm\b3, xmm\b0
	.endif
	.if \quad == 15
	vpaddd	xmm1, xmm1, [r15 + SAVE]
	vpaddd	xmm2, xmm2, [r15 + SAVE + 16]
	vpaddd	xmm7, xmm7, [r15 + SAVE + 32]
	vpaddd	xmm8, xmm8, [r15 + SAVE + 48]
	add	r8, 64
	add	r9, 64
	.endif
	.endm

	.macro PAIR_QUAD quad
	.if (\quad) % 4 == 0
	PAIR_QUAD_WITH (\quad), 3, 4, 6, 9, 10, 12
	.elseif (\quad) % 4 == 1
	PAIR_QUAD_WITH (\quad), 4, 5, 3, 10, 11, 9
	.elseif (\quad) % 4 == 2
	PAIR_QUAD_WITH (\quad), 5, 6, 4, 11, 12, 10
	.else
	PAIR_QUAD_WITH (\quad), 6, 3, 5, 12, 9, 11
	.endif
	.endm

	/* Two streams: the first half of a block of each over the sixteen places, or the second. */
	.macro FIRST_HALF at
	.if (\at) % 2 == 0
	PAIR_QUAD (\at)/2
	.endif
	.endm

	.macro SECOND_HALF at
	.if (\at) % 2 == 0
	PAIR_QUAD (\at)/2+8
	.endif
	.endm

	/* ---- Forms of the half rounds. */

	.macro STITCHED number, half, words:vararg
	test	ecx, 1 << \number
	jz	.Lplain_\number
	\half ONE, \words
.Lstitched_\number:
	.endm

	.macro ASIDE number, half, words:vararg
.Lplain_\number:
	\half NONE, \words
	jmp	.Lstitched_\number
	.endm

	.macro PAIRED number, half, words:vararg
	.if \number % 2 == 0
	test	ecx, 1 << \number
	jz	.Lpair_plain_\number
	\half FIRST_HALF, \words
	.else
	\half SECOND_HALF, \words
.Lpaired_\number:
	.endif
	.endm

	.macro PAIR_ASIDE number, half, words:vararg
	.if \number % 2 == 0
.Lpair_plain_\number:
	.endif
	\half NONE, \words
	.if \number % 2 == 1
	jmp	.Lpaired_\number
	.endif
	.endm

	/* ---- Pieces. */

	.macro WORDS_OF_PARENTS word, register
	vpermd	zmm26, zmm24, zmm\register
	vpermd	zmm27, zmm25, zmm\register
	vmovdqa32 [rbx + MESSAGE + 64 * \word], zmm26
	vmovdqa32 [rbx + MESSAGE + 64 * \word + 512], zmm27
	.endm

	.macro LOAD_CV
	vmovdqa32 zmm16, [rbx + CV]
	vmovdqa32 zmm17, [rbx + CV + 64]
	vmovdqa32 zmm18, [rbx + CV + 128]
	vmovdqa32 zmm19, [rbx + CV + 192]
	vmovdqa32 zmm20, [rbx + CV + 256]
	vmovdqa32 zmm21, [rbx + CV + 320]
	vmovdqa32 zmm22, [rbx + CV + 384]
	vmovdqa32 zmm23, [rbx + CV + 448]
	.endm

	.macro STORE_CV
	vmovdqa32 [rbx + CV], zmm16
	vmovdqa32 [rbx + CV + 64], zmm17
	vmovdqa32 [rbx + CV + 128], zmm18
	vmovdqa32 [rbx + CV + 192], zmm19
	vmovdqa32 [rbx + CV + 256], zmm20
	vmovdqa32 [rbx + CV + 320], zmm21
	vmovdqa32 [rbx + CV + 384], zmm22
	vmovdqa32 [rbx + CV + 448], zmm23
	.endm

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

	/* The next block of .Lrun_blocks into registers. */
	.macro TAKE_BLOCK
	vmovdqu64 zmm20, [rsi]
	mov	eax, 64
	cmp	rdx, 1
	mov	r13d, r10d
	jne	9f
	mov	eax, r12d
	or	r13d, edi
9:	shl	r13, 32
	or	rax, r13
	vmovq	xmm19, rcx
	vpinsrq	xmm19, xmm19, rax, 1
	xor	r10d, r10d
	add	rsi, 64
	dec	rdx
	.endm

	/* ---- Subroutines. zmm16..23: the chaining values; the message at rbx; eax: flags; ecx: where SHA-256 goes. */

	SHA_BEGIN
	LOCAL .Lcompress
	OPEN_COMPRESSION
	HALF_ROUNDS STITCHED
	CLOSE_COMPRESSION
	ret
	HALF_ROUNDS ASIDE
	.cfi_endproc

	LOCAL .Lcompress_pair
	OPEN_COMPRESSION
	HALF_ROUNDS PAIRED
	CLOSE_COMPRESSION
	ret
	HALF_ROUNDS PAIR_ASIDE
	.cfi_endproc

	LOCAL .Ltranspose
	TRANSPOSE NONE
	NEXT_ROWS
	ret
	.cfi_endproc

	LOCAL .Ltranspose_stitched
	TRANSPOSE ONE
	NEXT_ROWS
	ret
	.cfi_endproc

	/* Both streams' transpositions; leaves rbx at the first. */
	LOCAL .Ltranspose_pair
	mov	rsi, [r15 + ROWS]
	SET_ROWS 1024
	add	qword ptr [r15 + ROWS], 64
	TRANSPOSE FIRST_HALF
	mov	rsi, [r15 + ROWS + SECOND_LANE]
	SET_ROWS 1024
	add	qword ptr [r15 + ROWS + SECOND_LANE], 64
	lea	rbx, [r15 + STAGE]
	TRANSPOSE SECOND_HALF
	mov	rbx, r15
	ret
	.cfi_endproc

	/* The 16 values in zmm16..23 become the words of their parents: left children are the even ones. */
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

	/* The same over two sets of values, those of the stream at rbx and of the one at rbx + STAGE, in its order. */
	LOCAL .Lwords_of_both
	.irp word, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa32 zmm26, [rbx + CV + 64 * \word]
	vmovdqa32 zmm24, [rip + .Leven]
	vmovdqa32 zmm25, [rip + .Lodd]
	vpermi2d zmm24, zmm26, [rbx + STAGE + CV + 64 * \word]
	vpermi2d zmm25, zmm26, [rbx + STAGE + CV + 64 * \word]
	vmovdqa32 [rbx + MESSAGE + 64 * \word], zmm24
	vmovdqa32 [rbx + MESSAGE + 64 * \word + 512], zmm25
	.endr
	IV_TO_CV
	ret
	.cfi_endproc

	/* SHA-256 alone over r9 blocks, at least one, of the first stream. */
	LOCAL .Lsha256_blocks
1:	SHA_STEPS 64
	SHA_BEGIN
	add	r8, 64
	dec	r9
	jnz	1b
	ret
	.cfi_endproc

	/* rdx blocks at rsi of one chunk: its chaining value xmm16, xmm17; rcx its counter, r10d the flags of the first
	 * block, edi those of the last besides and r12d its length; r9 blocks at r8 of SHA-256. */
	LOCAL .Lrun_blocks
	jmp	3f
1:	TAKE_BLOCK
	test	r9, r9
	jz	2f
	ROW_COMPRESSION ONE
	dec	r9
	jmp	3f
2:	ROW_COMPRESSION NONE
3:	test	rdx, rdx
	jnz	1b
	test	r9, r9
	jnz	.Lsha256_blocks
	ret
	.cfi_endproc

FUNCTION ah_sha_avx512_dual_chunks
	ENTER FRAME_BYTES
	vzeroupper
	mov	r15, rsp
	mov	rbx, rsp
	mov	[r15 + LEFT], rsi
	mov	r8, [rdi + LANE_IN]
	lea	r11, [rip + SYMBOL(ah_sha256_ni_k)]
	OPEN_LANE rdi, 0
	SHA_STATE_IN rax
	jmp	3f

1:	mov	rsi, r8
	SET_ROWS 1024
	OPEN_CHUNKS 0
	mov	ecx, ALL_HALF_ROUNDS
	xor	edi, edi
2:	call	.Ltranspose_stitched
	FLAGS_TO_EAX
	call	.Lcompress
	inc	edi
	cmp	edi, 16
	jb	2b
	mov	rax, [r15 + OUT]
	STORE_CVS
	mov	r9d, 16
	call	.Lsha256_blocks
	add	qword ptr [r15 + OUT], 512
	add	qword ptr [r15 + COUNTER], 16
	sub	qword ptr [r15 + LEFT], 16
3:	mov	r9, [r15 + LEFT]
	cmp	r9, 16
	jae	1b

	cmp	r9, 1
	jb	9f
	je	7f
	mov	[r15 + ROWS], r8
	OPEN_CHUNKS 0
	lea	rax, [rip + .Lspread]
	movzx	ecx, word ptr [rax + 2 * r9]
	xor	edi, edi
4:	mov	r9, [r15 + LEFT]
	mov	rax, [r15 + ROWS]
	STAGE_ROWS 1024
	add	qword ptr [r15 + ROWS], 64
	cmp	r9, 15
	je	5f
	call	.Ltranspose
	jmp	6f
5:	call	.Ltranspose_stitched
6:	FLAGS_TO_EAX
	call	.Lcompress
	inc	edi
	cmp	edi, 16
	jb	4b
	mov	rcx, [r15 + OUT]
	STORE_SOME_CVS
	jmp	9f

7:	vmovdqa32 xmm16, [rip + .Liv]
	vmovdqa32 xmm17, [rip + .Liv + 16]
	mov	rsi, r8
	mov	edx, 16
	mov	r9d, 16
	mov	rcx, [r15 + COUNTER]
	mov	r10d, CHUNK_START
	mov	edi, CHUNK_END
	mov	r12d, 64
	call	.Lrun_blocks
	mov	rax, [r15 + OUT]
	vmovdqu32 [rax], xmm16
	vmovdqu32 [rax + 16], xmm17

9:	mov	rax, [r15 + LANE]
	mov	rax, [rax + LANE_SHA256]
	SHA_STATE_OUT rax
	LEAVE_AND_RETURN
END ah_sha_avx512_dual_chunks

FUNCTION ah_sha_avx512_dual_groups
	ENTER FRAME_BYTES
	vzeroupper
	mov	r15, rsp
	mov	rbx, rsp
	mov	[r15 + LEFT], rsi
	mov	r8, [rdi + LANE_IN]
	lea	r11, [rip + SYMBOL(ah_sha256_ni_k)]
	OPEN_LANE rdi, 0
	SHA_STATE_IN rax
	jmp	4f

1:	mov	rsi, r8
	SET_ROWS 1024
	OPEN_CHUNKS 0
	mov	ecx, ALL_HALF_ROUNDS
	xor	edi, edi
2:	call	.Ltranspose_stitched
	FLAGS_TO_EAX
	call	.Lcompress
	inc	edi
	cmp	edi, 16
	jb	2b
	STORE_NO_COUNTERS
	mov	ecx, FOUR_HALF_ROUNDS
	mov	edi, 4
3:	call	.Lwords_of_parents
	mov	eax, PARENT
	call	.Lcompress
	dec	edi
	jnz	3b
	mov	rax, [r15 + OUT]
	STORE_VALUE 0
	add	qword ptr [r15 + OUT], 32
	add	qword ptr [r15 + COUNTER], 16
4:	sub	qword ptr [r15 + LEFT], 1
	jnc	1b

	mov	rax, [r15 + LANE]
	mov	rax, [rax + LANE_SHA256]
	SHA_STATE_OUT rax
	LEAVE_AND_RETURN
END ah_sha_avx512_dual_groups

FUNCTION ah_sha_avx512_dual_groups_pair
	ENTER PAIR_FRAME_BYTES
	vzeroupper
	mov	r15, rsp
	mov	[r15 + LEFT], rdx
	mov	r8, [rdi + LANE_IN]
	mov	r9, [rsi + LANE_IN]
	lea	r11, [rip + SYMBOL(ah_sha256_ni_k)]
	OPEN_LANE rsi, SECOND_LANE
	SHA_STATE_IN rax
	vmovdqa	xmm7, xmm1
	vmovdqa	xmm8, xmm2
	OPEN_LANE rdi, 0
	SHA_STATE_IN rax
	jmp	5f

1:	mov	[r15 + ROWS], r8
	mov	[r15 + ROWS + SECOND_LANE], r9
	lea	rbx, [r15 + STAGE]
	OPEN_CHUNKS SECOND_LANE
	STORE_CV
	mov	rbx, r15
	OPEN_CHUNKS 0
	STORE_CV
	mov	ecx, ALL_HALF_ROUNDS
	xor	edi, edi
2:	call	.Ltranspose_pair
	LOAD_CV
	FLAGS_TO_EAX
	call	.Lcompress_pair
	STORE_CV
	lea	rbx, [r15 + STAGE]
	LOAD_CV
	FLAGS_TO_EAX
	call	.Lcompress_pair
	STORE_CV
	mov	rbx, r15
	inc	edi
	cmp	edi, 16
	jb	2b
	STORE_NO_COUNTERS
	call	.Lwords_of_both
	mov	ecx, ALTERNATE_ROUNDS
	mov	edi, 4
	jmp	4f
3:	call	.Lwords_of_parents
4:	mov	eax, PARENT
	call	.Lcompress_pair
	dec	edi
	jnz	3b
	mov	rax, [r15 + OUT]
	STORE_VALUE 0
	mov	rax, [r15 + OUT + SECOND_LANE]
	STORE_VALUE 1
	add	qword ptr [r15 + OUT], 32
	add	qword ptr [r15 + OUT + SECOND_LANE], 32
	add	qword ptr [r15 + COUNTER], 16
	add	qword ptr [r15 + COUNTER + SECOND_LANE], 16
5:	sub	qword ptr [r15 + LEFT], 1
	jnc	1b

	mov	rax, [r15 + LANE]
	mov	rax, [rax + LANE_SHA256]
	SHA_STATE_OUT rax
	vmovdqa	xmm1, xmm7
	vmovdqa	xmm2, xmm8
	mov	rax, [r15 + LANE + SECOND_LANE]
	mov	rax, [rax + LANE_SHA256]
	SHA_STATE_OUT rax
	LEAVE_AND_RETURN
END ah_sha_avx512_dual_groups_pair

FUNCTION ah_sha_avx512_dual_blocks
	ENTER FRAME_BYTES
	vzeroupper
	mov	r15, rsp
	mov	rbx, rsp
	mov	[r15 + LANE], rdi
	lea	r11, [rip + SYMBOL(ah_sha256_ni_k)]
	mov	r9, [rdi + BLOCKS_SHA256_COUNT]
	test	r9, r9
	jz	1f
	mov	rax, [rdi + BLOCKS_SHA256]
	SHA_STATE_IN rax
1:	mov	rdx, [rdi + BLOCKS_BLAKE3_COUNT]
	test	rdx, rdx
	jz	2f
	mov	rax, [rdi + BLOCKS_CV]
	vmovdqu32 xmm16, [rax]
	vmovdqu32 xmm17, [rax + 16]
2:	mov	r8, [rdi + BLOCKS_SHA256_IN]
	mov	rsi, [rdi + BLOCKS_BLAKE3_IN]
	mov	rcx, [rdi + BLOCKS_COUNTER]
	mov	r10d, [rdi + BLOCKS_FIRST_FLAGS]
	mov	r12d, [rdi + BLOCKS_LAST_LENGTH]
	mov	edi, [rdi + BLOCKS_LAST_FLAGS]
	call	.Lrun_blocks
	mov	rdi, [r15 + LANE]
	cmp	qword ptr [rdi + BLOCKS_SHA256_COUNT], 0
	je	3f
	mov	rax, [rdi + BLOCKS_SHA256]
	SHA_STATE_OUT rax
3:	cmp	qword ptr [rdi + BLOCKS_BLAKE3_COUNT], 0
	je	4f
	mov	rax, [rdi + BLOCKS_CV]
	vmovdqu32 [rax], xmm16
	vmovdqu32 [rax + 16], xmm17
4:	LEAVE_AND_RETURN
END ah_sha_avx512_dual_blocks

	BLAKE3_CONSTANTS
	.p2align 6
.Leven:	.long 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
.Lodd:	.long 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
.Lspread: /* n bits of 14, evenly; for 15 the transposition has the other one */
	.word 0, 0x0001, 0x0081, 0x0211, 0x0489, 0x0925, 0x0a95, 0x1555
	.word 0x15ab, 0x16db, 0x1bb7, 0x1def, 0x1fbf, 0x1fff, 0x3fff, 0x3fff
