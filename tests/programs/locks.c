/*
 * A test program in the place of Asterisk whose threads wait for locks: `locks SCENE`.
 *
 * It prints "ready" when every thread of the scene is in its final function. What was locked is never released.
 */
#define _GNU_SOURCE
#include "asleep.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>

/* Frames of backtraces, also in an optimised build. */
#define FRAME __attribute__((noinline, noclone))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

typedef pthread_mutex_t ast_mutex_t;
typedef pthread_rwlock_t ast_rwlock_t;

static ast_mutex_t alpha = PTHREAD_MUTEX_INITIALIZER;
static ast_mutex_t beta = PTHREAD_MUTEX_INITIALIZER;
static ast_mutex_t gamma_lock = PTHREAD_MUTEX_INITIALIZER;
static ast_rwlock_t directory = PTHREAD_RWLOCK_INITIALIZER;

/* Passed when all threads of a scene hold their first lock, so that none gets its second. */
static pthread_barrier_t everyone_holds_one;

/* How many threads have passed that: whoever sleeps afterwards does so in its final function. */
static atomic_int departed;

static FRAME int __ast_pthread_mutex_lock(const char *filename, int lineno, const char *func, const char *mutex_name, ast_mutex_t *t)
{
	int res = pthread_mutex_lock(t);

	if (res) {
		errx(1, "%s line %d (%s): Error obtaining mutex '%s'", filename, lineno, func, mutex_name);
	}
	return res;
}

static FRAME int __ast_rwlock_rdlock(const char *filename, int lineno, const char *func, ast_rwlock_t *t, const char *name)
{
	int res = pthread_rwlock_rdlock(t);

	if (res) {
		errx(1, "%s line %d (%s): Error obtaining read lock '%s'", filename, lineno, func, name);
	}
	return res;
}

static FRAME int __ast_rwlock_wrlock(const char *filename, int lineno, const char *func, ast_rwlock_t *t, const char *name)
{
	int res = pthread_rwlock_wrlock(t);

	if (res) {
		errx(1, "%s line %d (%s): Error obtaining write lock '%s'", filename, lineno, func, name);
	}
	return res;
}

#define ast_mutex_lock(m) __ast_pthread_mutex_lock(__FILE__, __LINE__, __func__, #m, (m))
#define ast_rwlock_rdlock(l) __ast_rwlock_rdlock(__FILE__, __LINE__, __func__, (l), #l)
#define ast_rwlock_wrlock(l) __ast_rwlock_wrlock(__FILE__, __LINE__, __func__, (l), #l)

static FRAME int take_alpha(void) { return ast_mutex_lock(&alpha); }
static FRAME int take_beta(void) { return ast_mutex_lock(&beta); }
static FRAME int take_gamma(void) { return ast_mutex_lock(&gamma_lock); }
static FRAME int read_directory(void) { return ast_rwlock_rdlock(&directory); }
static FRAME int write_directory(void) { return ast_rwlock_wrlock(&directory); }

static FRAME int write_slowly(void)
{
	while (sleep(3600) == 0) {
	}
	return 1;
}

static FRAME int nothing(void)
{
	return 0;
}

/* The second function is called as the last thing, and yet a frame: its result is used. */
#define THREAD(name, first, second) \
	static FRAME void *name(void *data) \
	{ \
		int res = first(); \
		pthread_barrier_wait(&everyone_holds_one); \
		departed++; \
		res += second(); \
		return res ? data : NULL; \
	}

THREAD(alpha_then_beta, take_alpha, take_beta)
THREAD(beta_then_alpha, take_beta, take_alpha)
THREAD(beta_then_gamma, take_beta, take_gamma)
THREAD(gamma_then_alpha, take_gamma, take_alpha)
THREAD(alpha_then_directory, take_alpha, read_directory)
THREAD(directory_then_alpha, write_directory, take_alpha)
THREAD(alpha_then_end, take_alpha, nothing)
THREAD(alpha_then_write_slowly, take_alpha, write_slowly)
THREAD(directory_then_write_slowly, read_directory, write_slowly)
THREAD(only_alpha, nothing, take_alpha)
THREAD(only_write_directory, nothing, write_directory)

struct scene {
	const char *name;
	void *(*threads[3])(void *);
	/* A thread that takes a lock and has ended before the others start. */
	void *(*ended)(void *);
};

static const struct scene scenes[] = {
	{ "two-mutexes", { alpha_then_beta, beta_then_alpha }, NULL },
	{ "three-mutexes", { alpha_then_beta, beta_then_gamma, gamma_then_alpha }, NULL },
	{ "mutex-and-rwlock", { alpha_then_directory, directory_then_alpha }, NULL },
	{ "exited-owner", { only_alpha }, alpha_then_end },
	{ "slow-owner", { alpha_then_write_slowly, only_alpha }, NULL },
	{ "slow-reader", { directory_then_write_slowly, only_write_directory }, NULL },
};

static pthread_t start(void *(*routine)(void *))
{
	pthread_t thread;

	if ((errno = pthread_create(&thread, NULL, routine, &alpha))) {
		err(1, "thread");
	}
	return thread;
}

static void play(const struct scene *scene)
{
	int count = 0;

	if (scene->ended) {
		pthread_barrier_init(&everyone_holds_one, NULL, 1);
		pthread_join(start(scene->ended), NULL);
	}
	while (count < (int) ARRAY_LEN(scene->threads) && scene->threads[count]) {
		count++;
	}
	pthread_barrier_init(&everyone_holds_one, NULL, count + 1);
	for (int i = 0; i < count; i++) {
		start(scene->threads[i]);
	}
	departed = 0;
	pthread_barrier_wait(&everyone_holds_one);
	while (departed < count) {
		sched_yield();
	}
	await_others_asleep();
}

int main(int argc, char **argv)
{
	/* Permit gdb of a test to trace this process even if only parents may. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	for (size_t i = 0; argc == 2 && i < ARRAY_LEN(scenes); i++) {
		if (!strcmp(argv[1], scenes[i].name)) {
			play(&scenes[i]);
			puts("ready");
			fflush(stdout);
			pause();
			return 0;
		}
	}
	fprintf(stderr, "usage: locks SCENE\n");
	return 2;
}
