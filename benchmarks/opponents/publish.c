/* The file protocol of a small upload and nothing else: O_TMPFILE, write, fdatasync, link, fsync of the directory.
 *
 * publish DIRECTORY THREADS FILES: publishes so many files of 4 KiB, and prints seconds of wall and of CPU time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHARDS 256
#define FILE_BYTES 4096

static int shards[SHARDS];
static atomic_long next;
static atomic_int failed;
static long files;

static int publish(long number, const char *bytes)
{
    int shard = shards[number % SHARDS];
    char name[32], source[64];
    int file = openat(shard, ".", O_TMPFILE | O_WRONLY, 0440);

    if (file < 0)
        return -1;
    snprintf(name, sizeof name, "%ld", number);
    snprintf(source, sizeof source, "/proc/self/fd/%d", file);
    int broken = write(file, bytes, FILE_BYTES) != FILE_BYTES || fdatasync(file) != 0 ||
                 linkat(AT_FDCWD, source, shard, name, AT_SYMLINK_FOLLOW) != 0 || fsync(shard) != 0;
    close(file);
    return broken ? -1 : 0;
}

static void *work(void *argument)
{
    char bytes[FILE_BYTES];
    long number;

    (void)argument;
    memset(bytes, 7, sizeof bytes);
    while ((number = atomic_fetch_add(&next, 1)) < files)
        if (publish(number, bytes) != 0)
            atomic_store(&failed, 1);
    return NULL;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int count, char **arguments)
{
    int threads = count == 4 ? atoi(arguments[2]) : 0;
    pthread_t *ids = calloc((size_t)threads + 1, sizeof *ids);
    int root = threads > 0 ? open(arguments[1], O_RDONLY | O_DIRECTORY) : -1;

    if (root < 0 || ids == NULL) {
        fprintf(stderr, "usage: publish DIRECTORY THREADS FILES\n");
        return 2;
    }
    files = atol(arguments[3]);
    for (int at = 0; at < SHARDS; at++) {
        char name[16];
        snprintf(name, sizeof name, "%02x", at);
        mkdirat(root, name, 0777);
        if ((shards[at] = openat(root, name, O_RDONLY | O_DIRECTORY)) < 0)
            return 1;
    }
    fsync(root);
    double begin = seconds(CLOCK_MONOTONIC), used = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int at = 0; at < threads; at++)
        if (pthread_create(&ids[at], NULL, work, NULL) != 0)
            return 1;
    for (int at = 0; at < threads; at++)
        pthread_join(ids[at], NULL);
    printf("%.6f %.6f\n", seconds(CLOCK_MONOTONIC) - begin, seconds(CLOCK_PROCESS_CPUTIME_ID) - used);
    return failed ? 1 : 0;
}
