/* entries.c on a bare machine: output through the first serial port, the end through Bochs's port 0x8900. */
#include "host.h"
#include "kernel.h"
#include <string.h>

int check_entries(const char *only);
void fault_entry(void);
_Noreturn void kernel_main(void);
_Noreturn void kernel_fault(void);

enum { PAGE = 4096, BUFFERS_BEGIN = 0x400000, BUFFER_SPACE = 512 * 1024, VECTORS = 32 };
/* The first serial port. */
enum { DATA = 0x3f8, FORMAT = 0x3fb, STATUS = 0x3fd, EMPTY = 0x20, ALL_SENT = 0x40, EIGHT_BITS = 3 };

static void out(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static uint8_t in(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void host_print(const char *text) {
    for (; *text != 0; text++) {
        while (!(in(STATUS) & EMPTY)) continue;
        out(DATA, (uint8_t)*text);
    }
}

static _Noreturn void stop(void) {
    while (!(in(STATUS) & ALL_SENT)) continue;
    for (const char *text = "Shutdown"; *text != 0; text++) out(0x8900, (uint8_t)*text);
    for (;;) __asm__ volatile("cli; hlt");
}

_Noreturn void host_fail(void) {
    host_print("FAILED\n");
    stop();
}

_Noreturn void kernel_fault(void) {
    host_print("a fault: an address outside of the buffers, or an instruction that this CPU lacks\n");
    host_fail();
}

/* Each in 512 KiB of its own, of which the pages before and behind it are not there. */
uint8_t *host_buffer(unsigned index) {
    return (uint8_t *)(uintptr_t)(BUFFERS_BEGIN + index * BUFFER_SPACE + PAGE);
}

static void map_buffers(void) {
    static uint64_t tables[HOST_BUFFERS * BUFFER_SPACE / 0x200000][512] __attribute__((aligned(PAGE)));
    uint64_t *directory = (uint64_t *)(uintptr_t)0x3000; /* boot.S */
    for (unsigned i = 0; i < HOST_BUFFERS; i++)
        for (unsigned page = 0; page < BUFFER_SPACE / PAGE; page++) {
            uint64_t address = (uint64_t)BUFFERS_BEGIN + i * BUFFER_SPACE + page * PAGE;
            int guard = page == 0 || page > HOST_BUFFER_BYTES / PAGE;
            tables[(address - BUFFERS_BEGIN) / 0x200000][address / PAGE % 512] = guard ? 0 : address | 3;
        }
    for (unsigned i = 0; i < sizeof tables / sizeof tables[0]; i++)
        directory[BUFFERS_BEGIN / 0x200000 + i] = (uint64_t)(uintptr_t)tables[i] | 3;
    __asm__ volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
}

static void catch_faults(void) {
    static uint64_t gates[VECTORS][2];
    uint64_t at = (uint64_t)(uintptr_t)fault_entry;
    struct __attribute__((packed)) {
        uint16_t limit;
        uint64_t base;
    } pointer = {sizeof gates - 1, (uint64_t)(uintptr_t)gates};
    for (unsigned i = 0; i < VECTORS; i++) {
        gates[i][0] = (at & 0xffff) | 8u << 16 | (uint64_t)0x8e00 << 32 | (at >> 16 & 0xffff) << 48;
        gates[i][1] = at >> 32;
    }
    __asm__ volatile("lidt %0" : : "m"(pointer));
}

_Noreturn void kernel_main(void) {
    extern uint8_t bss_begin[], bss_end[];
    extern uint32_t checked_call_cpu;
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    map_buffers();
    catch_faults();
    out(FORMAT, EIGHT_BITS);
    checked_call_cpu = ah_cpu();
    /* the others are checked where there is an operating system */
    if (check_entries("sha-avx512") != 1 || check_entries("avx512") != 1) {
        host_print("this CPU does not run both kernels\n");
        host_fail();
    }
    host_print("done\n");
    stop();
}

/* What the compiler and the kernel want of a C library. */
void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    void *result = to;
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
    return result;
}

void *memset(void *to, int value, size_t bytes) {
    void *result = to;
    __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
    return result;
}

int memcmp(const void *first, const void *second, size_t bytes) {
    const uint8_t *a = first, *b = second;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    return 0;
}

int strcmp(const char *first, const char *second) {
    while (*first != 0 && *first == *second) first++, second++;
    return (uint8_t)*first - (uint8_t)*second;
}
