/* BLAKE3 with NEON between the rounds of SHA-256 with the SHA2 instructions, and either of them alone.
 *
 *	void ah_sha2_neon_sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks)
 *	void ah_sha2_neon_sha256_blocks_pair(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
 *	                                     const uint8_t *second_in, size_t blocks)
 *	void ah_sha2_neon_blake3_rows(const uint8_t *in, size_t rows, size_t distance, size_t blocks, uint64_t counter,
 *	                              uint64_t counter_step, uint32_t flags, uint8_t *out)
 *	void ah_sha2_neon_dual_fours(const ah_lane *lane, size_t fours)
 *
 * Contract: native/kernel.h and native/sha2_neon.c, AAPCS64. Pointers need no alignment; nothing outside of the input is
 * read. No data-dependent branch or address: only counts steer. Little-endian. Needs ASIMD and SHA2.
 *
 * blake3_rows: chaining values of `rows` rows of `blocks` blocks each, `distance` bytes apart, 32 bytes each; the rows'
 * counters are `counter_step` (0 or 1) apart; flags of the first block in bits 0 to 7, of the last one besides in bits 8
 * to 15. Chunks are rows of 16 blocks, parents rows of one. `out` may be `in`.
 * dual_fours: both functions over whole chunks, four at a time.
 *
 * Register map: sha256_sha2.h (v0 to v7, x2, x3) and blake3_neon.h (v8 to v31, x4 to x7). Besides: x8 the block of the
 * chunk, x9 the next counter, x10 the output, x13 the constants, w14 flags, x15 to x17 scratch.
 * Clobbers: x0 to x17, flags, v0 to v7, v16 to v31, and of v8 to v12 the upper halves. x18 is left alone.
 * Stack: 368 bytes.
 *
 * Where the cycles go: arithmetic and models, no measurement. Four chunks take 256 bytes a compression: four blocks of
 * SHA-256, 48 steps each. 24 of these lie in the transposition and 12 in each of the 14 half rounds: 192. A half round is
 * 64 vector operations and 8 loads; a compression with its transposition and its four blocks is 1,529 instructions, of
 * which 1,310 are vector operations: 655 cycles of two pipes (Neoverse N1, Cortex-A76), 328 of four (Neoverse V1,
 * Cortex-X1), where SHA-256's chain alone wants 256 at a latency of 4. So the bound is throughput, not latency: SHA-256
 * hides behind BLAKE3, rather than the reverse, and two streams of both functions would only share the same pipes. There
 * is no dual_groups_pair here for that reason. Two streams of SHA-256 alone do gain.
 *
 *	LLVM-MCA 16, cycles		neoverse-n1	neoverse-n2	apple-m1
 *	SHA-256, 4 blocks		560		329		457
 *	BLAKE3, 4 chunks by 64 bytes	692		485		405
 *	both, stitched			836		671		457
 *	SHA-256, 4 blocks of each of two streams	825	461	521
 *
 * Seen to run on: an emulator (qemu-aarch64 -cpu max, by `make kernel-aarch64`), with known answers, against the portable
 * kernel, with guard pages and the register checks. Measured on: no CPU so far.
 */
#define SHA_SAVE 0
#define COUNTERS 32
#define MESSAGE 64
#define SAVED 320
#define FRAME_BYTES 368
#include "function.h"
#include "sha256_sha2.h"
#include "blake3_neon.h"

	.macro ONE
	SHA_STEPS 1
	.endm

	/* Four rounds of two streams. The second one: v16 to v18 the state and its copy, v19 to v22 the words, v23 scratch. */
	.macro PAIR_QUAD quad, w0, w1, w2, w3, z0, z1, z2, z3
	ldr	q24, [x9, #(16 * \quad)]
	add	v7.4s, v24.4s, v\w0\().4s
	add	v23.4s, v24.4s, v\z0\().4s
	mov	v2.16b, v0.16b
	mov	v18.16b, v16.16b
	sha256h	q0, q1, v7.4s
	sha256h	q16, q17, v23.4s
	sha256h2 q1, q2, v7.4s
	sha256h2 q17, q18, v23.4s
	.if \quad < 12
	sha256su0 v\w0\().4s, v\w1\().4s
	sha256su0 v\z0\().4s, v\z1\().4s
	sha256su1 v\w0\().4s, v\w2\().4s, v\w3\().4s
	sha256su1 v\z0\().4s, v\z2\().4s, v\z3\().4s
	.endif
	.endm

	.macro PAIR_BLOCK_QUADS
	.irp	first, 0, 4, 8, 12
	PAIR_QUAD (\first), 3, 4, 5, 6, 19, 20, 21, 22
	PAIR_QUAD (\first+1), 4, 5, 6, 3, 20, 21, 22, 19
	PAIR_QUAD (\first+2), 5, 6, 3, 4, 21, 22, 19, 20
	PAIR_QUAD (\first+3), 6, 3, 4, 5, 22, 19, 20, 21
	.endr
	.endm

FUNCTION ah_sha2_neon_sha256_blocks
	cbz	x2, 2f
	sub	sp, sp, #32
	.cfi_def_cfa_offset 32
	mov	x8, x2
	mov	x2, x1
	ADDRESS	x3, .Lk
	ldp	q0, q1, [x0]
	.p2align 4
1:	SHA_STEPS 48
	subs	x8, x8, #1
	b.ne	1b
	stp	q0, q1, [x0]
	add	sp, sp, #32
	.cfi_def_cfa_offset 0
2:	ret
END ah_sha2_neon_sha256_blocks

FUNCTION ah_sha2_neon_sha256_blocks_pair
	cbz	x4, 2f
	ADDRESS	x9, .Lk
	ldp	q0, q1, [x0]
	ldp	q16, q17, [x2]
	.p2align 4
1:	ld1	{v3.16b, v4.16b, v5.16b, v6.16b}, [x1], #64
	ld1	{v19.16b, v20.16b, v21.16b, v22.16b}, [x3], #64
	.irp	word, 3, 4, 5, 6, 19, 20, 21, 22
	rev32	v\word\().16b, v\word\().16b
	.endr
	mov	v28.16b, v0.16b
	mov	v29.16b, v1.16b
	mov	v30.16b, v16.16b
	mov	v31.16b, v17.16b
	PAIR_BLOCK_QUADS
	add	v0.4s, v0.4s, v28.4s
	add	v1.4s, v1.4s, v29.4s
	add	v16.4s, v16.4s, v30.4s
	add	v17.4s, v17.4s, v31.4s
	subs	x4, x4, #1
	b.ne	1b
	stp	q0, q1, [x0]
	stp	q16, q17, [x2]
2:	ret
END ah_sha2_neon_sha256_blocks_pair

FUNCTION ah_sha2_neon_blake3_rows
	cbz	x1, 7f
	ENTER
	mov	x9, x4
	mov	x15, x5
	mov	x10, x7
	mov	w11, w6			/* flags of both kinds */
	ADDRESS	x13, .Liv
	ldr	q12, [x13, #32]
	/* x0 the input, x1 rows left, x2 the distance, x3 blocks; x12 blocks left of these rows */

1:	mov	x4, x0			/* a row that is not there is the last one again: computed, and not stored */
	cmp	x1, #1
	csel	x5, x2, xzr, hi
	add	x5, x5, x4
	cmp	x1, #2
	csel	x6, x2, xzr, hi
	add	x6, x6, x5
	cmp	x1, #3
	csel	x7, x2, xzr, hi
	add	x7, x7, x6
	STORE_COUNTERS
	IV_TO_CV
	and	w14, w11, #0xff
	mov	x12, x3
2:	cmp	x12, #1
	b.ne	3f
	orr	w14, w14, w11, lsr #8
3:	TRANSPOSE NONE
	COMPRESSION NONE
	mov	w14, #0
	subs	x12, x12, #1
	b.ne	2b

	CV_TO_MESSAGE
	add	x0, x0, x2, lsl #2
	add	x9, x9, x15, lsl #2
	cmp	x1, #4
	mov	x16, #4
	csel	x12, x1, x16, lo
	sub	x1, x1, x12
	add	x14, sp, #MESSAGE
5:	ldp	q24, q25, [x14], #32
	stp	q24, q25, [x10], #32
	subs	x12, x12, #1
	b.ne	5b
	cbnz	x1, 1b
	LEAVE
7:	ret
END ah_sha2_neon_blake3_rows

FUNCTION ah_sha2_neon_dual_fours
	cbz	x1, 7f
	ENTER
	ldr	x15, [x0]		/* ah_lane: sha256, in, counter, out */
	ldr	x2, [x0, #8]
	ldr	x9, [x0, #16]
	ldr	x10, [x0, #24]
	ldp	q0, q1, [x15]
	ADDRESS	x3, .Lk
	ADDRESS	x13, .Liv
	ldr	q12, [x13, #32]

1:	mov	x4, x2			/* SHA-256 reads the same four chunks, and ends where the next ones begin */
	add	x5, x4, #1024
	add	x6, x5, #1024
	add	x7, x6, #1024
	mov	x15, #1
	STORE_COUNTERS
	IV_TO_CV
	add	x11, x13, #48
	mov	x8, #16
2:	ldr	w14, [x11], #4
	TRANSPOSE ONE
	COMPRESSION ONE
	subs	x8, x8, #1
	b.ne	2b
	CV_TO_MESSAGE
	.irp	value, 0, 32, 64, 96
	ldp	q24, q25, [sp, #(MESSAGE + \value)]
	stp	q24, q25, [x10], #32
	.endr
	add	x9, x9, #4
	subs	x1, x1, #1
	b.ne	1b

	ldr	x15, [x0]
	stp	q0, q1, [x15]
	LEAVE
7:	ret
END ah_sha2_neon_dual_fours

CONSTANTS
.Liv:	/* BLAKE3 paper, table 1 */
	.long	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
	/* each word turned right by 8 */
	.byte	1, 2, 3, 0, 5, 6, 7, 4, 9, 10, 11, 8, 13, 14, 15, 12
	/* the flags of the blocks of a chunk: start, and end */
	.long	1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2
	.p2align 6
.Lk:	/* FIPS 180-4, 4.2.2 */
	.long	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
	.long	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
	.long	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
	.long	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
	.long	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
	.long	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
	.long	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
	.long	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
