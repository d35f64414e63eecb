/* The state machine that feeds one stream to both functions.
 *
 * Theory of operation. Both functions advance by whole chunks of 1,024 bytes, which are whole SHA-256 blocks too, so a
 * kernel can take both in one pass. What does not fill a chunk waits in the tail. A chunk that is full but may be the
 * last one waits there as well: BLAKE3 marks the root, and a stream of one chunk, or a tree that ends with this chunk,
 * has its root here. Hence the tail holds 1 to 1,024 bytes of any stream that is not empty, every chunk that leaves it
 * is followed by more, and the same is true of every subtree merged then.
 *
 * Chunks form BLAKE3's binary tree as carries form a binary number: the stack holds one chaining value for each bit
 * set in the number of chunks taken, largest subtree first, and each chunk merges as many values as the number has
 * trailing zeros (BLAKE3 paper, section 5.1.2). A merge to level 4 is the chaining value of a 16 KiB group.
 *
 * Digests are computed on copies: the tail with its padding for SHA-256; the tail's last block and the stack, merged
 * from the right with the root flag on the last compression, for BLAKE3.
 */
#include "artifact_hash.h"
#include "kernel.h"
#include <string.h>

enum { GROUP_CHUNKS = AH_GROUP_BYTES / AH_CHUNK_BYTES, GROUP_LEVEL = 4, WORDS = 8 };

/* FIPS 180-4, 5.3.3. BLAKE3's IV is the same eight words. */
static const uint32_t *const sha256_iv = ah_blake3_iv;

static const uint8_t export_magic[8] = {'A', 'H', 'D', 'U', 'A', 'L', 0, 1}; /* the last byte is the version */

static uint32_t load_le(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store_le(uint8_t *p, uint32_t w) {
    for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(w >> 8 * i);
}

static void store_be(uint8_t *p, uint32_t w) {
    for (unsigned i = 0; i < 4; i++) p[i] = (uint8_t)(w >> (24 - 8 * i));
}

static void store_words(uint8_t *out, const uint32_t words[WORDS]) {
    for (unsigned i = 0; i < WORDS; i++) store_le(out + 4 * i, words[i]);
}

static size_t tail_length(const ah_state *state) {
    return state->length == 0 ? 0 : (size_t)((state->length - 1) % AH_CHUNK_BYTES) + 1;
}

/* Chunks that have left the tail. */
static uint64_t chunks_taken(const ah_state *state) {
    return state->length == 0 ? 0 : (state->length - 1) / AH_CHUNK_BYTES;
}

static unsigned bits_set(uint64_t number) {
    unsigned count = 0;
    for (; number != 0; number &= number - 1) count++;
    return count;
}

/* The parent of two chaining values; `out` may be either of them. */
static void merge(const ah_kernel *kernel, const uint8_t *left, const uint8_t *right, uint32_t flags, uint8_t *out) {
    uint8_t block[AH_BLOCK_BYTES];
    uint32_t words[WORDS];
    memcpy(block, left, AH_DIGEST_BYTES);
    memcpy(block + AH_DIGEST_BYTES, right, AH_DIGEST_BYTES);
    kernel->blake3_compress(ah_blake3_iv, block, AH_BLOCK_BYTES, 0, AH_PARENT | flags, words);
    store_words(out, words);
}

/* Put the chaining value of chunk number `index`, which more input follows, on the stack. `group`, if not NULL,
 * receives the chaining value of the group that this chunk completes; returns whether it completes one. */
static size_t push(const ah_kernel *kernel, ah_state *state, uint64_t index, const uint8_t *value, uint8_t *group) {
    unsigned depth = bits_set(index);
    uint8_t subtree[AH_DIGEST_BYTES];
    size_t completed = 0;
    memcpy(subtree, value, sizeof subtree);
    for (unsigned level = 1; index & 1; index >>= 1, level++) {
        merge(kernel, state->stack[--depth], subtree, 0, subtree);
        if (level == GROUP_LEVEL) {
            completed = 1;
            if (group != NULL) memcpy(group, subtree, sizeof subtree);
        }
    }
    memcpy(state->stack[depth], subtree, sizeof subtree);
    return completed;
}

/* Take whole chunks, all of which more input follows. Returns the number of groups they complete. */
static size_t take_chunks(const ah_kernel *kernel, ah_state *state, uint64_t index, const uint8_t *in, size_t chunks,
                          uint8_t *groups) {
    uint8_t values[GROUP_CHUNKS * AH_DIGEST_BYTES];
    size_t completed = 0;
    while (chunks > 0) {
        size_t now = chunks < GROUP_CHUNKS ? chunks : GROUP_CHUNKS;
        kernel->dual_chunks((ah_lane){state->sha256, in, index, values}, now);
        for (size_t i = 0; i < now; i++, index++)
            completed += push(kernel, state, index, values + i * AH_DIGEST_BYTES,
                              groups == NULL ? NULL : groups + completed * AH_DIGEST_BYTES);
        in += now * AH_CHUNK_BYTES;
        chunks -= now;
    }
    return completed;
}

void ah_init(ah_state *state) {
    memset(state, 0, sizeof *state);
    memcpy(state->sha256, sha256_iv, sizeof state->sha256);
}

size_t ah_update(ah_state *state, const uint8_t *in, size_t length, uint8_t *groups) {
    const ah_kernel *kernel = ah_kernel_enter();
    size_t completed = 0;
    size_t waiting = tail_length(state);
    if (length == 0) return 0;
    if (waiting > 0) {
        size_t fill = AH_CHUNK_BYTES - waiting < length ? AH_CHUNK_BYTES - waiting : length;
        memcpy(state->tail + waiting, in, fill);
        state->length += fill;
        in += fill;
        length -= fill;
        if (length == 0) return 0;
        completed = take_chunks(kernel, state, chunks_taken(state), state->tail, 1, groups);
    }
    size_t chunks = (length - 1) / AH_CHUNK_BYTES;
    size_t rest = length - chunks * AH_CHUNK_BYTES;
    completed += take_chunks(kernel, state, state->length / AH_CHUNK_BYTES, in, chunks,
                             groups == NULL ? NULL : groups + completed * AH_DIGEST_BYTES);
    memcpy(state->tail, in + chunks * AH_CHUNK_BYTES, rest);
    state->length += length;
    return completed;
}

static void finish_sha256(const ah_kernel *kernel, const ah_state *state, uint8_t digest[32]) {
    uint32_t words[WORDS];
    uint8_t last[2 * AH_BLOCK_BYTES] = {0};
    size_t waiting = tail_length(state);
    size_t blocks = waiting / AH_BLOCK_BYTES;
    size_t rest = waiting % AH_BLOCK_BYTES;
    memcpy(words, state->sha256, sizeof words);
    kernel->sha256_blocks(words, state->tail, blocks);
    memcpy(last, state->tail + blocks * AH_BLOCK_BYTES, rest);
    last[rest] = 0x80;
    /* FIPS 180-4, 5.1.1: the length in bits, 64 of them, at the end of the block that still has room for it */
    size_t padded = rest < AH_BLOCK_BYTES - 8 ? 1 : 2;
    uint64_t bits = state->length << 3;
    store_be(last + padded * AH_BLOCK_BYTES - 8, (uint32_t)(bits >> 32));
    store_be(last + padded * AH_BLOCK_BYTES - 4, (uint32_t)bits);
    kernel->sha256_blocks(words, last, padded);
    for (unsigned i = 0; i < WORDS; i++) store_be(digest + 4 * i, words[i]);
}

/* The chaining value of the tail as the last chunk; with AH_ROOT, the digest of a stream that is only that. */
static void finish_chunk(const ah_kernel *kernel, const ah_state *state, uint32_t flags, uint8_t *out) {
    uint32_t words[WORDS];
    size_t waiting = tail_length(state);
    size_t last = waiting == 0 ? 0 : (waiting - 1) / AH_BLOCK_BYTES;
    memcpy(words, ah_blake3_iv, sizeof words);
    for (size_t i = 0; i <= last; i++) {
        uint8_t block[AH_BLOCK_BYTES] = {0};
        size_t length = i < last ? AH_BLOCK_BYTES : waiting - last * AH_BLOCK_BYTES;
        uint32_t block_flags = (i == 0 ? (uint32_t)AH_CHUNK_START : 0) | (i == last ? AH_CHUNK_END | flags : 0);
        memcpy(block, state->tail + i * AH_BLOCK_BYTES, length);
        kernel->blake3_compress(words, block, (uint32_t)length, chunks_taken(state), block_flags, words);
    }
    store_words(out, words);
}

static void finish_blake3(const ah_kernel *kernel, const ah_state *state, uint8_t digest[32]) {
    unsigned depth = bits_set(chunks_taken(state));
    finish_chunk(kernel, state, depth == 0 ? AH_ROOT : 0, digest);
    while (depth > 0) {
        depth--;
        merge(kernel, state->stack[depth], digest, depth == 0 ? AH_ROOT : 0, digest);
    }
}

void ah_digests(const ah_state *state, uint8_t blake3[32], uint8_t sha256[32]) {
    const ah_kernel *kernel = ah_kernel_enter();
    finish_blake3(kernel, state, blake3);
    finish_sha256(kernel, state, sha256);
}

size_t ah_last_group(const ah_state *state, uint8_t group[32]) {
    const ah_kernel *kernel = ah_kernel_enter();
    if (state->length <= AH_GROUP_BYTES) return 0;
    unsigned depth = bits_set(chunks_taken(state));
    /* subtrees of this group: the bits of the chunk number below the group's level */
    unsigned within = bits_set(chunks_taken(state) % GROUP_CHUNKS);
    finish_chunk(kernel, state, 0, group);
    for (; within > 0; within--) merge(kernel, state->stack[--depth], group, 0, group);
    return 1;
}

void ah_dual_digest(const uint8_t *in, size_t length, uint8_t blake3[32], uint8_t sha256[32]) {
    ah_state state;
    ah_init(&state);
    ah_update(&state, in, length, NULL);
    ah_digests(&state, blake3, sha256);
}

uint64_t ah_length(const ah_state *state) { return state->length; }

void ah_export(const ah_state *state, uint8_t *out) {
    memset(out, 0, AH_EXPORT_BYTES); /* what is left of earlier, longer tails and stacks does not go out */
    memcpy(out, export_magic, 8);
    store_le(out + 8, (uint32_t)state->length);
    store_le(out + 12, (uint32_t)(state->length >> 32));
    store_words(out + 16, state->sha256);
    memcpy(out + 48, state->tail, tail_length(state));
    memcpy(out + 48 + AH_CHUNK_BYTES, state->stack, bits_set(chunks_taken(state)) * (size_t)AH_DIGEST_BYTES);
}

int ah_import(ah_state *state, const uint8_t *in, size_t length) {
    if (length != AH_EXPORT_BYTES || memcmp(in, export_magic, 8) != 0) return AH_INVALID;
    state->length = (uint64_t)load_le(in + 8) | (uint64_t)load_le(in + 12) << 32;
    for (unsigned i = 0; i < WORDS; i++) state->sha256[i] = load_le(in + 16 + 4 * i);
    memcpy(state->tail, in + 48, AH_CHUNK_BYTES);
    memcpy(state->stack, in + 48 + AH_CHUNK_BYTES, sizeof state->stack);
    return AH_OK;
}
