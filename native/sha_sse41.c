/* The kernel for SHA-NI and SSE4.1: CPUs of the small kind that have no AVX.
 *
 * C intrinsics, since assembly would gain little here: four lanes of BLAKE3 need 272 vector instructions a block, with the
 * 164 operations of SHA-256 more than four ports do in the 128 cycles of a block, so ports and not the schedule are the
 * bound; and what a compiler cannot do, vzeroupper between bursts, is not needed without AVX. The interleaving is written
 * out: 64 quads of rounds (four blocks) spread over the 14 half rounds of a compression of four lanes.
 */
#include "artifact_hash.h"
#include "portable.h"
#include <string.h>

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

INLINE __m128i rotate(__m128i v, int right) {
    if (right == 16)
        return _mm_shuffle_epi8(v, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
    if (right == 8)
        return _mm_shuffle_epi8(v, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
    return _mm_or_si128(_mm_srli_epi32(v, right), _mm_slli_epi32(v, 32 - right));
}

/* Four G: columns (shift 0) or diagonals (1), of four chunks; step by step, so that four chains are always in flight. */
INLINE void half_round(__m128i v[16], const __m128i m[16], const uint8_t *order, unsigned shift) {
    __m128i *a = v, *b[4], *c[4], *d[4];
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        b[i] = v + 4 + (i + shift) % 4;
        c[i] = v + 8 + (i + 2 * shift) % 4;
        d[i] = v + 12 + (i + 3 * shift) % 4;
    }
#define EACH(step)                                                                                                     \
    _Pragma("GCC unroll 4") for (unsigned i = 0; i < 4; i++) step
#pragma GCC unroll 2
    for (unsigned second = 0; second < 2; second++) {
        EACH(a[i] = _mm_add_epi32(a[i], m[order[2 * i + second]]));
        EACH(a[i] = _mm_add_epi32(a[i], *b[i]));
        EACH(*d[i] = rotate(_mm_xor_si128(*d[i], a[i]), second ? 8 : 16));
        EACH(*c[i] = _mm_add_epi32(*c[i], *d[i]));
        EACH(*b[i] = _mm_xor_si128(*b[i], *c[i]));
        EACH(*b[i] = rotate(*b[i], second ? 7 : 12));
    }
#undef EACH
}

INLINE void transpose(__m128i r[4]) {
    __m128i t0 = _mm_unpacklo_epi32(r[0], r[1]), t1 = _mm_unpackhi_epi32(r[0], r[1]);
    __m128i t2 = _mm_unpacklo_epi32(r[2], r[3]), t3 = _mm_unpackhi_epi32(r[2], r[3]);
    r[0] = _mm_unpacklo_epi64(t0, t2);
    r[1] = _mm_unpackhi_epi64(t0, t2);
    r[2] = _mm_unpacklo_epi64(t1, t3);
    r[3] = _mm_unpackhi_epi64(t1, t3);
}

/* BLAKE3 paper, table 2, applied 0 to 6 times. */
static const uint8_t orders[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13}};

/* One compression of four blocks, `stride` apart; and, unless `s` is NULL, four blocks of SHA-256. */
INLINE void compress4(__m128i cv[8], const uint8_t *in, size_t stride, const __m128i counter[2], uint32_t flags, sha *s,
                      const uint8_t *sha_in_) {
    __m128i v[16], m[16];
#pragma GCC unroll 4
    for (unsigned part = 0; part < 4; part++) {
        for (unsigned lane = 0; lane < LANES; lane++)
            m[4 * part + lane] = _mm_loadu_si128(const_vector(in + stride * lane + 16 * part));
        transpose(m + 4 * part);
    }
    memcpy(v, cv, 8 * sizeof *v);
    for (unsigned i = 0; i < 4; i++) v[8 + i] = _mm_set1_epi32((int)ah_blake3_iv[i]);
    v[12] = counter[0];
    v[13] = counter[1];
    v[14] = _mm_set1_epi32(AH_BLOCK_BYTES);
    v[15] = _mm_set1_epi32((int)flags);
#pragma GCC unroll 14
    for (unsigned half = 0; half < 14; half++) {
        half_round(v, m, orders[half / 2] + half % 2 * 8, half % 2);
        if (s == NULL) continue;
#pragma GCC unroll 8
        for (unsigned q = half * 64 / 14; q < (half + 1) * 64 / 14; q++)
            sha_quad(s, sha_in_ + q / 16 * AH_BLOCK_BYTES, q % 16);
    }
    for (unsigned i = 0; i < 8; i++) cv[i] = _mm_xor_si128(v[i], v[i + 8]);
}

INLINE void store4(__m128i cv[8], uint8_t *out) {
    transpose(cv);
    transpose(cv + 4);
    for (unsigned lane = 0; lane < LANES; lane++) {
        _mm_storeu_si128(vector(out + 32 * lane), cv[lane]);
        _mm_storeu_si128(vector(out + 32 * lane + 16), cv[4 + lane]);
    }
}

INLINE void iv4(__m128i cv[8]) {
    for (unsigned i = 0; i < 8; i++) cv[i] = _mm_set1_epi32((int)ah_blake3_iv[i]);
}

/* Four chunks; for SHA-256 too, unless `sha256` is NULL. */
INLINE void chunks4(uint32_t *sha256, const uint8_t *in, uint64_t counter, uint8_t *out) {
    __m128i cv[8], counters[2];
    uint32_t low[LANES], high[LANES];
    const uint8_t *sha_at = in;
    sha s;
    if (sha256 != NULL) s = sha_in(sha256);
    for (unsigned lane = 0; lane < LANES; lane++) {
        low[lane] = (uint32_t)(counter + lane);
        high[lane] = (uint32_t)((counter + lane) >> 32);
    }
    counters[0] = _mm_loadu_si128(const_vector(low));
    counters[1] = _mm_loadu_si128(const_vector(high));
    iv4(cv);
    for (unsigned block = 0; block < CHUNK_BLOCKS; block++, sha_at += LANES * AH_BLOCK_BYTES) {
        uint32_t flags = block == 0 ? AH_CHUNK_START : block == CHUNK_BLOCKS - 1 ? AH_CHUNK_END : 0;
        compress4(cv, in + block * AH_BLOCK_BYTES, AH_CHUNK_BYTES, counters, flags, sha256 == NULL ? NULL : &s, sha_at);
    }
    store4(cv, out);
    if (sha256 != NULL) sha_out(&s, sha256);
}

TARGET static void blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    for (; chunks >= LANES; chunks -= LANES, in += LANES * AH_CHUNK_BYTES, counter += LANES, out += LANES * 32)
        chunks4(NULL, in, counter, out);
    ah_portable_blake3_chunks(in, chunks, counter, out);
}

TARGET static void blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    const __m128i counter[2] = {_mm_setzero_si128(), _mm_setzero_si128()};
    for (; parents >= LANES; parents -= LANES, in += LANES * AH_BLOCK_BYTES, out += LANES * 32) {
        __m128i cv[8];
        iv4(cv);
        compress4(cv, in, AH_BLOCK_BYTES, counter, AH_PARENT, NULL, NULL);
        store4(cv, out);
    }
    ah_portable_blake3_parents(in, parents, out);
}

TARGET static void dual_chunks(const ah_lane *lane, size_t chunks) {
    ah_lane at = *lane;
    for (; chunks >= LANES; chunks -= LANES) {
        chunks4(at.sha256, at.in, at.counter, at.out);
        at = ah_skip(at, LANES);
    }
    sha256_blocks(at.sha256, at.in, chunks * CHUNK_BLOCKS);
    ah_portable_blake3_chunks(at.in, chunks, at.counter, at.out);
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
