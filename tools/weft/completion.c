// SPDX-License-Identifier: Apache-2.0
/*
 * weft completion bash: the script is made from the tables, so that it cannot lag behind them;
 * `make install` puts it where bash looks.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

static size_t first_word(const struct cmd *c)
{
	return strcspn(c->name, " ");
}

static bool is_first_of_group(const struct cmd *cmd)
{
	for (const struct cmd *c = cmd_table(); c != cmd; c++)
		if (first_word(c) == first_word(cmd) &&
		    strncmp(c->name, cmd->name, first_word(c)) == 0)
			return false;
	return true;
}

static void print_words(void)
{
	const char *blank = "";

	for (const struct cmd *c = cmd_table(); c->name; c++) {
		if (!is_first_of_group(c))
			continue;
		printf("%s%.*s", blank, (int)first_word(c), c->name);
		blank = " ";
	}
}

static void print_options(const struct cmd *cmd)
{
	const char *blank = "";

	for (const struct opt *o = opt_table(); o->name; o++) {
		if (cmd ? !opt_allowed(o, cmd) : !o->global)
			continue;
		printf("%s%s", blank, o->name);
		blank = " ";
	}
}

/* a|b|c as words; nothing for placeholders like NAME. */
static void print_choices(const char *args)
{
	if (!args || strpbrk(args, "ABCDEFGHIJKLMNOPQRSTUVWXYZ[."))
		return;
	for (; *args; args++)
		putchar(*args == '|' ? ' ' : *args);
}

static void print_group_case(const struct cmd *first)
{
	size_t n = first_word(first);
	const char *blank = "";

	printf("\t%.*s)\n\t\twords=\"", (int)n, first->name);
	for (const struct cmd *c = first; c->name; c++) {
		if (first_word(c) != n || strncmp(c->name, first->name, n) != 0)
			continue;
		printf("%s%s", blank, c->name + n + (c->name[n] == ' '));
		blank = " ";
	}
	printf("\" ;;\n");
}

static void print_cases(void)
{
	printf("\tcase \"$cmd\" in\n\t'') words=\"");
	print_words();
	printf("\"; opts=\"");
	print_options(NULL);
	printf("\" ;;\n");
	for (const struct cmd *c = cmd_table(); c->name; c++) {
		if (strchr(c->name, ' ') && is_first_of_group(c))
			print_group_case(c);
		printf("\t'%s')\n\t\twords=\"", c->name);
		if (c->fn == cmd_help)
			print_words();
		else
			print_choices(c->args);
		printf("\"; opts=\"");
		if (!c->raw)
			print_options(c);
		printf("\" ;;\n");
	}
	printf("\tesac\n");
}

/* Values of the option in front of the cursor. */
static void print_values(void)
{
	printf("\tcase \"$prev\" in\n");
	for (const struct opt *o = opt_table(); o->name; o++) {
		if (!o->arg)
			continue;
		printf("\t%s", o->name);
		if (o->letter)
			printf("|-%c", o->letter);
		if (o->values)
			printf(") COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")); return ;;\n",
			       o->values);
		else if (strcmp(o->name, "--node") == 0)
			printf(") COMPREPLY=($(compgen -W \"$(ls /run/weft/lab 2>/dev/null)\" -- "
			       "\"$cur\")); return ;;\n");
		else if (strcmp(o->arg, "PATH") == 0 || strcmp(o->arg, "DIR") == 0)
			printf(") COMPREPLY=($(compgen -f -- \"$cur\")); compopt -o filenames; "
			       "return ;;\n");
		else
			printf(") return ;;\n");
	}
	printf("\tesac\n");
}

/* Finds the command: the words that are neither options nor their values. */
static void print_scan(void)
{
	printf("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase \"${COMP_WORDS[i]}\" in\n\t\t");
	for (const struct opt *o = opt_table(); o->name; o++) {
		if (!o->arg)
			continue;
		printf("%s%s", o == opt_table() ? "" : "|", o->name);
		if (o->letter)
			printf("|-%c", o->letter);
	}
	printf(") ((i++)) ;;\n"
	       "\t\t-*) ;;\n"
	       "\t\t*) [[ $n -lt 2 ]] && cmd=\"${cmd:+$cmd }${COMP_WORDS[i]}\"; ((n++)) ;;\n"
	       "\t\tesac\n"
	       "\tdone\n");
}

int cmd_completion(const struct cli *c)
{
	if (strcmp(c->args[0], "bash") != 0) {
		fprintf(stderr, "weft: %s: there is completion for bash only\n", c->args[0]);
		return EXIT_USAGE;
	}
	printf("# SPDX-License-Identifier: Apache-2.0\n"
	       "# Made by `weft completion bash`.\n\n"
	       "_weft()\n{\n"
	       "\tlocal cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
	       "\tlocal cmd=\"\" words=\"\" opts=\"\" i n=0\n\n");
	print_values();
	print_scan();
	print_cases();
	printf("\t[[ $cur == -* ]] && words=\"$opts\"\n"
	       "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	       "}\n"
	       "complete -F _weft weft\n");
	return EXIT_DONE;
}
