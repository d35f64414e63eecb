/* BLAKE3 with AVX-512 in the latency shadow of SHA-256 with SHA-NI, over the same bytes of each of two streams at once.
 *
 *	void ah_sha_avx512_dual_groups_pair(const ah_lane *first, const ah_lane *second, size_t groups)
 *
 * Contract: native/kernel.h, System V calling convention. Pointers need no alignment; nothing outside of the input is
 * read. No data-dependent branch or address: only counts steer. Needs SHA, AVX-512 F, DQ, VL.
 *
 * Register map: sha_avx512.h, and besides
 *	xmm7, xmm8  second stream: a b e f, c d g h			r9         its input
 *	xmm9..12    its message words					rbx        the frame of the stream at work
 *	xmm13..14   scratch
 * Clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11, flags, k1, xmm0 to xmm14, zmm16 to zmm31; the upper
 * parts of zmm0 to zmm15 are zero afterwards. Stack: 3,520 bytes and the saved registers.
 *
 * The schedule. Four rounds of both streams, instruction by instruction, stand between every eight vector instructions: a
 * round of BLAKE3 covers a block of each stream. Both transpositions come first and share one block of each; then the
 * 14 half rounds of one stream's chunks and of the other's take 7 blocks of each; so 15 a step, as with one stream
 * (sha_avx512.S), and the four merging compressions, which hold the nodes of both trees, take 4.
 *
 * Where the cycles go: arithmetic and models, no measurement. The bound is the throughput of sha256rnds2: one in 2 cycles
 * gives 128 cycles for a block of each, beside 112 vector instructions. On Zen 4, where a 512-bit operation takes two of
 * four 256-bit slots, that is nearly full. (On Zen 3 one sha256rnds2 a cycle is possible, and the ports are what is full:
 * sha_avx2_x2.S.) The straight path is 3,200 instructions; for caches and transitions see sha_avx512.S.
 *
 *	LLVM-MCA 16, cycles of 14 half rounds		SHA-256 alone	BLAKE3 alone	stitched
 *	7 blocks of each stream, model icelake-server		1,135		315	1,135
 *	7 blocks of each stream, model znver4			1,688		457	2,027
 *
 * Seen to run on: an emulator (Bochs 2.7, models corei7_icelake_u and tigerlake, by `make kernel-avx512`), with known
 * answers, against the portable kernel, with guard pages and the register checks. Measured on: no CPU so far.
 */
#include "sha_avx512.h"

#define PAIR_FRAME_BYTES (STAGE + STREAM_BYTES)
#define ALTERNATE_ROUNDS 0x1111	/* bit 2r for round r */

	/* ---- Hooks. */

	/* Four rounds of both streams. \a0 is W of the quad in the first stream, \a1 the place of the next one's, \a3 the
	 * last one's; \b0, \b1, \b3 likewise in the second. */
	.macro PAIR_QUAD_WITH quad, a0, a1, a3, b0, b1, b3
	.if \quad == 0
	prefetcht1 [r8 + AHEAD]
	prefetcht1 [r9 + AHEAD]
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

	/* The first half of a block of each over the sixteen places, or the second. */
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

	/* ---- Subroutines. zmm16..23: the chaining values; the message at rbx; eax: flags; ecx: where SHA-256 goes. */

	LOCAL .Lcompress_pair
	OPEN_COMPRESSION
	HALF_ROUNDS PAIRED
	CLOSE_COMPRESSION
	ret
	HALF_ROUNDS PAIR_ASIDE
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

	PARENTS_SUBROUTINE

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

	BLAKE3_CONSTANTS
	PARENTS_CONSTANTS
