/* entries.c as a program: `entries [kernel]`. Status 0 if every result was equal, 1 if not, 2 if there is no such kernel. */
#define _GNU_SOURCE
#include "host.h"
#include "kernel.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int check_entries(const char *only);

uint8_t *host_buffer(unsigned index) {
    static uint8_t *buffers[HOST_BUFFERS];
    if (buffers[index] == NULL) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        uint8_t *all = mmap(NULL, HOST_BUFFER_BYTES + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED || HOST_BUFFER_BYTES % page != 0) host_fail();
        if (mprotect(all + page, HOST_BUFFER_BYTES, PROT_READ | PROT_WRITE) != 0) host_fail();
        buffers[index] = all + page;
    }
    return buffers[index];
}

void host_print(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}

_Noreturn void host_fail(void) { exit(1); }

int main(int count, char **arguments) {
#ifdef __x86_64__
    extern uint32_t checked_call_cpu;
    checked_call_cpu = ah_cpu();
#endif
    return check_entries(count > 1 ? arguments[1] : NULL) > 0 ? 0 : 2;
}
