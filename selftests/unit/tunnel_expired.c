// SPDX-License-Identifier: Apache-2.0
/* Tunnels on certificates that expire while they are up. */
#include "tunnel_world.h"

#include "tunnel/priv.h"

static void stop_when_open(void *arg)
{
	struct pair *p = arg;

	if (p->opened && p->server.loop)
		loop_stop_any(p->w->loop);
	else
		timer_set(p->w->loop, &p->w->tick, NS_PER_MS, stop_when_open, p);
}

static void expire(struct tunnel *t)
{
	list_for_each(n, &t->conns)
		list_entry(n, struct hbone, node)->until_s = clock_wall_s();
}

/* One connection is open when the tunnel of t expires; it ends well, and the next goes elsewhere. */
static void expires_at(struct world *w, struct tunnel *t)
{
	struct tunnel_stats st;
	struct pair *old, *next;

	w->redial = true;
	old = pair_new(w, SERVER, 50000, 3000000);
	stop_when_open(old);
	loop_run(w->loop);
	tunnel_stats(t, &st);
	assert_int_equal(st.client_conns + st.server_conns, 1);
	expire(t);
	next = pair_new(w, SERVER, 50000, 3000000);
	apps_start(old);
	apps_start(next);
	loop_run(w->loop);
	apps_join(w);
	assert_int_equal(w->accepted, 2);
	tunnel_stats(w->client, &st);
	assert_int_equal(st.opened_conns, 2);
}

static void the_caller_puts_new_connections_on_a_new_tunnel(void **state)
{
	struct world *w = *state;

	expires_at(w, w->client);
}

static void the_called_refuses_new_connections_so_that_they_come_by_a_new_tunnel(void **state)
{
	struct world *w = *state;

	expires_at(w, w->server);
	assert_int_equal(w->pair[1]->redials, 1);
}

/* A certificate that is gone is as good as none: nobody is asked for a new tunnel in vain. */
static void without_a_new_certificate_the_next_connection_fails_and_the_old_one_goes_on(void **state)
{
	struct world *w = *state;
	struct pair *old = pair_new(w, SERVER, 50000, 3000000);
	const struct tunnel_dst dst = {
		.source_uri = CLIENT, .peer_uri = SERVER, .to = w->listen, .netns_fd = -1, .slot = 7
	};
	struct tunnel_stream *s;

	stop_when_open(old);
	loop_run(w->loop);
	expire(w->client);
	ident_forget(w->ident, CLIENT);
	assert_int_equal(tunnel_dial(w->client, &dst, &old->req, &client_ops, old, &s), -ENOKEY);
	apps_start(old);
	loop_run(w->loop);
	apps_join(w);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_caller_puts_new_connections_on_a_new_tunnel),
		T(the_called_refuses_new_connections_so_that_they_come_by_a_new_tunnel),
		T(without_a_new_certificate_the_next_connection_fails_and_the_old_one_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
