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
#define D_SAVE	1408		/* 320 */

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
#define LANES	1344		/* 16: the arguments */
#define NEXT	1360		/* 16: which eight chunks of each stream are next */
#define OUTS	1376		/* 16: where their chaining values go */
#define DISTANCE 1392		/* 8: from the number of a chunk of the first to that of the second */
#define FRAME	1728

#define UNIT	r12
#define COUNTER	r13
#define COUNT	r14

#include "function.h"
#include "sha256_ni_x2.h"
#include "blake3_avx2.h"

/* Blocks of each stream in the shadow of which one compression of eight lanes is: 128 blocks, 16 compressions of the
   first stream's chunks and 16 of the second's. */
#define BLOCKS	4

	.macro BURST_END
	vzeroupper
	.set	due, due + 64 * BLOCKS
	SHA2_STEPS (due / B3_BURSTS)
	.set	due, due % B3_BURSTS
	.endm

	.p2align 6
compress:
	.cfi_startproc
	.set	due, 0
	SHA2_BEGIN
	B3_COMPRESS
	.if sha2_step != 0 || sha2_block != BLOCKS
	.error "the schedule does not come out even"
	.endif
	add	D_IN, 64 * BLOCKS
	add	D_IN2, 64 * BLOCKS
	ret
	.cfi_endproc

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

	/* BLAKE3 of the next eight chunks of stream \i, 0 or 1. */
	.macro EIGHT_CHUNKS i
	mov	B_IN, [rbx + NEXT + 8 * \i]
	lea	B_IN4, [B_IN + 4096]
	B3_COUNTERS COUNTER, rdx, edx
	B3_IV_TO_CV
	lea	B_FLAGS, [B_K + B3_START]
	vzeroupper
	mov	UNIT, 16
1:	call	compress
	add	B_IN, 64
	add	B_IN4, 64
	lea	B_FLAGS, [B_K + B3_NONE]
	lea	rdx, [B_K + B3_END]
	dec	UNIT
	cmp	UNIT, 1
	cmove	B_FLAGS, rdx
	jae	1b
	mov	rdx, [rbx + OUTS + 8 * \i]
	B3_STORE rdx
	vzeroupper
	add	qword ptr [rbx + OUTS + 8 * \i], 8 * 32
	add	qword ptr [rbx + NEXT + 8 * \i], 8 * 1024
	.endm

FUNCTION ah_sha_avx2_eights_x2
	test	rdx, rdx
	jz	3f
	PROLOGUE
	mov	COUNT, rdx
	mov	[rbx + LANES], rdi
	mov	[rbx + LANES + 8], rsi
	mov	rdx, [rdi]
	SHA2_STATE_IN rdx, xmm1, xmm2
	mov	rdx, [rsi]
	SHA2_STATE_IN rdx, xmm5, xmm6
	mov	rdx, [rdi + 24]
	mov	[rbx + OUTS], rdx
	mov	rdx, [rsi + 24]
	mov	[rbx + OUTS + 8], rdx
	mov	COUNTER, [rdi + 16]
	mov	rdx, [rsi + 16]
	sub	rdx, COUNTER
	mov	[rbx + DISTANCE], rdx
	mov	D_IN2, [rsi + 8]
	mov	D_IN, [rdi + 8]
	mov	[rbx + NEXT], D_IN
	mov	[rbx + NEXT + 8], D_IN2
	lea	B_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	mov	B_S, 1024
	mov	B_S3, 3072
2:	EIGHT_CHUNKS 0
	mov	rdi, COUNTER
	add	COUNTER, [rbx + DISTANCE]
	EIGHT_CHUNKS 1
	lea	COUNTER, [rdi + 8]
	dec	COUNT
	jnz	2b
	mov	rdi, [rbx + LANES]
	mov	rdx, [rdi]
	SHA2_STATE_OUT rdx, xmm1, xmm2
	mov	rdi, [rbx + LANES + 8]
	mov	rdx, [rdi]
	SHA2_STATE_OUT rdx, xmm5, xmm6
	EPILOGUE
3:	ret
END ah_sha_avx2_eights_x2
