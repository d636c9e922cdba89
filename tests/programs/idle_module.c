/* A module that is only there: its name among a process's mapped files is what counts. */
#include "asterisk.h"

static const char module_name[] = MODULE;

static __attribute__((constructor)) void load_module(void)
{
	ast_module_register(module_name);
}
