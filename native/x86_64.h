/* Internal: the kernels of x86-64, best first, for dispatch.c; and what several of them borrow from asm/x86_64. Each
 * kernel is filled in a file of its own. All of this is there only with AH_ASM. */
#ifndef ARTIFACT_X86_64_H
#define ARTIFACT_X86_64_H

#include "artifact_hash.h"
#include "kernel.h"

AH_INTERNAL extern const ah_kernel ah_sha_avx512, ah_sha_avx2, ah_sha_sse41, ah_avx512, ah_avx2;

#define AH_X86_64_KERNELS &ah_sha_avx512, &ah_sha_avx2, &ah_sha_sse41, &ah_avx512, &ah_avx2,

/* FIPS 180-4, 4.2.2, 64-byte aligned: sha256_ni.S. */
AH_INTERNAL extern const uint32_t ah_sha256_ni_k[64];

/* sha_rows.S: one compression, needs AVX. */
AH_INTERNAL void ah_avx_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length, uint64_t counter,
                                 uint32_t flags, uint32_t out[8]);

/* avx2.c: an ah_kernel's entry, by scalar rounds. */
AH_INTERNAL void ah_avx2_sha256_blocks(uint32_t state[8], const uint8_t *in, size_t blocks);

/* avx512.S: an ah_kernel's entries, by sixteen lanes. */
AH_INTERNAL void ah_avx512_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out);
AH_INTERNAL void ah_avx512_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out);
AH_INTERNAL void ah_avx512_blake3_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length,
                                           uint64_t counter, uint32_t flags, uint32_t out[8]);

/* blake3_avx2.c: an ah_kernel's entries, by eight lanes of AVX2. */
AH_INTERNAL void ah_avx2_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out);
AH_INTERNAL void ah_avx2_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out);

/* The lane after `chunks` chunks; its `out` after as many chaining values. */
static inline ah_lane ah_skip(ah_lane lane, size_t chunks) {
    return (ah_lane){lane.sha256, lane.in + chunks * AH_CHUNK_BYTES, lane.counter + chunks,
                     lane.out + chunks * AH_DIGEST_BYTES};
}

#endif
