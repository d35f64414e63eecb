/* BLAKE3's compression in portable C (BLAKE3 paper, sections 2.2 and 2.3). */
#include "artifact_hash.h"
#include "portable.h"
#include <string.h>

const uint32_t ah_blake3_iv[8] = {0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au,
                                  0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u};

static inline uint32_t load_le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void store_le(uint8_t *p, uint32_t w) {
    p[0] = (uint8_t)w;
    p[1] = (uint8_t)(w >> 8);
    p[2] = (uint8_t)(w >> 16);
    p[3] = (uint8_t)(w >> 24);
}

static inline uint32_t rotr(uint32_t w, unsigned n) { return w >> n | w << (32 - n); }

#define G(a, b, c, d, x, y)                                                                                            \
    do {                                                                                                               \
        a += b + (x);                                                                                                  \
        d = rotr(d ^ a, 16);                                                                                           \
        c += d;                                                                                                        \
        b = rotr(b ^ c, 12);                                                                                           \
        a += b + (y);                                                                                                  \
        d = rotr(d ^ a, 8);                                                                                            \
        c += d;                                                                                                        \
        b = rotr(b ^ c, 7);                                                                                            \
    } while (0)

/* One round over the columns, then the diagonals; the arguments are the message words in this round's order. */
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                    \
    do {                                                                                                               \
        G(v0, v4, v8, v12, m[s0], m[s1]);                                                                              \
        G(v1, v5, v9, v13, m[s2], m[s3]);                                                                              \
        G(v2, v6, v10, v14, m[s4], m[s5]);                                                                             \
        G(v3, v7, v11, v15, m[s6], m[s7]);                                                                             \
        G(v0, v5, v10, v15, m[s8], m[s9]);                                                                             \
        G(v1, v6, v11, v12, m[s10], m[s11]);                                                                           \
        G(v2, v7, v8, v13, m[s12], m[s13]);                                                                            \
        G(v3, v4, v9, v14, m[s14], m[s15]);                                                                            \
    } while (0)

void ah_portable_blake3_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_len, uint64_t counter,
                                 uint32_t flags, uint32_t out[8]) {
    uint32_t m[16];
    for (unsigned i = 0; i < 16; i++) m[i] = load_le(block + 4 * i);
    uint32_t v0 = cv[0], v1 = cv[1], v2 = cv[2], v3 = cv[3], v4 = cv[4], v5 = cv[5], v6 = cv[6], v7 = cv[7];
    uint32_t v8 = ah_blake3_iv[0], v9 = ah_blake3_iv[1], v10 = ah_blake3_iv[2], v11 = ah_blake3_iv[3];
    uint32_t v12 = (uint32_t)counter, v13 = (uint32_t)(counter >> 32), v14 = block_len, v15 = flags;
    /* The message permutation of the paper's table 2, applied 0 to 6 times. */
    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
    out[0] = v0 ^ v8;
    out[1] = v1 ^ v9;
    out[2] = v2 ^ v10;
    out[3] = v3 ^ v11;
    out[4] = v4 ^ v12;
    out[5] = v5 ^ v13;
    out[6] = v6 ^ v14;
    out[7] = v7 ^ v15;
}

void ah_portable_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    for (; chunks > 0; chunks--, counter++, in += AH_CHUNK_BYTES, out += 32) {
        uint32_t cv[8];
        memcpy(cv, ah_blake3_iv, sizeof cv);
        for (unsigned block = 0; block < AH_CHUNK_BYTES / AH_BLOCK_BYTES; block++) {
            uint32_t flags = block == 0 ? AH_CHUNK_START : block == AH_CHUNK_BYTES / AH_BLOCK_BYTES - 1 ? AH_CHUNK_END : 0;
            ah_portable_blake3_compress(cv, in + AH_BLOCK_BYTES * block, AH_BLOCK_BYTES, counter, flags, cv);
        }
        for (unsigned i = 0; i < 8; i++) store_le(out + 4 * i, cv[i]);
    }
}

void ah_portable_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    for (; parents > 0; parents--, in += AH_BLOCK_BYTES, out += 32) {
        uint32_t cv[8];
        ah_portable_blake3_compress(ah_blake3_iv, in, AH_BLOCK_BYTES, 0, AH_PARENT, cv);
        for (unsigned i = 0; i < 8; i++) store_le(out + 4 * i, cv[i]);
    }
}
