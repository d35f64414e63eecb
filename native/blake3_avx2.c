/* BLAKE3 by eight lanes of AVX2: the parts of asm/x86_64/blake3_avx2.S put together. */
#include "artifact_hash.h"
#include "kernel.h"
#include <string.h>

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

enum { LANES = 8, CHUNK_BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES };

AH_INTERNAL void ah_blake3_avx2_chunks(const uint8_t *in, size_t eights, uint64_t counter, uint8_t *out, size_t last);
AH_INTERNAL void ah_blake3_avx2_parents(const uint8_t *in, size_t eights, uint8_t *out, size_t last);

/* Of `count` inputs those that the eight lanes take after the eights: the rest, if it is at least half. */
static size_t last_lanes(size_t count) { return count % LANES >= LANES / 2 ? count % LANES : 0; }

/* x86 is little-endian, as BLAKE3's words are. */
static void store_words(uint8_t *out, const uint32_t words[8]) { memcpy(out, words, AH_DIGEST_BYTES); }

void ah_avx2_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    size_t done = chunks - (chunks % LANES - last_lanes(chunks));
    ah_blake3_avx2_chunks(in, chunks / LANES, counter, out, last_lanes(chunks));
    for (size_t i = done; i < chunks; i++) {
        uint32_t cv[8];
        memcpy(cv, ah_blake3_iv, sizeof cv);
        for (size_t block = 0; block < CHUNK_BLOCKS; block++) {
            uint32_t flags = block == 0 ? AH_CHUNK_START : block == CHUNK_BLOCKS - 1 ? AH_CHUNK_END : 0;
            ah_avx_compress(cv, in + i * AH_CHUNK_BYTES + block * AH_BLOCK_BYTES, AH_BLOCK_BYTES, counter + i, flags, cv);
        }
        store_words(out + i * AH_DIGEST_BYTES, cv);
    }
}

void ah_avx2_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    size_t done = parents - (parents % LANES - last_lanes(parents));
    ah_blake3_avx2_parents(in, parents / LANES, out, last_lanes(parents));
    for (size_t i = done; i < parents; i++) {
        uint32_t cv[8];
        ah_avx_compress(ah_blake3_iv, in + i * AH_BLOCK_BYTES, AH_BLOCK_BYTES, 0, AH_PARENT, cv);
        store_words(out + i * AH_DIGEST_BYTES, cv);
    }
}
#endif
