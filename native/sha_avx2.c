/* The kernel for SHA-NI and AVX2: asm/x86_64. */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

AH_INTERNAL void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);

AH_INTERNAL void ah_sha_avx2_eights(const ah_lane *lane, size_t eights);
AH_INTERNAL void ah_sha_avx2_groups(const ah_lane *lane, size_t groups);

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    size_t taken = chunks / 8 * 8;
    const uint8_t *in = lane->in + taken * AH_CHUNK_BYTES;
    ah_sha_avx2_eights(lane, chunks / 8);
    ah_sha256_ni_blocks(lane->sha256, in, (chunks - taken) * (AH_CHUNK_BYTES / AH_BLOCK_BYTES));
    ah_portable_blake3_chunks(in, chunks - taken, lane->counter + taken, lane->out + taken * AH_DIGEST_BYTES);
}

const ah_kernel ah_sha_avx2 = {
    .name = "sha-avx2",
    .needs = AH_CPU_SHA | AH_CPU_AVX2,
    .sha256_blocks = ah_sha256_ni_blocks,
    .blake3_chunks = ah_portable_blake3_chunks,
    .blake3_parents = ah_portable_blake3_parents,
    .blake3_compress = ah_portable_blake3_compress,
    .dual_chunks = dual_chunks,
    .dual_groups = ah_sha_avx2_groups,
};
#endif
