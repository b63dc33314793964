// SPDX-License-Identifier: Apache-2.0
/*
 * weft check: can Weft work here, and does it? Everything is tried, nothing is told from a version.
 * With --pre only what can be known without a daemon.
 */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "client.h"
#include "kern/probe.h"
#include "out.h"

static const char *const state_names[] = {
	[CHECK_OK] = "ok",     [CHECK_FALLBACK] = "fallback", [CHECK_OPTIONAL] = "optional",
	[CHECK_WARN] = "warn", [CHECK_FAIL] = "FAIL",
};
static const enum colour state_colours[] = {
	[CHECK_OK] = COLOUR_GREEN,    [CHECK_FALLBACK] = COLOUR_YELLOW,
	[CHECK_OPTIONAL] = COLOUR_DIM, [CHECK_WARN] = COLOUR_YELLOW,
	[CHECK_FAIL] = COLOUR_RED,
};
_Static_assert(ARRAY_LEN(state_names) == CHECK_STATE_MAX, "name every state");
_Static_assert(ARRAY_LEN(state_colours) == CHECK_STATE_MAX, "colour every state");

void check_line(struct check *c, const char *name, enum check_state state, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* Names of programs and rules are of strangers; JSON wants UTF-8. */
	for (char *s = text; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = *s == '\n' || *s == '\t' ? ' ' : '?';
	c->failed |= state == CHECK_FAIL;
	json_array_append_new(c->list,
			      json_pack("{s:s, s:s, s:s, s:s}", "group", c->group, "name", name,
					"state", state == CHECK_FAIL ? "fail" : state_names[state],
					"text", text));
}

static void on_probe(void *arg, const struct probe_row *row)
{
	static const enum check_state states[] = {
		[PROBE_OK] = CHECK_OK,
		[PROBE_FALLBACK] = CHECK_FALLBACK,
		[PROBE_OPTIONAL] = CHECK_OPTIONAL,
		[PROBE_MISSING] = CHECK_FAIL,
	};

	_Static_assert(ARRAY_LEN(states) == PROBE_STATE_MAX, "map every state");
	check_line(arg, row->name, states[row->state], "%s", row->text);
}

static void check_kernel(struct check *c)
{
	int r;

	c->group = "kernel";
	r = probe_all(on_probe, c);
	if (r < 0)
		check_line(c, "probes", CHECK_FAIL, "they did not come to their end: %s",
			   strerror(-r));
}

static void daemon_says(struct check *c, const json_t *status)
{
	const json_t *mesh = json_object_get(status, "mesh"), *one;
	const json_t *certs = json_object_get(status, "certificates");
	const json_t *pins = json_object_get(status, "pins");
	const json_t *pending = json_object_get(status, "pending");
	size_t i;

	check_line(c, "running", CHECK_OK, "weftd %s on node %s", get_text(status, "version"),
		   get_text(status, "node"));
	json_array_foreach(pending, i, one)
		check_line(c, "ready", CHECK_FAIL, "waits for %s",
			   json_string_value(one) ? json_string_value(one) : "?");
	if (json_array_size(pending) == 0)
		check_line(c, "ready", CHECK_OK, "ready");
	if (get_text(mesh, "last_error")[0])
		check_line(c, "mesh_file", CHECK_FAIL, "the last good one is in force: %s",
			   get_text(mesh, "last_error"));
	else
		check_line(c, "mesh_file", CHECK_OK, "%s, %.0f workloads", get_text(mesh, "path"),
			   get_num(mesh, "workloads"));
	if (get_text(pins, "error")[0])
		check_line(c, "pins", CHECK_FAIL, "%s", get_text(pins, "error"));
	else
		check_line(c, "pins", CHECK_OK, "%s", get_text(pins, "path"));
	if (get_num(certs, "failed") > 0)
		check_line(c, "certificates", CHECK_FAIL, "%.0f failed: weft certs says why",
			   get_num(certs, "failed"));
	else
		check_line(c, "certificates", CHECK_OK, "%.0f ready, %.0f pending",
			   get_num(certs, "ready"), get_num(certs, "pending"));
}

/* EXIT_UNREACHABLE if there is none. */
static int check_daemon(struct check *c, const struct cli *cli)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	_json_ json_t *request = json_pack("{s:s}", "cmd", "status");
	int r = targets_find(cli, &ts);

	c->group = "daemon";
	if (r == EXIT_DONE)
		r = targets_ask(&ts, request);
	vec_for_each(t, &ts.v)
		if (t->reply)
			daemon_says(c, t->reply);
	if (r != EXIT_DONE)
		check_line(c, "running", CHECK_FAIL,
			   "weftd does not answer; before it is installed, use weft check --pre");
	return r;
}

static void print_text(const struct check *c, const char *release)
{
	const bool colours = out_has_colours();
	const json_t *one;
	const char *group = "";
	size_t i;

	json_array_foreach(c->list, i, one) {
		const char *state = get_text(one, "state");
		size_t s = 0;

		if (strcmp(group, get_text(one, "group")) != 0) {
			group = get_text(one, "group");
			printf("%s%s%s%s%s\n", i ? "\n" : "", out_colour(colours, COLOUR_BOLD),
			       group, strcmp(group, "kernel") == 0 ? " " : "",
			       strcmp(group, "kernel") == 0 ? release : "");
			fputs(out_colour(colours, COLOUR_NONE), stdout);
		}
		while (s + 1 < CHECK_STATE_MAX && strcasecmp(state_names[s], state) != 0)
			s++;
		printf("  %s%-8s%s  %-14s  ", out_colour(colours, state_colours[s]), state_names[s],
		       out_colour(colours, COLOUR_NONE), get_text(one, "name"));
		out_safe(stdout, get_text(one, "text"));
		putchar('\n');
	}
}

int cmd_check(const struct cli *cli)
{
	struct check c = { .list = json_array() };
	_json_ json_t *list = c.list, *answer = NULL;
	struct utsname u;
	int r = EXIT_DONE;

	if (geteuid() != 0) {
		fprintf(stderr, "weft: check tries what weftd does, which needs root\n");
		return EXIT_FAILED;
	}
	uname(&u);
	check_kernel(&c);
	check_machine(&c);
	check_others(&c);
	if (!cli->pre)
		r = check_daemon(&c, cli);
	if (!cli->json) {
		print_text(&c, u.release);
	} else {
		answer = json_pack("{s:b, s:s, s:O}", "ok", !c.failed, "kernel", u.release, "checks",
				   c.list);
		print_json(answer);
	}
	return r != EXIT_DONE ? r : c.failed ? EXIT_FAILED : EXIT_DONE;
}
