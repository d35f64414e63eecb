/* See publisher.h. Under `lock` are: the queue, the outcomes, the counts of threads. It is held for a few instructions
 * and no system call but the start of a thread, since the thread that submits holds an interpreter. The order of a job's
 * calls is the protocol of docs/storage-format.md. */
#define _GNU_SOURCE
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FILE_MODE 0440              /* storage/durability.py */
#define STACK_BYTES (256 * 1024)    /* a job needs a few hundred bytes; libc's calls may need more */

typedef struct job {
    struct job *next;
    publisher_outcome outcome;
    const char *bytes;
    size_t size;
    unsigned lock;
    int named;
    const char *directory, *name;
    char staging[]; /* and behind it the other two */
} job;

struct publisher {
    pthread_mutex_t lock;
    pthread_cond_t queued;
    job *first, **last; /* the queue */
    job *done;          /* the outcomes */
    unsigned most, started, idle, waiting; /* of threads at most, started, without a job; jobs that wait for one */
    int ending, event;
    pthread_t *threads;
    pthread_mutex_t directories[PUBLISHER_DIRECTORIES];
};

/* --- a job -------------------------------------------------------------------------------------------------------- */

static int write_all(int file, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(file, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? errno : EIO;
        bytes += written;
        size -= (size_t)written;
    }
    return 0;
}

/* Give the file its name, durably. A name that cannot be made durable is taken back: it is not to be found, and trusted,
 * by the next who brings these bytes. */
static int link_durably(const job *j, int *linked)
{
    char source[32];
    int error = 0, directory = open(j->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *linked = 0;
    if (directory < 0)
        return errno;
    snprintf(source, sizeof source, "/proc/self/fd/%d", j->outcome.file);
    if (linkat(AT_FDCWD, j->named ? j->staging : source, directory, j->name, j->named ? 0 : AT_SYMLINK_FOLLOW) != 0)
        error = errno;
    else if (*linked = 1, fsync(directory) != 0) {
        error = errno;
        unlinkat(directory, j->name, 0);
    }
    close(directory);
    return error;
}

static void give_up(job *j)
{
    close(j->outcome.file);
    if (j->named)
        unlink(j->staging);
    j->outcome.file = -1;
}

static void carry_out(publisher *p, job *j)
{
    const int flags = O_RDWR | O_CLOEXEC | (j->named ? O_CREAT | O_EXCL : O_TMPFILE);
    int linked = 0, error;

    j->outcome.result = PUBLISHER_FAILED;
    j->outcome.file = open(j->staging, flags, FILE_MODE);
    if (j->outcome.file < 0) {
        j->outcome.error = errno;
        return;
    }
    error = write_all(j->outcome.file, j->bytes, j->size);
    if (error == 0 && fdatasync(j->outcome.file) != 0)
        error = errno;
    if (error != 0) {
        j->outcome.error = error;
        give_up(j);
        return;
    }
    pthread_mutex_lock(&p->directories[j->lock]);
    error = link_durably(j, &linked);
    pthread_mutex_unlock(&p->directories[j->lock]);
    j->outcome.error = error;
    if (error != 0 && !linked)
        j->outcome.result = PUBLISHER_NOT_LINKED;
    else {
        j->outcome.result = error == 0 ? PUBLISHER_DONE : PUBLISHER_FAILED;
        give_up(j);
    }
}

/* --- the threads -------------------------------------------------------------------------------------------------- */

static job *next_job(publisher *p)
{
    job *j = p->first;

    p->first = j->next;
    if (p->first == NULL)
        p->last = &p->first;
    p->waiting--;
    return j;
}

/* One note for all outcomes that wait: whoever reads it collects them all. Written after the first of them is there, it
 * may come when that is collected already; none comes too early. */
static void note(const publisher *p)
{
    const uint64_t one = 1;

    while (write(p->event, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

static void *work(void *argument)
{
    publisher *p = argument;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->first == NULL && !p->ending) {
            p->idle++;
            pthread_cond_wait(&p->queued, &p->lock);
            p->idle--;
        }
        if (p->first == NULL)
            break;
        job *j = next_job(p);
        const int wake = p->first != NULL && p->idle > 0;
        pthread_mutex_unlock(&p->lock);
        if (wake) /* the next, who wakes the next: the submitter wakes one for all that it queued */
            pthread_cond_signal(&p->queued);
        carry_out(p, j);
        pthread_mutex_lock(&p->lock);
        j->next = p->done;
        p->done = j;
        if (j->next == NULL) {
            pthread_mutex_unlock(&p->lock);
            note(p);
            pthread_mutex_lock(&p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Under the lock. Signals are for the threads of the interpreter. */
static int start_thread(publisher *p)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);

    if (error != 0)
        return error;
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&p->threads[p->started], &attributes, work, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (error == 0)
        p->started++;
    return error;
}

/* --- the face ----------------------------------------------------------------------------------------------------- */

publisher *publisher_open(unsigned threads)
{
    publisher *p = calloc(1, sizeof *p);

    if (p == NULL)
        return NULL;
    p->threads = calloc(threads, sizeof *p->threads);
    p->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (p->threads == NULL || p->event < 0) {
        int error = p->threads == NULL ? ENOMEM : errno;
        free(p->threads);
        free(p);
        errno = error;
        return NULL;
    }
    p->most = threads;
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->queued, NULL);
    for (size_t at = 0; at < PUBLISHER_DIRECTORIES; at++)
        pthread_mutex_init(&p->directories[at], NULL);
    return p;
}

int publisher_event(const publisher *p)
{
    return p->event;
}

static job *make_job(const char *staging, const char *directory, const char *name)
{
    const size_t sizes[] = {strlen(staging) + 1, strlen(directory) + 1, strlen(name) + 1};
    job *j = calloc(1, sizeof *j + sizes[0] + sizes[1] + sizes[2]);

    if (j != NULL) {
        memcpy(j->staging, staging, sizes[0]);
        j->directory = memcpy(j->staging + sizes[0], directory, sizes[1]);
        j->name = memcpy(j->staging + sizes[0] + sizes[1], name, sizes[2]);
    }
    return j;
}

int publisher_submit(publisher *p, uint64_t ticket, const char *staging, int named, const char *directory,
                     const char *name, unsigned lock, const void *bytes, size_t size)
{
    job *j = lock < PUBLISHER_DIRECTORIES ? make_job(staging, directory, name) : NULL;
    int error = 0;

    if (j == NULL)
        return lock < PUBLISHER_DIRECTORIES ? ENOMEM : EINVAL;
    j->outcome = (publisher_outcome){.ticket = ticket, .file = -1};
    j->named = named;
    j->bytes = bytes;
    j->size = size;
    j->lock = lock;
    pthread_mutex_lock(&p->lock);
    if (p->ending)
        error = ECANCELED;
    else if (p->waiting >= p->idle && p->started < p->most) /* an idle thread is one until it has its job */
        error = start_thread(p);
    if (p->started > 0 && !p->ending)
        error = 0; /* those that run will come to it */
    if (error == 0) {
        *p->last = j;
        p->last = &j->next;
        p->waiting++;
    }
    pthread_mutex_unlock(&p->lock);
    if (error != 0)
        free(j);
    return error;
}

void publisher_begin(publisher *p)
{
    int wake;

    pthread_mutex_lock(&p->lock);
    wake = p->first != NULL && p->idle > 0;
    pthread_mutex_unlock(&p->lock);
    if (wake)
        pthread_cond_signal(&p->queued);
}

size_t publisher_collect(publisher *p, publisher_outcome *outcomes, size_t most)
{
    uint64_t notes;
    size_t count = 0;
    int more;
    job *found = NULL;

    /* before the outcomes are taken: the note of one that comes after them is not read with theirs */
    while (read(p->event, &notes, sizeof notes) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&p->lock);
    while (p->done != NULL && count < most) {
        job *j = p->done;
        p->done = j->next;
        outcomes[count++] = j->outcome;
        j->next = found;
        found = j;
    }
    more = p->done != NULL;
    pthread_mutex_unlock(&p->lock);
    if (more)
        note(p);
    while (found != NULL) {
        job *next = found->next;
        free(found);
        found = next;
    }
    return count;
}

void publisher_hold(publisher *p, unsigned lock)
{
    pthread_mutex_lock(&p->directories[lock % PUBLISHER_DIRECTORIES]);
}

void publisher_release(publisher *p, unsigned lock)
{
    pthread_mutex_unlock(&p->directories[lock % PUBLISHER_DIRECTORIES]);
}

void publisher_drain(publisher *p)
{
    unsigned started;

    pthread_mutex_lock(&p->lock);
    started = p->started;
    p->started = 0; /* joined once */
    p->ending = 1;
    pthread_cond_broadcast(&p->queued);
    pthread_mutex_unlock(&p->lock);
    for (unsigned at = 0; at < started; at++)
        pthread_join(p->threads[at], NULL);
}

void publisher_close(publisher *p)
{
    publisher_outcome outcome;

    publisher_drain(p);
    while (publisher_collect(p, &outcome, 1) == 1)
        if (outcome.file >= 0)
            close(outcome.file);
    close(p->event);
    for (size_t at = 0; at < PUBLISHER_DIRECTORIES; at++)
        pthread_mutex_destroy(&p->directories[at]);
    pthread_cond_destroy(&p->queued);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}
