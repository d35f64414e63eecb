/* Short inputs: BLAKE3's compression by rows, and SHA-256 in its shadow.
 *
 *     void ah_sha_avx_blocks(const ah_blocks *blocks)
 *     void ah_avx_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length, uint64_t counter,
 *                          uint32_t flags, uint32_t out[8])
 */
#define S_IN	rsi
#define S_K	rax
#define S_FRAME	rbx
#define S_SAVE	896
#define S_ABEF	xmm1
#define S_CDGH	xmm2
#define S_W0	xmm3
#define S_W1	xmm4
#define S_W2	xmm5
#define S_W3	xmm6

#define R_IN	r8
#define R_K	r9
#define R_FRAME	rbx
#define R_M	0
#define R_D	928		/* 16: row d of the next block */
#define COUNT	944		/* 8: what the loop still has to do */
#define FRAME	960

#define CV	r10
#define BLOCKS	rdi
#define SHA_LEFT r11
#define LEFT	rcx

#include "function.h"
#include "sha256_ni.h"
#include "blake3_avx2.h"
#include "blake3_rows.h"

	.macro R_BURST p, round
	.endm

	/* 64 steps in 70 slices, none in the first ones: those of the message are still to come when they are decoded */
	.macro R_SLICE
	.if stitched
	.set	due, due + 64
	SHA_STEPS (due / 70)
	.set	due, due % 70
	.endif
	.endm

	/* The chaining value is in xmm7 and xmm8, row d in xmm10; the new chaining value is left there. */
	.macro R_COMPRESS
	vmovdqa	xmm9, [R_K + B3_IV_ROWS]
	R_ROUNDS xmm
	vpxor	xmm7, xmm7, xmm9
	vpxor	xmm8, xmm8, xmm10
	.endm

	.macro R_LOAD_BLOCK
	vmovdqu	xmm7, [R_IN]
	vmovdqu	xmm8, [R_IN + 16]
	vmovdqu	xmm9, [R_IN + 32]
	vmovdqu	xmm10, [R_IN + 48]
	.endm

	/* Blocks of BLAKE3, with as many of SHA-256 if `stitched`: [rbx + COUNT] of them, of LEFT. */
	.macro R_LOOP
	.p2align 5
66:	R_LOAD_BLOCK
	R_MESSAGE xmm
	cmp	LEFT, 1
	jne	67f
	mov	edx, [BLOCKS + 64]
	mov	[rbx + R_D + 8], edx
	mov	edx, [BLOCKS + 60]
	or	[rbx + R_D + 12], edx
67:	vmovq	xmm10, [rbx + R_D]
	vpinsrq	xmm10, xmm10, [rbx + R_D + 8], 1
	vmovdqu	xmm7, [CV]
	vmovdqu	xmm8, [CV + 16]
	.set	due, 0
	SHA_BEGIN
	R_COMPRESS
	vmovdqu	[CV], xmm7
	vmovdqu	[CV + 16], xmm8
	mov	dword ptr [rbx + R_D + 12], 0
	add	R_IN, 64
	.if stitched
	add	S_IN, 64
	.endif
	dec	LEFT
	dec	qword ptr [rbx + COUNT]
	jnz	66b
	.endm

	.macro PROLOGUE
	push	rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	sub	rsp, FRAME + 32		/* room to align */
	.cfi_adjust_cfa_offset FRAME + 32
	lea	rbx, [rsp + 31]
	and	rbx, -32
	.endm

	.macro EPILOGUE
	add	rsp, FRAME + 32
	.cfi_adjust_cfa_offset -(FRAME + 32)
	pop	rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	.endm

FUNCTION ah_sha_avx_blocks
	PROLOGUE
	mov	rdx, [BLOCKS]
	mov	S_IN, [BLOCKS + 8]
	mov	SHA_LEFT, [BLOCKS + 16]
	mov	CV, [BLOCKS + 24]
	mov	R_IN, [BLOCKS + 32]
	mov	LEFT, [BLOCKS + 40]
	lea	S_K, [rip + SYMBOL(ah_sha256_ni_k)]
	lea	R_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	SHA_STATE_IN rdx
	mov	rdx, [BLOCKS + 48]
	mov	[rbx + R_D], rdx
	mov	dword ptr [rbx + R_D + 8], 64
	mov	edx, [BLOCKS + 56]
	mov	[rbx + R_D + 12], edx

	mov	rdx, LEFT
	cmp	rdx, SHA_LEFT
	cmova	rdx, SHA_LEFT
	sub	SHA_LEFT, rdx
	test	rdx, rdx
	jz	1f
	mov	[rbx + COUNT], rdx
	.set	stitched, 1
	R_LOOP
	.if sha_step != 0 || sha_block != 1
	.error "the schedule does not come out even"
	.endif
1:	test	SHA_LEFT, SHA_LEFT
	jz	3f
	.p2align 5
2:	SHA_BEGIN
	SHA_STEPS 64
	add	S_IN, 64
	dec	SHA_LEFT
	jnz	2b
3:	mov	rdx, [BLOCKS]
	SHA_STATE_OUT rdx
	test	LEFT, LEFT
	jz	4f
	mov	[rbx + COUNT], LEFT
	.set	stitched, 0
	R_LOOP
4:	EPILOGUE
	ret
END ah_sha_avx_blocks

FUNCTION ah_avx_compress
	PROLOGUE
	mov	eax, edx
	shl	r8, 32
	or	rax, r8
	vmovq	xmm0, rcx
	vpinsrq	xmm0, xmm0, rax, 1
	vmovdqu	xmm7, [rsi]
	vmovdqu	xmm8, [rsi + 16]
	vmovdqu	xmm9, [rsi + 32]
	vmovdqu	xmm10, [rsi + 48]
	mov	r8, r9
	lea	R_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	R_MESSAGE xmm
	vmovdqu	xmm7, [rdi]
	vmovdqu	xmm8, [rdi + 16]
	vmovdqa	xmm10, xmm0
	.set	stitched, 0
	R_COMPRESS
	vmovdqu	[r8], xmm7
	vmovdqu	[r8 + 16], xmm8
	EPILOGUE
	ret
END ah_avx_compress
