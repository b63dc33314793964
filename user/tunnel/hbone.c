// SPDX-License-Identifier: Apache-2.0
/*
 * One HBONE connection from socket to end: events, deadlines, teardown. Sending is in send.c,
 * receiving in recv.c, the handshake in shake.c, streams in stream.c.
 */
#define LOG_SCOPE "tunnel"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "io/tcp.h"
#include "tunnel/priv.h"

/* Later in the turn in which it was closed, when nothing on the stack knows it any more. */
void hbone_free(void *arg)
{
	struct hbone *hb = arg;

	OBJ_CHECK(hb, HBONE_MAGIC);
	hb->magic = 0;
	list_del(&hb->node);
	task_cancel(&hb->free_later);
	tls_chain_free(&hb->chain);
	free(hb->own_uri);
	free(hb->peer_uri);
	free(hb->want_uri);
	for (size_t i = 0; i < hb->n_want_alts; i++)
		free(hb->want_alts[i]);
	free(hb->want_alts);
	free(hb);
}

static void streams_end(struct hbone *hb, enum weft_reason why, const char *detail)
{
	/* Of an extra one that did not come up the others may take the streams. */
	unsigned status = hb->extra || hb->again ? TUNNEL_TRY_AGAIN : 0;

	if (hb->extra && !list_empty(&hb->waiting))
		hb->t->extra_after_ns = loop_now(hb->t->loop) + HBONE_EXTRA_PAUSE_NS;
	while (!list_empty(&hb->waiting))
		stream_fail(list_first(&hb->waiting, struct tunnel_stream, node), why, status,
			    detail);
	if (!hb->h2_ready)
		return;
	for (;;) {
		struct hnode *n = hmap_walk(&hb->h2.streams, NULL);

		if (!n)
			break;
		stream_fail(container_of(container_of(n, struct h2_stream, by_id),
					 struct tunnel_stream, h2),
			    why, 0, detail);
	}
}

void hbone_close(struct hbone *hb, enum weft_reason why, const char *detail)
{
	struct tunnel *t = hb->t;
	bool was_ready = hb->phase == HBONE_READY;

	if (hb->phase == HBONE_CLOSED)
		return;
	hb->phase = HBONE_CLOSED;
	t->stats.ended[hb->server][why]++;
	log_debug("%s of %s, peer %s: closed: %s", hb->server ? "server" : "client",
		  hb->own_uri ? hb->own_uri : "?", hb->peer_uri ? hb->peer_uri : "?",
		  detail ? detail : "");
	pool_remove(hb);
	watch_del(&hb->watch);
	timer_cancel(&hb->timer);
	task_cancel(&hb->flush);
	timer_cancel(&hb->flush_soon);
	task_cancel(&hb->read_again);
	if (hb->server && !was_ready) {
		t->n_shaking--;
		list_del(&hb->shaking);
		t->ops->on_refused(t->arg, hb->local, &hb->peer_ep, why, detail);
	}
	streams_end(hb, why, detail);
	if (hb->h2_ready)
		h2_conn_fini(&hb->h2);
	hb->h2_ready = false;
	if (hb->rec_ready)
		record_fini(&hb->rec);
	hb->rec_ready = false;
	tls_hs_free(&hb->hs);
	tls_identity_put(&hb->identity);
	own_close(&hb->fd);
	if (hb->nest)
		nest_inner_gone(hb->nest);
	hb->nest = NULL;
	free(hb->out);
	hb->out = NULL;
	free(hb->in);
	hb->in = NULL;
	list_del(&hb->node);
	list_add_tail(&t->dead, &hb->node);
	if (hb->server) {
		t->stats.server_conns--;
		t->ops->local_put(t->arg, hb->local);
	} else {
		t->stats.client_conns--;
	}
	hbone_put(hb);
}

/* A stream that ended well may still deliver to a slow application when its connection has
 * gone; the last of them lets go of it. */
void hbone_put(struct hbone *hb)
{
	OBJ_CHECK(hb, HBONE_MAGIC);
	if (--hb->refs == 0)
		task_defer(hb->t->loop, &hb->free_later, hbone_free, hb);
}

void hbone_moved(struct hbone *hb, size_t n)
{
	uint64_t span = loop_now(hb->t->loop) - hb->moved_since_ns;

	hb->moved += n;
	if (span < HBONE_BUSY_NS)
		return;
	/* In the first span after a pause the bytes are few for its length, which is right. */
	hb->busy = hb->moved / (span / NS_PER_MS) >= hb->t->busy_rate / 1000;
	hb->moved = 0;
	hb->moved_since_ns += span;
}

bool hbone_is_busy(const struct hbone *hb)
{
	return hb->busy && loop_now(hb->t->loop) - hb->moved_since_ns < 2 * HBONE_BUSY_NS;
}

void hbone_flush_later(struct hbone *hb)
{
	if (hb->phase != HBONE_CLOSED)
		task_defer(hb->t->loop, &hb->flush, hbone_flush, hb);
}

void hbone_flush_soon(struct hbone *hb)
{
	if (hb->phase == HBONE_CLOSED)
		return;
	hb->patient = hb->h2.out_n;
	if (!timer_armed(&hb->flush_soon))
		timer_set(hb->t->loop, &hb->flush_soon, HBONE_ANSWER_NS, hbone_flush, hb);
}

void hbone_flush_due(struct hbone *hb)
{
	if (hb->h2.out_n > hb->patient)
		hbone_flush_later(hb);
}

bool hbone_has_expired(const struct hbone *hb)
{
	return hb->phase == HBONE_READY && clock_wall_s() >= hb->until_s;
}

void hbone_retire(struct hbone *hb)
{
	pool_remove(hb);
	if (hb->draining)
		return;
	hb->draining = true;
	h2_conn_goaway(&hb->h2, H2_NO_ERROR);
	hbone_flush_later(hb);
}

/* Every ping_ns: is the peer alive, is the connection still needed? */
static void on_tick(void *arg)
{
	struct hbone *hb = arg;
	uint64_t now = loop_now(hb->t->loop), span = hb->t->ping_ns;

	if (hb->phase != HBONE_READY) {
		hbone_close(hb, WEFT_REASON_TIMEOUT, "no TLS handshake within 10 s");
		return;
	}
	/* Silence is the peer's only if it was asked: weftd itself may have been held up. */
	if (now - hb->last_rx_ns > HBONE_DEAD * span && hb->last_ping_ns > hb->last_rx_ns) {
		hbone_close(hb, WEFT_REASON_TUNNEL_LOST, "the peer does not answer pings");
		return;
	}
	if (hbone_has_expired(hb))
		hbone_retire(hb);
	if (hb->h2.n_streams || hb->refs > 1)
		hb->idle_since_ns = 0;
	else if (!hb->idle_since_ns)
		hb->idle_since_ns = now;
	if (hb->idle_since_ns && ((hb->draining && !hb->out_n) ||
				  (!hb->server && now - hb->idle_since_ns > HBONE_IDLE_NS))) {
		hbone_close(hb, WEFT_REASON_OK, hb->draining ? "drained" : "idle");
		return;
	}
	if (now - hb->last_rx_ns >= span) {
		h2_conn_ping(&hb->h2, now);
		hb->last_ping_ns = now;
		hbone_flush_later(hb);
	}
	timer_set(hb->t->loop, &hb->timer, span, on_tick, hb);
}

void hbone_watch_peer(struct hbone *hb)
{
	timer_set(hb->t->loop, &hb->timer, hb->t->ping_ns, on_tick, hb);
}

/* Not at once: what both sides still say about the last stream is read before. */
void hbone_linger(struct hbone *hb)
{
	timer_set(hb->t->loop, &hb->timer, HBONE_LINGER_NS, on_tick, hb);
}

static void on_connected(struct hbone *hb)
{
	int r = tcp_connect_result(hb->fd);

	if (r < 0) {
		hbone_close(hb, r == -ETIMEDOUT ? WEFT_REASON_TIMEOUT : WEFT_REASON_CONNECT_FAILED,
			    log_strerror(r));
		return;
	}
	tcp_local(hb->fd, &hb->local_ep);
	hb->phase = HBONE_HANDSHAKE;
	hbone_handshake(hb, NULL, 0);
}

static void on_socket(void *arg, uint32_t events)
{
	struct hbone *hb = arg;

	OBJ_CHECK(hb, HBONE_MAGIC);
	if (events & EPOLLOUT)
		hb->writable = true;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR))
		hb->readable = true;
	if (events & (EPOLLHUP | EPOLLRDHUP | EPOLLERR))
		hb->rdhup = true;
	if (hb->phase == HBONE_CONNECTING) {
		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		on_connected(hb);
	}
	if (hb->phase != HBONE_CLOSED && hb->readable)
		hbone_read(hb);
	if (hb->phase != HBONE_CLOSED && hb->writable && (hb->out_n || !list_empty(&hb->blocked)))
		hbone_flush(hb);
}

int hbone_new(struct tunnel *t, int fd, bool server, struct hbone **ret)
{
	struct hbone *hb = calloc(1, sizeof(*hb));

	if (!hb)
		return -ENOMEM;
	hb->magic = HBONE_MAGIC;
	hb->refs = 1;
	hb->t = t;
	hb->fd = fd;
	hb->server = server;
	hb->phase = server ? HBONE_HANDSHAKE : HBONE_CONNECTING;
	list_init(&hb->waiting);
	list_init(&hb->blocked);
	list_add_tail(&t->conns, &hb->node);
	if (server) {
		t->stats.server_conns++;
		t->n_shaking++;
		list_add_tail(&t->shaking, &hb->shaking);
	} else {
		t->stats.client_conns++;
	}
	t->stats.opened_conns++;
	*ret = hb;
	return 0;
}

int hbone_start(struct hbone *hb)
{
	int r = hbone_handshake_begin(hb);

	if (r < 0)
		return r;
	r = watch_add(hb->t->loop, &hb->watch, hb->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		      on_socket, hb);
	if (r < 0)
		return r;
	hb->last_rx_ns = loop_now(hb->t->loop);
	timer_set(hb->t->loop, &hb->timer, HBONE_HANDSHAKE_NS, on_tick, hb);
	return 0;
}
