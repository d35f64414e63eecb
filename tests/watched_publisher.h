/* The calls of native/publisher that a test sees, made by Python. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "publisher.h"

/* By Python: what the call gives, or minus an errno. */
static long by_python(const char *call, int file, const char *path, const char *other, int flags, const void *bytes,
                      size_t size);

static long told(long result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

static int watched_open(const char *path, int flags, ...)
{
    return (int)told(by_python("open", -1, path, "", flags, NULL, 0));
}

static ssize_t watched_write(int file, const void *bytes, size_t size)
{
    struct stat found;
    /* an eventfd is none of the test's business */
    return fstat(file, &found) == 0 && S_ISREG(found.st_mode) ? told(by_python("write", file, "", "", 0, bytes, size))
                                                              : (write)(file, bytes, size);
}

static int watched_fdatasync(int file)
{
    return (int)told(by_python("fdatasync", file, "", "", 0, NULL, 0));
}

static int watched_fsync(int file)
{
    return (int)told(by_python("fsync", file, "", "", 0, NULL, 0));
}

static int watched_linkat(int from, const char *path, int directory, const char *name, int flags)
{
    (void)from;
    return (int)told(by_python("link", directory, path, name, flags, NULL, 0));
}

static int watched_unlinkat(int directory, const char *name, int flags)
{
    return (int)told(by_python("unlink", directory, name, "", flags, NULL, 0));
}

static int watched_unlink(const char *path)
{
    return (int)told(by_python("unlink", -1, path, "", 0, NULL, 0));
}

#define open watched_open
#define write watched_write
#define fdatasync watched_fdatasync
#define fsync watched_fsync
#define linkat watched_linkat
#define unlinkat watched_unlinkat
#define unlink watched_unlink

#include "publisher.c"
