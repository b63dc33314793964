// SPDX-License-Identifier: Apache-2.0
/* weft help, weft version: from the tables. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "weft/abi.h"
#if __has_include("version.h")
#include "version.h"
#endif

#ifndef WEFT_VERSION
#define WEFT_VERSION "unknown"
#endif

#define HELP_WIDTH 80

static void print_option(const struct opt *o)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s%s%s%s", o->letter ? '-' : ' ',
		 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name, o->arg ? " " : "",
		 o->arg ? o->arg : "");
	printf("  %-30s %s\n", left, o->help);
}

/* Paragraphs of the tables have no line breaks of their own. */
static void print_wrapped(const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t n = strcspn(text, " \n");

		if (column && column + 1 + n > HELP_WIDTH) {
			putchar('\n');
			column = 0;
		}
		column += (size_t)printf("%s%.*s", column ? " " : "", (int)n, text);
		text += n;
		if (*text == '\n') {
			putchar('\n');
			column = 0;
		}
		text += *text != '\0';
	}
	putchar('\n');
}

static void print_command(const struct cmd *cmd)
{
	printf("usage: weft %s%s%s\n\n", cmd->name, cmd->args ? " " : "", cmd->args ? cmd->args : "");
	print_wrapped(cmd->help);
	if (cmd->detail) {
		putchar('\n');
		print_wrapped(cmd->detail);
	}
	if (cmd->raw)
		return;
	printf("\nOptions:\n");
	for (const struct opt *o = opt_table(); o->name; o++)
		if (opt_allowed(o, cmd))
			print_option(o);
}

static void print_all(void)
{
	printf("usage: weft [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n");
	for (const struct cmd *c = cmd_table(); c->name; c++)
		printf("  %-14s %s\n", c->name, c->help);
	printf("\nOptions:\n");
	for (const struct opt *o = opt_table(); o->name; o++)
		if (o->global)
			print_option(o);
	printf("\nWithout --socket and --node the daemon of this machine is asked; where there "
	       "is none,\nall nodes of the lab are. `weft help COMMAND` tells more.\n"
	       "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the daemon cannot be reached.\n");
}

/* "pod" alone means all commands that start with that word. */
static bool print_group(const char *word)
{
	size_t n = strlen(word);
	bool found = false;

	for (const struct cmd *c = cmd_table(); c->name; c++) {
		if (strncmp(c->name, word, n) != 0 || c->name[n] != ' ')
			continue;
		if (found)
			putchar('\n');
		print_command(c);
		found = true;
	}
	return found;
}

int cmd_help(const struct cli *c)
{
	const struct cmd *cmd;

	if (c->n_args == 0) {
		print_all();
		return EXIT_DONE;
	}
	for (cmd = cmd_table(); cmd->name; cmd++)
		if (c->n_args == 1 && strcmp(cmd->name, c->args[0]) == 0)
			break;
	if (!cmd->name)
		cmd = cmd_find(c->args[0], c->n_args > 1 ? c->args[1] : NULL);
	if (cmd) {
		print_command(cmd);
		return EXIT_DONE;
	}
	if (c->n_args == 1 && print_group(c->args[0]))
		return EXIT_DONE;
	fprintf(stderr, "weft: %s: no such command; `weft help` lists them\n", c->args[0]);
	return EXIT_USAGE;
}

int cmd_version(const struct cli *c)
{
	if (c->json)
		printf("{\"ok\": true, \"version\": \"%s\", \"abi\": %d}\n", WEFT_VERSION,
		       WEFT_ABI_VERSION);
	else
		printf("weft %s (ABI %d)\n", WEFT_VERSION, WEFT_ABI_VERSION);
	return EXIT_DONE;
}
