// SPDX-License-Identifier: Apache-2.0
/*
 * `weft lab status`: the record joined with what lives: control groups say which processes
 * there are, control sockets what the daemons think. Called by lab.c; one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "lab_cgroup.h"
#include "lab_cmd.h"
#include "lab_env.h"
#include "lab_json.h"
#include "lab_state.h"
#include "lab_up.h"

/* "ready", "starting", "silent", "stopped", or "none" in a lab without daemons. */
static const char *node_state(bool daemons, pid_t pid, const json_t *reply)
{
	if (!pid)
		return daemons ? "stopped" : "none";
	if (!reply)
		return "silent";
	return json_is_true(json_object_get(reply, "ready")) ? "ready" : "starting";
}

static void node_fill(const struct lab_env *e, const json_t *state, json_t *node)
{
	const char *name = state_text(node, "name");
	char path[LAB_PATH_MAX];
	pid_t pid = cgroup_first_pid(env_node_cgroup(e, path, name, "weftd"));
	struct errbuf ignored = { 0 };
	_json_ json_t *reply = NULL;
	_json_ json_t *pods = NULL;

	if (pid) {
		reply = node_call(e, name, json_pack("{s:s}", "cmd", "status"), &ignored);
		pods = reply ? node_call(e, name, json_pack("{s:s}", "cmd", "pods"), &ignored) :
			       NULL;
	}
	json_object_set_new(node, "pid", json_integer(pid));
	json_object_set_new(node, "state",
			    json_string(node_state(state_text(state, "weftd")[0], pid, reply)));
	if (reply)
		json_object_set(node, "status", reply);
	if (pods)
		json_object_set(node, "pods", json_object_get(pods, "pods"));
}

/* What the pod's node says about it. */
static const char *pod_mesh_state(const json_t *state, const json_t *pod)
{
	struct errbuf ignored = { 0 };
	const json_t *node = state_node(state, state_text(pod, "node"), &ignored);
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(node, "pods"), i, p) {
		if (strcmp(state_text(p, "name"), state_text(pod, "name")) == 0 &&
		    strcmp(state_text(p, "namespace"), state_text(pod, "namespace")) == 0)
			return state_text(p, "state");
	}
	return "not-enrolled";
}

static void pod_fill(const struct lab_env *e, const json_t *state, json_t *pod)
{
	char path[LAB_PATH_MAX];

	env_pod_cgroup(e, path, state_text(pod, "node"), state_text(pod, "namespace"),
		       state_text(pod, "name"));
	json_object_set_new(pod, "mesh", json_string(pod_mesh_state(state, pod)));
	json_object_set_new(pod, "pid", json_integer(cgroup_first_pid(path)));
	json_object_set_new(pod, "running", json_boolean(cgroup_populated(path)));
}

static const char *ip_text(const json_t *object, size_t i)
{
	const char *text = json_string_value(json_array_get(json_object_get(object, "ips"), i));

	return text ? text : "-";
}

static void status_print(const json_t *state)
{
	size_t i;
	json_t *n, *p;

	printf("%-12s %-15s %-22s %-8s %8s\n", "NODE", "IPV4", "IPV6", "WEFTD", "PID");
	json_array_foreach(json_object_get(state, "nodes"), i, n)
		printf("%-12s %-15s %-22s %-8s %8lld\n", state_text(n, "name"), ip_text(n, 0),
		       ip_text(n, 1), state_text(n, "state"),
		       (long long)json_integer_value(json_object_get(n, "pid")));
	printf("\n%-24s %-12s %-13s %-22s %-12s %s\n", "POD", "NODE", "IPV4", "IPV6", "MESH",
	       "COMMAND");
	json_array_foreach(json_object_get(state, "pods"), i, p) {
		_free_ char *name = str_printf("%s/%s", state_text(p, "namespace"),
					       state_text(p, "name"));

		printf("%-24s %-12s %-13s %-22s %-12s %s\n", name ? name : "", state_text(p, "node"),
		       ip_text(p, 0), ip_text(p, 1), state_text(p, "mesh"),
		       json_is_true(json_object_get(p, "running")) ? "running" : "-");
	}
}

int lab_cmd_status(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	size_t i;
	json_t *item;

	if (!state)
		return -ENOENT;
	json_array_foreach(json_object_get(state, "nodes"), i, item)
		node_fill(e, state, item);
	json_array_foreach(json_object_get(state, "pods"), i, item)
		pod_fill(e, state, item);
	if (a->json) {
		json_dumpf(state, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		status_print(state);
	}
	return 0;
}
