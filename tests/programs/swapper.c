/* An attacker between check and use: swaps two names as often as it can, whatever kind of file they are. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

int main(int argc, char **argv)
{
	long wanted = argc == 4 ? atol(argv[3]) : 0, done = 0;

	if (argc != 3 && wanted < 1) {
		fprintf(stderr, "usage: swapper NAME OTHER [COUNT]\nWithout a count, until SIGTERM.\n");
		return 2;
	}
	signal(SIGTERM, stop);
	while (!stopped && (!wanted || done < wanted)) {
		if (!syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], RENAME_EXCHANGE)) {
			done++;
		} else if (errno == ENOENT) {
			/* Removed, or not created yet. */
			sched_yield();
		} else {
			err(1, "%s and %s", argv[1], argv[2]);
		}
	}
	printf("%ld\n", done);
	return 0;
}
