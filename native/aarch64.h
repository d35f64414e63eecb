/* Internal: the kernels of asm/aarch64, best first, for dispatch.c. Each is filled in a file of its own. */
#ifndef ARTIFACT_AARCH64_H
#define ARTIFACT_AARCH64_H

#include "kernel.h"

AH_INTERNAL extern const ah_kernel ah_sha2_neon;

#define AH_AARCH64_KERNELS &ah_sha2_neon,

#endif
