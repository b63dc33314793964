// SPDX-License-Identifier: Apache-2.0
/*
 * The sockets of a pod on its worker. Only what comes over the pod's own loopback, to an address that
 * stands for a nameserver, is looked at: nobody but the pod can ask.
 */
#define LOG_SCOPE "dns"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "dns/priv.h"
#include "io/tcp.h"

#define BATCH 64
#define PAUSE_NS (100 * NS_PER_MS)
#define LOOPBACK_IFINDEX 1u /* of lo, in every namespace */

static void reply(struct dns_pod *p, enum dns_socket via, const struct udp_packet *to, size_t n)
{
	if (n)
		udp_send(p->o.fd[via], p->w->out, n, &to->from, &to->to);
}

static void on_query(struct dns_pod *p, enum dns_socket via, const struct udp_packet *from)
{
	struct dns_worker *w = p->w;
	struct str msg = { (const char *)w->in, from->n };
	struct dns_series *s;
	size_t n;
	int r;

	if (from->ifindex != LOOPBACK_IFINDEX || !dns_pod_is_asked(p, &from->to) || from->cut)
		return;
	n = dns_serve(p, msg, false, w->out, DNS_ANSWER_UDP_MAX, &s);
	if (n) {
		reply(p, via, from, n);
		return;
	}
	r = dns_forward(p, via, from, msg, s);
	if (r == 0)
		return;
	log_debug("pod %s/%s: a query cannot be forwarded: %s", p->o.ns, p->o.name, log_strerror(r));
	reply(p, via, from, dnsmsg_refuse(w->out, sizeof(w->out), msg, DNS_SERVFAIL));
}

static void on_udp(struct dns_pod *p, enum dns_socket via)
{
	struct udp_packet packet;

	for (int i = 0; i < BATCH; i++) {
		int r = udp_recv(p->o.fd[via], p->w->in, sizeof(p->w->in), &packet);

		/* Others are errors of what was sent before. */
		if (r == -EAGAIN)
			return;
		if (r == 0)
			on_query(p, via, &packet);
	}
}

static void on_udp4(void *arg, uint32_t events)
{
	(void)events;
	on_udp(arg, DNS_UDP4);
}

static void on_udp6(void *arg, uint32_t events)
{
	(void)events;
	on_udp(arg, DNS_UDP6);
}

static void on_tcp(void *arg, uint32_t events);

static void on_pause_over(void *arg)
{
	struct dns_pod *p = arg;

	if (watch_add(p->w->loop, &p->watch[DNS_TCP], p->o.fd[DNS_TCP], EPOLLIN, on_tcp, p) < 0)
		timer_set(p->w->loop, &p->pause, PAUSE_NS, on_pause_over, p);
}

static void on_tcp(void *arg, uint32_t events)
{
	struct dns_pod *p = arg;

	(void)events;
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(p->o.fd[DNS_TCP], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			dns_stream_new(p, fd);
			continue;
		}
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		/* Out of descriptors or memory: new connections wait in the backlog. */
		log_warn("pod %s/%s: accept of a question: %s, trying again in 100 ms", p->o.ns,
			 p->o.name, log_strerror(-errno));
		watch_del(&p->watch[DNS_TCP]);
		timer_set(p->w->loop, &p->pause, PAUSE_NS, on_pause_over, p);
		return;
	}
}

static void pod_free(struct dns_pod *p)
{
	for (int i = 0; i < DNS_SOCKETS; i++)
		watch_del(&p->watch[i]);
	timer_cancel(&p->pause);
	dns_queries_drop(p);
	dns_streams_drop(p);
	list_del(&p->node);
	own_close(&p->o.netns_fd);
	own_close(&p->conntrack_fd);
	free((char *)(uintptr_t)p->o.ns);
	free((char *)(uintptr_t)p->o.name);
	free(p);
}

int dns_pod_start(struct dns_worker *w, const struct dns_pod_opts *o)
{
	static const watch_fn on[DNS_SOCKETS] = { on_udp4, on_udp6, on_tcp };
	struct dns_pod *p = calloc(1, sizeof(*p));
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->w = w;
	p->o = *o;
	p->conntrack_fd = -1;
	list_init(&p->node);
	list_init(&p->queries);
	list_init(&p->streams);
	p->o.ns = str_dup(str_of(o->ns));
	p->o.name = str_dup(str_of(o->name));
	p->o.netns_fd = o->netns_fd < 0 ? -1 : fcntl(o->netns_fd, F_DUPFD_CLOEXEC, 0);
	if (!p->o.ns || !p->o.name)
		r = -ENOMEM;
	else if (o->netns_fd >= 0 && p->o.netns_fd < 0)
		r = -errno;
	for (int i = 0; i < DNS_SOCKETS && r == 0; i++)
		if (o->fd[i] >= 0)
			r = watch_add(w->loop, &p->watch[i], o->fd[i], EPOLLIN, on[i], p);
	if (r < 0) {
		pod_free(p);
		return r;
	}
	list_add_tail(&w->pods, &p->node);
	return 0;
}

void dns_pod_stop(struct dns_worker *w, uint64_t cookie)
{
	list_for_each_safe(n, &w->pods) {
		struct dns_pod *p = list_entry(n, struct dns_pod, node);

		if (p->o.cookie == cookie)
			pod_free(p);
	}
}

int dns_worker_new(struct loop *loop, const struct dns_shared *sh, struct dns_worker **ret)
{
	struct dns_worker *w = malloc(sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->loop = loop;
	w->sh = sh;
	list_init(&w->pods);
	*ret = w;
	return 0;
}

void dns_worker_free(struct dns_worker **pw)
{
	struct dns_worker *w = *pw;

	if (!w)
		return;
	*pw = NULL;
	while (!list_empty(&w->pods))
		pod_free(list_first(&w->pods, struct dns_pod, node));
	free(w);
}
