/* Many threads publish at once, twins among them, while others hold directories: for the sanitizers.
 *
 * stress DIRECTORY: what is in it afterwards is checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "publisher.h"

#define SUBMITTERS 4
#define EACH 200
#define JOBS (SUBMITTERS * EACH)
#define NAMES 500 /* fewer than jobs: some meet their twin */

static publisher *under_test;
static char staging[4096], objects[4096], bytes[4096];
static atomic_int seen[JOBS];
static atomic_long results[3];

static void *submit(void *argument)
{
    const size_t first = (size_t)(uintptr_t)argument * EACH;

    for (size_t at = first; at < first + EACH; at++) {
        char name[32], temporary[4200];
        const int named = at % 3 == 0;
        snprintf(name, sizeof name, "%zu", at % NAMES);
        snprintf(temporary, sizeof temporary, "%s/put-%zu", staging, at);
        if (publisher_submit(under_test, at, named ? temporary : staging, named, objects, name, (unsigned)(at % PUBLISHER_DIRECTORIES),
                             bytes, at % sizeof bytes) != 0)
            abort();
        if (at % 7 == 0 || at == first + EACH - 1)
            publisher_begin(under_test);
    }
    return NULL;
}

static void *hold(void *argument)
{
    (void)argument;
    for (unsigned at = 0; at < 2000; at++) {
        publisher_hold(under_test, at);
        publisher_release(under_test, at);
    }
    return NULL;
}

static void note(const publisher_outcome *outcome)
{
    atomic_fetch_add(&seen[outcome->ticket], 1);
    atomic_fetch_add(&results[outcome->result], 1);
    if (outcome->result == PUBLISHER_NOT_LINKED) {
        char temporary[4200];
        if (outcome->error != EEXIST) {
            fprintf(stderr, "job %llu: %s\n", (unsigned long long)outcome->ticket, strerror(outcome->error));
            exit(1);
        }
        close(outcome->file);
        if (outcome->ticket % 3 == 0) {
            snprintf(temporary, sizeof temporary, "%s/put-%llu", staging, (unsigned long long)outcome->ticket);
            unlink(temporary);
        }
    }
}

int main(int count, char **arguments)
{
    pthread_t threads[SUBMITTERS + 1];
    publisher_outcome outcomes[16];
    size_t collected = 0;

    if (count != 2)
        return 2;
    snprintf(staging, sizeof staging, "%s/staging", arguments[1]);
    snprintf(objects, sizeof objects, "%s/objects", arguments[1]);
    mkdir(staging, 0777);
    mkdir(objects, 0777);
    /* the test's own locks: jobs of one directory under many would not do in a store, whose names are its digests */
    under_test = publisher_open(16);
    if (under_test == NULL)
        return 1;
    for (size_t at = 0; at < SUBMITTERS; at++)
        pthread_create(&threads[at], NULL, submit, (void *)at);
    pthread_create(&threads[SUBMITTERS], NULL, hold, NULL);
    while (collected < JOBS) {
        struct pollfd event = {.fd = publisher_event(under_test), .events = POLLIN};
        if (poll(&event, 1, 60000) != 1)
            return 1;
        size_t found = publisher_collect(under_test, outcomes, 16);
        for (size_t at = 0; at < found; at++)
            note(&outcomes[at]);
        collected += found;
    }
    for (size_t at = 0; at < SUBMITTERS + 1; at++)
        pthread_join(threads[at], NULL);
    publisher_drain(under_test);
    if (publisher_submit(under_test, 0, staging, 0, objects, "late", 0, bytes, 1) != ECANCELED)
        return 1;
    publisher_close(under_test);
    for (size_t at = 0; at < JOBS; at++)
        if (seen[at] != 1)
            return 1;
    printf("%ld published, %ld met their twin, %ld failed\n", results[PUBLISHER_DONE], results[PUBLISHER_NOT_LINKED],
           results[PUBLISHER_FAILED]);
    return results[PUBLISHER_FAILED] != 0 || results[PUBLISHER_DONE] != NAMES || rmdir(staging) != 0;
}
