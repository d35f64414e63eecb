/* SHA-256 of one stream by SHA-NI.
 *
 *     void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);          rdi, rsi, rdx
 *
 * System V calls. Clobbers: rax, rsi, rdx, xmm0 to xmm6, flags; 40 bytes of red zone are used. Needs SHA, SSE4.1, AVX.
 * No upper half is touched; a caller leaves them clean (every function here does).
 *
 * Register map: the definitions. Where its cycles go: 32 sha256rnds2 in sequence, 4 cycles each, and one addition: 129 a
 * block (sha256_ni.h). Everything else is in the shadow of that.
 *
 *     CPU                       cycles a byte    against OpenSSL
 *     AMD Zen 3 (EPYC, SHA-NI)  1.96             0.99
 */
#define S_IN	rsi
#define S_K	rax
#define S_FRAME	rsp
#define S_SAVE	-40		/* 16-byte aligned, since the return address is at rsp */
#define S_ABEF	xmm1
#define S_CDGH	xmm2
#define S_W0	xmm3
#define S_W1	xmm4
#define S_W2	xmm5
#define S_W3	xmm6
#include "function.h"
#include "sha256_ni.h"

FUNCTION ah_sha256_ni_blocks
	test	rdx, rdx
	jz	2f
	lea	S_K, [rip + SYMBOL(ah_sha256_ni_k)]
	SHA_STATE_IN rdi
	.p2align 5
1:	SHA_BEGIN
	SHA_STEPS 64
	add	S_IN, 64
	dec	rdx
	jnz	1b
	SHA_STATE_OUT rdi
2:	ret
END ah_sha256_ni_blocks

CONSTANTS
CONSTANT ah_sha256_ni_k
	/* FIPS 180-4, 4.2.2 */
	.long	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5
	.long	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174
	.long	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da
	.long	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967
	.long	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85
	.long	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070
	.long	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3
	.long	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
	/* the byte swap of each word */
	.byte	3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12
