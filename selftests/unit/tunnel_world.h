/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * For the tests of tunnel/: HBONE from end to end in one process, two tunnels with real
 * certificates of the embedded CA, real TLS and HTTP/2, over loopback. Applications are socket
 * pairs served by threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "h2/frame.h"
#include "ident/ca.h"
#include "ident/store.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "relay/pump.h"
#include "tunnel/tunnel.h"

#define YEAR_S (365ull * 86400)
#define CLIENT "spiffe://cluster.local/ns/shop/sa/front"
#define SERVER "spiffe://cluster.local/ns/shop/sa/back"
#define OTHER "spiffe://cluster.local/ns/shop/sa/other"
#define STREAMS_MAX 130

struct world;

/* One relayed connection: both ends. */
struct pair {
	struct world *w;
	int client_app[2], server_app[2]; /* [0] application, [1] relay */
	struct pump client, server;
	struct tunnel_stream *stream;
	struct h2_headers req;
	size_t send, back;
	pthread_t thread[2];
	bool ok[2], opened, started;
	unsigned redials;
	enum weft_reason fail_why;
	unsigned fail_status;
	char fail_detail[256];
};

struct world {
	char dir[64];
	struct loop *loop;
	struct ident_store *ident;
	struct tunnel *client, *server;
	struct watch accept;
	struct timer tick;
	struct weft_ep listen;
	int fd;
	struct pair *pair[STREAMS_MAX];
	size_t n, accepted, left, refused;
	unsigned answer; /* status the server gives */
	const char *gateway; /* the identity of one on the way that the streams go through; NULL */
	bool redial; /* what a tunnel did not take, as conn/ does */
	bool late; /* the server's application takes its time: no answer but by answer_held() */
	struct tunnel_stream *held;
	char refused_why[256];
};

static inline void one_less(struct world *w)
{
	if (--w->left == 0)
		loop_stop_any(w->loop);
}

static inline void on_done(void *arg, enum weft_reason why)
{
	struct pair *p = arg;

	(void)why;
	/* As conn/ does: the relay's end of the socket is closed when the relay is over. */
	if (p->client.stopped)
		own_close(&p->client_app[1]);
	if (p->server.stopped)
		own_close(&p->server_app[1]);
	one_less(p->w);
}

static inline uint8_t byte_at(size_t i, unsigned seed)
{
	return (uint8_t)((i * 2654435761u + seed) >> 11);
}

struct side {
	struct pair *p;
	bool server;
};

/* Client: sends, ends, reads the answer. Server: reads all, then answers and ends. */
static inline bool talk(int fd, size_t out, unsigned out_seed, size_t in, unsigned in_seed, bool out_first)
{
	uint8_t buf[30000];

	for (int phase = 0; phase < 2; phase++) {
		bool sending = (phase == 0) == out_first;
		size_t n = sending ? out : in, at = 0;

		while (at < n) {
			size_t chunk = n - at < sizeof(buf) ? n - at : sizeof(buf);
			ssize_t got = (ssize_t)chunk;

			if (sending) {
				for (size_t i = 0; i < chunk; i++)
					buf[i] = byte_at(at + i, out_seed);
				if (send(fd, buf, chunk, MSG_NOSIGNAL) != (ssize_t)chunk)
					return false;
			} else {
				got = recv(fd, buf, chunk, 0);
				if (got <= 0)
					return false;
				for (ssize_t i = 0; i < got; i++)
					if (buf[i] != byte_at(at + (size_t)i, in_seed))
						return false;
			}
			at += (size_t)got;
		}
		if (sending)
			shutdown(fd, SHUT_WR);
		else if (recv(fd, buf, 1, 0) != 0)
			return false;
	}
	return true;
}

static inline void *client_app(void *arg)
{
	struct pair *p = arg;

	p->ok[0] = talk(p->client_app[0], p->send, 1, p->back, 2, true);
	return NULL;
}

static inline void *server_app(void *arg)
{
	struct pair *p = arg;

	p->ok[1] = talk(p->server_app[0], p->back, 2, p->send, 1, false);
	return NULL;
}

static inline void on_open(void *arg)
{
	struct pair *p = arg;
	const struct pump_opts o = { .on_done = on_done, .arg = p };

	p->opened = true;
	if (p->client.loop)
		return; /* started before the answer */
	pump_init(&p->client, p->w->loop, tunnel_chan(p->stream), &o);
	assert_int_equal(pump_start(&p->client, p->client_app[1]), 0);
}

static inline void dial(struct pair *p, const char *peer);

static inline void on_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	struct pair *p = arg;

	snprintf(p->fail_detail, sizeof(p->fail_detail), "%s", detail ? detail : "");
	p->stream = NULL;
	if (p->w->redial && status == TUNNEL_TRY_AGAIN && p->redials++ < 3) {
		dial(p, SERVER);
		return;
	}
	p->fail_why = why;
	p->fail_status = status;
	one_less(p->w);
}

static const struct tunnel_stream_ops client_ops = { on_open, on_fail };

static inline void server_open(void *arg)
{
	(void)arg;
}

static inline void server_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	(void)why;
	(void)status;
	(void)detail;
	one_less(((struct pair *)arg)->w);
}

static const struct tunnel_stream_ops server_ops = { server_open, server_fail };

static inline void on_request(void *arg, struct tunnel_stream *s, const struct h2_headers *h)
{
	struct world *w = arg;
	const struct pump_opts o = { .on_done = on_done, .arg = NULL };
	struct pump_opts mine = o;
	struct pair *p;
	uint16_t index;

	assert_true(str_eq(h->method, STR("CONNECT")));
	if (w->answer != 200) {
		tunnel_respond(s, w->answer, NULL);
		return;
	}
	/* The authority's port says which pair it is. */
	assert_string_equal(tunnel_peer_uri(s), CLIENT);
	struct str rest = h->authority;

	str_cut(&rest, ':');
	assert_int_equal(str_to_u16(rest, &index), 0);
	p = w->pair[index - 1];
	mine.arg = p;
	w->accepted++;
	tunnel_stream_claim(s, &server_ops, p);
	pump_init(&p->server, w->loop, tunnel_chan(s), &mine);
	if (w->late) {
		w->held = s;
		return;
	}
	assert_int_equal(tunnel_respond(s, 200, NULL), 0);
	assert_int_equal(pump_start(&p->server, p->server_app[1]), 0);
}

static inline void on_refused(void *arg, void *local, const struct weft_ep *peer, enum weft_reason why,
		       const char *detail)
{
	struct world *w = arg;

	(void)local;
	(void)peer;
	(void)why;
	w->refused++;
	snprintf(w->refused_why, sizeof(w->refused_why), "%s", detail ? detail : "");
}

static inline void local_put(void *arg, void *local)
{
	(void)arg;
	(void)local;
}

static const struct tunnel_ops ops = { on_request, on_refused, local_put };

static inline void on_accept(void *arg, uint32_t events)
{
	struct world *w = arg;
	int fd;

	(void)events;
	while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		tunnel_serve(w->server, fd, SERVER, w);
}

static inline int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ident_opts io = { .source = IDENT_CA, .node = "n1", .ttl_s = 3600 };
	struct errbuf err = { 0 };
	struct tunnel_opts o;

	w->answer = 200;
	snprintf(w->dir, sizeof(w->dir), "/tmp/weft-tu-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	io.ca_dir = w->dir;
	assert_int_equal(ca_init_root(w->dir, "cluster.local", 10 * YEAR_S, false, &err), 0);
	assert_int_equal(ca_init_node(w->dir, "n1", YEAR_S, &err), 0);
	assert_int_equal(loop_new(&w->loop, "test"), 0);
	assert_int_equal(ident_store_new(w->loop, &io, &err, &w->ident), 0);
	assert_int_equal(ident_want(w->ident, CLIENT), 0);
	assert_int_equal(ident_want(w->ident, SERVER), 0);
	o = (struct tunnel_opts){ .loop = w->loop, .ident = w->ident, .ops = &ops, .arg = w };
	assert_int_equal(tunnel_new(&o, &w->client), 0);
	assert_int_equal(tunnel_new(&o, &w->server), 0);
	w->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(w->fd, 100), 0);
	assert_int_equal(tcp_local(w->fd, &w->listen), 0);
	assert_int_equal(watch_add(w->loop, &w->accept, w->fd, EPOLLIN, on_accept, w), 0);
	*state = w;
	return 0;
}

static inline int teardown(void **state)
{
	struct world *w = *state;
	char cmd[128];

	watch_del(&w->accept);
	close(w->fd);
	tunnel_free(&w->client);
	tunnel_free(&w->server);
	for (size_t i = 0; i < w->n; i++) {
		struct pair *p = w->pair[i];

		for (int k = 0; k < 2; k++) {
			own_close(&p->client_app[k]);
			own_close(&p->server_app[k]);
		}
		free((void *)p->req.authority.p);
		free(p);
	}
	ident_store_free(&w->ident);
	loop_free(&w->loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	assert_int_equal(system(cmd), 0);
	free(w);
	return 0;
}

static inline void unix_pair(int fd[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
}

static inline void dial(struct pair *p, const char *peer)
{
	struct world *w = p->w;
	struct tunnel_dst dst = { .source_uri = CLIENT,
				  .peer_uri = peer,
				  .to = w->listen,
				  .netns_fd = -1,
				  .slot = 7 },
			  gateway = dst;

	gateway.peer_uri = w->gateway;
	dst.gateway = w->gateway ? &gateway : NULL;
	assert_int_equal(tunnel_dial(w->client, &dst, &p->req, &client_ops, p, &p->stream), 0);
}

static inline struct pair *pair_new(struct world *w, const char *peer, size_t send, size_t back)
{
	struct pair *p = calloc(1, sizeof(*p));
	char *authority = str_printf("127.0.0.1:%zu", w->n + 1);

	p->w = w;
	p->send = send;
	p->back = back;
	unix_pair(p->client_app);
	unix_pair(p->server_app);
	p->req.authority = str_of(authority);
	w->pair[w->n++] = p;
	w->left += 2;
	dial(p, peer);
	return p;
}

static inline void apps_start(struct pair *p)
{
	assert_int_equal(pthread_create(&p->thread[0], NULL, client_app, p), 0);
	assert_int_equal(pthread_create(&p->thread[1], NULL, server_app, p), 0);
	p->started = true;
}

static inline void apps_join(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		struct pair *p = w->pair[i];

		if (!p->started)
			continue;
		pthread_join(p->thread[0], NULL);
		pthread_join(p->thread[1], NULL);
		assert_true(p->ok[0] && p->ok[1]);
	}
}
