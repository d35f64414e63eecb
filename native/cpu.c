/* What this CPU can do, asked once. */
#include "kernel.h"
#include <stdatomic.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

static uint64_t xgetbv0(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Intel SDM volume 2, CPUID; volume 1, 13.3 and 14.3: an instruction set counts only if XCR0 says that the operating
 * system saves its registers. */
static uint32_t ask(void) {
    enum { XMM_YMM = 0x6, ZMM = 0xE6 };
    enum { SSSE3 = 1 << 9, SSE41 = 1 << 19, OSXSAVE = 1 << 27 };                          /* leaf 1, ecx */
    enum { BMI1 = 1 << 3, AVX2 = 1 << 5, BMI2 = 1 << 8, AVX512 = 1 << 16 | 1 << 17 | 1 << 30, SHA = 1 << 29 };
    const unsigned vl = 1u << 31;                                                         /* both leaf 7, ebx */
    unsigned a, b, c, d, found = 0;
    uint64_t saved = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSSE3) || !(c & SSE41)) return 0;
    found = AH_CPU_SSE41;
    if (c & OSXSAVE) saved = xgetbv0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return found;
    if (b & SHA) found |= AH_CPU_SHA;
    if ((saved & XMM_YMM) == XMM_YMM && (b & AVX2) && (b & BMI1) && (b & BMI2)) {
        found |= AH_CPU_AVX2;
        if ((saved & ZMM) == ZMM && (b & AVX512) == AVX512 && (b & vl)) found |= AH_CPU_AVX512;
    }
    return found;
}
#elif defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

static uint32_t ask(void) {
    unsigned long hwcap = getauxval(AT_HWCAP);
    return (hwcap & HWCAP_ASIMD ? (uint32_t)AH_CPU_NEON : 0) | (hwcap & HWCAP_SHA2 ? (uint32_t)AH_CPU_SHA2 : 0);
}
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>

/* Advanced SIMD is part of every aarch64 that Apple has made. */
static uint32_t ask(void) {
    int32_t sha2 = 0;
    size_t bytes = sizeof sha2;
    int known = sysctlbyname("hw.optional.arm.FEAT_SHA256", &sha2, &bytes, NULL, 0) == 0;
    return (uint32_t)AH_CPU_NEON | (known && sha2 ? (uint32_t)AH_CPU_SHA2 : 0);
}
#else
static uint32_t ask(void) { return 0; }
#endif

uint32_t ah_cpu(void) {
    enum { ASKED = 1u << 30 };
    static atomic_uint_least32_t known; /* two threads may ask at once: they get the same answer */
    uint32_t found = atomic_load_explicit(&known, memory_order_relaxed);
    if (found == 0) {
        found = ask() | ASKED;
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found & ~(uint32_t)ASKED;
}
