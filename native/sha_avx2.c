/* The kernel for SHA-NI and AVX2: asm/x86_64. */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

AH_INTERNAL void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    ah_sha256_ni_blocks(lane->sha256, lane->in, chunks * (AH_CHUNK_BYTES / AH_BLOCK_BYTES));
    ah_portable_blake3_chunks(lane->in, chunks, lane->counter, lane->out);
}

const ah_kernel ah_sha_avx2 = {
    .name = "sha-avx2",
    .needs = AH_CPU_SHA | AH_CPU_AVX2,
    .sha256_blocks = ah_sha256_ni_blocks,
    .blake3_chunks = ah_portable_blake3_chunks,
    .blake3_parents = ah_portable_blake3_parents,
    .blake3_compress = ah_portable_blake3_compress,
    .dual_chunks = dual_chunks,
};
#endif
