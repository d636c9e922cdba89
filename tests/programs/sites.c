/* An Asterisk of a stripped build: it loads the module named by its argument, which crashes below __ao2_ref. Only
 * __ao2_ref has a name, as in a package. Further arguments are passed to the module. `wild ADDRESS` jumps to the address
 * instead, with a stack that has nothing but zeros. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int __ao2_ref(int *object, int delta);
int __ao2_ref(int *object, int delta)
{
	return *object += delta;
}

static void jump(unsigned long address)
{
	static char zeros[1 << 16] __attribute__((aligned(16)));

#ifdef __x86_64__
	__asm__ volatile("mov %0, %%rsp\n\txor %%ebp, %%ebp\n\tjmp *%1" : : "r"(zeros + sizeof zeros / 2), "r"(address));
#else
	((void (*)(void *)) address)(zeros);
#endif
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "wild") == 0) {
		jump(strtoul(argv[2], NULL, 0));
	}
	void *module = dlopen(argv[1], RTLD_NOW);
	int (*load)(const char *) = module ? (int (*)(const char *)) dlsym(module, "load_module") : NULL;

	if (!load) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return load(argc > 2 ? argv[2] : "0");
}
