/* The lock table of DEBUG_THREADS: a list of threads, each with the locks that it holds or waits for. */
#include "pbx.h"

#if PBX >= 22
#include <stdlib.h>

#define AST_MAX_REENTRANCY 10
#define AST_MAX_LOCKS 64
#define TOO_MANY 1000

enum ast_lock_type { AST_MUTEX, AST_RDLOCK, AST_WRLOCK };

struct ast_lock_track {
	const char *file[AST_MAX_REENTRANCY];
	int lineno[AST_MAX_REENTRANCY];
	int reentrancy;
	const char *func[AST_MAX_REENTRANCY];
	pthread_t thread_id[AST_MAX_REENTRANCY];
};

struct ast_mutex_info {
	pthread_mutex_t mutex;
	struct ast_lock_track *track;
};

struct thr_lock_info {
	pthread_t thread_id;
	const char *thread_name;
	struct {
		const char *file;
		const char *func;
		const char *lock_name;
		void *lock_addr;
		int times_locked;
		int times_lock_attempted;
		struct timeval last_locked;
		int line_num;
		enum ast_lock_type type;
		int pending:2;
		int suspended:1;
	} locks[AST_MAX_LOCKS];
	unsigned int num_locks;
	int lwp;
	struct {
		struct thr_lock_info *next;
	} entry;
};

static struct {
	struct thr_lock_info *first;
	struct thr_lock_info *last;
} lock_infos;

static struct ast_lock_track bridge_track = {
	{ "bridge.c" }, { 777 }, 1, { "bridge_channel_internal_join" }, { 0xb0b }
};
static struct ast_mutex_info channel_lock, bridge_lock = { .track = &bridge_track };
static int contexts_lock;

static struct thr_lock_info caller = {
	0xa11ce, "pbx_thread           started at [ 4761] pbx.c ast_pbx_start()",
	{
		{ "channel.c", "ast_channel_get", "chan", &channel_lock, 1, 1, { 1735689601, 0 }, 111, AST_MUTEX, 0, 0 },
		{ "bridge.c", "ast_bridge_join", "bridge", &bridge_lock, 1, 2, { 1735689602, 0 }, 222, AST_MUTEX, 1, 0 },
	}, 2, 4711, { NULL }
};
static struct thr_lock_info conferee = {
	0xb0b, "bridge_thread",
	{
		{ "bridge.c", "bridge_channel_internal_join", "bridge", &bridge_lock, 1, 1, { 1735689600, 0 }, 777, AST_MUTEX, 0, 0 },
		{ "pbx.c", "ast_rdlock_contexts", "conlock", &contexts_lock, 2, 2, { 1735689600, 0 }, 333, AST_RDLOCK, 0, 0 },
		{ "channel.c", "ast_channel_try", "chan", &channel_lock, 0, 1, { 1735689603, 0 }, 444, AST_MUTEX, -1, 0 },
	}, 3, 4712, { NULL }
};
static struct thr_lock_info sleeper = {
	0x51ee9, "sched_run",
	{ { "sched.c", "sched_run", "con->lock", &contexts_lock, 1, 1, { 1735689600, 0 }, 144, AST_MUTEX, 0, 1 } },
	1, 4713, { NULL }
};
static struct thr_lock_info idle = { 0x1d1e, "idle", { { 0 } }, 0, 4714, { NULL } };

/* Append further threads with locks, as many of each kind as `busyness` says. */
static void add_busy_threads(void)
{
	static const struct thr_lock_info *kinds[] = { &caller, &conferee, &sleeper, &idle };

	for (size_t i = ARRAY_LEN(kinds); i < ARRAY_LEN(kinds) * busyness; i++) {
		struct thr_lock_info *added = malloc(sizeof(*added));

		*added = *kinds[i % ARRAY_LEN(kinds)];
		added->lwp += i;
		added->entry.next = NULL;
		lock_infos.last->entry.next = added;
		lock_infos.last = added;
	}
}

void locks_init(enum damage damage)
{
	if (damage == EARLY) {
		return;
	}
	bridge_lock.mutex.__data.__owner = conferee.lwp;
	caller.entry.next = &conferee;
	conferee.entry.next = &sleeper;
	sleeper.entry.next = &idle;
	lock_infos.first = &caller;
	lock_infos.last = &idle;
	add_busy_threads();
	if (damage == CYCLE) {
		idle.entry.next = &caller;
	} else if (damage == WILD) {
		idle.entry.next = NOWHERE;
		bridge_lock.track = NOWHERE;
	} else if (damage == COUNT) {
		conferee.num_locks = TOO_MANY;
	}
}
#else
void locks_init(enum damage damage)
{
	(void) damage;
}
#endif
