/* An attacker between check and use: exchanges two names, whatever they stand for, as often and as fast as it can. */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE (1 << 1)
#endif

#define PATIENCE 100000

int main(int argc, char **argv)
{
	long wanted, done = 0, failed = 0;

	if (argc != 4 || (wanted = atol(argv[1])) < 1) {
		fprintf(stderr, "usage: swapper COUNT NAME OTHER\n");
		return 2;
	}
	/* One that stays away is gone for good. */
	while (done < wanted && failed < PATIENCE) {
		if (!syscall(SYS_renameat2, AT_FDCWD, argv[2], AT_FDCWD, argv[3], RENAME_EXCHANGE)) {
			done++;
			failed = 0;
		} else if (errno == ENOENT) {
			failed++;
		} else {
			err(1, "%s and %s", argv[2], argv[3]);
		}
	}
	printf("%ld\n", done);
	return 0;
}
