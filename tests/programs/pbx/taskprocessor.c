/* Taskprocessors, in a hash. */
#include "pbx.h"

#include <stdlib.h>
#include <string.h>

struct tps_taskprocessor_stats {
	unsigned long max_qsize;
	unsigned long _tasks_processed_count;
};

struct ast_taskprocessor {
#if PBX >= 22
	struct tps_taskprocessor_stats stats;
#else
	const char *name;
	struct tps_taskprocessor_stats *stats;
#endif
	long tps_queue_size;
	long tps_queue_low;
	long tps_queue_high;
#if PBX >= 22
	char name[0];
#endif
};

static struct ao2_container *tps_singletons;

static struct ast_taskprocessor *taskprocessor(const char *name, unsigned long processed, long queued, unsigned long most)
{
	struct tps_taskprocessor_stats stats = { most, processed };
#if PBX >= 22
	struct ast_taskprocessor *tps = calloc(1, sizeof(*tps) + strlen(name) + 1);

	strcpy(tps->name, name);
	tps->stats = stats;
#else
	struct ast_taskprocessor *tps = calloc(1, sizeof(*tps));

	tps->name = name;
	tps->stats = malloc(sizeof(stats));
	*tps->stats = stats;
#endif
	tps->tps_queue_size = queued;
	tps->tps_queue_low = 450;
	tps->tps_queue_high = 500;
	return tps;
}

void taskprocessors_init(enum damage damage)
{
	void *all[] = {
		taskprocessor("stasis/pool", 1234, 5, 17),
		taskprocessor("pjsip/default-0000000a", 99, 0, 3),
		taskprocessor("CCSS_core", 0, 0, 0),
	};

	if (damage != EARLY) {
		tps_singletons = ao2_hash_of(all, ARRAY_LEN(all));
		ao2_damage(tps_singletons, damage);
	}
}
