/* An Asterisk of a stripped build: it loads the module named by its argument, which crashes below __ao2_ref. Only
 * __ao2_ref has a name, as in a package. Further arguments are passed to the module. */
#include <dlfcn.h>
#include <stdio.h>

int __ao2_ref(int *object, int delta);
int __ao2_ref(int *object, int delta)
{
	return *object += delta;
}

int main(int argc, char **argv)
{
	void *module = dlopen(argv[1], RTLD_NOW);
	int (*load)(const char *) = (int (*)(const char *)) dlsym(module, "load_module");

	if (!load) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return load(argc > 2 ? argv[2] : "0");
}
