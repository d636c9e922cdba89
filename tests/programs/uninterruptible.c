/* A thread that no signal and no debugger can stop: it is in uninterruptible sleep, waiting for a vfork child. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

static void *wait_for_child(void *unused)
{
	if (vfork() == 0) {
		pause();
		_exit(0);
	}
	return unused;
}

int main(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, wait_for_child, NULL);
	puts("ready");
	fflush(stdout);
	pause();
	return 0;
}
