// SPDX-License-Identifier: Apache-2.0
/*
 * Choice of the daemon's socket, the request, and the reply as JSON. Used by every command
 * that talks to weftd. Owns sockets' paths and replies in struct targets. One thread.
 */
#include "client.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"
#include "admin/ctl.h"

void targets_fini(struct targets *t)
{
	vec_for_each(one, &t->v) {
		free(one->node);
		free(one->path);
		json_decref(one->reply);
	}
	vec_fini(&t->v);
}

static int out_of_memory(void)
{
	fprintf(stderr, "weft: out of memory\n");
	return EXIT_FAILED;
}

static int target_add(struct targets *t, const char *node, size_t n_node, const char *path)
{
	struct target one = {
		.node = str_dup((struct str){ node, n_node }),
		.path = str_dup(str_of(path)),
	};

	if (one.node && one.path && vec_push(&t->v, one) == 0)
		return EXIT_DONE;
	free(one.node);
	free(one.path);
	return out_of_memory();
}

/* .../lab/NAME/weftd.sock */
static int target_add_lab(struct targets *t, const char *path)
{
	const char *end = strrchr(path, '/'), *start = end;

	while (start > path && start[-1] != '/')
		start--;
	return target_add(t, start, (size_t)(end - start), path);
}

static int targets_of_lab(struct targets *t)
{
	glob_t found = { 0 };
	int r = EXIT_DONE;

	if (glob(WEFT_LAB_DIR "/*/weftd.sock", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && r == EXIT_DONE; i++)
			r = target_add_lab(t, found.gl_pathv[i]);
	}
	globfree(&found);
	return r;
}

static int target_of_node(struct targets *t, const char *node)
{
	_free_ char *path = NULL;

	if (!node[0] || node[0] == '.' || strchr(node, '/')) {
		fprintf(stderr, "weft: --node %s: not a name of a node\n", node);
		return EXIT_USAGE;
	}
	path = str_printf(WEFT_LAB_DIR "/%s/weftd.sock", node);
	return path ? target_add(t, "", 0, path) : out_of_memory();
}

int targets_find(const struct cli *c, struct targets *ret)
{
	int r = EXIT_DONE;

	if (c->n_nodes > 1) {
		fprintf(stderr, "weft: this command takes one --node\n");
		return EXIT_USAGE;
	}
	if (c->socket && c->n_nodes) {
		fprintf(stderr, "weft: --socket and --node exclude each other\n");
		return EXIT_USAGE;
	}
	if (c->n_nodes)
		return target_of_node(ret, c->nodes[0]);
	if (!c->socket && access(WEFT_SOCKET_DEFAULT, F_OK) < 0) {
		r = targets_of_lab(ret);
		ret->many = ret->v.n > 0;
		if (r != EXIT_DONE || ret->v.n)
			return r;
	}
	return target_add(ret, "", 0, c->socket ? c->socket : WEFT_SOCKET_DEFAULT);
}

int targets_find_one(const struct cli *c, struct targets *ret)
{
	int r = targets_find(c, ret);

	if (r != EXIT_DONE || ret->v.n == 1)
		return r;
	fprintf(stderr, "weft: there are several nodes, choose one with --node:");
	vec_for_each(t, &ret->v)
		fprintf(stderr, " %s", t->node);
	fprintf(stderr, "\n");
	return EXIT_USAGE;
}

/* Tells "nobody there" from "it said no" after a call failed. */
static bool is_reachable(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	_close_ int fd = -1;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_of(path)) < 0)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
}

int client_call(const char *path, const json_t *request, struct errbuf *err, json_t **ret)
{
	json_t *reply = ctl_call(path, request, err);

	if (!reply)
		return is_reachable(path) ? EXIT_FAILED : EXIT_UNREACHABLE;
	*ret = reply;
	return EXIT_DONE;
}

static int target_ask(struct target *t, const json_t *request, bool quiet)
{
	struct errbuf err = { 0 };
	int r;

	json_decref(t->reply);
	t->reply = NULL;
	r = client_call(t->path, request, &err, &t->reply);
	if (r != EXIT_DONE && !quiet)
		fprintf(stderr, "weft: %s%s%s\n", t->node, t->node[0] ? ": " : "",
			err.text[0] ? err.text : "no reply");
	return r;
}

int targets_ask(struct targets *t, const json_t *request)
{
	int r = EXIT_DONE;

	vec_for_each(one, &t->v) {
		int bad = target_ask(one, request, t->quiet);

		if (bad > r)
			r = bad;
	}
	return r;
}

void print_json(const json_t *j)
{
	if (j && json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) == 0)
		putchar('\n');
}

void targets_print_json(struct targets *t)
{
	_json_ json_t *all = NULL, *nodes = NULL;

	if (!t->many) {
		print_json(t->v.p[0].reply);
		return;
	}
	nodes = json_object();
	vec_for_each(one, &t->v)
		if (one->reply)
			json_object_set(nodes, one->node, one->reply);
	all = json_object();
	json_object_set(all, "nodes", nodes);
	print_json(all);
}

static int ask_and_print(const struct cli *c, const json_t *request, struct targets *t,
			 bool *ret_done)
{
	int r = targets_ask(t, request);
	bool answered = false;

	vec_for_each(one, &t->v)
		answered |= one->reply != NULL;
	*ret_done = c->json || !answered;
	if (c->json && answered)
		targets_print_json(t);
	return r;
}

int client_list(const struct cli *c, const char *cmd, struct targets *ret, bool *ret_done)
{
	_json_ json_t *request = json_pack("{s:s}", "cmd", cmd);
	int r = request ? targets_find(c, ret) : out_of_memory();

	*ret_done = true;
	return r == EXIT_DONE ? ask_and_print(c, request, ret, ret_done) : r;
}

int client_act(const struct cli *c, json_t *request, struct targets *ret, bool *ret_done)
{
	_json_ json_t *owned = request;
	int r;

	*ret_done = true;
	if (!owned) {
		fprintf(stderr, "weft: an argument is not UTF-8 text\n");
		return EXIT_USAGE;
	}
	r = targets_find_one(c, ret);
	return r == EXIT_DONE ? ask_and_print(c, owned, ret, ret_done) : r;
}

const char *get_text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "";
}

double get_num(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

bool get_true(const json_t *j, const char *key)
{
	return json_is_true(json_object_get(j, key));
}
