/*
 * res_astbtd_crash: console commands that make Asterisk crash or deadlock, each in its own, recognisable way.
 *
 * Built with -g -O0 so that every function below is a frame of the backtrace.
 */

/*** MODULEINFO
	<support_level>extended</support_level>
 ***/

#include "asterisk.h"

#include <pthread.h>
#include <string.h>

#include "asterisk/cli.h"
#include "asterisk/lock.h"
#include "asterisk/module.h"
#include "asterisk/utils.h"

/* Larger than what glibc's per-thread cache keeps: free() has to look at the neighbouring block. */
#define BLOCK_SIZE 4096
#define OVERRUN 64

struct call_leg {
	const char *name;
	int *hangup_cause;
};

static void write_hangup_cause(struct call_leg *leg, int cause)
{
	*leg->hangup_cause = cause;
}

static void hang_up_leg(const char *name)
{
	struct call_leg leg = { .name = name, .hangup_cause = NULL };

	write_hangup_cause(&leg, 16);
}

static void crash_segv(void)
{
	hang_up_leg("PJSIP/alice-00000001");
}

static void give_up(const char *why)
{
	ast_log(LOG_ERROR, "%s\n", why);
	abort();
}

static void crash_abort(void)
{
	give_up("asked to abort");
}

static void release_leg(void *leg)
{
	ast_free(leg);
}

static void crash_double_free(void)
{
	void *leg = ast_malloc(BLOCK_SIZE);
	void *neighbour = ast_malloc(BLOCK_SIZE);

	release_leg(leg);
	release_leg(leg);
	release_leg(neighbour);
}

static void copy_display_name(char *buffer)
{
	memset(buffer, 'A', BLOCK_SIZE + OVERRUN);
}

static void crash_smash(void)
{
	char *name = ast_malloc(BLOCK_SIZE);
	char *neighbour = ast_malloc(BLOCK_SIZE);

	copy_display_name(name);
	release_leg(name);
	release_leg(neighbour);
}

AST_MUTEX_DEFINE_STATIC(channel_lock);
AST_MUTEX_DEFINE_STATIC(bridge_lock);

/* Passed when both threads hold their first lock, so that neither can get its second. */
static pthread_barrier_t both_hold_one;

static void lock_bridge_of_channel(void)
{
	ast_mutex_lock(&bridge_lock);
}

static void lock_channel_of_bridge(void)
{
	ast_mutex_lock(&channel_lock);
}

static void *lock_channel_then_bridge(void *unused)
{
	ast_mutex_lock(&channel_lock);
	pthread_barrier_wait(&both_hold_one);
	lock_bridge_of_channel();
	return unused;
}

static void *lock_bridge_then_channel(void *unused)
{
	ast_mutex_lock(&bridge_lock);
	pthread_barrier_wait(&both_hold_one);
	lock_channel_of_bridge();
	return unused;
}

/* Once only: the locks are never given back. */
static void deadlock(void)
{
	static int deadlocked;
	pthread_t thread;

	if (deadlocked) {
		return;
	}
	deadlocked = 1;
	pthread_barrier_init(&both_hold_one, NULL, 3);
	ast_pthread_create_detached_background(&thread, NULL, lock_channel_then_bridge, NULL);
	ast_pthread_create_detached_background(&thread, NULL, lock_bridge_then_channel, NULL);
	pthread_barrier_wait(&both_hold_one);
}

#define COMMAND(function) \
	static char *handle_##function(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a) \
	{ \
		if (cmd == CLI_HANDLER) { \
			function(); \
		} \
		return CLI_SUCCESS; \
	}

COMMAND(crash_segv)
COMMAND(crash_abort)
COMMAND(crash_double_free)
COMMAND(crash_smash)
COMMAND(deadlock)

#define ENTRY(function, words, what) \
	AST_CLI_DEFINE(handle_##function, what, .command = words, .usage = "Usage: " words "\n       " what ".\n")

static struct ast_cli_entry commands[] = {
	ENTRY(crash_segv, "astbtd crash segv", "Write through a null pointer"),
	ENTRY(crash_abort, "astbtd crash abort", "Call abort()"),
	ENTRY(crash_double_free, "astbtd crash double-free", "Free one heap block twice"),
	ENTRY(crash_smash, "astbtd crash smash", "Write past the end of a heap block, then free it"),
	ENTRY(deadlock, "astbtd deadlock", "Lock two mutexes in opposite order from two threads"),
};

static int load_module(void)
{
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands)) ? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO_STANDARD_EXTENDED(ASTERISK_GPL_KEY, "Crashes on request");
