// SPDX-License-Identifier: Apache-2.0
/* sockops and the iterators with real sockets: entries that live as long as their connection,
 * counts that are exact, and what happens when a table is full. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "h_env.h"
#include "kern/priv.h"

/* A direct connection from a to b:80. */
struct pair {
	int l, c, s; /* listener, client, server */
};

static struct pair direct(struct env *e)
{
	struct pair p = { .l = listen_in(e->b, "10.9.0.2", 80) };

	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	p.c = dial(e->a, "10.9.0.2", 80);
	assert_true(p.c >= 0);
	p.s = accept_one(p.l);
	assert_true(p.s >= 0);
	return p;
}

static struct weft_total total_of(struct env *e, enum weft_reason reason)
{
	const struct weft_total_key key = {
		.src = WLD_A, .dst = WLD_B, .path = WEFT_PATH_DIRECT, .reason = (uint8_t)reason
	};

	return total_now(e, &key);
}

static struct weft_tuple tuple_of(int client, const char *ip, uint16_t port)
{
	const struct weft_ep own = own_of(client);

	return (struct weft_tuple){ .src = own.addr, .dst = addr(ip), .sport = own.port, .dport = port };
}

static void an_approval_lives_as_long_as_its_connection(void **state)
{
	struct env *e = *state;
	struct pair p = direct(e);
	const struct weft_tuple t = tuple_of(p.c, "10.9.0.2", 80);
	struct weft_approval a;

	assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_approved), &t, &a), 0);
	assert_int_equal(a.kind, WEFT_APPROVED_DIRECT);
	/* Half a close is none. */
	shutdown(p.c, SHUT_WR);
	wait_eof(p.s);
	assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
}

static void a_record_of_the_relay_lives_as_long_as_its_connection(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);
	int c = dial(e->a, "10.9.0.3", 80), s;
	struct weft_origdst_key key = { .slot = 1 };
	struct weft_origdst o;
	const struct weft_ep want = ep("10.9.0.3", 80);

	assert_true(c >= 0);
	s = accept_one(l);
	/* As the relay asks: the peer of what it accepted. */
	key.src = peer_of(s).addr;
	key.sport = peer_of(s).port;
	assert_int_equal(map_entries(e->skel->maps.weft_origdst), 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_origdst), &key, &o), 0);
	assert_memory_equal(&o.dialled, &want, sizeof(want));
	assert_memory_equal(&o.chosen, &want, sizeof(want));
	assert_int_equal(o.dst, WLD_FAR);
	close(s);
	wait_eof(c);
	close(c);
	expect_entries(e->skel->maps.weft_origdst, 0);
}

static void a_reset_takes_the_entries_back(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);

	for (int by_server = 0; by_server < 2; by_server++) {
		struct pair p = direct(e);
		int c = dial(e->a, "10.9.0.3", 80), s = accept_one(l);

		assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
		assert_int_equal(map_entries(e->skel->maps.weft_origdst), 1);
		close_rst(by_server ? p.s : p.c);
		close_rst(by_server ? s : c);
		expect_entries(e->skel->maps.weft_approved, 0);
		expect_entries(e->skel->maps.weft_origdst, 0);
		close(by_server ? p.c : p.s);
		close(by_server ? c : s);
		close(p.l);
	}
}

static void a_failed_connect_leaves_nothing_and_is_counted(void **state)
{
	struct env *e = *state;
	uint64_t before = total_of(e, WEFT_REASON_CONNECT_FAILED).failed;

	verdict_set(e, WLD_A, WLD_B, 81, WEFT_VERDICT_ALLOW, 1);
	assert_int_equal(dial(e->a, "10.9.0.2", 81), -ECONNREFUSED);
	assert_int_equal(dial(e->a, "10.9.0.3", 80), -ECONNREFUSED);
	expect_entries(e->skel->maps.weft_approved, 0);
	expect_entries(e->skel->maps.weft_origdst, 0);
	assert_int_equal(total_of(e, WEFT_REASON_CONNECT_FAILED).failed, before + 1);
}

/* Nobody answers for this address: the socket is closed while it is in SYN_SENT. */
static void a_connect_that_is_given_up_leaves_nothing(void **state)
{
	struct env *e = *state;
	int fd = sock_in(e->a, AF_INET, SOCK_STREAM, 0);

	mesh_set(e, "10.9.0.77", WLD_B, WEFT_WLD_LOCAL | WEFT_WLD_HBONE);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_ALLOW, 1);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	assert_int_equal(dial_fd(fd, "10.9.0.77", 80), -EINPROGRESS);
	assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
	close(fd);
	expect_entries(e->skel->maps.weft_approved, 0);
}

static void the_leg_of_the_daemon_is_approved(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->b, "10.9.0.2", 80), hbone = listen_in(e->b, "10.9.0.2", 15008);
	int fd = sock_in(e->a, AF_INET, SOCK_STREAM, 0);
	int tunnel = sock_in(e->a, AF_INET, SOCK_STREAM, 0);
	uint32_t one = 1, mark = WEFT_ROUTE_MARK;
	struct weft_approval a;
	struct weft_tuple t;

	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_own), &fd, &one, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(e->skel->maps.weft_own), &tunnel, &one, BPF_ANY);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)), 0);
	assert_int_equal(dial_fd(fd, "10.9.0.2", 80), 0);
	assert_int_equal(dial_fd(tunnel, "10.9.0.2", WEFT_PORT_HBONE), 0);
	/* Tunnels need none: their port is steered by itself. */
	assert_int_equal(map_entries(e->skel->maps.weft_approved), 1);
	t = tuple_of(fd, "10.9.0.2", 80);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_approved), &t, &a), 0);
	assert_int_equal(a.kind, WEFT_APPROVED_OWN);
	close(fd);
	close(tunnel);
	close(accept_one(l));
	expect_entries(e->skel->maps.weft_approved, 0);
}

/* ---- counts ---- */

struct live {
	struct weft_flow_live flow; /* the last one */
	int n;
};

static void on_live(void *arg, const struct weft_flow_live *l)
{
	struct live *live = arg;

	live->n++;
	live->flow = *l;
}

static struct live flows_now(struct env *e)
{
	struct kern k = { .skel = e->skel };
	struct live live = { .n = 0 };

	assert_int_equal(kern_flows_each(&k, on_live, &live), 0);
	return live;
}

static void expect_grown(struct weft_total now, struct weft_total base, uint64_t received,
			 uint64_t sent)
{
	assert_int_equal(now.received_bytes - base.received_bytes, received);
	assert_int_equal(now.sent_bytes - base.sent_bytes, sent);
}

/* Scrapes while bytes move: totals only grow and never run ahead; at the end they are exact,
 * FIN not counted; recorded once, on the client's socket. */
static void bytes_are_exact_and_never_go_backwards(void **state)
{
	struct env *e = *state;
	const struct weft_total src0 = total_of(e, 0);
	struct pair p = direct(e);
	uint64_t up = 0, last = 0;

	for (size_t i = 0; i < 50; i++) {
		struct weft_total now;

		send_all(p.c, 1000 + i * 777);
		up += 1000 + i * 777;
		recv_all(p.s, 1000 + i * 777);
		flows_now(e);
		now = total_of(e, 0);
		assert_true(now.received_bytes - src0.received_bytes >= last);
		assert_true(now.received_bytes - src0.received_bytes <= up);
		last = now.received_bytes - src0.received_bytes;
	}
	send_all(p.s, 7);
	recv_all(p.c, 7);
	shutdown(p.c, SHUT_WR);
	wait_eof(p.s);
	flows_now(e);
	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
	expect_grown(total_of(e, 0), src0, up, 7);
	assert_int_equal(total_of(e, 0).opened - src0.opened, 1);
}

static void an_end_is_counted_once_with_its_reason(void **state)
{
	struct env *e = *state;
	const uint64_t ok = total_of(e, 0).closed;
	const uint64_t rst = total_of(e, WEFT_REASON_RESET).closed;
	struct pair p = direct(e);

	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
	assert_int_equal(total_of(e, 0).closed, ok + 1);
	p = direct(e);
	close_rst(p.s);
	expect_entries(e->skel->maps.weft_approved, 0);
	assert_int_equal(total_of(e, WEFT_REASON_RESET).closed, rst + 1);
	close(p.c);
	close(p.l);
	assert_int_equal(total_of(e, 0).closed, ok + 1);
}

static void a_live_connection_is_recorded_once_by_its_client(void **state)
{
	struct env *e = *state;
	struct pair p = direct(e);
	const struct weft_tuple t = tuple_of(p.c, "10.9.0.2", 80);
	struct live live;

	send_all(p.c, 1000);
	recv_all(p.s, 1000);
	live = flows_now(e);
	assert_int_equal(live.n, 1);
	assert_memory_equal(&live.flow.tuple, &t, sizeof(t));
	assert_int_equal(live.flow.received_bytes, 1000);
	assert_int_equal(live.flow.path, WEFT_PATH_DIRECT);
	assert_int_equal(live.flow.slot, 1);
	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
	assert_int_equal(flows_now(e).n, 0);
}

/* ---- events ---- */

static int on_event(void *arg, void *data, size_t n)
{
	assert_int_equal(n, sizeof(struct weft_event));
	memcpy(arg, data, n);
	return 0;
}

static void the_end_is_an_event_with_all_that_an_access_log_says(void **state)
{
	struct env *e = *state;
	struct weft_event got = { 0 };
	struct ring_buffer *ring = ring_buffer__new(bpf_map__fd(e->skel->maps.weft_events),
						    on_event, &got, NULL);
	struct pair p = direct(e);
	const struct weft_tuple t = tuple_of(p.c, "10.9.0.2", 80);

	assert_non_null(ring);
	send_all(p.c, 11);
	recv_all(p.s, 11);
	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
	for (int i = 0; i < 500 && !(got.kind == WEFT_EVENT_CLOSED && got.tuple.sport == t.sport); i++)
		ring_buffer__poll(ring, 10);
	ring_buffer__free(ring);
	assert_int_equal(got.version, WEFT_ABI_VERSION);
	assert_int_equal(got.reason, WEFT_REASON_OK);
	assert_memory_equal(&got.tuple, &t, sizeof(t));
	assert_int_equal(got.src, WLD_A);
	assert_int_equal(got.dst, WLD_B);
	assert_int_equal(got.received_bytes, 11);
	assert_int_equal(got.sent_bytes, 0);
	assert_true(got.duration_ns > 0);
}

/* ---- reap ---- */

/* The kernel looks such a connection up as if a packet of it had come, and finds the listener. */
static void destroying_a_connection_that_has_ended_leaves_the_listener(void **state)
{
	struct env *e = *state;
	struct pair p = direct(e);
	const struct weft_tuple client = tuple_of(p.c, "10.9.0.2", 80);
	const struct weft_tuple t = { client.dst, client.src, client.dport, client.sport };
	char c;

	assert_int_equal(kern_destroy(e->b, &t, 1), 0);
	assert_int_equal(recv(p.s, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	close(p.s);
	close(p.c);
	for (int i = 0; i < 2; i++) {
		/* twice: it is gone, as one that ended by itself a moment ago */
		assert_int_equal(kern_destroy(e->b, &t, 1), 0);
		p.c = dial(e->a, "10.9.0.2", 80);
		assert_true(p.c >= 0);
		p.s = accept_one(p.l);
		assert_true(p.s >= 0);
		close(p.c);
		close(p.s);
	}
	close(p.l);
}

static void reaping_destroys_what_is_denied_now_and_nothing_else(void **state)
{
	struct env *e = *state;
	struct kern k = { .skel = e->skel };
	const uint64_t before = stat_now(e, WEFT_STAT_REAPED);
	struct pair p = direct(e);
	_close_ int l2 = listen_in(e->b, "10.9.0.2", 81), c2 = -1, s2 = -1;
	char c;

	verdict_set(e, WLD_A, WLD_B, 81, WEFT_VERDICT_ALLOW, 1);
	c2 = dial(e->a, "10.9.0.2", 81);
	s2 = accept_one(l2);
	/* A verdict of another epoch says nothing, and neither does another namespace. */
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 2);
	assert_int_equal(kern_reap(&k, e->a), 0);
	verdict_set(e, WLD_A, WLD_B, 80, WEFT_VERDICT_DENY, 1);
	assert_int_equal(kern_reap(&k, e->b), 0);
	assert_int_equal(stat_now(e, WEFT_STAT_REAPED), before);
	send_all(p.c, 10);
	recv_all(p.s, 10);

	assert_int_equal(kern_reap(&k, e->a), 0);
	assert_int_equal(stat_now(e, WEFT_STAT_REAPED), before + 1);
	assert_int_equal(recv(p.c, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNABORTED);
	assert_int_equal(recv(p.s, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	expect_entries(e->skel->maps.weft_approved, 1);
	assert_true(total_of(e, WEFT_REASON_POLICY_CHANGED).closed > 0);
	send_all(c2, 10);
	recv_all(s2, 10);
	close(p.c);
	close(p.s);
	close(p.l);
}

/* ---- full tables ---- */

/* Room for one approval. The second connection finds none at b, so it lands with the plaintext
 * listener, which knows no identity. */
static void without_room_for_an_approval_the_application_is_not_reached(void **state)
{
	struct env *e = *state;
	_close_ int plain = listen_in(e->b, "10.9.0.2", WEFT_PORT_PLAINTEXT), c2 = -1, got = -1;
	struct bpf_link *link = bpf_program__attach_netns(e->skel->progs.weft_sklookup, e->b);
	const uint64_t before = stat_now(e, WEFT_STAT_APPROVED_FULL);
	struct pair p;

	assert_non_null(link);
	listener_set(e, "10.9.0.2", WEFT_LISTEN_PLAIN, plain);
	p = direct(e);
	assert_int_equal(stat_now(e, WEFT_STAT_APPROVED_FULL), before);
	c2 = dial(e->a, "10.9.0.2", 80);
	assert_true(c2 >= 0);
	assert_int_equal(stat_now(e, WEFT_STAT_APPROVED_FULL), before + 1);
	got = accept_one(plain);
	assert_true(got >= 0 && nobody_came(p.l));
	/* The first one is as good as ever. */
	send_all(p.c, 10);
	recv_all(p.s, 10);
	close(p.c);
	close(p.s);
	close(p.l);
	bpf_link__destroy(link);
}

static void without_room_for_a_record_the_relay_finds_none(void **state)
{
	struct env *e = *state;
	_close_ int l = listen_in(e->a, "10.9.0.1", WEFT_PORT_OUTBOUND);
	_close_ int c1 = dial(e->a, "10.9.0.3", 80), s1 = accept_one(l);
	const uint64_t before = stat_now(e, WEFT_STAT_ORIGDST_FULL);
	_close_ int c2 = dial(e->a, "10.9.0.3", 80), s2 = accept_one(l);
	const struct weft_ep from = peer_of(s2);
	const struct weft_origdst_key key = { .src = from.addr, .slot = 1, .sport = from.port };
	struct weft_origdst o;

	assert_true(c1 >= 0 && s1 >= 0 && c2 >= 0);
	assert_int_equal(stat_now(e, WEFT_STAT_ORIGDST_FULL), before + 1);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(e->skel->maps.weft_origdst), &key, &o),
			 -ENOENT);
}

/* Room for one set of labels: a connection works and is not counted, that is all. */
static void without_room_for_counts_they_are_lost_and_that_is_counted(void **state)
{
	struct env *e = *state;
	const uint64_t before = stat_now(e, WEFT_STAT_TOTALS_FULL);
	struct pair p = direct(e);

	send_all(p.c, 1000);
	recv_all(p.s, 1000);
	close(p.s);
	wait_eof(p.c);
	close(p.c);
	close(p.l);
	expect_entries(e->skel->maps.weft_approved, 0);
	assert_int_equal(stat_now(e, WEFT_STAT_TOTALS_FULL), before);
	/* Another end is another set. */
	verdict_set(e, WLD_A, WLD_B, 81, WEFT_VERDICT_ALLOW, 1);
	assert_int_equal(dial(e->a, "10.9.0.2", 81), -ECONNREFUSED);
	assert_int_equal(stat_now(e, WEFT_STAT_TOTALS_FULL), before + 1);
	assert_int_equal(map_entries(e->skel->maps.weft_totals), 1);
}

static int up_small(void **state)
{
	static const struct env_opts o = { .approved = 1, .origdst = 1 };

	*state = (void *)&o;
	return env_up(state);
}

static int up_few_totals(void **state)
{
	static const struct env_opts o = { .totals = 1 };

	*state = (void *)&o;
	return env_up(state);
}

#define T(fn) cmocka_unit_test_setup(fn, env_reset)

int main(void)
{
	const struct CMUnitTest all[] = {
		T(an_approval_lives_as_long_as_its_connection),
		T(a_record_of_the_relay_lives_as_long_as_its_connection),
		T(a_reset_takes_the_entries_back),
		T(a_failed_connect_leaves_nothing_and_is_counted),
		T(a_connect_that_is_given_up_leaves_nothing),
		T(the_leg_of_the_daemon_is_approved),
		T(bytes_are_exact_and_never_go_backwards),
		T(an_end_is_counted_once_with_its_reason),
		T(a_live_connection_is_recorded_once_by_its_client),
		T(the_end_is_an_event_with_all_that_an_access_log_says),
		T(destroying_a_connection_that_has_ended_leaves_the_listener),
		T(reaping_destroys_what_is_denied_now_and_nothing_else),
	};
	const struct CMUnitTest small[] = {
		T(without_room_for_an_approval_the_application_is_not_reached),
		T(without_room_for_a_record_the_relay_finds_none),
	};
	const struct CMUnitTest few[] = {
		T(without_room_for_counts_they_are_lost_and_that_is_counted),
	};
	int failed = cmocka_run_group_tests(all, env_up, env_down);

	failed += cmocka_run_group_tests(small, up_small, env_down);
	return failed + cmocka_run_group_tests(few, up_few_totals, env_down);
}
