/* BLAKE3 with AVX-512 (F, DQ, VL), without SHA-NI: 16 chunks or parents at once, and one block alone.
 *
 *   void ah_avx512_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out)
 *   void ah_avx512_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out)
 *   void ah_avx512_blake3_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length,
 *                                  uint64_t counter, uint32_t flags, uint32_t out[8])
 *
 * Contract: native/kernel.h, System V calling convention. Pointers need no alignment; nothing outside of `in` is read,
 * nothing outside of `out` is written. `out` may be `in` for parents and `cv` for compress. No data-dependent branch or
 * address: only counts steer.
 *
 * Registers: blake3_avx512.h has the map. Besides: r8 the input, r9 what is left, r11 the counter, rcx the output, edi the
 * block of the chunk, eax flags.
 * Clobbers: rax, rcx, rdx, rsi, rdi, r8 to r11, flags, k1, zmm16 to zmm31. xmm0 to xmm15 are not touched at all, so no
 * vzeroupper is due. Stack: 2,752 bytes and the saved registers.
 *
 * Where the cycles go. A 16-lane compression is 784 vector instructions (560 add and xor, 224 rotate), 112 of the adds
 * with a message word from memory, and 96 loads and shuffles for the transposition: 1,024 bytes. Bounds by ports, to be
 * read as arithmetic and not as a measurement: two 512-bit ALUs (Intel, ports 0 and 5; rotates on port 0 only)
 * 880 / 2 = 440 cycles, 0.43 a byte; four of them (Zen 5) half of that; Zen 4 splits each into two 256-bit halves for
 * four pipes, about 440 again. A chain of 14 by 14 cycles (196) is well below, so the four G of a half round suffice.
 * A single chunk is a chain: 16 blocks of 168 cycles.
 *
 * Seen to run on: an emulator (Bochs 2.7, models corei7_icelake_u and tigerlake, by `make kernel-avx512`), with known
 * answers, against the portable kernel, with guard pages and the register checks. Measured on: no CPU so far.
 */
#define STAGE STREAM_BYTES /* rows of fewer than 16 chunks, where reading 16 would leave the input */
#define FRAME_BYTES (STAGE + 1024)
#include "blake3_avx512.h"
#include "blake3_avx512_rows.h"

	.macro PLAIN number, half, words:vararg
	\half NONE, \words
	.endm

	/* zmm16..23 and the message at rbx, flags in eax. */
	LOCAL .Lcompress
	OPEN_COMPRESSION
	HALF_ROUNDS PLAIN
	CLOSE_COMPRESSION
	ret
	.cfi_endproc

	LOCAL .Ltranspose
	TRANSPOSE NONE
	NEXT_ROWS
	ret
	.cfi_endproc

	/* xmm16, xmm17: the chaining value; r8: the block; r11: the counter; rax: length and, from bit 32, flags. */
	LOCAL .Lcompress_row
	vmovdqu64 zmm20, [r8]
	vmovq	xmm19, r11
	vpinsrq	xmm19, xmm19, rax, 1
	ROW_COMPRESSION NONE
	ret
	.cfi_endproc

FUNCTION ah_avx512_blake3_chunks
	ENTER FRAME_BYTES
	mov	rbx, rsp
	mov	r8, rdi
	mov	r9, rsi
	mov	r11, rdx
	jmp	3f

1:	mov	rsi, r8
	SET_ROWS 1024
	mov	rax, r11
	STORE_COUNTERS
	IV_TO_CV
	xor	edi, edi
2:	call	.Ltranspose
	FLAGS_TO_EAX
	call	.Lcompress
	inc	edi
	cmp	edi, 16
	jb	2b
	mov	rax, rcx
	STORE_CVS
	add	rcx, 512
	add	r8, 16384
	add	r11, 16
	sub	r9, 16
3:	cmp	r9, 16
	jae	1b

	cmp	r9, 1
	jb	9f
	je	6f
	mov	rax, r11
	STORE_COUNTERS
	IV_TO_CV
	xor	edi, edi
4:	mov	rax, r8
	STAGE_ROWS 1024
	call	.Ltranspose
	FLAGS_TO_EAX
	call	.Lcompress
	add	r8, 64
	inc	edi
	cmp	edi, 16
	jb	4b
	STORE_SOME_CVS
	jmp	9f

6:	vmovdqa32 xmm16, [rip + .Liv]
	vmovdqa32 xmm17, [rip + .Liv + 16]
	xor	edi, edi
7:	FLAGS_TO_EAX
	shl	rax, 32
	or	rax, 64
	call	.Lcompress_row
	add	r8, 64
	inc	edi
	cmp	edi, 16
	jb	7b
	vmovdqu32 [rcx], xmm16
	vmovdqu32 [rcx + 16], xmm17
9:	LEAVE_AND_RETURN
END ah_avx512_blake3_chunks

FUNCTION ah_avx512_blake3_parents
	ENTER FRAME_BYTES
	mov	rbx, rsp
	mov	r8, rdi
	mov	r9, rsi
	mov	rcx, rdx
	STORE_NO_COUNTERS
	jmp	2f

1:	mov	rsi, r8
	SET_ROWS 64
	IV_TO_CV
	call	.Ltranspose
	mov	eax, PARENT
	call	.Lcompress
	mov	rax, rcx
	STORE_CVS
	add	rcx, 512
	add	r8, 1024
	sub	r9, 16
2:	cmp	r9, 16
	jae	1b

	test	r9, r9
	jz	3f
	mov	rax, r8
	STAGE_ROWS 64
	IV_TO_CV
	call	.Ltranspose
	mov	eax, PARENT
	call	.Lcompress
	STORE_SOME_CVS
3:	LEAVE_AND_RETURN
END ah_avx512_blake3_parents

FUNCTION ah_avx512_blake3_compress
	ENTER 512
	mov	rbx, rsp
	vmovdqu32 xmm16, [rdi]
	vmovdqu32 xmm17, [rdi + 16]
	mov	r11, rcx
	mov	eax, edx /* the upper half of rdx is the caller's noise */
	shl	r8, 32   /* and that of r8 goes out */
	or	rax, r8
	mov	r8, rsi
	call	.Lcompress_row
	vmovdqu32 [r9], xmm16
	vmovdqu32 [r9 + 16], xmm17
	LEAVE_AND_RETURN
END ah_avx512_blake3_compress

	BLAKE3_CONSTANTS
	ROW_CONSTANTS
