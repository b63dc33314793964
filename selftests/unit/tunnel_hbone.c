// SPDX-License-Identifier: Apache-2.0
/* Connections through one tunnel: bytes, ends, neighbours, refusals. */
#include "tunnel_world.h"

#include "tunnel/priv.h"

static void a_connection_carries_every_byte_both_ways_and_half_closes(void **state)
{
	struct world *w = *state;

	apps_start(pair_new(w, SERVER, 20000000, 10000000));
	loop_run(w->loop);
	apps_join(w);
}

/* Writes to an application's socket what it takes until nothing moves any more: the stream and
 * all buffers on its way are full. */
struct filler {
	struct world *w;
	struct timer timer;
	int fd[2];
	size_t sent;
	unsigned still;
};

static void fill_on(void *arg)
{
	static const uint8_t junk[16384];
	struct filler *f = arg;
	size_t before = f->sent;
	ssize_t n;

	for (int i = 0; i < 2; i++)
		while ((n = send(f->fd[i], junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
			f->sent += (size_t)n;
	f->still = f->sent == before ? f->still + 1 : 0;
	if (f->still == 20)
		loop_stop_any(f->w->loop);
	else
		timer_set(f->w->loop, &f->timer, 2 * NS_PER_MS, fill_on, f);
}

/* One connection whose applications do not read is full in both directions; twenty others on
 * the same tunnel carry everything to the last byte meanwhile. */
static void a_stalled_connection_does_not_hold_up_its_neighbours(void **state)
{
	struct world *w = *state;
	struct pair *stalled = pair_new(w, SERVER, 0, 0);
	struct filler f = { .w = w, .fd = { stalled->client_app[0], stalled->server_app[0] } };
	struct tunnel_stats st;
	uint64_t there, back;

	w->left -= 2; /* nobody waits for it */
	fill_on(&f);
	loop_run(w->loop);
	there = stalled->client.from_fd;
	back = stalled->server.from_fd;
	/* A window and the buffers of two sockets each way, no more. */
	assert_in_range(there, H2_WINDOW_DEFAULT, 4u << 20);
	assert_in_range(back, H2_WINDOW_DEFAULT, 4u << 20);
	for (size_t i = 0; i < 20; i++)
		apps_start(pair_new(w, SERVER, 2000000, 1000000));
	loop_run(w->loop);
	apps_join(w);
	assert_int_equal(stalled->client.from_fd, there);
	assert_int_equal(stalled->server.from_fd, back);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 1);
	w->left = 2;
	own_close(&stalled->client_app[0]);
	own_close(&stalled->server_app[0]);
	loop_run(w->loop);
}

static void a_peer_with_another_identity_is_refused(void **state)
{
	struct world *w = *state;
	struct pair *p = pair_new(w, OTHER, 0, 0);

	w->left = 1;
	loop_run(w->loop);
	assert_false(p->opened);
	assert_int_equal(p->fail_why, WEFT_REASON_TLS_FAILED);
	assert_int_equal(w->accepted, 0);
}

static void a_refusal_by_policy_reaches_the_caller_and_keeps_the_tunnel(void **state)
{
	struct world *w = *state;
	struct tunnel_stats st;
	struct pair *p;

	w->answer = 401;
	p = pair_new(w, SERVER, 0, 0);
	w->left = 1;
	loop_run(w->loop);
	assert_int_equal(p->fail_status, 401);
	assert_int_equal(p->fail_why, WEFT_REASON_POLICY_DENIED);
	w->answer = 200;
	w->left = 0;
	apps_start(pair_new(w, SERVER, 100, 100));
	loop_run(w->loop);
	apps_join(w);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 1);
}

static void nobody_listening_is_a_failed_connect(void **state)
{
	struct world *w = *state;
	struct pair *p;

	watch_del(&w->accept);
	own_close(&w->fd);
	p = pair_new(w, SERVER, 0, 0);
	w->left = 1;
	loop_run(w->loop);
	assert_int_equal(p->fail_why, WEFT_REASON_CONNECT_FAILED);
}

static void stop_when_arrived(void *arg)
{
	struct pair *p = arg;

	if (p->opened && p->server.to_fd == p->send)
		loop_stop_any(p->w->loop);
	else
		timer_set(p->w->loop, &p->w->tick, NS_PER_MS, stop_when_arrived, p);
}

/* Fills n bytes of what the chan gives; the size of its first places. */
static size_t commit_pattern(struct pair *p, size_t n, size_t *ret_second)
{
	struct chan *c = p->client.chan;
	struct iovec iov[HBONE_SLOTS];
	int n_iov = c->ops->reserve(c, iov, HBONE_SLOTS);
	size_t at = 0;

	assert_in_range(n_iov, 2, HBONE_SLOTS);
	*ret_second = iov[1].iov_len;
	for (int i = 0; i < n_iov && at < n; i++)
		for (size_t k = 0; k < iov[i].iov_len && at < n; k++, at++)
			((uint8_t *)iov[i].iov_base)[k] = byte_at(p->send + at, 1);
	assert_int_equal(at, n);
	c->ops->commit(c, n);
	p->send += n;
	return iov[0].iov_len;
}

static void a_burst_after_silence_begins_with_small_records(void **state)
{
	struct world *w = *state;
	struct pair *p = pair_new(w, SERVER, 0, 0);
	struct hbone *hb;
	uint8_t buf[60000];
	size_t second;

	w->left = 3; /* nothing ends yet */
	stop_when_arrived(p);
	loop_run(w->loop);
	/* Not all of the burst, then over its end, then what is no burst any more. */
	assert_int_equal(commit_pattern(p, HBONE_SMALL_PAYLOAD + 10, &second), HBONE_SMALL_PAYLOAD);
	assert_int_equal(second, HBONE_SMALL_PAYLOAD);
	assert_int_equal(commit_pattern(p, HBONE_BURST + 5, &second), HBONE_SMALL_PAYLOAD);
	assert_int_equal(commit_pattern(p, HBONE_PAYLOAD + 1, &second), HBONE_PAYLOAD);
	assert_int_equal(second, HBONE_PAYLOAD);
	hb = container_of(p->client.chan, struct tunnel_stream, chan)->hb;
	hb->last_tx_ns -= 2 * HBONE_SILENCE_NS;
	assert_int_equal(commit_pattern(p, 5000, &second), HBONE_SMALL_PAYLOAD);
	stop_when_arrived(p);
	loop_run(w->loop);
	assert_int_equal(recv(p->server_app[0], buf, sizeof(buf), 0), p->send);
	for (size_t i = 0; i < p->send; i++)
		assert_int_equal(buf[i], byte_at(i, 1));
	w->left = 2;
	own_close(&p->client_app[0]);
	own_close(&p->server_app[0]);
	loop_run(w->loop);
}

static void answer_held(void *arg)
{
	struct pair *p = arg;
	struct world *w = p->w;

	if (!w->held || p->server.pend_n < p->send) {
		timer_set(w->loop, &w->tick, NS_PER_MS, answer_held, p);
		return;
	}
	assert_int_equal(tunnel_respond(w->held, 200, NULL), 0);
	assert_true(w->held->hb->patient > 0); /* it waits for company */
	assert_int_equal(pump_start(&p->server, p->server_app[1]), 0);
	stop_when_arrived(p);
}

/* The answer 200 to a client that has spoken already goes with the application's first bytes;
 * if there are none, by itself, soon. */
static void an_answer_after_early_bytes_comes_without_more_of_them(void **state)
{
	struct world *w = *state;
	const struct pump_opts o = { .on_done = on_done };
	struct pump_opts mine = o;
	struct pair *p;
	char buf[8];

	w->late = true;
	p = pair_new(w, SERVER, 0, 0);
	mine.arg = p;
	pump_init(&p->client, w->loop, tunnel_chan(p->stream), &mine);
	assert_int_equal(pump_start(&p->client, p->client_app[1]), 0);
	p->send = 2;
	assert_int_equal(send(p->client_app[0], "hi", 2, 0), 2);
	answer_held(p);
	loop_run(w->loop); /* until the client was told and the bytes have arrived */
	assert_int_equal(recv(p->server_app[0], buf, sizeof(buf), 0), 2);
	assert_int_equal(w->held->hb->patient, 0);
	own_close(&p->client_app[0]);
	own_close(&p->server_app[0]);
	loop_run(w->loop);
}

struct quiet {
	struct world *w;
	uint64_t until_ns;
	bool asked;
};

static void stop_when_asked(void *arg)
{
	struct quiet *q = arg;

	list_for_each(n, &q->w->client->conns)
		q->asked |= list_entry(n, struct hbone, node)->last_ping_ns != 0;
	if (q->asked || clock_mono_ns() > q->until_ns)
		loop_stop_any(q->w->loop);
	else
		timer_set(q->w->loop, &q->w->tick, NS_PER_MS, stop_when_asked, q);
}

/* With the handshake's deadline as the first tick, short spans ended whoever was quiet, unasked. */
static void a_quiet_peer_is_asked_from_the_first_span_on(void **state)
{
	struct world *w = *state;
	struct quiet q = { .w = w, .until_ns = clock_mono_ns() + 5 * NS_PER_S };

	w->client->ping_ns = 20 * NS_PER_MS;
	pair_new(w, SERVER, 100, 100);
	stop_when_asked(&q);
	loop_run(w->loop);
	assert_true(q.asked);
	apps_start(w->pair[0]);
	loop_run(w->loop);
	apps_join(w);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_connection_carries_every_byte_both_ways_and_half_closes),
		T(a_burst_after_silence_begins_with_small_records),
		T(a_stalled_connection_does_not_hold_up_its_neighbours),
		T(a_peer_with_another_identity_is_refused),
		T(a_refusal_by_policy_reaches_the_caller_and_keeps_the_tunnel),
		T(a_quiet_peer_is_asked_from_the_first_span_on),
		T(nobody_listening_is_a_failed_connect),
		T(an_answer_after_early_bytes_comes_without_more_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
