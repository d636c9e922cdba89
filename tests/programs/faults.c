/*
 * Preloaded into a program, it counts the calls that change what is below some directories, and lets one go wrong.
 *
 * FAULTS_BELOW  these directories, a colon between two
 * FAULTS_EXCEPT what does not count in them: a pattern of glob(7)
 * FAULTS_LOG    a file to which the name and the path of each call that counts are added
 * FAULTS_AT     the number of the call, counted from 1; without it none goes wrong
 * FAULTS_HOW    "kill": SIGKILL comes in place of the call; "tear": after half of what it was to write; "wait": the
 *               program is stopped, for good; else an errno: the call fails so
 * FAULTS_WHILE  as long as this file is there, all later calls fail like that one
 *
 * That a file is opened for writing or synced changes nothing by itself, but may fail: it counts only where calls fail.
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

/* What a call does to a disk: one that is full refuses only what takes room. */
enum effect { TAKES_ROOM, NEEDS_NO_ROOM };

static const char *below, *except, *log_path, *while_path;
static int fault_errno;
static unsigned long fault_at;
static bool tearing, waiting;
static atomic_ulong calls;

static __attribute__((constructor)) void read_orders(void)
{
	const char *at = getenv("FAULTS_AT"), *how = getenv("FAULTS_HOW");

	below = getenv("FAULTS_BELOW");
	except = getenv("FAULTS_EXCEPT");
	log_path = getenv("FAULTS_LOG");
	while_path = getenv("FAULTS_WHILE");
	fault_at = at ? strtoul(at, NULL, 10) : 0;
	tearing = how && !strcmp(how, "tear");
	waiting = how && !strcmp(how, "wait");
	fault_errno = how ? atoi(how) : 0;
}

/* What a path stands for, as far as directories go that have no links in them. */
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
	int log = log_path ? syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;

	if (log >= 0) {
		syscall(SYS_write, log, line, length);
		syscall(SYS_close, log);
	}
}

/* Counts a call; whether it is the one that goes wrong, or has to fail like that one. */
static bool strikes(const char *call, int directory, const char *path, enum effect effect)
{
	char resolved[PATH_MAX];
	unsigned long number;

	resolve(directory, path, resolved);
	if (!is_below(resolved) || (except && !fnmatch(except, resolved, 0)) || (effect == NEEDS_NO_ROOM && (fault_errno == ENOSPC || fault_errno == EDQUOT)))
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

/* What becomes of a call that goes wrong. */
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

/* A call `name` with these parameters and arguments, whose target is `path`, from `directory` if it is relative. */
#define CALL(type, name, parameters, arguments, directory, path, effect) \
	type name parameters \
	{ \
		return strikes(#name, directory, path, effect) ? fail() : REAL(name) arguments; \
	}

CALL(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to, TAKES_ROOM)
CALL(int, renameat, (int from_fd, const char *from, int to_fd, const char *to), (from_fd, from, to_fd, to), to_fd, to, TAKES_ROOM)
CALL(int, link, (const char *from, const char *to), (from, to), AT_FDCWD, to, TAKES_ROOM)
CALL(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags), (from_fd, from, to_fd, to, flags), to_fd, to, TAKES_ROOM)
CALL(int, symlink, (const char *target, const char *path), (target, path), AT_FDCWD, path, TAKES_ROOM)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, TAKES_ROOM)
CALL(int, unlink, (const char *path), (path), AT_FDCWD, path, NEEDS_NO_ROOM)
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), fd, path, NEEDS_NO_ROOM)
CALL(int, rmdir, (const char *path), (path), AT_FDCWD, path, NEEDS_NO_ROOM)
CALL(int, chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path, NEEDS_NO_ROOM)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), fd, NULL, NEEDS_NO_ROOM)
CALL(int, fchown, (int fd, uid_t owner, gid_t group), (fd, owner, group), fd, NULL, NEEDS_NO_ROOM)
CALL(int, futimens, (int fd, const struct timespec times[2]), (fd, times), fd, NULL, NEEDS_NO_ROOM)
CALL(int, ftruncate64, (int fd, off64_t length), (fd, length), fd, NULL, NEEDS_NO_ROOM)

int fsync(int fd)
{
	return fault_errno && strikes("fsync", fd, NULL, TAKES_ROOM) ? fail() : REAL(fsync)(fd);
}

ssize_t write(int fd, const void *data, size_t length)
{
	if (!strikes("write", fd, NULL, TAKES_ROOM))
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
		strikes("open", directory, path, flags & O_CREAT ? TAKES_ROOM : NEEDS_NO_ROOM))
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
