/* A module that passes a bad reference to __ao2_ref, in one of 64 places, which have no names in a stripped build. */
#include <stdlib.h>

int __ao2_ref(int *object, int delta);
int load_module(const char *number);

const char module_name[] = MODULE;

#define PLACE(n) \
	static __attribute__((noinline)) int place_##n(int *object) \
	{ \
		return __ao2_ref(object, 1) + n; \
	}
#define EIGHT(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7)
#define ALL(m) EIGHT(m, 1) EIGHT(m, 2) EIGHT(m, 3) EIGHT(m, 4) EIGHT(m, 5) EIGHT(m, 6) EIGHT(m, 7) EIGHT(m, 8)
#define NAME(n) place_##n,

ALL(PLACE)

static int (*const places[])(int *) = {ALL(NAME)};

int load_module(const char *number)
{
	return places[atoi(number)]((int *) 8) + 2;
}
