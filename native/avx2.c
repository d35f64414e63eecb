/* The kernel for AVX2 without SHA-NI. Both functions over eight chunks and more are asm/x86_64/avx2.S; BLAKE3 alone is by
 * the eight lanes of asm/x86_64; SHA-256 alone, and what is left of both, by scalar rounds with a message schedule of four
 * words at a time.
 *
 * These rounds are C: 64 times 22 scalar instructions are what four ports are busy with for 350 cycles a block, rorx and
 * andn included, and a compiler emits just these. The vector unit idles meanwhile, so the schedule costs nothing if it
 * stands between the rounds: that is written out here, and the compiler leaves it there. (Assembly for both gains what a
 * compiler does not do: it lays BLAKE3 between the rounds, and the schedule of eight blocks at once.)
 */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"
#include <immintrin.h>

enum { LANES = 8 };

/* avx2.S: both functions over eight chunks at once. */
AH_INTERNAL void ah_avx2_dual_eights(const ah_lane *lane, size_t eights);

#define TARGET __attribute__((target("avx2,bmi,bmi2")))
#define INLINE TARGET static inline __attribute__((always_inline))

/* Let the compiler forget what it has just stored there: else it takes the words out of the vectors, one by one. */
#define IN_MEMORY(array) __asm__("" : "+m"(array))

INLINE uint32_t rotate(uint32_t w, unsigned n) { return w >> n | w << (32 - n); }

/* One round: `wk` is the message word and the constant. b_c is b ^ c, and becomes a ^ b, the next round's b ^ c. */
#define ROUND(a, b, c, d, e, f, g, h, wk)                                                                              \
    do {                                                                                                               \
        uint32_t a_b = a ^ b;                                                                                          \
        h += (wk) + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) + (~e & g));                             \
        d += h;                                                                                                        \
        h += (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + (b ^ (a_b & b_c));                                       \
        b_c = a_b;                                                                                                     \
    } while (0)

/* FIPS 180-4, 4.1.2: sigma0 of four words. */
INLINE __m128i sigma0(__m128i w) {
    __m128i r7 = _mm_or_si128(_mm_srli_epi32(w, 7), _mm_slli_epi32(w, 25));
    __m128i r18 = _mm_or_si128(_mm_srli_epi32(w, 18), _mm_slli_epi32(w, 14));
    return _mm_xor_si128(_mm_xor_si128(r7, r18), _mm_srli_epi32(w, 3));
}

/* sigma1 of two words, each given twice side by side; in the low half of each pair. A shift of 64 bits rotates. */
INLINE __m128i sigma1(__m128i pairs) {
    __m128i r17 = _mm_srli_epi64(pairs, 17), r19 = _mm_srli_epi64(pairs, 19);
    return _mm_xor_si128(_mm_xor_si128(r17, r19), _mm_srli_epi32(pairs, 10));
}

/* The next four words after 16: w[t-16] + sigma0(w[t-15]) + w[t-7] + sigma1(w[t-2]); the last two need the first. */
INLINE __m128i schedule(__m128i w0, __m128i w4, __m128i w8, __m128i w12) {
    const __m128i low = _mm_set_epi64x(-1, 0x0b0a090803020100ll), high = _mm_set_epi64x(0x0b0a090803020100ll, -1);
    __m128i w = _mm_add_epi32(_mm_add_epi32(w0, sigma0(_mm_alignr_epi8(w4, w0, 4))), _mm_alignr_epi8(w12, w8, 4));
    w = _mm_add_epi32(w, _mm_shuffle_epi8(sigma1(_mm_shuffle_epi32(w12, 0xfa)), low));
    return _mm_add_epi32(w, _mm_shuffle_epi8(sigma1(_mm_shuffle_epi32(w, 0x50)), high));
}

TARGET void ah_avx2_sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    const __m128i *k = (const __m128i *)(const void *)ah_sha256_ni_k;
    for (; blocks > 0; blocks--, in += AH_BLOCK_BYTES) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7], b_c = b ^ c;
        __m128i w[4];
        _Alignas(16) uint32_t wk[16];
        for (unsigned i = 0; i < 4; i++) {
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(in + 16 * i)), swap);
            _mm_store_si128((__m128i *)(void *)(wk + 4 * i), _mm_add_epi32(w[i], k[i]));
        }
#pragma GCC unroll 8
        for (unsigned q = 0; q < 16; q += 2) {
            IN_MEMORY(wk);
            ROUND(a, b, c, d, e, f, g, h, wk[4 * (q % 4)]);
            ROUND(h, a, b, c, d, e, f, g, wk[4 * (q % 4) + 1]);
            ROUND(g, h, a, b, c, d, e, f, wk[4 * (q % 4) + 2]);
            ROUND(f, g, h, a, b, c, d, e, wk[4 * (q % 4) + 3]);
            if (q < 12) {
                w[q % 4] = schedule(w[q % 4], w[(q + 1) % 4], w[(q + 2) % 4], w[(q + 3) % 4]);
                _mm_store_si128((__m128i *)(void *)(wk + 4 * (q % 4)), _mm_add_epi32(w[q % 4], k[q + 4]));
            }
            IN_MEMORY(wk);
            ROUND(e, f, g, h, a, b, c, d, wk[4 * ((q + 1) % 4)]);
            ROUND(d, e, f, g, h, a, b, c, wk[4 * ((q + 1) % 4) + 1]);
            ROUND(c, d, e, f, g, h, a, b, wk[4 * ((q + 1) % 4) + 2]);
            ROUND(b, c, d, e, f, g, h, a, wk[4 * ((q + 1) % 4) + 3]);
            if (q < 12) {
                w[(q + 1) % 4] = schedule(w[(q + 1) % 4], w[(q + 2) % 4], w[(q + 3) % 4], w[q % 4]);
                _mm_store_si128((__m128i *)(void *)(wk + 4 * ((q + 1) % 4)), _mm_add_epi32(w[(q + 1) % 4], k[q + 5]));
            }
        }
        state[0] += a;
        state[1] += b;
        state[2] += c;
        state[3] += d;
        state[4] += e;
        state[5] += f;
        state[6] += g;
        state[7] += h;
    }
}

/* Eight chunks at once in one instruction stream; what is left, one function after the other. */
static void dual_chunks(const ah_lane *lane, size_t chunks) {
    size_t eights = chunks / LANES, rest = chunks % LANES;
    ah_lane at = ah_skip(*lane, eights * LANES);
    ah_avx2_dual_eights(lane, eights);
    ah_avx2_sha256_blocks(at.sha256, at.in, rest * (AH_CHUNK_BYTES / AH_BLOCK_BYTES));
    ah_avx2_blake3_chunks(at.in, rest, at.counter, at.out);
}

const ah_kernel ah_avx2 = {
    .name = "avx2",
    .needs = AH_CPU_AVX2,
    .sha256_blocks = ah_avx2_sha256_blocks,
    .blake3_chunks = ah_avx2_blake3_chunks,
    .blake3_parents = ah_avx2_blake3_parents,
    .blake3_compress = ah_avx_compress,
    .dual_chunks = dual_chunks,
};
#endif
