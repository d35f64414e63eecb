/* BLAKE3 alone, four lanes of SSE4.1.
 *
 *     void ah_blake3_sse41_chunks(const uint8_t *in, size_t fours, uint64_t counter, uint8_t *out)   rdi, rsi, rdx, rcx
 *     void ah_blake3_sse41_parents(const uint8_t *in, size_t fours, uint8_t *out)                    rdi, rsi, rdx
 *
 * blake3_avx2.S with half the lanes and two-operand instructions; see there. Parents may overwrite their input. Assembly,
 * since with 16 registers for 16 words of state a compiler passes half of them through memory, on the critical path: its
 * code took 2.2 cycles a byte. The seventeenth register, for rotations, is word 8's, which waits in SPILL: see
 * blake3_avx2_round.h.
 *
 * System V calls. Clobbers rax, rdx, rsi, rdi, rcx, r8 to r11, xmm0 to xmm15. Frame: M, 16 vectors, the message; LO and
 * HI, the halves of the counters; SPILL, one vector.
 *
 * Register map: xmm0 to xmm15 are the state, words 0 to 15 of four lanes; between two blocks xmm0 to xmm7 are the chaining
 * values and the others serve to transpose the message. The general registers: the definitions.
 */
#define IN	rdi
#define FOURS	rsi
#define COUNTER	rdx
#define OUT	rcx
#define K	rax
#define FLAGS	r8
#define UNIT	r9
#define S	r10
#define S3	r11
#define M	0
#define LO	256
#define HI	272
#define SPILL	288
#define FRAME	304

#include "function.h"
#include "blake3_avx2.h"

	.macro EACH op, r0, r1, r2, r3, s0, s1, s2, s3
	\op	xmm\r0, xmm\s0
	\op	xmm\r1, xmm\s1
	\op	xmm\r2, xmm\s2
	\op	xmm\r3, xmm\s3
	.endm

	.macro MESSAGE m0, m1, m2, m3
	paddd	xmm0, [rsp + M + 16 * \m0]
	paddd	xmm1, [rsp + M + 16 * \m1]
	paddd	xmm2, [rsp + M + 16 * \m2]
	paddd	xmm3, [rsp + M + 16 * \m3]
	.endm

	.macro BYTES mask, r:vararg
	.irp i, \r
	pshufb	xmm\i, [K + \mask]
	.endr
	.endm

	/* Rotations of four vectors. Word 8 goes to SPILL, and its register is the temporary. */
	.macro SHIFTS right, left, r:vararg
	movdqa	[rsp + SPILL], xmm8
	.irp i, \r
	movdqa	xmm8, xmm\i
	psrld	xmm8, \right
	pslld	xmm\i, \left
	por	xmm\i, xmm8
	.endr
	.endm

	/* c += d; word 8 comes from SPILL. */
	.macro ADD_TO_C c0, c1, c2, c3, d0, d1, d2, d3
	ADD_TO_ONE \c0, \d0
	ADD_TO_ONE \c1, \d1
	ADD_TO_ONE \c2, \d2
	ADD_TO_ONE \c3, \d3
	.endm

	.macro ADD_TO_ONE c, d
	.if \c == 8
	movdqa	xmm8, xmm\d
	paddd	xmm8, [rsp + SPILL]
	.else
	paddd	xmm\c, xmm\d
	.endif
	.endm

	/* Four G with rows a = 0 1 2 3; the first message words are added already, y are the second. */
	.macro G4 b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, y0, y1, y2, y3
	EACH	paddd, 0, 1, 2, 3, \b0, \b1, \b2, \b3
	EACH	pxor, \d0, \d1, \d2, \d3, 0, 1, 2, 3
	BYTES	B3_ROT16, \d0, \d1, \d2, \d3
	ADD_TO_C \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	EACH	pxor, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	MESSAGE	\y0, \y1, \y2, \y3
	SHIFTS	12, 20, \b0, \b1, \b2, \b3
	EACH	paddd, 0, 1, 2, 3, \b0, \b1, \b2, \b3
	EACH	pxor, \d0, \d1, \d2, \d3, 0, 1, 2, 3
	BYTES	B3_ROT8, \d0, \d1, \d2, \d3
	ADD_TO_C \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	EACH	pxor, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	SHIFTS	7, 25, \b0, \b1, \b2, \b3
	.endm

	.macro ROUND m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15
	MESSAGE	\m0, \m2, \m4, \m6
	G4	4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \m1, \m3, \m5, \m7
	MESSAGE	\m8, \m10, \m12, \m14
	G4	5, 6, 7, 4, 10, 11, 8, 9, 15, 12, 13, 14, \m9, \m11, \m13, \m15
	.endm

	/* 4x4 words: rows r0, r1, r2, r3 to columns r1, t0, r3, r0. */
	.macro TRANSPOSE r0, r1, r2, r3, t0, t1
	movdqa	xmm\t0, xmm\r0
	punpckldq xmm\t0, xmm\r1
	punpckhdq xmm\r0, xmm\r1
	movdqa	xmm\t1, xmm\r2
	punpckldq xmm\t1, xmm\r3
	punpckhdq xmm\r2, xmm\r3
	movdqa	xmm\r1, xmm\t0
	punpcklqdq xmm\r1, xmm\t1
	punpckhqdq xmm\t0, xmm\t1
	movdqa	xmm\r3, xmm\r0
	punpcklqdq xmm\r3, xmm\r2
	punpckhqdq xmm\r0, xmm\r2
	.endm

	/* One compression of four lanes: the chaining values in xmm0 to xmm7 become the new ones. */
	.macro COMPRESS
	.irp at, 0, 16, 32, 48
	movdqu	xmm8, [IN + \at]
	movdqu	xmm9, [IN + S + \at]
	movdqu	xmm10, [IN + 2 * S + \at]
	movdqu	xmm11, [IN + S3 + \at]
	TRANSPOSE 8, 9, 10, 11, 12, 13
	movdqa	[rsp + M + 4 * \at], xmm9
	movdqa	[rsp + M + 4 * \at + 16], xmm12
	movdqa	[rsp + M + 4 * \at + 32], xmm11
	movdqa	[rsp + M + 4 * \at + 48], xmm8
	.endr
	movdqa	xmm8, [K + B3_IV]
	movdqa	[rsp + SPILL], xmm8
	movdqa	xmm9, [K + B3_IV + 32]
	movdqa	xmm10, [K + B3_IV + 64]
	movdqa	xmm11, [K + B3_IV + 96]
	movdqa	xmm12, [rsp + LO]
	movdqa	xmm13, [rsp + HI]
	movdqa	xmm14, [K + B3_LENGTH]
	movdqa	xmm15, [FLAGS]
	ROUND	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ROUND	2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8
	ROUND	3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1
	ROUND	10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6
	ROUND	12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4
	ROUND	9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7
	ROUND	11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	pxor	xmm0, [rsp + SPILL]
	pxor	xmm1, xmm9
	pxor	xmm2, xmm10
	pxor	xmm3, xmm11
	EACH	pxor, 4, 5, 6, 7, 12, 13, 14, 15
	.endm

	.macro IV
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	movdqa	xmm\i, [K + B3_IV + 32 * \i]
	.endr
	.endm

	.macro STORE
	TRANSPOSE 0, 1, 2, 3, 8, 9
	TRANSPOSE 4, 5, 6, 7, 10, 11
	movdqu	[OUT], xmm1
	movdqu	[OUT + 16], xmm5
	movdqu	[OUT + 32], xmm8
	movdqu	[OUT + 48], xmm10
	movdqu	[OUT + 64], xmm3
	movdqu	[OUT + 80], xmm7
	movdqu	[OUT + 96], xmm0
	movdqu	[OUT + 112], xmm4
	add	OUT, 4 * 32
	.endm

	.macro PROLOGUE stride
	sub	rsp, FRAME + 8			/* with the return address, a multiple of 16 */
	.cfi_adjust_cfa_offset FRAME + 8
	lea	K, [rip + SYMBOL(ah_blake3_avx2_k)]
	mov	S, \stride
	lea	S3, [S + 2 * S]
	.endm

	.macro EPILOGUE
	add	rsp, FRAME + 8
	.cfi_adjust_cfa_offset -(FRAME + 8)
	ret
	.endm

FUNCTION ah_blake3_sse41_chunks
	PROLOGUE 1024
	test	FOURS, FOURS
	jz	3f
1:	.irp i, 0, 1, 2, 3
	lea	r8, [COUNTER + \i]
	mov	[rsp + LO + 4 * \i], r8d
	shr	r8, 32
	mov	[rsp + HI + 4 * \i], r8d
	.endr
	add	COUNTER, 4
	IV
	lea	FLAGS, [K + B3_START]
	mov	UNIT, 16
	.p2align 6
2:	COMPRESS
	add	IN, 64
	lea	FLAGS, [K + B3_NONE]
	dec	UNIT
	cmp	UNIT, 1
	ja	2b
	lea	FLAGS, [K + B3_END]
	je	2b
	STORE
	add	IN, 3 * 1024
	dec	FOURS
	jnz	1b
3:	EPILOGUE
END ah_blake3_sse41_chunks

FUNCTION ah_blake3_sse41_parents
	PROLOGUE 64
	mov	OUT, rdx
	lea	FLAGS, [K + B3_PARENT]
	pxor	xmm0, xmm0
	movdqa	[rsp + LO], xmm0
	movdqa	[rsp + HI], xmm0
	test	FOURS, FOURS
	jz	3f
1:	IV
	COMPRESS
	STORE
	add	IN, 4 * 64
	dec	FOURS
	jnz	1b
3:	EPILOGUE
END ah_blake3_sse41_parents
