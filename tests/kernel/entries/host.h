/* What entries.c needs of where it runs: hosted.c under an operating system, freestanding/ without one. */
#ifndef ENTRIES_HOST_H
#define ENTRIES_HOST_H

#include <stddef.h>
#include <stdint.h>

enum { HOST_BUFFERS = 8, HOST_BUFFER_BYTES = 448 * 1024 };

/* A buffer of HOST_BUFFER_BYTES; the pages before and behind it fault. */
uint8_t *host_buffer(unsigned index);
void host_print(const char *text);
_Noreturn void host_fail(void);

/* Call a function with six integer arguments, after filling every register that a callee may find dirty, and the stack
 * below, with noise. Returns a set of what it left changed that it must preserve: 0 if nothing. */
uint64_t checked_call(void (*function)(void), const uint64_t arguments[6]);

#endif
