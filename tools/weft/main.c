// SPDX-License-Identifier: Apache-2.0
/*
 * weft: the command line of the mesh. Splits the arguments into a command of the table, its
 * options and its arguments, and runs it. Stdout carries nothing but the answer. Exit codes:
 * 0 done, 1 failed, 2 wrong usage, 3 the daemon cannot be reached.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

struct parse {
	struct cli cli;
	const struct opt *seen[32]; /* options in use, checked once the command is known */
	size_t n_seen;
	const char *words[2 + CLI_ARGS_MAX]; /* what is no option */
	size_t n_words;
	bool options_end; /* after "--" */
};

static int usage(const char *what, const char *arg)
{
	fprintf(stderr, "weft: %s%s%s; `weft help` lists the commands\n", arg, arg[0] ? ": " : "",
		what);
	return EXIT_USAGE;
}

static int option_store(struct cli *c, const struct opt *o, const char *value)
{
	const struct {
		const char *name;
		const char **to;
	} texts[] = {
		{ "--socket", &c->socket }, { "--pod", &c->pod },
		{ "--netns", &c->netns },   { "--uid", &c->uid },
		{ "--dir", &c->dir },       { "--trust-domain", &c->trust_domain },
		{ "--mesh", &c->mesh },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(o->name, texts[i].name) == 0) {
			*texts[i].to = value;
			return EXIT_DONE;
		}
	}
	if (strcmp(o->name, "--node") == 0) {
		if (c->n_nodes == CLI_NODES_MAX)
			return usage("too many nodes", value);
		c->nodes[c->n_nodes++] = value;
	} else if (strcmp(o->name, "--output") == 0) {
		c->json = strcmp(value, "json") == 0;
		if (!c->json && strcmp(value, "text") != 0)
			return usage("the output is text or json", value);
	} else if (strcmp(o->name, "--watch") == 0) {
		c->watch = true;
	} else if (strcmp(o->name, "--pre") == 0) {
		c->pre = true;
	} else if (strcmp(o->name, "--follow") == 0) {
		c->follow = true;
	} else {
		c->help = true;
	}
	return EXIT_DONE;
}

/* --name, --name=value, -n, -nvalue */
static const struct opt *option_find(const char *arg, const char **ret_value)
{
	size_t n = strcspn(arg, "=");

	for (const struct opt *o = opt_table(); o->name; o++) {
		if (arg[1] != '-' && o->letter && arg[1] == o->letter) {
			*ret_value = arg[2] ? arg + 2 : NULL;
			return o;
		}
		if (strlen(o->name) == n && strncmp(o->name, arg, n) == 0) {
			*ret_value = arg[n] ? arg + n + 1 : NULL;
			return o;
		}
	}
	return NULL;
}

/* Gives how many arguments were used up, or a negative exit code. */
static int option_read(struct parse *p, char **argv)
{
	const char *value = NULL;
	const struct opt *o = option_find(argv[0], &value);
	int used = 1, r;

	if (!o)
		return -usage("no such option", argv[0]);
	if (!o->arg && value)
		return -usage("this option takes no value", argv[0]);
	if (o->arg && !value) {
		value = argv[1];
		used = 2;
	}
	if (o->arg && !value)
		return -usage("a value is missing", argv[0]);
	if (p->n_seen == sizeof(p->seen) / sizeof(p->seen[0]))
		return -usage("too many options", argv[0]);
	p->seen[p->n_seen++] = o;
	r = option_store(&p->cli, o, value);
	return r == EXIT_DONE ? used : -r;
}

static bool is_raw(const struct parse *p)
{
	const struct cmd *cmd = p->n_words == 1 ? cmd_find(p->words[0], NULL) : NULL;

	return cmd && cmd->raw;
}

/* Stops behind the word of a command that reads its own arguments; *ret_rest is that word. */
static int parse_args(struct parse *p, int argc, char **argv, int *ret_rest)
{
	int i = 1;

	while (i < argc) {
		int used = 1;

		if (!p->options_end && strcmp(argv[i], "--") == 0) {
			p->options_end = true;
		} else if (!p->options_end && argv[i][0] == '-' && argv[i][1]) {
			used = option_read(p, argv + i);
			if (used < 0)
				return -used;
		} else {
			if (p->n_words == sizeof(p->words) / sizeof(p->words[0]))
				return usage("too many arguments", argv[i]);
			p->words[p->n_words++] = argv[i];
			if (is_raw(p))
				break;
		}
		i += used;
	}
	*ret_rest = i;
	return EXIT_DONE;
}

/* Of `weft pod` and the like: the commands that start with this word. */
static int usage_of_group(const char *word)
{
	size_t n = strlen(word), found = 0;

	for (const struct cmd *c = cmd_table(); c->name; c++) {
		if (strncmp(c->name, word, n) != 0 || c->name[n] != ' ')
			continue;
		fprintf(stderr, "%s weft %s %s\n", found++ ? "      " : "usage:", c->name,
			c->args ? c->args : "");
	}
	return found ? EXIT_USAGE : usage("no such command", word);
}

static int help_about(const struct cmd *cmd)
{
	struct cli c = { .args = { cmd->name }, .n_args = 1 };

	return cmd_help(&c);
}

static int check_usage(struct parse *p, const struct cmd *cmd)
{
	size_t n_cmd = strchr(cmd->name, ' ') ? 2 : 1;

	for (size_t i = 0; i < p->n_seen; i++)
		if (!opt_allowed(p->seen[i], cmd))
			return usage("this command does not know the option", p->seen[i]->name);
	for (size_t i = n_cmd; i < p->n_words && p->cli.n_args < CLI_ARGS_MAX; i++)
		p->cli.args[p->cli.n_args++] = p->words[i];
	if (p->cli.n_args >= cmd->min_args && p->n_words - n_cmd <= cmd->max_args)
		return EXIT_DONE;
	fprintf(stderr, "usage: weft %s %s\n", cmd->name, cmd->args ? cmd->args : "");
	return EXIT_USAGE;
}

static int run(int argc, char **argv)
{
	struct parse p = { 0 };
	const struct cmd *cmd;
	int rest = argc, r;

	r = parse_args(&p, argc, argv, &rest);
	if (r != EXIT_DONE)
		return r;
	if (p.n_words == 0) {
		if (p.cli.help)
			return cmd_help(&p.cli);
		return usage("a command is missing", "");
	}
	cmd = cmd_find(p.words[0], p.n_words > 1 ? p.words[1] : NULL);
	if (!cmd)
		return usage_of_group(p.words[0]);
	if (p.cli.help)
		return help_about(cmd);
	if (cmd->raw)
		return cmd->raw(argc - rest, argv + rest);
	r = check_usage(&p, cmd);
	if (r != EXIT_DONE)
		return r;
	if (!p.cli.socket && p.cli.n_nodes == 0 && getenv("WEFT_SOCKET"))
		p.cli.socket = getenv("WEFT_SOCKET");
	return cmd->fn(&p.cli);
}

/* A write error that nobody noticed must not look like a full answer; a reader that has seen
 * enough is no error. */
static int finish(int r)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	if (fflush(stdout) == 0 && !ferror(stdout))
		return r;
	if (poll(&out, 1, 0) > 0 && (out.revents & POLLERR))
		return r;
	fprintf(stderr, "weft: cannot write all of the answer\n");
	return r == EXIT_DONE ? EXIT_FAILED : r;
}

int main(int argc, char **argv)
{
	int r;

	/* A reader like head(1) that goes away ends the output, not the program half way. */
	signal(SIGPIPE, SIG_IGN);
	r = run(argc, argv);
	return finish(r);
}
