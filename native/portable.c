/* The portable kernel: C that any compiler takes, one function after the other while a chunk is in the cache. */
#include "artifact_hash.h"
#include "portable.h"

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    for (size_t i = 0; i < chunks; i++) {
        const uint8_t *chunk = lane->in + i * AH_CHUNK_BYTES;
        ah_portable_sha256_blocks(lane->sha256, chunk, AH_CHUNK_BYTES / AH_BLOCK_BYTES);
        ah_portable_blake3_chunks(chunk, 1, lane->counter + i, lane->out + i * AH_DIGEST_BYTES);
    }
}

const ah_kernel ah_portable = {
    .name = "portable",
    .sha256_blocks = ah_portable_sha256_blocks,
    .blake3_chunks = ah_portable_blake3_chunks,
    .blake3_parents = ah_portable_blake3_parents,
    .blake3_compress = ah_portable_blake3_compress,
    .dual_chunks = dual_chunks,
};
