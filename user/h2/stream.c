// SPDX-License-Identifier: Apache-2.0
/*
 * Streams of a connection: their life, their windows in both directions, and what the owner
 * does with them. The memory of a stream is the owner's and may go away inside any callback,
 * so nothing here touches a stream after a callback without looking it up again.
 */
#include <errno.h>

#include "base/bug.h"
#include "h2/internal.h"

static uint64_t id_hash(uint32_t id)
{
	return hash_bytes(&id, sizeof(id));
}

struct h2_stream *stream_find(const struct h2_conn *c, uint32_t id)
{
	struct hnode *node = hmap_first(&c->streams, id_hash(id));

	for (; node; node = hmap_next_same(node)) {
		struct h2_stream *s = container_of(node, struct h2_stream, by_id);

		if (s->st.id == id)
			return s;
	}
	return NULL;
}

bool stream_id_is_idle(const struct h2_conn *c, uint32_t id)
{
	/* Nobody pushes, so even ids never leave idle. */
	if (!(id & 1))
		return true;
	return c->st.server ? id > c->st.last_peer_id : id >= c->st.next_id;
}

bool stream_was_reset(const struct h2_conn *c, uint32_t id)
{
	/* Of old ids nobody knows any more how they ended. */
	if (id <= c->st.reset_forgotten)
		return true;
	for (size_t i = 0; i < H2_RESET_RING; i++)
		if (c->st.reset_ids[i] == id)
			return true;
	return false;
}

void stream_note_reset(struct h2_conn *c, uint32_t id)
{
	uint32_t old = c->st.reset_ids[c->st.reset_next];

	if (old > c->st.reset_forgotten)
		c->st.reset_forgotten = old;
	c->st.reset_ids[c->st.reset_next] = id;
	c->st.reset_next = (c->st.reset_next + 1) % H2_RESET_RING;
}

/* All that the peer may have sent before it was taken: what it may send yet, what has arrived,
 * and what is under way of a frame. */
static uint32_t stream_window(const struct h2_stream *s)
{
	const struct h2_conn_state *c = &s->conn->st;

	return s->st.recv_window + s->st.unacked + s->st.held +
	       (c->data_stream == s->st.id ? c->data_left + c->pad_left : 0);
}

/* Its request waits for an answer, so that a field block is to be expected. */
static bool in_exchange(const struct h2_conn *c, const struct h2_stream *s)
{
	return c->st.server ? !s->st.sent_headers : !s->st.got_headers;
}

int stream_attach(struct h2_conn *c, struct h2_stream *s, const struct h2_stream_state *st)
{
	int r = hmap_insert(&c->streams, &s->by_id, id_hash(st->id));

	if (r < 0)
		return r;
	list_init(&s->blocked);
	s->conn = c;
	s->st = *st;
	c->n_streams++;
	conn_expect_updates(c, 2);
	c->n_exchange += in_exchange(c, s);
	return 0;
}

void stream_unlink(struct h2_stream *s)
{
	struct h2_conn *c = s->conn;

	c->grown -= stream_window(s) - c->st.stream_window;
	hmap_remove(&c->streams, &s->by_id);
	list_del(&s->blocked);
	c->n_streams--;
	c->n_exchange -= in_exchange(c, s);
	s->st.phase = H2_CLOSED;
	s->conn = NULL;
	/* What its owner still holds cannot be told from garbage any more: give it back now. */
	conn_give(c, s->st.held);
	s->st.held = 0;
	conn_trim(c);
}

void stream_close(struct h2_stream *s, uint32_t code)
{
	struct h2_conn *c = s->conn;

	stream_unlink(s);
	if (c->ops->on_closed)
		c->ops->on_closed(c->arg, s, code);
}

int stream_error(struct h2_conn *c, uint32_t id, enum h2_error code)
{
	struct h2_stream *s = stream_find(c, id);
	uint8_t *b = conn_queue_reflex(c, 13);

	if (!b)
		return c->broken;
	h2_rst_format(b, id, code);
	stream_note_reset(c, id);
	if (s)
		stream_close(s, code);
	return conn_glitch(c, 1);
}

void stream_local_end(struct h2_stream *s)
{
	if (s->st.phase == H2_HALF_REMOTE)
		stream_unlink(s);
	else
		s->st.phase = H2_HALF_LOCAL;
}

void stream_remote_end(struct h2_stream *s)
{
	struct h2_conn *c = s->conn;
	const uint32_t id = s->st.id;
	const bool last = s->st.phase == H2_HALF_LOCAL;

	s->st.phase = last ? H2_CLOSED : H2_HALF_REMOTE;
	if (c->ops->on_end)
		c->ops->on_end(c->arg, s);
	if (!last)
		return;
	s = stream_find(c, id);
	if (s)
		stream_close(s, H2_NO_ERROR);
}

/*
 * What to give back for unacked bytes of a window of this size. An application that takes bytes
 * as they come gets up to twice as many on the way; one that does not keep up has no use for
 * them. More streams than the connection has large windows for share it evenly: who has more
 * than its share gives some up.
 */
static uint32_t stream_increment(struct h2_stream *s, uint32_t window)
{
	struct h2_conn *c = s->conn;
	const uint32_t unacked = s->st.unacked, spare = conn_spare(c);
	uint32_t share = c->st.conn_window / (uint32_t)c->n_streams, change;

	if (share > c->limits.stream_window_max)
		share = c->limits.stream_window_max;
	if (share < c->st.stream_window)
		share = c->st.stream_window;
	if (window > share) {
		change = window - share < unacked / 2 ? window - share : unacked / 2;
		c->grown -= change;
		return unacked - change;
	}
	if (s->st.held > window / 4)
		return unacked;
	change = share - window < window ? share - window : window;
	if (change > spare)
		change = spare;
	c->grown += change;
	return unacked + change;
}

void stream_give(struct h2_stream *s, uint32_t n)
{
	struct h2_conn *c = s->conn;
	uint32_t window, increment;
	uint8_t *b;

	s->st.unacked += n;
	window = stream_window(s);
	if (c->broken || s->st.unacked < window / 2)
		return;
	if (s->st.phase != H2_OPEN && s->st.phase != H2_HALF_LOCAL)
		return;
	b = conn_queue(c, 13);
	if (!b)
		return;
	increment = stream_increment(s, window);
	h2_window_update_format(b, s->st.id, increment);
	s->st.recv_window += increment;
	s->st.unacked = 0;
	conn_forgive(c, H2_WORK_CREDIT);
}

void h2_stream_consumed(struct h2_stream *s, size_t n)
{
	struct h2_conn *c = s->conn;

	if (!c)
		return;
	BUG_ON(n > s->st.held);
	s->st.held -= (uint32_t)n;
	stream_give(s, (uint32_t)n);
	conn_give(c, (uint32_t)n);
}

static bool stream_may_send(const struct h2_stream *s)
{
	return (s->st.phase == H2_OPEN || s->st.phase == H2_HALF_REMOTE) && s->st.sent_headers;
}

size_t h2_stream_sendable(struct h2_stream *s)
{
	struct h2_conn *c = s->conn;

	if (!c || c->broken || !stream_may_send(s))
		return 0;
	if (s->st.send_window > 0 && c->st.send_window > 0) {
		int64_t w = c->st.send_window;

		return (size_t)(w < s->st.send_window ? w : s->st.send_window);
	}
	if (list_empty(&s->blocked))
		list_add_tail(&c->blocked, &s->blocked);
	return 0;
}

void h2_stream_data(struct h2_stream *s, uint8_t hdr[H2_FRAME_HEADER], size_t n)
{
	struct h2_conn *c = s->conn;
	const struct h2_frame f = { .len = (uint32_t)n, .type = H2_DATA, .id = s->st.id };

	BUG_ON(!c || !stream_may_send(s) || n > c->st.peer_max_frame);
	BUG_ON(n && ((int64_t)n > c->st.send_window || (int64_t)n > s->st.send_window));
	c->st.send_window -= (int64_t)n;
	s->st.send_window -= (int32_t)n;
	conn_expect_updates(c, 2);
	h2_frame_format(hdr, &f);
}

int h2_stream_end(struct h2_stream *s)
{
	const struct h2_frame f = { .type = H2_DATA, .flags = H2_FLAG_END_STREAM, .id = s->st.id };
	uint8_t *b;

	if (s->st.phase == H2_HALF_LOCAL || (s->conn && s->st.phase == H2_CLOSED))
		return 0;
	if (!s->conn || s->conn->broken)
		return -EPIPE;
	if (!stream_may_send(s))
		return -EINVAL;
	b = conn_queue(s->conn, H2_FRAME_HEADER);
	if (!b)
		return -ENOMEM;
	h2_frame_format(b, &f);
	list_del(&s->blocked);
	stream_local_end(s);
	return 0;
}

void h2_stream_reset(struct h2_stream *s, uint32_t code)
{
	struct h2_conn *c = s->conn;
	uint8_t *b;

	if (!c)
		return;
	if (s->st.phase != H2_CLOSED && !c->broken) {
		b = conn_queue(c, 13);
		if (b)
			h2_rst_format(b, s->st.id, code);
		stream_note_reset(c, s->st.id);
	}
	stream_unlink(s);
}

void h2_stream_detach(struct h2_stream *s)
{
	/* A complete response stays one: CANCEL could make the peer throw it away. */
	bool answered = s->conn && s->conn->st.server && s->st.phase == H2_HALF_LOCAL;

	h2_stream_reset(s, answered ? H2_NO_ERROR : H2_CANCEL);
}

static void stream_wake(struct h2_stream *s)
{
	struct h2_conn *c = s->conn;

	list_del(&s->blocked);
	if (c->ops->on_writable)
		c->ops->on_writable(c->arg, s);
}

void stream_wake_blocked(struct h2_conn *c)
{
	struct list wait;
	struct list *last;

	if (list_empty(&c->blocked) || c->st.send_window <= 0)
		return;
	/* Those that block again go to the end of c->blocked and are not asked twice. */
	list_add(&c->blocked, &wait);
	list_del(&c->blocked);
	while (!list_empty(&wait) && c->st.send_window > 0 && !c->broken) {
		struct h2_stream *s = list_first(&wait, struct h2_stream, blocked);

		if (s->st.send_window > 0) {
			stream_wake(s);
			continue;
		}
		list_del(&s->blocked);
		list_add_tail(&c->blocked, &s->blocked);
	}
	/* The window was used up before their turn: they are first next time. */
	while (!list_empty(&wait)) {
		last = wait.prev;
		list_del(last);
		list_add(&c->blocked, last);
	}
}

int stream_window_update(struct h2_conn *c, uint32_t id, uint32_t increment)
{
	struct h2_stream *s = stream_find(c, id);

	if (!s)
		return 0;
	if (increment == 0)
		return stream_error(c, id, H2_PROTOCOL_ERROR);
	if ((int64_t)s->st.send_window + increment > (int64_t)H2_WINDOW_MAX)
		return stream_error(c, id, H2_FLOW_CONTROL_ERROR);
	s->st.send_window = (int32_t)((int64_t)s->st.send_window + increment);
	if (!list_empty(&s->blocked) && s->st.send_window > 0 && c->st.send_window > 0)
		stream_wake(s);
	return 0;
}

int stream_windows_adjust(struct h2_conn *c, uint32_t initial)
{
	int64_t delta = (int64_t)initial - c->st.peer_initial_window;

	c->st.peer_initial_window = initial;
	if (delta == 0)
		return 0;
	hmap_for_each(node, &c->streams) {
		struct h2_stream *s = container_of(node, struct h2_stream, by_id);
		int64_t w = s->st.send_window + delta;

		if (w > (int64_t)H2_WINDOW_MAX)
			return h2_conn_break(c, H2_FLOW_CONTROL_ERROR,
					 "SETTINGS_INITIAL_WINDOW_SIZE overflows a window");
		/* Repeated shrinking after the peer's updates may go below what fits. */
		if (w < INT32_MIN)
			return h2_conn_break(c, H2_FLOW_CONTROL_ERROR, "stream window below any use");
		s->st.send_window = (int32_t)w;
	}
	return 0;
}
