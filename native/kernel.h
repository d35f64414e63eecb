/* Internal: the table through which every kernel is reached, and how kernels are added.
 *
 * A kernel is a file that fills an ah_kernel; dispatch.c lists the kernels best first. Whatever a kernel computes must
 * equal the portable one bit for bit. Pointers need no alignment. A kernel that has no special form of an entry names
 * the portable one. The two-lane entry is NULL where a kernel cannot advance two streams at once.
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

/* What is at hand of one stream: SHA-256's state, and whole chunks of which the first has number `counter`; `out`
 * receives 32 bytes a chunk, its chaining value. None of the chunks may be a root. */
typedef struct ah_lane {
    uint32_t *sha256;
    const uint8_t *in;
    uint64_t counter;
    uint8_t *out;
} ah_lane;

typedef struct ah_kernel {
    const char *name;
    int (*supported)(void);
    /* SHA-256 over whole 64-byte blocks. */
    void (*sha256_blocks)(uint32_t state[8], const uint8_t *in, size_t blocks);
    /* BLAKE3 chaining values of whole chunks. */
    void (*blake3_chunks)(const uint8_t *in, size_t chunks, uint64_t counter, uint8_t *out);
    /* One compression of BLAKE3; `out`, which may be `cv`, receives the first eight words. */
    void (*blake3_compress)(const uint32_t cv[8], const uint8_t block[64], uint32_t block_length, uint64_t counter,
                            uint32_t flags, uint32_t out[8]);
    /* Both functions over whole chunks of one stream: the hot path. */
    void (*dual_chunks)(ah_lane lane, size_t chunks);
    /* The same for two streams that have `chunks` whole chunks each. */
    void (*dual_chunks_pair)(ah_lane first, ah_lane second, size_t chunks);
} ah_kernel;

AH_INTERNAL extern const uint32_t ah_blake3_iv[8];
AH_INTERNAL extern const ah_kernel ah_portable;

/* The kernel in use, and the count of its entries; never NULL. */
AH_INTERNAL const ah_kernel *ah_kernel_enter(void);

#endif
