/*
 * A test program in the place of Asterisk, which crashes, hangs or waits as its arguments say.
 *
 * Its functions, globals, modules and threads have the names of those in Asterisk 22.
 */
#define _GNU_SOURCE
#include "asleep.h"
#include "asterisk.h"

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The thread stack size of Asterisk on 64-bit machines, in KiB. */
#define AST_STACKSIZE 496

#ifdef __OPTIMIZE__
#define BUILD_OPTS_ALL "BUILD_NATIVE, OPTIONAL_API"
#else
#define BUILD_OPTS_ALL "DONT_OPTIMIZE, BETTER_BACKTRACES, OPTIONAL_API"
#endif

static const char asterisk_version[] = "22.10.0-astbtd";
static const char asterisk_version_num[] = "221000";
static const char asterisk_build_opts[] = "OPTIONAL_API";
static const char asterisk_build_opts_all[] = BUILD_OPTS_ALL;

const char *ast_build_hostname = "builder.example.org";
const char *ast_build_kernel = "6.1.0";
const char *ast_build_machine = "x86_64";
const char *ast_build_os = "Linux";
const char *ast_build_date = "2025-01-01 00:00:00 UTC";
const char *ast_build_user = "builder";

struct timeval ast_startuptime;
struct timeval ast_lastreloadtime;

static struct {
	char config_dir[PATH_MAX];
	char module_dir[PATH_MAX];
} cfg_paths = { "/etc/asterisk", "" };

const char *ast_config_AST_CONFIG_DIR = cfg_paths.config_dir;
const char *ast_config_AST_MODULE_DIR = cfg_paths.module_dir;

const char *ast_get_version(void) { return asterisk_version; }
const char *ast_get_version_num(void) { return asterisk_version_num; }
const char *ast_get_build_opts(void) { return asterisk_build_opts; }
const char *ast_get_build_opts_all(void) { return asterisk_build_opts_all; }

/* Memory and assertions */

FRAME void *__ast_malloc(size_t size, const char *file, int lineno, const char *function)
{
	void *p = malloc(size);

	if (!p) {
		errx(1, "%s:%d %s: no memory", file, lineno, function);
	}
	return p;
}

FRAME void ast_free_ptr(void *ptr)
{
	free(ptr);
}

static FRAME __attribute__((noreturn)) void ast_do_crash(void)
{
	abort();
}

FRAME void __ast_assert_failed(int condition, const char *condition_str, const char *file, int lineno, const char *function)
{
	fprintf(stderr, "%s:%d %s: FRACK!, Failed assertion %s (%d)\n", file, lineno, function, condition_str, condition);
	ast_do_crash();
}

/* Locks */

typedef struct ast_mutex_info {
	pthread_mutex_t mutex;
	void *track;
	unsigned int flags;
} ast_mutex_t;

static ast_mutex_t channel_lock = { .mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP };
static ast_mutex_t bridge_lock = { .mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP };

static FRAME int __ast_pthread_mutex_lock(const char *filename, int lineno, const char *func, const char *mutex_name, ast_mutex_t *t)
{
	int res = pthread_mutex_lock(&t->mutex);

	if (res) {
		errx(1, "%s line %d (%s): Error obtaining mutex '%s'", filename, lineno, func, mutex_name);
	}
	return res;
}

static FRAME int __ast_cond_wait(const char *filename, int lineno, const char *func,
	const char *cond_name, const char *mutex_name, pthread_cond_t *cond, ast_mutex_t *t)
{
	int res = pthread_cond_wait(cond, &t->mutex);

	if (res) {
		errx(1, "%s line %d (%s): Error waiting for %s with '%s'", filename, lineno, func, cond_name, mutex_name);
	}
	return res;
}

#define ast_mutex_lock(m) __ast_pthread_mutex_lock(__FILE__, __LINE__, __func__, #m, (m))
#define ast_mutex_unlock(m) pthread_mutex_unlock(&(m)->mutex)
#define ast_cond_wait(c, m) __ast_cond_wait(__FILE__, __LINE__, __func__, #c, #m, (c), (m))

/*
 * Wait until each thread is in its final function before the crash.
 *
 * A thread changes the counter only while it holds the lock, and then waits for ever. A thread
 * that sleeps after that is in its final function.
 */

static struct {
	ast_mutex_t lock;
	pthread_cond_t changed;
	pthread_cond_t never;
	int arrived;
	int departed;
	int open;
} place = {
	.lock = { .mutex = PTHREAD_MUTEX_INITIALIZER },
	.changed = PTHREAD_COND_INITIALIZER,
	.never = PTHREAD_COND_INITIALIZER,
};

static void arrive(void)
{
	ast_mutex_lock(&place.lock);
	place.arrived++;
	pthread_cond_broadcast(&place.changed);
}

static void pass_gate(void)
{
	arrive();
	while (!place.open) {
		ast_cond_wait(&place.changed, &place.lock);
	}
	place.departed++;
	pthread_cond_broadcast(&place.changed);
	ast_mutex_unlock(&place.lock);
}

static void open_gate(void)
{
	ast_mutex_lock(&place.lock);
	place.open = 1;
	pthread_cond_broadcast(&place.changed);
	ast_mutex_unlock(&place.lock);
}

static void await_count(const int *counter, int count)
{
	ast_mutex_lock(&place.lock);
	while (*counter < count) {
		ast_cond_wait(&place.changed, &place.lock);
	}
	ast_mutex_unlock(&place.lock);
}

/* Threads */

struct thr_arg {
	void *(*start_routine)(void *);
	void *data;
	const char *name;
};

struct worker {
	int id;
	int idle;
};

static FRAME void *dummy_start(void *data)
{
	struct thr_arg a = *(struct thr_arg *) data;
	void *ret;

	free(data);
	ret = a.start_routine(a.data);
	if (ret) {
		warnx("%s ended", a.name);
	}
	return ret;
}

static void ast_pthread_create_stack(void *(*start_routine)(void *), void *data, const char *name, long kib)
{
	struct thr_arg *a = ast_malloc(sizeof(*a));
	pthread_attr_t attr;
	pthread_t thread;

	*a = (struct thr_arg) { start_routine, data, name };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	errno = pthread_attr_setstacksize(&attr, kib * 1024);
	if (errno || (errno = pthread_create(&thread, &attr, dummy_start, a))) {
		err(1, "thread %s", name);
	}
	pthread_attr_destroy(&attr);
}

static FRAME void worker_idle(struct worker *worker)
{
	arrive();
	for (worker->idle = 1; worker->idle;) {
		ast_cond_wait(&place.never, &place.lock);
	}
}

static FRAME void *worker_start(void *arg)
{
	struct worker *worker = arg;

	worker_idle(worker);
	return worker;
}

static FRAME void *do_monitor(void *data)
{
	arrive();
	for (;;) {
		ast_cond_wait(&place.never, &place.lock);
	}
	return data;
}

static void start_idle_threads(int count)
{
	struct worker *workers = count ? ast_malloc(count * sizeof(*workers)) : NULL;

	for (int i = 0; i < count; i++) {
		workers[i] = (struct worker) { .id = i };
		if (i % 4 == 0) {
			ast_pthread_create_stack(do_monitor, NULL, "do_monitor", AST_STACKSIZE);
		} else {
			ast_pthread_create_stack(worker_start, &workers[i], "worker_start", AST_STACKSIZE);
		}
	}
}

static FRAME void *bridge_channel_thread(void *data)
{
	ast_mutex_lock(&bridge_lock);
	pass_gate();
	ast_mutex_lock(&channel_lock);
	return data;
}

static FRAME void *channel_bridge_thread(void *data)
{
	ast_mutex_lock(&channel_lock);
	pass_gate();
	ast_mutex_lock(&bridge_lock);
	return data;
}

/* Modules and applications */

static struct ast_app apps[8];
static size_t app_count;
static const char *modules[4096];
static size_t module_count;

void ast_module_register(const char *name)
{
	if (module_count < ARRAY_LEN(modules)) {
		modules[module_count++] = name;
	}
}

void ast_register_application(const char *name, ast_app_execute execute)
{
	if (app_count < ARRAY_LEN(apps)) {
		apps[app_count++] = (struct ast_app) { name, execute };
	}
}

static const struct ast_app *pbx_findapp(const char *name)
{
	for (size_t i = 0; i < app_count; i++) {
		if (!strcmp(apps[i].name, name)) {
			return &apps[i];
		}
	}
	return NULL;
}

static int is_module(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && !strcmp(dot, ".so");
}

static void load_modules(void)
{
	struct dirent **entries;
	int count = scandir(cfg_paths.module_dir, &entries, is_module, alphasort);

	if (count < 0) {
		err(1, "%s", cfg_paths.module_dir);
	}
	for (int i = 0; i < count; i++) {
		char *path;

		if (asprintf(&path, "%s/%s", cfg_paths.module_dir, entries[i]->d_name) < 0) {
			err(1, "asprintf");
		}
		if (!dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
			errx(1, "%s", dlerror());
		}
		free(path);
		free(entries[i]);
	}
	free(entries);
}

/* The dialplan */

struct ast_context {
	const char *name;
	const char *app;
	const char *data;
	struct ast_context *include;
};

/* Each context includes the other: the search for an unknown extension never ends. */
static struct ast_context default_context;
static struct ast_context trunk_context = { .name = "from-trunk", .include = &default_context };
static struct ast_context default_context = { .name = "default", .include = &trunk_context };

static FRAME struct ast_context *pbx_find_extension(struct ast_context *context, const char *exten, int priority, int depth)
{
	struct ast_context *found = context->app ? context : NULL;

	if (!found) {
		found = pbx_find_extension(context->include, exten, priority, depth + 1);
	}
	return found ? found : context;
}

/* The value of a variable is written behind its name, beyond the allocated memory. */
struct ast_var_t {
	struct ast_var_t *next;
	char name[80];
	char value[];
};

static FRAME struct ast_var_t *ast_var_assign(const char *name, size_t name_len, const char *value, size_t value_len)
{
	struct ast_var_t *var = ast_malloc(sizeof(*var));

	var->next = NULL;
	memcpy(var->name, name, name_len);
	var->name[name_len] = '\0';
	memcpy(var->value, value, value_len + 1);
	return var;
}

static FRAME int pbx_builtin_setvar(struct ast_channel *chan, const char *data)
{
	const char *value = strchr(data, '=') + 1;
	struct ast_var_t *first = ast_var_assign(data, value - data - 1, value, strlen(value));

	first->next = ast_malloc(8192);
	return chan->priority;
}

static FRAME int pbx_builtin_hangup(struct ast_channel *chan, const char *data)
{
	ast_assert(chan->refs > (int) strlen(data));
	return -1;
}

static FRAME int pbx_exec(struct ast_channel *c, const struct ast_app *app, const char *data)
{
	int res;

	c->app = app;
	c->data = data;
	res = app->execute(c, data);
	c->app = NULL;
	return res;
}

static FRAME int pbx_extension_helper(struct ast_channel *c, const char *context, const char *exten, int priority, const char *callerid)
{
	struct ast_context *e = pbx_find_extension(&default_context, exten, priority, 0);
	int res = pbx_exec(c, pbx_findapp(e->app), e->data);

	if (res < 0) {
		warnx("%s: %s@%s:%d ended", callerid, exten, context, priority);
	}
	return res;
}

static FRAME int __ast_pbx_run(struct ast_channel *c)
{
	int res = pbx_extension_helper(c, c->context, c->exten, c->priority, c->caller.number);

	c->state = AST_STATE_DOWN;
	return res;
}

/* MiB of local variables in the crashing thread. */
static long locals;

static FRAME int run_with_locals(struct ast_channel *c)
{
	struct ast_channel copies[((size_t) locals << 20) / sizeof(*c) + 1];

	for (size_t i = 0; i < sizeof(copies) / sizeof(*copies); i++) {
		copies[i] = *c;
	}
	return __ast_pbx_run(c) + copies[0].priority;
}

static FRAME void *pbx_thread(void *data)
{
	struct ast_channel *c = data;

	pass_gate();
	/* The main thread also waits in its final function. */
	await_others_asleep();
	c->blocker = pthread_self();
	if (locals) {
		run_with_locals(c);
	} else {
		__ast_pbx_run(c);
	}
	return c;
}

static struct ast_channel channel = {
	.name = "PJSIP/alice-00000001",
	.uniqueid = "1735689600.1",
	.state = AST_STATE_RING,
	.caller = { "Eve \"}\" at x.c:1\n#1  0x0 in evil (a=1) at evil.c:2", "+1 555 0100" },
	.context = "default",
	.exten = "1000",
	.priority = 1,
	.refs = 1,
};

/* The program */

static const struct mode {
	const char *name;
	const char *app;
	const char *data;
	enum { CRASH, WAIT, DEADLOCK } kind;
} modes[] = {
	{ "segv", "Dial", "PJSIP/\"alice\"&PJSIP/{bob} at x.c:1\n#0  0x0 in evil () at evil.c:1\n,30,g", CRASH },
	{ "abort", "Hangup", "16", CRASH },
	{ "double-free", "StartMusicOnHold", "default", CRASH },
	{ "smash", "Set", NULL, CRASH },
	{ "recurse", NULL, NULL, CRASH },
	{ "wait", NULL, NULL, WAIT },
	{ "deadlock", NULL, NULL, DEADLOCK },
};

static struct {
	const struct mode *mode;
	int threads;
	long megabytes;
	long stack;
	long untouched;
	int hold;
	const char *pid_file;
} options = { .threads = 8, .stack = AST_STACKSIZE };

/* In a global variable, so that it is not freed. */
static uint64_t *ballast;

static __attribute__((noreturn)) void usage(void)
{
	fprintf(stderr,
		"usage: asterisk MODE [OPTION]...\n"
		"MODE: segv abort double-free smash recurse wait deadlock\n"
		"  --threads N    idle threads (8)\n"
		"  --modules DIR  load every DIR/*.so (modules, beside the program)\n"
		"  --pid-file F   write the process id to F before \"ready\"\n"
		"  --megabytes N  fill N MiB of heap\n"
		"  --untouched N  map N MiB and leave all but a byte alone\n"
		"  --locals N     MiB of locals in the thread that crashes\n"
		"  --stack N      KiB of stack for the thread that crashes (%d)\n"
		"  --hold         crash only after a byte or the end of standard input\n"
		"  --caller TEXT  number of the caller, an argument of the crashed thread\n"
		"  --note TEXT    no effect: text for the command line\n", AST_STACKSIZE);
	exit(2);
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > INT_MAX) {
		usage();
	}
	return n;
}

static void default_module_dir(void)
{
	char *slash;
	ssize_t length = readlink("/proc/self/exe", cfg_paths.module_dir, sizeof(cfg_paths.module_dir) - sizeof("modules"));

	if (length < 0) {
		err(1, "/proc/self/exe");
	}
	cfg_paths.module_dir[length] = '\0';
	slash = strrchr(cfg_paths.module_dir, '/');
	strcpy(slash ? slash + 1 : cfg_paths.module_dir, "modules");
}

static void parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{ "threads", required_argument, NULL, 't' },
		{ "modules", required_argument, NULL, 'm' },
		{ "pid-file", required_argument, NULL, 'p' },
		{ "megabytes", required_argument, NULL, 'M' },
		{ "untouched", required_argument, NULL, 'u' },
		{ "locals", required_argument, NULL, 'l' },
		{ "stack", required_argument, NULL, 's' },
		{ "hold", no_argument, NULL, 'h' },
		{ "note", required_argument, NULL, 'n' },
		{ "caller", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 't': options.threads = number(optarg); break;
		case 'm': snprintf(cfg_paths.module_dir, sizeof(cfg_paths.module_dir), "%s", optarg); break;
		case 'p': options.pid_file = optarg; break;
		case 'M': options.megabytes = number(optarg); break;
		case 'u': options.untouched = number(optarg); break;
		case 'l': locals = number(optarg); break;
		case 's': options.stack = number(optarg); break;
		case 'h': options.hold = 1; break;
		case 'n': break;
		case 'c': channel.caller.number = optarg; break;
		default: usage();
		}
	}
	for (size_t i = 0; optind == argc - 1 && i < ARRAY_LEN(modes); i++) {
		if (!strcmp(argv[optind], modes[i].name)) {
			options.mode = &modes[i];
		}
	}
	if (!options.mode) {
		usage();
	}
	if (!cfg_paths.module_dir[0]) {
		default_module_dir();
	}
}

static void allow_core(void)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };

	if (setrlimit(RLIMIT_CORE, &limit)) {
		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_CORE, &limit);
	}
	prctl(PR_SET_DUMPABLE, 1);
	/* Permit gdb of a test to trace this process even if only parents may. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
}

/* Pseudo-random, so that a core does not become smaller by compression. */
static void fill_heap(long megabytes)
{
	size_t words = ((size_t) megabytes << 20) / sizeof(*ballast);
	uint64_t x = 88172645463325252ULL;

	ballast = words ? ast_malloc(words * sizeof(*ballast)) : NULL;
	for (size_t i = 0; i < words; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		ballast[i] = x;
	}
}

/* A page that the kernel dumps as a hole; it dumps nothing for memory without a page. */
static void map_untouched(long megabytes)
{
	size_t size = (size_t) megabytes << 20;
	char *memory;

	if (!size) {
		return;
	}
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED) {
		err(1, "%ld MiB", megabytes);
	}
	*(volatile char *) memory = 1;
}

static void plan_call(const struct mode *mode)
{
	static char assignment[512];

	if (mode->app && !pbx_findapp(mode->app)) {
		errx(1, "no application %s among the modules of %s", mode->app, cfg_paths.module_dir);
	}
	default_context.app = mode->app;
	default_context.data = mode->data;
	if (!mode->data) {
		memset(assignment, 'A', sizeof(assignment) - 1);
		memcpy(assignment, "CDR=", 4);
		default_context.data = assignment;
	}
}

static void write_pid(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f)) {
		err(1, "%s", path);
	}
}

static void say_ready(void)
{
	char byte;

	if (options.pid_file) {
		write_pid(options.pid_file);
	}
	puts("ready");
	fflush(stdout);
	if (options.hold && options.mode->kind == CRASH && read(STDIN_FILENO, &byte, 1) < 0) {
		err(1, "standard input");
	}
}

static FRAME int monitor_sig_flags(void *unused)
{
	while (poll(unused, 0, -1) < 0 && errno == EINTR) {
	}
	return 0;
}

static FRAME int asterisk_daemon(const char *runuser, const char *rungroup)
{
	int expected = options.threads;
	/* A pointer into a module without a frame, unless that module crashes. */
	ast_app_execute music_on_hold;

	gettimeofday(&ast_startuptime, NULL);
	ast_lastreloadtime = channel.creationtime = ast_startuptime;
	ast_register_application("Hangup", pbx_builtin_hangup);
	ast_register_application("Set", pbx_builtin_setvar);
	load_modules();
	music_on_hold = pbx_findapp("StartMusicOnHold") ? pbx_findapp("StartMusicOnHold")->execute : NULL;
	plan_call(options.mode);
	fill_heap(options.megabytes);
	map_untouched(options.untouched);

	start_idle_threads(options.threads);
	if (options.mode->kind == CRASH) {
		ast_pthread_create_stack(pbx_thread, &channel, "pbx_thread", options.stack);
		expected++;
	} else if (options.mode->kind == DEADLOCK) {
		ast_pthread_create_stack(bridge_channel_thread, &channel, "bridge_channel_thread", AST_STACKSIZE);
		ast_pthread_create_stack(channel_bridge_thread, &channel, "channel_bridge_thread", AST_STACKSIZE);
		expected += 2;
	}
	await_count(&place.arrived, expected);
	if (options.mode->kind == DEADLOCK) {
		open_gate();
		await_count(&place.departed, 2);
	}
	await_others_asleep();
	say_ready();
	if (options.mode->kind == CRASH) {
		open_gate();
	}
	monitor_sig_flags(NULL);
	return !runuser || !rungroup || !music_on_hold;
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	allow_core();
	return asterisk_daemon("asterisk", "asterisk");
}
