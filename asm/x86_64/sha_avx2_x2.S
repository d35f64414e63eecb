/* Two streams at once: SHA-NI, two chains interleaved, with eight lanes of AVX2 for BLAKE3 of both.
 *
 *     void ah_sha256_ni_blocks_x2(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
 *                                 const uint8_t *second_in, size_t blocks)                    rdi, rsi, rdx, rcx, r8
 *     void ah_sha_avx2_eights_x2(const ah_lane *first, const ah_lane *second, size_t eights)  rdi, rsi, rdx
 *         eight chunks of each stream, a chaining value a chunk
 *
 * System V calls. Clobbers the registers that a callee may, all vector registers; upper halves are clean at the end.
 *
 * How it is done. As in sha_avx2.S, in bursts with vzeroupper between, but both streams take turns, two G of the first,
 * the same two of the second: what one has stored, the other does not wait for. The seven rounds are a loop, so that the
 * code (8 KiB) stays in the cache of decoded instructions; which message words a round takes is read from a table of
 * offsets into general registers, which idle.
 * A turn of the loop is one round of both streams and one block of each for SHA-256; loading the message is an eighth.
 * Each block fetches a line of both inputs ahead of time: without, input from memory takes 4.2 cycles a byte of each.
 *
 * Register map: the definitions. xmm0 to xmm8 are SHA-256's (sha256_ni_x2.h), ymm9 to ymm15 BLAKE3's within a burst.
 *
 * Where its cycles go. Two chains of sha256rnds2 alone: 129 a block of each, the latency of one. With BLAKE3 the bound
 * is the vector ports: a block of each is 2 * 164 operations of SHA-256 (msg2 is four, msg1 two) and 2 * 139 of
 * BLAKE3, 606, so on four ports 151 cycles at least; 292 of them (rnds2, shifts, shuffles, half of msg1 and msg2) have
 * two ports only, so 146. Those ports do not get filled: the same 606 operations, independent of one another, without
 * any load or store, take 174: a port is chosen, it seems, before it is known which will be free. Measured are 190.
 * Neither decoding nor vzeroupper counts (64 nops more a block of each: 3 cycles), nor the order of SHA-256's steps
 * (none of four orders was better).
 * Dropped: whole compressions of one stream and then of the other (264); one G a burst, with four registers for it and
 * all message words of SHA-256 in the others (195); half a G a burst (193, and more stores: one a cycle is all there are);
 * the upper words + constants through memory instead of a shuffle (202); vpmulld for left shifts (192 to 195).
 *
 *     CPU                       SHA-256 of both    both functions of both    one stream at a time
 *     AMD Zen 3 (EPYC, SHA-NI)  0.99               1.49                      1.96    cycles a byte, in sum
 *     from memory               1.03               1.60                      2.03
 */
#define D_IN	rsi
#define D_IN2	rcx
#define D_K	rax
#define D_FRAME	rbx

#define B_S	r9
#define B_S3	r10
#define B_IN4	r11
#define B_IN	r8
#define B_K	rbp
#define B_FRAME	rbx
#define V	0		/* 2 times 16 vectors: the states. A stream's first eight are its chaining values */
#define M	1024		/* 2 times 16 vectors: the messages, 1024 after the states */
#define COUNTS	2048		/* 2 times 2 vectors: the counters' low and high halves */
#define LANES	2176		/* 16: the arguments */
#define NEXT	2192		/* 16: which blocks of the two streams are next */
#define OUTS	2208		/* 16: where their chaining values go */
#define COUNTERS 2224		/* 16: the numbers of their next chunks */
#define D_SAVE	2240		/* 192 */
#define FRAME	2432
#define B_CV	b_v		/* symbols, since two streams take turns: see STREAM */
#define B_V	b_v
#define B_M	b_m
#define B_LO	b_lo
#define B_HI	(b_lo+32)
#define B_WORD(x) B_FRAME + x + B_M

#define FLAGS	r15		/* 32 bytes: the flags of eight lanes */
#define UNIT	r12
#define ORDER	r13		/* the message words of this round, 16 offsets of 4 bytes */
#define COUNT	r14
#define X0	rdx		/* offsets of message words in M, of the two G at hand */
#define X0d	edx
#define Y0	rdi
#define Y0d	edi
#define X1	r8
#define X1d	r8d
#define Y1	r11
#define Y1d	r11d

#include "function.h"
#include "sha256_ni_x2.h"
#include "blake3_avx2.h"

	/* Between two bursts of BLAKE3: 8 steps of SHA-256, so that 8 bursts are a block of each stream. */
	.macro BURST_END
	vzeroupper
	SHA2_STEPS 8
	.endm

	/* The lines that both streams will want, one a block of SHA-256. */
	.macro FETCH
	prefetcht0 [D_IN + B3_AHEAD]
	prefetcht0 [D_IN2 + B3_AHEAD]
	.endm

	.macro PROLOGUE
	.irp r, rbp, rbx, r12, r13, r14, r15
	push	\r
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \r, 0
	.endr
	sub	rsp, FRAME + 56
	.cfi_adjust_cfa_offset FRAME + 56
	lea	rbx, [rsp + 56]
	and	rbx, -64
	lea	D_K, [rip + SYMBOL(ah_sha256_ni_k)]
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

FUNCTION ah_sha256_ni_blocks_x2
	test	r8, r8
	jz	2f
	PROLOGUE
	SHA2_STATE_IN rdi, xmm1, xmm2
	SHA2_STATE_IN rdx, xmm5, xmm6
	.p2align 5
1:	SHA2_BEGIN
	SHA2_STEPS 64
	add	D_IN, 64
	add	D_IN2, 64
	dec	r8
	jnz	1b
	SHA2_STATE_OUT rdi, xmm1, xmm2
	SHA2_STATE_OUT rdx, xmm5, xmm6
	EPILOGUE
2:	ret
END ah_sha256_ni_blocks_x2

	/* What follows is about stream \i's part of the frame. */
	.macro STREAM i
	.set	b_v, V + 512 * \i
	.set	b_m, M + 512 * \i
	.set	b_lo, COUNTS + 64 * \i
	.endm

	/* Two G of each stream: what one has stored the other does not wait for. \at is their message words' place in ORDER. */
	.macro G2_BOTH at, a, b, c, d, e, f, g, h
	mov	X0d, [ORDER + \at]
	mov	Y0d, [ORDER + \at + 4]
	mov	X1d, [ORDER + \at + 8]
	mov	Y1d, [ORDER + \at + 12]
	STREAM	0
	B3_G2V	\a, \b, \c, \d, X0, Y0, \e, \f, \g, \h, X1, Y1
	STREAM	1
	B3_G2V	\a, \b, \c, \d, X0, Y0, \e, \f, \g, \h, X1, Y1
	.endm

	/* The next block of stream \i: its message, and the second half of its state. */
	.macro LOAD i
	STREAM	\i
	mov	B_IN, [rbx + NEXT + 8 * \i]
	lea	B_IN4, [B_IN + 4096]
	add	qword ptr [rbx + NEXT + 8 * \i], 64
	B3_LOAD
	.irp w, 0, 1, 2, 3
	vmovdqa	ymm9, [B_K + B3_IV + 32 * \w]
	vmovdqa	[rbx + B_V + 256 + 32 * \w], ymm9
	.endr
	vmovdqa	ymm9, [rbx + B_LO]
	vmovdqa	ymm10, [rbx + B_HI]
	vmovdqa	ymm11, [B_K + B3_LENGTH]
	vmovdqa	ymm12, [FLAGS]
	vmovdqa	[rbx + B_V + 384], ymm9
	vmovdqa	[rbx + B_V + 416], ymm10
	vmovdqa	[rbx + B_V + 448], ymm11
	vmovdqa	[rbx + B_V + 480], ymm12
	BURST_END
	.endm

	/* The new chaining values of stream \i. */
	.macro FINISH i
	STREAM	\i
	B3_FINISH
	BURST_END
	.endm

	/* The counters of the next eight chunks of stream \i, and BLAKE3's IV. */
	.macro START i
	STREAM	\i
	mov	rdi, [rbx + COUNTERS + 8 * \i]
	add	qword ptr [rbx + COUNTERS + 8 * \i], 8
	B3_COUNTERS rdi, rdx, edx
	B3_IV_TO_CV
	vpxor	xmm9, xmm9, xmm9	/* the first FINISH changes nothing */
	.irp w, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	[rbx + B_V + 256 + 32 * \w], ymm9
	.endr
	.endm

	.macro STORE i
	STREAM	\i
	B3_FINISH
	mov	rdx, [rbx + OUTS + 8 * \i]
	add	qword ptr [rbx + OUTS + 8 * \i], 8 * 32
	add	qword ptr [rbx + NEXT + 8 * \i], 7 * 1024
	B3_STORE rdx
	.endm

	.macro ARGUMENT i, lane, abef, cdgh
	mov	[rbx + LANES + 8 * \i], \lane
	mov	rdx, [\lane]
	SHA2_STATE_IN rdx, \abef, \cdgh
	mov	rdx, [\lane + 8]
	mov	[rbx + NEXT + 8 * \i], rdx
	mov	rdx, [\lane + 16]
	mov	[rbx + COUNTERS + 8 * \i], rdx
	mov	rdx, [\lane + 24]
	mov	[rbx + OUTS + 8 * \i], rdx
	.endm

FUNCTION ah_sha_avx2_eights_x2
	test	rdx, rdx
	jz	4f
	PROLOGUE
	mov	COUNT, rdx
	ARGUMENT 0, rdi, xmm1, xmm2
	ARGUMENT 1, rsi, xmm5, xmm6
	mov	D_IN, [rbx + NEXT]
	mov	D_IN2, [rbx + NEXT + 8]
	lea	B_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	mov	B_S, 1024
	mov	B_S3, 3072
1:	START	0
	START	1
	vzeroupper
	lea	FLAGS, [B_K + B3_START]
	mov	UNIT, 16
	/* a block of each of 16 chunks; eight blocks of SHA-256 of each stream */
	.p2align 6
2:	FETCH
	SHA2_BEGIN
	FINISH	0
	FINISH	1
	LOAD	0
	LOAD	1
	add	D_IN, 64
	add	D_IN2, 64
	lea	ORDER, [B_K + B3_ORDER]
	.p2align 6
3:	FETCH
	SHA2_BEGIN
	G2_BOTH	0, 0, 4, 8, 12, 1, 5, 9, 13
	G2_BOTH	16, 2, 6, 10, 14, 3, 7, 11, 15
	G2_BOTH	32, 0, 5, 10, 15, 1, 6, 11, 12
	G2_BOTH	48, 2, 7, 8, 13, 3, 4, 9, 14
	.if sha2_step != 0 || sha2_block != 1
	.error "the schedule does not come out even"
	.endif
	add	D_IN, 64
	add	D_IN2, 64
	add	ORDER, 64
	lea	rdx, [B_K + B3_ORDER + 7 * 64]
	cmp	ORDER, rdx
	jne	3b
	lea	FLAGS, [B_K + B3_NONE]
	lea	rdx, [B_K + B3_END]
	dec	UNIT
	cmp	UNIT, 1
	cmove	FLAGS, rdx
	jae	2b
	STORE	0
	STORE	1
	vzeroupper
	dec	COUNT
	jnz	1b
	mov	rdi, [rbx + LANES]
	mov	rdx, [rdi]
	SHA2_STATE_OUT rdx, xmm1, xmm2
	mov	rdi, [rbx + LANES + 8]
	mov	rdx, [rdi]
	SHA2_STATE_OUT rdx, xmm5, xmm6
	EPILOGUE
4:	ret
END ah_sha_avx2_eights_x2
