/* Every entry of every kernel that this CPU can run, against the portable one: bit for bit, at every alignment, flush
 * with guard pages on either side, with noise in the registers and every register that the callee must preserve looked
 * at afterwards. And the published answers, through the whole state machine.
 *
 * It needs no library, so that an emulated machine without an operating system can run it as well (host.h). It is quick
 * rather than exhaustive: the suite in Python has every length and split, for CPUs that run the kernel themselves.
 */
#include "artifact_hash.h"
#include "host.h"
#include "kernel.h"
#include "portable.h"
#include "vectors.h"
#include <string.h>

enum { CANARY = 64, MOST_CHUNKS = 35, FILL = 0x88 };

static const ah_kernel *kernel; /* the one at work */
static const char *entry;       /* and its entry */
static unsigned long checks;

static void print_number(uint64_t number) {
    char text[21], *at = text + sizeof text - 1;
    *at = 0;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    host_print(at);
}

static _Noreturn void fail(const char *what, uint64_t first, uint64_t second) {
    host_print(kernel->name);
    host_print(".");
    host_print(entry);
    host_print(": ");
    host_print(what);
    host_print(" at ");
    print_number(first);
    host_print(", ");
    print_number(second);
    host_print("\n");
    host_fail();
}

static uint64_t random_word(void) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void fill(uint8_t *at, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t)(random_word() >> 32);
}

/* `bytes` in buffer `index`: flush with its end but for `off`, or with its start. */
static uint8_t *place(unsigned index, size_t bytes, size_t off, int at_end) {
    return host_buffer(index) + (at_end ? HOST_BUFFER_BYTES - bytes - off : off);
}

/* An output of `bytes`, filled, with canaries on the side that has no guard page. */
static uint8_t *output(unsigned index, size_t bytes, size_t off, int at_end) {
    uint8_t *at = place(index, bytes, off, at_end);
    uint8_t *base = host_buffer(index), *end = base + HOST_BUFFER_BYTES;
    uint8_t *from = at - base < CANARY ? base : at - CANARY, *to = end - at - bytes < CANARY ? end : at + bytes + CANARY;
    memset(from, FILL, (size_t)(to - from));
    return at;
}

static void require_canaries(unsigned index, const uint8_t *at, size_t bytes, uint64_t first, uint64_t second) {
    const uint8_t *base = host_buffer(index), *end = base + HOST_BUFFER_BYTES;
    for (size_t i = 1; i <= CANARY; i++) {
        if (at - base >= (ptrdiff_t)i && at[-(ptrdiff_t)i] != FILL) fail("wrote before its output", first, second);
        if (end - at >= (ptrdiff_t)(bytes + i) && at[bytes + i - 1] != FILL) fail("wrote behind its output", first, second);
    }
}

static void require_equal(const void *expected, const void *found, size_t bytes, uint64_t first, uint64_t second) {
    checks++;
    if (memcmp(expected, found, bytes) != 0) fail("another result than the portable kernel's", first, second);
}

#define NUMBER(x) ((uint64_t)(x))
#define POINTER(x) ((uint64_t)(uintptr_t)(x))
/* The upper half of a 32-bit argument is whatever the caller has there. */
#define WORD(x) ((uint64_t)(uint32_t)(x) | 0xdeadbeef00000000u)

static void call(void (*function)(void), const uint64_t *arguments, uint64_t first, uint64_t second) {
    uint64_t changed = checked_call(function, arguments);
    if (changed != 0) {
        host_print("the set of checked_call: ");
        print_number(changed);
        host_print("\n");
        fail("registers that are the caller's were changed", first, second);
    }
}

#define CALL(function, first, second, ...)                                                                             \
    call((void (*)(void))(function), (const uint64_t[6]){__VA_ARGS__}, (uint64_t)(first), (uint64_t)(second))

/* Alignments to go through, and the side of the guard page: `turn` counts on. */
static size_t offset_of(unsigned turn) { return turn < 128 ? turn / 2 : turn * 7 % 64; }

/* ---- The entries. Buffers: 0 and 1 inputs, 2 and 3 states, 4 and 5 outputs. */

static const uint64_t counters[] = {0, 16, 0xffffffffu, 0xfffffff5u, 0x123456789abcu, 0xfffffffffffff5u};
enum { COUNTERS = sizeof counters / sizeof counters[0] };

static void check_sha256_blocks(void) {
    entry = "sha256_blocks";
    for (unsigned turn = 0; turn < 256; turn++) {
        size_t blocks = turn % 19, off = offset_of(turn);
        uint8_t *in = place(0, blocks * 64, off, turn & 1), *state = output(2, 32, off / 4 * 4, turn & 1);
        uint32_t expected[8];
        fill(in, blocks * 64);
        fill(state, 32);
        memcpy(expected, state, 32);
        ah_portable_sha256_blocks(expected, in, blocks);
        CALL(kernel->sha256_blocks, blocks, off, POINTER(state), POINTER(in), NUMBER(blocks));
        require_equal(expected, state, 32, blocks, off);
        require_canaries(2, state, 32, blocks, off);
    }
}

static void check_sha256_blocks_pair(void) {
    entry = "sha256_blocks_pair";
    if (kernel->sha256_blocks_pair == NULL) return;
    for (unsigned turn = 0; turn < 128; turn++) {
        size_t blocks = turn % 11, off = offset_of(turn);
        uint8_t *in[2], *state[2];
        uint32_t expected[2][8];
        for (unsigned i = 0; i < 2; i++) {
            in[i] = place(i, blocks * 64, off, turn & 1);
            state[i] = output(2 + i, 32, off / 4 * 4, turn & 1);
            fill(in[i], blocks * 64);
            fill(state[i], 32);
            memcpy(expected[i], state[i], 32);
            ah_portable_sha256_blocks(expected[i], in[i], blocks);
        }
        CALL(kernel->sha256_blocks_pair, blocks, off, POINTER(state[0]), POINTER(in[0]), POINTER(state[1]),
             POINTER(in[1]), NUMBER(blocks));
        for (unsigned i = 0; i < 2; i++) {
            require_equal(expected[i], state[i], 32, blocks, off);
            require_canaries(2 + i, state[i], 32, blocks, off);
        }
    }
}

static void check_blake3_compress(void) {
    entry = "blake3_compress";
    for (unsigned turn = 0; turn < 256; turn++) {
        size_t off = offset_of(turn);
        uint32_t length = turn % 65, flags = turn % 16;
        uint64_t counter = counters[turn % COUNTERS];
        uint8_t *in = place(0, 64, off, turn & 1), *cv = output(2, 32, off / 4 * 4, turn & 1);
        uint8_t *out = turn % 3 == 0 ? cv : output(4, 32, off / 4 * 4, turn & 1);
        uint32_t words[8];
        fill(in, 64);
        fill(cv, 32);
        memcpy(words, cv, 32);
        ah_portable_blake3_compress(words, in, length, counter, flags, words);
        CALL(kernel->blake3_compress, length, flags, POINTER(cv), POINTER(in), WORD(length), counter, WORD(flags),
             POINTER(out));
        require_equal(words, out, 32, length, flags);
        require_canaries(out == cv ? 2 : 4, out, 32, length, flags);
    }
}

static void check_blake3_chunks(void) {
    static uint8_t expected[MOST_CHUNKS * 32];
    entry = "blake3_chunks";
    for (unsigned turn = 0; turn < 144; turn++) {
        size_t chunks = turn % (MOST_CHUNKS + 1), off = offset_of(turn);
        uint64_t counter = counters[turn % COUNTERS];
        uint8_t *in = place(0, chunks * 1024, off, turn & 1), *out = output(4, chunks * 32, off, turn & 1);
        fill(in, chunks * 1024);
        ah_portable_blake3_chunks(in, chunks, counter, expected);
        CALL(kernel->blake3_chunks, chunks, counter, POINTER(in), NUMBER(chunks), counter, POINTER(out));
        require_equal(expected, out, chunks * 32, chunks, counter);
        require_canaries(4, out, chunks * 32, chunks, counter);
    }
}

static void check_blake3_parents(void) {
    static uint8_t expected[130 * 32];
    entry = "blake3_parents";
    for (unsigned turn = 0; turn < 262; turn++) {
        size_t parents = turn % 131, off = offset_of(turn);
        uint8_t *in = place(0, parents * 64, off, turn & 1), *out = output(4, parents * 32, off, turn & 1);
        fill(in, parents * 64);
        ah_portable_blake3_parents(in, parents, expected);
        CALL(kernel->blake3_parents, parents, off, POINTER(in), NUMBER(parents), POINTER(out));
        require_equal(expected, out, parents * 32, parents, off);
        require_canaries(4, out, parents * 32, parents, off);
        CALL(kernel->blake3_parents, parents, off, POINTER(in), NUMBER(parents), POINTER(in));
        require_equal(expected, in, parents * 32, parents, off);
    }
}

static void portable_blocks(const ah_blocks *b) {
    ah_portable_sha256_blocks(b->sha256, b->sha256_in, b->sha256_blocks);
    for (size_t i = 0; i < b->blake3_blocks; i++) {
        int last = i == b->blake3_blocks - 1;
        ah_portable_blake3_compress(b->cv, b->blake3_in + 64 * i, last ? b->last_length : 64, b->counter,
                                    (i == 0 ? b->first_flags : 0) | (last ? b->last_flags : 0), b->cv);
    }
}

static void check_dual_blocks(void) {
    entry = "dual_blocks";
    if (kernel->dual_blocks == NULL) return;
    for (unsigned turn = 0; turn < 17 * 18; turn++) {
        size_t s = turn % 17, b = turn / 17 % 18, off = offset_of(turn);
        uint8_t *in[2] = {place(0, s * 64, off, turn & 1), place(1, b * 64, off / 2, turn & 1)};
        uint8_t *state = output(2, 32, off / 4 * 4, turn & 1), *cv = output(3, 32, off / 4 * 4, turn & 1);
        uint32_t words[2][8];
        fill(in[0], s * 64);
        fill(in[1], b * 64);
        fill(state, 32);
        fill(cv, 32);
        memcpy(words[0], state, 32);
        memcpy(words[1], cv, 32);
        ah_blocks blocks = {words[0], in[0], s, words[1], in[1], b, counters[turn % COUNTERS], turn % 2, 2 + turn % 3 * 4, turn % 65};
        portable_blocks(&blocks);
        blocks.sha256 = (uint32_t *)(void *)state;
        blocks.cv = (uint32_t *)(void *)cv;
        ah_blocks *given = (ah_blocks *)(void *)place(6, sizeof blocks, 0, 1);
        *given = blocks;
        CALL(kernel->dual_blocks, s, b, POINTER(given));
        require_equal(words[0], state, 32, s, b);
        require_equal(words[1], cv, 32, s, b);
        require_equal(&blocks, given, sizeof blocks, s, b);
        require_canaries(2, state, 32, s, b);
        require_canaries(3, cv, 32, s, b);
    }
}

/* One lane to be given, in a guarded place, and what is expected of it. `step`: chunks of one value. */
typedef struct lane_case {
    ah_lane lane, *given;
    uint32_t sha256[8];
    size_t values;
    uint8_t expected[MOST_CHUNKS * 32];
} lane_case;

static void open_lane(lane_case *c, unsigned number, size_t chunks, size_t step, uint64_t counter, size_t off, int at_end) {
    uint8_t *in = place(number, chunks * 1024, off, at_end), *state = output(2 + number, 32, off / 4 * 4, at_end);
    fill(in, chunks * 1024);
    fill(state, 32);
    memcpy(c->sha256, state, 32);
    ah_portable_sha256_blocks(c->sha256, in, chunks * 16);
    ah_portable_blake3_chunks(in, chunks, counter, c->expected);
    for (size_t left = step; left > 1; left /= 2)
        ah_portable_blake3_parents(c->expected, chunks / step * left / 2, c->expected);
    c->values = chunks / step;
    c->lane = (ah_lane){(uint32_t *)(void *)state, in, counter, output(4 + number, c->values * 32, off, at_end)};
    c->given = (ah_lane *)(void *)place(6 + number, sizeof c->lane, 0, 1);
    *c->given = c->lane;
}

static void close_lane(const lane_case *c, unsigned number, size_t first, size_t second) {
    require_equal(c->sha256, c->lane.sha256, 32, first, second);
    require_equal(c->expected, c->lane.out, c->values * 32, first, second);
    require_equal(&c->lane, c->given, sizeof c->lane, first, second);
    require_canaries(2 + number, (const uint8_t *)c->lane.sha256, 32, first, second);
    require_canaries(4 + number, c->lane.out, c->values * 32, first, second);
}

static void check_dual_chunks(void) {
    static lane_case c;
    entry = "dual_chunks";
    for (unsigned turn = 0; turn < 144; turn++) {
        size_t chunks = turn % (MOST_CHUNKS + 1), off = offset_of(turn);
        open_lane(&c, 0, chunks, 1, counters[turn % COUNTERS], off, turn & 1);
        CALL(kernel->dual_chunks, chunks, off, POINTER(c.given), NUMBER(chunks));
        close_lane(&c, 0, chunks, off);
    }
}

static void check_dual_groups(void) {
    static lane_case c;
    static const uint64_t multiples[] = {0, 16, 0xfffffff0u, 0x123456789ab0u};
    entry = "dual_groups";
    if (kernel->dual_groups == NULL) return;
    for (unsigned turn = 0; turn < 132; turn++) {
        size_t groups = turn < 128 ? turn / 2 % 3 : turn - 127, off = offset_of(turn);
        if (groups * 16 > MOST_CHUNKS) groups = 2;
        open_lane(&c, 0, groups * 16, 16, multiples[turn % 4], off, turn & 1);
        CALL(kernel->dual_groups, groups, off, POINTER(c.given), NUMBER(groups));
        close_lane(&c, 0, groups, off);
    }
}

static void check_dual_groups_pair(void) {
    static lane_case c[2];
    static const uint64_t multiples[] = {0, 16, 0xfffffff0u, 0x123456789ab0u};
    entry = "dual_groups_pair";
    if (kernel->dual_groups_pair == NULL) return;
    for (unsigned turn = 0; turn < 128; turn++) {
        size_t groups = turn / 2 % 3, off = offset_of(turn);
        open_lane(&c[0], 0, groups * 16, 16, multiples[turn % 4], off, turn & 1);
        open_lane(&c[1], 1, groups * 16, 16, multiples[turn / 4 % 4], off * 5 % 64, turn & 1);
        CALL(kernel->dual_groups_pair, groups, off, POINTER(c[0].given), POINTER(c[1].given), NUMBER(groups));
        close_lane(&c[0], 0, groups, off);
        close_lane(&c[1], 1, groups, off);
    }
}

/* ---- The whole: published answers, and lengths around every edge. */

static void check_answers(void) {
    uint8_t *data = host_buffer(0), digests[64];
    entry = "answers";
    for (size_t i = 0; i < HOST_BUFFER_BYTES; i++) data[i] = (uint8_t)(i % 251);
    for (size_t i = 0; i < BLAKE3_VECTORS; i++) {
        ah_digest(AH_BOTH, data, blake3_vectors[i].length, digests);
        require_equal(blake3_vectors[i].digest, digests, 32, blake3_vectors[i].length, 0);
    }
    for (size_t i = 0; i < SHA256_VECTORS; i++) {
        ah_digest(AH_BOTH, sha256_vectors[i].message, sha256_vectors[i].length, digests);
        require_equal(sha256_vectors[i].digest, digests + 32, 32, sha256_vectors[i].length, 0);
    }
}

static void check_length(const uint8_t *data, size_t length, size_t step) {
    uint8_t found[64], expected[64];
    ah_state state;
    ah_select(kernel->name);
    ah_init(&state, AH_BOTH);
    for (size_t at = 0; at < length; at += step)
        ah_update(&state, data + at, length - at < step ? length - at : step, NULL);
    ah_digests(&state, found, found + 32);
    ah_select("portable");
    ah_digest(AH_BOTH, data, length, expected);
    require_equal(expected, found, sizeof found, length, step);
}

static void check_lengths(void) {
    static const size_t edges[] = {64, 128, 192, 448, 960, 1024, 2048, 3072, 4096, 15360, 16384, 17408, 32768, 65536};
    entry = "lengths";
    for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++)
        for (int around = -10; around <= 2; around++) {
            size_t length = edges[e] + (size_t)around;
            const uint8_t *data = place(0, length, e % 2, 1);
            check_length(data, length, length);
            check_length(data, length, length / 2 + 1);
            check_length(data, length, 1025);
        }
}

static void check_kernel(const char *name) {
    unsigned long before = checks;
    ah_select(name);
    kernel = ah_kernel_enter();
    check_answers();
    check_sha256_blocks();
    check_sha256_blocks_pair();
    check_blake3_compress();
    check_blake3_chunks();
    check_blake3_parents();
    check_dual_blocks();
    check_dual_chunks();
    check_dual_groups();
    check_dual_groups_pair();
    check_lengths();
    host_print(name);
    host_print(": ");
    print_number(checks - before);
    host_print(" results equal\n");
}

int check_entries(const char *only) {
    int found = 0;
    for (size_t i = 0; ah_kernel_name(i) != NULL; i++)
        if (only == NULL || strcmp(only, ah_kernel_name(i)) == 0) {
            check_kernel(ah_kernel_name(i));
            found++;
        }
    return found;
}
