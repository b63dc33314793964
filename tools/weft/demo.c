// SPDX-License-Identifier: Apache-2.0
/*
 * `weft demo` (and `make run`): the default lab with a live picture of it, until Ctrl-C or the
 * end of --duration; then a summary, and everything is removed. Called by main.c; one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "demo.h"
#include "io/netns.h"
#include "lab.h"
#include "lab_env.h"
#include "lab_spec.h"
#include "lab_up.h"

#define LOOK_MS 1000
#define PLAIN_LOOKS 3 /* a snapshot every third look where stdout is no terminal */

struct demo_args {
	const char *name;
	struct lab_opts lab;
	uint32_t duration_s; /* 0: until a signal */
};

static const struct option options[] = {
	{ "duration", required_argument, NULL, 'd' },
	{ "file", required_argument, NULL, 'f' },
	{ "name", required_argument, NULL, 'n' },
	{ "weftd", required_argument, NULL, 'w' },
	{ "no-weftd", no_argument, NULL, 'N' }, /* not in the help: to try the picture alone */
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int usage(FILE *out)
{
	fputs("usage: weft demo [--duration SECONDS] [--file LAB] [--name NAME] [--weftd PATH]\n\n"
	      "Makes a lab of two nodes with traffic, shows what happens in it, and removes it at\n"
	      "the end: by Ctrl-C, or after --duration.\n", out);
	return out == stdout ? 0 : 2;
}

static int duration_parse(const char *text, uint32_t *ret)
{
	uint64_t ns;

	/* 20, or with a unit: 20s, 3m */
	if (str_to_u32(str_of(text), ret) == 0)
		return 0;
	if (str_to_duration_ns(str_of(text), &ns) < 0 || ns / NS_PER_S > UINT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)(ns / NS_PER_S);
	return 0;
}

/* 0, or the exit code + 1. */
static int args_read(int argc, char **argv, struct demo_args *a)
{
	int c;

	optind = 0; /* main.c has used getopt already */
	while ((c = getopt_long(argc, argv, "d:f:h", options, NULL)) != -1) {
		if (c == 'f')
			a->lab.file = optarg;
		else if (c == 'n')
			a->name = optarg;
		else if (c == 'w')
			a->lab.weftd = optarg;
		else if (c == 'N')
			a->lab.no_weftd = true;
		else if (c == 'h')
			return usage(stdout) + 1;
		else if (c != 'd' || duration_parse(optarg, &a->duration_s) < 0)
			return usage(stderr) + 1;
	}
	return optind == argc ? 0 : usage(stderr) + 1;
}

/* Until the time is over or a signal came; the lab may vanish under us by `weft lab down`. */
static int demo_watch(struct demo *d, uint32_t duration_s)
{
	uint64_t end = d->start_ns + duration_s * NS_PER_S;
	char path[LAB_PATH_MAX];

	env_file(d->env, path, "state.json");
	for (unsigned int i = 0;; i++) {
		uint64_t now = clock_mono_ns();
		uint64_t left_ms = duration_s ? (end - now) / NS_PER_MS : LOOK_MS;

		if (duration_s && now >= end)
			return 0;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		demo_look(d);
		if (d->screen || i % PLAIN_LOOKS == 0)
			demo_show(d);
		if (access(path, F_OK) < 0)
			return -ENOENT;
		if (env_wait(d->env, (int)(left_ms < LOOK_MS ? left_ms + 1 : LOOK_MS)) < 0)
			return 0;
	}
}

static int demo_show_all(struct lab_env *e, const struct demo_args *a, const struct lab_spec *s,
			 struct errbuf *err)
{
	struct demo d;
	int r = demo_init(&d, e, s);

	if (r == 0) {
		demo_screen_begin(&d);
		r = demo_watch(&d, a->duration_s);
		demo_screen_end(&d);
		if (r < 0)
			errbuf_set(err, r, "the lab was taken down by somebody else");
		else
			demo_look(&d);
		demo_summary(&d, stdout);
	}
	demo_fini(&d);
	return r;
}

static int demo_run(struct lab_env *e, const struct demo_args *a, struct errbuf *err)
{
	struct lab_spec spec = { 0 };
	struct errbuf down = { 0 };
	int r = lab_load(a->lab.file, NULL, err, &spec);
	int q;

	if (r < 0)
		return r;
	r = env_catch_signals(e);
	if (r == 0)
		r = env_lock(e, 0, err);
	if (r == 0) {
		r = lab_up(e, &a->lab, &spec, err);
		env_unlock(e);
	}
	if (r == 0) {
		r = demo_show_all(e, a, &spec, err);
		env_ignore_signals(e);
		q = env_lock(e, 10, &down);
		if (q == 0)
			q = lab_down(e, stdout, &down);
		env_unlock(e);
		if (q < 0)
			r = errbuf_set(err, q, "%s", down.text);
	}
	lab_spec_fini(&spec);
	return r;
}

int cmd_demo(int argc, char **argv)
{
	struct demo_args a = { .name = "weft", .lab = { .progress = stdout } };
	struct errbuf err = { 0 };
	struct lab_env env;
	int r = args_read(argc, argv, &a);

	if (r)
		return r - 1;
	setvbuf(stdout, NULL, isatty(STDOUT_FILENO) ? _IOFBF : _IOLBF, BUFSIZ);
	r = env_init(&env, a.name, &err);
	if (r == 0)
		r = env_check_root(&err);
	if (r == 0)
		r = netns_home_open();
	if (r == 0)
		r = demo_run(&env, &a, &err);
	env_fini(&env);
	fflush(stdout);
	if (r < 0)
		fprintf(stderr, "weft: %s\n", err.text[0] ? err.text : strerror(-r));
	return r < 0 ? 1 : 0;
}
