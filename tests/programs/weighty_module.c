/*
 * A module as large for a debugger as one of Asterisk: 120 functions, types, calls into libc and the program. With
 * LIBRARY it is as large as a library of Asterisk: 2000 more functions, all exported.
 *
 * Modules whose name ends in 00 or 50 run a thread, so that the frames of the process are in few of many objects.
 */
#define _GNU_SOURCE
#include "asterisk.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define JOINED(a, b) a##_##b
#define NAMED(a, b) JOINED(a, b)
#define TEXT_OF(a) #a
#define TEXT(a) TEXT_OF(a)

#define TEN(WHAT, n) WHAT(n##0) WHAT(n##1) WHAT(n##2) WHAT(n##3) WHAT(n##4) WHAT(n##5) WHAT(n##6) WHAT(n##7) WHAT(n##8) WHAT(n##9)
#define HUNDRED(WHAT, n) TEN(WHAT, n##0) TEN(WHAT, n##1) TEN(WHAT, n##2) TEN(WHAT, n##3) TEN(WHAT, n##4) TEN(WHAT, n##5) TEN(WHAT, n##6) TEN(WHAT, n##7) TEN(WHAT, n##8) TEN(WHAT, n##9)
#define THOUSAND(WHAT, n) HUNDRED(WHAT, n##0) HUNDRED(WHAT, n##1) HUNDRED(WHAT, n##2) HUNDRED(WHAT, n##3) HUNDRED(WHAT, n##4) HUNDRED(WHAT, n##5) HUNDRED(WHAT, n##6) HUNDRED(WHAT, n##7) HUNDRED(WHAT, n##8) HUNDRED(WHAT, n##9)

struct NAMED(MODULE, session) {
	struct sockaddr_storage address;
	struct timespec since;
	struct stat file;
	struct ast_channel *channel;
	char name[80];
	int (*handle)(struct NAMED(MODULE, session) *session, const char *text);
};

/* Typical functions of a module: parse, copy, look up, answer. */
#define HANDLER(linkage, n) \
	linkage FRAME int NAMED(MODULE, n)(struct NAMED(MODULE, session) *session, const char *text) \
	{ \
		struct JOINED(n, state) { \
			const char *name, *context, *exten, *data; \
			unsigned int flags, timeout, retries, priority; \
			enum JOINED(n, mode) { n##_IDLE, n##_RINGING, n##_UP, n##_DOWN } mode; \
			struct JOINED(n, state) *next; \
		} state = { .name = text, .flags = sizeof(text) }; \
		struct tm broken_down; \
		char buffer[128]; \
		size_t length = strnlen(state.name, sizeof(buffer)) & state.flags; \
		for (size_t i = 0; i < length; i++) { \
			buffer[i] = isdigit((unsigned char) text[i]) ? text[i] : toupper((unsigned char) text[i]); \
		} \
		if (!localtime_r(&session->since.tv_sec, &broken_down) || stat(session->name, &session->file)) { \
			return -errno; \
		} \
		return snprintf(session->name, sizeof(session->name), "%.*s-%d", (int) length, buffer, broken_down.tm_year); \
	}

#define STATIC_HANDLER(n) HANDLER(static __attribute__((used)), handle_##n)
#define EXPORTED_HANDLER(n) HANDLER(, api_##n)
HUNDRED(STATIC_HANDLER, )
TEN(EXPORTED_HANDLER, 0)
TEN(EXPORTED_HANDLER, 1)

#ifdef LIBRARY
#define SMALL_FUNCTION(n) int NAMED(MODULE, function_##n)(int a) { return a + n; }
THOUSAND(SMALL_FUNCTION, 1)
THOUSAND(SMALL_FUNCTION, 2)
#endif

/* Imports, which create entries in the procedure linkage table. */
void *NAMED(MODULE, imports)[] = {
	accept, bind, close, connect, fcntl, fopen, fclose, fread, fwrite, getaddrinfo, freeaddrinfo, getenv, getpid,
	getsockname, getsockopt, htonl, inet_ntop, inet_pton, kill, listen, lseek, malloc, calloc, realloc, free, memchr,
	memcmp, memcpy, memmove, memset, nanosleep, open, poll, pthread_create, pthread_join, pthread_mutex_lock,
	pthread_mutex_unlock, pthread_cond_wait, qsort, read, recv, recvfrom, send, sendto, setsockopt, sigaction, socket,
	sprintf, sscanf, strcasecmp, strcat, strchr, strcmp, strcpy, strdup, strerror, strftime, strncpy, strrchr, strstr,
	strtol, strtoul, time, unlink, usleep, write, ast_module_register, ast_register_application, __ast_malloc, ast_free_ptr,
};

static FRAME void *NAMED(MODULE, run)(void *data)
{
	while (pause() < 0 && errno == EINTR) {
	}
	return data;
}

static __attribute__((constructor)) void load_module(void)
{
	static const char name[] = TEXT(MODULE);
	const char *end = name + sizeof(name) - 3;
	pthread_t thread;

	ast_module_register(name);
	if (!strcmp(end, "00") || !strcmp(end, "50")) {
		pthread_create(&thread, NULL, NAMED(MODULE, run), NULL);
	}
}
