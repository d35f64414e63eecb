/* Two streams at once: SHA-NI, two chains interleaved, with eight lanes of AVX2 for BLAKE3 of one and then the other.
 *
 *     void ah_sha256_ni_blocks_x2(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
 *                                 const uint8_t *second_in, size_t blocks)
 *     void ah_sha_avx2_eights_x2(const ah_lane *first, const ah_lane *second, size_t eights)
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
#define D_SAVE	2240		/* 320 */
#define FRAME	2560
#define B_CV	V
#define B_M	M
#define B_LO	COUNTS
#define B_HI	(COUNTS+32)

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

	/* G of stream \i, as in B3_G2 of blake3_avx2.h, but the offsets of the message words are in registers x and y. */
	.macro G i, a, b, c, d, x, y, steps
	.set	v, V + 512 * \i
	.set	m, M + 512 * \i
	vmovdqa	ymm9, [rbx + v + 32 * \b]
	vpaddd	ymm12, ymm9, [rbx + v + 32 * \a]
	vpaddd	ymm12, ymm12, [rbx + \x + m]
	vpxor	ymm11, ymm12, [rbx + v + 32 * \d]
	vpaddd	ymm12, ymm12, [rbx + \y + m]
	vpshufb	ymm11, ymm11, [B_K + B3_ROT16]
	vpaddd	ymm10, ymm11, [rbx + v + 32 * \c]
	vpxor	ymm9, ymm9, ymm10
	B3_ROTATE ymm9, 12
	vpaddd	ymm12, ymm12, ymm9
	vmovdqa	[rbx + v + 32 * \a], ymm12
	vpxor	ymm11, ymm11, ymm12
	vpshufb	ymm11, ymm11, [B_K + B3_ROT8]
	vmovdqa	[rbx + v + 32 * \d], ymm11
	vpaddd	ymm10, ymm10, ymm11
	vmovdqa	[rbx + v + 32 * \c], ymm10
	vpxor	ymm9, ymm9, ymm10
	B3_ROTATE ymm9, 7
	vmovdqa	[rbx + v + 32 * \b], ymm9
	vzeroupper
	SHA2_STEPS \steps
	.endm

	/* The same two G of both streams, in turns: what one has stored the other does not wait for. */
	.macro G2_BOTH at, a, b, c, d, e, f, g, h
	mov	X0d, [ORDER + \at]
	mov	Y0d, [ORDER + \at + 4]
	mov	X1d, [ORDER + \at + 8]
	mov	Y1d, [ORDER + \at + 12]
	G	0, \a, \b, \c, \d, X0, Y0, 4
	G	1, \a, \b, \c, \d, X0, Y0, 4
	G	0, \e, \f, \g, \h, X1, Y1, 4
	G	1, \e, \f, \g, \h, X1, Y1, 4
	.endm

	/* The next block of stream \i: its message, and the second half of its state. */
	.macro LOAD i
	mov	B_IN, [rbx + NEXT + 8 * \i]
	lea	B_IN4, [B_IN + 4096]
	add	qword ptr [rbx + NEXT + 8 * \i], 64
	LOAD4	\i, 0
	LOAD4	\i, 16
	BURST_END
	LOAD4	\i, 32
	LOAD4	\i, 48
	BURST_END
	.irp w, 0, 1, 2, 3
	vmovdqa	ymm9, [B_K + B3_IV + 32 * \w]
	vmovdqa	[rbx + V + 512 * \i + 256 + 32 * \w], ymm9
	.endr
	vmovdqa	ymm9, [rbx + COUNTS + 64 * \i]
	vmovdqa	ymm10, [rbx + COUNTS + 64 * \i + 32]
	vmovdqa	ymm11, [B_K + B3_LENGTH]
	vmovdqa	ymm12, [FLAGS]
	vmovdqa	[rbx + V + 512 * \i + 384], ymm9
	vmovdqa	[rbx + V + 512 * \i + 416], ymm10
	vmovdqa	[rbx + V + 512 * \i + 448], ymm11
	vmovdqa	[rbx + V + 512 * \i + 480], ymm12
	BURST_END
	.endm

	.macro LOAD4 i, offset
	B3_LOAD4 \offset, 9, 10, 11, 12, 13, 14, (512 * \i)
	.endm

	/* The new chaining values of stream \i. */
	.macro FINISH_XOR i
	.irp w, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm9, [rbx + V + 512 * \i + 32 * \w]
	vpxor	ymm9, ymm9, [rbx + V + 512 * \i + 256 + 32 * \w]
	vmovdqa	[rbx + V + 512 * \i + 32 * \w], ymm9
	.endr
	.endm

	.macro FINISH i
	FINISH_XOR \i
	BURST_END
	.endm

	/* The counters of the next eight chunks of stream \i, and BLAKE3's IV. */
	.macro START i
	mov	rdi, [rbx + COUNTERS + 8 * \i]
	add	qword ptr [rbx + COUNTERS + 8 * \i], 8
	B3_COUNTERS rdi, rdx, edx, (64 * \i)
	B3_IV_TO_CV (512 * \i)
	vpxor	xmm9, xmm9, xmm9	/* the first FINISH changes nothing */
	.irp w, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	[rbx + V + 512 * \i + 256 + 32 * \w], ymm9
	.endr
	.endm

	.macro STORE i
	mov	rdx, [rbx + OUTS + 8 * \i]
	add	qword ptr [rbx + OUTS + 8 * \i], 8 * 32
	add	qword ptr [rbx + NEXT + 8 * \i], 7 * 1024
	B3_STORE rdx, (512 * \i)
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
2:	SHA2_BEGIN
	FINISH	0
	FINISH	1
	LOAD	0
	LOAD	1
	add	D_IN, 64
	add	D_IN2, 64
	lea	ORDER, [B_K + B3_ORDER]
	.p2align 6
3:	SHA2_BEGIN
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
	FINISH_XOR 0
	FINISH_XOR 1
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
