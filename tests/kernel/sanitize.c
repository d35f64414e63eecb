/* A walk through the state machine for builds with -fsanitize: lengths and splits around every edge. It aborts when
 * two ways of digesting the same bytes differ; the sanitizers abort on everything else. */
#include "artifact_hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void require(int condition, const char *what) {
    if (!condition) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void walk(const uint8_t *data, size_t length, size_t step) {
    uint8_t whole[64], pieces[2][32], resumed[2][32], last[32], exported[AH_EXPORT_BYTES];
    uint8_t *groups = malloc(32 * (step / AH_GROUP_BYTES + 1)); /* exactly what the contract asks for */
    ah_state state, copy;
    size_t handed = 0;
    require(groups != NULL, "no memory");
    ah_digest(AH_BOTH, data, length, whole);
    ah_init(&state, AH_BOTH);
    for (size_t at = 0; at < length; at += step) {
        handed += ah_update(&state, data + at, length - at < step ? length - at : step, groups);
        if (at / step % 7 == 3) {
            ah_export(&state, exported);
            require(ah_import(&copy, exported, sizeof exported) == AH_OK, "import");
            state = copy;
        }
    }
    ah_digests(&state, pieces[0], pieces[1]);
    copy = state;
    ah_digests(&copy, resumed[0], resumed[1]);
    handed += ah_last_group(&state, last);
    require(memcmp(whole, pieces, sizeof whole) == 0 && memcmp(whole, resumed, sizeof whole) == 0, "digests differ");
    require(handed == (length > AH_GROUP_BYTES ? (length + AH_GROUP_BYTES - 1) / AH_GROUP_BYTES : 0), "groups");
    require(ah_length(&state) == length, "length");
    free(groups);
}

/* The argument is the longest length to try: valgrind is fifty times slower than the sanitizers. */
int main(int count, char **arguments) {
    size_t longest = count > 1 ? (size_t)strtoul(arguments[1], NULL, 10) : SIZE_MAX;
    static const size_t steps[] = {1, 63, 64, 65, 1023, 1024, 1025, 16383, 16384, 16385, 50000};
    static const size_t edges[] = {0, 64, 128, 1024, 2048, 3072, 16384, 32768, 49152, 65536};
    for (size_t kernel = 0; ah_kernel_name(kernel) != NULL; kernel++) {
        require(ah_select(ah_kernel_name(kernel)) == AH_OK, "select");
        for (size_t e = 0; e < sizeof edges / sizeof edges[0]; e++)
            for (int around = -9; around <= 9; around++) {
                if (around < 0 && edges[e] < (size_t)-around) continue;
                size_t length = edges[e] + (size_t)around;
                if (length > longest) continue;
                uint8_t *data = malloc(length + 1); /* the end of the block is the end of the input, at any alignment */
                require(data != NULL, "no memory");
                for (size_t i = 0; i < length; i++) data[i + 1] = (uint8_t)(i * 31 + 7);
                for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) walk(data + 1, length, steps[s]);
                free(data);
            }
        printf("%s: %llu entries\n", ah_active(), (unsigned long long)ah_kernel_hits(kernel));
    }
    require(ah_select("no such kernel") == AH_NO_KERNEL, "unknown kernel");
    return 0;
}
