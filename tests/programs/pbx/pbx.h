/*
 * The structures of Asterisk from which its state is read, with their real names and the members that are read.
 *
 * With PBX=16 they are as in Asterisk 16: no lock table, and the taskprocessors, unique ids and channel storage of
 * that version. With PBX=22 they are as in Asterisk 22 built with DEBUG_THREADS.
 */
#ifndef PBX_H
#define PBX_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* An address that is not mapped. */
#define NOWHERE ((void *) 0x414141414140)

/* How the memory is corrupted before the crash. */
enum damage { NO_DAMAGE, CYCLE, WILD, COUNT, SMASHED, EARLY, MANY, LONG };

struct ao2_container_methods {
	const char *kind;
};

struct ao2_container {
	const struct ao2_container_methods *v_table;
	uint32_t options;
	int elements;
};

struct ao2_container_node {
	void *obj;
	struct ao2_container *my_container;
	unsigned int is_linked:1;
};

/* Each container has each of its objects so many times, and there are so many threads of each kind with locks. */
extern int busyness;

struct ao2_container *ao2_hash_of(void **objects, int count);
struct ao2_container *ao2_tree_of(void **objects, int count);
void ao2_damage(struct ao2_container *container, enum damage damage);

struct ast_party_name {
	char *str;
	unsigned char valid;
};

struct ast_party_number {
	char *str;
	unsigned char valid;
};

struct ast_party_id {
	struct ast_party_name name;
	struct ast_party_number number;
};

struct ast_party_caller {
	struct ast_party_id id;
};

struct ast_channel_id {
	time_t creation_time;
	char unique_id[150];
};

enum ast_channel_state { AST_STATE_DOWN, AST_STATE_RING = 4, AST_STATE_RINGING, AST_STATE_UP };

struct ast_channel {
	const char *appl;
	const char *data;
	const char *name;
	const char *accountcode;
	const char *peeraccount;
#if PBX >= 22
	struct ast_channel_id uniqueid;
#else
	const char *uniqueid;
#endif
	struct ast_party_caller caller;
	struct timeval creationtime;
	enum ast_channel_state state;
	int priority;
	struct ast_bridge *bridge;
	char context[80];
	char exten[80];
};

struct ast_bridge_methods {
	const char *name;
};

struct ast_bridge_technology {
	const char *name;
};

struct ast_bridge {
	const struct ast_bridge_methods *v_table;
	struct ast_bridge_technology *technology;
	unsigned int num_channels;
	const char *creator;
	const char *name;
	const char *uniqueid;
	struct timeval creationtime;
};

extern struct ast_bridge conference;

/* The storage of channels. The type of the handle depends on the storage. */
struct ast_channelstorage_driver {
	const char *driver_name;
};

struct ast_channelstorage_driver_pvt;

struct ast_channelstorage_instance {
	struct ast_channelstorage_driver_pvt *handle;
};

extern const struct ast_channelstorage_driver cpp_map_name_id;

struct ast_channelstorage_driver_pvt *cpp_map_of(struct ast_channel **channels, int count);

/* Each function sets up a part of the state. */
void taskprocessors_init(enum damage damage);
void bridges_init(enum damage damage);
void channels_init(enum damage damage, const char *storage);
void locks_init(enum damage damage);

#ifdef __cplusplus
}
#endif

#endif
