/* Channels, in the storage of this version, and the counters of calls. */
#include "pbx.h"

#include <stdlib.h>
#include <string.h>

static int countcalls = 2;
static int totalcalls = 17;

int ast_active_calls(void) { return countcalls; }
int ast_processed_calls(void) { return totalcalls; }

/* A name from a hostile caller, with line breaks and colours. */
#define EVIL "Eve\nLocal/forged@default-00000009;1\033[31m"

static char long_text[5000];

static struct ast_channel alice = {
	.name = "PJSIP/alice-00000001", .appl = "Dial", .data = "PJSIP/bob,30,g",
	.accountcode = "sales", .peeraccount = "support",
	.caller.id = { { (char *) EVIL, 1 }, { (char *) "+15550100", 1 } },
	.creationtime = { 1735689600, 12345 }, .state = AST_STATE_UP, .priority = 3,
	.bridge = &conference, .context = "from-internal", .exten = "1000",
};
static struct ast_channel bob = {
	.name = "PJSIP/bob-00000002", .state = AST_STATE_RINGING, .priority = 1,
	.context = "default", .exten = "s",
};
static struct ast_channel local = {
	.name = "Local/300@default-00000003;1", .appl = "Wait", .data = "600", .state = AST_STATE_DOWN, .priority = 2,
	.context = "default", .exten = "300",
};
static struct ast_channel *all[] = { &alice, &bob, &local };

/* More channels than any PBX has. */
static struct ast_channel *many[25000];

static void name_uniquely(struct ast_channel *channel, const char *id)
{
#if PBX >= 22
	strcpy(channel->uniqueid.unique_id, id);
#else
	channel->uniqueid = id;
#endif
}

static struct ao2_container *container(enum damage damage)
{
	for (size_t i = 0; i < ARRAY_LEN(many); i++) {
		many[i] = &local;
	}
	return damage == MANY ? ao2_hash_of((void **) many, ARRAY_LEN(many)) : ao2_hash_of((void **) all, ARRAY_LEN(all));
}

#if PBX >= 22
/* The handle of the storage "ao2_legacy" is a container. */
struct ast_channelstorage_driver_pvt {
	struct ao2_container *handle;
};

static const struct ast_channelstorage_driver ao2_legacy = { "ao2_legacy" };
static const struct ast_channelstorage_driver of_tomorrow = { "of_tomorrow" };

const struct ast_channelstorage_driver *current_channel_storage_driver;
struct ast_channelstorage_instance *current_channel_storage_instance;

static void store(enum damage damage, const char *storage)
{
	static struct ast_channelstorage_driver_pvt legacy;
	static struct ast_channelstorage_instance instance;

	current_channel_storage_instance = &instance;
	if (!strcmp(storage, cpp_map_name_id.driver_name)) {
		current_channel_storage_driver = &cpp_map_name_id;
		instance.handle = cpp_map_of(all, ARRAY_LEN(all));
		return;
	}
	current_channel_storage_driver = strcmp(storage, "ao2_legacy") ? &of_tomorrow : &ao2_legacy;
	legacy.handle = container(damage);
	ao2_damage(legacy.handle, damage);
	instance.handle = &legacy;
}
#else
static struct ao2_container *channels;

static void store(enum damage damage, const char *storage)
{
	channels = storage ? container(damage) : NULL;
	ao2_damage(channels, damage);
}
#endif

void channels_init(enum damage damage, const char *storage)
{
	memset(long_text, 'x', sizeof(long_text) - 1);
	name_uniquely(&alice, "1735689600.1");
	name_uniquely(&bob, "1735689600.2");
	name_uniquely(&local, "1735689600.3");
	if (damage == WILD) {
		alice.appl = NOWHERE;
	} else if (damage == LONG) {
		bob.data = long_text;
	}
	if (damage != EARLY) {
		store(damage, storage);
	}
}
