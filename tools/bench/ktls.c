// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-ktls [MB]: what one side of a tunnel costs per byte with our record layer and with the
 * kernel's. Out: from the socket of an application to a tunnel, each 16,375 bytes behind an HTTP/2
 * frame header, both in one record. In: the way back. One line of JSON, nanoseconds per byte.
 *
 * Only what the relay would do is measured, with what the kernel does for it in the same thread;
 * feeding and draining are not. Under `qemu -icount shift=0` the clock counts instructions, so the
 * answer is instructions per byte: how docs/decisions/0018-ktls.md was measured.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/tls.h>

#include "base/clock.h"
#include "base/own.h"
#include "tls/ktls.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#define FRAME_HEADER 9
#define PAYLOAD (RECORD_PLAIN_MAX - FRAME_HEADER)
#define BATCH 16 /* records per turn, a quarter of a megabyte, as in tunnel/recv.c */
#define WIRE (RECORD_PLAIN_MAX + RECORD_OVERHEAD)

struct bench {
	int app, app_peer; /* the application's connection: ours, and the application */
	int tun, tun_peer; /* the tunnel: ours, and the other node */
	int pipe[2];
	struct record near, far;
	uint8_t *buf, *other; /* BATCH * WIRE bytes each */
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "weft-bench-ktls: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void pair_make(int *a, int *b)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int big = 8 << 20, one = 1;
	socklen_t n = sizeof(sa);

	*a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A batch must fit: one thread feeds, moves and drains. */
	setsockopt(l, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setsockopt(l, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	setsockopt(*a, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	setsockopt(*a, SOL_SOCKET, SO_SNDBUFFORCE, &big, sizeof(big));
	must(bind(l, (struct sockaddr *)&sa, n) == 0 && listen(l, 1) == 0 &&
	     getsockname(l, (struct sockaddr *)&sa, &n) == 0 &&
	     connect(*a, (struct sockaddr *)&sa, n) == 0, "loopback");
	*b = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	must(*b >= 0, "accept");
	setsockopt(*a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(*b, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void all_send(int fd, const uint8_t *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = send(fd, p + at, n - at, MSG_NOSIGNAL);

		must(r > 0, "send");
		at += (size_t)r;
	}
}

static void all_recv(int fd, uint8_t *p, size_t n, int flags)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = recv(fd, p ? p + at : NULL, n - at, flags);

		must(r > 0, "recv");
		at += (size_t)r;
	}
}

static void frame_header(uint8_t *p)
{
	static const uint8_t head[FRAME_HEADER] = { PAYLOAD >> 16, (PAYLOAD >> 8) & 0xff,
						    PAYLOAD & 0xff, 0, 0, 0, 0, 0, 1 };

	memcpy(p, head, sizeof(head));
}

/* ---- out: application -> tunnel ---- */

/* No TLS at all: what there is left when records cost nothing. */
static void out_plain(struct bench *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = b->buf + i * RECORD_PLAIN_MAX;

		frame_header(p);
		all_recv(b->app, p + FRAME_HEADER, PAYLOAD, 0);
	}
	all_send(b->tun, b->buf, BATCH * RECORD_PLAIN_MAX);
}

/* As tunnel/send.c: read to where the record is sealed in place, several records in one send. */
static void out_user(struct bench *b)
{
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = b->buf + i * WIRE;

		frame_header(p + RECORD_HEADER);
		all_recv(b->app, p + RECORD_HEADER + FRAME_HEADER, PAYLOAD, 0);
		must(record_seal(&b->near, p, RECORD_PLAIN_MAX, RECORD_DATA) == WIRE, "seal");
	}
	all_send(b->tun, b->buf, (size_t)BATCH * WIRE);
}

static void out_ktls_splice(struct bench *b)
{
	uint8_t head[FRAME_HEADER];

	frame_header(head);
	for (size_t i = 0; i < BATCH; i++) {
		must(send(b->tun, head, sizeof(head), MSG_MORE) == sizeof(head), "header");
		for (size_t n = 0; n < PAYLOAD;) {
			ssize_t in = splice(b->app, NULL, b->pipe[1], NULL, PAYLOAD - n, 0);
			ssize_t left = in;

			must(in > 0, "splice in");
			n += (size_t)in;
			while (left > 0) {
				ssize_t r = splice(b->pipe[0], NULL, b->tun, NULL, (size_t)left,
						   n < PAYLOAD ? SPLICE_F_MORE : 0);

				must(r > 0, "splice out");
				left -= r;
			}
		}
	}
}

/* ---- in: tunnel -> application ---- */

static void frames_forward(struct bench *b, const uint8_t *p, size_t stride)
{
	struct iovec iov[BATCH];
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = BATCH };

	for (size_t i = 0; i < BATCH; i++)
		iov[i] = (struct iovec){ (void *)(p + i * stride + FRAME_HEADER), PAYLOAD };
	must(sendmsg(b->app, &m, MSG_NOSIGNAL) == (ssize_t)BATCH * PAYLOAD, "forward");
}

static void in_plain(struct bench *b)
{
	all_recv(b->tun, b->buf, BATCH * RECORD_PLAIN_MAX, 0);
	frames_forward(b, b->buf, RECORD_PLAIN_MAX);
}

static void in_user(struct bench *b)
{
	struct record_view v;
	size_t need;

	all_recv(b->tun, b->buf, (size_t)BATCH * WIRE, 0);
	for (size_t i = 0; i < BATCH; i++)
		must(record_open(&b->near, b->buf + i * WIRE, WIRE, &v, &need) == WIRE, "open");
	frames_forward(b, b->buf + RECORD_HEADER, WIRE);
}

static void in_ktls_splice(struct bench *b)
{
	uint8_t head[FRAME_HEADER];

	for (size_t i = 0; i < BATCH; i++) {
		all_recv(b->tun, head, sizeof(head), 0);
		for (size_t n = 0; n < PAYLOAD;) {
			ssize_t in = splice(b->tun, NULL, b->pipe[1], NULL, PAYLOAD - n, 0);
			ssize_t left = in;

			must(in > 0, "splice in");
			n += (size_t)in;
			while (left > 0) {
				ssize_t r = splice(b->pipe[0], NULL, b->app, NULL, (size_t)left, 0);

				must(r > 0, "splice out");
				left -= r;
			}
		}
	}
}

/* ---- the other ends, not measured ---- */

static void feed_app(struct bench *b, bool tls)
{
	(void)tls;
	all_send(b->app_peer, b->other, (size_t)BATCH * PAYLOAD);
}

static void drain_tun(struct bench *b, bool tls)
{
	all_recv(b->tun_peer, NULL, (size_t)BATCH * (tls ? WIRE : RECORD_PLAIN_MAX), MSG_TRUNC);
}

static void feed_tun(struct bench *b, bool tls)
{
	if (!tls) {
		all_send(b->tun_peer, b->other, (size_t)BATCH * RECORD_PLAIN_MAX);
		return;
	}
	for (size_t i = 0; i < BATCH; i++) {
		uint8_t *p = b->other + i * WIRE;

		frame_header(p + RECORD_HEADER);
		must(record_seal(&b->far, p, RECORD_PLAIN_MAX, RECORD_DATA) == WIRE, "seal");
	}
	all_send(b->tun_peer, b->other, (size_t)BATCH * WIRE);
}

static void drain_app(struct bench *b, bool tls)
{
	(void)tls;
	all_recv(b->app_peer, NULL, (size_t)BATCH * PAYLOAD, MSG_TRUNC);
}

struct method {
	const char *name;
	bool out, tls, ktls, no_pad;
	void (*move)(struct bench *b);
};

static void bench_open(struct bench *b, const struct method *m)
{
	static const uint8_t x[32] = { 1 }, y[32] = { 2 };
	const int one = 1;

	pair_make(&b->app, &b->app_peer);
	pair_make(&b->tun, &b->tun_peer);
	must(pipe2(b->pipe, O_CLOEXEC) == 0, "pipe");
	fcntl(b->pipe[1], F_SETPIPE_SZ, 1 << 20);
	b->buf = calloc(BATCH, WIRE);
	b->other = calloc(BATCH, WIRE);
	must(b->buf && b->other &&
	     record_init(&b->near, RECORD_AES_128_GCM_SHA256, x, y, sizeof(x)) == 0 &&
	     record_init(&b->far, RECORD_AES_128_GCM_SHA256, y, x, sizeof(x)) == 0, "memory");
	if (m->ktls) {
		errno = -ktls_start(b->tun, m->out ? &b->near.tx : &b->near.rx, m->out);
		must(errno == 0, "kTLS");
		if (m->no_pad)
			must(setsockopt(b->tun, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &one, sizeof(one)) == 0,
			     "TLS_RX_EXPECT_NO_PAD");
	}
}

static void bench_close(struct bench *b)
{
	const int fds[] = { b->app, b->app_peer, b->tun, b->tun_peer, b->pipe[0], b->pipe[1] };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	record_fini(&b->near);
	record_fini(&b->far);
	free(b->buf);
	free(b->other);
}

static double run(const struct method *m, uint64_t bytes)
{
	uint64_t spent = 0, done = 0;
	struct bench b = { 0 };

	bench_open(&b, m);
	for (int turn = 0; done < bytes; turn++) {
		uint64_t t0;

		(m->out ? feed_app : feed_tun)(&b, m->tls);
		t0 = clock_mono_ns();
		m->move(&b);
		/* The first turns warm up caches and windows. */
		if (turn >= 4) {
			spent += clock_mono_ns() - t0;
			done += (uint64_t)BATCH * PAYLOAD;
		}
		(m->out ? drain_tun : drain_app)(&b, m->tls);
	}
	bench_close(&b);
	return (double)spent / (double)done;
}

int main(int argc, char **argv)
{
	static const struct method methods[] = {
		{ "out_plain", true, false, false, false, out_plain },
		{ "out_user", true, true, false, false, out_user },
		{ "out_ktls_copy", true, true, true, false, out_plain },
		{ "out_ktls_splice", true, true, true, false, out_ktls_splice },
		{ "in_plain", false, false, false, false, in_plain },
		{ "in_user", false, true, false, false, in_user },
		{ "in_ktls_copy", false, true, true, false, in_plain },
		{ "in_ktls_no_pad", false, true, true, true, in_plain },
		{ "in_ktls_splice", false, true, true, false, in_ktls_splice },
	};
	const uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) << 20;
	const bool ktls = ktls_probe(RECORD_AES_128_GCM_SHA256) == 0;
	json_t *j = json_object();

	json_object_set_new(j, "engine", json_string(record_engine()));
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (ktls || !methods[i].ktls)
			json_object_set_new(j, methods[i].name,
					    json_real(run(&methods[i], bytes)));
	json_dumpf(j, stdout, JSON_REAL_PRECISION(4));
	putchar('\n');
	json_decref(j);
	return 0;
}
