// SPDX-License-Identifier: Apache-2.0
/* Names: which worker serves a pod's sockets, and what the kernel has to say to that. All of a pod's
 * names are one worker's work. */
#define LOG_SCOPE "dns"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "weft/abi.h"
#include "base/log.h"
#include "base/own.h"
#include "daemon/daemon.h"
#include "kern/kern.h"

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
