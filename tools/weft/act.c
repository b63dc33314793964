// SPDX-License-Identifier: Apache-2.0
/* Commands of weft that change something in a daemon: enrolment, log level, reload, stop. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "client.h"
#include "out.h"

/* NAMESPACE/NAME, both without a further slash. */
static int pod_split(const char *text, char **ret_ns, const char **ret_name)
{
	struct str rest = str_of(text), ns = str_cut(&rest, '/');

	if (ns.n == 0 || rest.n == 0 || memchr(rest.p, '/', rest.n)) {
		fprintf(stderr, "weft: %s: a pod is written NAMESPACE/NAME\n", text);
		return EXIT_USAGE;
	}
	*ret_ns = str_dup(ns);
	*ret_name = rest.p;
	return *ret_ns ? EXIT_DONE : EXIT_FAILED;
}

/* The daemon has another working folder. */
static char *path_absolute(const char *path)
{
	char *abs = realpath(path, NULL);

	return abs ? abs : str_dup(str_of(path));
}

int cmd_pod_enrol(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	_free_ char *ns = NULL, *netns = NULL;
	const char *name;
	json_t *request;
	bool done;
	int r;

	if (!c->netns) {
		fprintf(stderr, "weft: --netns PATH is needed (/run/netns/NAME or "
				"/proc/PID/ns/net)\n");
		return EXIT_USAGE;
	}
	r = pod_split(c->args[0], &ns, &name);
	if (r != EXIT_DONE)
		return r;
	netns = path_absolute(c->netns);
	request = json_pack("{s:s, s:s, s:s, s:s}", "cmd", "pod.enrol", "namespace", ns, "name",
			    name, "netns", netns);
	if (request && c->uid)
		json_object_set_new(request, "uid", json_string(c->uid));
	r = client_act(c, request, &ts, &done);
	if (done || r != EXIT_DONE)
		return r;
	out_safe(stdout, c->args[0]);
	printf(": ");
	out_safe(stdout, get_text(ts.v.p[0].reply, "state"));
	printf("\n");
	return EXIT_DONE;
}

int cmd_pod_unenrol(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	_free_ char *ns = NULL;
	const char *name;
	bool done;
	int r = pod_split(c->args[0], &ns, &name);

	if (r != EXIT_DONE)
		return r;
	r = client_act(
		c, json_pack("{s:s, s:s, s:s}", "cmd", "pod.unenrol", "namespace", ns, "name", name),
		&ts, &done);
	if (!done && r == EXIT_DONE)
		printf("%s: not enrolled any more\n", c->args[0]);
	return r;
}

int cmd_log_level(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_act(c, json_pack("{s:s, s:s}", "cmd", "log.level", "level", c->args[0]), &ts,
			   &done);

	if (!done && r == EXIT_DONE)
		printf("log level is %s\n", get_text(ts.v.p[0].reply, "level"));
	return r;
}

int cmd_reload(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	const json_t *reply;
	bool done;
	int r = client_act(c, json_pack("{s:s}", "cmd", "reload"), &ts, &done);

	if (r != EXIT_DONE)
		return r;
	reply = ts.v.p[0].reply;
	if (get_true(reply, "applied")) {
		if (!done)
			printf("the mesh file was applied\n");
		return EXIT_DONE;
	}
	fprintf(stderr, "weft: the mesh file was not applied, the old state stays: ");
	out_safe(stderr, get_text(reply, "error"));
	fprintf(stderr, "\n");
	return EXIT_FAILED;
}

int cmd_stop(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_act(c, json_pack("{s:s}", "cmd", "stop"), &ts, &done);

	if (!done && r == EXIT_DONE)
		printf("weftd ends; relayed connections are reset\n");
	return r;
}
