/* Small objects, made durable by threads that hold no interpreter.
 *
 * A job is the way of one small object into the store: a new file in the staging directory, its bytes, fdatasync, a link
 * under its final name, which never replaces, and an fsync of the directory that holds the name. Ten system calls, after
 * each of which a thread of Python would wait for its interpreter: they cost a fifth of what they cost there (ADR-0038).
 *
 * Whoever submits gets outcomes by `publisher_collect`; a descriptor, an eventfd(2), can be read when there are some.
 */
#ifndef PUBLISHER_H
#define PUBLISHER_H

#include <stddef.h>
#include <stdint.h>

/* How many directories a publisher tells apart: that many locks. */
#define PUBLISHER_DIRECTORIES 256

/* What a job came to. */
enum publisher_result {
    PUBLISHER_DONE = 0,   /* the object is there, and durable */
    PUBLISHER_FAILED = 1, /* a call failed, with `error`; nothing is left */
    PUBLISHER_NOT_LINKED = 2 /* the bytes are synced in `file`, which is the caller's now; the link failed, with `error` */
};

typedef struct {
    uint64_t ticket; /* as it was submitted */
    int result;
    int error; /* an errno, or 0 */
    int file;  /* a descriptor, or -1 */
} publisher_outcome;

typedef struct publisher publisher;

/* A publisher with at most `threads` threads, which are started as they are needed; NULL with errno. */
publisher *publisher_open(unsigned threads);

/* The descriptor that can be read while outcomes wait. It is the publisher's; `publisher_collect` reads it. */
int publisher_event(const publisher *p);

/* Queue a job: 0, or an errno. It begins by `publisher_begin` at the latest. The strings are copied; `bytes` must stay
 * until the outcome was collected.
 *
 * `staging`: a directory, for a file without a name, or, with `named`, the path of a new file, which is removed in the
 * end unless the job comes to PUBLISHER_NOT_LINKED. `directory` and `name`: where the object belongs. `lock`: below
 * PUBLISHER_DIRECTORIES, the same for all that goes into one directory: one job at a time links there. */
int publisher_submit(publisher *p, uint64_t ticket, const char *staging, int named, const char *directory,
                     const char *name, unsigned lock, const void *bytes, size_t size);

/* Let all that is queued begin, as far as there are threads for it. */
void publisher_begin(publisher *p);

/* The outcomes that wait, at most so many; how many they are. */
size_t publisher_collect(publisher *p, publisher_outcome *outcomes, size_t most);

/* Let nothing be linked under a lock until `publisher_release` by the same thread. Waits. */
void publisher_hold(publisher *p, unsigned lock);
void publisher_release(publisher *p, unsigned lock);

/* Let the queued jobs end, and the threads; their outcomes can still be collected. Waits. Idempotent. */
void publisher_drain(publisher *p);

/* Drain, and give up everything, with the descriptors of outcomes that nobody collected. */
void publisher_close(publisher *p);

#endif
