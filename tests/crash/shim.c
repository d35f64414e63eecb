/* A preloaded library between a process and libc: it sees every call that writes to one file system, numbers them over
 * all threads, writes them down, and lets the N-th one (or every one from it on) go wrong.
 *
 * A call "writes" if it changes a file, a name or a size, or makes such a change durable. The calls of the watched file
 * system are made one at a time, under a lock, so that their order in the record is the order in which they happened.
 * Descriptors are recognised by their device, paths by their beginning. Everything else passes untouched. The record is
 * read by tests/crash/disk.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum operation {
    OP_CREATE = 1, /* ino, path: a new, empty file */
    OP_UNNAMED,    /* ino: a new file without a name */
    OP_TRUNCATE,   /* ino, offset: the size is that now */
    OP_WRITE,      /* ino, offset, data */
    OP_EXTEND,     /* ino, offset: the size is at least that */
    OP_SYNC,       /* ino: of a file or a directory */
    OP_LINK,       /* ino, path: a further name */
    OP_RENAME,     /* path, a zero byte, path */
    OP_UNLINK,     /* path */
    OP_MKDIR,      /* ino, path */
    OP_RMDIR,      /* path */
    OP_NOTHING,    /* a call that changed nothing */
    OP_LOST,       /* ino: its sync failed; what was not durable may be dropped, whatever a later sync says */
};

enum action {
    ACT_COUNT = 0, /* nothing goes wrong */
    ACT_KILL,      /* SIGKILL instead of the call */
    ACT_TORN,      /* half a write is made, then SIGKILL; instead of other calls SIGKILL at once */
    ACT_SHUTDOWN,  /* the file system is shut down with the flag `argument`, then SIGKILL */
    ACT_ERROR,     /* the call is not made and fails with the errno `argument` */
    ACT_SHORT,     /* a write writes half; other calls are made */
};

#define EXT4_IOC_SHUTDOWN 0x8004587D

struct record {
    uint32_t length; /* of what follows: path or data */
    uint32_t operation;
    uint64_t number; /* of the call, from 1; those that fail are counted and not written down */
    uint64_t ino;
    uint64_t offset;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int armed;
static char volume[4096];
static size_t volume_length;
static dev_t device;
static int record_fd = -1, exempt_fd = -1, volume_fd = -1;
static long count, nth;
static int action, argument, sticky;
static char last_name[64];

/* --- what the harness calls through ctypes ------------------------------------------------------------------------ */

int crash_watch(const char *path, int record, int exempt) {
    struct stat found;
    armed = 0;
    if (strlen(path) >= sizeof volume || stat(path, &found) != 0)
        return -1;
    strcpy(volume, path);
    volume_length = strlen(path);
    device = found.st_dev;
    record_fd = record;
    exempt_fd = exempt;
    volume_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    count = nth = 0;
    action = ACT_COUNT;
    armed = 1;
    return volume_fd < 0 ? -1 : 0;
}

void crash_at(long number, int what, int with, int for_ever) {
    pthread_mutex_lock(&lock);
    nth = count + number;
    action = what;
    argument = with;
    sticky = for_ever;
    pthread_mutex_unlock(&lock);
}

long crash_count(void) { return count; }

void crash_disarm(void) {
    pthread_mutex_lock(&lock);
    armed = 0;
    if (volume_fd >= 0)
        syscall(SYS_close, volume_fd);
    volume_fd = -1;
    pthread_mutex_unlock(&lock);
}

const char *crash_last(void) { return last_name; }

/* Shut the file system down and end: the power fails now. */
void crash_shutdown(int flag) {
    uint32_t value = (uint32_t)flag;
    if (ioctl(volume_fd, EXT4_IOC_SHUTDOWN, &value) != 0) { /* else a plain kill would pass for a power cut */
        static const char refused[] = "the file system refused to be shut down\n";
        syscall(SYS_write, 2, refused, sizeof refused - 1);
        syscall(SYS_exit_group, 99);
    }
    syscall(SYS_kill, getpid(), SIGKILL);
}

/* --- inside ------------------------------------------------------------------------------------------------------- */

static int of_descriptor(int fd) {
    struct stat found;
    if (!armed || fd < 0 || fd == record_fd || fd == exempt_fd)
        return 0;
    return fstat(fd, &found) == 0 && found.st_dev == device && (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode));
}

/* The path in full if it is on the volume, else NULL. */
static const char *of_path(int directory, const char *path, char *room, size_t size) {
    if (!armed || path == NULL)
        return NULL;
    if (path[0] != '/') {
        char link[64];
        ssize_t length;
        if (directory == AT_FDCWD || !of_descriptor(directory))
            return NULL;
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        length = readlink(link, room, size - 1);
        if (length <= 0 || (size_t)length + strlen(path) + 2 > size)
            return NULL;
        room[length] = '/';
        strcpy(room + length + 1, path);
        path = room;
    }
    if (strncmp(path, volume, volume_length) != 0 || (path[volume_length] != '/' && path[volume_length] != 0))
        return NULL;
    return path;
}

static uint64_t ino_of(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 ? found.st_ino : 0;
}

static uint64_t ino_at(const char *path) {
    struct stat found;
    return lstat(path, &found) == 0 ? found.st_ino : 0;
}

static void put(const void *data, size_t length) {
    const char *next = data;
    while (length > 0) {
        ssize_t written = syscall(SYS_write, record_fd, next, length);
        if (written <= 0)
            return;
        next += written;
        length -= (size_t)written;
    }
}

static void note(uint32_t operation, uint64_t ino, uint64_t offset, const void *data, size_t length) {
    struct record header = {(uint32_t)length, operation, (uint64_t)count, ino, offset};
    if (record_fd < 0)
        return;
    put(&header, sizeof header);
    put(data, length);
}

static void note_path(uint32_t operation, uint64_t ino, const char *path) { note(operation, ino, 0, path, strlen(path)); }

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Takes the lock. 0: make the call; 1: it failed, errno says how; 2: make half of it. */
static int enter(const char *name) {
    int reached;
    pthread_mutex_lock(&lock);
    if (!armed)
        return 0;
    count++;
    reached = nth > 0 && (count == nth || (sticky && count > nth));
    if (!reached || action == ACT_COUNT)
        return 0;
    if (count == nth || action == ACT_ERROR)
        snprintf(last_name, sizeof last_name, "%s", name);
    switch (action) {
    case ACT_KILL:
        die();
        return 0;
    case ACT_SHUTDOWN:
        crash_shutdown(argument);
        die();
        return 0;
    case ACT_ERROR:
        errno = argument;
        return 1;
    case ACT_TORN:
    case ACT_SHORT:
        return 2;
    default:
        return 0;
    }
}

static void leave(void) {
    int kept = errno;
    pthread_mutex_unlock(&lock);
    errno = kept;
}

/* For calls of which there is no half. */
#define REFUSED(name)                                                                                                  \
    int fate = enter(name);                                                                                            \
    if (fate == 2 && action == ACT_TORN)                                                                               \
        die();                                                                                                         \
    if (fate == 1) {                                                                                                   \
        leave();                                                                                                       \
        return -1;                                                                                                     \
    }

/* --- names -------------------------------------------------------------------------------------------------------- */

static int opened(int directory, const char *path, int flags, mode_t mode) {
    char room[4096 + 256];
    const char *full = NULL;
    int unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    if ((flags & (O_CREAT | O_TRUNC)) || unnamed)
        full = of_path(directory, path, room, sizeof room);
    if (full == NULL)
        return (int)syscall(SYS_openat, directory, path, flags, mode);
    {
        uint64_t before = unnamed ? 0 : ino_at(full);
        int fd;
        REFUSED("open")
        fd = (int)syscall(SYS_openat, directory, path, flags, mode);
        if (fd >= 0) {
            if (unnamed)
                note(OP_UNNAMED, ino_of(fd), 0, NULL, 0);
            else if (before == 0)
                note_path(OP_CREATE, ino_of(fd), full);
            else if (flags & O_TRUNC)
                note(OP_TRUNCATE, ino_of(fd), 0, NULL, 0);
            else
                note_path(OP_NOTHING, 0, full);
        }
        leave();
        return fd;
    }
}

#define MODE_ARGUMENT                                                                                                  \
    mode_t mode = 0;                                                                                                   \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) { MODE_ARGUMENT return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_ARGUMENT return opened(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE_ARGUMENT return opened(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE_ARGUMENT return opened(directory, path, flags, mode); }
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

int linkat(int from, const char *old, int to, const char *new, int flags) {
    char room[4096 + 256];
    const char *full = of_path(to, new, room, sizeof room);
    int result;
    if (full == NULL)
        return (int)syscall(SYS_linkat, from, old, to, new, flags);
    REFUSED("link")
    result = (int)syscall(SYS_linkat, from, old, to, new, flags);
    if (result == 0)
        note_path(OP_LINK, ino_at(full), full);
    leave();
    return result;
}

int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }

int renameat2(int from, const char *old, int to, const char *new, unsigned flags) {
    char room[4096 + 256], other[4096 + 256], both[2 * (4096 + 256)];
    const char *full = of_path(to, new, room, sizeof room);
    const char *was = of_path(from, old, other, sizeof other);
    int result;
    if (full == NULL || was == NULL)
        return (int)syscall(SYS_renameat2, from, old, to, new, flags);
    REFUSED("rename")
    result = (int)syscall(SYS_renameat2, from, old, to, new, flags);
    if (result == 0) {
        size_t first = strlen(was) + 1, second = strlen(full);
        memcpy(both, was, first);
        memcpy(both + first, full, second);
        note(OP_RENAME, 0, 0, both, first + second);
    }
    leave();
    return result;
}

int renameat(int from, const char *old, int to, const char *new) { return renameat2(from, old, to, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }

int unlinkat(int directory, const char *path, int flags) {
    char room[4096 + 256];
    const char *full = of_path(directory, path, room, sizeof room);
    int result;
    if (full == NULL)
        return (int)syscall(SYS_unlinkat, directory, path, flags);
    REFUSED(flags & AT_REMOVEDIR ? "rmdir" : "unlink")
    result = (int)syscall(SYS_unlinkat, directory, path, flags);
    if (result == 0)
        note_path(flags & AT_REMOVEDIR ? OP_RMDIR : OP_UNLINK, 0, full);
    leave();
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int directory, const char *path, mode_t mode) {
    char room[4096 + 256];
    const char *full = of_path(directory, path, room, sizeof room);
    int result;
    if (full == NULL)
        return (int)syscall(SYS_mkdirat, directory, path, mode);
    REFUSED("mkdir")
    result = (int)syscall(SYS_mkdirat, directory, path, mode);
    if (result == 0)
        note_path(OP_MKDIR, ino_at(full), full);
    leave();
    return result;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static uint64_t end_of(int fd) {
    int flags = fcntl(fd, F_GETFL);
    struct stat found;
    if (flags >= 0 && (flags & O_APPEND) && fstat(fd, &found) == 0)
        return (uint64_t)found.st_size;
    return (uint64_t)lseek(fd, 0, SEEK_CUR);
}

/* At the place `offset`, or where the descriptor is if that is negative. */
static ssize_t wrote(const char *name, int fd, const struct iovec *vectors, int number, off_t offset) {
    struct iovec half;
    uint64_t place = offset < 0 ? end_of(fd) : (uint64_t)offset;
    ssize_t result;
    int fate = enter(name), index;
    if (fate == 1) {
        leave();
        return -1;
    }
    if (fate == 2 && number > 0) {
        half = vectors[0];
        if (half.iov_len > 1)
            half.iov_len /= 2;
        vectors = &half;
        number = 1;
    }
    result = offset < 0 ? syscall(SYS_writev, fd, vectors, number)
                        : syscall(SYS_pwritev, fd, vectors, number, (long)offset, 0L);
    if (result > 0 && record_fd >= 0) {
        size_t left = (size_t)result;
        uint64_t ino = ino_of(fd);
        struct record header = {(uint32_t)result, OP_WRITE, (uint64_t)count, ino, place};
        put(&header, sizeof header);
        for (index = 0; index < number && left > 0; index++) {
            size_t part = vectors[index].iov_len < left ? vectors[index].iov_len : left;
            put(vectors[index].iov_base, part);
            left -= part;
        }
    }
    if (fate == 2 && action == ACT_TORN)
        die();
    leave();
    return result;
}

ssize_t write(int fd, const void *data, size_t length) {
    struct iovec whole = {(void *)(uintptr_t)data, length};
    if (!of_descriptor(fd))
        return syscall(SYS_write, fd, data, length);
    return wrote("write", fd, &whole, 1, -1);
}

ssize_t writev(int fd, const struct iovec *vectors, int number) {
    if (!of_descriptor(fd))
        return syscall(SYS_writev, fd, vectors, number);
    return wrote("writev", fd, vectors, number, -1);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    struct iovec whole = {(void *)(uintptr_t)data, length};
    if (!of_descriptor(fd))
        return syscall(SYS_pwrite64, fd, data, length, offset);
    return wrote("pwrite", fd, &whole, 1, offset);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

ssize_t pwritev64(int fd, const struct iovec *vectors, int number, off64_t offset) {
    if (!of_descriptor(fd))
        return syscall(SYS_pwritev, fd, vectors, number, (long)offset, 0L);
    return wrote("pwritev", fd, vectors, number, offset);
}

ssize_t pwritev(int fd, const struct iovec *vectors, int number, off_t offset) {
    return pwritev64(fd, vectors, number, offset);
}

/* Into a file of the volume it is refused, as some file systems do: who has data to copy writes it then. */
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    if (!of_descriptor(to))
        return syscall(SYS_sendfile, to, from, offset, length);
    errno = EINVAL;
    return -1;
}

ssize_t sendfile(int to, int from, off_t *offset, size_t length) { return sendfile64(to, from, offset, length); }

int ftruncate64(int fd, off64_t length) {
    int result;
    if (!of_descriptor(fd))
        return (int)syscall(SYS_ftruncate, fd, length);
    REFUSED("ftruncate")
    result = (int)syscall(SYS_ftruncate, fd, length);
    if (result == 0)
        note(OP_TRUNCATE, ino_of(fd), (uint64_t)length, NULL, 0);
    leave();
    return result;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int truncate64(const char *path, off64_t length) {
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC, 0), result, kept;
    if (fd < 0)
        return -1;
    result = ftruncate64(fd, length);
    kept = errno;
    syscall(SYS_close, fd);
    errno = kept;
    return result;
}

int truncate(const char *path, off_t length) { return truncate64(path, length); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    int result;
    if (!of_descriptor(fd))
        return (int)syscall(SYS_fallocate, fd, mode, offset, length);
    REFUSED("fallocate")
    result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    if (result == 0 && mode == 0)
        note(OP_EXTEND, ino_of(fd), (uint64_t)(offset + length), NULL, 0);
    leave();
    return result;
}

int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }

int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    int kept = errno, result = fallocate64(fd, 0, offset, length) == 0 ? 0 : errno;
    errno = kept;
    return result;
}

int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

static int synced(const char *name, long number, int fd) {
    int result, fate = enter(name);
    if (fate == 2 && action == ACT_TORN)
        die();
    if (fate == 1) {
        int kept = errno;
        note(OP_LOST, ino_of(fd), 0, NULL, 0);
        leave();
        errno = kept;
        return -1;
    }
    result = (int)syscall(number, fd);
    if (result == 0)
        note(OP_SYNC, ino_of(fd), 0, NULL, 0);
    leave();
    return result;
}

int fsync(int fd) { return of_descriptor(fd) ? synced("fsync", SYS_fsync, fd) : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) {
    return of_descriptor(fd) ? synced("fdatasync", SYS_fdatasync, fd) : (int)syscall(SYS_fdatasync, fd);
}
