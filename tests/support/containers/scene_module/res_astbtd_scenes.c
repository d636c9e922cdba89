/*
 * res_astbtd_scenes: console commands that bring Asterisk into the states that are hard to diagnose.
 *
 * Each command has functions of its own, so that a test can name the function that the diagnosis has to find.
 */

/*** MODULEINFO
	<support_level>extended</support_level>
 ***/

#include "asterisk.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "asterisk/astobj2.h"
#include "asterisk/channel.h"
#include "asterisk/cli.h"
#include "asterisk/lock.h"
#include "asterisk/module.h"
#include "asterisk/utils.h"

#ifdef REPLACEMENT
/* Moves the functions below to other addresses: where one was, the new file has another. */
static __attribute__((used)) int unrelated_function(int n)
{
	volatile char padding[64];

	for (int i = 0; i < 64; i++) {
		padding[i] = n * i;
	}
	return padding[n & 63];
}

#define UNRELATED(n) static __attribute__((used)) int unrelated_##n(int a) { return unrelated_function(a + n); }
UNRELATED(1) UNRELATED(2) UNRELATED(3) UNRELATED(4) UNRELATED(5) UNRELATED(6) UNRELATED(7) UNRELATED(8)
#endif

typedef void (*function)(void);

/* Crashes */

static void start(void *(*routine)(void *))
{
	pthread_t thread;

	ast_pthread_create_detached_background(&thread, NULL, routine, NULL);
}

static function find_in_vendor(const char *name, void **library)
{
	*library = dlopen("/opt/vendor/libvendor.so", RTLD_NOW | RTLD_LOCAL);
	if (!*library) {
		ast_log(LOG_ERROR, "%s\n", dlerror());
		return NULL;
	}
	return (function) dlsym(*library, name);
}

static void decode_with_vendor(void)
{
	void *library;
	function decode = find_in_vendor("vendor_decode", &library);

	if (decode) {
		decode();
	}
	ast_verbose("decoded\n");
}

static void call_unloaded(function decode)
{
	decode();
	ast_verbose("returned\n");
}

static void unloaded_library(void)
{
	void *library;
	function decode = find_in_vendor("vendor_decode", &library);

	if (decode) {
		dlclose(library);
		call_unloaded(decode);
	}
}

static void *poll_vendor(void *unused)
{
	void *library;
	function poll = find_in_vendor("vendor_poll", &library);

	poll();
	return unused;
}

static void unload_beneath_thread(void)
{
	void *library;

	start(poll_vendor);
	usleep(300000);
	find_in_vendor("vendor_poll", &library);
	dlclose(library);
	dlclose(library);
	sleep(2);
}

static void __attribute__((optimize("no-stack-protector"), noinline)) copy_header(const char *from, int length)
{
	char buffer[32];

	memcpy(buffer, from, length);
	ast_verbose("%c\n", buffer[0]);
}

static void overwrite_stack(void)
{
	char header[512];

	memset(header, 'A', sizeof(header));
	copy_header(header, 300);
	ast_verbose("parsed\n");
}

static void __attribute__((optimize("stack-protector-all"), noinline)) copy_guarded(const char *from, int length)
{
	char buffer[32];

	memcpy(buffer, from, length);
	ast_verbose("%c\n", buffer[0]);
}

static void overwrite_guarded_stack(void)
{
	char header[512];

	memset(header, 'A', sizeof(header));
	copy_guarded(header, 120);
}

struct technology {
	function indicate;
};

static void invoke_indicate(struct technology *technology)
{
	technology->indicate();
	ast_verbose("indicated\n");
}

static void call_null(void)
{
	struct technology technology = { NULL };

	invoke_indicate(&technology);
}

static void call_heap(void)
{
	char *code = ast_malloc(64);

	memset(code, 0x90, 64);
	((function) (void *) code)();
	ast_verbose("called\n");
}

static int evaluate_expression(int depth);

static int evaluate_variable(int depth)
{
	char name[128];

	name[0] = depth;
	return evaluate_expression(depth + 1) + name[0];
}

static int evaluate_expression(int depth)
{
	return evaluate_variable(depth) + 1;
}

static void recurse(void)
{
	ast_verbose("%d\n", evaluate_expression(0));
}

struct session {
	int magic;
	char name[40];
};

static void touch_session(struct session *session)
{
	session->magic++;
}

static void use_released_object(void)
{
	struct session *session = ao2_alloc(sizeof(*session), NULL);

	ao2_ref(session, -1);
	ao2_ref(session, -1);
	touch_session(session);
	ao2_lock(session);
}

static void write_to_null(void)
{
	*(volatile int *) NULL = 1;
}

static void segv(void)
{
	write_to_null();
}

/* Locks. What was locked is never released. */

AST_MUTEX_DEFINE_STATIC(mutex_a);
AST_MUTEX_DEFINE_STATIC(mutex_b);
AST_RWLOCK_DEFINE_STATIC(routes);
static pthread_barrier_t holders;
static void *object_one, *object_two, *object_rw;
static struct ast_channel *channel;

static void want_a(void)
{
	ast_mutex_lock(&mutex_a);
}

static void want_b(void)
{
	ast_mutex_lock(&mutex_b);
}

static void want_object_one(void)
{
	ao2_lock(object_one);
}

static void want_object_two(void)
{
	ao2_lock(object_two);
}

static void want_object_rd(void)
{
	ao2_rdlock(object_rw);
}

static void want_object_wr(void)
{
	ao2_wrlock(object_rw);
}

static void read_routes(void)
{
	ast_rwlock_rdlock(&routes);
}

static void write_routes(void)
{
	ast_rwlock_wrlock(&routes);
}

static void want_channel(void)
{
	ast_channel_lock(channel);
}

#define THREAD(name, first, second) \
	static void *name(void *unused) \
	{ \
		first(); \
		pthread_barrier_wait(&holders); \
		second(); \
		return unused; \
	}

THREAD(a_then_b, want_a, want_b)
THREAD(b_then_a, want_b, want_a)
THREAD(one_then_two, want_object_one, want_object_two)
THREAD(two_then_one, want_object_two, want_object_one)
THREAD(object_wr_then_one, want_object_wr, want_object_one)
THREAD(one_then_object_rd, want_object_one, want_object_rd)
THREAD(read_then_a, read_routes, want_a)
THREAD(a_then_write, want_a, write_routes)
THREAD(channel_then_a, want_channel, want_a)
THREAD(a_then_channel, want_a, want_channel)

static void run_pair(void *(*one)(void *), void *(*other)(void *))
{
	pthread_barrier_init(&holders, NULL, 3);
	start(one);
	start(other);
	pthread_barrier_wait(&holders);
}

static void lock_mutexes(void)
{
	run_pair(a_then_b, b_then_a);
}

static void lock_objects(void)
{
	object_one = ao2_alloc(64, NULL);
	object_two = ao2_alloc(64, NULL);
	run_pair(one_then_two, two_then_one);
}

static void lock_object_rw(void)
{
	object_one = ao2_alloc(64, NULL);
	object_rw = ao2_alloc_options(64, NULL, AO2_ALLOC_OPT_LOCK_RWLOCK);
	run_pair(object_wr_then_one, one_then_object_rd);
}

/* The reader holds the read lock, which does not say who holds it. */
static void lock_readers(void)
{
	run_pair(read_then_a, a_then_write);
}

static void lock_channel(void)
{
	struct ast_channel_iterator *channels = ast_channel_iterator_all_new();

	channel = ast_channel_iterator_next(channels);
	ast_channel_iterator_destroy(channels);
	if (channel) {
		run_pair(channel_then_a, a_then_channel);
	}
}

/* Asterisk's mutexes are recursive: this is no deadlock. */
static void *lock_again(void *unused)
{
	want_a();
	want_a();
	sleep(3600);
	return unused;
}

static void lock_recursively(void)
{
	start(lock_again);
	usleep(200000);
}

static ast_cond_t signalled;
AST_MUTEX_DEFINE_STATIC(guard);

static void *wait_for_signal(void *unused)
{
	ast_mutex_lock(&guard);
	ast_cond_wait(&signalled, &guard);
	return unused;
}

static void wait_on_condition(void)
{
	ast_cond_init(&signalled, NULL);
	start(wait_for_signal);
	usleep(200000);
}

#define SCENES(X) \
	X(decode_with_vendor) X(unloaded_library) X(unload_beneath_thread) X(overwrite_stack) X(overwrite_guarded_stack) \
	X(call_null) X(call_heap) X(recurse) X(use_released_object) X(segv) X(abort) \
	X(lock_mutexes) X(lock_objects) X(lock_object_rw) X(lock_readers) X(lock_channel) X(lock_recursively) \
	X(wait_on_condition)

#define COMMAND(scene) \
	static char *handle_##scene(struct ast_cli_entry *e, int cmd, struct ast_cli_args *a) \
	{ \
		if (cmd == CLI_HANDLER) { \
			scene(); \
		} \
		return CLI_SUCCESS; \
	}

SCENES(COMMAND)

#define ENTRY(scene) \
	AST_CLI_DEFINE(handle_##scene, #scene, .command = "scene " #scene, .usage = "Usage: scene " #scene "\n"),

static struct ast_cli_entry commands[] = { SCENES(ENTRY) };

static int load_module(void)
{
	return ast_cli_register_multiple(commands, ARRAY_LEN(commands)) ? AST_MODULE_LOAD_DECLINE : AST_MODULE_LOAD_SUCCESS;
}

static int unload_module(void)
{
	return ast_cli_unregister_multiple(commands, ARRAY_LEN(commands));
}

AST_MODULE_INFO_STANDARD_EXTENDED(ASTERISK_GPL_KEY, "Scenes on request");
