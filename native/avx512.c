/* The kernel for AVX-512 without SHA-NI: BLAKE3 by asm/x86_64, SHA-256 as the kernel for AVX2 has it. */
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

/* One function after the other while the chunks are in the first cache. */
static void dual_chunks(const ah_lane *lane, size_t chunks) {
    enum { AT_ONCE = 16 };
    for (size_t done = 0; done < chunks; done += AT_ONCE) {
        size_t now = chunks - done < AT_ONCE ? chunks - done : AT_ONCE;
        ah_lane at = ah_skip(*lane, done);
        ah_avx2_sha256_blocks(at.sha256, at.in, now * (AH_CHUNK_BYTES / AH_BLOCK_BYTES));
        ah_avx512_blake3_chunks(at.in, now, at.counter, at.out);
    }
}

const ah_kernel ah_avx512 = {
    .name = "avx512",
    .needs = AH_CPU_AVX2 | AH_CPU_AVX512,
    .sha256_blocks = ah_avx2_sha256_blocks,
    .blake3_chunks = ah_avx512_blake3_chunks,
    .blake3_parents = ah_avx512_blake3_parents,
    .blake3_compress = ah_avx512_blake3_compress,
    .dual_chunks = dual_chunks,
};
#endif
