// SPDX-License-Identifier: Apache-2.0
/* Which tunnel a connection takes, and when there is another one. */
#include "tunnel_world.h"

static void a_hundred_and_thirty_connections_share_tunnels_of_a_hundred_streams(void **state)
{
	struct world *w = *state;
	struct tunnel_stats st;

	for (size_t i = 0; i < STREAMS_MAX; i++)
		apps_start(pair_new(w, SERVER, 1000 + 777 * i, 50000 + i));
	loop_run(w->loop);
	apps_join(w);
	assert_int_equal(w->accepted, STREAMS_MAX);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 2);
	assert_int_equal(st.streams, 0);
}

static void on_tick(void *arg)
{
	loop_stop_any(((struct world *)arg)->loop);
}

/* The peer tells its limit only when many streams have been sent already. */
static void a_peer_that_allows_few_streams_gets_more_tunnels(void **state)
{
	struct world *w = *state;
	struct tunnel_stats st;
	struct tunnel_opts o = { .loop = w->loop, .ident = w->ident, .ops = &ops, .arg = w,
				 .max_streams = 7 };

	tunnel_free(&w->server);
	assert_int_equal(tunnel_new(&o, &w->server), 0);
	w->redial = true;
	for (size_t i = 0; i < 50; i++)
		apps_start(pair_new(w, SERVER, 1000, 50000));
	loop_run(w->loop);
	apps_join(w);
	assert_int_equal(w->accepted, 50);
	tunnel_stats(w->client, &st);
	/* No more than are needed, but for what crossed the first SETTINGS. */
	assert_in_range(st.opened_conns, 7, 9);
}

/* While one stream is busy, the next ones get other tunnels, but not without end. */
static void more_on_busy(void *arg)
{
	struct world *w = arg;
	struct tunnel_stats st;

	tunnel_stats(w->client, &st);
	if (st.opened_conns < 4 || w->n < 20) {
		apps_start(pair_new(w, SERVER, 1000000, 0));
		timer_set(w->loop, &w->tick, 20 * NS_PER_MS, more_on_busy, w);
		return;
	}
	assert_int_equal(st.opened_conns, 4);
	/* The first one goes on until here. */
	shutdown(w->pair[0]->client_app[0], SHUT_WR);
}

static void *endless_app(void *arg)
{
	static const uint8_t junk[16384];
	struct pair *p = arg;

	while (send(p->client_app[0], junk, sizeof(junk), MSG_NOSIGNAL) > 0)
		;
	return NULL;
}

static void *swallow_app(void *arg)
{
	uint8_t buf[65536];
	struct pair *p = arg;

	while (recv(p->server_app[0], buf, sizeof(buf), 0) > 0)
		;
	shutdown(p->server_app[0], SHUT_WR);
	return NULL;
}

static void a_busy_pair_gets_up_to_four_tunnels(void **state)
{
	struct world *w = *state;
	struct tunnel_opts o = { .loop = w->loop, .ident = w->ident, .ops = &ops, .arg = w,
				 .busy_rate = 1000 };
	struct pair *first;

	tunnel_free(&w->client);
	assert_int_equal(tunnel_new(&o, &w->client), 0);
	first = pair_new(w, SERVER, 0, 0);
	assert_int_equal(pthread_create(&first->thread[0], NULL, endless_app, first), 0);
	assert_int_equal(pthread_create(&first->thread[1], NULL, swallow_app, first), 0);
	timer_set(w->loop, &w->tick, 20 * NS_PER_MS, more_on_busy, w);
	loop_run(w->loop);
	pthread_join(first->thread[0], NULL);
	pthread_join(first->thread[1], NULL);
	apps_join(w);
}

static void a_limited_tunnel_ends_with_its_last_connection_and_the_next_gets_another(void **state)
{
	struct world *w = *state;
	struct tunnel_stats st;

	tunnel_limit(w->client, 2);
	for (size_t i = 0; i < 5; i++) {
		apps_start(pair_new(w, SERVER, 5000, 300000));
		loop_run(w->loop);
	}
	apps_join(w);
	assert_int_equal(w->accepted, 5);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 3);
	assert_int_equal(st.streams, 0);
	/* Two are used up, the third has room. */
	while (st.client_conns != 1) {
		timer_set(w->loop, &w->tick, NS_PER_MS, on_tick, w);
		loop_run(w->loop);
		tunnel_stats(w->client, &st);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_hundred_and_thirty_connections_share_tunnels_of_a_hundred_streams),
		T(a_limited_tunnel_ends_with_its_last_connection_and_the_next_gets_another),
		T(a_peer_that_allows_few_streams_gets_more_tunnels),
		T(a_busy_pair_gets_up_to_four_tunnels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
