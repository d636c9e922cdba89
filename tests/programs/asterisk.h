/* Declarations for the test program and its modules, with names and types as in Asterisk. */
#ifndef ASTERISK_H
#define ASTERISK_H

#include <pthread.h>
#include <stddef.h>
#include <sys/time.h>

/* A function that is a separate frame in every build, optimised or not. */
#define FRAME __attribute__((noipa))

struct ast_channel;
typedef int (*ast_app_execute)(struct ast_channel *chan, const char *data);

enum ast_channel_state { AST_STATE_DOWN, AST_STATE_RING, AST_STATE_RINGING, AST_STATE_UP };

struct ast_party_id {
	const char *name;
	const char *number;
};

struct ast_app {
	const char *name;
	ast_app_execute execute;
};

struct ast_channel {
	const char *name;
	char uniqueid[32];
	enum ast_channel_state state;
	struct ast_party_id caller;
	char context[80];
	char exten[80];
	int priority;
	const struct ast_app *app;
	const char *data;
	struct timeval creationtime;
	pthread_t blocker;
	int refs;
	int hangupcause;
	struct ast_channel *masq;
};

/* A module calls this when it is loaded. */
void ast_module_register(const char *name);
void ast_register_application(const char *name, ast_app_execute execute);

/* Wrappers that keep the compiler from reasoning about allocated memory. */
void *__ast_malloc(size_t size, const char *file, int lineno, const char *function);
void ast_free_ptr(void *ptr);
void __ast_assert_failed(int condition, const char *condition_str,
	const char *file, int lineno, const char *function) __attribute__((noreturn));

#define ast_malloc(size) __ast_malloc((size), __FILE__, __LINE__, __func__)
#define ast_assert(condition) \
	do { \
		if (!(condition)) { \
			__ast_assert_failed(0, #condition, __FILE__, __LINE__, __func__); \
		} \
	} while (0)

#endif
