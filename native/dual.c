/* The state machine that feeds one stream to both functions.
 *
 * Theory of operation. Both functions advance by whole chunks of 1,024 bytes, which are whole SHA-256 blocks too, so a
 * kernel can take both in one pass. What does not fill a chunk waits in the tail.
 *
 * BLAKE3 marks the root of its tree, so nothing may be compressed that might turn out to be the root: the first chunk,
 * while it is the only one, which waits in the tail although it is full; and the merge of the two halves of a stream
 * that is a power of two of chunks and no byte more, which are left on the stack side by side. Everything else is
 * digested as soon as it is there: then buffers of a power of two always meet the kernels' whole groups.
 *
 * Chunks form BLAKE3's binary tree as carries form a binary number: the stack holds one chaining value for each bit
 * set in the number of chunks taken (one more in the case above), largest subtree first, and a subtree that comes in
 * merges with as many as there are carries (BLAKE3 paper, section 5.1.2). Level 4 is a 16 KiB group.
 *
 * Digests are computed on copies: the tail with its padding for SHA-256; the tail's blocks and the stack, merged from
 * the right with the root flag on the last compression, for BLAKE3.
 */
#include "artifact_hash.h"
#include "kernel.h"
#include <string.h>

enum {
    GROUP_CHUNKS = AH_GROUP_BYTES / AH_CHUNK_BYTES,
    GROUP_LEVEL = 4,
    CHUNK_BLOCKS = AH_CHUNK_BYTES / AH_BLOCK_BYTES,
    WORDS = 8,
    /* Values at hand at once: with 128, 18 calls of an eight-lane blake3_parents merge 127 pairs. */
    BATCH = 128,
};

/* FIPS 180-4, 5.3.3. BLAKE3's IV is the same eight words. */
static const uint32_t *const sha256_iv = ah_blake3_iv;

static const uint8_t export_magic[7] = {'A', 'H', 'D', 'U', 'A', 'L', 2}; /* with the version; then `which` */

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

static unsigned bits_set(uint64_t number) {
    unsigned count = 0;
    for (; number != 0; number &= number - 1) count++;
    return count;
}

static int power_of_two(uint64_t number) { return (number & (number - 1)) == 0; }

/* Chunks that have left the tail of a stream of `length` bytes. */
static uint64_t chunks_taken(uint64_t length) { return length <= AH_CHUNK_BYTES ? 0 : length / AH_CHUNK_BYTES; }

static size_t tail_length(uint64_t length) { return (size_t)(length - chunks_taken(length) * AH_CHUNK_BYTES); }

/* Whether the stream is two complete subtrees of one size: their merge might be the root. */
static int undecided(uint64_t length) {
    uint64_t chunks = chunks_taken(length);
    return chunks > 0 && power_of_two(chunks) && tail_length(length) == 0;
}

static unsigned stack_depth(uint64_t length) {
    return bits_set(chunks_taken(length)) + (undecided(length) ? 1 : 0);
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

/* ---- One update: what is left of its input, and where the stream stands. */

typedef struct cursor {
    const ah_kernel *kernel;
    ah_state *state;
    uint64_t index; /* of the next chunk */
    unsigned depth; /* of the stack */
    const uint8_t *in;
    size_t length;
    uint8_t *groups; /* NULL, or where the next group's chaining value goes */
    size_t completed;
} cursor;

static void hand_out(cursor *c, const uint8_t *values, size_t count) {
    c->completed += count;
    if (c->groups == NULL) return;
    memcpy(c->groups, values, count * AH_DIGEST_BYTES);
    c->groups += count * AH_DIGEST_BYTES;
}

/* Put the chaining value of the next 2^level chunks on the stack. With `last`, no byte is known to follow them. */
static void push(cursor *c, const uint8_t *value, unsigned level, int last) {
    uint8_t subtree[AH_DIGEST_BYTES];
    uint64_t carries = c->index >> level;
    c->index += (uint64_t)1 << level;
    memcpy(subtree, value, sizeof subtree);
    for (; carries & 1; carries >>= 1) {
        if (last && c->depth == 1 && power_of_two(c->index)) break; /* this might be the root */
        merge(c->kernel, c->state->stack[--c->depth], subtree, 0, subtree);
        if (++level == GROUP_LEVEL) hand_out(c, subtree, 1);
    }
    memcpy(c->state->stack[c->depth++], subtree, sizeof subtree);
}

/* Put the chaining values of the next `count` subtrees of 2^level chunks on the stack, merged first among themselves,
 * many at a time, as far as they are whole subtrees. They are overwritten. */
static void absorb(cursor *c, uint8_t *values, size_t count, unsigned level) {
    while (count > 0) {
        size_t piece = 1;
        while (2 * piece <= count && (c->index >> level) % (2 * piece) == 0) piece *= 2;
        if (c->index == 0 && piece == count && c->length == 0) piece /= 2; /* their merge might be the root */
        unsigned merged = level;
        for (size_t left = piece;; left /= 2, merged++) {
            if (merged == GROUP_LEVEL) hand_out(c, values, left);
            if (left == 1) break;
            c->kernel->blake3_parents(values, left / 2, values);
        }
        push(c, values, merged, piece == count && c->length == 0);
        values += piece * AH_DIGEST_BYTES;
        count -= piece;
    }
}

/* Take at most BATCH whole chunks from `in`, which need not be the cursor's. */
static void take_chunks(cursor *c, const uint8_t *in, size_t chunks) {
    uint8_t values[BATCH * AH_DIGEST_BYTES];
    ah_state *state = c->state;
    ah_lane lane = {state->sha256, in, c->index, values};
    if (state->which == AH_SHA256) {
        c->kernel->sha256_blocks(state->sha256, in, chunks * CHUNK_BLOCKS);
        c->index += chunks;
        return;
    }
    if (state->which == AH_BOTH)
        c->kernel->dual_chunks(&lane, chunks);
    else
        c->kernel->blake3_chunks(in, chunks, c->index, values);
    absorb(c, values, chunks, 0);
}

static void advance(cursor *c, size_t bytes) {
    c->in += bytes;
    c->length -= bytes;
}

/* Start an update: what was waiting for a byte to follow goes on. */
static cursor begin(const ah_kernel *kernel, ah_state *state, const uint8_t *in, size_t length, uint8_t *groups) {
    uint64_t before = state->length;
    size_t waiting = tail_length(before);
    cursor c = {kernel, state, chunks_taken(before), stack_depth(before), in, length, groups, 0};
    if (length == 0) return c;
    state->length += length;
    if (undecided(before) && state->which != AH_SHA256) {
        c.depth = 1;
        merge(kernel, state->stack[0], state->stack[1], 0, state->stack[0]);
        if (c.index == GROUP_CHUNKS) hand_out(&c, state->stack[0], 1);
    }
    if (waiting > 0) {
        size_t fill = AH_CHUNK_BYTES - waiting < length ? AH_CHUNK_BYTES - waiting : length;
        memcpy(state->tail + waiting, in, fill);
        advance(&c, fill);
        /* else it goes on waiting: in `end` nothing is left to do, and it must not look at the input */
        if (waiting + fill == AH_CHUNK_BYTES && (c.index > 0 || c.length > 0)) take_chunks(&c, state->tail, 1);
    }
    return c;
}

/* Whole chunks ahead that may be taken: all but one that might be the root. */
static size_t chunks_ahead(const cursor *c) {
    return c->index == 0 && c->length <= AH_CHUNK_BYTES ? 0 : c->length / AH_CHUNK_BYTES;
}

/* Whole groups ahead that may be taken as such. A group's chaining value says that it is not the root; SHA-256 alone has
 * neither. */
static size_t groups_ahead(const cursor *c) {
    int root = c->index == 0 && c->length == AH_GROUP_BYTES && c->state->which != AH_SHA256;
    if (c->index % GROUP_CHUNKS != 0 || root) return 0;
    return c->length / AH_GROUP_BYTES;
}

static size_t at_most(size_t count, size_t limit) { return count < limit ? count : limit; }

/* Do the next piece of work; 0 if only the tail is left. */
static int step(cursor *c) {
    int by_groups = c->state->which == AH_BOTH && c->kernel->dual_groups != NULL;
    size_t groups = by_groups ? at_most(groups_ahead(c), BATCH) : 0;
    if (groups > 0) {
        uint8_t values[BATCH * AH_DIGEST_BYTES];
        ah_lane lane = {c->state->sha256, c->in, c->index, values};
        c->kernel->dual_groups(&lane, groups);
        advance(c, groups * AH_GROUP_BYTES);
        absorb(c, values, groups, GROUP_LEVEL);
        return 1;
    }
    /* up to where groups begin, or whole batches would */
    size_t unit = by_groups ? GROUP_CHUNKS : BATCH;
    size_t chunks = at_most(chunks_ahead(c), unit - (size_t)(c->index % unit));
    if (chunks == 0) return 0;
    const uint8_t *in = c->in;
    advance(c, chunks * AH_CHUNK_BYTES);
    take_chunks(c, in, chunks);
    return 1;
}

static size_t end(cursor *c) {
    while (step(c)) continue;
    if (c->length > 0) memcpy(c->state->tail, c->in, c->length);
    return c->completed;
}

void ah_init(ah_state *state, uint32_t which) {
    /* no memset: of tail and stack only that is read which was written */
    state->length = 0;
    state->which = which;
    memcpy(state->sha256, sha256_iv, sizeof state->sha256);
}

size_t ah_update(ah_state *state, const uint8_t *in, size_t length, uint8_t *groups) {
    cursor c = begin(ah_kernel_enter(), state, in, length, groups);
    return end(&c);
}

/* Take `groups` groups of each of two streams at once, if there is a way to. */
static int step_pair(cursor *a, cursor *b) {
    const ah_kernel *kernel = a->kernel;
    uint8_t values[2][BATCH * AH_DIGEST_BYTES];
    ah_lane first = {a->state->sha256, a->in, a->index, values[0]};
    ah_lane second = {b->state->sha256, b->in, b->index, values[1]};
    size_t groups = at_most(at_most(groups_ahead(a), groups_ahead(b)), BATCH);
    uint32_t which = a->state->which;
    if (groups == 0 || which != b->state->which) return 0;
    if (which == AH_BOTH && kernel->dual_groups_pair != NULL)
        kernel->dual_groups_pair(&first, &second, groups);
    else if (which == AH_SHA256 && kernel->sha256_blocks_pair != NULL)
        kernel->sha256_blocks_pair(first.sha256, a->in, second.sha256, b->in, groups * GROUP_CHUNKS * CHUNK_BLOCKS);
    else
        return 0;
    cursor *both[2] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        advance(both[i], groups * AH_GROUP_BYTES);
        if (which == AH_SHA256)
            both[i]->index += groups * GROUP_CHUNKS;
        else
            absorb(both[i], values[i], groups, GROUP_LEVEL);
    }
    return 1;
}

void ah_update_pair(ah_state *first, const uint8_t *first_in, size_t first_length, ah_state *second,
                    const uint8_t *second_in, size_t second_length) {
    const ah_kernel *kernel = ah_kernel_enter();
    cursor a = begin(kernel, first, first_in, first_length, NULL);
    cursor b = begin(kernel, second, second_in, second_length, NULL);
    /* a lane that does not stand before a whole group goes there by itself */
    while (step_pair(&a, &b) || (groups_ahead(&a) == 0 && step(&a)) || (groups_ahead(&b) == 0 && step(&b))) continue;
    end(&a);
    end(&b);
}

/* ---- Digests. */

/* Run blocks through the functions in `which`. */
static void run(const ah_kernel *kernel, uint32_t which, const ah_blocks *blocks) {
    if (which == AH_BOTH && kernel->dual_blocks != NULL) {
        kernel->dual_blocks(blocks);
        return;
    }
    if (which & AH_SHA256) kernel->sha256_blocks(blocks->sha256, blocks->sha256_in, blocks->sha256_blocks);
    if (!(which & AH_BLAKE3)) return;
    for (size_t i = 0; i < blocks->blake3_blocks; i++) {
        int last = i == blocks->blake3_blocks - 1;
        uint32_t flags = (i == 0 ? blocks->first_flags : 0) | (last ? blocks->last_flags : 0);
        kernel->blake3_compress(blocks->cv, blocks->blake3_in + i * AH_BLOCK_BYTES,
                                last ? blocks->last_length : AH_BLOCK_BYTES, blocks->counter, flags, blocks->cv);
    }
}

/* SHA-256's padding after `rest` bytes (at most 64) in `last`: the number of blocks that makes. */
static size_t pad(uint8_t last[2 * AH_BLOCK_BYTES], size_t rest, uint64_t length) {
    /* FIPS 180-4, 5.1.1: the length in bits, 64 of them, at the end of the block that still has room for it */
    size_t blocks = rest < AH_BLOCK_BYTES - 8 ? 1 : 2;
    uint64_t bits = length << 3;
    last[rest] = 0x80;
    store_be(last + blocks * AH_BLOCK_BYTES - 8, (uint32_t)(bits >> 32));
    store_be(last + blocks * AH_BLOCK_BYTES - 4, (uint32_t)bits);
    return blocks;
}

/* The chaining value of the tail as the last chunk, or, when it is empty, of the last subtree on the stack; SHA-256's
 * last words on the way. With AH_ROOT in `flags`, the digest of a stream that is only that. */
static void finish_tail(const ah_kernel *kernel, const ah_state *state, const uint8_t *tail, uint32_t which,
                        uint32_t flags, uint8_t value[32], uint32_t words[WORDS]) {
    uint8_t padded[2 * AH_BLOCK_BYTES] = {0}, block[AH_BLOCK_BYTES] = {0};
    uint32_t cv[WORDS];
    size_t waiting = tail_length(state->length);
    size_t common = waiting == 0 ? 0 : (waiting - 1) / AH_BLOCK_BYTES;
    size_t rest = waiting - common * AH_BLOCK_BYTES;
    uint64_t counter = chunks_taken(state->length);
    uint32_t start = AH_CHUNK_START;
    memcpy(cv, ah_blake3_iv, sizeof cv);
    if (common > 0) {
        run(kernel, which, &(ah_blocks){words, tail, common, cv, tail, common, counter, start, 0, AH_BLOCK_BYTES});
        start = 0;
    }
    memcpy(padded, tail + common * AH_BLOCK_BYTES, rest);
    memcpy(block, padded, sizeof block);
    size_t blocks = pad(padded, rest, state->length);
    int empty = waiting == 0 && counter > 0;
    run(kernel, which,
        &(ah_blocks){words, padded, blocks, cv, block, empty ? 0 : 1, counter, start, AH_CHUNK_END | flags,
                     (uint32_t)rest});
    if (empty)
        memcpy(value, state->stack[stack_depth(state->length) - 1], AH_DIGEST_BYTES);
    else
        store_words(value, cv);
}

static void finish(const ah_kernel *kernel, const ah_state *state, const uint8_t *tail, uint8_t *blake3,
                   uint8_t *sha256) {
    uint32_t words[WORDS];
    uint8_t value[AH_DIGEST_BYTES];
    unsigned depth = stack_depth(state->length);
    memcpy(words, state->sha256, sizeof words);
    finish_tail(kernel, state, tail, state->which, depth == 0 ? AH_ROOT : 0, value, words);
    if (state->which & AH_SHA256)
        for (unsigned i = 0; i < WORDS; i++) store_be(sha256 + 4 * i, words[i]);
    if (!(state->which & AH_BLAKE3)) return;
    if (tail_length(state->length) == 0 && depth > 0) depth--; /* that one is in `value` */
    for (; depth > 0; depth--)
        merge(kernel, state->stack[depth - 1], value, depth == 1 ? AH_ROOT : 0, value);
    memcpy(blake3, value, sizeof value);
}

void ah_digests(const ah_state *state, uint8_t blake3[32], uint8_t sha256[32]) {
    finish(ah_kernel_enter(), state, state->tail, blake3, sha256);
}

size_t ah_last_group(const ah_state *state, uint8_t group[32]) {
    const ah_kernel *kernel = ah_kernel_enter();
    uint64_t within = chunks_taken(state->length) % GROUP_CHUNKS;
    int empty = tail_length(state->length) == 0;
    unsigned depth = stack_depth(state->length), subtrees = bits_set(within);
    if (state->length <= AH_GROUP_BYTES || (within == 0 && empty)) return 0;
    finish_tail(kernel, state, state->tail, AH_BLAKE3, 0, group, NULL);
    if (empty) depth--, subtrees--;
    for (; subtrees > 0; subtrees--) merge(kernel, state->stack[--depth], group, 0, group);
    return 1;
}

void ah_digest(uint32_t which, const uint8_t *in, size_t length, uint8_t both[64]) {
    const ah_kernel *kernel = ah_kernel_enter();
    ah_state state;
    ah_init(&state, which);
    cursor c = begin(kernel, &state, in, length, NULL);
    while (step(&c)) continue;
    finish(kernel, &state, c.in, both, both + AH_DIGEST_BYTES); /* the tail may stay where it is */
}

uint64_t ah_length(const ah_state *state) { return state->length; }

void ah_export(const ah_state *state, uint8_t *out) {
    memset(out, 0, AH_EXPORT_BYTES); /* what is left of earlier, longer tails and stacks does not go out */
    memcpy(out, export_magic, sizeof export_magic);
    out[7] = (uint8_t)state->which;
    store_le(out + 8, (uint32_t)state->length);
    store_le(out + 12, (uint32_t)(state->length >> 32));
    store_words(out + 16, state->sha256);
    memcpy(out + 48, state->tail, tail_length(state->length));
    if (state->which & AH_BLAKE3)
        memcpy(out + 48 + AH_CHUNK_BYTES, state->stack, stack_depth(state->length) * (size_t)AH_DIGEST_BYTES);
}

int ah_import(ah_state *state, const uint8_t *in, size_t length) {
    if (length != AH_EXPORT_BYTES || memcmp(in, export_magic, sizeof export_magic) != 0) return AH_INVALID;
    if (in[7] < AH_BLAKE3 || in[7] > AH_BOTH) return AH_INVALID;
    uint64_t taken = (uint64_t)load_le(in + 8) | (uint64_t)load_le(in + 12) << 32;
    if (taken > AH_MAX_BYTES) return AH_INVALID;
    state->which = in[7];
    state->length = taken;
    for (unsigned i = 0; i < WORDS; i++) state->sha256[i] = load_le(in + 16 + 4 * i);
    memcpy(state->tail, in + 48, AH_CHUNK_BYTES);
    memcpy(state->stack, in + 48 + AH_CHUNK_BYTES, sizeof state->stack);
    return AH_OK;
}
