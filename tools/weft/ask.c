// SPDX-License-Identifier: Apache-2.0
/* Questions about the way of a connection (ask.h). */
#include "ask.h"

#include <errno.h>
#include <string.h>

#include "admin/why.h"
#include "feed/file.h"

static int complain(const struct errbuf *err, int r)
{
	fprintf(stderr, "weft: %s\n", err->text[0] ? err->text : "out of memory");
	return r;
}

static int ask_open_file(const struct cli *c, struct ask *a)
{
	const struct feed_defaults defaults = {
		.trust_domain = c->trust_domain ? c->trust_domain : "cluster.local",
		.cluster = "Kubernetes",
	};
	struct errbuf err = { 0 };

	if (c->socket || c->n_nodes) {
		fprintf(stderr, "weft: --mesh excludes --socket and --node\n");
		return EXIT_USAGE;
	}
	if (model_new(&a->model) < 0)
		return complain(&err, EXIT_FAILED);
	if (feed_file_snap(a->model, c->mesh, &defaults, &err, &a->snap) < 0)
		return complain(&err, EXIT_USAGE);
	return EXIT_DONE;
}

int ask_open(const struct cli *c, struct ask *ret)
{
	if (c->mesh)
		return ask_open_file(c, ret);
	if (c->trust_domain) {
		fprintf(stderr, "weft: --trust-domain is for --mesh; a daemon has its own\n");
		return EXIT_USAGE;
	}
	return targets_find(c, &ret->targets);
}

void ask_fini(struct ask *a)
{
	targets_fini(&a->targets);
	snap_free(&a->snap);
	model_free(&a->model);
}

static int ask_file(struct ask *a, const char *from, const char *to, int port, struct errbuf *err,
		    json_t **ret)
{
	cleanup_with(why_free) struct why_story *story = NULL;
	json_t *j;

	if (why_ask(a->snap, NULL, from, to, (uint16_t)port, err, &story) < 0)
		return EXIT_USAGE;
	j = view_why(story, NULL);
	if (!j)
		return errbuf_set(err, EXIT_FAILED, "out of memory");
	json_object_set_new(j, "ok", json_true());
	*ret = j;
	return EXIT_DONE;
}

/* What a daemon knows of this connection more than its mesh file says: 2 the source is a pod of
 * its node, 1 the destination is. */
static int knows(const json_t *reply)
{
	const char *node = get_text(reply, "node");
	const json_t *route;
	size_t i;

	if (strcmp(node, get_text(json_object_get(reply, "source"), "node")) == 0)
		return 2;
	json_array_foreach(json_object_get(reply, "routes"), i, route)
		if (strcmp(node, get_text(route, "node")) == 0)
			return 1;
	return 0;
}

static int ask_daemons(struct ask *a, const json_t *request, struct errbuf *err, json_t **ret)
{
	_json_ json_t *best = NULL;
	int best_knows = -1, worst = EXIT_UNREACHABLE;

	vec_for_each(t, &a->targets.v) {
		_json_ json_t *reply = NULL;
		int r = client_call(t->path, request, err, &reply);

		if (r == EXIT_FAILED)
			worst = EXIT_USAGE;
		if (r != EXIT_DONE || knows(reply) <= best_knows)
			continue;
		best_knows = knows(reply);
		json_decref(best);
		best = TAKE_PTR(reply);
		if (best_knows == 2)
			break;
	}
	if (!best)
		return worst;
	*ret = TAKE_PTR(best);
	return EXIT_DONE;
}

int ask_why(struct ask *a, const char *from, const char *to, int port, struct errbuf *err,
	    json_t **ret)
{
	_json_ json_t *request = NULL;

	if (a->snap)
		return ask_file(a, from, to, port, err, ret);
	request = json_pack("{s:s, s:s, s:s}", "cmd", "why", "from", from, "to", to);
	if (!request)
		return errbuf_set(err, EXIT_USAGE, "%.200s, %.200s: not UTF-8", from, to);
	if (port)
		json_object_set_new(request, "port", json_integer(port));
	return ask_daemons(a, request, err, ret);
}
