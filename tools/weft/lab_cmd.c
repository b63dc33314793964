// SPDX-License-Identifier: Apache-2.0
/*
 * The subcommands of `weft lab` but status. Called by lab.c; they own nothing beyond their
 * run; one thread.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "lab_cgroup.h"
#include "lab_cmd.h"
#include "lab_env.h"
#include "lab_gen.h"
#include "lab_json.h"
#include "lab_spec.h"
#include "lab_state.h"
#include "lab_task.h"
#include "lab_up.h"

#define STOP_TIMEOUT_MS 40000 /* generous: it ends at once */
#define START_TIMEOUT_MS 20000
#define LOCK_WAIT_S 60

int lab_cmd_up(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	const struct lab_opts o = { .file = a->argc > 0 ? a->argv[0] : NULL,
				    .weftd = a->weftd,
				    .no_weftd = a->no_weftd,
				    .progress = stdout };
	struct lab_spec spec = { 0 };
	int r = lab_load(o.file, NULL, err, &spec);

	if (r < 0)
		return r;
	r = env_catch_signals(e);
	if (r == 0)
		r = env_lock(e, 0, err);
	if (r == 0) {
		setvbuf(stdout, NULL, _IOLBF, 0);
		r = lab_up(e, &o, &spec, err);
		env_unlock(e);
	}
	if (r == 0)
		printf("lab %s is up; see: weft lab status\n", e->name);
	lab_spec_fini(&spec);
	return r;
}

int lab_cmd_down(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	int r = env_lock(e, LOCK_WAIT_S, err);

	(void)a;
	if (r < 0)
		return r;
	r = lab_down(e, stdout, err);
	env_unlock(e);
	return r;
}

int lab_cmd_default(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	(void)e;
	(void)a;
	(void)err;
	fputs(lab_default_yaml, stdout);
	return 0;
}

int lab_cmd_mesh(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	char path[LAB_PATH_MAX], buf[4096];
	_fclose_ FILE *f = fopen(env_file(e, path, "mesh.yaml"), "re");
	size_t n;

	(void)a;
	if (!f)
		return errbuf_set(err, -errno, "%s: %s", path, strerror(errno));
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		fwrite(buf, 1, n, stdout);
	return 0;
}

/* @NODE and @fabric: outside of pods, as the kubelet or a stranger on the network. */
static int exec_outside(const struct lab_env *e, const json_t *state, const char *where,
			char **argv, struct errbuf *err)
{
	char cgroup[LAB_PATH_MAX], netns[LAB_PATH_MAX];
	bool fabric = strcmp(where, "fabric") == 0;
	const struct lab_task task = {
		.cgroup = env_node_cgroup(e, cgroup, where, fabric ? "" : "host"),
		.netns = env_netns(e, netns, where),
		.argv = argv,
	};

	if (!fabric && !state_node(state, where, err))
		return -ENOENT;
	return task_exec(&task, err);
}

static int exec_pod(const struct lab_env *e, const json_t *pod, char **argv, struct errbuf *err)
{
	char cgroup[LAB_PATH_MAX], netns[LAB_PATH_MAX], etc[LAB_PATH_MAX];
	const char *ns = state_text(pod, "namespace");
	const char *name = state_text(pod, "name");
	_free_ char *hosts = str_printf("hosts.%s", ns);
	const struct lab_task task = {
		.cgroup = env_pod_cgroup(e, cgroup, state_text(pod, "node"), ns, name),
		.netns = env_pod_netns(e, netns, ns, name),
		.etc = env_file(e, etc, "etc"),
		.hosts = hosts,
		.hostname = name,
		.argv = argv,
	};

	return hosts ? task_exec(&task, err) : -ENOMEM;
}

int lab_cmd_exec(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	int skip = strcmp(a->argv[1], "--") == 0 ? 2 : 1;
	const json_t *pod;

	if (!state)
		return -ENOENT;
	if (!a->argv[skip])
		return errbuf_set(err, -EINVAL, "usage: weft lab exec POD -- CMD...");
	if (a->argv[0][0] == '@')
		return exec_outside(e, state, a->argv[0] + 1, a->argv + skip, err);
	pod = state_pod(state, a->argv[0], err);
	return pod ? exec_pod(e, pod, a->argv + skip, err) : -ENOENT;
}

static void log_copy(const char *path, bool follow)
{
	_fclose_ FILE *f = fopen(path, "re");
	char buf[4096];
	size_t n;

	while (f) {
		while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
			fwrite(buf, 1, n, stdout);
		fflush(stdout);
		/* stdout gone, or the lab */
		if (!follow || ferror(stdout) || access(path, F_OK) < 0)
			return;
		clearerr(f);
		poll(NULL, 0, 200);
	}
}

int lab_cmd_logs(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	struct errbuf ignored = { 0 };
	char path[LAB_PATH_MAX];
	const json_t *pod;

	if (!state)
		return -ENOENT;
	if (state_node(state, a->argv[0], &ignored)) {
		env_node_file(e, path, a->argv[0], "weftd.log");
	} else {
		pod = state_pod(state, a->argv[0], err);
		if (!pod)
			return -ENOENT;
		env_pod_log(e, path, state_text(pod, "namespace"), state_text(pod, "name"));
	}
	if (access(path, R_OK) < 0)
		return errbuf_set(err, -errno, "%s: %s", path, strerror(errno));
	log_copy(path, a->follow);
	return 0;
}

/* The weftd group of a node of this lab, which must be populated or not, as running says. */
static int weftd_group(struct lab_env *e, const json_t *state, const char *node, bool running,
		       char *ret_path, struct errbuf *err)
{
	if (!state || !state_node(state, node, err))
		return -ENOENT;
	env_node_cgroup(e, ret_path, node, "weftd");
	if (cgroup_populated(ret_path) == running)
		return 0;
	return errbuf_set(err, running ? -ESRCH : -EALREADY, "node %s: weftd %s", node,
			  running ? "does not run" : "runs already");
}

int lab_cmd_kill(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	char path[LAB_PATH_MAX];
	int r = weftd_group(e, state, a->argv[0], true, path, err);

	if (r < 0)
		return r;
	return cgroup_kill(path);
}

int lab_cmd_stop(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	char path[LAB_PATH_MAX];
	int r = weftd_group(e, state, a->argv[0], true, path, err);

	if (r < 0)
		return r;
	cgroup_signal(path, SIGINT); /* at once, without draining */
	r = cgroup_wait_empty(path, STOP_TIMEOUT_MS);
	if (r < 0)
		return errbuf_set(err, r, "node %s: weftd has not ended after %d s", a->argv[0],
				  STOP_TIMEOUT_MS / 1000);
	return 0;
}

int lab_cmd_start(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	const char *weftd = a->weftd ? a->weftd : state_text(state, "weftd");
	char path[LAB_PATH_MAX];
	int r = weftd_group(e, state, a->argv[0], false, path, err);

	if (r < 0)
		return r;
	if (!weftd[0])
		return errbuf_set(err, -EINVAL, "the lab was made without weftd");
	r = node_start(e, a->argv[0], weftd, err);
	if (r == 0)
		r = node_wait_ready(e, a->argv[0], START_TIMEOUT_MS, err);
	if (r < 0)
		log_tail(env_node_file(e, path, a->argv[0], "weftd.log"), 15, stderr);
	return r;
}

static bool ips_match(const json_t *ips, const struct weft_addr *v4)
{
	const char *text = json_string_value(json_array_get(ips, 0));
	struct weft_addr a;

	return text && ip_parse(str_of(text), &a) == 0 && ip_eq(&a, v4);
}

/* Nodes and pods must be those that stand: only the mesh file changes. */
static int spec_matches(const struct lab_spec *s, const json_t *state, struct errbuf *err)
{
	if (s->nodes.n != json_array_size(json_object_get(state, "nodes")) ||
	    s->pods.n != json_array_size(json_object_get(state, "pods")))
		return errbuf_set(err, -EINVAL, "nodes and pods cannot be added or removed by "
				  "apply; take the lab down and up");
	for (size_t i = 0; i < s->pods.n; i++) {
		const struct lab_pod *p = &s->pods.p[i];
		_free_ char *name = str_printf("%s/%s", p->ns, p->name);
		const json_t *pod = name ? state_pod(state, name, err) : NULL;

		if (!pod)
			return -ENOENT;
		if (strcmp(state_text(pod, "node"), s->nodes.p[p->node].name) != 0 ||
		    !ips_match(json_object_get(pod, "ips"), &p->v4))
			return errbuf_set(err, -EINVAL, "pod %s: pods must stay on their node and "
					  "in their order", name);
	}
	return 0;
}

static int apply_locked(struct lab_env *e, const char *file, struct errbuf *err)
{
	_json_ json_t *state = state_read(e, err);
	const char *weftd = json_string_value(json_object_get(state, "weftd"));
	struct lab_spec spec = { 0 };
	int r = state ? lab_load(file, json_object_get(state, "vips"), err, &spec) : -ENOENT;

	if (r < 0)
		return r;
	r = spec_matches(&spec, state, err);
	if (r == 0)
		r = gen_etc_write(e, &spec, err);
	if (r == 0)
		r = gen_mesh_write(e, &spec, err);
	if (r == 0)
		r = state_write(e, &spec, weftd, true, err);
	lab_spec_fini(&spec);
	return r;
}

int lab_cmd_apply(struct lab_env *e, const struct lab_args *a, struct errbuf *err)
{
	int r = env_lock(e, LOCK_WAIT_S, err);

	if (r < 0)
		return r;
	r = apply_locked(e, a->argv[0], err);
	env_unlock(e);
	return r;
}
