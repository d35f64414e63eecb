/* The kernel for AVX-512 without SHA-NI: asm/x86_64. */
#include "avx512.h"
#include "artifact_hash.h"
#include "portable.h"

#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"

/* One function after the other, a group at a time, while it is in the first-level cache. */
static void dual_chunks(const ah_lane *lane, size_t chunks) {
    enum { MOST = AH_GROUP_BYTES / AH_CHUNK_BYTES };
    for (size_t done = 0, now; done < chunks; done += now) {
        const uint8_t *in = lane->in + done * AH_CHUNK_BYTES;
        now = chunks - done < MOST ? chunks - done : MOST;
        ah_portable_sha256_blocks(lane->sha256, in, now * (AH_CHUNK_BYTES / AH_BLOCK_BYTES));
        ah_avx512_blake3_chunks(in, now, lane->counter + done, lane->out + done * AH_DIGEST_BYTES);
    }
}

const ah_kernel ah_avx512 = {
    .name = "avx512",
    .needs = AH_CPU_AVX2 | AH_CPU_AVX512,
    .sha256_blocks = ah_portable_sha256_blocks,
    .blake3_chunks = ah_avx512_blake3_chunks,
    .blake3_parents = ah_avx512_blake3_parents,
    .blake3_compress = ah_avx512_blake3_compress,
    .dual_chunks = dual_chunks,
};
#endif
