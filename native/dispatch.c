/* Which kernel runs: a table, best first, and one choice made before the first digest. */
#include "artifact_hash.h"
#include "kernel.h"
#include <stdatomic.h>
#include <string.h>

/* AH_ASM is said by builds that assemble asm/. */
#if defined(AH_ASM) && defined(__x86_64__)
#include "x86_64.h"
#elif defined(AH_ASM) && defined(__aarch64__)
#include "aarch64.h"
#endif

static const ah_kernel *const kernels[] = {
#if defined(AH_ASM) && defined(__x86_64__)
    AH_X86_64_KERNELS
#elif defined(AH_ASM) && defined(__aarch64__)
    AH_AARCH64_KERNELS
#endif
    &ah_portable,
};
enum { KERNELS = sizeof kernels / sizeof kernels[0] };

static _Atomic(size_t) active = KERNELS; /* index into kernels; KERNELS until one is chosen */
static atomic_uint_least64_t hits[KERNELS];

/* The index in `kernels` of the n-th kernel that this CPU can run; KERNELS past the last. */
static size_t runnable(size_t n) {
    size_t i = 0;
    for (; i < KERNELS; i++)
        if ((kernels[i]->needs & ~ah_cpu()) == 0 && n-- == 0) break;
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

static size_t chosen(void) {
    size_t i = atomic_load_explicit(&active, memory_order_relaxed);
    if (i == KERNELS) {
        ah_select(NULL);
        i = atomic_load_explicit(&active, memory_order_relaxed);
    }
    return i;
}

const char *ah_active(void) { return kernels[chosen()]->name; }

const char *ah_kernel_name(size_t index) {
    size_t i = runnable(index);
    return i == KERNELS ? NULL : kernels[i]->name;
}

uint64_t ah_kernel_hits(size_t index) {
    size_t i = runnable(index);
    return i == KERNELS ? 0 : atomic_load_explicit(&hits[i], memory_order_relaxed);
}

const ah_kernel *ah_kernel_enter(void) {
    size_t i = chosen();
    /* Load and store, not a locked add: a lost count is harmless, a shared cache line on every call is not. */
    uint64_t count = atomic_load_explicit(&hits[i], memory_order_relaxed);
    atomic_store_explicit(&hits[i], count + 1, memory_order_relaxed);
    return kernels[i];
}
