// SPDX-License-Identifier: Apache-2.0
/* Names: which worker serves a pod's sockets, and what the kernel has to say to that. All of a pod's
 * names are one worker's work. */
#define LOG_SCOPE "dns"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "weft/abi.h"
#include "base/log.h"
#include "base/own.h"
#include "admin/views.h"
#include "daemon/daemon.h"
#include "dns/table.h"
#include "kern/kern.h"
#include "pod/pods.h"

#define NAMESERVER_PORT 53

/* On a worker. */
static int on_nameserver(void *arg, const struct weft_dns_key *key, struct weft_ep *ret)
{
	struct daemon *d = arg;
	struct weft_addr a;
	int r;

	if (!key->n) {
		if (!d->own_nameserver.port)
			return -ENOENT;
		*ret = d->own_nameserver;
		return 0;
	}
	r = kern_dns_any(d->kern, key, &a);
	if (r < 0)
		return r;
	*ret = (struct weft_ep){ .addr = a, .port = NAMESERVER_PORT };
	return 0;
}

/* On a worker. Over TCP a nameserver that is in the mesh is reached as the pod would reach it: by the
 * relay, with the pod's identity. */
static int on_mark(void *arg, int fd, bool tcp, bool rules)
{
	struct daemon *d = arg;
	uint32_t pass = WEFT_PASS_MARK;

	if (rules && setsockopt(fd, SOL_SOCKET, SO_MARK, &pass, sizeof(pass)) < 0)
		return -errno;
	return tcp && !rules ? kern_asks_mark_any(d->kern, fd) : kern_own_mark_any(d->kern, fd);
}

/* The first one of resolv.conf. */
static void own_nameserver_read(struct daemon *d)
{
	_fclose_ FILE *f = fopen("/etc/resolv.conf", "re");
	char line[512], word[64];

	while (f && fgets(line, sizeof(line), f)) {
		struct weft_ep ep = { .port = NAMESERVER_PORT };

		if (sscanf(line, " nameserver %63s", word) != 1 ||
		    ip_parse(str_of(word), &ep.addr) < 0)
			continue;
		d->own_nameserver = ep;
		return;
	}
}

void names_prepare(struct daemon *d)
{
	own_nameserver_read(d);
	d->names = (struct dns_shared){ .model = d->model,
					.count = d->dnscount,
					.domain = d->opts.cluster_domain,
					.preferred = d->opts.preferred_ns,
					.nameserver = on_nameserver,
					.mark = on_mark,
					.arg = d };
}

static struct worker *worker_of(struct daemon *d, const struct conn_local *l)
{
	return &d->worker[l->slot % d->n_workers];
}

struct listen_call {
	struct dns_pod_opts o;
	int result;
};

static void do_listen(struct worker *w, void *arg)
{
	struct listen_call *c = arg;

	c->result = dns_pod_start(w->names, &c->o);
}

int names_listen(void *arg, struct conn_local *l, const int *fd, bool rules)
{
	struct listen_call c = { .o = { .ns = l->ns,
					.name = l->name,
					.cookie = l->cookie,
					.netns_fd = l->netns_fd,
					.v6 = !ip_is_any(&l->v6),
					.rules = rules },
				 .result = -ENOMEM };

	for (int i = 0; i < DNS_SOCKETS; i++)
		c.o.fd[i] = fd[i];
	worker_call(worker_of(arg, l), do_listen, &c);
	return c.result;
}

static void do_unlisten(struct worker *w, void *arg)
{
	const struct conn_local *l = arg;

	dns_pod_stop(w->names, l->cookie);
}

void names_unlisten(void *arg, struct conn_local *l)
{
	worker_call(worker_of(arg, l), do_unlisten, l);
}

/* ---- the command "dns": how a name is answered to a pod of this node */

struct pod_of {
	const char *ns, *name;
	const struct pod *pod;
};

static void find_pod(void *arg, const struct pod *pod)
{
	struct pod_of *want = arg;

	if (strcmp(pod->local->ns, want->ns) == 0 && strcmp(pod->local->name, want->name) == 0)
		want->pod = pod;
}

static json_t *addrs_view(const struct dns_found *f, const struct dns_client *c, enum dns_type type)
{
	struct weft_addr addrs[64]; /* for people; the answer may have more */
	size_t n = f->svc ? dns_table_addrs(f->svc, c, type, addrs, ARRAY_LEN(addrs)) : 0;
	json_t *list = json_array();
	char text[IP_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(ip_format(text, &addrs[i])));
	return list;
}

/* Those that the pod has asked so far. */
static json_t *nameservers_view(struct daemon *d, const struct pod *pod)
{
	struct weft_dns_key key = { .cookie = pod->local->cookie };
	json_t *list = json_array();
	char text[IP_TEXT_MAX];
	struct weft_addr a;

	for (key.v6 = 0; key.v6 <= 1; key.v6++)
		for (key.n = 1; key.n <= WEFT_DNS_MAX; key.n++)
			if (kern_dns_any(d->kern, &key, &a) == 0)
				json_array_append_new(list, json_string(ip_format(text, &a)));
	return list;
}

static const char *capture_text(const struct pod *pod)
{
	if (pod->dns_fd[DNS_UDP4] < 0)
		return "none";
	return pod->zds_uid ? "rules" : "hooks";
}

/* As it stands in a question: lower case, without the final dot. */
static int name_normal(char *buf, size_t cap, const char *name)
{
	int r = str_copy(buf, cap, str_of(name));
	size_t n = r < 0 ? 0 : strlen(buf);

	if (n && buf[n - 1] == '.')
		buf[n - 1] = '\0';
	for (char *c = buf; r == 0 && *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	return r;
}

json_t *on_dns(void *arg, const json_t *req, struct errbuf *err)
{
	const struct snap *s = model_snap(((struct daemon *)arg)->model);
	struct daemon *d = arg;
	struct dns_client c = { .domain = d->opts.cluster_domain, .preferred = d->opts.preferred_ns };
	char text[DNS_NAME_MAX + 2];
	struct pod_of want = { 0 };
	const struct workload *w;
	struct dns_found f;
	const char *name;

	if (json_unpack((json_t *)req, "{s:s, s:s, s:s}", "name", &name, "namespace", &want.ns,
			"pod", &want.name) < 0 ||
	    name_normal(text, sizeof(text), name) < 0) {
		errbuf_set(err, -EINVAL, "dns needs name, namespace and pod");
		return NULL;
	}
	pods_each(d->pods, find_pod, &want);
	if (!want.pod) {
		errbuf_set(err, -ENOENT, "pod %s/%s is not enrolled here", want.ns, want.name);
		return NULL;
	}
	w = snap_workload_by_pod(s, want.ns, want.name);
	c.ns = want.ns;
	c.network = w ? w->network : "";
	c.v6 = !ip_is_any(&want.pod->local->v6);
	dns_table_find(s, &c, str_of(text), &f);
	return json_pack("{s:o, s:s, s:o, s:o, s:b, s:o, s:o, s:i, s:s, s:o}", "name",
			 view_text(text), "answered_by",
			 f.svc && want.pod->dns_fd[DNS_UDP4] >= 0 ? "weftd" : "nameserver",
			 "service", view_text(f.svc ? f.svc->key : ""), "alias", view_text(f.alias),
			 "wildcard", f.wildcard, "a", addrs_view(&f, &c, DNS_A), "aaaa",
			 addrs_view(&f, &c, DNS_AAAA), "ttl_s", DNS_TTL_S, "capture",
			 capture_text(want.pod), "nameservers", nameservers_view(d, want.pod));
}
