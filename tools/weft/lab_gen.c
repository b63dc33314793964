// SPDX-License-Identifier: Apache-2.0
/*
 * From the description of a lab: the mesh file in the shape that ztunnel reads from
 * LOCAL_XDS_PATH, a weftd.yaml for each node, and /etc/hosts for the pods. Used by up and
 * apply; no state; one thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "lab_env.h"
#include "lab_gen.h"
#include "lab_json.h"
#include "lab_spec.h"

static json_t *addr_pair(const struct weft_addr *v4, const struct weft_addr *v6, const char *prefix)
{
	char a[IP_TEXT_MAX], b[IP_TEXT_MAX];

	return json_pack("[s+, s+]", prefix, ip_format(a, v4), prefix, ip_format(b, v6));
}

/* "name" means a policy of the pod's namespace. */
static json_t *pod_policies(const struct lab_pod *p)
{
	json_t *list = json_array();
	json_t *item;
	size_t i;

	json_array_foreach(p->policies, i, item) {
		const char *name = json_string_value(item);

		if (!name)
			continue;
		json_array_append_new(list, strchr(name, '/') ?
						    json_string(name) :
						    json_sprintf("%s/%s", p->ns, name));
	}
	return list;
}

static uint32_t pod_weight(const struct lab_spec *s, const struct lab_pod *p)
{
	uint32_t weight = p->weight;

	lab_for_each(const struct lab_service, v, &s->services) {
		const json_t *w = json_object_get(v->weights, p->name);

		if (w && strcmp(v->ns, p->ns) == 0)
			weight = (uint32_t)json_integer_value(w);
	}
	return weight;
}

static json_t *pod_services(const struct lab_spec *s, const struct lab_pod *p)
{
	json_t *services = json_object();

	lab_for_each(const struct lab_service, v, &s->services) {
		_free_ char *key = NULL;

		if (!lab_service_selects(v, p))
			continue;
		key = str_printf("%s/%s", v->ns, v->hostname);
		if (key)
			json_object_set(services, key, v->ports);
	}
	return services;
}

static json_t *gen_workload(const struct lab_spec *s, const struct lab_pod *p)
{
	const char *protocol = p->protocol ? p->protocol : p->enrol ? "HBONE" : "TCP";
	uint32_t weight = pod_weight(s, p);
	json_t *w = json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s,"
			      " s:s, s:o, s:o}",
			      "uid", json_sprintf("Kubernetes//Pod/%s/%s", p->ns, p->name),
			      "name", p->name, "namespace", p->ns,
			      "serviceAccount", p->service_account,
			      "workloadIps", addr_pair(&p->v4, &p->v6, ""), "protocol", protocol,
			      "node", s->nodes.p[p->node].name, "canonicalName", p->app,
			      "canonicalRevision", p->revision, "workloadName", p->app,
			      "workloadType", "deployment", "status", "Healthy",
			      "clusterId", "Kubernetes", "trustDomain", "cluster.local",
			      "authorizationPolicies", pod_policies(p),
			      "services", pod_services(s, p));

	if (w && weight)
		json_object_set_new(w, "capacity", json_integer(weight));
	if (w && p->mesh)
		json_object_update(w, p->mesh);
	return w;
}

static json_t *gen_service(const struct lab_service *v)
{
	json_t *vips = v->headless ? json_array() : addr_pair(&v->v4, &v->v6, "/");
	json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:O}", "name", v->name, "namespace", v->ns,
			      "hostname", v->hostname, "vips", vips, "ports", v->ports);

	if (j && v->mesh)
		json_object_update(j, v->mesh);
	return j;
}

json_t *gen_mesh(const struct lab_spec *s)
{
	_json_ json_t *workloads = json_array();
	_json_ json_t *services = json_array();
	int r = 0;

	lab_for_each(const struct lab_pod, p, &s->pods)
		r |= json_array_append_new(workloads, gen_workload(s, p));
	lab_for_each(const struct lab_service, v, &s->services)
		r |= json_array_append_new(services, gen_service(v));
	if (s->workloads)
		r |= json_array_extend(workloads, s->workloads);
	if (r < 0)
		return NULL;
	return json_pack("{s:O, s:O, s:o}", "workloads", workloads, "services", services,
			 "policies", s->policies ? json_incref(s->policies) : json_array());
}

json_t *gen_weftd(const struct lab_env *e, const struct lab_spec *s, const struct lab_node *n)
{
	char pins[LAB_PATH_MAX], run[LAB_PATH_MAX], cgroup[LAB_PATH_MAX], log[LAB_PATH_MAX];
	json_t *j = json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "node", n->name,
			      "mesh_file", json_sprintf("%s/mesh.yaml", e->dir), "run_dir",
			      env_file(e, run, n->name), "pin_dir", env_node_pins(e, pins, n->name),
			      "cgroup", env_node_cgroup(e, cgroup, n->name, ""), "uplink", "eth0",
			      "certificates", "ca", "certificates_dir",
			      json_sprintf("%s/ca", e->dir), "access_log",
			      env_node_file(e, log, n->name, "access.log"));

	if (j && s->weftd)
		json_object_update(j, s->weftd);
	return j;
}

int gen_mesh_write(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err)
{
	_json_ json_t *mesh = gen_mesh(s);
	char path[LAB_PATH_MAX];

	if (!mesh)
		return errbuf_set(err, -ENOMEM, "no memory for the mesh file");
	return json_write_file(env_file(e, path, "mesh.yaml"), mesh, true, err);
}

static void host_line(FILE *f, const struct weft_addr *a, const char *ns, const char *name,
		      bool short_name)
{
	char text[IP_TEXT_MAX];

	fprintf(f, "%s %s.%s." LAB_DOMAIN " %s.%s%s%s\n", ip_format(text, a), name, ns, name, ns,
		short_name ? " " : "", short_name ? name : "");
}

static void service_hosts(FILE *f, const struct lab_spec *s, const struct lab_service *v,
			  bool short_name)
{
	if (!v->headless) {
		host_line(f, &v->v4, v->ns, v->name, short_name);
		host_line(f, &v->v6, v->ns, v->name, short_name);
		return;
	}
	lab_for_each(const struct lab_pod, p, &s->pods) {
		if (lab_service_selects(v, p)) {
			host_line(f, &p->v4, v->ns, v->name, short_name);
			host_line(f, &p->v6, v->ns, v->name, short_name);
		}
	}
}

/* A service wins over a pod of the same name. */
static void pod_hosts(FILE *f, const struct lab_spec *s, const struct lab_pod *p, bool short_name)
{
	char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];

	lab_for_each(const struct lab_service, v, &s->services) {
		if (strcmp(v->ns, p->ns) == 0 && strcmp(v->name, p->name) == 0)
			return;
	}
	ip_format(v4, &p->v4);
	ip_format(v6, &p->v6);
	fprintf(f, "%s %s.%s%s%s\n", v4, p->name, p->ns, short_name ? " " : "",
		short_name ? p->name : "");
	fprintf(f, "%s %s.%s%s%s\n", v6, p->name, p->ns, short_name ? " " : "",
		short_name ? p->name : "");
}

/* The inode stays, because pods have it bind mounted; one write, then the rest is cut off, so
 * that a resolver at work at most sees an old tail. */
static int file_overwrite(const char *path, const char *text, size_t n, struct errbuf *err)
{
	_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n || ftruncate(fd, (off_t)n) < 0)
		return errbuf_set(err, -errno, "%s: cannot write: %s", path, strerror(errno));
	return 0;
}

/* Short names are those of ns. */
static int hosts_write(const struct lab_env *e, const struct lab_spec *s, const char *ns,
		       struct errbuf *err)
{
	_free_ char *text = NULL;
	_free_ char *file = str_printf("etc/hosts.%s", ns);
	char path[LAB_PATH_MAX];
	size_t n = 0;
	FILE *f = file ? open_memstream(&text, &n) : NULL;

	if (!f)
		return -ENOMEM;
	fputs("127.0.0.1 localhost\n::1 localhost\n", f);
	lab_for_each(const struct lab_service, v, &s->services)
		service_hosts(f, s, v, strcmp(v->ns, ns) == 0);
	lab_for_each(const struct lab_pod, p, &s->pods)
		pod_hosts(f, s, p, strcmp(p->ns, ns) == 0);
	if (fclose(f) != 0)
		return -ENOMEM;
	return file_overwrite(env_file(e, path, file), text, n, err);
}

int gen_etc_write(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err)
{
	/* No nameserver: a name that is not in the lab fails at once instead of after 10 s. */
	const struct str resolv = STR("# weft lab: names come from /etc/hosts\n"
				      "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
	char path[LAB_PATH_MAX];
	int r = dir_make(env_file(e, path, "etc"), 0755, err);

	if (r == 0)
		r = file_overwrite(env_file(e, path, "etc/resolv.conf"), resolv.p, resolv.n, err);
	for (size_t i = 0; i < s->pods.n && r == 0; i++) {
		bool first = true;

		for (size_t k = 0; k < i && first; k++)
			first = strcmp(s->pods.p[i].ns, s->pods.p[k].ns) != 0;
		if (first)
			r = hosts_write(e, s, s->pods.p[i].ns, err);
	}
	return r;
}
