// SPDX-License-Identifier: Apache-2.0
/*
 * The record of a lab. It says where things are, never whether they live: that is asked from
 * control groups and control sockets. Written by up and apply under the lock; one thread.
 */
#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"
#include "lab_env.h"
#include "lab_json.h"
#include "lab_spec.h"
#include "lab_state.h"

static json_t *ips_make(const struct weft_addr *v4, const struct weft_addr *v6)
{
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	return json_pack("[s, s]", ip_format(a, v4), ip_format(b, v6));
}

static json_t *state_make(const struct lab_env *e, const struct lab_spec *s, const char *weftd,
			  bool complete)
{
	json_t *state = json_pack("{s:s, s:b, s:s?, s:[], s:[], s:{}}", "name", e->name, "complete",
				  complete, "weftd", weftd, "nodes", "pods", "vips");
	json_t *nodes = json_object_get(state, "nodes");
	json_t *pods = json_object_get(state, "pods");

	lab_for_each(const struct lab_node, n, &s->nodes)
		json_array_append_new(nodes, json_pack("{s:s, s:o}", "name", n->name, "ips",
						       ips_make(&n->v4, &n->v6)));
	lab_for_each(const struct lab_pod, p, &s->pods)
		json_array_append_new(pods, json_pack("{s:s, s:s, s:s, s:o, s:b, s:s}", "namespace",
						      p->ns, "name", p->name, "node",
						      s->nodes.p[p->node].name, "ips",
						      ips_make(&p->v4, &p->v6), "enrol",
						      (int)p->enrol, "app", p->app));
	lab_for_each(const struct lab_service, v, &s->services) {
		if (v->number)
			json_object_set_new(json_object_get(state, "vips"), v->hostname,
					    json_integer(v->number));
	}
	return state;
}

int state_write(const struct lab_env *e, const struct lab_spec *s, const char *weftd,
		bool complete, struct errbuf *err)
{
	_json_ json_t *state = state_make(e, s, weftd, complete);
	char path[LAB_PATH_MAX];

	if (!state)
		return errbuf_set(err, -ENOMEM, "no memory for the state");
	return json_write_file(env_file(e, path, "state.json"), state, false, err);
}

json_t *state_read(const struct lab_env *e, struct errbuf *err)
{
	char path[LAB_PATH_MAX];
	json_error_t je;
	json_t *state;

	if (access(env_file(e, path, "state.json"), F_OK) < 0) {
		errbuf_set(err, -errno, "%s: %s; there is no lab, start one: weft lab up", path,
			   strerror(errno));
		return NULL;
	}
	state = json_load_file(path, 0, &je);
	if (!state)
		errbuf_set(err, -EINVAL, "%s: %s", path, je.text);
	return state;
}

const char *state_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

const json_t *state_node(const json_t *state, const char *name, struct errbuf *err)
{
	size_t i;
	json_t *n;

	json_array_foreach(json_object_get(state, "nodes"), i, n) {
		if (strcmp(state_text(n, "name"), name) == 0)
			return n;
	}
	errbuf_set(err, -ENOENT, "there is no node \"%s\" in this lab; see: weft lab status", name);
	return NULL;
}

const json_t *state_pod(const json_t *state, const char *pod, struct errbuf *err)
{
	const char *slash = strchr(pod, '/');
	const char *name = slash ? slash + 1 : pod;
	const json_t *found = NULL;
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(state, "pods"), i, p) {
		const char *ns = state_text(p, "namespace");

		if (strcmp(state_text(p, "name"), name) != 0)
			continue;
		if (slash && (strlen(ns) != (size_t)(slash - pod) ||
			      strncmp(ns, pod, (size_t)(slash - pod)) != 0))
			continue;
		if (found) {
			errbuf_set(err, -EINVAL, "\"%s\" is in more than one namespace; say "
				   "NAMESPACE/NAME", pod);
			return NULL;
		}
		found = p;
	}
	if (!found)
		errbuf_set(err, -ENOENT, "there is no pod \"%s\" in this lab; see: weft lab status",
			   pod);
	return found;
}
