/* Wait until all other threads of this process sleep. */
#ifndef ASLEEP_H
#define ASLEEP_H

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_asleep(const char *tid)
{
	char path[64], stat[256];
	const char *end;
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%.20s/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return 1;
	}
	got = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[got > 0 ? got : 0] = '\0';
	end = strrchr(stat, ')');
	return !end || end[2] == 'S';
}

static void await_others_asleep(void)
{
	long self = syscall(SYS_gettid);
	struct dirent *entry;
	DIR *tasks = opendir("/proc/self/task");

	if (!tasks) {
		err(1, "/proc/self/task");
	}
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] != '.' && atol(entry->d_name) != self) {
			while (!is_asleep(entry->d_name)) {
				sched_yield();
			}
		}
	}
	closedir(tasks);
}

#endif
