/* SHA-256's compression in portable C (FIPS 180-4, section 6.2). */
#include "artifact_hash.h"
#include "portable.h"

/* FIPS 180-4, 4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t K[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u, 0xab1c5ed5u,
    0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu, 0x9bdc06a7u, 0xc19bf174u,
    0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu, 0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau,
    0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u, 0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u,
    0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu, 0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u,
    0xa2bfe8a1u, 0xa81a664bu, 0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u,
    0x19a4c116u, 0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u, 0xc67178f2u};

static inline uint32_t load_be(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline uint32_t rotr(uint32_t w, unsigned n) { return w >> n | w << (32 - n); }

/* One round; `word` is the message word of round i. */
#define ROUND(a, b, c, d, e, f, g, h, i, word)                                                                         \
    do {                                                                                                               \
        uint32_t t = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + K[i] + (word);               \
        d += t;                                                                                                        \
        h = t + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));                                  \
    } while (0)

/* The message word of round i >= 16, which takes the place of round i - 16's in a ring of 16. */
#define NEXT(i)                                                                                                        \
    (w[(i) & 15] += (rotr(w[((i) + 1) & 15], 7) ^ rotr(w[((i) + 1) & 15], 18) ^ w[((i) + 1) & 15] >> 3) +              \
                    w[((i) + 9) & 15] +                                                                                \
                    (rotr(w[((i) + 14) & 15], 17) ^ rotr(w[((i) + 14) & 15], 19) ^ w[((i) + 14) & 15] >> 10))

/* Eight rounds, after which the eight variables stand in their places again. Every index is a constant. */
#define ROUNDS(i, word)                                                                                                \
    do {                                                                                                               \
        ROUND(a, b, c, d, e, f, g, h, i, word(i));                                                                     \
        ROUND(h, a, b, c, d, e, f, g, i + 1, word(i + 1));                                                             \
        ROUND(g, h, a, b, c, d, e, f, i + 2, word(i + 2));                                                             \
        ROUND(f, g, h, a, b, c, d, e, i + 3, word(i + 3));                                                             \
        ROUND(e, f, g, h, a, b, c, d, i + 4, word(i + 4));                                                             \
        ROUND(d, e, f, g, h, a, b, c, i + 5, word(i + 5));                                                             \
        ROUND(c, d, e, f, g, h, a, b, i + 6, word(i + 6));                                                             \
        ROUND(b, c, d, e, f, g, h, a, i + 7, word(i + 7));                                                             \
    } while (0)

#define FIRST(i) w[i]

void ah_portable_sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks) {
    uint32_t w[16];
    for (; blocks > 0; blocks--, in += AH_BLOCK_BYTES) {
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (unsigned i = 0; i < 16; i++) w[i] = load_be(in + 4 * i);
        ROUNDS(0, FIRST);
        ROUNDS(8, FIRST);
        ROUNDS(16, NEXT);
        ROUNDS(24, NEXT);
        ROUNDS(32, NEXT);
        ROUNDS(40, NEXT);
        ROUNDS(48, NEXT);
        ROUNDS(56, NEXT);
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
