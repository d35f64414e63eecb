/* Differential fuzzing of the state machine over all kernels of this CPU. A byte string is a program: what is wanted,
 * then cuts, at each of which it may change the kernel, export and import the state, or advance a second stream in the
 * same call. What comes out must be what the portable kernel says of the whole, group values included.
 *
 * With -DLIBFUZZER -fsanitize=fuzzer this is libFuzzer's target. Else it is a program of its own that makes up random
 * byte strings: fuzz SECONDS [SEED]; it prints the seed first, and names the program that failed. */
#define _GNU_SOURCE
#include "artifact_hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 300000, GROUPS = MOST / AH_GROUP_BYTES + 2 };

static uint8_t data[2][MOST];

static void require(int condition, const char *what) {
    if (condition) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

typedef struct program {
    const uint8_t *at;
    size_t left;
} program;

static uint32_t next(program *p, unsigned bytes) {
    uint32_t value = 0;
    for (; bytes > 0; bytes--) {
        value = value << 8 | (p->left > 0 ? *p->at : 0);
        if (p->left > 0) p->at++, p->left--;
    }
    return value;
}

static void change_kernel(program *p) {
    size_t kernels = 0;
    while (ah_kernel_name(kernels) != NULL) kernels++;
    require(ah_select(ah_kernel_name(next(p, 1) % kernels)) == AH_OK, "select");
}

/* Cuts cluster where something happens: within a block, a chunk, a group, or anywhere. */
static size_t cut(program *p, size_t most) {
    static const uint32_t sizes[] = {130, 2100, 34000, MOST};
    size_t size = next(p, 3) % sizes[next(p, 1) % 4];
    if (next(p, 1) % 4 == 0) size &= ~(size_t)1023;
    return size < most ? size : most;
}

static void again(program *p, ah_state *state) {
    uint8_t exported[AH_EXPORT_BYTES];
    if (next(p, 1) % 4 != 0) return;
    ah_export(state, exported);
    memset(state, 0x88, sizeof *state);
    require(ah_import(state, exported, sizeof exported) == AH_OK, "import");
}

static void compare(const ah_state *state, const uint8_t *from, const char *what) {
    uint8_t found[64] = {0}, expected[64] = {0};
    ah_digests(state, found, found + 32);
    require(ah_select("portable") == AH_OK, "portable");
    ah_digest(state->which, from, (size_t)ah_length(state), expected);
    require(memcmp(found, expected, sizeof found) == 0, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    program p = {bytes, size};
    static uint8_t groups[2][GROUPS * 32];
    uint32_t which = next(&p, 1) % 3 + 1;
    ah_state state[2], whole;
    size_t at[2] = {0, 0}, offset = next(&p, 1) % 64, handed = 0;
    change_kernel(&p);
    ah_init(&state[0], which);
    ah_init(&state[1], next(&p, 1) % 8 == 0 ? next(&p, 1) % 3 + 1 : which);
    for (unsigned steps = 0; p.left > 0 && steps < 64; steps++) {
        size_t first = cut(&p, MOST - offset - at[0]), second = cut(&p, MOST - at[1]);
        const uint8_t *in = data[0] + offset + at[0];
        if (next(&p, 1) % 3 == 0 && which != AH_BLAKE3) {
            ah_update_pair(&state[0], in, first, &state[1], data[1] + at[1], second);
            at[1] += second;
            handed = GROUPS; /* the pair hands none out */
        } else {
            size_t got = ah_update(&state[0], in, first, handed < GROUPS ? groups[0] + 32 * handed : NULL);
            handed = handed < GROUPS ? handed + got : GROUPS;
        }
        at[0] += first;
        again(&p, &state[0]);
        again(&p, &state[1]);
        if (next(&p, 1) % 4 == 0) change_kernel(&p);
    }
    if (handed < GROUPS && which != AH_SHA256) {
        handed += ah_last_group(&state[0], groups[0] + 32 * handed);
        require(ah_select("portable") == AH_OK, "portable");
        ah_init(&whole, which);
        size_t expected = ah_update(&whole, data[0] + offset, at[0], groups[1]);
        expected += ah_last_group(&whole, groups[1] + 32 * expected);
        require(handed == expected && memcmp(groups[0], groups[1], 32 * handed) == 0, "group values differ");
        change_kernel(&p);
    }
    compare(&state[0], data[0] + offset, "the digests differ");
    compare(&state[1], data[1], "the second stream's digests differ");
    return 0;
}

static void make_data(void) {
    uint32_t x = 1;
    for (size_t i = 0; i < 2 * MOST; i++) {
        x = x * 1664525u + 1013904223u;
        data[i / MOST][i % MOST] = (uint8_t)(x >> 24);
    }
}

#if defined(LIBFUZZER)
int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count, (void)arguments;
    make_data();
    return 0;
}
#else
int main(int count, char **arguments) {
    double seconds = count > 1 ? atof(arguments[1]) : 5;
    uint64_t seed = count > 2 ? strtoull(arguments[2], NULL, 0) : (uint64_t)time(NULL), programs = 0;
    struct timespec start, now;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    make_data();
    seed = seed * 2 + 1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        uint8_t bytes[512];
        size_t size = 0;
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            bytes[i] = (uint8_t)(seed >> 32);
            if (i == 0) size = 8 + bytes[0] % 120;
        }
        LLVMFuzzerTestOneInput(bytes, size);
        programs++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) * 1e-9 < seconds);
    for (size_t i = 0; ah_kernel_name(i) != NULL; i++)
        printf("%s %llu\n", ah_kernel_name(i), (unsigned long long)ah_kernel_hits(i));
    printf("%llu programs\n", (unsigned long long)programs);
    return 0;
}
#endif
