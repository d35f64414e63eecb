/* Every entry of every kernel that this CPU can run against the portable one, in the manner of checkasm: input, output
 * and state end at a page that nobody may touch, or begin after one; outputs are filled with 0x88 before; on x86-64 the
 * call goes through call-x86_64.S, which looks at what the ABI promises. Prints a line a kernel and exits with 0, or
 * names the first entry that is wrong and exits with 1. Names on the command line choose kernels, and lacking one of
 * them is an error. */
#define _GNU_SOURCE
#include "artifact_hash.h"
#include "kernel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ROOM = 1 << 18, PAGE = 4096, MOST_CHUNKS = 40, MOST_GROUPS = 5 };

static const char *kernel_name, *entry = "";
static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t random64(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void require(int condition, const char *what, size_t size) {
    if (condition) return;
    fprintf(stderr, "%s %s: %s (size %zu)\n", kernel_name, entry, what, size);
    exit(1);
}

/* ROOM bytes between two pages that cannot be touched. */
static uint8_t *guarded(void) {
    uint8_t *map = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED || mprotect(map + PAGE, ROOM, PROT_READ | PROT_WRITE) != 0) abort();
    return map + PAGE;
}

/* `size` bytes at the end of the room, or at its beginning. */
static uint8_t *place(uint8_t *room, size_t size, int at_end) { return at_end ? room + ROOM - size : room; }

#if defined(__x86_64__)
uint64_t checked_call(void *function, const uint64_t arguments[6], const uint64_t constants[6]);

/* x86-64 says nothing of the upper halves of 32-bit arguments, so what they hold must not matter. */
static uint64_t dirty(uint32_t argument) { return argument | random64() << 32; }

static void call(void (*function)(void), const uint64_t arguments[6], size_t size) {
    uint64_t constants[6];
    for (unsigned i = 0; i < 6; i++) constants[i] = random64();
    uint64_t wrong = checked_call((void *)function, arguments, constants);
    if (wrong != 0) fprintf(stderr, "what the ABI promises: bits 0x%llx\n", (unsigned long long)wrong);
    require(wrong == 0, "left something else than it found", size);
}
#else
static uint64_t dirty(uint32_t argument) { return argument; }

static void call(void (*function)(void), const uint64_t a[6], size_t size) {
    (void)size;
    /* on the 64-bit ABIs in question integer and pointer arguments are passed alike */
    typedef void six(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
    ((six *)function)(a[0], a[1], a[2], a[3], a[4], a[5]);
}
#endif

#define FUNCTION(f) ((void (*)(void))(f))
#define P(pointer) ((uint64_t)(uintptr_t)(pointer))

static uint8_t *in_room[2], *out_room[2], *state_room[2], *argument_room;

static uint8_t *fill(uint8_t *p, size_t size) {
    for (size_t i = 0; i < size; i++) p[i] = (uint8_t)random64();
    return p;
}

static void sha256(const ah_kernel *k, size_t blocks, int at_end) {
    uint8_t *in = fill(place(in_room[0], blocks * 64, at_end), blocks * 64), *state = place(state_room[0], 32, at_end);
    uint32_t expected[8];
    memcpy(expected, fill(state, 32), 32);
    ah_portable.sha256_blocks(expected, in, blocks);
    call(FUNCTION(k->sha256_blocks), (uint64_t[6]){P(state), P(in), blocks}, blocks);
    require(memcmp(state, expected, 32) == 0, "differs", blocks);
}

static void sha256_pair(const ah_kernel *k, size_t blocks, int at_end) {
    uint8_t *in[2], *state[2];
    uint32_t expected[2][8];
    if (k->sha256_blocks_pair == NULL) return;
    for (int i = 0; i < 2; i++) {
        in[i] = fill(place(in_room[i], blocks * 64, at_end ^ i), blocks * 64);
        state[i] = fill(place(state_room[i], 32, at_end), 32);
        memcpy(expected[i], state[i], 32);
        ah_portable.sha256_blocks(expected[i], in[i], blocks);
    }
    call(FUNCTION(k->sha256_blocks_pair), (uint64_t[6]){P(state[0]), P(in[0]), P(state[1]), P(in[1]), blocks}, blocks);
    for (int i = 0; i < 2; i++) require(memcmp(state[i], expected[i], 32) == 0, "differs", blocks);
}

static const uint64_t counters[] = {0, 5, 0xfffffff0u, 0xfffffffbu, 0x100000000u, 0x3fffffffffff00u};

static void blake3(const ah_kernel *k, size_t chunks, int at_end) {
    static uint8_t expected[MOST_CHUNKS * 32];
    uint8_t *in = fill(place(in_room[0], chunks * 1024, at_end), chunks * 1024);
    uint8_t *out = place(out_room[0], chunks * 32, at_end);
    uint64_t counter = counters[chunks % 6];
    memset(out, 0x88, chunks * 32);
    ah_portable.blake3_chunks(in, chunks, counter, expected);
    call(FUNCTION(k->blake3_chunks), (uint64_t[6]){P(in), chunks, counter, P(out)}, chunks);
    require(memcmp(out, expected, chunks * 32) == 0, "differs", chunks);
}

static void parents(const ah_kernel *k, size_t count, int at_end) {
    static uint8_t expected[MOST_CHUNKS * 32];
    uint8_t *in = fill(place(in_room[0], count * 64, at_end), count * 64);
    uint8_t *out = place(out_room[0], count * 32, at_end);
    memset(out, 0x88, count * 32);
    ah_portable.blake3_parents(in, count, expected);
    call(FUNCTION(k->blake3_parents), (uint64_t[6]){P(in), count, P(out)}, count);
    require(memcmp(out, expected, count * 32) == 0, "differs", count);
    call(FUNCTION(k->blake3_parents), (uint64_t[6]){P(in), count, P(in)}, count);
    require(memcmp(in, expected, count * 32) == 0, "differs in place", count);
}

static void compress(const ah_kernel *k, size_t length, int at_end) {
    uint8_t *block = fill(place(in_room[0], 64, at_end), 64), *cv = fill(place(state_room[0], 32, at_end), 32);
    uint8_t *out = place(out_room[0], 32, at_end);
    uint32_t expected[8], from[8], flags = (uint32_t)random64() % 16;
    uint64_t counter = counters[length % 6];
    memcpy(from, cv, 32);
    ah_portable.blake3_compress(from, block, (uint32_t)length, counter, flags, expected);
    for (int same = 0; same < 2; same++) {
        uint8_t *to = same ? cv : out;
        call(FUNCTION(k->blake3_compress),
             (uint64_t[6]){P(cv), P(block), dirty((uint32_t)length), counter, dirty(flags), P(to)}, length);
        require(memcmp(to, expected, 32) == 0, "differs", length);
    }
}

static void blocks(const ah_kernel *k, size_t sha, size_t b3, int at_end) {
    uint8_t *in[2] = {fill(place(in_room[0], sha * 64, at_end), sha * 64),
                      fill(place(in_room[1], b3 * 64, at_end), b3 * 64)};
    uint8_t *state = fill(place(state_room[0], 32, at_end), 32), *cv = fill(place(state_room[1], 32, at_end), 32);
    uint32_t expected[2][8], length = (uint32_t)random64() % 65;
    uint64_t counter = counters[b3 % 6];
    if (k->dual_blocks == NULL) return;
    memcpy(expected[0], state, 32);
    memcpy(expected[1], cv, 32);
    ah_portable.sha256_blocks(expected[0], in[0], sha);
    for (size_t i = 0; i < b3; i++)
        ah_portable.blake3_compress(expected[1], in[1] + 64 * i, i == b3 - 1 ? length : 64, counter,
                                    (uint32_t)((i == 0 ? 1 : 0) | (i == b3 - 1 ? 10 : 0)), expected[1]);
    ah_blocks *arguments = (ah_blocks *)(void *)place(argument_room, sizeof *arguments, 1);
    *arguments = (ah_blocks){(uint32_t *)(void *)state, in[0], sha, (uint32_t *)(void *)cv, in[1], b3, counter, 1, 10,
                             length};
    call(FUNCTION(k->dual_blocks), (uint64_t[6]){P(arguments)}, b3);
    require(memcmp(state, expected[0], 32) == 0, "SHA-256 differs", sha);
    require(memcmp(cv, expected[1], 32) == 0, "BLAKE3 differs", b3);
}

/* What the lane entries must give: chunk values, or those of whole groups. */
static void expect(ah_lane lane, size_t chunks, int groups, uint8_t *out, uint32_t state[8]) {
    static uint8_t values[MOST_GROUPS * 16 * 32];
    memcpy(state, lane.sha256, 32);
    ah_portable.sha256_blocks(state, lane.in, chunks * 16);
    ah_portable.blake3_chunks(lane.in, chunks, lane.counter, groups ? values : out);
    for (size_t g = 0; groups && g < chunks / 16; g++) {
        for (size_t n = 8; n > 0; n /= 2) ah_portable.blake3_parents(values + 512 * g, n, values + 512 * g);
        memcpy(out + 32 * g, values + 512 * g, 32);
    }
}

/* dual_chunks, dual_groups (groups = 1), dual_groups_pair (lanes = 2). */
static void lanes(const ah_kernel *k, size_t count, int groups, unsigned lanes, int at_end) {
    static uint8_t expected[2][MOST_CHUNKS * 32];
    uint32_t states[2][8];
    ah_lane *lane = (ah_lane *)(void *)place(argument_room, 2 * sizeof *lane, 1);
    size_t chunks = groups ? 16 * count : count;
    void (*function)(void) = lanes == 2 ? FUNCTION(k->dual_groups_pair)
                             : groups   ? FUNCTION(k->dual_groups)
                                        : FUNCTION(k->dual_chunks);
    if (function == NULL) return;
    for (unsigned i = 0; i < lanes; i++) {
        uint64_t counter = groups ? counters[(count + i) % 6] & ~(uint64_t)15 : counters[(count + i) % 6];
        lane[i] = (ah_lane){(uint32_t *)(void *)fill(place(state_room[i], 32, at_end), 32),
                            fill(place(in_room[i], chunks * 1024, at_end), chunks * 1024), counter,
                            place(out_room[i], count * 32, at_end)};
        memset(lane[i].out, 0x88, count * 32);
        expect(lane[i], chunks, groups, expected[i], states[i]);
    }
    call(function, lanes == 2 ? (uint64_t[6]){P(lane), P(lane + 1), count} : (uint64_t[6]){P(lane), count}, count);
    for (unsigned i = 0; i < lanes; i++) {
        require(memcmp(lane[i].sha256, states[i], 32) == 0, "SHA-256 differs", count);
        require(memcmp(lane[i].out, expected[i], count * 32) == 0, "BLAKE3 differs", count);
    }
}

static void check(const ah_kernel *k) {
    for (int at_end = 0; at_end < 2; at_end++) {
        for (size_t n = 0; n <= MOST_CHUNKS; n++) {
            entry = "sha256_blocks", sha256(k, n, at_end);
            entry = "sha256_blocks_pair", sha256_pair(k, n, at_end);
            entry = "blake3_chunks", blake3(k, n, at_end);
            entry = "blake3_parents", parents(k, n, at_end);
            entry = "dual_chunks", lanes(k, n, 0, 1, at_end);
        }
        for (size_t n = 0; n <= MOST_GROUPS; n++) {
            entry = "dual_groups", lanes(k, n, 1, 1, at_end);
            entry = "dual_groups_pair", lanes(k, n, 1, 2, at_end);
        }
        for (size_t n = 0; n <= 64; n++) entry = "blake3_compress", compress(k, n, at_end);
        for (size_t sha = 0; sha <= 18; sha++)
            for (size_t b3 = 0; b3 <= 18; b3++) entry = "dual_blocks", blocks(k, sha, b3, at_end);
    }
}

int main(int count, char **names) {
    for (unsigned i = 0; i < 2; i++) {
        in_room[i] = guarded();
        out_room[i] = guarded();
        state_room[i] = guarded();
    }
    argument_room = guarded();
    for (size_t i = 0; count > 1 ? i + 1 < (size_t)count : ah_kernel_name(i) != NULL; i++) {
        kernel_name = count > 1 ? names[i + 1] : ah_kernel_name(i);
        require(ah_select(kernel_name) == AH_OK, "this CPU cannot run it", 0);
        check(ah_kernel_enter());
        printf("%s\n", kernel_name);
    }
    return 0;
}
