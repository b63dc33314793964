// SPDX-License-Identifier: Apache-2.0
/* Tunnels inside of streams of others: by a gateway that passes bytes on without reading them. */
#include "tunnel_world.h"

/* One stream of the gateway: its other end is accepted by the inner server. */
struct leg {
	struct pump pump;
	int fd;
};

static struct gate {
	struct world *w;
	struct tunnel *inner;
	struct leg leg[STREAMS_MAX];
	size_t n;
	unsigned answer;
} gate;

static void leg_done(void *arg, enum weft_reason why)
{
	struct leg *l = arg;

	(void)why;
	own_close(&l->fd);
}

static void leg_fail(void *arg, enum weft_reason why, unsigned status, const char *detail)
{
	struct leg *l = arg;

	(void)why;
	(void)status;
	(void)detail;
	pump_stop(&l->pump, false);
	own_close(&l->fd);
}

static const struct tunnel_stream_ops leg_ops = { server_open, leg_fail };

static void gate_request(void *arg, struct tunnel_stream *s, const struct h2_headers *h)
{
	struct leg *l = &gate.leg[gate.n++];
	const struct pump_opts o = { .on_done = leg_done, .arg = l };
	int fd[2];

	(void)arg;
	assert_false(h->forwarded_network.p); /* that is for the other end only */
	if (gate.answer != 200) {
		tunnel_respond(s, gate.answer, NULL);
		return;
	}
	unix_pair(fd);
	assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
	l->fd = fd[1];
	tunnel_stream_claim(s, &leg_ops, l);
	pump_init(&l->pump, gate.w->loop, tunnel_chan(s), &o);
	assert_int_equal(tunnel_respond(s, 200, NULL), 0);
	assert_int_equal(pump_start(&l->pump, l->fd), 0);
	tunnel_serve(gate.inner, fd[0], SERVER, gate.w);
}

static const struct tunnel_ops gate_ops = { gate_request, on_refused, local_put };

static int gate_setup(void **state)
{
	struct world *w;
	struct tunnel_opts o;

	assert_int_equal(setup(state), 0);
	w = *state;
	memset(&gate, 0, sizeof(gate));
	gate.w = w;
	gate.answer = 200;
	gate.inner = w->server;
	w->gateway = SERVER;
	o = (struct tunnel_opts){ .loop = w->loop, .ident = w->ident, .ops = &gate_ops, .arg = w };
	assert_int_equal(tunnel_new(&o, &w->server), 0);
	return 0;
}

static int gate_teardown(void **state)
{
	struct world *w = *state;

	tunnel_free(&w->client);
	tunnel_free(&gate.inner);
	tunnel_free(&w->server);
	for (size_t i = 0; i < gate.n; i++) {
		pump_stop(&gate.leg[i].pump, false);
		if (gate.leg[i].fd > 0)
			own_close(&gate.leg[i].fd);
	}
	return teardown(state);
}

static void on_tick(void *arg)
{
	loop_stop_any(((struct world *)arg)->loop);
}

static void wait_for_conns(struct world *w, size_t n)
{
	struct tunnel_stats st;

	for (tunnel_stats(w->client, &st); st.client_conns != n; tunnel_stats(w->client, &st)) {
		timer_set(w->loop, &w->tick, NS_PER_MS, on_tick, w);
		loop_run(w->loop);
	}
}

static void each_connection_has_a_tunnel_of_its_own_inside_of_a_shared_one(void **state)
{
	struct world *w = *state;
	struct tunnel_stats st;

	for (size_t i = 0; i < 20; i++)
		apps_start(pair_new(w, SERVER, 200000 + 777 * i, 3000000 + i));
	loop_run(w->loop);
	apps_join(w);
	assert_int_equal(w->accepted, 20);
	assert_int_equal(gate.n, 20);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 21);
	/* The inner ones end with their streams, and so do those around them. */
	wait_for_conns(w, 1);
	for (tunnel_stats(w->client, &st); st.streams; tunnel_stats(w->client, &st)) {
		timer_set(w->loop, &w->tick, NS_PER_MS, on_tick, w);
		loop_run(w->loop);
	}
}

static void fails(struct world *w, const char *peer, enum weft_reason why, const char *detail)
{
	struct pair *p[3];

	for (size_t i = 0; i < ARRAY_LEN(p); i++)
		p[i] = pair_new(w, peer, 1000, 1000);
	w->left = ARRAY_LEN(p);
	loop_run(w->loop);
	assert_int_equal(w->accepted, 0);
	for (size_t i = 0; i < ARRAY_LEN(p); i++) {
		assert_int_equal(p[i]->fail_why, why);
		if (!strstr(p[i]->fail_detail, detail))
			fail_msg("%s", p[i]->fail_detail);
	}
}

static void who_answers_inside_must_be_the_one_that_is_wanted(void **state)
{
	fails(*state, OTHER, WEFT_REASON_TLS_FAILED, "expected " OTHER);
	wait_for_conns(*state, 1);
}

static void the_gateway_must_be_the_one_that_is_wanted(void **state)
{
	struct world *w = *state;

	w->gateway = OTHER;
	fails(w, SERVER, WEFT_REASON_TLS_FAILED, "the gateway: the peer is " SERVER);
	assert_int_equal(gate.n, 0);
	wait_for_conns(w, 0);
}

static void a_gateway_that_refuses_is_named_as_the_one_that_did(void **state)
{
	gate.answer = 503;
	fails(*state, SERVER, WEFT_REASON_PEER_REFUSED,
	      "the gateway: the peer answered");
	wait_for_conns(*state, 1);
}

static void a_gateway_that_is_not_there_is_said_to_be(void **state)
{
	struct world *w = *state;

	w->listen.port = 1;
	fails(w, SERVER, WEFT_REASON_CONNECT_FAILED, "the gateway: ");
	wait_for_conns(w, 0);
}

/* All at once, in the middle of it: nothing is left, nobody is told twice. */
static void a_gateway_that_dies_ends_what_went_through_it(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < 5; i++)
		pair_new(w, SERVER, 0, 0);
	while (w->accepted < 5) {
		timer_set(w->loop, &w->tick, NS_PER_MS, on_tick, w);
		loop_run(w->loop);
	}
	tunnel_free(&w->server);
	wait_for_conns(w, 0);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, gate_setup, gate_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_connection_has_a_tunnel_of_its_own_inside_of_a_shared_one),
		T(who_answers_inside_must_be_the_one_that_is_wanted),
		T(the_gateway_must_be_the_one_that_is_wanted),
		T(a_gateway_that_refuses_is_named_as_the_one_that_did),
		T(a_gateway_that_is_not_there_is_said_to_be),
		T(a_gateway_that_dies_ends_what_went_through_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
