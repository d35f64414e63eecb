/* The kernel for aarch64 with the SHA2 instructions: asm/aarch64/sha2_neon.S. */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__aarch64__)
#include "aarch64.h"

AH_INTERNAL void ah_sha2_neon_sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);
AH_INTERNAL void ah_sha2_neon_sha256_blocks_pair(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
                                                 const uint8_t *second_in, size_t blocks);
AH_INTERNAL void ah_sha2_neon_blake3_rows(const uint8_t *in, size_t rows, size_t distance, size_t blocks,
                                          uint64_t counter, uint64_t counter_step, uint32_t flags, uint8_t *out);
AH_INTERNAL void ah_sha2_neon_dual_fours(const ah_lane *lane, size_t fours);

enum { FOUR = 4, CHUNK_BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES };

/* The general registers rotate in one instruction, so one row alone is the portable form's. */
static void blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out) {
    size_t rows = chunks % FOUR == 1 ? chunks - 1 : chunks;
    ah_sha2_neon_blake3_rows(in, rows, AH_CHUNK_BYTES, CHUNK_BLOCKS, counter, 1, AH_CHUNK_START | AH_CHUNK_END << 8, out);
    ah_portable_blake3_chunks(in + rows * AH_CHUNK_BYTES, chunks - rows, counter + rows, out + rows * AH_DIGEST_BYTES);
}

static void blake3_parents(const uint8_t *in, size_t parents, uint8_t *out) {
    size_t rows = parents % FOUR == 1 ? parents - 1 : parents;
    ah_sha2_neon_blake3_rows(in, rows, AH_BLOCK_BYTES, 1, 0, 0, AH_PARENT, out);
    ah_portable_blake3_parents(in + rows * AH_BLOCK_BYTES, parents - rows, out + rows * AH_DIGEST_BYTES);
}

static void dual_chunks(const ah_lane *lane, size_t chunks) {
    size_t taken = chunks / FOUR * FOUR;
    const uint8_t *in = lane->in + taken * AH_CHUNK_BYTES;
    ah_sha2_neon_dual_fours(lane, chunks / FOUR);
    ah_sha2_neon_sha256_blocks(lane->sha256, in, (chunks - taken) * CHUNK_BLOCKS);
    blake3_chunks(in, chunks - taken, lane->counter + taken, lane->out + taken * AH_DIGEST_BYTES);
}

const ah_kernel ah_sha2_neon = {
    .name = "sha2-neon",
    .needs = AH_CPU_NEON | AH_CPU_SHA2,
    .sha256_blocks = ah_sha2_neon_sha256_blocks,
    .sha256_blocks_pair = ah_sha2_neon_sha256_blocks_pair,
    .blake3_chunks = blake3_chunks,
    .blake3_parents = blake3_parents,
    .blake3_compress = ah_portable_blake3_compress,
    .dual_chunks = dual_chunks,
};
#endif
