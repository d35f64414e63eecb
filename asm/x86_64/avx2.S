/* Both functions without SHA-NI: SHA-256 by the scalar units, BLAKE3 and SHA-256's message schedule by the vector
 * units.
 *
 *     void ah_avx2_dual_eights(const ah_lane *lane, size_t eights)                                        rdi, rsi
 *         chaining values of `eights` times eight chunks, and SHA-256 over them
 *
 * System V calls. Needs AVX2, BMI1 and BMI2. Clobbers all registers that a callee may; upper halves are left clean.
 *
 * How it goes. SHA-256 of one stream is a chain, but its message schedule is not: word t of eight blocks that follow
 * one another is one vector, as word t of eight chunks is in BLAKE3. So there are eight blocks of SHA-256 to a
 * compression of eight lanes. While the rounds of eight blocks run (64 scalar rounds a block, sha256_scalar.h), there
 * run beside them
 *
 *     block 0         BLAKE3's message of this compression is transposed, and the first 16 words of the next eight blocks
 *     blocks 1 to 7   a round of BLAKE3 each, and seven further words of the schedule of those next eight blocks (of the
 *                     49 one is too many, and nobody reads it)
 *
 * Blocks 1 to 7 are one loop: 64 rounds, one of BLAKE3 and seven words are 11 KiB of code, and all of it written out
 * would not fit into the first cache. What differs between them, order of the message words and constants, is read
 * from a table.
 *
 * Register map. General: eax to r11d and r12d to r15d are sha256_scalar.h's; rdi is SC_WK, 4 bytes further with each
 * block (lane) and in one of the two buffers after the other; rsi is BLAKE3's block of lane 0 in block 0, then the
 * entry of the table; rbp the next eight blocks, then the next word of their schedule. Vectors: BLAKE3's state within
 * a round, in memory (B_V) otherwise; ymm0 to ymm6 for the schedule and to transpose.
 *
 * Where its cycles go: 64 rounds of 22 operations are 352 cycles of four scalar units; the 310 vector instructions a
 * block need 80 of four vector units; together 1,900 instructions a block, 317 cycles where six are dispatched.
 * Measured are 390 for the rounds alone (see sha256_scalar.h) and 467 for all.
 *
 *     CPU                       cycles a byte of both    one after the other    rounds alone
 *     AMD Zen 3 (EPYC)          7.3                      8.5                    6.1
 */
#define B_K	rip + SYMBOL(ah_blake3_avx2_k)
#define SC_WK	rdi
#define SC_STATE rsp + F_STATE

/* The frame. Its first word is the stack pointer as it was. */
#define F_LANE	8
#define F_EIGHTS 16
#define F_IN	24		/* BLAKE3's next block of lane 0 */
#define F_AHEAD	32		/* the eight blocks after those that SHA-256 is at */
#define F_LAST	40		/* the last eight of all */
#define F_BUFFER 48		/* W and WK of the eight blocks that SHA-256 is at; the others are at F_BOTH - that */
#define F_BOTH	56		/* the sum of the two buffers' addresses */
#define F_BLOCK	64		/* of 16, the next one */
#define F_COUNTER 72
#define F_OUT	80
#define F_STATE	96
#define B_V	128
#define B_M	640
#define B_SPILL	1152
#define F_CV	1184		/* eight vectors */
#define B_LO	1440
#define B_HI	1472
#define F_BUFFERS 1536
#define WK	2080		/* in a buffer: 65 vectors W, then 65 W + K */
#define BUFFER	4224
#define FRAME	(F_BUFFERS + 2 * BUFFER)
#define SPILL	rsp + B_SPILL

#define ENTRY	288		/* of the table, a round: 16 offsets of message words, 7 constants of eight lanes */
#define FIRST_K	(7 * ENTRY)	/* after it: the first 16 constants, */
#define BYTE_SWAP (FIRST_K + 512) /* and this */

#include "function.h"
#include "blake3_avx2.h"
#include "blake3_avx2_round.h"
#include "sha256_scalar.h"

	/* The rounds that are due when a block has \slices slices; none for 0. */
	.macro BLOCK_BEGIN slices
	.set	slices, \slices
	.set	due, 0
	.if slices
	SC_BEGIN
	.endif
	.endm

	.macro SLICE
	.if slices
	.set	due, due + 64
	SC_ROUNDS (due / slices)
	.set	due, due % slices
	.endif
	.endm

	.macro MESSAGE r0, r1, r2, r3, m0, m1, m2, m3
	MESSAGE_WORD \r0, \m0, r12
	MESSAGE_WORD \r1, \m1, r13
	MESSAGE_WORD \r2, \m2, r12
	MESSAGE_WORD \r3, \m3, r13
	.endm

	.macro MESSAGE_WORD r, m, t
	mov	\t\()d, [rsi + 4 * \m]
	vpaddd	ymm\r, ymm\r, [rsp + \t + B_M]
	.endm

	/* ---- Eight lanes' words \at / 4 to \at / 4 + 3, \stride bytes between lanes, to ymm2, ymm3, ymm4, ymm5. */
	.macro TRANSPOSED in, at, stride
	.irp i, 0, 1, 2, 3
	vmovdqu	xmm\i, [\in + \i * \stride + \at]
	.endr
	SLICE
	.irp i, 0, 1, 2, 3
	vinserti128 ymm\i, ymm\i, [\in + (4 + \i) * \stride + \at], 1
	.endr
	SLICE
	B3_TRANSPOSE 0, 1, 2, 3, 4, 5
	SLICE
	.endm
#define TRANSPOSED_SLICES 3

	.macro LOAD_BLAKE3
	.irp at, 0, 16, 32, 48
	TRANSPOSED rsi, \at, 1024
	vmovdqa	[rsp + B_M + 8 * \at], ymm2
	vmovdqa	[rsp + B_M + 8 * \at + 32], ymm3
	vmovdqa	[rsp + B_M + 8 * \at + 64], ymm4
	vmovdqa	[rsp + B_M + 8 * \at + 96], ymm5
	SLICE
	.endr
	.endm

	/* The first 16 words of the schedule of eight blocks at rbp, to the other buffer. */
	.macro LOAD_SHA
	.irp at, 0, 16, 32, 48
	TRANSPOSED rbp, \at, 64
	vmovdqa	ymm6, [rip + SYMBOL(ah_avx2_k) + BYTE_SWAP]
	.irp i, 2, 3, 4, 5
	vpshufb	ymm\i, ymm\i, ymm6
	.endr
	SLICE
	mov	r12, [rsp + F_BOTH]
	sub	r12, [rsp + F_BUFFER]
	.irp i, 2, 3, 4, 5
	vmovdqa	[r12 + 8 * \at + 32 * (\i - 2)], ymm\i
	vpaddd	ymm\i, ymm\i, [rip + SYMBOL(ah_avx2_k) + FIRST_K + 8 * \at + 32 * (\i - 2)]
	vmovdqa	[r12 + WK + 8 * \at + 32 * (\i - 2)], ymm\i
	.endr
	SLICE
	.endr
	.endm
#define FIRST_SLICES (4 * (TRANSPOSED_SLICES + 1) + 4 * (TRANSPOSED_SLICES + 2))

	/* FIPS 180-4, 4.1.2: sigma of eight words, ymm0 to ymm0. ymm1 to ymm3 are lost. */
	.macro SIGMA r0, r1, shift
	vpsrld	ymm1, ymm0, \r0
	vpslld	ymm2, ymm0, (32 - \r0)
	vpsrld	ymm3, ymm0, \r1
	vpxor	ymm1, ymm1, ymm2
	SLICE
	vpslld	ymm2, ymm0, (32 - \r1)
	vpsrld	ymm0, ymm0, \shift
	vpxor	ymm3, ymm3, ymm2
	vpxor	ymm0, ymm0, ymm1
	vpxor	ymm0, ymm0, ymm3
	SLICE
	.endm

	/* Word \i after rbp, the place of word t - 16: w[t-16] + sigma0(w[t-15]) + w[t-7] + sigma1(w[t-2]). */
	.macro NEXT_WORD i
	vmovdqa	ymm0, [rbp + 32 * (\i + 1)]
	SIGMA	7, 18, 3
	vpaddd	ymm4, ymm0, [rbp + 32 * \i]
	vpaddd	ymm4, ymm4, [rbp + 32 * (\i + 9)]
	vmovdqa	ymm0, [rbp + 32 * (\i + 14)]
	SIGMA	17, 19, 10
	vpaddd	ymm0, ymm0, ymm4
	vmovdqa	[rbp + 32 * (\i + 16)], ymm0
	vpaddd	ymm0, ymm0, [rsi + 64 + 32 * \i]
	vmovdqa	[rbp + WK + 32 * (\i + 16)], ymm0
	SLICE
	.endm

	.macro NEXT_WORDS
	.irp i, 0, 1, 2, 3, 4, 5, 6
	NEXT_WORD \i
	.endr
	.endm
#define WORDS_SLICES (7 * 5)

	/* A round of BLAKE3, state from memory to memory. */
	.macro BLAKE3_ROUND
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15
	vmovdqa	ymm\i, [rsp + B_V + 32 * \i]
	.if \i == 7 || \i == 15
	SLICE
	.endif
	.endr
	ROUND	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15
	vmovdqa	[rsp + B_V + 32 * \i], ymm\i
	.if \i == 4 || \i == 9 || \i == 15
	SLICE
	.endif
	.endr
	.endm
#define LATER_SLICES (B3_ROUND_SLICES + 5 + WORDS_SLICES)

FUNCTION ah_avx2_dual_eights
	test	rsi, rsi
	jz	9f
	.irp r, rbx, rbp, r12, r13, r14, r15
	push	\r
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \r, 0
	.endr
	mov	rax, rsp
	sub	rsp, FRAME
	and	rsp, -64
	mov	[rsp], rax
	/* the CFA is 56 after what [rsp] holds: DW_CFA_def_cfa_expression (breg7 0, deref, plus_uconst 56) */
	.cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x23, 56
	mov	[rsp + F_LANE], rdi
	mov	[rsp + F_EIGHTS], rsi
	mov	rax, [rdi]			/* ah_lane: sha256, in, counter, out */
	vmovdqu	ymm0, [rax]
	vmovdqa	[rsp + F_STATE], ymm0
	mov	rbp, [rdi + 8]
	mov	[rsp + F_IN], rbp
	shl	rsi, 13
	lea	rsi, [rbp + rsi - 512]
	mov	[rsp + F_LAST], rsi
	mov	rax, [rdi + 16]
	mov	[rsp + F_COUNTER], rax
	mov	rax, [rdi + 24]
	mov	[rsp + F_OUT], rax
	lea	rax, [rsp + F_BUFFERS + BUFFER]
	mov	[rsp + F_BUFFER], rax
	lea	rax, [rsp + 2 * F_BUFFERS + BUFFER]
	add	rax, rsp
	mov	[rsp + F_BOTH], rax
	/* the schedule of the first eight blocks, alone */
	BLOCK_BEGIN 0
	LOAD_SHA
	add	rbp, 512
	mov	[rsp + F_AHEAD], rbp
	lea	rbp, [rsp + F_BUFFERS]
	lea	rsi, [rip + SYMBOL(ah_avx2_k)]
	mov	eax, 7
1:	NEXT_WORDS
	add	rbp, 7 * 32
	add	rsi, ENTRY
	dec	eax
	jnz	1b
	SC_LOAD	eax, ebx, ecx, edx, r8d, r9d, r10d, r11d

	/* eight chunks */
2:	mov	r14, [rsp + F_COUNTER]
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	lea	r12, [r14 + \i]
	mov	[rsp + B_LO + 4 * \i], r12d
	shr	r12, 32
	mov	[rsp + B_HI + 4 * \i], r12d
	.endr
	add	r14, 8
	mov	[rsp + F_COUNTER], r14
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm\i, [B_K + B3_IV + 32 * \i]
	vmovdqa	[rsp + F_CV + 32 * \i], ymm\i
	.endr
	xor	r13, r13

	/* eight blocks of SHA-256, a block of each of eight chunks of BLAKE3: number r13 */
3:	mov	[rsp + F_BLOCK], r13
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm\i, [rsp + F_CV + 32 * \i]
	vmovdqa	[rsp + B_V + 32 * \i], ymm\i
	.endr
	.irp i, 0, 1, 2, 3
	vmovdqa	ymm\i, [B_K + B3_IV + 32 * \i]
	.endr
	vmovdqa	[SPILL], ymm0
	vmovdqa	ymm4, [rsp + B_LO]
	vmovdqa	ymm5, [rsp + B_HI]
	vmovdqa	ymm6, [B_K + B3_LENGTH]
	vmovdqa	ymm7, [B_K + B3_NONE]
	test	r13, r13
	jnz	4f
	vmovdqa	ymm7, [B_K + B3_START]
4:	cmp	r13, 15
	jne	5f
	vmovdqa	ymm7, [B_K + B3_END]
5:	.irp i, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	[rsp + B_V + 256 + 32 * \i], ymm\i
	.endr
	/* the other buffer is SHA-256's now */
	mov	r12, [rsp + F_BOTH]
	sub	r12, [rsp + F_BUFFER]
	mov	[rsp + F_BUFFER], r12
	lea	rdi, [r12 + WK]
	mov	rsi, [rsp + F_IN]
	mov	rbp, [rsp + F_AHEAD]
	cmp	rbp, [rsp + F_LAST]
	cmova	rbp, [rsp + F_LAST]		/* at the end, those are done once more, for nothing */
	.irp i, 0, 1, 2, 3, 4, 5, 6, 7
	prefetcht0 [rsi + 8192 + 1024 * \i]
	.endr
	BLOCK_BEGIN FIRST_SLICES
	LOAD_BLAKE3
	LOAD_SHA
	SC_END
	add	rdi, 4
	add	rsi, 64
	mov	[rsp + F_IN], rsi
	add	rbp, 512
	mov	[rsp + F_AHEAD], rbp
	lea	rsi, [rip + SYMBOL(ah_avx2_k)]
	mov	rbp, [rsp + F_BOTH]
	sub	rbp, [rsp + F_BUFFER]
	.p2align 6
6:	BLOCK_BEGIN LATER_SLICES
	BLAKE3_ROUND
	NEXT_WORDS
	SC_END
	add	rdi, 4
	add	rbp, 7 * 32
	add	rsi, ENTRY
	lea	r12, [rip + SYMBOL(ah_avx2_k) + 7 * ENTRY]
	cmp	rsi, r12
	jne	6b
	vmovdqa	ymm0, [rsp + B_V]
	vpxor	ymm0, ymm0, [SPILL]
	vmovdqa	[rsp + F_CV], ymm0
	.irp i, 1, 2, 3, 4, 5, 6, 7
	vmovdqa	ymm\i, [rsp + B_V + 32 * \i]
	vpxor	ymm\i, ymm\i, [rsp + B_V + 32 * \i + 256]
	vmovdqa	[rsp + F_CV + 32 * \i], ymm\i
	.endr
	mov	r13, [rsp + F_BLOCK]
	inc	r13
	cmp	r13, 16
	jne	3b

	B3_TRANSPOSE 0, 1, 2, 3, 8, 9
	B3_TRANSPOSE 4, 5, 6, 7, 10, 11
	mov	r12, [rsp + F_OUT]
	.set	at, 0
	.irp i, 2, 3, 8, 9
	vmovdqu	[r12 + at], xmm\i
	vextracti128 [r12 + at + 128], ymm\i, 1
	.set	at, at + 32
	.endr
	.set	at, 16
	.irp i, 6, 7, 10, 11
	vmovdqu	[r12 + at], xmm\i
	vextracti128 [r12 + at + 128], ymm\i, 1
	.set	at, at + 32
	.endr
	add	r12, 256
	mov	[rsp + F_OUT], r12
	add	qword ptr [rsp + F_IN], 7 * 1024
	dec	qword ptr [rsp + F_EIGHTS]
	jnz	2b

	mov	rdi, [rsp + F_LANE]
	mov	rdi, [rdi]
	vmovdqa	ymm0, [rsp + F_STATE]
	vmovdqu	[rdi], ymm0
	vzeroupper
	mov	rsp, [rsp]
	.cfi_def_cfa rsp, 56
	.irp r, r15, r14, r13, r12, rbp, rbx
	pop	\r
	.cfi_adjust_cfa_offset -8
	.cfi_restore \r
	.endr
9:	ret
END ah_avx2_dual_eights

CONSTANTS
	.macro LANES word
	.long	\word, \word, \word, \word, \word, \word, \word, \word
	.endm
	.macro TABLE_ENTRY m0, m1, m2, m3, m4, m5, m6, m7, m8, m9, m10, m11, m12, m13, m14, m15, k:vararg
	.irp m, \m0, \m1, \m2, \m3, \m4, \m5, \m6, \m7, \m8, \m9, \m10, \m11, \m12, \m13, \m14, \m15
	.long	32 * \m
	.endr
	.irp word, \k
	LANES	\word
	.endr
	.endm
SYMBOL(ah_avx2_k):
	/* BLAKE3 paper, table 2, applied 0 to 6 times; FIPS 180-4, 4.2.2, from 16 on, and one that nobody reads */
	TABLE_ENTRY 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, \
		0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc
	TABLE_ENTRY 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8, \
		0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147
	TABLE_ENTRY 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1, \
		0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354
	TABLE_ENTRY 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6, \
		0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3
	TABLE_ENTRY 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4, \
		0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c
	TABLE_ENTRY 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7, \
		0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f
	TABLE_ENTRY 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13, \
		0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2, 0
	/* the first 16 */
	.irp word, 0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, \
		0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
	LANES	\word
	.endr
	.rept 2
	.byte	3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12
	.endr
