// SPDX-License-Identifier: Apache-2.0
/*
 * Client of the control socket, for the CLI: one request, one reply, blocking with one
 * deadline for all of it. Owns its socket for the time of a call. Any thread.
 */
#include "admin/ctl.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/own.h"

#define CALL_S 30

struct call {
	const char *path;
	int fd;
	uint64_t deadline_ns;
	struct errbuf *err;
};

static int unreachable(const struct call *c, int r)
{
	const char *hint = "is it running?";

	if (r == -EACCES || r == -EPERM)
		hint = "are you root?";
	else if (r == -ETIMEDOUT)
		hint = "is it stuck?";
	return errbuf_set(c->err, r, "weftd does not answer at %s: %s; %s", c->path, strerror(-r),
			  hint);
}

static int wait_for(const struct call *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	uint64_t now;
	int r;

	do {
		now = clock_mono_ns();
		if (now >= c->deadline_ns)
			return -ETIMEDOUT;
		r = poll(&p, 1, (int)((c->deadline_ns - now) / NS_PER_MS) + 1);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

static int call_connect(struct call *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = CALL_S };

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_of(c->path)) < 0)
		return errbuf_set(c->err, -ENAMETOOLONG,
				  "%s is longer than a socket path may be "
				  "(%zu bytes)",
				  c->path, sizeof(sa.sun_path) - 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return unreachable(c, -errno);
	/* It also bounds connect(2) when the backlog of the daemon is full. */
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return unreachable(c, errno == EAGAIN ? -ETIMEDOUT : -errno);
	return 0;
}

static int call_send(struct call *c, const char *p, size_t n)
{
	while (n) {
		ssize_t put = send(c->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (put > 0) {
			p += put;
			n -= (size_t)put;
		} else if (errno == EAGAIN) {
			r = wait_for(c, POLLOUT);
		} else if (errno == EPIPE || errno == ECONNRESET) {
			return 0; /* it may have said why before it closed */
		} else if (errno != EINTR) {
			r = -errno;
		}
		if (r < 0)
			return unreachable(c, r);
	}
	return 0;
}

struct reply {
	char *p;
	size_t n, cap;
};

static int reply_grow(struct reply *b)
{
	size_t cap = b->cap ? b->cap * 2 : 16384;
	char *p;

	if (b->n < b->cap)
		return 0;
	if (b->n > CTL_REPLY_MAX)
		return -EMSGSIZE;
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

/* Up to the newline or the end. */
static int call_receive(struct call *c, struct reply *b)
{
	for (;;) {
		ssize_t got;
		int r = reply_grow(b);

		if (r < 0)
			return errbuf_set(c->err, r, "the reply of weftd is too large: %s",
					  strerror(-r));
		got = recv(c->fd, b->p + b->n, b->cap - b->n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno == ECONNRESET && b->n))
			return 0;
		if (got > 0) {
			b->n += (size_t)got;
			if (memchr(b->p + b->n - got, '\n', (size_t)got))
				return 0;
			continue;
		}
		r = errno == EAGAIN ? wait_for(c, POLLIN) : errno == EINTR ? 0 : -errno;
		if (r < 0)
			return unreachable(c, r);
	}
}

static json_t *reply_check(const struct call *c, const struct reply *b)
{
	json_error_t je;
	json_t *j;

	if (b->n == 0) {
		errbuf_set(c->err, -EPIPE, "weftd at %s closed the connection without a reply",
			   c->path);
		return NULL;
	}
	j = json_loadb(b->p, b->n, JSON_DISABLE_EOF_CHECK, &je);
	if (!json_is_object(j)) {
		json_decref(j);
		errbuf_set(c->err, -EINVAL, "the reply of weftd at %s is cut off or no JSON object",
			   c->path);
		return NULL;
	}
	if (!json_is_true(json_object_get(j, "ok"))) {
		const char *why = json_string_value(json_object_get(j, "error"));

		errbuf_set(c->err, -EIO, "%s", why ? why : "weftd refused without a reason");
		json_decref(j);
		return NULL;
	}
	return j;
}

static void call_fini(struct call *c)
{
	own_close(&c->fd);
}

static void reply_fini(struct reply *b)
{
	own_free(&b->p);
}

json_t *ctl_call(const char *path, const json_t *request, struct errbuf *err)
{
	cleanup_with(call_fini) struct call c = {
		.path = path,
		.fd = -1,
		.deadline_ns = clock_mono_ns() + CALL_S * NS_PER_S,
		.err = err,
	};
	cleanup_with(reply_fini) struct reply b = { 0 };
	_free_ char *text = json_dumps(request, JSON_COMPACT);

	if (!text || strlen(text) > CTL_REQUEST_MAX) {
		errbuf_set(err, -EINVAL, "this request cannot be sent");
		return NULL;
	}
	if (call_connect(&c) < 0 || call_send(&c, text, strlen(text)) < 0 ||
	    call_send(&c, "\n", 1) < 0 || call_receive(&c, &b) < 0)
		return NULL;
	return reply_check(&c, &b);
}
