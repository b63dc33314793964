// SPDX-License-Identifier: Apache-2.0
/*
 * A pod's sockets served by a worker's loop: what is the mesh's is answered, all else goes to a
 * nameserver and comes back as it is. Client and nameserver are sockets of the test, on loopback.
 */
#include "unit/model_make.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <urcu/urcu-qsbr.h>

#include "base/own.h"
#include "codec/dnsmsg.h"
#include "codec/promtext.h"
#include "dns/dns.h"
#include "io/loop.h"
#include "io/tcp.h"
#include "io/udp.h"
#include "report/dnscount.h"

struct world {
	struct model *model;
	struct dnscount *count;
	struct dns_shared sh;
	struct loop *loop;
	struct dns_worker *w;
	pthread_t thread;
	int fd[DNS_SOCKETS];
	uint16_t udp_port, tcp_port;
	int server_udp, server_tcp; /* the nameserver */
	uint16_t server_port;
	struct weft_addr to; /* the nameserver as the client knows it */
	int marked_udp, marked_tcp;
};

static int on_nameserver(void *arg, const struct weft_dns_key *key, struct weft_ep *ret)
{
	struct world *t = arg;

	if (key->cookie != 7 || key->v6 || key->n != 1)
		return -ENOENT;
	*ret = (struct weft_ep){ .addr = make_addr("127.0.0.1"), .port = t->server_port };
	return 0;
}

static int on_mark(void *arg, int fd, bool tcp, bool rules)
{
	struct world *t = arg;

	(void)fd;
	(void)rules;
	(*(tcp ? &t->marked_tcp : &t->marked_udp))++;
	return 0;
}

static void *run(void *arg)
{
	loop_run(arg);
	return NULL;
}

static uint16_t port_of(int fd)
{
	struct weft_ep ep;

	assert_int_equal(tcp_local(fd, &ep), 0);
	return ep.port;
}

/* The two sockets of a nameserver have the same port. */
static void server_open(struct world *t)
{
	const struct tcp_listen_opts to = { .netns_fd = -1 };

	t->server_tcp = tcp_listen(&to);
	assert_true(t->server_tcp >= 0);
	t->server_port = port_of(t->server_tcp);
	t->server_udp = udp_listen(&(struct udp_opts){ .netns_fd = -1 }, false, t->server_port);
	assert_true(t->server_udp >= 0);
}

static void mesh_publish(struct world *t)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct snap *s;

	add_service(&in, make_service("shop", "web.shop.svc.cluster.local", "10.96.0.1", 80, 80));
	add_service(&in, make_service("shop", "api.example.com", "240.0.0.1", 80, 80));
	assert_int_equal(model_build(t->model, &in, &err, &s), 0);
	model_publish(t->model, s);
}

static int setup(void **state)
{
	struct world *t = calloc(1, sizeof(*t));
	struct dns_pod_opts o = { .ns = "shop", .name = "client", .cookie = 7, .netns_fd = -1 };

	assert_non_null(t);
	urcu_qsbr_register_thread();
	assert_int_equal(model_new(&t->model), 0);
	mesh_publish(t);
	server_open(t);
	assert_int_equal(dnscount_new(&t->count), 0);
	t->sh = (struct dns_shared){ .model = t->model,
				     .count = t->count,
				     .domain = "cluster.local",
				     .nameserver = on_nameserver,
				     .mark = on_mark,
				     .arg = t };
	assert_int_equal(loop_new(&t->loop, "dns"), 0);
	assert_int_equal(dns_worker_new(t->loop, &t->sh, &t->w), 0);
	t->fd[DNS_UDP4] = udp_listen(&(struct udp_opts){ .netns_fd = -1 }, false, 0);
	t->fd[DNS_UDP6] = -1;
	t->fd[DNS_TCP] = tcp_listen(&(struct tcp_listen_opts){ .netns_fd = -1 });
	assert_true(t->fd[DNS_UDP4] >= 0 && t->fd[DNS_TCP] >= 0);
	t->udp_port = port_of(t->fd[DNS_UDP4]);
	t->tcp_port = port_of(t->fd[DNS_TCP]);
	memcpy(o.fd, t->fd, sizeof(o.fd));
	assert_int_equal(dns_pod_start(t->w, &o), 0);
	weft_dns_addr(&t->to, 0, 1);
	assert_int_equal(pthread_create(&t->thread, NULL, run, t->loop), 0);
	urcu_qsbr_thread_offline();
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct world *t = *state;

	loop_stop_any(t->loop);
	pthread_join(t->thread, NULL);
	urcu_qsbr_thread_online();
	dns_worker_free(&t->w);
	loop_free(&t->loop);
	for (int i = 0; i < DNS_SOCKETS; i++)
		own_close(&t->fd[i]);
	own_close(&t->server_udp);
	own_close(&t->server_tcp);
	dnscount_free(&t->count);
	model_free(&t->model);
	urcu_qsbr_unregister_thread();
	free(t);
	return 0;
}

static void blocking(int fd, time_t seconds)
{
	const struct timeval tv = { .tv_sec = seconds, .tv_usec = seconds ? 0 : 1 };

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
}

static int dial(const struct weft_addr *a, uint16_t port, int type)
{
	const struct weft_ep to = { .addr = *a, .port = port };
	struct sockaddr_storage ss;
	socklen_t n = ip_to_sockaddr(&to, &ss);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&ss, n), 0);
	blocking(fd, 20);
	return fd;
}

/* A query for name; its length. */
static size_t query(uint8_t *buf, const char *name, uint16_t id, uint8_t type)
{
	uint8_t *p = buf + DNS_HEADER;
	struct str rest = str_of(name);

	memset(buf, 0, DNS_HEADER);
	buf[0] = (uint8_t)(id >> 8);
	buf[1] = (uint8_t)id;
	buf[2] = 1;
	buf[5] = 1;
	while (rest.p) {
		struct str label = str_cut(&rest, '.');

		*p++ = (uint8_t)label.n;
		memcpy(p, label.p, label.n);
		p += label.n;
	}
	memcpy(p, (const uint8_t[]){ 0, 0, type, 0, 1 }, 5);
	return (size_t)(p + 5 - buf);
}

/* What a nameserver answers: the question, and then bytes of any kind. */
static size_t answer(uint8_t *buf, const uint8_t *q, size_t n, size_t more)
{
	memcpy(buf, q, n);
	buf[2] |= 0x80;
	for (size_t i = 0; i < more; i++)
		buf[n + i] = (uint8_t)(i * 7 + 1);
	return n + more;
}

static void a_name_of_the_mesh_is_answered_from_where_it_was_asked(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);
	uint8_t q[512], a[512];
	size_t n = query(q, "web", 0x4711, 1);
	ssize_t got;

	assert_int_equal(send(fd, q, n, 0), n);
	got = recv(fd, a, sizeof(a), 0);
	assert_int_equal(got, n + 16);
	assert_memory_equal(a, ((uint8_t[]){ 0x47, 0x11, 0x85, 0x80, 0, 1, 0, 1 }), 8);
	assert_memory_equal(a + got - 4, ((uint8_t[]){ 10, 96, 0, 1 }), 4);
	assert_int_equal(t->marked_udp, 0);
}

/* Takes one query at the nameserver, which must be these bytes; ret_from is who asks. */
static void taken(struct world *t, const uint8_t *q, size_t n, struct sockaddr_storage *ret_from)
{
	socklen_t len = sizeof(*ret_from);
	uint8_t got[DNS_MSG_MAX];

	blocking(t->server_udp, 20);
	fcntl(t->server_udp, F_SETFL, 0);
	assert_int_equal(
		recvfrom(t->server_udp, got, sizeof(got), 0, (struct sockaddr *)ret_from, &len), n);
	assert_memory_equal(got, q, n);
}

static void server_says(struct world *t, const struct sockaddr_storage *to, const uint8_t *a, size_t n)
{
	assert_int_equal(sendto(t->server_udp, a, n, 0, (const struct sockaddr *)to,
				sizeof(struct sockaddr_in)),
			 n);
}

static void all_else_goes_on_and_comes_back_byte_for_byte(void **state)
{
	static const struct {
		const char *name;
		uint8_t type, opcode;
		size_t more; /* bytes behind the question */
	} asked[] = {
		{ "www.example.org", 1, 0, 0 },
		{ "web", 16, 0, 0 },
		{ "_http._tcp.web", 33, 0, 0 },
		{ "api.example.com", 65, 0, 0 },
		{ "lan", 6, 0x28, 200 },
		{ "web", 1, 0, 40 },
		{ "www.example.org", 28, 0, 9000 },
	};
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);

	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		uint8_t q[16000], a[16000], got[16000];
		size_t n = query(q, asked[i].name, (uint16_t)(900 + i), asked[i].type), k;
		struct sockaddr_storage from;

		q[2] |= asked[i].opcode;
		for (k = 0; k < asked[i].more; k++)
			q[n++] = (uint8_t)k;
		assert_int_equal(send(fd, q, n, 0), n);
		taken(t, q, n, &from);
		k = answer(a, q, n, 3000);
		server_says(t, &from, a, k);
		assert_int_equal(recv(fd, got, sizeof(got), 0), k);
		assert_memory_equal(got, a, k);
		assert_int_equal(t->marked_udp, i + 1);
	}
}

static void what_is_no_answer_to_the_query_is_not_passed_on(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);
	_close_ int stranger = udp_listen(&(struct udp_opts){ .netns_fd = -1 }, false, 0);
	uint8_t q[512], other[512], a[600], wrong[600], got[600];
	size_t n = query(q, "www.example.org", 1, 1), m = query(other, "www.example.net", 1, 1), k;
	struct sockaddr_storage from;

	assert_int_equal(send(fd, q, n, 0), n);
	taken(t, q, n, &from);
	k = answer(a, q, n, 20);
	/* By another port, with another id, another question, and the query itself. */
	sendto(stranger, a, k, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in));
	memcpy(wrong, a, k);
	wrong[1] = 2;
	server_says(t, &from, wrong, k);
	server_says(t, &from, wrong, answer(wrong, other, m, 4));
	server_says(t, &from, q, n);
	a[k++] = 'x';
	server_says(t, &from, a, k);
	assert_int_equal(recv(fd, got, sizeof(got), 0), k);
	assert_memory_equal(got, a, k);
}

static void refused_with(int fd, const uint8_t *q, size_t n)
{
	uint8_t a[600];

	assert_int_equal(send(fd, q, n, 0), n);
	assert_int_equal(recv(fd, a, sizeof(a), 0), n);
	assert_memory_equal(a, q, 2);
	assert_int_equal(a[3] & 15, DNS_SERVFAIL);
}

static void a_nameserver_that_cannot_be_reached_is_told_at_once(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);
	struct weft_addr nobody;
	uint8_t q[512];
	size_t n = query(q, "www.example.org", 5, 1);

	own_close(&t->server_udp);
	refused_with(fd, q, n);
	weft_dns_addr(&nobody, 0, 2);
	_close_ int second = dial(&nobody, t->udp_port, SOCK_DGRAM);

	refused_with(second, q, n);
	/* Crumbs are nobody's, and do no harm. */
	assert_int_equal(send(fd, q, 7, 0), 7);
	refused_with(fd, q, n);
}

static void queries_under_way_are_bounded(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);
	uint8_t q[512];
	size_t n = 0;

	for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
		struct sockaddr_storage from;

		n = query(q, "www.example.org", (uint16_t)i, 1);
		assert_int_equal(send(fd, q, n, 0), n);
		taken(t, q, n, &from);
	}
	n = query(q, "www.example.org", 0x7777, 1);
	refused_with(fd, q, n);
}

static void an_address_that_is_no_nameserver_s_gets_no_answer(void **state)
{
	struct world *t = *state;
	struct weft_addr plain = make_addr("127.0.0.1");
	_close_ int fd = dial(&plain, t->udp_port, SOCK_DGRAM);
	_close_ int good = dial(&t->to, t->udp_port, SOCK_DGRAM);
	uint8_t q[512], a[512];
	size_t n = query(q, "web", 1, 1);

	/* One socket, one queue: when the second is answered, the first has been seen. */
	assert_int_equal(send(fd, q, n, 0), n);
	assert_int_equal(send(good, q, n, 0), n);
	assert_true(recv(good, a, sizeof(a), 0) > 0);
	assert_int_equal(recv(fd, a, sizeof(a), MSG_DONTWAIT), -1);
}

/* ---- TCP */

static void frame_send(int fd, const uint8_t *msg, size_t n)
{
	const uint8_t head[] = { (uint8_t)(n >> 8), (uint8_t)n };

	assert_int_equal(send(fd, head, 2, MSG_MORE | MSG_NOSIGNAL), 2);
	for (size_t at = 0; at < n;) {
		ssize_t k = send(fd, msg + at, n - at, MSG_NOSIGNAL);

		assert_true(k > 0);
		at += (size_t)k;
	}
}

static size_t frame_recv(int fd, uint8_t *msg)
{
	uint8_t head[2];
	size_t n;

	assert_int_equal(recv(fd, head, 2, MSG_WAITALL), 2);
	n = (size_t)(head[0] << 8 | head[1]);
	assert_int_equal(recv(fd, msg, n, MSG_WAITALL), n);
	return n;
}

static int server_accept(struct world *t)
{
	int fd;

	fcntl(t->server_tcp, F_SETFL, 0);
	blocking(t->server_tcp, 20);
	fd = accept4(t->server_tcp, NULL, NULL, SOCK_CLOEXEC);
	blocking(fd, 20);
	return fd;
}

static void over_tcp_own_and_foreign_names_share_a_connection(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->tcp_port, SOCK_STREAM);
	static uint8_t q[3][512], a[DNS_MSG_MAX], got[DNS_MSG_MAX];
	size_t n[3], k;

	n[0] = query(q[0], "www.example.org", 1, 252);
	n[1] = query(q[1], "web.shop", 2, 1);
	n[2] = query(q[2], "_x._tcp.web", 3, 33);
	for (int i = 0; i < 3; i++)
		frame_send(fd, q[i], n[i]);
	/* Ours does not wait for the nameserver. */
	assert_int_equal(frame_recv(fd, got), n[1] + 16);
	assert_memory_equal(got + n[1] + 12, ((uint8_t[]){ 10, 96, 0, 1 }), 4);

	_close_ int up = server_accept(t);

	assert_int_equal(t->marked_tcp, 1);
	assert_int_equal(frame_recv(up, got), n[0]);
	assert_memory_equal(got, q[0], n[0]);
	assert_int_equal(frame_recv(up, got), n[2]);
	assert_memory_equal(got, q[2], n[2]);
	/* Two messages for one query, the largest there are. */
	for (int i = 0; i < 2; i++) {
		k = answer(a, q[0], n[0], DNS_MSG_MAX - n[0]);
		a[k - 1] = (uint8_t)i;
		frame_send(up, a, k);
		assert_int_equal(frame_recv(fd, got), k);
		assert_memory_equal(got, a, k);
	}
	k = answer(a, q[2], n[2], 0);
	frame_send(up, a, k);
	assert_int_equal(frame_recv(fd, got), k);
	assert_memory_equal(got, a, k);
	/* The client ends, and so does all of it. */
	shutdown(fd, SHUT_WR);
	assert_int_equal(recv(up, got, 1, 0), 0);
	own_close(&up);
	assert_int_equal(recv(fd, got, 1, 0), 0);
}

static void over_tcp_a_nameserver_that_leaves_is_noticed(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->tcp_port, SOCK_STREAM);
	_close_ int second = -1, up = -1;
	uint8_t q[512], a[512];
	size_t n = query(q, "www.example.org", 1, 1);

	frame_send(fd, q, n);
	up = server_accept(t);
	assert_int_equal(frame_recv(up, a), n);
	own_close(&up);
	/* It had the query: whoever asked must ask again. */
	assert_true(recv(fd, a, sizeof(a), 0) <= 0);
	own_close(&t->server_tcp);
	second = dial(&t->to, t->tcp_port, SOCK_STREAM);
	frame_send(second, q, n);
	assert_int_equal(frame_recv(second, a), n);
	assert_int_equal(a[3] & 15, DNS_SERVFAIL);
	n = query(q, "web", 1, 1);
	frame_send(second, q, n);
	assert_int_equal(frame_recv(second, a), n + 16);
}

static void over_tcp_the_connection_that_was_silent_longest_makes_room(void **state)
{
	struct world *t = *state;
	int fd[DNS_STREAMS_MAX + 1];
	uint8_t q[512], a[512];
	size_t n = query(q, "web", 1, 1);

	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		fd[i] = dial(&t->to, t->tcp_port, SOCK_STREAM);
		frame_send(fd[i], q, n);
		assert_int_equal(frame_recv(fd[i], a), n + 16);
		/* The first speaks again, so the second is the oldest in the end. */
		if (i == 1) {
			frame_send(fd[0], q, n);
			assert_int_equal(frame_recv(fd[0], a), n + 16);
		}
	}
	assert_true(recv(fd[1], a, 1, 0) <= 0);
	frame_send(fd[0], q, n);
	assert_int_equal(frame_recv(fd[0], a), n + 16);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		own_close(&fd[i]);
}

static void over_tcp_who_does_not_read_is_not_read_from(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->tcp_port, SOCK_STREAM);
	uint8_t q[514] = { 0 };
	size_t n = query(q + 2, "web", 1, 1), sent = 0, answers = 0;
	static uint8_t a[512];

	q[1] = (uint8_t)n;
	while (send(fd, q, n + 2, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)(n + 2) && sent < 10000000)
		sent++;
	assert_true(sent > 0 && sent < 10000000);
	for (; answers < sent; answers++)
		assert_int_equal(frame_recv(fd, a), n + 16);
}

static void queries_are_counted_by_type_and_protocol(void **state)
{
	struct world *t = *state;
	_close_ int fd = dial(&t->to, t->udp_port, SOCK_DGRAM);
	struct sockaddr_storage from;
	uint8_t q[512], a[600];
	size_t n = query(q, "web", 1, 1);
	struct prom page;

	assert_int_equal(send(fd, q, n, 0), n);
	assert_true(recv(fd, a, sizeof(a), 0) > 0);
	n = query(q, "web", 1, 33);
	assert_int_equal(send(fd, q, n, 0), n);
	taken(t, q, n, &from);
	server_says(t, &from, a, answer(a, q, n, 0));
	assert_true(recv(fd, a, sizeof(a), 0) > 0);
	own_close(&t->server_udp);
	refused_with(fd, q, n);
	prom_init(&page, false);
	dnscount_write(t->count, &page);
#define LABELS(type) \
	"{request_query_type=\"" type "\",request_protocol=\"udp\"," \
	"source_canonical_service=\"unknown\",source_canonical_revision=\"unknown\""
	assert_non_null(strstr(page.p, "istio_dns_requests_total" LABELS("A") "} 1\n"));
	assert_non_null(strstr(page.p, "istio_dns_requests_total" LABELS("SRV") "} 2\n"));
	assert_non_null(strstr(page.p, "istio_dns_upstream_requests_total" LABELS("A") "} 0\n"));
	assert_non_null(strstr(page.p, "istio_dns_upstream_requests_total" LABELS("SRV") "} 2\n"));
	assert_non_null(strstr(page.p, "istio_dns_upstream_failures_total" LABELS("SRV") "} 1\n"));
	assert_non_null(strstr(page.p, "istio_dns_upstream_request_duration_seconds_bucket" LABELS(
					       "SRV") ",le=\"+Inf\"} 1\n"));
	assert_non_null(strstr(
		page.p, "istio_dns_upstream_request_duration_seconds_count" LABELS("SRV") "} 1\n"));
	prom_fini(&page);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_name_of_the_mesh_is_answered_from_where_it_was_asked),
		TEST(all_else_goes_on_and_comes_back_byte_for_byte),
		TEST(what_is_no_answer_to_the_query_is_not_passed_on),
		TEST(a_nameserver_that_cannot_be_reached_is_told_at_once),
		TEST(queries_under_way_are_bounded),
		TEST(an_address_that_is_no_nameserver_s_gets_no_answer),
		TEST(over_tcp_own_and_foreign_names_share_a_connection),
		TEST(over_tcp_a_nameserver_that_leaves_is_noticed),
		TEST(over_tcp_the_connection_that_was_silent_longest_makes_room),
		TEST(over_tcp_who_does_not_read_is_not_read_from),
		TEST(queries_are_counted_by_type_and_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
