// SPDX-License-Identifier: Apache-2.0
/*
 * Making a lab: files, network, control groups, daemons, enrolment, commands of the pods.
 * A table of steps, so that the order can be read and a failure says where. Used by `weft lab
 * up` and the demo; one thread.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <linux/magic.h>

#include "admin/ctl.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/vec.h"
#include "ident/ca.h"
#include "lab_cgroup.h"
#include "lab_env.h"
#include "lab_gen.h"
#include "lab_json.h"
#include "lab_net.h"
#include "lab_spec.h"
#include "lab_state.h"
#include "lab_task.h"
#include "lab_up.h"

#define READY_TIMEOUT_MS 20000
#define DAY_S (24 * 3600ull)

struct up {
	struct lab_env *env;
	const struct lab_opts *opts;
	const struct lab_spec *spec;
	const char *weftd; /* NULL: without daemons */
	char weftd_path[PATH_MAX];
	struct errbuf *err;
	bool begun; /* something may stand that a failure has to remove */
};

int lab_load(const char *file, const json_t *vips, struct errbuf *err, struct lab_spec *ret)
{
	struct lab_spec s = { 0 };
	int r;

	if (file)
		r = lab_spec_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, err, &s);
	else
		r = lab_spec_parse(str_of(lab_default_yaml), "default lab", err, &s);
	if (r < 0)
		return r;
	r = lab_spec_allocate(&s, vips, err);
	if (r < 0) {
		lab_spec_fini(&s);
		return r;
	}
	*ret = s;
	return 0;
}

json_t *node_call(const struct lab_env *e, const char *node, json_t *request, struct errbuf *err)
{
	_json_ json_t *owned = request;
	char path[LAB_PATH_MAX];

	return ctl_call(env_node_file(e, path, node, "weftd.sock"), owned, err);
}

void log_tail(const char *path, unsigned int lines, FILE *out)
{
	_fclose_ FILE *f = fopen(path, "re");
	char line[1024];
	long total = 0;

	while (f && fgets(line, sizeof(line), f))
		total++;
	if (f)
		rewind(f);
	while (f && fgets(line, sizeof(line), f)) {
		if (total-- <= (long)lines)
			fprintf(out, "  | %s", line);
	}
}

int node_start(const struct lab_env *e, const char *node, const char *weftd, struct errbuf *err)
{
	char cgroup[LAB_PATH_MAX], netns[LAB_PATH_MAX], log[LAB_PATH_MAX], config[LAB_PATH_MAX];
	char name[] = "--config";
	char *argv[] = { (char *)(uintptr_t)weftd, name, config, NULL };
	const struct lab_task task = {
		.cgroup = env_node_cgroup(e, cgroup, node, "weftd"),
		.netns = env_netns(e, netns, node),
		.log = env_node_file(e, log, node, "weftd.log"),
		.argv = argv,
	};
	pid_t pid;

	env_node_file(e, config, node, "weftd.yaml");
	return task_start(&task, err, &pid);
}

static bool reply_ready(const json_t *reply, char *pending, size_t cap)
{
	size_t i, at = 0;
	json_t *p;

	json_array_foreach(json_object_get(reply, "pending"), i, p) {
		int n = snprintf(pending + at, cap - at, "%s%s", i ? ", " : "",
				 json_is_string(p) ? json_string_value(p) : "?");

		at = n > 0 && at + (size_t)n < cap ? at + (size_t)n : at;
	}
	return json_is_true(json_object_get(reply, "ready"));
}

int node_wait_ready(struct lab_env *e, const char *node, int timeout_ms, struct errbuf *err)
{
	uint64_t end = clock_mono_ns() + (uint64_t)timeout_ms * NS_PER_MS;
	char pending[256] = "control socket";
	char cgroup[LAB_PATH_MAX];

	env_node_cgroup(e, cgroup, node, "weftd");
	while (clock_mono_ns() < end) {
		struct errbuf ignored = { 0 };
		_json_ json_t *reply = node_call(e, node, json_pack("{s:s}", "cmd", "status"),
						 &ignored);

		waitpid(-1, NULL, WNOHANG);
		if (reply && reply_ready(reply, pending, sizeof(pending)))
			return 0;
		if (!reply && !cgroup_populated(cgroup))
			return errbuf_set(err, -ECHILD, "node %s: weftd has ended", node);
		if (env_wait(e, 50) < 0)
			return -EINTR;
	}
	return errbuf_set(err, -ETIMEDOUT, "node %s: weftd is not ready after %d s, pending: %s",
			  node, timeout_ms / 1000, pending);
}

static int weftd_find(struct up *u)
{
	char *slash;
	ssize_t n;

	if (u->opts->no_weftd)
		return 0;
	if (u->opts->weftd) {
		if (!realpath(u->opts->weftd, u->weftd_path))
			return errbuf_set(u->err, -errno, "--weftd: %s: %s", u->opts->weftd,
					  strerror(errno));
	} else {
		n = readlink("/proc/self/exe", u->weftd_path, sizeof(u->weftd_path) - 8);
		u->weftd_path[n > 0 ? n : 0] = '\0';
		slash = strrchr(u->weftd_path, '/');
		if (slash)
			memcpy(slash, "/weftd", sizeof("/weftd"));
	}
	if (access(u->weftd_path, X_OK) < 0)
		return errbuf_set(u->err, -errno, "%s: %s; say where weftd is: --weftd PATH",
				  u->weftd_path, strerror(errno));
	u->weftd = u->weftd_path;
	return 0;
}

static int step_clean(struct up *u)
{
	struct lab_env *e = u->env;

	if (lab_running(e))
		return errbuf_set(u->err, -EEXIST,
				  "lab %s is up already; take it down first: weft lab down", e->name);
	u->begun = true;
	return lab_down(e, NULL, u->err);
}

static int bpffs_mount(struct errbuf *err)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=700") < 0)
		return errbuf_set(err, -errno, "/sys/fs/bpf: cannot mount bpffs: %s",
				  strerror(errno));
	return 0;
}

static int node_files_make(struct up *u, const struct lab_node *n)
{
	_json_ json_t *config = gen_weftd(u->env, u->spec, n);
	char path[LAB_PATH_MAX];
	int r = dir_make(env_node_file(u->env, path, n->name, ""), 0755, u->err);

	if (r < 0)
		return r;
	if (!config)
		return errbuf_set(u->err, -ENOMEM, "no memory for weftd.yaml");
	return json_write_file(env_node_file(u->env, path, n->name, "weftd.yaml"), config, true,
			       u->err);
}

static int step_files(struct up *u)
{
	char path[LAB_PATH_MAX];
	int r = dir_make(env_file(u->env, path, "pods"), 0755, u->err);

	if (r == 0)
		r = state_write(u->env, u->spec, u->weftd, false, u->err);
	if (r == 0)
		r = gen_mesh_write(u->env, u->spec, u->err);
	if (r == 0)
		r = gen_etc_write(u->env, u->spec, u->err);
	for (size_t i = 0; i < u->spec->nodes.n && r == 0; i++)
		r = node_files_make(u, &u->spec->nodes.p[i]);
	return r == 0 && u->weftd ? bpffs_mount(u->err) : r;
}

static int step_ca(struct up *u)
{
	const char *domain = json_string_value(json_object_get(u->spec->weftd, "trust_domain"));
	char path[LAB_PATH_MAX];
	int r;

	if (!u->weftd)
		return 0;
	r = dir_make(env_file(u->env, path, "ca"), 0700, u->err);
	if (r == 0)
		r = ca_init_root(path, domain ? domain : "cluster.local", 90 * DAY_S, true, u->err);
	for (size_t i = 0; i < u->spec->nodes.n && r == 0; i++)
		r = ca_init_node(path, u->spec->nodes.p[i].name, 30 * DAY_S, u->err);
	return r;
}

static int step_network(struct up *u)
{
	return net_build(u->env, u->spec, u->err);
}

static int step_cgroups(struct up *u)
{
	char path[LAB_PATH_MAX];
	int r;

	snprintf(path, sizeof(path), "%s/fabric", u->env->cgroup);
	r = dir_make(path, 0755, u->err);
	lab_for_each(const struct lab_node, n, &u->spec->nodes) {
		r = r < 0 ? r : dir_make(env_node_cgroup(u->env, path, n->name, "weftd"), 0755,
					 u->err);
		r = r < 0 ? r : dir_make(env_node_cgroup(u->env, path, n->name, "host"), 0755,
					 u->err);
	}
	lab_for_each(const struct lab_pod, p, &u->spec->pods) {
		env_pod_cgroup(u->env, path, u->spec->nodes.p[p->node].name, p->ns, p->name);
		r = r < 0 ? r : dir_make(path, 0755, u->err);
	}
	return r;
}

static char **argv_make(const json_t *command)
{
	size_t n = json_array_size(command);
	char **argv = calloc(n + 1, sizeof(*argv));

	for (size_t i = 0; argv && i < n; i++)
		argv[i] = (char *)(uintptr_t)json_string_value(json_array_get(command, i));
	return argv;
}

static int pod_start(struct up *u, const struct lab_pod *p)
{
	char cgroup[LAB_PATH_MAX], netns[LAB_PATH_MAX], log[LAB_PATH_MAX], etc[LAB_PATH_MAX];
	_free_ char *hosts = str_printf("hosts.%s", p->ns);
	_free_ char **argv = argv_make(p->command);
	const struct lab_task task = {
		.cgroup = env_pod_cgroup(u->env, cgroup, u->spec->nodes.p[p->node].name, p->ns,
					 p->name),
		.netns = env_pod_netns(u->env, netns, p->ns, p->name),
		.log = env_pod_log(u->env, log, p->ns, p->name),
		.etc = env_file(u->env, etc, "etc"),
		.hosts = hosts,
		.hostname = p->name,
		.argv = argv,
	};
	pid_t pid;
	int r;

	if (!argv || !hosts)
		return -ENOMEM;
	r = task_start(&task, u->err, &pid);
	return r < 0 ? errbuf_set(u->err, r, "pod %s/%s: cannot start", p->ns, p->name) : 0;
}

static int pods_start(struct up *u, bool before)
{
	int r = 0;

	for (size_t i = 0; i < u->spec->pods.n && r == 0; i++) {
		const struct lab_pod *p = &u->spec->pods.p[i];

		if (p->command && p->start_before == before)
			r = pod_start(u, p);
	}
	return r;
}

static int step_early_pods(struct up *u)
{
	return pods_start(u, true);
}

static int step_weftd(struct up *u)
{
	int r = 0;

	for (size_t i = 0; u->weftd && i < u->spec->nodes.n && r == 0; i++)
		r = node_start(u->env, u->spec->nodes.p[i].name, u->weftd, u->err);
	return r;
}

static int step_ready(struct up *u)
{
	for (size_t i = 0; u->weftd && i < u->spec->nodes.n; i++) {
		const char *node = u->spec->nodes.p[i].name;
		int r = node_wait_ready(u->env, node, READY_TIMEOUT_MS, u->err);
		char path[LAB_PATH_MAX];

		if (r == -EINTR)
			return r;
		if (r < 0) {
			fprintf(stderr, "weft: last lines of weftd on %s:\n", node);
			log_tail(env_node_file(u->env, path, node, "weftd.log"), 15, stderr);
			return r;
		}
	}
	return 0;
}

static int step_enrol(struct up *u)
{
	for (size_t i = 0; u->weftd && i < u->spec->pods.n; i++) {
		const struct lab_pod *p = &u->spec->pods.p[i];
		char netns[LAB_PATH_MAX];
		_json_ json_t *reply = NULL;
		struct errbuf why = { 0 };

		if (!p->enrol)
			continue;
		reply = node_call(u->env, u->spec->nodes.p[p->node].name,
				  json_pack("{s:s, s:s, s:s, s:s}", "cmd", "pod.enrol", "namespace",
					    p->ns, "name", p->name, "netns",
					    env_pod_netns(u->env, netns, p->ns, p->name)),
				  &why);
		if (!reply)
			return errbuf_set(u->err, -EIO, "pod %s/%s: cannot enrol: %s", p->ns,
					  p->name, why.text);
	}
	return 0;
}

static int step_late_pods(struct up *u)
{
	return pods_start(u, false);
}

static int step_done(struct up *u)
{
	return state_write(u->env, u->spec, u->weftd, true, u->err);
}

static const struct step {
	const char *text; /* NULL: nothing to say */
	int (*run)(struct up *u);
} steps[] = {
	{ NULL, step_clean },
	{ "files", step_files },
	{ "certificate authority", step_ca },
	{ "network", step_network },
	{ "control groups", step_cgroups },
	{ "commands of pods that run before the mesh", step_early_pods },
	{ "daemons", step_weftd },
	{ "readiness", step_ready },
	{ "enrolment", step_enrol },
	{ "commands of the other pods", step_late_pods },
	{ NULL, step_done },
};

static int steps_run(struct up *u)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		uint64_t start = clock_mono_ns();
		int r = steps[i].run(u);

		if (r == 0 && env_wait(u->env, 0) < 0)
			r = -EINTR;
		if (r < 0)
			return errbuf_set(u->err, r, "%s: %s", steps[i].text ? steps[i].text : "lab",
					  r == -EINTR ? "interrupted" : strerror(-r));
		if (steps[i].text && u->opts->progress)
			fprintf(u->opts->progress, "  %-42s %6.1f ms\n", steps[i].text,
				(double)(clock_mono_ns() - start) / 1e6);
	}
	return 0;
}

int lab_up(struct lab_env *e, const struct lab_opts *o, const struct lab_spec *s,
	   struct errbuf *err)
{
	struct up u = { .env = e, .opts = o, .spec = s, .err = err };
	int r = weftd_find(&u);

	if (r < 0)
		return r;
	if (o->progress)
		fprintf(o->progress, "lab %s: %zu nodes, %zu pods, %zu services%s\n", e->name,
			s->nodes.n, s->pods.n, s->services.n, u.weftd ? "" : ", without weftd");
	r = steps_run(&u);
	if (r < 0 && u.begun) {
		struct errbuf ignored = { 0 };

		env_ignore_signals(e);
		lab_down(e, NULL, &ignored);
	}
	return r;
}
