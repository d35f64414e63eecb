/* BLAKE3 alone, eight lanes of AVX2.
 *
 *     void ah_blake3_avx2_chunks(const uint8_t *in, size_t eights, uint64_t counter, uint8_t *out, size_t last)
 *     void ah_blake3_avx2_parents(const uint8_t *in, size_t eights, uint8_t *out, size_t last)
 *
 * `eights` times eight chunks (parents), then `last` more: 0, or 4 to 7. Those are taken as eight that overlap: lanes
 * 0 to 3 are the first four of them, lanes 4 to 7 the last four, so nothing outside of the input is read. A lane that
 * is computed twice costs nothing: eight lanes take the time of one. Parents may overwrite their input: eight are
 * read before the first is written, and written to the place of what was read.
 *
 * System V calls. Needs AVX2. Clobbers all general registers that a callee may, and all vector registers. Their upper
 * halves are left clean.
 *
 * Register map: ymm0 to ymm15 are the state, words 0 to 15 of eight lanes; between two blocks ymm0 to ymm7 are the
 * chaining values and the others serve to transpose the message, which lies in the frame. The general registers: see
 * the definitions. Frame: B_M, 16 vectors, the message; B_LO and B_HI, the halves of the counters; SPILL, one vector.
 *
 * Where its cycles go: a compression is 56 G of 18 instructions, 16 loads, 16 inserts, 32 shuffles, 16 stores, 8
 * exclusive ors: 1,100 for eight blocks. A core that executes three a cycle takes 0.72 cycles a byte, and that is
 * about what comes out on Zen 3 (shifts and shuffles are 450 of them and have two of its four ports). The rounds are
 * blake3_avx2_round.h's, which says what SPILL is for.
 *
 * Eight chunks are eight streams of 1 KiB, and a page ends every half of them, so no core's own prefetching keeps up:
 * the same blocks of the next eight chunks are asked for, which from 8 MiB on is worth a third.
 *
 *     CPU                       cycles a byte, 256 KiB    8 MiB
 *     AMD Zen 3 (EPYC)          0.72                      0.83
 */
#define B_IN	rdi
#define B_S	r9
#define B_S3	r10
#define B_IN4	r11
#define B_K	rax
#define B_FLAGS	r8
#define B_FRAME	rsp
#define B_CV	0
#define B_V	0
#define B_M	0
#define B_LO	512
#define B_HI	544
#define SPILL	rsp + 576
#define FRAME	608
#define OUT	rcx
#define COUNTER	rdx
#define EIGHTS	rsi
#define UNIT	rbx
#define LAST	r12
#define OUT4	r13

#include "function.h"
#include "blake3_avx2.h"
#include "blake3_avx2_round.h"

	.macro MESSAGE r0, r1, r2, r3, m0, m1, m2, m3
	vpaddd	ymm\r0, ymm\r0, [rsp + B_M + 32 * \m0]
	vpaddd	ymm\r1, ymm\r1, [rsp + B_M + 32 * \m1]
	vpaddd	ymm\r2, ymm\r2, [rsp + B_M + 32 * \m2]
	vpaddd	ymm\r3, ymm\r3, [rsp + B_M + 32 * \m3]
	.endm

	.macro SLICE	/* nothing runs beside it */
	.endm

	/* One compression of eight lanes: the chaining values in ymm0 to ymm7 become the new ones. */
	.macro COMPRESS
	LOAD4	0
	LOAD4	16
	LOAD4	32
	LOAD4	48
	vmovdqa	ymm8, [B_K + B3_IV]
	vmovdqa	[SPILL], ymm8
	vmovdqa	ymm9, [B_K + B3_IV + 32]
	vmovdqa	ymm10, [B_K + B3_IV + 64]
	vmovdqa	ymm11, [B_K + B3_IV + 96]
	vmovdqa	ymm12, [rsp + B_LO]
	vmovdqa	ymm13, [rsp + B_HI]
	vmovdqa	ymm14, [B_K + B3_LENGTH]
	vmovdqa	ymm15, [B_FLAGS]
	ROUND	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ROUND	2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8
	ROUND	3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1
	ROUND	10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6
	ROUND	12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4
	ROUND	9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7
	ROUND	11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	vpxor	ymm0, ymm0, [SPILL]
	vpxor	ymm1, ymm1, ymm9
	vpxor	ymm2, ymm2, ymm10
	vpxor	ymm3, ymm3, ymm11
	EACH	vpxor, 4, 5, 6, 7, 12, 13, 14, 15
	.endm

	.macro LOAD4 offset
	B3_LOAD4 \offset, 8, 9, 10, 11, 12, 13
	.endm

	/* The same blocks of the next eight chunks, four lanes of them: a core follows streams to the end of a page at most.
	   It does not matter what lies there, or that nothing does. */
	.macro AHEAD in
	prefetcht0 [\in + 8192]
	prefetcht0 [\in + B_S + 8192]
	prefetcht0 [\in + 2 * B_S + 8192]
	prefetcht0 [\in + B_S3 + 8192]
	.endm

	.macro IV
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm\i, [B_K + B3_IV + 32 * \i]
	.endr
	.endm

	/* ymm0 to ymm7 to lanes 0 to 3 at OUT and lanes 4 to 7 at OUT4. */
	.macro STORE
	B3_TRANSPOSE 0, 1, 2, 3, 8, 9
	B3_TRANSPOSE 4, 5, 6, 7, 10, 11
	vmovdqu	[OUT], xmm2
	vmovdqu	[OUT + 16], xmm6
	vmovdqu	[OUT + 32], xmm3
	vmovdqu	[OUT + 48], xmm7
	vmovdqu	[OUT + 64], xmm8
	vmovdqu	[OUT + 80], xmm10
	vmovdqu	[OUT + 96], xmm9
	vmovdqu	[OUT + 112], xmm11
	vextracti128 [OUT4], ymm2, 1
	vextracti128 [OUT4 + 16], ymm6, 1
	vextracti128 [OUT4 + 32], ymm3, 1
	vextracti128 [OUT4 + 48], ymm7, 1
	vextracti128 [OUT4 + 64], ymm8, 1
	vextracti128 [OUT4 + 80], ymm10, 1
	vextracti128 [OUT4 + 96], ymm9, 1
	vextracti128 [OUT4 + 112], ymm11, 1
	.endm

	.macro PROLOGUE last
	push	rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	mov	rbp, rsp
	.cfi_def_cfa_register rbp
	push	rbx
	.cfi_rel_offset rbx, -8
	push	r12
	.cfi_rel_offset r12, -16
	push	r13
	.cfi_rel_offset r13, -24
	mov	LAST, \last
	sub	rsp, FRAME + 40
	and	rsp, -64
	lea	B_K, [rip + SYMBOL(ah_blake3_avx2_k)]
	.endm

	.macro EPILOGUE
	vzeroupper
	lea	rsp, [rbp - 24]
	pop	r13
	.cfi_restore r13
	pop	r12
	.cfi_restore r12
	pop	rbx
	.cfi_restore rbx
	pop	rbp
	.cfi_restore rbp
	.cfi_def_cfa rsp, 8
	ret
	.endm

	/* Eight lanes, or, in the last turn, LAST of them: lane 4 is that many lanes minus four after lane 0. When nothing is
	   left, goes to \done. \s is the distance of two lanes' input. */
	.macro NEXT_EIGHT s, done
	mov	UNIT, 8
	sub	EIGHTS, 1
	jae	11f
	mov	UNIT, LAST
	xor	LAST, LAST
	xor	EIGHTS, EIGHTS
	test	UNIT, UNIT
	jz	\done
11:	lea	OUT4, [UNIT - 4]
	mov	B_IN4, OUT4
	imul	B_IN4, B_IN4, \s
	add	B_IN4, B_IN
	.endm

FUNCTION ah_blake3_avx2_chunks
	PROLOGUE r8
	mov	B_S, 1024
	mov	B_S3, 3072
1:	NEXT_EIGHT 1024, 4f
	/* counters: of lane i < 4, COUNTER + i; of lane i >= 4, COUNTER + OUT4 + i - 4 */
	add	OUT4, COUNTER
	.irp i, 0, 1, 2, 3
	lea	r8, [COUNTER + \i]
	mov	[rsp + B_LO + 4 * \i], r8d
	shr	r8, 32
	mov	[rsp + B_HI + 4 * \i], r8d
	lea	r8, [OUT4 + \i]
	mov	[rsp + B_LO + 16 + 4 * \i], r8d
	shr	r8, 32
	mov	[rsp + B_HI + 16 + 4 * \i], r8d
	.endr
	sub	OUT4, COUNTER
	shl	OUT4, 5
	add	OUT4, OUT
	add	COUNTER, UNIT
	IV
	lea	B_FLAGS, [B_K + B3_START]
	mov	UNIT, 16
	.p2align 6
2:	AHEAD	B_IN
	AHEAD	B_IN4
	COMPRESS
	add	B_IN, 64
	add	B_IN4, 64
	lea	B_FLAGS, [B_K + B3_NONE]
	dec	UNIT
	cmp	UNIT, 1
	ja	2b
	lea	B_FLAGS, [B_K + B3_END]
	je	2b
	STORE
	add	B_IN, 7 * 1024
	add	OUT, 8 * 32
	jmp	1b
4:	EPILOGUE
END ah_blake3_avx2_chunks

FUNCTION ah_blake3_avx2_parents
	PROLOGUE rcx
	mov	OUT, rdx
	mov	B_S, 64
	mov	B_S3, 192
	lea	B_FLAGS, [B_K + B3_PARENT]
	vpxor	xmm0, xmm0, xmm0
	vmovdqa	[rsp + B_LO], ymm0
	vmovdqa	[rsp + B_HI], ymm0
1:	NEXT_EIGHT 64, 4f
	shl	OUT4, 5
	add	OUT4, OUT
	IV
	COMPRESS
	STORE
	add	B_IN, 8 * 64
	add	OUT, 8 * 32
	jmp	1b
4:	EPILOGUE
END ah_blake3_avx2_parents

CONSTANTS
CONSTANT ah_blake3_avx2_k
	.macro LANES word
	.long	\word, \word, \word, \word, \word, \word, \word, \word
	.endm
	/* rotations by 16 and by 8, in bytes */
	.rept 2
	.byte	2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13
	.endr
	.rept 2
	.byte	1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12
	.endr
	.irp word, 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
	LANES \word
	.endr
	/* the same by rows */
	.rept 2
	.long	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a
	.endr
	.rept 2
	.long	0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
	.endr
	LANES 64	/* the length of a block */
	LANES 0		/* flags, BLAKE3 paper, table 3 */
	LANES 1
	LANES 2
	LANES 4
	/* the message words of seven rounds, as offsets of vectors: BLAKE3 paper, table 2, applied 0 to 6 times */
	.irp word, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
		2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8, \
		3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1, \
		10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6, \
		12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4, \
		9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7, \
		11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	.long	32 * \word
	.endr
