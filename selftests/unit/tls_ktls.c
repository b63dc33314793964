// SPDX-License-Identifier: Apache-2.0
/*
 * Unit tests of tls/ktls: a session that moves from our record layer to the kernel's in
 * mid-stream goes on byte for byte, seen from a peer in user space. Skipped on kernels without
 * CONFIG_TLS; make selftest-vm runs them on kernels that have it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "skip.h"
#include "tls/ktls.h"
#include "unit/tls_pair.h"

#define TOTAL (3u << 20)

/* a is the end that moves to the kernel, b the peer in user space. */
struct wire {
	struct record a, b;
	int fd_a, fd_b;
	uint8_t *sent, *got; /* TOTAL bytes each */
	uint8_t raw[4 * RECORD_WIRE_MAX];
	size_t have, n_got, n_records;
	size_t sizes[64]; /* of the first records */
};

static void sockets_make(struct wire *w)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval limit = { .tv_sec = 60 };
	socklen_t n = sizeof(sa);

	assert_int_equal(bind(l, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(l, 1), 0);
	assert_int_equal(getsockname(l, (struct sockaddr *)&sa, &n), 0);
	w->fd_a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(w->fd_a, (struct sockaddr *)&sa, sizeof(sa)), 0);
	w->fd_b = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	assert_true(w->fd_b >= 0);
	setsockopt(w->fd_a, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(w->fd_b, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	close(l);
}

static struct wire *wire_new(uint16_t suite)
{
	size_t n = suite == RECORD_AES_256_GCM_SHA384 ? 48 : 32;
	struct wire *w = calloc(1, sizeof(*w));
	uint8_t x[48], y[48];

	assert_non_null(w);
	rand_secure(x, sizeof(x));
	rand_secure(y, sizeof(y));
	assert_int_equal(record_init(&w->a, suite, x, y, n), 0);
	assert_int_equal(record_init(&w->b, suite, y, x, n), 0);
	w->sent = malloc(TOTAL);
	w->got = malloc(TOTAL);
	assert_true(w->sent && w->got);
	rand_secure(w->sent, TOTAL);
	sockets_make(w);
	return w;
}

static void wire_free(struct wire *w)
{
	record_fini(&w->a);
	record_fini(&w->b);
	close(w->fd_a);
	close(w->fd_b);
	free(w->sent);
	free(w->got);
	free(w);
}

static void need_ktls(uint16_t suite)
{
	int r = ktls_probe(suite);

	if (r == -ENOENT || r == -ENOTSUP)
		skip_because("the kernel has no TLS records of this cipher (CONFIG_TLS)");
	assert_int_equal(r, 0);
}

/* Seals with r and sends on fd. */
static void user_send(struct record *r, int fd, const uint8_t *p, size_t n)
{
	uint8_t rec[RECORD_WIRE_MAX];
	ssize_t len;

	memcpy(rec + RECORD_HEADER, p, n);
	len = record_seal(r, rec, n, RECORD_DATA);
	assert_true(len > 0);
	assert_int_equal(send(fd, rec, (size_t)len, MSG_NOSIGNAL), len);
}

/* b reads and opens whole records until it has n bytes in all, or the session's end. */
static void user_recv(struct wire *w, size_t n)
{
	while (w->n_got < n && !w->b.rx_closed) {
		ssize_t r = recv(w->fd_b, w->raw + w->have, sizeof(w->raw) - w->have, 0);
		size_t at = 0, need = 0;
		struct record_view v;

		assert_true(r > 0);
		w->have += (size_t)r;
		while ((r = record_open(&w->b, w->raw + at, w->have - at, &v, &need)) > 0) {
			assert_true(w->n_got + v.n <= TOTAL);
			memcpy(w->got + w->n_got, v.p, v.n);
			w->n_got += v.n;
			if (v.n && w->n_records < ARRAY_LEN(w->sizes))
				w->sizes[w->n_records] = v.n;
			w->n_records += v.n != 0;
			at += (size_t)r;
			if (at == w->have)
				break;
		}
		assert_true(r >= 0);
		memmove(w->raw, w->raw + at, w->have - at);
		w->have -= at;
	}
}

/* As much as the socket takes; b reads in between, or both would wait for ever. */
static void kernel_send(struct wire *w, size_t from, size_t to, size_t step)
{
	while (from < to) {
		size_t n = to - from < step ? to - from : step;

		assert_int_equal(send(w->fd_a, w->sent + from, n, MSG_NOSIGNAL), n);
		from += n;
		user_recv(w, from);
	}
}

static void a_sender_moves_to_the_kernel_in_mid_stream(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		struct wire *w;

		need_ktls(suites[i]);
		w = wire_new(suites[i]);
		user_send(&w->a, w->fd_a, w->sent, 1000);
		user_send(&w->a, w->fd_a, w->sent + 1000, RECORD_PLAIN_MAX);
		assert_int_equal(ktls_start(w->fd_a, &w->a.tx, true), 0);
		kernel_send(w, 1000 + RECORD_PLAIN_MAX, 20000, 1);
		kernel_send(w, 20000, TOTAL, 77777);
		assert_int_equal(w->n_got, TOTAL);
		assert_memory_equal(w->got, w->sent, TOTAL);
		assert_int_equal(ktls_send(w->fd_a, "\1\0", 2, RECORD_ALERT), 2);
		user_recv(w, TOTAL + 1);
		assert_true(w->b.rx_closed);
		wire_free(w);
	}
}

static void a_receiver_moves_to_the_kernel_in_mid_stream(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		uint8_t alert[32], rec[RECORD_WIRE_MAX];
		size_t at = 0, got = 0, need;
		struct record_view v;
		enum record_type type;
		struct wire *w;
		ssize_t n;

		need_ktls(suites[i]);
		w = wire_new(suites[i]);
		/* The first is opened by us; the second may be in the socket already. */
		user_send(&w->b, w->fd_b, w->sent, 1000);
		n = recv(w->fd_a, rec, 1000 + RECORD_OVERHEAD, MSG_WAITALL);
		assert_int_equal(record_open(&w->a, rec, (size_t)n, &v, &need), n);
		memcpy(w->got, v.p, v.n);
		at = got = 1000;
		user_send(&w->b, w->fd_b, w->sent + at, 10);
		at += 10;
		assert_int_equal(ktls_start(w->fd_a, &w->a.rx, false), 0);
		while (got < TOTAL) {
			n = TOTAL - at < RECORD_PLAIN_MAX ? TOTAL - at : RECORD_PLAIN_MAX;
			if (n > 0)
				user_send(&w->b, w->fd_b, w->sent + at, (size_t)n);
			at += (size_t)n;
			while (got < at) {
				n = ktls_recv(w->fd_a, w->got + got, TOTAL - got, &type);
				assert_true(n > 0 && type == RECORD_DATA);
				got += (size_t)n;
			}
		}
		assert_memory_equal(w->got, w->sent, TOTAL);
		n = record_alert(&w->b, alert, 0);
		assert_int_equal(send(w->fd_b, alert, (size_t)n, 0), n);
		assert_int_equal(ktls_recv(w->fd_a, rec, sizeof(rec), &type), 2);
		assert_int_equal(type, RECORD_ALERT);
		assert_memory_equal(rec, "\1\0", 2);
		wire_free(w);
	}
}

/* What HBONE would need of a sender: a frame header of ours and the payload behind it, in one
 * record each, whether the payload is sent or spliced. */
static void a_frame_header_and_its_payload_share_a_record(void **state)
{
	const size_t payload = RECORD_PLAIN_MAX - 9;
	struct wire *w;
	int pipe_fd[2];

	(void)state;
	need_ktls(RECORD_AES_128_GCM_SHA256);
	w = wire_new(RECORD_AES_128_GCM_SHA256);
	assert_int_equal(ktls_start(w->fd_a, &w->a.tx, true), 0);
	assert_int_equal(send(w->fd_a, w->sent, 9, MSG_MORE), 9);
	assert_int_equal(send(w->fd_a, w->sent + 9, payload, 0), payload);
	user_recv(w, RECORD_PLAIN_MAX);
	assert_int_equal(pipe(pipe_fd), 0);
	assert_int_equal(write(pipe_fd[1], w->sent + 9, payload), payload);
	assert_int_equal(send(w->fd_a, w->sent, 9, MSG_MORE), 9);
	for (size_t n = 0; n < payload;) {
		ssize_t r = splice(pipe_fd[0], NULL, w->fd_a, NULL, payload - n, 0);

		assert_true(r > 0);
		n += (size_t)r;
	}
	user_recv(w, 2 * RECORD_PLAIN_MAX);
	assert_int_equal(w->n_records, 2);
	assert_int_equal(w->sizes[0], RECORD_PLAIN_MAX);
	assert_int_equal(w->sizes[1], RECORD_PLAIN_MAX);
	assert_memory_equal(w->got, w->sent, RECORD_PLAIN_MAX);
	assert_memory_equal(w->got + RECORD_PLAIN_MAX, w->sent, RECORD_PLAIN_MAX);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	wire_free(w);
}

/* The peer's KeyUpdate comes up as a message of its own. A kernel that can change keys goes on
 * with the next one; another cannot read what follows, and the session is over. */
static void a_key_update_of_the_peer_is_followed_or_ends_the_session(void **state)
{
	uint8_t buf[RECORD_WIRE_MAX];
	struct record_dir next;
	enum record_type type;
	struct aead *key;
	struct wire *w;
	ssize_t n;
	int r;

	(void)state;
	need_ktls(RECORD_AES_128_GCM_SHA256);
	w = wire_new(RECORD_AES_128_GCM_SHA256);
	assert_int_equal(ktls_start(w->fd_a, &w->a.rx, false), 0);
	n = record_key_update(&w->b, buf, false);
	assert_int_equal(send(w->fd_b, buf, (size_t)n, 0), n);
	user_send(&w->b, w->fd_b, w->sent, 100);
	assert_int_equal(ktls_recv(w->fd_a, buf, sizeof(buf), &type), 5);
	assert_int_equal(type, RECORD_HANDSHAKE);
	assert_memory_equal(buf, "\x18\0\0\1\0", 5);
	assert_int_equal(dir_next(&w->a.rx, &next, &key), 0);
	aead_free(&key);
	r = ktls_start(w->fd_a, &next, false);
	n = ktls_recv(w->fd_a, buf, sizeof(buf), &type);
	if (r == 0) {
		assert_int_equal(n, 100);
		assert_memory_equal(buf, w->sent, 100);
	} else {
		assert_int_equal(r, -EBUSY);
		assert_int_equal(n, -EBADMSG);
	}
	wire_free(w);
}

static void what_comes_forged_is_an_error_and_gives_no_bytes(void **state)
{
	uint8_t rec[RECORD_WIRE_MAX] = { 0 };
	enum record_type type;
	struct wire *w;
	ssize_t n;

	(void)state;
	need_ktls(RECORD_AES_128_GCM_SHA256);
	w = wire_new(RECORD_AES_128_GCM_SHA256);
	assert_int_equal(ktls_start(w->fd_a, &w->a.rx, false), 0);
	n = record_seal(&w->b, rec, 100, RECORD_DATA);
	rec[50] ^= 1;
	assert_int_equal(send(w->fd_b, rec, (size_t)n, 0), n);
	assert_int_equal(ktls_recv(w->fd_a, rec, sizeof(rec), &type), -EBADMSG);
	wire_free(w);
}

static void half_a_message_cannot_move(void **state)
{
	struct wire *w = wire_new(RECORD_AES_128_GCM_SHA256);

	(void)state;
	w->a.rx.hs_len = 2;
	assert_int_equal(ktls_start(w->fd_a, &w->a.rx, false), -EBUSY);
	wire_free(w);
}

int main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(a_sender_moves_to_the_kernel_in_mid_stream),
		cmocka_unit_test(a_receiver_moves_to_the_kernel_in_mid_stream),
		cmocka_unit_test(a_frame_header_and_its_payload_share_a_record),
		cmocka_unit_test(a_key_update_of_the_peer_is_followed_or_ends_the_session),
		cmocka_unit_test(what_comes_forged_is_an_error_and_gives_no_bytes),
		cmocka_unit_test(half_a_message_cannot_move),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
