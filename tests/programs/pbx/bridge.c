/* Bridges, in a tree. */
#include "pbx.h"

static struct ast_bridge_methods base = { "base" };
static struct ast_bridge_methods basic = { "basic" };
static struct ast_bridge_technology softmix = { "softmix" };
static struct ast_bridge_technology simple_bridge = { "simple_bridge" };

struct ast_bridge conference = {
	&base, &softmix, 3, "ConfBridge", "101", "c3907f47-2c09-4fa1-8ff1-39a555102e1b", { 1735689660, 0 }
};
static struct ast_bridge call = {
	&basic, &simple_bridge, 2, "", "", "ae235011-1fb0-48d4-a173-b2b11ad974c8", { 1735689720, 0 }
};
/* A bridge under construction: only its id is set. */
static struct ast_bridge unborn = { .uniqueid = "f0000000-0000-4000-8000-000000000000" };

static struct ao2_container *bridges;

void bridges_init(enum damage damage)
{
	void *all[] = { &conference, &call, &unborn };

	if (damage != EARLY) {
		bridges = ao2_tree_of(all, ARRAY_LEN(all));
		ao2_damage(bridges, damage);
	}
}
