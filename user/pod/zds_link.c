// SPDX-License-Identifier: Apache-2.0
/* The socket of ZDS, see zds_link.h. Used by daemon/zds.c. */
#define LOG_SCOPE "zds"
#include "pod/zds_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/rand.h"
#include "io/loop.h"

/* Room for more descriptors than the one that a message may have, so that too many are seen as
 * that; what does not fit is closed by the kernel. */
#define FDS_MAX 8
#define BURST 16 /* messages per turn of the loop */

struct zds_link {
	struct loop *loop;
	char *path;
	struct zds_state *st;
	int fd;
	struct watch watch;
	struct timer again, retry;
	uint64_t pause_ns;
	enum zds_link_state state;
	uint64_t since_s, connections, messages, refused;
	struct errbuf last;
};

struct packet {
	char buf[ZDS_MSG_MAX];
	size_t n;
	int fd[FDS_MAX];
	size_t n_fds;
	int flags; /* of recvmsg(2) */
};

static void on_again(void *arg);

static void enter(struct zds_link *zl, enum zds_link_state s)
{
	zl->state = s;
	zl->since_s = clock_wall_s();
}

/* Ends the connection, if there is one, and plans the next. The sentence is logged when it is news:
 * an agent that is not there is asked again and again. */
static void broken(struct zds_link *zl, const struct errbuf *why)
{
	bool was_up = zl->fd >= 0;

	watch_del(&zl->watch);
	own_close(&zl->fd);
	if (was_up)
		zds_state_lost(zl->st);
	if (was_up || strcmp(zl->last.text, why->text) != 0)
		log_warn("istio-cni at %s: %s", zl->path, why->text);
	zl->last = *why;
	if (was_up || !zl->since_s)
		enter(zl, ZDS_LINK_DOWN);
	/* Up to a fifth more, so that the daemons of a node do not knock in step. */
	timer_set(zl->loop, &zl->again, zl->pause_ns + rand_fast() % (zl->pause_ns / 5), on_again,
		  zl);
	zl->pause_ns = zl->pause_ns < ZDS_PAUSE_MAX_NS / 2 ? zl->pause_ns * 2 : ZDS_PAUSE_MAX_NS;
}

static int packet_send(struct zds_link *zl, const char *buf, size_t n, struct errbuf *err)
{
	ssize_t sent = send(zl->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	return sent == (ssize_t)n ? 0
				  : errbuf_set(err, -EIO, "cannot answer: %s",
					       log_strerror(sent < 0 ? -errno : -EMSGSIZE));
}

static void take_fds(struct msghdr *mh, struct packet *p)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (p->n_fds < FDS_MAX)
				p->fd[p->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

static void packet_fini(struct packet *p)
{
	for (size_t i = 0; i < p->n_fds; i++)
		own_close(&p->fd[i]);
	p->n_fds = 0;
}

/* 1: a packet, whose descriptors must be taken or given back by packet_fini(); 0: none now. */
static int packet_receive(struct zds_link *zl, struct packet *p, struct errbuf *err)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { p->buf, sizeof(p->buf) };
	struct msghdr mh = { .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf) };
	ssize_t n = recvmsg(zl->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0)
		return errbuf_set(err, -errno, "connection lost: %s", log_strerror(-errno));
	p->n = (size_t)n;
	p->n_fds = 0;
	p->flags = mh.msg_flags;
	take_fds(&mh, p);
	if (n == 0 && !p->n_fds)
		return errbuf_set(err, -ECONNRESET, "it closed the connection");
	return 1;
}

static int packet_check(const struct packet *p, struct errbuf *err)
{
	if (p->flags & MSG_TRUNC)
		return errbuf_set(err, -EPROTO, "a message of more than %u bytes", ZDS_MSG_MAX);
	if (p->flags & MSG_CTRUNC || p->n_fds > 1)
		return errbuf_set(err, -EPROTO, "a message with more than one descriptor");
	return 0;
}

/* What the answer says; -EPROTO: and then the connection ends. */
static int packet_apply(struct zds_link *zl, struct packet *p, struct errbuf *err)
{
	struct zds_request rq;
	int r = packet_check(p, err);

	if (r == 0 && zds_request_parse((struct str){ p->buf, p->n }, err, &rq) < 0)
		r = -EPROTO;
	if (r < 0)
		return r;
	r = zds_state_apply(zl->st, &rq, p->n_fds ? TAKE_FD(p->fd[0]) : -1, err);
	if (r == 0 && rq.kind == ZDS_SNAPSHOT_SENT) {
		struct zds_counts c;

		zds_state_counts(zl->st, &c);
		log_info("snapshot of istio-cni: %zu pods served, %zu wait", c.served, c.pending);
		enter(zl, ZDS_LINK_SYNCED);
		zl->pause_ns = ZDS_PAUSE_MIN_NS;
		zl->last.text[0] = '\0';
	}
	return r;
}

/* 0: go on with the next one. */
static int packet_serve(struct zds_link *zl, struct packet *p, struct errbuf *err)
{
	char answer[ZDS_MSG_MAX];
	int r = packet_apply(zl, p, err), s;
	struct errbuf sent = { 0 };

	packet_fini(p);
	zl->messages++;
	zl->refused += r < 0;
	s = packet_send(zl, answer, zds_ack_format(answer, r < 0 ? err->text : NULL), &sent);
	if (r == -EPROTO)
		return r;
	if (r < 0)
		log_warn("%s; istio-cni was told so", err->text);
	*err = sent;
	return s;
}

static void on_packet(void *arg, uint32_t events)
{
	struct zds_link *zl = arg;

	(void)events;
	for (int i = 0; i < BURST; i++) {
		struct errbuf err = { 0 };
		struct packet p;
		int r = packet_receive(zl, &p, &err);

		if (r == 0)
			return;
		if (r > 0)
			r = packet_serve(zl, &p, &err);
		if (r < 0) {
			broken(zl, &err);
			return;
		}
	}
}

static int link_open(struct zds_link *zl, struct errbuf *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char hello[ZDS_MSG_MAX];
	int r;

	if (fd < 0)
		return errbuf_set(err, -errno, "socket: %s", log_strerror(-errno));
	if (str_copy(sun.sun_path, sizeof(sun.sun_path), str_of(zl->path)) < 0)
		return errbuf_set(err, -ENAMETOOLONG, "the path is too long for a socket");
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		return errbuf_set(err, -errno, "cannot connect: %s", log_strerror(-errno));
	r = watch_add(zl->loop, &zl->watch, fd, EPOLLIN, on_packet, zl);
	if (r < 0)
		return errbuf_set(err, r, "cannot watch it: %s", log_strerror(r));
	zl->fd = TAKE_FD(fd);
	zl->connections++;
	zds_state_begin(zl->st);
	enter(zl, ZDS_LINK_SNAPSHOT);
	return packet_send(zl, hello, zds_hello_format(hello), err);
}

static void on_again(void *arg)
{
	struct zds_link *zl = arg;
	struct errbuf err = { 0 };

	if (link_open(zl, &err) < 0)
		broken(zl, &err);
	else
		log_info("connected to istio-cni at %s", zl->path);
}

static void on_retry(void *arg)
{
	struct zds_link *zl = arg;

	zds_state_retry(zl->st);
	timer_set(zl->loop, &zl->retry, ZDS_RETRY_NS, on_retry, zl);
}

int zds_link_new(struct loop *loop, const char *path, const struct zds_ops *ops, struct zds_link **ret)
{
	struct zds_link *zl = calloc(1, sizeof(*zl));
	int r;

	if (!zl)
		return -ENOMEM;
	zl->loop = loop;
	zl->fd = -1;
	zl->pause_ns = ZDS_PAUSE_MIN_NS;
	zl->path = str_dup(str_of(path));
	r = zl->path ? zds_state_new(ops, &zl->st) : -ENOMEM;
	if (r < 0) {
		zds_link_free(&zl);
		return r;
	}
	timer_set(loop, &zl->again, 0, on_again, zl);
	timer_set(loop, &zl->retry, ZDS_RETRY_NS, on_retry, zl);
	*ret = zl;
	return 0;
}

void zds_link_free(struct zds_link **zp)
{
	struct zds_link *zl = *zp;

	if (!zl)
		return;
	*zp = NULL;
	timer_cancel(&zl->again);
	timer_cancel(&zl->retry);
	watch_del(&zl->watch);
	own_close(&zl->fd);
	zds_state_free(&zl->st);
	free(zl->path);
	free(zl);
}

void zds_link_status(const struct zds_link *zl, struct zds_status *ret)
{
	*ret = (struct zds_status){ .state = zl->state,
				    .path = zl->path,
				    .last_error = zl->last.text,
				    .since_s = zl->since_s,
				    .connections = zl->connections,
				    .messages = zl->messages,
				    .refused = zl->refused };
	zds_state_counts(zl->st, &ret->counts);
}

const char *zds_link_state_text(enum zds_link_state s)
{
	static const char *const text[] = {
		[ZDS_LINK_DOWN] = "down", [ZDS_LINK_SNAPSHOT] = "snapshot", [ZDS_LINK_SYNCED] = "synced"
	};

	return text[s];
}
