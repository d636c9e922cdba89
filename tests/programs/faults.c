/*
 * A preloaded library that counts the calls that change files below some directories, and makes one fail.
 *
 * FAULTS_BELOW  the directories, separated by colons
 * FAULTS_EXCEPT files in them that are not counted: a pattern as in glob(7)
 * FAULTS_LOG    a file to which the name and the path of each counted call are appended
 * FAULTS_AT     the number of the call that fails, from 1; without it no call fails
 * FAULTS_HOW    "kill": SIGKILL in place of the call; "tear": SIGKILL after half of a write; "wait": the program is
 *               stopped for ever; otherwise an errno: the call fails with it
 * FAULTS_WHILE  as long as this file exists, all later calls fail in the same way
 *
 * Opening a file for writing or syncing it changes nothing, but can fail: such calls count only if FAULTS_HOW is an errno.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Out of the way of programs that expect the lowest free numbers. */
#define LOWEST_LOG_DESCRIPTOR 500

/* What a call needs: a full disk fails only calls that need space. */
enum effect { NEEDS_SPACE, NEEDS_NO_SPACE };

static const char *below, *except, *log_path, *while_path;
static int fault_errno, log_descriptor = -1;
static unsigned long fault_at;
static bool tearing, waiting;
static atomic_ulong calls;

/* Open the log at the start: a thread in a sandbox may open no file for writing, but its calls count, too. */
static void open_log(void)
{
	int opened = log_path ? syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

	if (opened < 0)
		return;
	log_descriptor = fcntl(opened, F_DUPFD_CLOEXEC, LOWEST_LOG_DESCRIPTOR);
	if (log_descriptor < 0)
		log_descriptor = fcntl(opened, F_DUPFD_CLOEXEC, 3);
	syscall(SYS_close, opened);
}

static __attribute__((constructor)) void read_environment(void)
{
	const char *at = getenv("FAULTS_AT"), *how = getenv("FAULTS_HOW");

	below = getenv("FAULTS_BELOW");
	except = getenv("FAULTS_EXCEPT");
	log_path = getenv("FAULTS_LOG");
	open_log();
	while_path = getenv("FAULTS_WHILE");
	fault_at = at ? strtoul(at, NULL, 10) : 0;
	tearing = how && !strcmp(how, "tear");
	waiting = how && !strcmp(how, "wait");
	fault_errno = how ? atoi(how) : 0;
}

/* For a fork of a program that has loaded the library: count anew, and be killed at this call ("kill", or "tear"). */
void set_fault(unsigned long at, int torn)
{
	atomic_store(&calls, 0);
	fault_at = at;
	tearing = torn;
}

/* Make a path absolute. Symbolic links in it are not resolved. */
static void resolve(int directory, const char *path, char *resolved)
{
	char descriptor[64];
	ssize_t length = 0;

	if (!path || path[0] != '/') {
		snprintf(descriptor, sizeof(descriptor), directory == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", directory);
		length = readlink(descriptor, resolved, PATH_MAX - 1);
	}
	length = length < 0 ? 0 : length;
	snprintf(resolved + length, PATH_MAX - length, "%s%s", path && length ? "/" : "", path ? path : "");
}

static bool is_below(const char *path)
{
	for (const char *next = below; next && *next;) {
		size_t length = strcspn(next, ":");

		if (!strncmp(path, next, length) && (path[length] == '/' || path[length] == '\0'))
			return true;
		next += length + (next[length] == ':');
	}
	return false;
}

static void note(const char *call, const char *path)
{
	char line[PATH_MAX + 64];
	int length = snprintf(line, sizeof(line), "%s %s\n", call, path);

	if (log_descriptor >= 0)
		syscall(SYS_write, log_descriptor, line, length);
}

/* Count a call. Return whether it must fail. */
static bool strikes(const char *call, int directory, const char *path, enum effect effect)
{
	char resolved[PATH_MAX];
	unsigned long number;

	resolve(directory, path, resolved);
	if (!is_below(resolved) || (except && !fnmatch(except, resolved, 0)) || (effect == NEEDS_NO_SPACE && (fault_errno == ENOSPC || fault_errno == EDQUOT)))
		return false;
	number = atomic_fetch_add(&calls, 1) + 1;
	note(call, resolved);
	return fault_at && (number == fault_at || (number > fault_at && while_path && !access(while_path, F_OK)));
}

static void wait_to_be_killed(void)
{
	for (;;)
		kill(getpid(), SIGSTOP);
}

/* Make a call fail. */
static int fail(void)
{
	if (waiting)
		wait_to_be_killed();
	if (!fault_errno)
		kill(getpid(), SIGKILL);
	errno = fault_errno;
	return -1;
}

#define REAL(name) ((__typeof__(&name)) dlsym(RTLD_NEXT, #name))

/* Define the wrapper of `name`. The changed file is `path`, relative to `directory`. */
#define CALL(type, name, parameters, arguments, directory, path, effect) \
	type name parameters \
	{ \
		return strikes(#name, directory, path, effect) ? fail() : REAL(name) arguments; \
	}

CALL(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, NEEDS_SPACE)
CALL(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to), to_fd, to, NEEDS_SPACE)
CALL(int, link, (const char *from, const char *to), (from, to), AT_FDCWD, to, NEEDS_SPACE)
CALL(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags), (from_fd, from, to_fd, to, flags), to_fd, to, NEEDS_SPACE)
CALL(int, symlink, (const char *target, const char *path), (target, path), AT_FDCWD, path, NEEDS_SPACE)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, NEEDS_SPACE)
CALL(int, unlink, (const char *path), (path), AT_FDCWD, path, NEEDS_NO_SPACE)
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd, path, NEEDS_NO_SPACE)
CALL(int, rmdir, (const char *path), (path), AT_FDCWD, path, NEEDS_NO_SPACE)
CALL(int, chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, NEEDS_NO_SPACE)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL, NEEDS_NO_SPACE)
CALL(int, fchown, (int fd, uid_t owner, gid_t group), (fd, owner, group), fd, NULL, NEEDS_NO_SPACE)
CALL(int, futimens, (int fd, const struct timespec times[2]), (fd, times), fd, NULL, NEEDS_NO_SPACE)
CALL(int, ftruncate64, (int fd, off64_t length), (fd, length), fd, NULL, NEEDS_NO_SPACE)

int fsync(int fd)
{
	return fault_errno && strikes("fsync", fd, NULL, NEEDS_SPACE) ? fail() : REAL(fsync)(fd);
}

ssize_t write(int fd, const void *data, size_t length)
{
	if (!strikes("write", fd, NULL, NEEDS_SPACE))
		return REAL(write)(fd, data, length);
	if (tearing)
		REAL(write)(fd, data, length / 2);
	return fail();
}

int openat64(int directory, const char *path, int flags, ...)
{
	bool writing = (flags & O_ACCMODE) != O_RDONLY;
	mode_t mode = 0;
	va_list rest;

	if (flags & O_CREAT) {
		va_start(rest, flags);
		mode = va_arg(rest, mode_t);
		va_end(rest);
	}
	if (writing && (fault_errno || flags & O_TRUNC || (flags & O_CREAT && faccessat(directory, path, F_OK, 0))) &&
		strikes("open", directory, path, flags & O_CREAT ? NEEDS_SPACE : NEEDS_NO_SPACE))
		return fail();
	return syscall(SYS_openat, directory, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list rest;

	if (flags & O_CREAT) {
		va_start(rest, flags);
		mode = va_arg(rest, mode_t);
		va_end(rest);
	}
	return openat64(AT_FDCWD, path, flags, mode);
}
