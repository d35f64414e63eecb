/* The kernel for SHA-NI and AVX2: the parts of asm/x86_64 put together. */
#include "artifact_hash.h"
#include "kernel.h"
#include <string.h>

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

enum { GROUP_CHUNKS = AH_GROUP_BYTES / AH_CHUNK_BYTES, CHUNK_BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES };

/* sha256_ni.S and sha_avx2_x2.S */
AH_INTERNAL void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);
AH_INTERNAL void ah_sha256_ni_blocks_x2(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
                                        const uint8_t *second_in, size_t blocks);
/* sha_rows.S */
AH_INTERNAL void ah_sha_avx_blocks(const ah_blocks *blocks);
/* sha_avx2.S: one stream, two, four and eight chunks at once, and groups of 16 */
AH_INTERNAL void ah_sha_avx2_pairs(const ah_lane *lane, size_t pairs);
AH_INTERNAL void ah_sha_avx2_quads(const ah_lane *lane, size_t quads);
AH_INTERNAL void ah_sha_avx2_eights(const ah_lane *lane, size_t eights);
AH_INTERNAL void ah_sha_avx2_groups(const ah_lane *lane, size_t groups);
/* sha_avx2_x2.S: eight chunks of each of two streams at once */
AH_INTERNAL void ah_sha_avx2_eights_x2(const ah_lane *first, const ah_lane *second, size_t eights);

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    ah_lane after_eights = ah_skip(*lane, chunks / 8 * 8), after_quads = ah_skip(*lane, chunks / 4 * 4);
    ah_sha_avx2_eights(lane, chunks / 8);
    ah_sha_avx2_quads(&after_eights, chunks % 8 / 4);
    ah_sha_avx2_pairs(&after_quads, chunks % 4 / 2);
    if (chunks % 2 == 0) return;
    ah_lane last = ah_skip(*lane, chunks - 1);
    uint32_t cv[8];
    memcpy(cv, ah_blake3_iv, sizeof cv);
    ah_sha_avx_blocks(&(ah_blocks){last.sha256, last.in, CHUNK_BLOCKS, cv, last.in, CHUNK_BLOCKS, last.counter,
                                   AH_CHUNK_START, AH_CHUNK_END, AH_BLOCK_BYTES});
    memcpy(last.out, cv, sizeof cv); /* little-endian, as x86 is */
}

/* The assembly stops at the chunks: two lanes are bound by throughput, so their trees cost the same in the shadow or
 * out of it, and here eight lanes of parents are full: the trees of both streams are merged side by side. */
static void dual_groups_pair(const ah_lane *first, const ah_lane *second, size_t groups) {
    enum { AT_ONCE = 8 };
    uint8_t values[2 * AT_ONCE * GROUP_CHUNKS * AH_DIGEST_BYTES];
    for (size_t done = 0; done < groups; done += AT_ONCE) {
        size_t now = groups - done < AT_ONCE ? groups - done : AT_ONCE;
        ah_lane a = ah_skip(*first, done * GROUP_CHUNKS), b = ah_skip(*second, done * GROUP_CHUNKS);
        a.out = values;
        b.out = values + now * GROUP_CHUNKS * AH_DIGEST_BYTES;
        ah_sha_avx2_eights_x2(&a, &b, now * GROUP_CHUNKS / 8);
        for (size_t parents = now * GROUP_CHUNKS; parents >= 2 * now; parents /= 2)
            ah_avx2_blake3_parents(values, parents, values);
        memcpy(first->out + done * AH_DIGEST_BYTES, values, now * AH_DIGEST_BYTES);
        memcpy(second->out + done * AH_DIGEST_BYTES, values + now * AH_DIGEST_BYTES, now * AH_DIGEST_BYTES);
    }
}

const ah_kernel ah_sha_avx2 = {
    .name = "sha-avx2",
    .needs = AH_CPU_SHA | AH_CPU_AVX2,
    .sha256_blocks = ah_sha256_ni_blocks,
    .sha256_blocks_pair = ah_sha256_ni_blocks_x2,
    .blake3_chunks = ah_avx2_blake3_chunks,
    .blake3_parents = ah_avx2_blake3_parents,
    .blake3_compress = ah_avx_compress,
    .dual_blocks = ah_sha_avx_blocks,
    .dual_chunks = dual_chunks,
    .dual_groups = ah_sha_avx2_groups,
    .dual_groups_pair = dual_groups_pair,
};
#endif
