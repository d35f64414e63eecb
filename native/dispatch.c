/* Which kernel runs: a table, best first, and one choice made before the first digest. */
#include "artifact_hash.h"
#include "kernel.h"
#include <stdatomic.h>
#include <string.h>

static const ah_kernel *const kernels[] = {&ah_portable};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static _Atomic(size_t) active; /* index into kernels */
static atomic_uint_least64_t hits[KERNELS];

/* The index in `kernels` of the n-th kernel that this CPU can run; KERNELS past the last. */
static size_t runnable(size_t n) {
    size_t i = 0;
    for (; i < KERNELS; i++)
        if (kernels[i]->supported() && n-- == 0) break;
    return i;
}

int ah_select(const char *name) {
    for (size_t n = 0;; n++) {
        size_t i = runnable(n);
        if (i == KERNELS) return AH_NO_KERNEL;
        if (name == NULL || strcmp(kernels[i]->name, name) == 0) {
            atomic_store_explicit(&active, i, memory_order_relaxed);
            return AH_OK;
        }
    }
}

const char *ah_active(void) { return kernels[atomic_load_explicit(&active, memory_order_relaxed)]->name; }

const char *ah_kernel_name(size_t index) {
    size_t i = runnable(index);
    return i == KERNELS ? NULL : kernels[i]->name;
}

uint64_t ah_kernel_hits(size_t index) {
    size_t i = runnable(index);
    return i == KERNELS ? 0 : atomic_load_explicit(&hits[i], memory_order_relaxed);
}

const ah_kernel *ah_kernel_enter(void) {
    size_t i = atomic_load_explicit(&active, memory_order_relaxed);
    /* Load and store, not a locked add: a lost count is harmless, a shared cache line on every call is not. */
    uint64_t count = atomic_load_explicit(&hits[i], memory_order_relaxed);
    atomic_store_explicit(&hits[i], count + 1, memory_order_relaxed);
    return kernels[i];
}
