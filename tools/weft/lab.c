// SPDX-License-Identifier: Apache-2.0
/*
 * `weft lab`: reads the command line and calls a subcommand of lab_cmd.c or lab_status.c.
 * Called by main.c; one thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "io/netns.h"
#include "lab.h"
#include "lab_cmd.h"
#include "lab_env.h"

static const struct sub {
	const char *name, *args, *help;
	int min_args;
	int (*run)(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
} subs[] = {
	{ "up", "[FILE]", "make a lab from FILE (- is stdin) or the default one", 0, lab_cmd_up },
	{ "status", "", "nodes and pods with what lives in them (-o json)", 0, lab_cmd_status },
	{ "exec", "POD -- CMD...", "run CMD in a pod, or in @NODE or @fabric", 2, lab_cmd_exec },
	{ "logs", "NODE|POD", "log of weftd, or output of a pod (-f follows)", 1, lab_cmd_logs },
	{ "mesh", "", "print the mesh file", 0, lab_cmd_mesh },
	{ "apply", "FILE", "new mesh file from a changed lab file", 1, lab_cmd_apply },
	{ "kill", "NODE", "kill -9 weftd", 1, lab_cmd_kill },
	{ "stop", "NODE", "end weftd in an orderly way", 1, lab_cmd_stop },
	{ "start", "NODE", "start weftd again", 1, lab_cmd_start },
	{ "default", "", "print the lab file of the default lab", 0, lab_cmd_default },
	{ "down", "", "remove the lab, or what is left of one", 0, lab_cmd_down },
};

static const struct option options[] = {
	{ "name", required_argument, NULL, 'n' },
	{ "output", required_argument, NULL, 'o' },
	{ "weftd", required_argument, NULL, 'w' },
	{ "no-weftd", no_argument, NULL, 'N' }, /* not in the help: for plain baselines */
	{ "follow", no_argument, NULL, 'f' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static int usage(FILE *out)
{
	fputs("usage: weft lab [--name NAME] COMMAND\n\n"
	      "Several nodes on this machine: network namespaces, control groups, one weftd each.\n\n",
	      out);
	for (size_t i = 0; i < ARRAY_LEN(subs); i++)
		fprintf(out, "  %-8s %-15s %s\n", subs[i].name, subs[i].args, subs[i].help);
	fputs("\n  --name NAME    prefix of everything, for labs side by side (weft)\n"
	      "  --weftd PATH   the daemon (up: next to this program)\n"
	      "  -o json        status for programs\n", out);
	return out == stdout ? 0 : 2;
}

static const struct sub *sub_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(subs); i++) {
		if (strcmp(subs[i].name, name) == 0)
			return &subs[i];
	}
	return NULL;
}

/* Options up to the first other word; 0, or the exit code + 1. */
static int options_read(int argc, char **argv, const char **name, struct lab_args *a)
{
	int c;

	optind = 0; /* main.c has used getopt already */
	while ((c = getopt_long(argc, argv, "+n:o:fh", options, NULL)) != -1) {
		if (c == 'n')
			*name = optarg;
		else if (c == 'o' && strcmp(optarg, "json") == 0)
			a->json = true;
		else if (c == 'w')
			a->weftd = optarg;
		else if (c == 'N')
			a->no_weftd = true;
		else if (c == 'f')
			a->follow = true;
		else if (c == 'h')
			return usage(stdout) + 1;
		else if (c != 'o' || strcmp(optarg, "text") != 0)
			return usage(stderr) + 1;
	}
	a->argc = argc - optind;
	a->argv = argv + optind;
	return 0;
}

/* Options may also stand behind the words, except for exec, whose words belong to CMD. */
static int words_read(const struct sub *sub, const char **name, struct lab_args *a)
{
	int argc = a->argc, n = 0, r;
	char **argv = a->argv;

	r = options_read(argc, argv, name, a);
	if (r || sub->run == lab_cmd_exec)
		return r;
	/* one word at most takes part; what follows it are options again */
	while (a->argc > 1) {
		argv[++n] = a->argv[0];
		r = options_read(a->argc, a->argv, name, a);
		if (r)
			return r;
	}
	if (a->argc == 1)
		argv[++n] = a->argv[0];
	a->argc = n;
	a->argv = argv + 1;
	return 0;
}

static int sub_run(const struct sub *sub, const char *name, const struct lab_args *a)
{
	struct errbuf err = { 0 };
	struct lab_env env;
	int r = env_init(&env, name, &err);

	if (r == 0 && sub->run != lab_cmd_default)
		r = env_check_root(&err);
	if (r == 0)
		r = netns_home_open();
	if (r == 0)
		r = sub->run(&env, a, &err);
	env_fini(&env);
	if (r < 0)
		fprintf(stderr, "weft: %s\n", err.text[0] ? err.text : strerror(-r));
	return r < 0 ? 1 : 0;
}

int cmd_lab(int argc, char **argv)
{
	const char *name = "weft";
	struct lab_args a = { 0 };
	const struct sub *sub;
	int r = options_read(argc, argv, &name, &a);

	if (r)
		return r - 1;
	sub = a.argc > 0 ? sub_find(a.argv[0]) : NULL;
	if (!sub) {
		if (a.argc > 0)
			fprintf(stderr, "weft: lab: there is no command \"%s\"\n\n", a.argv[0]);
		return usage(stderr);
	}
	r = words_read(sub, &name, &a);
	if (r)
		return r - 1;
	if (a.argc < sub->min_args) {
		fprintf(stderr, "usage: weft lab %s %s\n", sub->name, sub->args);
		return 2;
	}
	return sub_run(sub, name, &a);
}
