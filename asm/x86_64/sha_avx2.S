/* BLAKE3 and SHA-256 of one stream in one pass: SHA-NI with AVX2.
 *
 *     void ah_sha_avx2_groups(const ah_lane *lane, size_t groups)      16 KiB each, a chaining value a group
 *     void ah_sha_avx2_eights(const ah_lane *lane, size_t eights)      eight chunks each, a chaining value a chunk
 *     void ah_sha_avx2_quads(const ah_lane *lane, size_t quads)        four chunks
 *     void ah_sha_avx2_pairs(const ah_lane *lane, size_t pairs)        two chunks                              rdi, rsi
 *
 * `lane` is the struct of kernel.h: SHA-256's state at 0, input at 8, the number of the first chunk at 16, output at 24.
 * System V calls. Clobbers the registers that a callee may, all vector registers; upper halves are clean at the end.
 *
 * How it is done. SHA-256 walks through the input alone, block after block; BLAKE3 takes eight chunks of the same input
 * side by side, so after eight chunks both have done the same 8 KiB. `compress` is one BLAKE3 compression of eight lanes
 * and 7 blocks of SHA-256: bursts of BLAKE3, from memory to memory, and between two of them vzeroupper and some steps of
 * SHA-256. vzeroupper costs nothing on Zen 3 and is what allows legacy-SSE instructions between (sha256_ni.h). 16 chunks
 * are 32 compressions, and the tree above them 4 more: 36 * 7 = 252 blocks of SHA-256, and 4 by themselves make the
 * 256 of a group. So the tree, too, is in the shadow.
 * BLAKE3 reads eight streams a KiB apart, four in a page, which no hardware prefetcher follows: of input that comes from
 * memory it waited for every line. So each block of SHA-256 fetches one line, B3_AHEAD ahead.
 * Fewer than eight chunks go by rows (blake3_rows.h), a pair of chunks side by side in the halves of ymm registers; two
 * pairs in turns hide one another's way through memory.
 *
 * To change the schedule: BLOCKS, and BURST_END, which deals the steps out evenly; .error says when it does not come out.
 *
 * Register map: the definitions. xmm0 to xmm6 are SHA-256's, always; ymm9 to ymm15 (by rows: 7 to 15) BLAKE3's, within a
 * burst. rbx is the frame, 64-byte aligned.
 *
 * Where its cycles go: 129 a block of SHA-256, its chain; BLAKE3 of eight lanes alone, by these bursts, would take 450 a
 * compression, and has 903.
 *
 *     CPU                       groups         eights         quads       pairs       SHA-256 alone
 *     AMD Zen 3 (EPYC, SHA-NI)  1.96 (1.00)    1.96 (1.00)    2.14 (.92)  2.64 (.75)  1.96 cycles a byte (ratio)
 *     groups from memory        2.03 (.98); without the fetches 2.30 (.86)
 */
#define S_IN	rsi
#define S_K	rax
#define S_FRAME	rbx
#define S_SAVE	1872
#define S_ABEF	xmm1
#define S_CDGH	xmm2
#define S_W0	xmm3
#define S_W1	xmm4
#define S_W2	xmm5
#define S_W3	xmm6

#define B_IN	r8
#define B_S	r9
#define B_S3	r10
#define B_IN4	r11
#define B_K	rbp
#define B_FLAGS	r15
#define B_FRAME	rbx
#define B_CV	0
#define B_V	256
#define B_M	768
#define B_LO	1280
#define B_HI	1312
#define VALUES	1344		/* 512: chaining values of 16 chunks, then of what is above them */
#define LANE	1856		/* 8: the argument */
#define FRAME	2368

#define R_K	rbp		/* of the pairs; in the same frame */
#define R_FRAME	rbx
#define R_M	r_m		/* a symbol, since two pairs take turns: see PAIR */
#define R_ROWS	1920		/* 2 times 128 */
#define R_D	2176		/* 2 times 96: row d of a chunk's first block, of those in between, of its last */

#define OUT	r12
#define COUNTER	r13
#define COUNT	r14
#define UNIT	rcx

#include "function.h"
#include "sha256_ni.h"
#include "blake3_avx2.h"
#include "blake3_rows.h"

/* SHA-256 blocks in the shadow of which one compression of eight lanes is. */
#define BLOCKS	7

	.macro BURST_END
	vzeroupper
	.if sha_block != fetched
	prefetcht0 [S_IN + 64 * sha_block + B3_AHEAD]
	.set	fetched, sha_block
	.endif
	.set	due, due + 64 * BLOCKS
	SHA_STEPS (due / B3_BURSTS)
	.set	due, due % B3_BURSTS
	.endm

/* One compression of eight lanes, and BLOCKS blocks of SHA-256 from S_IN on, past which it is left. */
	.p2align 6
compress:
	.cfi_startproc
	.set	due, 0
	.set	fetched, -1
	SHA_BEGIN
	B3_COMPRESS
	.if sha_step != 0 || sha_block != BLOCKS
	.error "the schedule does not come out even"
	.endif
	add	S_IN, 64 * BLOCKS
	ret
	.cfi_endproc

/* \blocks (a register) blocks of SHA-256 by itself. */
	.macro SHA_ALONE blocks
	.p2align 5
77:	prefetcht0 [S_IN + B3_AHEAD]
	SHA_BEGIN
	SHA_STEPS 64
	add	S_IN, 64
	dec	\blocks
	jnz	77b
	.endm

/* The chaining values of the eight chunks at B_IN, of which the first has number COUNTER, to \out. */
	.macro EIGHT_CHUNKS out
	mov	B_S, 1024
	mov	B_S3, 3072
	lea	B_IN4, [B_IN + 4096]
	B3_COUNTERS COUNTER, rdx, edx
	B3_IV_TO_CV
	lea	B_FLAGS, [B_K + B3_START]
	vzeroupper
	mov	UNIT, 16
88:	call	compress
	add	B_IN, 64
	add	B_IN4, 64
	lea	B_FLAGS, [B_K + B3_NONE]
	lea	rdx, [B_K + B3_END]
	dec	UNIT
	cmp	UNIT, 1
	cmove	B_FLAGS, rdx
	jae	88b
	B3_STORE \out
	vzeroupper
	add	B_IN, 8 * 1024 - 1024
	add	COUNTER, 8
	.endm

	.macro PROLOGUE
	.irp r, rbp, rbx, r12, r13, r14, r15
	push	\r
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \r, 0
	.endr
	sub	rsp, FRAME + 56		/* 56: room to align; with six registers and the return address, a multiple of 16 */
	.cfi_adjust_cfa_offset FRAME + 56
	lea	rbx, [rsp + 56]
	and	rbx, -64
	.endm

	.macro EPILOGUE
	add	rsp, FRAME + 56
	.cfi_adjust_cfa_offset -(FRAME + 56)
	.irp r, r15, r14, r13, r12, rbx, rbp
	pop	\r
	.cfi_adjust_cfa_offset -8
	.cfi_restore \r
	.endr
	.endm

	.macro ARGUMENTS
	mov	[rbx + LANE], rdi
	mov	COUNT, rsi
	mov	B_IN, [rdi + 8]
	mov	S_IN, B_IN
	mov	COUNTER, [rdi + 16]
	mov	OUT, [rdi + 24]
	mov	rdx, [rdi]
	lea	S_K, [rip + SYMBOL(ah_sha256_ni_k)]
	lea	B_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	SHA_STATE_IN rdx
	.endm

	.macro RESULTS
	mov	rdi, [rbx + LANE]
	mov	rdx, [rdi]
	SHA_STATE_OUT rdx
	.endm

FUNCTION ah_sha_avx2_eights
	test	rsi, rsi
	jz	2f
	PROLOGUE
	ARGUMENTS
1:	EIGHT_CHUNKS OUT
	add	OUT, 8 * 32
	mov	edx, 128 - 16 * BLOCKS
	SHA_ALONE rdx
	dec	COUNT
	jnz	1b
	RESULTS
	EPILOGUE
2:	ret
END ah_sha_avx2_eights

FUNCTION ah_sha_avx2_groups
	test	rsi, rsi
	jz	4f
	PROLOGUE
	ARGUMENTS
1:	lea	rdi, [rbx + VALUES]
2:	EIGHT_CHUNKS rdi
	add	rdi, 8 * 32
	test	COUNTER, 8
	jnz	2b

	/* the tree above 16 chunks: four more compressions, of 8, 4, 2 and 1 parents; what the other lanes hold is old
	   values, and nobody looks at it */
	mov	[rbx + LANE + 8], B_IN
	xor	edx, edx
	lea	rdi, [rbx + VALUES]
	mov	B_IN, rdi
	lea	B_IN4, [rdi + 256]
	mov	B_S, 64
	mov	B_S3, 192
	lea	B_FLAGS, [B_K + B3_PARENT]
	vpxor	xmm7, xmm7, xmm7
	vmovdqa	[rbx + B_LO], ymm7
	vmovdqa	[rbx + B_HI], ymm7
	mov	UNIT, 4
3:	B3_IV_TO_CV
	vzeroupper
	call	compress
	B3_STORE rdi
	vzeroupper
	dec	UNIT
	jnz	3b
	vmovdqu	xmm7, [rdi]
	vmovdqu	xmm8, [rdi + 16]
	vmovdqu	[OUT], xmm7
	vmovdqu	[OUT + 16], xmm8
	add	OUT, 32
	mov	B_IN, [rbx + LANE + 8]
	mov	edx, 256 - 36 * BLOCKS
	SHA_ALONE rdx
	dec	COUNT
	jnz	1b
	RESULTS
	EPILOGUE
4:	ret
END ah_sha_avx2_groups

	/* SHA-256's steps stand between whole rounds here */
	.macro R_SLICE
	.endm

	.macro ROWS_OUT
	vmovdqa	[rbx + r_rows], ymm7
	vmovdqa	[rbx + r_rows + 32], ymm8
	vmovdqa	[rbx + r_rows + 64], ymm9
	vmovdqa	[rbx + r_rows + 96], ymm10
	.endm

	.macro ROWS_IN
	vmovdqa	ymm7, [rbx + r_rows]
	vmovdqa	ymm8, [rbx + r_rows + 32]
	vmovdqa	ymm9, [rbx + r_rows + 64]
	vmovdqa	ymm10, [rbx + r_rows + 96]
	.endm

	/* What follows is about pair \i of chunks. */
	.macro PAIR i
	.set	r_m, 896 * \i
	.set	r_rows, R_ROWS + 128 * \i
	.set	r_d, R_D + 96 * \i
	.set	r_in, 2048 * \i
	.endm

	/* eight of them a pair and block: the message, and seven rounds */
	.macro ROWS_BURST
	vzeroupper
	SHA_STEPS 16
	.endm

	/* rows d: counter, length, flags; a vector for the first block, one for those in between, one for the last */
	.macro ROWS_START
	.irp chunk, 0, 1
	lea	rdx, [COUNTER + \chunk]
	.irp place, 0, 32, 64
	mov	[rbx + r_d + \place + 16 * \chunk], rdx
	mov	dword ptr [rbx + r_d + \place + 16 * \chunk + 8], 64
	.endr
	mov	dword ptr [rbx + r_d + 16 * \chunk + 12], 1
	mov	dword ptr [rbx + r_d + 32 + 16 * \chunk + 12], 0
	mov	dword ptr [rbx + r_d + 64 + 16 * \chunk + 12], 2
	.endr
	vmovdqa	ymm7, [B_K + B3_IV_ROWS]
	vmovdqa	ymm8, [B_K + B3_IV_ROWS + 32]
	vpxor	xmm9, xmm9, xmm9
	vpxor	xmm10, xmm10, xmm10
	ROWS_OUT
	add	COUNTER, 2
	.endm

	.macro ROWS_MESSAGE
	vmovdqu	xmm9, [B_IN + r_in]
	vmovdqu	xmm10, [B_IN + r_in + 16]
	vmovdqu	xmm11, [B_IN + r_in + 32]
	vmovdqu	xmm12, [B_IN + r_in + 48]
	vinserti128 ymm9, ymm9, [B_IN + r_in + 1024], 1
	vinserti128 ymm10, ymm10, [B_IN + r_in + 1024 + 16], 1
	vinserti128 ymm11, ymm11, [B_IN + r_in + 1024 + 32], 1
	vinserti128 ymm12, ymm12, [B_IN + r_in + 1024 + 48], 1
	R_MESSAGE ymm
	ROWS_BURST
	.endm

	/* The chaining values after the block before, to ymm7 and ymm8; at the start of a chunk rows c and d are zero. */
	.macro ROWS_CV
	vmovdqa	ymm7, [rbx + r_rows]
	vmovdqa	ymm8, [rbx + r_rows + 32]
	vpxor	ymm7, ymm7, [rbx + r_rows + 64]
	vpxor	ymm8, ymm8, [rbx + r_rows + 96]
	.endm

	.macro ROWS_ROUND round
	.if \round == 0
	ROWS_CV
	vmovdqa	ymm9, [B_K + B3_IV_ROWS]
	vmovdqa	ymm10, [B_FLAGS + r_d]
	.else
	ROWS_IN
	.endif
	R_ROUND	ymm, \round
	ROWS_OUT
	ROWS_BURST
	.endm

	.macro ROWS_END
	ROWS_CV
	vmovdqu	[OUT], xmm7
	vmovdqu	[OUT + 16], xmm8
	vextracti128 [OUT + 32], ymm7, 1
	vextracti128 [OUT + 48], ymm8, 1
	add	OUT, 64
	.endm

	/* A pair of chunks, or two pairs in turns: what one has stored the other does not wait for. B_FLAGS + r_d is row d. */
	.macro ROWS_FUNCTION name, pairs:vararg
FUNCTION \name
	test	rsi, rsi
	jz	3f
	PROLOGUE
	ARGUMENTS
1:	.set	in_turn, 0
	.irp i, \pairs
	PAIR	\i
	ROWS_START
	.set	in_turn, in_turn + 1
	.endr
	mov	B_FLAGS, rbx
	vzeroupper
	mov	UNIT, 16
	.p2align 6
2:	SHA_BEGIN
	.irp i, \pairs
	PAIR	\i
	ROWS_MESSAGE
	.endr
	.irp round, 0, 1, 2, 3, 4, 5, 6
	.irp i, \pairs
	PAIR	\i
	ROWS_ROUND \round
	.endr
	.endr
	.if sha_step != 0 || sha_block != 2 * in_turn
	.error "the schedule does not come out even"
	.endif
	add	B_IN, 64
	add	S_IN, 128 * in_turn
	lea	B_FLAGS, [rbx + 32]
	lea	rdx, [rbx + 64]
	dec	UNIT
	cmp	UNIT, 1
	cmove	B_FLAGS, rdx
	jae	2b
	.irp i, \pairs
	PAIR	\i
	ROWS_END
	.endr
	vzeroupper
	add	B_IN, 2048 * in_turn - 1024
	dec	COUNT
	jnz	1b
	RESULTS
	EPILOGUE
3:	ret
END \name
	.endm

	ROWS_FUNCTION ah_sha_avx2_pairs, 0
	ROWS_FUNCTION ah_sha_avx2_quads, 0, 1
