/* The dual hasher: BLAKE3 (hash mode) and SHA-256 of one stream in one pass, or one of the two.
 *
 * Threads: calls on different states may run at once; calls on one state must not (the state has no pointers, so a
 * misuse gives wrong digests and never touches other memory). ah_select comes before all others.
 * No function allocates, fails for want of memory, or reads more than `length` bytes of its input.
 */
#ifndef ARTIFACT_HASH_H
#define ARTIFACT_HASH_H

#include <stddef.h>
#include <stdint.h>

#define AH_DIGEST_BYTES 32
#define AH_CHUNK_BYTES 1024
#define AH_GROUP_BYTES 16384 /* 16 chunks: the unit whose chaining values are handed out */
#define AH_STACK_DEPTH 54    /* 2^64 bytes are 2^54 chunks */
/* What SHA-256 can say of a stream's length: 2^64 - 1 bits. */
#define AH_MAX_BYTES (UINT64_MAX >> 3)
#define AH_EXPORT_BYTES (8 + 8 + 32 + AH_CHUNK_BYTES + AH_STACK_DEPTH * AH_DIGEST_BYTES)

#define AH_BLAKE3 1 /* which digests a state is for: a set */
#define AH_SHA256 2
#define AH_BOTH 3

#define AH_OK 0
#define AH_INVALID (-1)   /* the bytes are not a state */
#define AH_NO_KERNEL (-2) /* no kernel of that name, or not on this CPU */

/* Plain data: copyable by assignment, comparable by nothing. The fields are dual.c's own. */
typedef struct ah_state {
    uint64_t length;                                /* bytes taken so far */
    uint32_t which;                                 /* AH_BLAKE3, AH_SHA256 or AH_BOTH */
    uint32_t sha256[8];                             /* over all but the tail */
    uint8_t tail[AH_CHUNK_BYTES];                   /* what is not digested yet: less than a chunk, or the only one */
    uint8_t stack[AH_STACK_DEPTH][AH_DIGEST_BYTES]; /* BLAKE3's chaining values of the complete subtrees */
} ah_state;

/* Choose the kernel: by name, or the best of this CPU for NULL. AH_OK or AH_NO_KERNEL (then nothing changes). */
int ah_select(const char *name);
/* The name of the kernel in use. */
const char *ah_active(void);
/* The names of the kernels that this CPU can run, best first; NULL from the first index past the last. */
const char *ah_kernel_name(size_t index);
/* How often that kernel was entered by this process, to prove which one ran. Not exact when threads race. */
uint64_t ah_kernel_hits(size_t index);

/* The state of an empty stream, of which the digests in `which` are wanted. */
void ah_init(ah_state *state, uint32_t which);

/* Take the next `length` bytes, any number, at any alignment.
 * `groups` is NULL, or has room for length / AH_GROUP_BYTES + 1 chaining values of 32 bytes: those of the 16 KiB groups
 * that became complete AND are known not to be the whole stream, since there are other bytes before or after them.
 * They come in order; the return value is how many. What remains at the end of the stream is ah_last_group's. */
size_t ah_update(ah_state *state, const uint8_t *in, size_t length, uint8_t *groups);

/* ah_update of two different streams, with more throughput than one after the other where the CPU allows it. Each may
 * have any length: what one has beyond the other goes on alone. It hands out no group's chaining values: the kernels have
 * them, but two more places and two counts would be arguments of every call, and nobody who hashes two streams at once
 * has asked for them yet. A stream whose values are wanted goes through ah_update. */
void ah_update_pair(ah_state *first, const uint8_t *first_in, size_t first_length, ah_state *second,
                    const uint8_t *second_in, size_t second_length);

/* The digests of the bytes taken so far; one that is not wanted is left alone. The state goes on being usable. */
void ah_digests(const ah_state *state, uint8_t blake3[32], uint8_t sha256[32]);

/* The chaining value of the last, incomplete group, if the stream ended here: 1; or 0 when there is none, because all
 * were handed out, or because the stream has at most one group, whose value would be the root's. */
size_t ah_last_group(const ah_state *state, uint8_t group[32]);

/* The digests in `which` of one buffer, as if by ah_init, ah_update and ah_digests: BLAKE3's, then SHA-256's. One
 * pointer, since for a short buffer each argument that comes from Python is felt. */
void ah_digest(uint32_t which, const uint8_t *in, size_t length, uint8_t both[64]);

/* Bytes taken so far. */
uint64_t ah_length(const ah_state *state);

/* The state as AH_EXPORT_BYTES bytes that mean the same under every kernel, byte order and version of this code. */
void ah_export(const ah_state *state, uint8_t *out);
/* The state that ah_export wrote: AH_OK, or AH_INVALID for a wrong length, magic or version, or for a stream
 * that is longer than any (then nothing changes). What else it says is believed: keep it where only you write. */
int ah_import(ah_state *state, const uint8_t *in, size_t length);

#endif
