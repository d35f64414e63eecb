/* What the files of AVX-512 share: frames, and BLAKE3 in 16 lanes as macros with hooks. (One lane: blake3_avx512_rows.h.)
 *
 * A hook is the name of a macro that is called with 0 to 15 at sixteen points of a piece of vector work. `NONE` leaves
 * the work as it is; the hooks of sha_avx512.S put four rounds of SHA-256 in each
 * place. So there is one text of
 * BLAKE3, and every schedule of it is that text.
 *
 * Vector work uses zmm16 to zmm31 and nothing below: SHA-NI has legacy encodings that reach xmm0 to xmm15, and those
 * must keep clean upper halves (Intel optimisation manual, "Mixing SSE and AVX"; zmm16 to zmm31 do not count).
 *
 *   zmm16..19  a = v0..v3      zmm20..23  b = v4..v7      zmm24..27  c = v8..v11     zmm28..31  d = v12..v15
 *
 * One register holds one word of 16 chunks. Between compressions zmm16..23 hold the chaining values.
 *
 *   rbx  the stream at work: message, counters and chaining values, 64-byte aligned (offsets below)
 *   rsi, r12, r13, r14  where rows 0, 4, 8 and 12 stand in the input;  rdx, r10  the distance of two rows, and thrice that
 */
#include "function.h"

	/* A subroutine of one file, which is called with the registers as it wants them. */
	.macro LOCAL name
	.text
	.p2align 6
\name:
	.cfi_startproc
	.endm

/* Offsets in a stream. */
#define MESSAGE 0       /* 16 words of 16 chunks each */
#define COUNTER_LOW 1024
#define COUNTER_HIGH 1088
#define CV 1152         /* 8 words, while another stream is in the registers */
#define STREAM_BYTES 1664

/* BLAKE3's domain flags. */
#define CHUNK_START 1
#define CHUNK_END 2
#define PARENT 4

	/* `bytes` of aligned stack at rsp, the callee-saved registers above, rbp in between to find them again. */
	.macro ENTER bytes
	push	rbp
	.cfi_def_cfa_offset 16
	.cfi_offset rbp, -16
	mov	rbp, rsp
	.cfi_def_cfa_register rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	.cfi_offset r13, -40
	.cfi_offset r14, -48
	.cfi_offset r15, -56
	sub	rsp, \bytes
	and	rsp, -64
	.endm

	.macro LEAVE_AND_RETURN
	mov	r15, [rbp - 40]
	mov	r14, [rbp - 32]
	mov	r13, [rbp - 24]
	mov	r12, [rbp - 16]
	mov	rbx, [rbp - 8]
	mov	rsp, rbp
	pop	rbp
	.cfi_remember_state
	.cfi_def_cfa rsp, 8
	ret
	.cfi_restore_state
	.endm

	.macro NONE at
	.endm

	.macro FOUR op, r0, r1, r2, r3, s0, s1, s2, s3
	\op zmm\r0, zmm\r0, zmm\s0
	\op zmm\r1, zmm\r1, zmm\s1
	\op zmm\r2, zmm\r2, zmm\s2
	\op zmm\r3, zmm\r3, zmm\s3
	.endm

	.macro ROTATE_FOUR count, r0, r1, r2, r3
	vprord	zmm\r0, zmm\r0, \count
	vprord	zmm\r1, zmm\r1, \count
	vprord	zmm\r2, zmm\r2, \count
	vprord	zmm\r3, zmm\r3, \count
	.endm

	.macro MESSAGE_FOUR m0, m1, m2, m3
	vpaddd	zmm16, zmm16, [rbx + MESSAGE + 64 * \m0]
	vpaddd	zmm17, zmm17, [rbx + MESSAGE + 64 * \m1]
	vpaddd	zmm18, zmm18, [rbx + MESSAGE + 64 * \m2]
	vpaddd	zmm19, zmm19, [rbx + MESSAGE + 64 * \m3]
	.endm

	/* Four G at once; the arguments are the registers of b, c and d, and the words x and y of each G in turn. 56
	 * instructions, a chain of 14 in each G. */
	.macro HALF_ROUND hook, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3
	\hook 0
	MESSAGE_FOUR \x0, \x1, \x2, \x3
	\hook 1
	FOUR vpaddd, 16, 17, 18, 19, \b0, \b1, \b2, \b3
	\hook 2
	FOUR vpxord, \d0, \d1, \d2, \d3, 16, 17, 18, 19
	\hook 3
	ROTATE_FOUR 16, \d0, \d1, \d2, \d3
	\hook 4
	FOUR vpaddd, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	\hook 5
	FOUR vpxord, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	\hook 6
	ROTATE_FOUR 12, \b0, \b1, \b2, \b3
	\hook 7
	MESSAGE_FOUR \y0, \y1, \y2, \y3
	\hook 8
	FOUR vpaddd, 16, 17, 18, 19, \b0, \b1, \b2, \b3
	\hook 9
	FOUR vpxord, \d0, \d1, \d2, \d3, 16, 17, 18, 19
	\hook 10
	ROTATE_FOUR 8, \d0, \d1, \d2, \d3
	\hook 11
	FOUR vpaddd, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	\hook 12
	FOUR vpxord, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	\hook 13
	ROTATE_FOUR 7, \b0, \b1, \b2, \b3
	\hook 14
	\hook 15
	.endm

	.macro COLUMNS hook, words:vararg
	HALF_ROUND \hook, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, \words
	.endm

	.macro DIAGONALS hook, words:vararg
	HALF_ROUND \hook, 21, 22, 23, 20, 26, 27, 24, 25, 31, 28, 29, 30, \words
	.endm

	/* The 14 half rounds of a compression, each through `form`, which is called with the number of the half round, its
	 * macro and its message words (BLAKE3 paper, table 2, applied 0 to 6 times). */
	.macro HALF_ROUNDS form
	\form 0, COLUMNS, 0, 1, 2, 3, 4, 5, 6, 7
	\form 1, DIAGONALS, 8, 9, 10, 11, 12, 13, 14, 15
	\form 2, COLUMNS, 2, 6, 3, 10, 7, 0, 4, 13
	\form 3, DIAGONALS, 1, 11, 12, 5, 9, 14, 15, 8
	\form 4, COLUMNS, 3, 4, 10, 12, 13, 2, 7, 14
	\form 5, DIAGONALS, 6, 5, 9, 0, 11, 15, 8, 1
	\form 6, COLUMNS, 10, 7, 12, 9, 14, 3, 13, 15
	\form 7, DIAGONALS, 4, 0, 11, 2, 5, 8, 1, 6
	\form 8, COLUMNS, 12, 13, 9, 11, 15, 10, 14, 8
	\form 9, DIAGONALS, 7, 2, 5, 3, 0, 1, 6, 4
	\form 10, COLUMNS, 9, 14, 11, 5, 8, 12, 15, 1
	\form 11, DIAGONALS, 13, 3, 0, 10, 2, 6, 4, 7
	\form 12, COLUMNS, 11, 15, 5, 0, 1, 9, 8, 6
	\form 13, DIAGONALS, 14, 10, 2, 12, 3, 4, 7, 13
	.endm

	/* The state before a compression of whole blocks; eax: the flags. */
	.macro OPEN_COMPRESSION
	vpbroadcastd zmm24, [rip + .Liv]
	vpbroadcastd zmm25, [rip + .Liv + 4]
	vpbroadcastd zmm26, [rip + .Liv + 8]
	vpbroadcastd zmm27, [rip + .Liv + 12]
	vmovdqa32 zmm28, [rbx + COUNTER_LOW]
	vmovdqa32 zmm29, [rbx + COUNTER_HIGH]
	vpbroadcastd zmm30, [rip + .Lblock_bytes]
	vpbroadcastd zmm31, eax
	.endm

	.macro CLOSE_COMPRESSION
	FOUR vpxord, 16, 17, 18, 19, 24, 25, 26, 27
	FOUR vpxord, 20, 21, 22, 23, 28, 29, 30, 31
	.endm

	.macro IV_TO_CV
	vpbroadcastd zmm16, [rip + .Liv]
	vpbroadcastd zmm17, [rip + .Liv + 4]
	vpbroadcastd zmm18, [rip + .Liv + 8]
	vpbroadcastd zmm19, [rip + .Liv + 12]
	vpbroadcastd zmm20, [rip + .Liv + 16]
	vpbroadcastd zmm21, [rip + .Liv + 20]
	vpbroadcastd zmm22, [rip + .Liv + 24]
	vpbroadcastd zmm23, [rip + .Liv + 28]
	.endm

	/* The flags of block edi of a chunk. */
	.macro FLAGS_TO_EAX
	lea	rax, [rip + .Lblock_flags]
	mov	eax, [rax + 4 * rdi]
	.endm

	/* Counters of 16 chunks from rax on; the carry goes into the high word of each lane by itself. Not while a state is
	 * in the registers. */
	.macro STORE_COUNTERS
	vpbroadcastd zmm24, eax
	vpaddd	zmm25, zmm24, [rip + .Llanes]
	vpcmpltud k1, zmm25, zmm24
	shr	rax, 32
	vpbroadcastd zmm26, eax
	vpaddd	zmm26{k1}, zmm26, dword ptr [rip + .Lone]{1to16}
	vmovdqa32 [rbx + COUNTER_LOW], zmm25
	vmovdqa32 [rbx + COUNTER_HIGH], zmm26
	.endm

	.macro STORE_NO_COUNTERS
	vpxord	zmm24, zmm24, zmm24
	vmovdqa32 [rbx + COUNTER_LOW], zmm24
	vmovdqa32 [rbx + COUNTER_HIGH], zmm24
	.endm

	.macro FOUR_ROWS to, at
	vmovdqu32 xmm\to, [rsi + \at]
	vinserti32x4 zmm\to, zmm\to, [r12 + \at], 1
	vinserti32x4 zmm\to, zmm\to, [r13 + \at], 2
	vinserti32x4 zmm\to, zmm\to, [r14 + \at], 3
	.endm

	/* Four words of 16 rows: a load puts rows i, i+4, i+8, i+12 into one register, a quarter each, so that transposing
	 * 4x4 within quarters leaves the rows in order: half the shuffles of loading whole rows. */
	.macro TRANSPOSE_FOUR hook, column
	FOUR_ROWS 24, 16*\column
	\hook 4*\column
	FOUR_ROWS 25, rdx+16*\column
	\hook 4*\column+1
	FOUR_ROWS 26, 2*rdx+16*\column
	\hook 4*\column+2
	FOUR_ROWS 27, r10+16*\column
	vpunpckldq zmm28, zmm24, zmm25
	vpunpckhdq zmm29, zmm24, zmm25
	vpunpckldq zmm30, zmm26, zmm27
	vpunpckhdq zmm31, zmm26, zmm27
	\hook 4*\column+3
	vpunpcklqdq zmm24, zmm28, zmm30
	vpunpckhqdq zmm25, zmm28, zmm30
	vpunpcklqdq zmm26, zmm29, zmm31
	vpunpckhqdq zmm27, zmm29, zmm31
	vmovdqa32 [rbx + MESSAGE + 256 * \column], zmm24
	vmovdqa32 [rbx + MESSAGE + 256 * \column + 64], zmm25
	vmovdqa32 [rbx + MESSAGE + 256 * \column + 128], zmm26
	vmovdqa32 [rbx + MESSAGE + 256 * \column + 192], zmm27
	.endm

	/* 64 bytes of 16 rows to 16 message words; the chaining values in zmm16..23 stay. */
	.macro TRANSPOSE hook
	TRANSPOSE_FOUR \hook, 0
	TRANSPOSE_FOUR \hook, 1
	TRANSPOSE_FOUR \hook, 2
	TRANSPOSE_FOUR \hook, 3
	.endm

	/* Rows from rsi on, `distance` apart. */
	.macro SET_ROWS distance
	mov	edx, \distance
	lea	r10, [rdx + 2 * rdx]
	lea	r12, [rsi + 4 * rdx]
	lea	r13, [r12 + 4 * rdx]
	lea	r14, [r13 + 4 * rdx]
	.endm

	.macro NEXT_ROWS
	add	rsi, 64
	add	r12, 64
	add	r13, 64
	add	r14, 64
	.endm

	.macro STORE_QUARTERS from, at
	vmovdqu32 [rax + \at], xmm\from
	vextracti32x4 [rax + \at + 128], zmm\from, 1
	vextracti32x4 [rax + \at + 256], zmm\from, 2
	vextracti32x4 [rax + \at + 384], zmm\from, 3
	.endm

	.macro STORE_FOUR_WORDS r0, r1, r2, r3, at
	vpunpckldq zmm24, zmm\r0, zmm\r1
	vpunpckhdq zmm25, zmm\r0, zmm\r1
	vpunpckldq zmm26, zmm\r2, zmm\r3
	vpunpckhdq zmm27, zmm\r2, zmm\r3
	vpunpcklqdq zmm28, zmm24, zmm26
	vpunpckhqdq zmm29, zmm24, zmm26
	vpunpcklqdq zmm30, zmm25, zmm27
	vpunpckhqdq zmm31, zmm25, zmm27
	STORE_QUARTERS 28, \at
	STORE_QUARTERS 29, \at+32
	STORE_QUARTERS 30, \at+64
	STORE_QUARTERS 31, \at+96
	.endm

	/* Sixteen chaining values to 512 bytes at rax. */
	.macro STORE_CVS
	STORE_FOUR_WORDS 16, 17, 18, 19, 0
	STORE_FOUR_WORDS 20, 21, 22, 23, 16
	.endm

	/* Fewer than 16 rows or values. STAGE, which the file defines, is 1,024 bytes behind rbx. */

	/* r9 rows of 64 bytes from rax on, `distance` apart, to STAGE; what is in the other rows does not matter. */
	.macro STAGE_ROWS distance
	lea	rsi, [rbx + STAGE]
	mov	rdx, r9
71:	vmovdqu64 zmm24, [rax]
	vmovdqa64 [rsi], zmm24
	add	rax, \distance
	add	rsi, 64
	dec	rdx
	jnz	71b
	lea	rsi, [rbx + STAGE]
	SET_ROWS 64
	.endm

	/* The first r9 of 16 chaining values to rcx. */
	.macro STORE_SOME_CVS
	lea	rax, [rbx + MESSAGE]
	STORE_CVS
72:	vmovdqu64 ymm24, [rax]
	vmovdqu64 [rcx], ymm24
	add	rax, 32
	add	rcx, 32
	dec	r9
	jnz	72b
	.endm

	.macro BLAKE3_CONSTANTS
	CONSTANTS
.Llanes:
	.long 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
.Liv: /* BLAKE3 paper, table 1 */
	.long 0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19
.Lone:
	.long 1
.Lblock_bytes:
	.long 64
.Lblock_flags: /* of the 16 blocks of a chunk */
	.long CHUNK_START, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, CHUNK_END
	.endm
