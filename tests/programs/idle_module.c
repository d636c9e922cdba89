/* A module that does nothing: only its name among the mapped files matters. */
#include "asterisk.h"

static const char module_name[] = MODULE;

static __attribute__((constructor)) void load_module(void)
{
	ast_module_register(module_name);
}
