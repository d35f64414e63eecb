/* Internal: the table through which every kernel is reached, and how kernels are added.
 *
 * A kernel is a file that fills an ah_kernel; dispatch.c lists the kernels best first. Whatever a kernel computes must
 * equal the portable one bit for bit. Pointers need no alignment. A kernel that has no special form of an entry names
 * the portable one; the entries marked optional are NULL where a kernel has nothing better than the others in turn.
 */
#ifndef ARTIFACT_KERNEL_H
#define ARTIFACT_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define AH_INTERNAL __attribute__((visibility("hidden")))
#else
#define AH_INTERNAL
#endif

#define AH_BLOCK_BYTES 64u

/* BLAKE3's domain flags (BLAKE3 paper, table 3). */
enum { AH_CHUNK_START = 1, AH_CHUNK_END = 2, AH_PARENT = 4, AH_ROOT = 8 };

/* What a CPU can do and its operating system lets it do: registers that are not saved do not count. */
enum {
    AH_CPU_SSE41 = 1 << 0, /* with SSSE3 */
    AH_CPU_AVX2 = 1 << 1,  /* with BMI1 and BMI2 */
    AH_CPU_SHA = 1 << 2,   /* SHA-NI */
    AH_CPU_AVX512 = 1 << 3, /* F, BW, DQ and VL */
    AH_CPU_NEON = 1 << 8,
    AH_CPU_SHA2 = 1 << 9, /* aarch64 */
};

/* What is at hand of one stream: SHA-256's state, and whole chunks of which the first has number `counter`; `out`
 * receives 32 bytes a chunk, or a group, its chaining value. None of them may be a root. */
typedef struct ah_lane {
    uint32_t *sha256;
    const uint8_t *in;
    uint64_t counter;
    uint8_t *out;
} ah_lane;

/* What a short input comes down to: some blocks for SHA-256, and some of one chunk (or a parent) for BLAKE3, which may
 * be the same ones. Neither waits for the other. Either count may be 0. Assembly knows the offsets. */
typedef struct ah_blocks {
    uint32_t *sha256;         /* 0: the state, updated */
    const uint8_t *sha256_in; /* 8 */
    size_t sha256_blocks;     /* 16 */
    uint32_t *cv;             /* 24: the chaining value, updated */
    const uint8_t *blake3_in; /* 32 */
    size_t blake3_blocks;     /* 40 */
    uint64_t counter;         /* 48 */
    uint32_t first_flags;     /* 56: of the first block; the blocks between the first and the last have none */
    uint32_t last_flags;      /* 60: of the last block, besides; */
    uint32_t last_length;     /* 64: and its length. All 64 bytes of it are read */
} ah_blocks;

typedef struct ah_kernel {
    const char *name;
    uint32_t needs; /* AH_CPU_... */
    /* SHA-256 over whole 64-byte blocks. */
    void (*sha256_blocks)(uint32_t state[8], const uint8_t *in, size_t blocks);
    /* The same of two streams. Optional. */
    void (*sha256_blocks_pair)(uint32_t first[8], const uint8_t *first_in, uint32_t second[8],
                               const uint8_t *second_in, size_t blocks);
    /* BLAKE3 chaining values of whole chunks, 32 bytes each. */
    void (*blake3_chunks)(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out);
    /* Chaining values of the parents of 2 * parents chaining values; `out` may be `in`. */
    void (*blake3_parents)(const uint8_t *in, size_t parents, uint8_t *out);
    /* One compression of BLAKE3; `out`, which may be `cv`, receives the first eight words. */
    void (*blake3_compress)(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length, uint64_t counter,
                            uint32_t flags, uint32_t out[8]);
    /* Both functions over blocks: the ends of streams. Optional. */
    void (*dual_blocks)(const ah_blocks *blocks);
    /* Both functions over whole chunks of one stream. */
    void (*dual_chunks)(const ah_lane *lane, size_t chunks);
    /* Both over whole groups of 16 chunks, `counter` a multiple of 16; a chaining value per GROUP: the hot path.
     * Optional. */
    void (*dual_groups)(const ah_lane *lane, size_t groups);
    /* The same of two streams. Optional. */
    void (*dual_groups_pair)(const ah_lane *first, const ah_lane *second, size_t groups);
} ah_kernel;

AH_INTERNAL extern const uint32_t ah_blake3_iv[8];
AH_INTERNAL extern const ah_kernel ah_portable;

/* What this CPU and its operating system offer: a set of AH_CPU_..., found out once. */
AH_INTERNAL uint32_t ah_cpu(void);
/* The kernel in use, and the count of its entries; never NULL. */
AH_INTERNAL const ah_kernel *ah_kernel_enter(void);

#endif
