/* A program that crashes but is not Asterisk: its cores must be left alone. */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static __attribute__((noipa)) void *stand_by(void *mode)
{
	int *volatile nothing = NULL;

	if (!strcmp(mode, "segv")) {
		*nothing = 1;
	} else if (!strcmp(mode, "abort")) {
		abort();
	}
	for (;;) {
		pause();
	}
	return nothing;
}

int main(int argc, char **argv)
{
	int hold = argc == 3 && !strcmp(argv[2], "--hold");
	struct rlimit limit;
	pthread_t thread;
	char byte;

	if ((argc != 2 && !hold) || (strcmp(argv[1], "segv") && strcmp(argv[1], "abort") && strcmp(argv[1], "wait"))) {
		fprintf(stderr, "usage: bystander segv|abort|wait [--hold]\n");
		return 2;
	}
	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_CORE, &limit);
	prctl(PR_SET_DUMPABLE, 1);
	puts("ready");
	fflush(stdout);
	if (hold && read(STDIN_FILENO, &byte, 1) < 0) {
		err(1, "standard input");
	}
	if (pthread_create(&thread, NULL, stand_by, argv[1])) {
		errx(1, "no thread");
	}
	pthread_join(thread, NULL);
	return 0;
}
