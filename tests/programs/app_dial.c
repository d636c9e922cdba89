/* The module app_dial.so: Dial() crashes on a missing channel, with arguments that are hard to print. */
#include "asterisk.h"

#include <stdio.h>
#include <string.h>

struct chanlist {
	struct chanlist *next;
	struct ast_channel *chan;
	const char *interface;
	unsigned long long flags;
};

static FRAME int do_forward(struct chanlist *o, const char *forwarder, int single)
{
	struct ast_channel *c = o->chan;
	int length = (int) strlen(forwarder);

	c->hangupcause = length;
	return length + single;
}

static FRAME int wait_for_answer(struct ast_channel *in, struct chanlist *outgoing, int *to, const char *opt_args)
{
	/* Text from a hostile peer: terminal escapes, control and non-UTF-8 bytes, lines like those of gdb. */
	char forwarder[] = "\033[2J\033]0;title\007\r\377\200"
		"#0  0x0 in evil () at evil.c:1\n"
		"\nThread 1 (LWP 1):\n"
		"!@!@!@! thread1.txt !@!@!@!\n";
	char padding[300];
	int single = !outgoing->next;
	int result;

	memset(padding, '{', sizeof(padding) - 1);
	padding[sizeof(padding) - 1] = '\0';
	forwarder[0] = opt_args[0] == 'g' ? '\033' : padding[0];
	result = do_forward(outgoing, forwarder, single);
	*to -= result;
	return in->hangupcause + padding[result % 2];
}

static FRAME int dial_exec_full(struct ast_channel *chan, const char *data, unsigned long long *peerflags, int *continue_exec)
{
	char parse[128];
	struct chanlist second = { NULL, NULL, "PJSIP/{bob}", *peerflags };
	struct chanlist outgoing = { &second, NULL, parse, *peerflags | 1 };
	const char *options = strrchr(data, ',');
	int to = 30000 + chan->priority;
	int result;

	snprintf(parse, sizeof(parse), "%s", data);
	result = wait_for_answer(chan, &outgoing, &to, options ? options + 1 : "");
	*continue_exec = to > 0;
	return result;
}

static FRAME int dial_exec(struct ast_channel *chan, const char *data)
{
	unsigned long long peerflags = 0x8000000000000000ULL;
	int continue_exec = 0;

	return dial_exec_full(chan, data, &peerflags, &continue_exec) + continue_exec;
}

static __attribute__((constructor)) void load_module(void)
{
	ast_module_register("app_dial");
	ast_register_application("Dial", dial_exec);
}
