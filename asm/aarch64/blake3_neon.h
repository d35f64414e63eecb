/* BLAKE3 with NEON, four rows at once, as macros with a hook.
 *
 * A hook is the name of a macro that is called between pieces of vector work: 12 times in a half round, 24 times in a
 * transposition. `NONE` leaves the work as it is; sha2_neon.S has one that puts a step of SHA-256 in each place.
 *
 *     v16..19  a = v0..v3     v20..23  b = v4..v7     v24..27  c = v8..v11     v28..31  d = v12..v15
 *     v8..v11  scratch        v12  the byte order that turns each word by 8
 *     sp + MESSAGE  16 words of four rows     sp + COUNTERS  the counters' low words, then the high ones
 *     x4..x7  the four rows, move on
 *
 * One register holds one word of four rows. Between compressions v16..23 hold the chaining values. NEON has no rotation:
 * 16 is a swap of halves (rev32), 8 a table look-up, 12 and 7 a shift and a shift with insertion. There are no operands
 * in memory, so a message word is a load and an addition.
 */
	.macro NONE
	.endm

	.macro FOUR op, r0, r1, r2, r3, s0, s1, s2, s3
	\op	v\r0\().4s, v\r0\().4s, v\s0\().4s
	\op	v\r1\().4s, v\r1\().4s, v\s1\().4s
	\op	v\r2\().4s, v\r2\().4s, v\s2\().4s
	\op	v\r3\().4s, v\r3\().4s, v\s3\().4s
	.endm

	.macro XOR_FOUR to0, to1, to2, to3, r0, r1, r2, r3, s0, s1, s2, s3
	eor	v\to0\().16b, v\r0\().16b, v\s0\().16b
	eor	v\to1\().16b, v\r1\().16b, v\s1\().16b
	eor	v\to2\().16b, v\r2\().16b, v\s2\().16b
	eor	v\to3\().16b, v\r3\().16b, v\s3\().16b
	.endm

	.macro LOAD_FOUR m0, m1, m2, m3
	ldr	q8, [sp, #(MESSAGE + 16 * \m0)]
	ldr	q9, [sp, #(MESSAGE + 16 * \m1)]
	ldr	q10, [sp, #(MESSAGE + 16 * \m2)]
	ldr	q11, [sp, #(MESSAGE + 16 * \m3)]
	.endm

	/* v8..v11, turned right by `count`, to b. */
	.macro TURN_FOUR hook, count, b0, b1, b2, b3
	shl	v\b0\().4s, v8.4s, #(32 - \count)
	shl	v\b1\().4s, v9.4s, #(32 - \count)
	shl	v\b2\().4s, v10.4s, #(32 - \count)
	shl	v\b3\().4s, v11.4s, #(32 - \count)
	\hook
	sri	v\b0\().4s, v8.4s, #\count
	sri	v\b1\().4s, v9.4s, #\count
	sri	v\b2\().4s, v10.4s, #\count
	sri	v\b3\().4s, v11.4s, #\count
	.endm

	/* Four G at once; the arguments are the registers of b, c and d, and the words x and y of each G in turn. */
	.macro HALF_ROUND hook, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3, x0, y0, x1, y1, x2, y2, x3, y3
	LOAD_FOUR \x0, \x1, \x2, \x3
	\hook
	FOUR	add, 16, 17, 18, 19, 8, 9, 10, 11
	FOUR	add, 16, 17, 18, 19, \b0, \b1, \b2, \b3
	\hook
	XOR_FOUR \d0, \d1, \d2, \d3, \d0, \d1, \d2, \d3, 16, 17, 18, 19
	rev32	v\d0\().8h, v\d0\().8h
	rev32	v\d1\().8h, v\d1\().8h
	rev32	v\d2\().8h, v\d2\().8h
	rev32	v\d3\().8h, v\d3\().8h
	\hook
	FOUR	add, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	\hook
	XOR_FOUR 8, 9, 10, 11, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	\hook
	TURN_FOUR \hook, 12, \b0, \b1, \b2, \b3
	LOAD_FOUR \y0, \y1, \y2, \y3
	\hook
	FOUR	add, 16, 17, 18, 19, 8, 9, 10, 11
	FOUR	add, 16, 17, 18, 19, \b0, \b1, \b2, \b3
	\hook
	XOR_FOUR \d0, \d1, \d2, \d3, \d0, \d1, \d2, \d3, 16, 17, 18, 19
	tbl	v\d0\().16b, {v\d0\().16b}, v12.16b
	tbl	v\d1\().16b, {v\d1\().16b}, v12.16b
	tbl	v\d2\().16b, {v\d2\().16b}, v12.16b
	tbl	v\d3\().16b, {v\d3\().16b}, v12.16b
	\hook
	FOUR	add, \c0, \c1, \c2, \c3, \d0, \d1, \d2, \d3
	\hook
	XOR_FOUR 8, 9, 10, 11, \b0, \b1, \b2, \b3, \c0, \c1, \c2, \c3
	\hook
	TURN_FOUR \hook, 7, \b0, \b1, \b2, \b3
	.endm

	/* A round; the arguments are the message words in its order. */
	.macro ROUND hook, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15
	HALF_ROUND \hook, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, \s0, \s1, \s2, \s3, \s4, \s5, \s6, \s7
	HALF_ROUND \hook, 21, 22, 23, 20, 26, 27, 24, 25, 31, 28, 29, 30, \s8, \s9, \s10, \s11, \s12, \s13, \s14, \s15
	.endm

	/* One compression of whole blocks of four rows. w14: the flags; x13: .Liv. BLAKE3 paper, table 2, 0 to 6 times. */
	.macro COMPRESSION hook
	ld4r	{v24.4s, v25.4s, v26.4s, v27.4s}, [x13]
	ldp	q28, q29, [sp, #COUNTERS]
	movi	v30.4s, #64
	dup	v31.4s, w14
	ROUND	\hook, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	ROUND	\hook, 2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8
	ROUND	\hook, 3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1
	ROUND	\hook, 10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6
	ROUND	\hook, 12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4
	ROUND	\hook, 9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7
	ROUND	\hook, 11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13
	XOR_FOUR 16, 17, 18, 19, 16, 17, 18, 19, 24, 25, 26, 27
	XOR_FOUR 20, 21, 22, 23, 20, 21, 22, 23, 28, 29, 30, 31
	.endm

	/* v24..27 transposed to v24, v25, v26, v27, by way of v28..31. */
	.macro TRANSPOSE_FOUR hook
	zip1	v28.4s, v24.4s, v25.4s
	zip2	v29.4s, v24.4s, v25.4s
	\hook
	zip1	v30.4s, v26.4s, v27.4s
	zip2	v31.4s, v26.4s, v27.4s
	\hook
	zip1	v24.2d, v28.2d, v30.2d
	zip2	v25.2d, v28.2d, v30.2d
	\hook
	zip1	v26.2d, v29.2d, v31.2d
	zip2	v27.2d, v29.2d, v31.2d
	\hook
	.endm

	.macro TRANSPOSE_COLUMN hook, column
	ldr	q24, [x4], #16
	ldr	q25, [x5], #16
	\hook
	ldr	q26, [x6], #16
	ldr	q27, [x7], #16
	\hook
	TRANSPOSE_FOUR \hook
	stp	q24, q25, [sp, #(MESSAGE + 64 * \column)]
	stp	q26, q27, [sp, #(MESSAGE + 64 * \column + 32)]
	.endm

	/* The next 64 bytes of four rows to 16 message words; the chaining values stay. */
	.macro TRANSPOSE hook
	TRANSPOSE_COLUMN \hook, 0
	TRANSPOSE_COLUMN \hook, 1
	TRANSPOSE_COLUMN \hook, 2
	TRANSPOSE_COLUMN \hook, 3
	.endm

	.macro IV_TO_CV
	ld4r	{v16.4s, v17.4s, v18.4s, v19.4s}, [x13]
	add	x16, x13, #16
	ld4r	{v20.4s, v21.4s, v22.4s, v23.4s}, [x16]
	.endm

	/* Counters of four rows from x9 on, x15 apart (0 or 1). x16, x17 are lost. */
	.macro STORE_COUNTERS
	mov	x16, x9
	.irp	row, 0, 1, 2, 3
	lsr	x17, x16, #32
	str	w16, [sp, #(COUNTERS + 4 * \row)]
	str	w17, [sp, #(COUNTERS + 16 + 4 * \row)]
	add	x16, x16, x15
	.endr
	.endm

	/* d8 to d12 are the caller's; what the functions of sha2_neon.S have on the stack lies below them. */
	.macro ENTER
	sub	sp, sp, #FRAME_BYTES
	.cfi_def_cfa_offset FRAME_BYTES
	stp	d8, d9, [sp, #SAVED]
	stp	d10, d11, [sp, #(SAVED + 16)]
	str	d12, [sp, #(SAVED + 32)]
	.endm

	.macro LEAVE
	ldp	d8, d9, [sp, #SAVED]
	ldp	d10, d11, [sp, #(SAVED + 16)]
	ldr	d12, [sp, #(SAVED + 32)]
	add	sp, sp, #FRAME_BYTES
	.cfi_def_cfa_offset 0
	ret
	.endm

	/* Four chaining values to the 16-byte aligned message area, 32 bytes each. */
	.macro CV_TO_MESSAGE
	mov	v24.16b, v16.16b
	mov	v25.16b, v17.16b
	mov	v26.16b, v18.16b
	mov	v27.16b, v19.16b
	TRANSPOSE_FOUR NONE
	str	q24, [sp, #MESSAGE]
	str	q25, [sp, #(MESSAGE + 32)]
	str	q26, [sp, #(MESSAGE + 64)]
	str	q27, [sp, #(MESSAGE + 96)]
	mov	v24.16b, v20.16b
	mov	v25.16b, v21.16b
	mov	v26.16b, v22.16b
	mov	v27.16b, v23.16b
	TRANSPOSE_FOUR NONE
	str	q24, [sp, #(MESSAGE + 16)]
	str	q25, [sp, #(MESSAGE + 48)]
	str	q26, [sp, #(MESSAGE + 80)]
	str	q27, [sp, #(MESSAGE + 112)]
	.endm
