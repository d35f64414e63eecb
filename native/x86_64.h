/* Internal: the kernels of asm/x86_64, best first, for dispatch.c. Each is filled in a file of its own. */
#ifndef ARTIFACT_X86_64_H
#define ARTIFACT_X86_64_H

#include "kernel.h"

AH_INTERNAL extern const ah_kernel ah_sha_avx512;
AH_INTERNAL extern const ah_kernel ah_sha_avx2;
AH_INTERNAL extern const ah_kernel ah_avx512;

#define AH_X86_64_KERNELS &ah_sha_avx512, &ah_sha_avx2, &ah_avx512,

#endif
