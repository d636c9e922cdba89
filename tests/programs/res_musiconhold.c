/* The module res_musiconhold.so: StartMusicOnHold() frees the files of a class twice. */
#include "asterisk.h"

#include <stdio.h>

struct mohclass {
	char name[80];
	char mode[80];
	char *files;
	int total_files;
};

static FRAME int moh_class_destructor(struct mohclass *class)
{
	ast_free_ptr(class->files);
	return --class->total_files;
}

static FRAME int local_ast_moh_start(struct ast_channel *chan, const char *mclass)
{
	struct mohclass class = { .mode = "files", .total_files = 2 };

	snprintf(class.name, sizeof(class.name), "%s", mclass);
	class.files = ast_malloc(200);
	while (moh_class_destructor(&class)) {
	}
	return chan->priority;
}

static FRAME int start_moh_exec(struct ast_channel *chan, const char *data)
{
	return local_ast_moh_start(chan, data) + chan->refs;
}

static __attribute__((constructor)) void load_module(void)
{
	ast_module_register("res_musiconhold");
	ast_register_application("StartMusicOnHold", start_moh_exec);
}
