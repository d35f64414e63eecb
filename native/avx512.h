/* Internal: the entries of asm/x86_64/avx512.S, which two kernels use. */
#ifndef ARTIFACT_AVX512_H
#define ARTIFACT_AVX512_H

#include "kernel.h"

AH_INTERNAL void ah_avx512_blake3_chunks(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out);
AH_INTERNAL void ah_avx512_blake3_parents(const uint8_t *in, size_t parents, uint8_t *out);
AH_INTERNAL void ah_avx512_blake3_compress(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length,
                                           uint64_t counter, uint32_t flags, uint32_t out[8]);

#endif
