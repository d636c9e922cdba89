/*
 * res_astbtd_locks: console commands that let threads wait for one another, each in its own, recognisable way.
 *
 * Built with -g -O0 so that every function below is a frame of the backtrace. What was locked is never given back.
 */

/*** MODULEINFO
	<support_level>extended</support_level>
 ***/

#include "asterisk.h"

#include <pthread.h>
#include <unistd.h>

#include "asterisk/astobj2.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/lock.h"
#include "asterisk/module.h"
#include "asterisk/stasis_channels.h"
#include "asterisk/utils.h"

#define BUSY_THREADS 8
#define BUSY_MICROSECONDS 200

AST_MUTEX_DEFINE_STATIC(alpha);
AST_MUTEX_DEFINE_STATIC(beta);
AST_MUTEX_DEFINE_STATIC(gamma_lock);
AST_RWLOCK_DEFINE_STATIC(directory);

/* Passed when all threads of a scene hold their first lock, so that none gets its second. */
static pthread_barrier_t everyone_holds_one;

static void take_alpha(void)
{
	ast_mutex_lock(&alpha);
}

static void take_beta(void)
{
	ast_mutex_lock(&beta);
}

static void take_gamma(void)
{
	ast_mutex_lock(&gamma_lock);
}

static void write_directory(void)
{
	ast_rwlock_wrlock(&directory);
}

static void read_directory(void)
{
	ast_rwlock_rdlock(&directory);
}

static struct ao2_container *channels;

static void take_channels(void)
{
	ao2_wrlock(channels);
}

static struct ast_channel *channel;

static void take_channel(void)
{
	ast_channel_lock(channel);
}

#define THREAD(name, first, second) \
	static void *name(void *unused) \
	{ \
		first(); \
		pthread_barrier_wait(&everyone_holds_one); \
		second(); \
		return unused; \
	}

THREAD(alpha_then_beta, take_alpha, take_beta)
THREAD(beta_then_alpha, take_beta, take_alpha)
THREAD(beta_then_gamma, take_beta, take_gamma)
THREAD(gamma_then_alpha, take_gamma, take_alpha)
THREAD(directory_then_alpha, write_directory, take_alpha)
THREAD(alpha_then_directory, take_alpha, read_directory)
THREAD(channels_then_alpha, take_channels, take_alpha)
THREAD(alpha_then_channels, take_alpha, take_channels)
THREAD(channel_then_alpha, take_channel, take_alpha)
THREAD(alpha_then_channel, take_alpha, take_channel)

static void *alpha_then_end(void *unused)
{
	take_alpha();
	return unused;
}

static void write_slowly(void)
{
	for (;;) {
		sleep(3600);
	}
}

static void *alpha_then_write_slowly(void *unused)
{
	take_alpha();
	pthread_barrier_wait(&everyone_holds_one);
	write_slowly();
	return unused;
}

static void *only_alpha(void *unused)
{
	pthread_barrier_wait(&everyone_holds_one);
	take_alpha();
	return unused;
}

static void *only_read_directory(void *unused)
{
	read_directory();
	pthread_barrier_wait(&everyone_holds_one);
	write_slowly();
	return unused;
}

static void *only_write_directory(void *unused)
{
	pthread_barrier_wait(&everyone_holds_one);
	write_directory();
	return unused;
}

static void start(void *(*routine)(void *))
{
	pthread_t thread;

	ast_pthread_create_detached_background(&thread, NULL, routine, NULL);
}

static void gather(int threads)
{
	pthread_barrier_init(&everyone_holds_one, NULL, threads + 1);
}

static void set_off(void)
{
	pthread_barrier_wait(&everyone_holds_one);
}

static void two_mutexes(void)
{
	gather(2);
	start(alpha_then_beta);
	start(beta_then_alpha);
	set_off();
}

static void three_mutexes(void)
{
	gather(3);
	start(alpha_then_beta);
	start(beta_then_gamma);
	start(gamma_then_alpha);
	set_off();
}

static void mutex_and_rwlock(void)
{
	gather(2);
	start(alpha_then_directory);
	start(directory_then_alpha);
	set_off();
}

static void channels_and_mutex(void)
{
	channels = ast_channel_cache_by_name();
	gather(2);
	start(channels_then_alpha);
	start(alpha_then_channels);
	set_off();
}

/* The channel is listed as any other, and has no technology. */
static void channel_and_mutex(void)
{
	channel = ast_channel_alloc(0, AST_STATE_DOWN, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, "Scene/1");
	ast_channel_unlock(channel);
	gather(2);
	start(channel_then_alpha);
	start(alpha_then_channel);
	set_off();
}

static void exited_owner(void)
{
	pthread_t owner;

	ast_pthread_create(&owner, NULL, alpha_then_end, NULL);
	pthread_join(owner, NULL);
	gather(1);
	start(only_alpha);
	set_off();
}

static void slow_owner(void)
{
	gather(2);
	start(alpha_then_write_slowly);
	start(only_alpha);
	set_off();
}

static void slow_reader(void)
{
	gather(2);
	start(only_read_directory);
	start(only_write_directory);
	set_off();
}

/*
 * Threads that contend for the same locks all the time, always in the same order, and never for long.
 *
 * They sleep with a lock in their hands: Debian's Asterisk runs before all else, and what spins there halts the machine.
 */

static volatile int busy;

static void *lock_in_order(void *unused)
{
	while (busy) {
		ast_mutex_lock(&alpha);
		ast_mutex_lock(&beta);
		ast_rwlock_wrlock(&directory);
		usleep(BUSY_MICROSECONDS);
		ast_rwlock_unlock(&directory);
		ast_mutex_unlock(&beta);
		ast_mutex_unlock(&alpha);
		ast_rwlock_rdlock(&directory);
		ast_mutex_lock(&gamma_lock);
		usleep(BUSY_MICROSECONDS);
		ast_mutex_unlock(&gamma_lock);
		ast_rwlock_unlock(&directory);
	}
	return unused;
}

static void contend(void)
{
	busy = 1;
	for (int i = 0; i < BUSY_THREADS; i++) {
		start(lock_in_order);
	}
}

static void rest(void)
{
	busy = 0;
}

#define COMMAND(function) \
	static char *handle_##function(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a) \
	{ \
		if (cmd == CLI_HANDLER) { \
			function(); \
		} \
		return CLI_SUCCESS; \
	}

COMMAND(two_mutexes)
COMMAND(three_mutexes)
COMMAND(mutex_and_rwlock)
COMMAND(channels_and_mutex)
COMMAND(channel_and_mutex)
COMMAND(exited_owner)
COMMAND(slow_owner)
COMMAND(slow_reader)
COMMAND(contend)
COMMAND(rest)

#define ENTRY(function, words, what) \
	AST_CLI_DEFINE(handle_##function, what, .command = words, .usage = "Usage: " words "\n       " what ".\n")

static struct ast_cli_entry commands[] = {
	ENTRY(two_mutexes, "astbtd lock two-mutexes", "Two threads, each with the mutex that the other wants"),
	ENTRY(three_mutexes, "astbtd lock three-mutexes", "Three threads in a circle"),
	ENTRY(mutex_and_rwlock, "astbtd lock mutex-and-rwlock", "Two threads, one with a mutex, one writing under a rwlock"),
	ENTRY(channels_and_mutex, "astbtd lock channels-and-mutex", "The same with the list of channels, so that the console hangs"),
	ENTRY(channel_and_mutex, "astbtd lock channel-and-mutex", "The same with one channel: only its lookup hangs"),
	ENTRY(exited_owner, "astbtd lock exited-owner", "A thread that wants a mutex whose owner has ended"),
	ENTRY(slow_owner, "astbtd lock slow-owner", "A thread that wants a mutex whose owner sleeps"),
	ENTRY(slow_reader, "astbtd lock slow-reader", "A thread that wants to write while another reads and sleeps"),
	ENTRY(contend, "astbtd lock contend", "Threads that take locks in order, again and again"),
	ENTRY(rest, "astbtd lock rest", "End that"),
};

static int load_module(void)
{
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands)) ? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO_STANDARD_EXTENDED(ASTERISK_GPL_KEY, "Waits on request");
