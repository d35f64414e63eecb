/* The kernel for SHA-NI and SSE4.1: CPUs of the small kind that have no AVX (Goldmont, Tremont).
 *
 * BLAKE3 is asm/x86_64/blake3_sse41.S, four lanes. SHA-256 is C intrinsics: it is bound by the latency of sha256rnds2,
 * and a compiler's order of the rest is as good as another. They run one after the other. Stitched by a compiler (64
 * quads of rounds spread over the 14 half rounds of four lanes) the two took the time of both on Zen 3; four lanes need 272
 * vector instructions a block, which with SHA-256's 164 operations leaves no shadow on a core with two or three vector
 * ports, and no CPU that ends up here was at hand to tune for.
 */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1,ssse3")))
#define INLINE TARGET static inline __attribute__((always_inline))

enum { LANES = 4, CHUNK_BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES };

static __m128i *vector(void *p) { return (__m128i *)p; }
static const __m128i *const_vector(const void *p) { return (const __m128i *)p; }

typedef struct sha {
    __m128i abef, cdgh, abef_before, cdgh_before, w[4];
} sha;

INLINE sha sha_in(const uint32_t state[8]) {
    sha s;
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(const_vector(state)), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(const_vector(state + 4)), 0x1b);
    s.abef = _mm_alignr_epi8(cdab, efgh, 8);
    s.cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    return s;
}

INLINE void sha_out(const sha *s, uint32_t state[8]) {
    __m128i feba = _mm_shuffle_epi32(s->abef, 0x1b), dchg = _mm_shuffle_epi32(s->cdgh, 0xb1);
    _mm_storeu_si128(vector(state), _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(vector(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four rounds: quad q of the block at `in`. q is a constant where this is expanded. */
INLINE void sha_quad(sha *s, const uint8_t *in, unsigned q) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
    __m128i *w = &s->w[q % 4], *next = &s->w[(q + 1) % 4], *before = &s->w[(q + 3) % 4];
    if (q < 4) *w = _mm_shuffle_epi8(_mm_loadu_si128(const_vector(in + 16 * q)), swap);
    if (q == 0) s->abef_before = s->abef, s->cdgh_before = s->cdgh;
    __m128i words = _mm_add_epi32(*w, _mm_load_si128(const_vector(ah_sha256_ni_k + 4 * q)));
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, words);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(words, 0x0e));
    if (q >= 3 && q < 15)
        *next = _mm_sha256msg2_epu32(_mm_add_epi32(*next, _mm_alignr_epi8(*w, *before, 4)), *w);
    if (q >= 1 && q < 13) *before = _mm_sha256msg1_epu32(*before, *w);
    if (q == 15) {
        s->abef = _mm_add_epi32(s->abef, s->abef_before);
        s->cdgh = _mm_add_epi32(s->cdgh, s->cdgh_before);
    }
}

TARGET static void sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks) {
    if (blocks == 0) return;
    sha s = sha_in(state);
    for (; blocks > 0; blocks--, in += AH_BLOCK_BYTES) {
#pragma GCC unroll 16
        for (unsigned q = 0; q < 16; q++) sha_quad(&s, in, q);
    }
    sha_out(&s, state);
}

AH_INTERNAL void ah_blake3_sse41_chunks(const uint8_t *in, size_t fours, uint64_t counter, uint8_t *out);
AH_INTERNAL void ah_blake3_sse41_parents(const uint8_t *in, size_t fours, uint8_t *out);

static void blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    size_t done = chunks / LANES * LANES;
    ah_blake3_sse41_chunks(in, chunks / LANES, counter, out);
    ah_portable_blake3_chunks(in + done * AH_CHUNK_BYTES, chunks - done, counter + done, out + done * AH_DIGEST_BYTES);
}

static void blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    size_t done = parents / LANES * LANES;
    ah_blake3_sse41_parents(in, parents / LANES, out);
    ah_portable_blake3_parents(in + done * AH_BLOCK_BYTES, parents - done, out + done * AH_DIGEST_BYTES);
}

/* One function after the other while the chunks are in the first cache. */
static void dual_chunks(const ah_lane *lane, size_t chunks) {
    enum { AT_ONCE = 16 };
    for (size_t done = 0; done < chunks; done += AT_ONCE) {
        size_t now = chunks - done < AT_ONCE ? chunks - done : AT_ONCE;
        ah_lane at = ah_skip(*lane, done);
        sha256_blocks(at.sha256, at.in, now * CHUNK_BLOCKS);
        blake3_chunks(at.in, now, at.counter, at.out);
    }
}

const ah_kernel ah_sha_sse41 = {
    .name = "sha-sse41",
    .needs = AH_CPU_SHA | AH_CPU_SSE41,
    .sha256_blocks = sha256_blocks,
    .blake3_chunks = blake3_chunks,
    .blake3_parents = blake3_parents,
    .blake3_compress = ah_portable_blake3_compress,
    .dual_chunks = dual_chunks,
};
#endif
