/*
 * What a power cut would take back of a process's writes: loaded with LD_PRELOAD, it notes every change below GANTRY_JOURNAL_ROOT in the
 * file GANTRY_JOURNAL before it happens, with what was there, and every sync after it succeeded. `power-loss.ts` reads the journal of a
 * process that was killed, and undoes what no sync had covered.
 *
 *   cc -shared -fPIC -O2 -o power-loss.so power-loss.c -ldl -lpthread
 *
 * A record: 'type' u8, sequence u64, inode u64, offset u64, size u64 (of what follows), old size u64; then the old bytes, or paths that
 * end with 0. Types: W bytes written, T length changed, S file synced up to `offset` (a sequence), C file made, R renamed (from, to, what
 * was at `to`), U removed (path, what it was), D directory synced up to `offset`. Removed files are kept as hard links beside the journal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAX_FDS 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char root[PATH_MAX];
static size_t root_length;
static char journal_path[PATH_MAX];
static uint64_t sequence = 1;
static unsigned kept_count;
/* Of an open file below the root: 1 a file, 2 a directory. */
static unsigned char tracked[MAX_FDS];

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("GANTRY_JOURNAL"), *under = getenv("GANTRY_JOURNAL_ROOT");
  if (path == NULL || under == NULL) return;
  snprintf(journal_path, sizeof journal_path, "%s", path);
  snprintf(root, sizeof root, "%s", under);
  root_length = strlen(root);
  journal = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) { perror("power-loss: journal"); abort(); }
}

/* With the lock held. A journal that cannot be written ends the process: it would lie from then on. */
static void note(char type, uint64_t seq, uint64_t inode, uint64_t offset, uint64_t old_size, const void *data, uint64_t size) {
  unsigned char head[41];
  head[0] = (unsigned char)type;
  memcpy(head + 1, &seq, 8);
  memcpy(head + 9, &inode, 8);
  memcpy(head + 17, &offset, 8);
  memcpy(head + 25, &size, 8);
  memcpy(head + 33, &old_size, 8);
  struct iovec parts[2] = {{head, sizeof head}, {(void *)data, size}};
  if (REAL(writev)(journal, parts, 2) != (ssize_t)(sizeof head + size)) { perror("power-loss: journal"); abort(); }
}

static int is_below(const char *path, char *absolute) {
  if (journal < 0 || path == NULL) return 0;
  if (path[0] == '/') snprintf(absolute, PATH_MAX, "%s", path);
  else {
    char folder[PATH_MAX];
    if (getcwd(folder, sizeof folder) == NULL) return 0;
    if (snprintf(absolute, PATH_MAX, "%s/%s", folder, path) >= PATH_MAX) return 0;
  }
  return strncmp(absolute, root, root_length) == 0 && (absolute[root_length] == '/' || absolute[root_length] == 0);
}

static int is_tracked(int fd, int kind) { return journal >= 0 && fd >= 0 && fd < MAX_FDS && tracked[fd] == kind; }

/* What bytes and which length a write would change. With the lock held. */
static void before_write(int fd, uint64_t offset, uint64_t size) {
  struct stat status;
  if (fstat(fd, &status) != 0) return;
  uint64_t old_size = (uint64_t)status.st_size;
  uint64_t end = offset + size < old_size ? offset + size : old_size;
  uint64_t length = end > offset ? end - offset : 0;
  char *old = malloc(length + 1);
  if (old == NULL) abort();
  uint64_t got = 0;
  while (got < length) {
    ssize_t step = pread(fd, old + got, length - got, (off_t)(offset + got));
    if (step <= 0) break;
    got += (uint64_t)step;
  }
  if (got < length) {
    /* The descriptor is for writing only. */
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reader = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (reader >= 0) { got = (uint64_t)pread(reader, old, length, (off_t)offset); close(reader); }
    if (got != length) { fprintf(stderr, "power-loss: cannot read what is overwritten\n"); abort(); }
  }
  note('W', sequence++, status.st_ino, offset, old_size, old, length);
  free(old);
}

static int opened(int fd, const char *absolute, int existed) {
  if (fd < 0 || fd >= MAX_FDS) return fd;
  struct stat status;
  if (fstat(fd, &status) != 0) return fd;
  tracked[fd] = S_ISDIR(status.st_mode) ? 2 : S_ISREG(status.st_mode) ? 1 : 0;
  if (!existed && tracked[fd] == 1) note('C', sequence++, status.st_ino, 0, 0, absolute, strlen(absolute) + 1);
  return fd;
}

static int open_any(int folder, const char *path, int flags, mode_t mode) {
  char absolute[PATH_MAX];
  if (folder != AT_FDCWD && path != NULL && path[0] != '/') return REAL(openat)(folder, path, flags, mode);
  if (!is_below(path, absolute)) {
    int fd = REAL(openat)(folder, path, flags, mode);
    if (fd >= 0 && fd < MAX_FDS) tracked[fd] = 0;
    return fd;
  }
  pthread_mutex_lock(&lock);
  struct stat status;
  int existed = stat(absolute, &status) == 0;
  if (existed && (flags & O_TRUNC) && S_ISREG(status.st_mode)) {
    int fd = REAL(open)(absolute, O_RDWR | O_CLOEXEC);
    if (fd >= 0) { before_write(fd, 0, (uint64_t)status.st_size); note('T', sequence++, status.st_ino, 0, (uint64_t)status.st_size, "", 0); close(fd); }
  }
  int fd = opened(REAL(openat)(folder, path, flags, mode), absolute, existed);
  pthread_mutex_unlock(&lock);
  return fd;
}

static mode_t mode_of(int flags, va_list more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; }

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = mode_of(flags, more); va_end(more); \
    return open_any(AT_FDCWD, path, flags, mode); \
  }
#define OPENAT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    va_list more; va_start(more, flags); mode_t mode = mode_of(flags, more); va_end(more); \
    return open_any(folder, path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
OPENAT(openat64)

#define CHANGE(fd, offset, size, call) \
  if (!is_tracked(fd, 1)) return call; \
  pthread_mutex_lock(&lock); \
  before_write(fd, (uint64_t)(offset), (uint64_t)(size)); \
  ssize_t result = call; \
  pthread_mutex_unlock(&lock); \
  return result;

static uint64_t sum_of(const struct iovec *parts, int count) {
  uint64_t sum = 0;
  for (int at = 0; at < count; at++) sum += parts[at].iov_len;
  return sum;
}
static off_t position_of(int fd) {
  if (fcntl(fd, F_GETFL) & O_APPEND) { struct stat status; return fstat(fd, &status) == 0 ? status.st_size : 0; }
  return lseek(fd, 0, SEEK_CUR);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset) { CHANGE(fd, offset, size, REAL(pwrite64)(fd, bytes, size, offset)) }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) { CHANGE(fd, offset, size, REAL(pwrite)(fd, bytes, size, offset)) }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { CHANGE(fd, offset, sum_of(parts, count), REAL(pwritev)(fd, parts, count, offset)) }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) { CHANGE(fd, offset, sum_of(parts, count), REAL(pwritev64)(fd, parts, count, offset)) }
ssize_t write(int fd, const void *bytes, size_t size) { CHANGE(fd, position_of(fd), size, REAL(write)(fd, bytes, size)) }
ssize_t writev(int fd, const struct iovec *parts, int count) { CHANGE(fd, position_of(fd), sum_of(parts, count), REAL(writev)(fd, parts, count)) }

static int cut(int fd, off_t length, int (*change)(int, off_t)) {
  if (!is_tracked(fd, 1)) return change(fd, length);
  pthread_mutex_lock(&lock);
  struct stat status;
  if (fstat(fd, &status) == 0) {
    if (status.st_size > length) before_write(fd, (uint64_t)length, (uint64_t)(status.st_size - length));
    note('T', sequence++, status.st_ino, 0, (uint64_t)status.st_size, "", 0);
  }
  int result = change(fd, length);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate(int fd, off_t length) { return cut(fd, length, REAL(ftruncate)); }
int ftruncate64(int fd, off_t length) { return cut(fd, length, REAL(ftruncate64)); }

static int synced(int fd, int (*sync)(int)) {
  if (!is_tracked(fd, 1) && !is_tracked(fd, 2)) return sync(fd);
  const char *delay = getenv("GANTRY_JOURNAL_SYNC_DELAY_US");
  pthread_mutex_lock(&lock);
  uint64_t upto = sequence;
  pthread_mutex_unlock(&lock);
  if (delay != NULL) usleep((useconds_t)atoi(delay));
  int result = sync(fd);
  if (result != 0) return result;
  struct stat status;
  if (fstat(fd, &status) != 0) return result;
  pthread_mutex_lock(&lock);
  if (tracked[fd] == 1) note('S', sequence++, status.st_ino, upto, 0, "", 0);
  else {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length > 0) { path[length] = 0; note('D', sequence++, status.st_ino, upto, 0, path, (uint64_t)length + 1); }
  }
  pthread_mutex_unlock(&lock);
  return result;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

/* Keeps what is at a path as a hard link beside the journal; its name there, or "" when there is nothing. */
static void keep(const char *path, char *kept) {
  struct stat status;
  kept[0] = 0;
  if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (snprintf(kept, PATH_MAX, "%s.%d.%u", journal_path, (int)getpid(), kept_count++) >= PATH_MAX || link(path, kept) != 0) {
    perror("power-loss: keep");
    abort();
  }
}

static uint64_t paths(char *to, const char *first, const char *second, const char *third) {
  char *at = to;
  for (int part = 0; part < 3; part++) {
    const char *text = part == 0 ? first : part == 1 ? second : third;
    if (text == NULL) continue;
    size_t size = strlen(text) + 1;
    memcpy(at, text, size);
    at += size;
  }
  return (uint64_t)(at - to);
}

int rename(const char *from, const char *to) {
  char absolute_from[PATH_MAX], absolute_to[PATH_MAX], kept[PATH_MAX], text[3 * PATH_MAX];
  if (!is_below(from, absolute_from) || !is_below(to, absolute_to)) return REAL(rename)(from, to);
  pthread_mutex_lock(&lock);
  keep(absolute_to, kept);
  note('R', sequence++, 0, 0, 0, text, paths(text, absolute_from, absolute_to, kept));
  int result = REAL(rename)(from, to);
  pthread_mutex_unlock(&lock);
  return result;
}

static void before_removal(const char *absolute) {
  char kept[PATH_MAX], text[2 * PATH_MAX];
  keep(absolute, kept);
  if (kept[0] != 0) note('U', sequence++, 0, 0, 0, text, paths(text, absolute, kept, NULL));
}
#define REMOVE(path, call) \
  char absolute[PATH_MAX]; \
  if (!is_below(path, absolute)) return call; \
  pthread_mutex_lock(&lock); \
  before_removal(absolute); \
  int result = call; \
  pthread_mutex_unlock(&lock); \
  return result;

int unlink(const char *path) { REMOVE(path, REAL(unlink)(path)) }
int remove(const char *path) { REMOVE(path, REAL(remove)(path)) }
int unlinkat(int folder, const char *path, int flags) {
  char name[PATH_MAX], link[64];
  if (folder == AT_FDCWD || path[0] == '/') { REMOVE(path, REAL(unlinkat)(folder, path, flags)) }
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, name, sizeof name - 1);
  if (length <= 0) return REAL(unlinkat)(folder, path, flags);
  snprintf(name + length, sizeof name - (size_t)length, "/%s", path);
  REMOVE(name, REAL(unlinkat)(folder, path, flags))
}
