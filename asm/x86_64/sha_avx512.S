/* BLAKE3 with AVX-512 in the latency shadow of SHA-256 with SHA-NI, over the same bytes of one stream.
 *
 *	void ah_sha_avx512_dual_chunks(const ah_lane *lane, size_t chunks)
 *	void ah_sha_avx512_dual_groups(const ah_lane *lane, size_t groups)
 *	void ah_sha_avx512_dual_blocks(const ah_blocks *blocks)
 *
 * Contract: native/kernel.h, System V calling convention. Pointers need no alignment; nothing outside of the input is
 * read. No data-dependent branch or address: only counts steer. Needs SHA, AVX-512 F, DQ, VL.
 *
 * Register map: sha_avx512.h.
 * Clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11, flags, k1, xmm0 to xmm6, zmm16 to zmm31; the
 * upper parts of zmm0 to zmm15 are zero afterwards. Stack: 2,880 bytes and the saved registers.
 *
 * The schedule. 16 lanes take 1,024 bytes a compression, which are 16 blocks of SHA-256. Of those, one goes between the
 * loads and shuffles of the transposition and one into each of the 14 half rounds: four rounds (8 instructions), then
 * four vector instructions, and so on. The remaining one of 16, 16 a group, goes into the four compressions that
 * merge the 16 chunks of a group, four blocks in each: then BLAKE3 has no instruction left that is not in the shadow of
 * SHA-256. With n < 16 chunks, n blocks are spread over the half rounds. Where a half round has no block, the form
 * without it runs, which stands aside so that the stitched path is straight.
 *
 * Where the cycles go: arithmetic and models, no measurement. A block of SHA-256 is 32 sha256rnds2 in sequence: 128 cycles
 * where that has a latency of 4 (Zen 4 and 5), 32,768 a group. In that shadow are 56 vector instructions a block, 28 slots
 * of two 512-bit ALUs or 14 of four, beside SHA-256's own 128 instructions, half of which are vector work too. On an
 * Intel core with 512-bit ALUs on ports 0 and 5, SHA-NI wants these as well: 256-bit lanes over three ports may fit better.
 *
 * The straight path of 14 half rounds and the transposition is 15 KiB and 2,700 instructions: within the first-level
 * instruction cache, and within the op cache of Zen 4, not of Ice Lake; there 16 bytes decoded a cycle make about 950
 * cycles of the 2,048 that the chain takes.
 *
 *	LLVM-MCA 16, cycles of 14 half rounds		SHA-256 alone	BLAKE3 alone	stitched
 *	one stream, 14 blocks, model icelake-server		2,269		315	2,269
 *	one stream, 14 blocks, model znver4			1,876		457	2,031
 * It knows no caches, and its tables are not the silicon; other ways to mix the same instructions gave the same.
 *
 * SHA-NI has legacy encodings only. Nothing here writes the upper parts of zmm0 to zmm15, and vzeroupper comes first, for
 * what the caller may have left there; zmm16 to zmm31 do not count for that transition.
 *
 * Seen to run on: an emulator (Bochs 2.7, models corei7_icelake_u and tigerlake, by `make kernel-avx512`), with known
 * answers, against the portable kernel, with guard pages and the register checks. Measured on: no CPU so far.
 */
#include "sha_avx512.h"
#include "blake3_avx512_rows.h"

#define FRAME_BYTES (STAGE + 1024)

/* Offsets in ah_blocks. */
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

#define FOUR_HALF_ROUNDS 0x0489

	/* The hook: a block over the sixteen places. */
	.macro ONE at
	.if \at == 0
	prefetcht1 [S_IN + AHEAD]
	.endif
	SHA_STEPS 4
	.if \at == 15
	add	S_IN, 64
	SHA_BEGIN
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

	PARENTS_SUBROUTINE

	/* SHA-256 alone over r9 blocks, at least one, of the first stream. */
	LOCAL .Lsha256_blocks
1:	prefetcht1 [S_IN + AHEAD]
	SHA_STEPS 64
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
	ROW_CONSTANTS
	PARENTS_CONSTANTS
.Lspread: /* n bits of 14, evenly; for 15 the transposition has the other one */
	.word 0, 0x0001, 0x0081, 0x0211, 0x0489, 0x0925, 0x0a95, 0x1555
	.word 0x15ab, 0x16db, 0x1bb7, 0x1def, 0x1fbf, 0x1fff, 0x3fff, 0x3fff
