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
#define R_D	928		/* 48: rows d */
#define FRAME	992

#define CV	r10
#define BLOCKS	rdi
#define D	rbp		/* row d of the next block */
#define COUNT	r12		/* what the loop still has to do */
#define COUNTd	r12d
#define SHA_LEFT r11
#define LEFT	rcx

#include "function.h"
#include "sha256_ni.h"
#include "blake3_avx2.h"
#include "blake3_rows.h"

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
	.irp round, 0, 1, 2, 3, 4, 5, 6
	R_ROUND	xmm, \round
	.endr
	vpxor	xmm7, xmm7, xmm9
	vpxor	xmm8, xmm8, xmm10
	.endm

	.macro R_LOAD_BLOCK at
	vmovdqu	xmm9, [\at]
	vmovdqu	xmm10, [\at + 16]
	vmovdqu	xmm11, [\at + 32]
	vmovdqu	xmm12, [\at + 48]
	.endm

	/* Blocks of BLAKE3, with as many of SHA-256 if `stitched`: COUNT of them, of LEFT. */
	.macro R_LOOP
	.p2align 5
66:	R_LOAD_BLOCK R_IN
	R_MESSAGE xmm
	lea	rdx, [rbx + R_D + 16]
	cmp	LEFT, 1
	cmove	D, rdx
	vmovdqa	xmm10, [D]
	.set	due, 0
	SHA_BEGIN
	R_COMPRESS
	lea	D, [rbx + R_D + 32]
	add	R_IN, 64
	.if stitched
	add	S_IN, 64
	.endif
	dec	LEFT
	dec	COUNT
	jnz	66b
	.endm

	.macro PROLOGUE
	.irp r, rbx, rbp, r12
	push	\r
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \r, 0
	.endr
	sub	rsp, FRAME + 32		/* room to align */
	.cfi_adjust_cfa_offset FRAME + 32
	lea	rbx, [rsp + 31]
	and	rbx, -32
	.endm

	.macro EPILOGUE
	add	rsp, FRAME + 32
	.cfi_adjust_cfa_offset -(FRAME + 32)
	.irp r, r12, rbp, rbx
	pop	\r
	.cfi_adjust_cfa_offset -8
	.cfi_restore \r
	.endr
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
	/* rows d: of the first block, of the last one, of those in between; an only block is a last one */
	mov	rdx, [BLOCKS + 48]
	mov	[rbx + R_D], rdx
	mov	[rbx + R_D + 16], rdx
	mov	[rbx + R_D + 32], rdx
	mov	edx, [BLOCKS + 56]
	mov	COUNT, rdx
	shl	COUNT, 32
	add	COUNT, 64
	mov	[rbx + R_D + 8], COUNT
	xor	COUNTd, COUNTd
	cmp	LEFT, 1
	cmovne	edx, COUNTd
	or	edx, [BLOCKS + 60]
	mov	COUNTd, [BLOCKS + 64]
	shl	rdx, 32
	or	rdx, COUNT
	mov	[rbx + R_D + 24], rdx
	mov	qword ptr [rbx + R_D + 40], 64
	lea	D, [rbx + R_D]
	vmovdqu	xmm7, [CV]
	vmovdqu	xmm8, [CV + 16]

	mov	COUNT, LEFT
	cmp	COUNT, SHA_LEFT
	cmova	COUNT, SHA_LEFT
	sub	SHA_LEFT, COUNT
	test	COUNT, COUNT
	jz	1f
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
	mov	COUNT, LEFT
	.set	stitched, 0
	R_LOOP
4:	vmovdqu	[CV], xmm7
	vmovdqu	[CV + 16], xmm8
	EPILOGUE
	ret
END ah_sha_avx_blocks

FUNCTION ah_avx_compress
	PROLOGUE
	mov	eax, edx
	shl	r8, 32
	or	rax, r8
	vmovq	xmm0, rcx
	vpinsrq	xmm0, xmm0, rax, 1
	R_LOAD_BLOCK rsi
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
