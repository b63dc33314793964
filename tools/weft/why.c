// SPDX-License-Identifier: Apache-2.0
/*
 * weft why: the way of one connection and the verdict, as a short story. The story comes as
 * JSON, from a daemon or from a mesh file (ask.h); this file only tells it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ask.h"
#include "out.h"

static void put(enum colour colour, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Names come from the mesh file: nothing of them reaches the terminal but text. */
static void put(enum colour colour, const char *fmt, ...)
{
	bool colours = out_has_colours() && colour != COLOUR_NONE;
	_free_ char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		return;
	}
	fputs(out_colour(colours, colour), stdout);
	out_safe(stdout, text);
	fputs(out_colour(colours, COLOUR_NONE), stdout);
}

static void line(int indent, const char *head)
{
	printf("%*s%-9s", indent, "", head);
}

static enum colour verdict_colour(const char *verdict)
{
	return strcmp(verdict, "allow") == 0 ? COLOUR_GREEN : COLOUR_RED;
}

static void put_list(const json_t *texts)
{
	const json_t *text;
	size_t i;

	json_array_foreach(texts, i, text)
		put(COLOUR_NONE, "%s%s", i ? ", " : "", json_string_value(text));
}

/* ---- the two ends */

static const char *enrolment(const json_t *src)
{
	if (get_true(src, "enrolled"))
		return get_true(src, "enrolled_known") ? "enrolled" : "enrolled as the mesh says";
	if (get_true(src, "enrolled_known"))
		return "NOT ENROLLED on its node";
	return "not enrolled: its protocol is TCP";
}

static void print_source(const json_t *src, int indent)
{
	const char *identity = get_text(src, "identity"), *node = get_text(src, "node");

	line(indent, "From");
	if (strcmp(get_text(src, "kind"), "outside") == 0) {
		put_list(json_object_get(src, "ips"));
		if (get_true(src, "example"))
			put(COLOUR_NONE, " (standing for any address that the mesh does not know)");
		else
			put(COLOUR_NONE, ", an address that the mesh does not know");
	} else {
		put(COLOUR_BOLD, "%s/%s", get_text(src, "namespace"), get_text(src, "name"));
		put(COLOUR_NONE, "%s%s, %s, ", node[0] ? " on " : "", node, enrolment(src));
		put_list(json_object_get(src, "ips"));
	}
	printf("\n");
	line(indent, "");
	if (identity[0])
		put(COLOUR_NONE, "identity %s", identity);
	else
		put(COLOUR_NONE, "no identity: what it sends is plaintext");
	printf("\n");
}

static void print_dest(const json_t *dst, int indent)
{
	const char *kind = get_text(dst, "kind"), *node = get_text(dst, "node");
	int port = (int)get_num(dst, "port");

	line(indent, "To");
	if (strcmp(kind, "service") == 0 || strcmp(kind, "headless") == 0) {
		put(COLOUR_BOLD, "service %s", get_text(dst, "service"));
		put(COLOUR_NONE, ", port %d, %s", port, get_text(dst, "mode"));
		if (strcmp(kind, "headless") == 0)
			put(COLOUR_NONE, ", without a VIP: its name gives the addresses of its pods");
	} else if (strcmp(kind, "workload") == 0) {
		put(COLOUR_BOLD, "%s/%s", get_text(dst, "namespace"), get_text(dst, "name"));
		put(COLOUR_NONE, "%s%s, protocol %s, port %d, ", node[0] ? " on " : "", node,
		    get_text(dst, "protocol"), port);
		put_list(json_object_get(dst, "ips"));
	} else {
		put_list(json_object_get(dst, "ips"));
		put(COLOUR_NONE, ", port %d, an address that the mesh does not know", port);
	}
	printf("\n");
}

/* "eu/eu-1/rack-4", as much of it as is known. */
static void put_place(const json_t *ep)
{
	static const char *const parts[] = { "region", "zone", "subzone" };
	const char *before = " in ";

	if (get_text(ep, "node")[0])
		put(COLOUR_NONE, " on %s", get_text(ep, "node"));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!get_text(ep, parts[i])[0])
			continue;
		put(COLOUR_NONE, "%s%s", before, get_text(ep, parts[i]));
		before = "/";
	}
}

static void print_choice(const json_t *choice, int indent)
{
	const json_t *ep;
	size_t i;

	line(indent, "");
	put(COLOUR_NONE, "%s leads to", get_text(choice, "dialled"));
	printf("\n");
	json_array_foreach(json_object_get(choice, "endpoints"), i, ep) {
		const char *left_out = get_text(ep, "left_out");

		line(indent, "");
		if (left_out[0])
			put(COLOUR_DIM, "     -  %s", get_text(ep, "workload"));
		else
			put(COLOUR_NONE, " %4.0f %%  %s  %s, weight %d",
			    get_num(ep, "share") * 100, get_text(ep, "workload"),
			    get_text(ep, "to"), (int)get_num(ep, "weight"));
		put_place(ep);
		if (left_out[0])
			put(COLOUR_DIM, ": left out, %s", left_out);
		printf("\n");
	}
	if (get_num(choice, "endpoints_not_shown") > 0)
		printf("%*s         and %.0f more\n", indent, "", get_num(choice, "endpoints_not_shown"));
}

/* ---- policies */

static void print_misses(const json_t *p, int indent)
{
	const json_t *miss;
	size_t i;

	json_array_foreach(json_object_get(p, "ruled_out"), i, miss) {
		printf("%*s    ", indent, "");
		put(COLOUR_DIM, "%s", get_text(miss, "sentence"));
		printf("\n");
	}
	if (get_num(p, "ruled_out_not_shown") > 0)
		printf("%*s    and %.0f more\n", indent, "", get_num(p, "ruled_out_not_shown"));
}

static void print_warnings(const json_t *p, int indent)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(p, "warnings"), i, warning) {
		printf("%*s    ", indent, "");
		put(COLOUR_YELLOW, "warning: %s", json_string_value(warning));
		printf("\n");
	}
}

static void print_policy(const json_t *p, int indent)
{
	bool matches = get_true(p, "matches"), decides = get_true(p, "decides");

	printf("%*s%c ", indent, "", decides ? '>' : ' ');
	if (!get_true(p, "exists")) {
		put(COLOUR_RED, "%s: does not exist, which denies everything", get_text(p, "policy"));
		printf("\n");
		return;
	}
	put(decides ? COLOUR_BOLD : COLOUR_NONE, "%s", get_text(p, "policy"));
	put(COLOUR_NONE, " (%s, %s%s): ", get_text(p, "action"), get_text(p, "scope"),
	    get_true(p, "dry_run") ? ", dry run: decides nothing"
	    : strcmp(get_text(p, "action"), "None") == 0 ? ": decides nothing" : "");
	if (matches)
		put(COLOUR_NONE, "matches by rules[%.0f]%s", get_num(p, "rule"),
		    decides ? ", and decides" : "");
	else if (get_num(p, "rules") == 0)
		put(COLOUR_NONE, "has no rules, so it never matches");
	else
		put(COLOUR_NONE, "does not match");
	printf("\n");
	print_warnings(p, indent);
	if (!matches)
		print_misses(p, indent);
}

static void print_policies(const json_t *route, int indent)
{
	const json_t *list = json_object_get(route, "policies"), *p;
	size_t i;

	if (!get_true(route, "enforced"))
		return;
	line(indent, "Policies");
	if (json_array_size(list) == 0) {
		put(COLOUR_NONE, "none binds %s", get_text(route, "workload"));
		printf("\n");
		return;
	}
	put(COLOUR_NONE, "of %s", get_text(route, "workload"));
	printf("\n");
	json_array_foreach(list, i, p)
		print_policy(p, indent + 9);
	if (get_num(route, "policies_not_shown") > 0)
		printf("%*s           and %.0f more\n", indent, "",
		       get_num(route, "policies_not_shown"));
}

/* ---- routes */

static void print_cache(const json_t *route, int indent)
{
	const json_t *cache = json_object_get(route, "cache");
	const char *state = get_text(cache, "state");

	if (strcmp(state, "not-asked") == 0)
		return;
	line(indent, "Kernel");
	if (strcmp(state, "hit") == 0)
		put(COLOUR_NONE, "has %s cached, epoch %.0f", get_text(cache, "verdict"),
		    get_num(cache, "epoch"));
	else if (strcmp(state, "stale") == 0)
		put(COLOUR_NONE, "has a verdict of epoch %.0f, now is %.0f: the next connection asks "
		    "weftd", get_num(cache, "epoch"), get_num(cache, "epoch_now"));
	else
		put(COLOUR_NONE, "has no verdict cached (epoch %.0f): the next connection asks weftd",
		    get_num(cache, "epoch_now"));
	printf("\n");
	if (get_true(cache, "disagrees")) {
		line(indent, "");
		put(COLOUR_RED, "THIS IS A BUG: the policies say %s, the kernel does otherwise. Please "
		    "report it.", get_text(route, "verdict"));
		printf("\n");
	}
}

/* Do both mean the same to a reader, but for the addresses? */
static bool same_story(const json_t *a, const json_t *b)
{
	static const char *const keys[] = { "path_sentence", "verdict_sentence", "workload",
					    "policies", "cache" };

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!json_equal(json_object_get(a, keys[i]), json_object_get(b, keys[i])))
			return false;
	return true;
}

static bool told_before(const json_t *routes, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (same_story(json_array_get(routes, i), json_array_get(routes, at)))
			return true;
	return false;
}

static void print_addresses(const json_t *routes, size_t at, int indent)
{
	const char *head = "Way";

	for (size_t i = at; i < json_array_size(routes); i++) {
		const json_t *route = json_array_get(routes, i);

		if (!same_story(json_array_get(routes, at), route))
			continue;
		line(indent, head);
		put(COLOUR_NONE, "%s to %s", get_text(route, "src"), get_text(route, "to"));
		if (get_text(route, "workload")[0])
			put(COLOUR_BOLD, " %s", get_text(route, "workload"));
		if (get_num(route, "share") < 1)
			put(COLOUR_NONE, ", %.0f %% of the connections", get_num(route, "share") * 100);
		printf("\n");
		head = "";
	}
}

static void print_route(const json_t *routes, size_t at, int indent)
{
	const json_t *route = json_array_get(routes, at);
	const char *verdict = get_text(route, "verdict");

	printf("\n");
	print_addresses(routes, at, indent);
	line(indent, "Path");
	put(path_colour(get_text(route, "path")), "%s", get_text(route, "path"));
	put(COLOUR_NONE, ": %s", get_text(route, "path_sentence"));
	printf("\n");
	line(indent, "Verdict");
	/* Where no policy is asked the path is the reason. */
	if (get_true(route, "enforced"))
		put(verdict_colour(verdict), "%s", get_text(route, "verdict_sentence"));
	else
		put(verdict_colour(verdict), "%s",
		    strcmp(verdict, "allow") == 0 ? "allowed" : "denied");
	printf("\n");
	print_policies(route, indent);
	print_cache(route, indent);
}

static void print_headline(const json_t *story, int indent)
{
	const char *verdict = get_text(story, "verdict");

	printf("%*s", indent, "");
	if (strcmp(verdict, "mixed") == 0)
		put(COLOUR_RED, "it depends: of the %.0f ways that it may take, %.0f are denied",
		    get_num(story, "routes_allowed") + get_num(story, "routes_denied"),
		    get_num(story, "routes_denied"));
	else
		put(verdict_colour(verdict), "%s", get_text(story, "sentence"));
	printf("\n");
}

void why_print(const json_t *story, int indent)
{
	const json_t *routes = json_object_get(story, "routes"), *choice;
	size_t i;

	print_headline(story, indent);
	print_source(json_object_get(story, "source"), indent);
	print_dest(json_object_get(story, "destination"), indent);
	json_array_foreach(json_object_get(story, "choices"), i, choice)
		print_choice(choice, indent);
	for (i = 0; i < json_array_size(routes); i++)
		if (!told_before(routes, i))
			print_route(routes, i, indent);
	if (get_num(story, "routes_not_shown") > 0)
		printf("\n%*sand %.0f ways more\n", indent, "", get_num(story, "routes_not_shown"));
}

int cmd_why(const struct cli *c)
{
	cleanup_with(ask_fini) struct ask a = { 0 };
	_json_ json_t *story = NULL;
	struct errbuf err = { 0 };
	int r = ask_open(c, &a);

	if (r != EXIT_DONE)
		return r;
	r = ask_why(&a, c->args[0], c->args[1], 0, &err, &story);
	if (r != EXIT_DONE) {
		fprintf(stderr, "weft: ");
		out_safe(stderr, err.text[0] ? err.text : "out of memory");
		fprintf(stderr, "\n");
		return r;
	}
	if (c->json)
		print_json(story);
	else
		why_print(story, 0);
	if (get_true(story, "kernel_disagrees")) {
		fprintf(stderr, "weft: the kernel's cached verdict and the policies disagree; this is a "
				"bug of weftd, please report it\n");
		return EXIT_FAILED;
	}
	return strcmp(get_text(story, "verdict"), "allow") == 0 ? EXIT_DONE : EXIT_FAILED;
}
