/* One hasher for each thread, many threads at once, of each kernel: for ThreadSanitizer and the others. What threads
 * share is the choice of the kernel, made here by all of them at once, the counts, and a state that is handed on. */
#include "artifact_hash.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 8, TURNS = 12, LONGEST = 70000 };

static const size_t lengths[] = {0, 1, 63, 64, 1023, 1025, 2048, 16384, 16385, 40000, LONGEST};
static uint8_t data[LONGEST + THREADS];
static pthread_barrier_t begin;
static pthread_mutex_t handing = PTHREAD_MUTEX_INITIALIZER;
static uint8_t handed[AH_EXPORT_BYTES]; /* a state of the first bytes, by whoever came last */
static size_t handed_length;

static void require(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void whole(const uint8_t *in, size_t length, const ah_state *state) {
    uint8_t expected[64], found[64];
    ah_digest(AH_BOTH, in, length, expected);
    ah_digests(state, found, found + 32);
    require(memcmp(expected, found, sizeof found) == 0 && ah_length(state) == length, "digests differ");
}

static void hand_on(const ah_state *state) {
    ah_state taken;
    size_t length = 0;
    pthread_mutex_lock(&handing);
    if (handed_length > 0) {
        require(ah_import(&taken, handed, sizeof handed) == AH_OK, "import");
        length = handed_length;
    }
    ah_export(state, handed);
    handed_length = (size_t)ah_length(state);
    pthread_mutex_unlock(&handing);
    if (length > 0) {
        ah_update(&taken, data + length, LONGEST - length, NULL);
        whole(data, LONGEST, &taken);
    }
}

static void *hash(void *argument) {
    const size_t number = (size_t)(uintptr_t)argument;
    const uint8_t *own = data + number;
    pthread_barrier_wait(&begin);
    for (size_t turn = 0; turn < TURNS; turn++) {
        ah_state one, other;
        size_t first = lengths[(number + turn) % (sizeof lengths / sizeof lengths[0])];
        size_t second = lengths[(number * 3 + turn * 5) % (sizeof lengths / sizeof lengths[0])];
        ah_init(&one, AH_BOTH);
        ah_init(&other, AH_BOTH);
        ah_update_pair(&one, own, first, &other, data, second);
        ah_update(&one, own + first, LONGEST - first, NULL);
        whole(own, LONGEST, &one);
        whole(data, second, &other);
        hand_on(&other);
        require(ah_active() != NULL && ah_kernel_hits(0) + 1 > 0, "no kernel");
    }
    return NULL;
}

static void all_at_once(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&begin, NULL, THREADS);
    for (size_t at = 0; at < THREADS; at++)
        require(pthread_create(&threads[at], NULL, hash, (void *)at) == 0, "no thread");
    for (size_t at = 0; at < THREADS; at++) pthread_join(threads[at], NULL);
    pthread_barrier_destroy(&begin);
}

int main(void) {
    for (size_t at = 0; at < sizeof data; at++) data[at] = (uint8_t)(at % 251);
    all_at_once(); /* they choose the kernel */
    for (size_t kernel = 0; ah_kernel_name(kernel) != NULL; kernel++) {
        require(ah_select(ah_kernel_name(kernel)) == AH_OK, "select");
        uint64_t before = ah_kernel_hits(kernel);
        all_at_once();
        require(ah_kernel_hits(kernel) > before, "another kernel ran");
        printf("%s\n", ah_kernel_name(kernel));
    }
    return 0;
}
