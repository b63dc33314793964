// SPDX-License-Identifier: Apache-2.0
/*
 * weft policy test: a table of connections and what must become of them, for the checks that
 * run before a change of policies goes out. One line per case; who fails is explained.
 */
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "feed/cases.h"
#include "out.h"

struct run {
	const struct cli *c;
	const char *path; /* of the table */
	struct ask ask;
	struct feed_cases cases;
	json_t *rows; /* with -o json */
	size_t passed, failed;
};

/* "" when the story is what the case expects, else what is different. */
static void compare(const struct feed_case *want, const json_t *story, char *buf, size_t cap)
{
	const char *verdict = get_text(story, "verdict"), *policy = get_text(story, "policy");
	const char *expect = want->allow ? "allow" : "deny";

	buf[0] = '\0';
	if (strcmp(verdict, expect) != 0)
		snprintf(buf, cap, "expected %s, got %s", expect, verdict);
	else if (want->policy && strcmp(want->policy, policy) != 0)
		snprintf(buf, cap, "expected %s by %s, but %s decided", expect,
			 want->policy[0] ? want->policy : "no policy", policy[0] ? policy : "no policy");
	else if (get_true(story, "kernel_disagrees"))
		snprintf(buf, cap, "the kernel's cached verdict is another one: a bug of weftd");
}

static void print_case(const struct run *run, const struct feed_case *fc, bool ok, const char *why)
{
	bool colours = out_has_colours();

	fputs(out_colour(colours, ok ? COLOUR_GREEN : COLOUR_RED), stdout);
	fputs(ok ? "ok    " : "FAIL  ", stdout);
	fputs(out_colour(colours, COLOUR_NONE), stdout);
	out_safe(stdout, run->path);
	printf(":%d: ", fc->line);
	if (fc->name) {
		out_safe(stdout, fc->name);
		printf(": ");
	}
	out_safe(stdout, fc->from);
	printf(" to ");
	out_safe(stdout, fc->to);
	if (fc->port)
		printf(" port %u", fc->port);
	printf(": ");
	out_safe(stdout, ok ? fc->allow ? "allow" : "deny" : why);
	putchar('\n');
}

static void add_row(const struct run *run, const struct feed_case *fc, const char *why,
		    const json_t *story)
{
	json_t *row = json_pack("{s:i, s:s, s:s, s:s, s:i, s:s, s:s?, s:b, s:s}", "line", fc->line,
				"name", fc->name ? fc->name : "", "from", fc->from, "to", fc->to,
				"port", (int)fc->port, "expect", fc->allow ? "allow" : "deny",
				"policy", fc->policy, "passed", !why[0], "error", why);

	json_object_set_new(row, "verdict", json_string(story ? get_text(story, "verdict") : ""));
	json_object_set_new(row, "decided_by", json_string(story ? get_text(story, "policy") : ""));
	json_object_set_new(row, "sentence", json_string(story ? get_text(story, "sentence") : ""));
	if (why[0] && story)
		json_object_set(row, "why", (json_t *)story);
	json_array_append_new(run->rows, row);
}

static int run_case(struct run *run, const struct feed_case *fc)
{
	_json_ json_t *story = NULL;
	struct errbuf err = { 0 };
	int r = ask_why(&run->ask, fc->from, fc->to, fc->port, &err, &story);

	if (r != EXIT_DONE && r != EXIT_USAGE) {
		fprintf(stderr, "weft: ");
		out_safe(stderr, err.text[0] ? err.text : "no reply");
		fprintf(stderr, "\n");
		return r;
	}
	if (story)
		compare(fc, story, err.text, sizeof(err.text));
	if (err.text[0])
		run->failed++;
	else
		run->passed++;
	if (run->c->json) {
		add_row(run, fc, err.text, story);
		return EXIT_DONE;
	}
	print_case(run, fc, !err.text[0], err.text);
	if (err.text[0] && story)
		why_print(story, 6);
	return EXIT_DONE;
}

static void print_summary(struct run *run)
{
	_json_ json_t *all = NULL;

	if (!run->c->json) {
		printf("%zu passed, %zu failed\n", run->passed, run->failed);
		return;
	}
	all = json_pack("{s:b, s:s, s:I, s:I, s:O}", "ok", 1, "file", run->path, "passed",
			(json_int_t)run->passed, "failed", (json_int_t)run->failed, "cases",
			run->rows);
	print_json(all);
}

static void run_fini(struct run *run)
{
	ask_fini(&run->ask);
	feed_cases_fini(&run->cases);
	json_decref(run->rows);
}

int cmd_policy_test(const struct cli *c)
{
	cleanup_with(run_fini) struct run run = { .c = c, .path = c->args[0] };
	struct errbuf err = { 0 };
	int r;

	run.rows = json_array();
	if (feed_cases_load(run.path, &err, &run.cases) < 0) {
		fprintf(stderr, "weft: ");
		out_safe(stderr, err.text[0] ? err.text : run.path);
		fprintf(stderr, "\n");
		return EXIT_USAGE;
	}
	r = ask_open(c, &run.ask);
	for (size_t i = 0; i < run.cases.n && r == EXIT_DONE; i++)
		r = run_case(&run, &run.cases.v[i]);
	if (r != EXIT_DONE)
		return r;
	print_summary(&run);
	return run.failed ? EXIT_FAILED : EXIT_DONE;
}
