/*
 * asterisk [--storage NAME | --busy N] [DAMAGE]: set up the state of a small PBX, corrupt it as DAMAGE says, and crash.
 *
 * N: how many times it has each of its channels, bridges, taskprocessors and threads with locks.
 * NAME: ao2_legacy (the default), cpp_map_name_id, or any other. DAMAGE: cycle, wild, count, smashed, early, many, long.
 */
#include "pbx.h"

#include <stdlib.h>
#include <string.h>

#if PBX >= 22
static const char asterisk_version[] = "22.10.0";
static const char asterisk_build_opts[] = "DEBUG_THREADS";
static const char asterisk_build_opts_all[] = "DONT_OPTIMIZE, DEBUG_THREADS";
#else
static const char asterisk_version[] = "16.28.0";
static const char asterisk_build_opts[] = "OPTIONAL_API";
static const char asterisk_build_opts_all[] = "DONT_OPTIMIZE, OPTIONAL_API";
#endif

const char *ast_build_hostname = "buildd";
const char *ast_build_machine = "x86_64";
const char *ast_build_os = "Linux";
const char *ast_build_date = "2025-01-01 00:00:00 UTC";
const char *ast_build_user = "pbuilder";

struct timeval ast_startuptime = { 1735689599, 250000 };
struct timeval ast_lastreloadtime = { 1735689600, 500000 };

const char *ast_get_version(void) { return asterisk_version; }
const char *ast_get_build_opts(void) { return asterisk_build_opts; }
const char *ast_get_build_opts_all(void) { return asterisk_build_opts_all; }

/* Unrelated to the variable in bridge.c: a crashing function may have a variable of any name. */
static int *bridges;

static const char *damages[] = { [CYCLE] = "cycle", "wild", "count", "smashed", "early", "many", "long" };

static void crash(void)
{
	*bridges = 0;
}

int main(int argc, char **argv)
{
	const char *storage = argc > 2 && !strcmp(argv[1], "--storage") ? argv[2] : "ao2_legacy";
	enum damage damage = NO_DAMAGE;

	if (argc > 2 && !strcmp(argv[1], "--busy")) {
		busyness = atoi(argv[2]);
	}
	for (size_t i = CYCLE; i < ARRAY_LEN(damages); i++) {
		if (argc > 1 && !strcmp(argv[argc - 1], damages[i])) {
			damage = i;
		}
	}
	taskprocessors_init(damage);
	bridges_init(damage);
	channels_init(damage, storage);
	locks_init(damage);
	crash();
}
