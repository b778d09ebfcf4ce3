/*
 * A layer between a process and its files, for tests: LD_PRELOAD it, and name a folder in SHIM_FOLDER. For files in there
 * it (a) makes one call fail, as SHIM_FAIL="call:number:errno[:more],…" says (counted from 1 over that call; `more` of those
 * that follow fail too, or "on" for all of them; with a negative number the process is killed once it failed, with 0 before
 * anything came of it), (b) delays syncs by SHIM_DELAY_MS, (c) writes to SHIM_TRACE what was written, cut, synced, made and
 * removed, in the order in which it came back, so that a test can rebuild what a loss of power at any point could leave.
 *
 * A file SHIM_FAIL_FILE, looked at before each call, names the failure while the process runs, in the same form, or says
 * "delay:" and milliseconds.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096
#define FAILURES 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FILES];
static int writes_through[FILES];
static const char *folder;
static int trace_fd = -1;
static long delay_ms;

struct failure {
  char call[16];
  long number, error, more, calls;
};
static struct failure failures[FAILURES];

#define REAL(type, name, ...)                                                                     \
  static type (*real_##name)(__VA_ARGS__);                                                        \
  if (real_##name == NULL) *(void **)&real_##name = dlsym(RTLD_NEXT, #name)

static void set_failures(const char *text) {
  memset(failures, 0, sizeof failures);
  for (int at = 0; at < FAILURES && text != NULL && *text != 0; at++) {
    struct failure *one = &failures[at];
    char more[16] = "0";
    if (sscanf(text, "%15[^:]:%ld:%ld:%15[^,]", one->call, &one->number, &one->error, more) < 3) one->call[0] = 0;
    one->more = strcmp(more, "on") == 0 ? LONG_MAX / 2 : atol(more);
    text = strchr(text, ',');
    if (text != NULL) text++;
  }
}

__attribute__((constructor)) static void begin(void) {
  const char *text;
  folder = getenv("SHIM_FOLDER");
  if ((text = getenv("SHIM_FAIL")) != NULL) set_failures(text);
  if ((text = getenv("SHIM_DELAY_MS")) != NULL) delay_ms = atol(text);
  if ((text = getenv("SHIM_TRACE")) != NULL) {
    REAL(int, open64, const char *, int, ...);
    trace_fd = real_open64(text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
}

static int is_watched(const char *path) {
  return folder != NULL && path != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

/* Only what is relative to the folder is of interest. */
static const char *name_of(int fd) {
  return fd >= 0 && fd < FILES && paths[fd] != NULL ? paths[fd] + strlen(folder) : NULL;
}

static void put(const void *bytes, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  for (size_t done = 0; done < size;) {
    ssize_t wrote = real_write(trace_fd, (const char *)bytes + done, size - done);
    if (wrote <= 0) abort();
    done += (size_t)wrote;
  }
}

/* One line of JSON; the bytes that were written follow it, and one more line feed. */
static void trace(const char *call, const char *name, int64_t offset, int64_t size, const void *bytes) {
  char line[PATH_MAX + 128];
  if (trace_fd < 0) return;
  int length = snprintf(line, sizeof line, "{\"call\":\"%s\",\"file\":\"%s\",\"offset\":%lld,\"size\":%lld}\n",
                        call, name, (long long)offset, (long long)size);
  put(line, (size_t)length);
  if (bytes == NULL) return;
  put(bytes, (size_t)size);
  put("\n", 1);
}

static void reread_failure(void) {
  static time_t seen;
  static long seen_ns;
  struct stat now;
  const char *path = getenv("SHIM_FAIL_FILE");
  if (path == NULL || stat(path, &now) != 0) return;
  if (now.st_mtim.tv_sec == seen && now.st_mtim.tv_nsec == seen_ns) return;
  seen = now.st_mtim.tv_sec;
  seen_ns = now.st_mtim.tv_nsec;
  char text[128] = "";
  FILE *file = fopen(path, "re");
  if (file == NULL) return;
  if (fgets(text, sizeof text, file) != NULL && strncmp(text, "delay:", 6) == 0) delay_ms = atol(text + 6);
  else set_failures(text);
  fclose(file);
}

/* The failure that this call is to meet, or NULL; only databases and what SQLite keeps beside them fail. The lock is held. */
static struct failure *failure_of(const char *call, const char *name) {
  struct failure *met = NULL;
  reread_failure();
  if (strstr(name, ".db") == NULL) return NULL;
  for (int at = 0; at < FAILURES; at++) {
    struct failure *one = &failures[at];
    if (strcmp(call, one->call) != 0) continue;
    one->calls++;
    if (one->calls >= one->number && one->calls <= one->number + one->more) met = one;
  }
  if (met == NULL) return NULL;
  if (met->error == 0) kill(getpid(), SIGKILL);
  errno = (int)labs(met->error);
  return met;
}

static int fails(const char *call, const char *name) {
  return failure_of(call, name) != NULL;
}

static void opened(int fd, const char *path, int made, int through) {
  if (fd < 0 || fd >= FILES) return;
  free(paths[fd]);
  paths[fd] = is_watched(path) ? strdup(path) : NULL;
  writes_through[fd] = through;
  if (paths[fd] != NULL && made) trace("make", name_of(fd), 0, 0, NULL);
}

#define OPEN(name)                                                                                \
  int name(const char *path, int flags, ...) {                                                    \
    REAL(int, name, const char *, int, ...);                                                      \
    va_list rest;                                                                                 \
    struct stat there;                                                                            \
    va_start(rest, flags);                                                                        \
    mode_t mode = va_arg(rest, mode_t);                                                           \
    va_end(rest);                                                                                 \
    if (!is_watched(path)) return real_##name(path, flags, mode);                                 \
    pthread_mutex_lock(&lock);                                                                    \
    int was = stat(path, &there) == 0;                                                            \
    int fd = fails("open", path) ? -1 : real_##name(path, flags, mode);                                 \
    int saved = errno;                                                                            \
    if (fd >= 0) opened(fd, path, !was, (flags & O_DSYNC) != 0);                                                        \
    if (fd >= 0 && was && (flags & O_TRUNC) != 0) trace("cut", name_of(fd), 0, 0, NULL);          \
    pthread_mutex_unlock(&lock);                                                                  \
    errno = saved;                                                                                \
    return fd;                                                                                    \
  }
OPEN(open)
OPEN(open64)

int close(int fd) {
  REAL(int, close, int);
  pthread_mutex_lock(&lock);
  if (fd >= 0 && fd < FILES) {
    free(paths[fd]);
    paths[fd] = NULL;
  }
  int result = real_close(fd);
  pthread_mutex_unlock(&lock);
  return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
  REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
  if (name_of(fd) == NULL) return real_pwrite64(fd, bytes, size, offset);
  pthread_mutex_lock(&lock);
  ssize_t result = fails("write", name_of(fd)) ? -1 : real_pwrite64(fd, bytes, size, offset);
  int saved = errno;
  if (result > 0) trace("write", name_of(fd), offset, result, bytes);
  if (result > 0 && writes_through[fd]) trace("sync", name_of(fd), 0, 0, NULL);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return result;
}

/* Written where the file ends, or where the process stands in it: of a marker, or a file of Node's own. */
ssize_t write(int fd, const void *bytes, size_t size) {
  REAL(ssize_t, write, int, const void *, size_t);
  if (name_of(fd) == NULL) return real_write(fd, bytes, size);
  pthread_mutex_lock(&lock);
  off64_t offset = lseek64(fd, 0, SEEK_CUR);
  ssize_t result = fails("write", name_of(fd)) ? -1 : real_write(fd, bytes, size);
  int saved = errno;
  if (result > 0) trace("write", name_of(fd), offset, result, bytes);
  if (result > 0 && writes_through[fd]) trace("sync", name_of(fd), 0, 0, NULL);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return result;
}

static int sync_with(int (*real)(int), int fd) {
  if (name_of(fd) == NULL) return real(fd);
  pthread_mutex_lock(&lock);
  struct failure *met = failure_of("sync", name_of(fd));
  int fault = met != NULL, kills = fault && met->error < 0;
  long pause = delay_ms;
  int saved = errno;
  char name[PATH_MAX];
  snprintf(name, sizeof name, "%s", name_of(fd));
  pthread_mutex_unlock(&lock);
  if (pause > 0) usleep((useconds_t)pause * 1000);
  /* After a sync that failed the system takes what was written for clean: it is lost unless it is written again. */
  int result = fault ? -1 : real(fd);
  pthread_mutex_lock(&lock);
  trace(result == 0 ? "sync" : "lose", name, 0, 0, NULL);
  pthread_mutex_unlock(&lock);
  if (kills) kill(getpid(), SIGKILL);
  if (fault) errno = saved;
  return result;
}

int fsync(int fd) {
  REAL(int, fsync, int);
  return sync_with(real_fsync, fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  return sync_with(real_fdatasync, fd);
}

int ftruncate64(int fd, off64_t size) {
  REAL(int, ftruncate64, int, off64_t);
  if (name_of(fd) == NULL) return real_ftruncate64(fd, size);
  pthread_mutex_lock(&lock);
  int result = fails("truncate", name_of(fd)) ? -1 : real_ftruncate64(fd, size);
  int saved = errno;
  if (result == 0) trace("cut", name_of(fd), size, 0, NULL);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return result;
}

int unlink(const char *path) {
  REAL(int, unlink, const char *);
  if (!is_watched(path)) return real_unlink(path);
  pthread_mutex_lock(&lock);
  int result = fails("unlink", path) ? -1 : real_unlink(path);
  int saved = errno;
  if (result == 0) trace("remove", path + strlen(folder), 0, 0, NULL);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return result;
}
