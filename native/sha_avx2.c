/* The kernel for SHA-NI and AVX2: asm/x86_64. */
#include "artifact_hash.h"
#include "portable.h"
#include <string.h>

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

AH_INTERNAL void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);

AH_INTERNAL void ah_sha_avx_blocks(const ah_blocks *blocks);
AH_INTERNAL void ah_avx_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length, uint64_t counter,
                                 uint32_t flags, uint32_t out[8]);
AH_INTERNAL void ah_sha_avx2_pairs(const ah_lane *lane, size_t pairs);
AH_INTERNAL void ah_sha_avx2_eights(const ah_lane *lane, size_t eights);
AH_INTERNAL void ah_sha_avx2_groups(const ah_lane *lane, size_t groups);

AH_INTERNAL void ah_sha256_ni_blocks_x2(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
                                        const uint8_t *second_in, size_t blocks);
AH_INTERNAL void ah_sha_avx2_eights_x2(const ah_lane *first, const ah_lane *second, size_t eights);
AH_INTERNAL void ah_blake3_avx2_chunks(const uint8_t *in, size_t eights, uint64_t counter, uint8_t *out, size_t last);
AH_INTERNAL void ah_blake3_avx2_parents(const uint8_t *in, size_t eights, uint8_t *out, size_t last);

/* One chunk, for SHA-256 too unless its state is NULL. */
static void one_chunk(uint32_t *sha256, const uint8_t *in, uint64_t counter, uint8_t *out) {
    enum { BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES };
    uint32_t cv[8], none[8] = {0};
    memcpy(cv, ah_blake3_iv, sizeof cv);
    ah_sha_avx_blocks(&(ah_blocks){sha256 == NULL ? none : sha256, in, sha256 == NULL ? 0 : BLOCKS, cv, in, BLOCKS,
                                   counter, AH_CHUNK_START, AH_CHUNK_END, AH_BLOCK_BYTES});
    memcpy(out, cv, sizeof cv); /* little-endian, as x86 is */
}

/* Of `count` lanes those that the eight-lane functions take after the eights: the rest, if it is at least half. */
static size_t last_lanes(size_t count) { return count % 8 >= 4 ? count % 8 : 0; }

static void avx2_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    size_t rest = chunks % 8 - last_lanes(chunks);
    ah_blake3_avx2_chunks(in, chunks / 8, counter, out, last_lanes(chunks));
    for (size_t i = chunks - rest; i < chunks; i++) one_chunk(NULL, in + i * AH_CHUNK_BYTES, counter + i, out + i * AH_DIGEST_BYTES);
}

static void avx2_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    size_t rest = parents % 8 - last_lanes(parents);
    ah_blake3_avx2_parents(in, parents / 8, out, last_lanes(parents));
    for (size_t i = parents - rest; i < parents; i++) {
        uint32_t cv[8];
        ah_avx_compress(ah_blake3_iv, in + i * AH_BLOCK_BYTES, AH_BLOCK_BYTES, 0, AH_PARENT, cv);
        memcpy(out + i * AH_DIGEST_BYTES, cv, sizeof cv);
    }
}

static ah_lane skip(ah_lane lane, size_t chunks) {
    return (ah_lane){lane.sha256, lane.in + chunks * AH_CHUNK_BYTES, lane.counter + chunks, lane.out + chunks * AH_DIGEST_BYTES};
}

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    ah_lane rest = skip(*lane, chunks / 8 * 8);
    ah_sha_avx2_eights(lane, chunks / 8);
    ah_sha_avx2_pairs(&rest, chunks % 8 / 2);
    if (chunks % 2 == 0) return;
    ah_lane last = skip(*lane, chunks - 1);
    one_chunk(last.sha256, last.in, last.counter, last.out);
}

/* The assembly stops at the chunks: two lanes are bound by throughput, so their trees cost the same in the shadow or out
 * of it, and here eight lanes of parents are full. */
static void dual_groups_pair(const ah_lane *first, const ah_lane *second, size_t groups) {
    enum { BATCH = 8, CHUNKS = 16 };
    uint8_t values[2][BATCH * CHUNKS * AH_DIGEST_BYTES];
    for (size_t done = 0; done < groups; done += BATCH) {
        size_t now = groups - done < BATCH ? groups - done : BATCH;
        const ah_lane *lanes[2] = {first, second};
        ah_lane part[2];
        for (unsigned i = 0; i < 2; i++) {
            part[i] = skip(*lanes[i], done * CHUNKS);
            part[i].out = values[i];
        }
        ah_sha_avx2_eights_x2(&part[0], &part[1], now * CHUNKS / 8);
        for (unsigned i = 0; i < 2; i++) {
            for (size_t parents = now * CHUNKS / 2; parents >= now; parents /= 2)
                avx2_blake3_parents(values[i], parents, values[i]);
            memcpy(lanes[i]->out + done * AH_DIGEST_BYTES, values[i], now * AH_DIGEST_BYTES);
        }
    }
}

const ah_kernel ah_sha_avx2 = {
    .name = "sha-avx2",
    .needs = AH_CPU_SHA | AH_CPU_AVX2,
    .sha256_blocks = ah_sha256_ni_blocks,
    .sha256_blocks_pair = ah_sha256_ni_blocks_x2,
    .blake3_chunks = avx2_blake3_chunks,
    .blake3_parents = avx2_blake3_parents,
    .blake3_compress = ah_avx_compress,
    .dual_blocks = ah_sha_avx_blocks,
    .dual_chunks = dual_chunks,
    .dual_groups = ah_sha_avx2_groups,
    .dual_groups_pair = dual_groups_pair,
};
#endif
