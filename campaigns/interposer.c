/* Counts the calls of processes on files below one folder, and fails or kills at one of them.
 *
 * The library is loaded before libc (LD_PRELOAD) and does nothing until a plan is given: a file that
 * processes map and share, so that the calls of all of them are counted together. A process takes the
 * plan by interposer_arm, or finds its path in the environment variable CAMPAIGNS_PLAN when it starts.
 * campaigns/interposer.py writes plans and reads them afterwards; its class Plan mirrors the structure.
 *
 * The idea is that of libfaultinject and of ALICE (Pillai et al., OSDI 2014), which stop a program at
 * every system call that changes a file.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define LOG_BYTES (1 << 20)

enum kind {
    OPEN_TO_READ, OPEN_TO_WRITE, READ, WRITE, SYNC, RENAME, REMOVE, MAKE_FOLDER, RESIZE, CHANGE_MODE,
    LINK, KINDS
};

enum action { COUNT, FAIL, KILL_PROCESS, KILL_GROUP };

struct plan {
    char folder[PATH_BYTES]; /* only calls on files below this folder count */
    uint32_t kinds;          /* bits of the kinds of calls that count */
    uint32_t later_kinds;    /* bits of the kinds that fail after the chosen call, too */
    int32_t action;
    int32_t error;           /* the errno of a call that fails */
    int64_t at;              /* number of the chosen call, from 1 */
    int64_t counted;         /* calls so far */
    int64_t by_kind[KINDS];
    int32_t is_hit;
    char hit_path[PATH_BYTES];
    int64_t log_used;
    char log[LOG_BYTES];     /* a line "<kind> <path>" for each call */
};

static struct plan *plan;

int interposer_arm(const char *path)
{
    int descriptor = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (descriptor < 0) return -1;
    void *found = mmap(NULL, sizeof(struct plan), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    syscall(SYS_close, descriptor);
    if (found == MAP_FAILED) return -1;
    plan = found;
    return 0;
}

__attribute__((constructor)) static void arm_from_environment(void)
{
    const char *path = getenv("CAMPAIGNS_PLAN");
    if (path && *path) interposer_arm(path);
}

/* Writes the absolute path of a file; returns whether it lies below the folder of the plan. */
static int is_below(int folder, const char *path, char *full)
{
    size_t used = 0;
    if (!path) return 0;
    if (path[0] != '/') {
        char link[64];
        if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        long length = syscall(SYS_readlinkat, AT_FDCWD, link, full, PATH_BYTES - 2);
        if (length <= 0) return 0;
        used = length;
        full[used++] = '/';
    }
    size_t length = strlen(path);
    if (used + length >= PATH_BYTES) return 0;
    memcpy(full + used, path, length + 1);
    return strncmp(full, plan->folder, strlen(plan->folder)) == 0;
}

static int is_open_below(int descriptor, char *full)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, full, PATH_BYTES - 1);
    if (length <= 0) return 0;
    full[length] = 0;
    return strncmp(full, plan->folder, strlen(plan->folder)) == 0;
}

static void note(enum kind kind, const char *path)
{
    char line[PATH_BYTES + 16];
    int length = snprintf(line, sizeof line, "%d %s\n", kind, path);
    int64_t start = __atomic_fetch_add(&plan->log_used, length, __ATOMIC_SEQ_CST);
    if (start + length < LOG_BYTES) memcpy(plan->log + start, line, length);
}

static void end_now(void)
{
    if (plan->action == KILL_GROUP) kill(0, SIGKILL);
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Counts a call. Returns 0 if it goes on, -1 if the process is to be killed, or else the errno. */
static int count(enum kind kind, const char *path)
{
    int saved = errno;
    note(kind, path);
    __atomic_add_fetch(&plan->by_kind[kind], 1, __ATOMIC_SEQ_CST);
    int result = 0;
    if (plan->is_hit && (plan->later_kinds >> kind & 1)) result = plan->error;
    else if (plan->kinds >> kind & 1) {
        int64_t number = __atomic_add_fetch(&plan->counted, 1, __ATOMIC_SEQ_CST);
        if (number == plan->at && plan->action != COUNT) {
            strncpy(plan->hit_path, path, PATH_BYTES - 1);
            plan->is_hit = 1;
            result = plan->action == FAIL ? plan->error : -1;
        }
    }
    errno = saved;
    return result;
}

static int decide_path(enum kind kind, int folder, const char *path)
{
    char full[PATH_BYTES];
    if (!plan || !is_below(folder, path, full)) return 0;
    int result = count(kind, full);
    if (result < 0) end_now();
    return result;
}

static int decide_open(enum kind kind, int descriptor)
{
    char full[PATH_BYTES];
    if (!plan || !is_open_below(descriptor, full)) return 0;
    return count(kind, full);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define FAIL_IF(decision, failed) \
    do { int error_ = (decision); if (error_ < 0) end_now(); if (error_) { errno = error_; return failed; } } while (0)

static enum kind opening(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) ? OPEN_TO_WRITE : OPEN_TO_READ;
}

#define MODE_OF(flags, mode) \
    mode_t mode = 0; \
    if (flags & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    MODE_OF(flags, mode) \
    REAL(name); FAIL_IF(decide_path(opening(flags), AT_FDCWD, path), -1); return real(path, flags, mode); }
OPEN(open)
OPEN(open64)

#define OPENAT(name) int name(int folder, const char *path, int flags, ...) { \
    MODE_OF(flags, mode) \
    REAL(name); FAIL_IF(decide_path(opening(flags), folder, path), -1); return real(folder, path, flags, mode); }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name) FILE *name(const char *path, const char *mode) { \
    REAL(name); \
    FAIL_IF(decide_path(strpbrk(mode, "wa+") ? OPEN_TO_WRITE : OPEN_TO_READ, AT_FDCWD, path), NULL); \
    return real(path, mode); }
FOPEN(fopen)
FOPEN(fopen64)

/* A process that is killed while it writes has written half. */
#define DECIDE_WRITE(descriptor, half) \
    do { int error_ = decide_open(WRITE, descriptor); \
         if (error_ < 0) { half; end_now(); } \
         if (error_) { errno = error_; return -1; } } while (0)

ssize_t write(int descriptor, const void *bytes, size_t size)
{
    REAL(write);
    DECIDE_WRITE(descriptor, real(descriptor, bytes, size / 2));
    return real(descriptor, bytes, size);
}

#define PWRITE(name, offset_t) ssize_t name(int descriptor, const void *bytes, size_t size, offset_t offset) { \
    REAL(name); \
    DECIDE_WRITE(descriptor, real(descriptor, bytes, size / 2, offset)); \
    return real(descriptor, bytes, size, offset); }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int number)
{
    REAL(writev);
    DECIDE_WRITE(descriptor, real(descriptor, parts, number / 2));
    return real(descriptor, parts, number);
}

size_t fwrite(const void *bytes, size_t size, size_t number, FILE *file)
{
    REAL(fwrite);
    FAIL_IF(decide_open(WRITE, fileno(file)), 0);
    return real(bytes, size, number, file);
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t size)
{
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) real = (ssize_t (*)(int, int, off64_t *, size_t))dlsym(RTLD_NEXT, "sendfile64");
    FAIL_IF(decide_open(WRITE, to), -1);
    return real(to, from, offset, size);
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end, size_t size, unsigned flags)
{
    REAL(copy_file_range);
    FAIL_IF(decide_open(WRITE, to), -1);
    return real(from, start, to, end, size, flags);
}

ssize_t read(int descriptor, void *bytes, size_t size)
{
    REAL(read);
    FAIL_IF(decide_open(READ, descriptor), -1);
    return real(descriptor, bytes, size);
}

#define PREAD(name, offset_t) ssize_t name(int descriptor, void *bytes, size_t size, offset_t offset) { \
    REAL(name); FAIL_IF(decide_open(READ, descriptor), -1); return real(descriptor, bytes, size, offset); }
PREAD(pread, off_t)
PREAD(pread64, off64_t)

#define PREADV(name, offset_t) ssize_t name(int descriptor, const struct iovec *parts, int number, offset_t offset) { \
    REAL(name); FAIL_IF(decide_open(READ, descriptor), -1); return real(descriptor, parts, number, offset); }
PREADV(preadv, off_t)
PREADV(preadv64, off64_t)

#define SYNC_CALL(name) int name(int descriptor) { \
    REAL(name); FAIL_IF(decide_open(SYNC, descriptor), -1); return real(descriptor); }
SYNC_CALL(fsync)
SYNC_CALL(fdatasync)

int rename(const char *from, const char *to)
{
    REAL(rename);
    FAIL_IF(decide_path(RENAME, AT_FDCWD, to), -1);
    return real(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    REAL(renameat);
    FAIL_IF(decide_path(RENAME, to_folder, to), -1);
    return real(from_folder, from, to_folder, to);
}

#define BY_PATH(name, kind) int name(const char *path) { \
    REAL(name); FAIL_IF(decide_path(kind, AT_FDCWD, path), -1); return real(path); }
BY_PATH(unlink, REMOVE)
BY_PATH(rmdir, REMOVE)

int unlinkat(int folder, const char *path, int flags)
{
    REAL(unlinkat);
    FAIL_IF(decide_path(REMOVE, folder, path), -1);
    return real(folder, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    FAIL_IF(decide_path(MAKE_FOLDER, AT_FDCWD, path), -1);
    return real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode)
{
    REAL(mkdirat);
    FAIL_IF(decide_path(MAKE_FOLDER, folder, path), -1);
    return real(folder, path, mode);
}

#define RESIZE_CALL(name, offset_t) int name(int descriptor, offset_t size) { \
    REAL(name); FAIL_IF(decide_open(RESIZE, descriptor), -1); return real(descriptor, size); }
RESIZE_CALL(ftruncate, off_t)
RESIZE_CALL(ftruncate64, off64_t)

/* These two return the error instead of setting errno. */
#define ALLOCATE(name, offset_t) int name(int descriptor, offset_t offset, offset_t size) { \
    REAL(name); int error = decide_open(RESIZE, descriptor); \
    if (error < 0) end_now(); \
    return error ? error : real(descriptor, offset, size); }
ALLOCATE(posix_fallocate, off_t)
ALLOCATE(posix_fallocate64, off64_t)

int chmod(const char *path, mode_t mode)
{
    REAL(chmod);
    FAIL_IF(decide_path(CHANGE_MODE, AT_FDCWD, path), -1);
    return real(path, mode);
}

int fchmod(int descriptor, mode_t mode)
{
    REAL(fchmod);
    FAIL_IF(decide_open(CHANGE_MODE, descriptor), -1);
    return real(descriptor, mode);
}

int link(const char *from, const char *to)
{
    REAL(link);
    FAIL_IF(decide_path(LINK, AT_FDCWD, to), -1);
    return real(from, to);
}

int symlink(const char *target, const char *path)
{
    REAL(symlink);
    FAIL_IF(decide_path(LINK, AT_FDCWD, path), -1);
    return real(target, path);
}
