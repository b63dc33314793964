// SPDX-License-Identifier: Apache-2.0
/* From a server's name to bytes; see link.h. */
#include "h2/link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/log.h"
#include "base/own.h"
#include "io/loop.h"
#include "io/resolve.h"
#include "io/tcp.h"
#include "tls/client.h"

#define RESOLVE_NS (15 * NS_PER_S)
#define CONNECT_NS (5 * NS_PER_S)
#define HANDSHAKE_NS (5 * NS_PER_S)

enum link_state { LINK_RESOLVING, LINK_CONNECTING, LINK_SHAKING, LINK_UP, LINK_FAILED };

struct h2_link {
	struct loop *loop;
	const struct h2_link_ops *ops;
	void *arg;
	char *host, *alt_name, *roots_pem;
	uint16_t port;
	bool plaintext, want_write;
	enum link_state state;
	struct resolve *resolve;
	struct weft_ep ep[RESOLVE_MAX];
	size_t n_eps, next_ep;
	int fd;
	struct watch watch;
	struct timer deadline;
	struct task failed;
	struct tls_client *tls;
	struct errbuf err;
	char peer[IP_TEXT_MAX];
};

static void try_next(struct h2_link *l);

static void report_failed(void *arg)
{
	struct h2_link *l = arg;

	l->ops->on_failed(l->arg, l->err.text);
}

/* Once all addresses were tried; the last one's failure is the one that is told. */
static void fail(struct h2_link *l)
{
	l->state = LINK_FAILED;
	timer_cancel(&l->deadline);
	watch_del(&l->watch);
	task_defer(l->loop, &l->failed, report_failed, l);
}

static void drop_socket(struct h2_link *l)
{
	timer_cancel(&l->deadline);
	watch_del(&l->watch);
	tls_client_free(&l->tls);
	own_close(&l->fd);
}

static void try_failed(struct h2_link *l, const char *why)
{
	l->err.text[0] = '\0';
	errbuf_set(&l->err, 0, "%s: %s", l->peer, why);
	drop_socket(l);
	try_next(l);
}

static void on_deadline(void *arg)
{
	struct h2_link *l = arg;

	if (l->state == LINK_RESOLVING) {
		resolve_free(&l->resolve);
		errbuf_set(&l->err, 0, "the name %s could not be resolved in time", l->host);
		fail(l);
		return;
	}
	try_failed(l, l->state == LINK_CONNECTING ? "no answer to the connect"
						  : "no end of the TLS handshake");
}

static void go_up(struct h2_link *l)
{
	l->state = LINK_UP;
	timer_cancel(&l->deadline);
	watch_set(&l->watch, EPOLLIN | (l->want_write ? EPOLLOUT : 0u));
	l->ops->on_up(l->arg);
}

static void shake(struct h2_link *l)
{
	int r = tls_client_handshake(l->tls);

	if (r == -EAGAIN) {
		watch_set(&l->watch, tls_client_wants_write(l->tls) ? EPOLLOUT : EPOLLIN);
		return;
	}
	if (r < 0)
		try_failed(l, tls_client_error(l->tls));
	else
		go_up(l);
}

static void on_connected(struct h2_link *l)
{
	struct errbuf why = { 0 };
	struct tls_client_opts o = { .fd = l->fd,
				     .roots_pem = str_of(l->roots_pem),
				     .name = l->host,
				     .alt_name = l->alt_name };
	int r = tcp_connect_result(l->fd);

	if (r < 0) {
		try_failed(l, log_strerror(r));
		return;
	}
	if (l->plaintext) {
		go_up(l);
		return;
	}
	r = tls_client_new(&o, &why, &l->tls);
	if (r < 0) {
		try_failed(l, why.text[0] ? why.text : log_strerror(r));
		return;
	}
	l->state = LINK_SHAKING;
	timer_set(l->loop, &l->deadline, HANDSHAKE_NS, on_deadline, l);
	shake(l);
}

static void on_event(void *arg, uint32_t events)
{
	struct h2_link *l = arg;

	(void)events;
	if (l->state == LINK_CONNECTING)
		on_connected(l);
	else if (l->state == LINK_SHAKING)
		shake(l);
	else if (l->state == LINK_UP)
		l->ops->on_ready(l->arg);
}

static void try_next(struct h2_link *l)
{
	struct tcp_connect_opts o = { .netns_fd = -1 };
	int r;

	while (l->next_ep < l->n_eps) {
		o.to = l->ep[l->next_ep++];
		ip_format_ep(l->peer, &o.to);
		l->fd = tcp_connect(&o);
		r = l->fd < 0 ? l->fd : watch_add(l->loop, &l->watch, l->fd, EPOLLOUT, on_event, l);
		if (r == 0) {
			l->state = LINK_CONNECTING;
			timer_set(l->loop, &l->deadline, CONNECT_NS, on_deadline, l);
			return;
		}
		l->err.text[0] = '\0';
		errbuf_set(&l->err, 0, "%s: %s", l->peer, log_strerror(r));
		drop_socket(l);
	}
	fail(l);
}

static void on_resolved(void *arg, int r, const struct weft_ep *ep, size_t n)
{
	struct h2_link *l = arg;

	timer_cancel(&l->deadline);
	if (r < 0) {
		errbuf_set(&l->err, 0, "the name %s cannot be resolved: %s", l->host,
			   r == -ENOENT ? "there is no such name" : log_strerror(r));
		fail(l);
		return;
	}
	memcpy(l->ep, ep, n * sizeof(*ep));
	l->n_eps = n;
	try_next(l);
}

int link_open(struct loop *loop, const struct sess_opts *o, const struct h2_link_ops *ops,
	      void *arg, struct h2_link **ret)
{
	cleanup_with(link_free) struct h2_link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->ops = ops;
	l->arg = arg;
	l->fd = -1;
	l->port = o->port;
	l->plaintext = o->plaintext;
	l->host = str_dup(str_of(o->host));
	l->alt_name = str_dup(str_of(o->alt_name));
	l->roots_pem = str_dup(str_of(o->roots_pem));
	if (!l->host || !l->alt_name || !l->roots_pem)
		return -ENOMEM;
	r = resolve_start(loop, o->host, o->port, on_resolved, l, &l->resolve);
	if (r < 0)
		return r;
	timer_set(loop, &l->deadline, RESOLVE_NS, on_deadline, l);
	*ret = TAKE_PTR(l);
	return 0;
}

void link_free(struct h2_link **pl)
{
	struct h2_link *l = TAKE_PTR(*pl);

	if (!l)
		return;
	drop_socket(l);
	task_cancel(&l->failed);
	resolve_free(&l->resolve);
	free(l->host);
	free(l->alt_name);
	free(l->roots_pem);
	free(l);
}

static ssize_t io_result(struct h2_link *l, ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	errbuf_set(&l->err, 0, "%s", log_strerror(-errno));
	return -EPROTO;
}

static ssize_t tls_result(struct h2_link *l, ssize_t n)
{
	if (n < 0 && n != -EAGAIN)
		errbuf_set(&l->err, 0, "%s", tls_client_error(l->tls));
	return n;
}

ssize_t link_read(struct h2_link *l, void *buf, size_t cap)
{
	if (l->tls)
		return tls_result(l, tls_client_read(l->tls, buf, cap));
	return io_result(l, recv(l->fd, buf, cap, 0));
}

ssize_t link_write(struct h2_link *l, const void *p, size_t n)
{
	if (l->tls)
		return tls_result(l, tls_client_write(l->tls, p, n));
	return io_result(l, send(l->fd, p, n, MSG_NOSIGNAL));
}

int link_want_write(struct h2_link *l, bool want)
{
	l->want_write = want;
	if (l->state != LINK_UP)
		return 0;
	return watch_set(&l->watch, EPOLLIN | (want ? EPOLLOUT : 0u));
}

const char *link_error(const struct h2_link *l)
{
	return l->err.text;
}

const char *link_peer(const struct h2_link *l)
{
	return l->peer;
}
