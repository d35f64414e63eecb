/* The kernel for SHA-NI and AVX-512: asm/x86_64. */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

AH_INTERNAL void ah_sha256_ni_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);
AH_INTERNAL void ah_sha256_ni_blocks_x2(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
                                        const uint8_t *second_in, size_t blocks);
AH_INTERNAL void ah_sha_avx512_dual_blocks(const ah_blocks *blocks);
AH_INTERNAL void ah_sha_avx512_dual_chunks(const ah_lane *lane, size_t chunks);
AH_INTERNAL void ah_sha_avx512_dual_groups(const ah_lane *lane, size_t groups);
AH_INTERNAL void ah_sha_avx512_dual_groups_pair(const ah_lane *first, const ah_lane *second, size_t groups);

const ah_kernel ah_sha_avx512 = {
    .name = "sha-avx512",
    .needs = AH_CPU_SHA | AH_CPU_AVX2 | AH_CPU_AVX512,
    .sha256_blocks = ah_sha256_ni_blocks,
    .sha256_blocks_pair = ah_sha256_ni_blocks_x2,
    .blake3_chunks = ah_avx512_blake3_chunks,
    .blake3_parents = ah_avx512_blake3_parents,
    .blake3_compress = ah_avx512_blake3_compress,
    .dual_blocks = ah_sha_avx512_dual_blocks,
    .dual_chunks = ah_sha_avx512_dual_chunks,
    .dual_groups = ah_sha_avx512_dual_groups,
    .dual_groups_pair = ah_sha_avx512_dual_groups_pair,
};
#endif
