// SPDX-License-Identifier: Apache-2.0
/*
 * Server of the control socket. Lives on the control loop; owns the listening socket, its
 * connections and their buffers. Commands are registered by the rooms that can answer them.
 *
 * A connection reads while nothing waits to be written, so that what one client can occupy is
 * one request and one reply.
 */
#define LOG_SCOPE "admin"
#include "admin/ctl.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/vec.h"
#include "io/loop.h"

#define IDLE_NS (10 * NS_PER_S)
#define ACCEPT_PAUSE_NS NS_PER_S
#define READ_CHUNK 16384
#define TURN_REQUESTS 16 /* per connection and turn, so that pipelining is no monopoly */

struct command {
	const char *name;
	ctl_fn fn;
	void *arg;
};

struct ctl {
	struct loop *loop;
	char *path;
	dev_t dev; /* of the socket file, to unlink no successor's */
	ino_t ino;
	int fd;
	struct watch watch;
	struct timer pause; /* after accept(2) failed for want of something */
	struct list conns;
	unsigned n_conns;
	VEC(struct command) commands;
};

struct buf {
	char *p;
	size_t n, cap;
};

struct conn {
	struct list node;
	struct ctl *ctl;
	int fd;
	struct watch watch;
	struct timer idle;
	struct buf in, out;
	size_t scanned; /* bytes of in without a newline */
	size_t sent; /* bytes of out the kernel has */
	bool eof, closing; /* closing: after out is sent */
};

static int buf_add(struct buf *b, const void *p, size_t n, size_t max)
{
	size_t need = b->n + n, cap = b->cap ? b->cap : 1024;
	char *q;

	if (n > max || need > max)
		return -EMSGSIZE;
	while (cap < need)
		cap *= 2;
	if (cap > b->cap) {
		q = realloc(b->p, cap);
		if (!q)
			return -ENOMEM;
		b->p = q;
		b->cap = cap;
	}
	memcpy(b->p + b->n, p, n);
	b->n = need;
	return 0;
}

static void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

static void conn_free(struct conn *c)
{
	list_del(&c->node);
	c->ctl->n_conns--;
	timer_cancel(&c->idle);
	watch_del(&c->watch);
	own_close(&c->fd);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

static int dump_piece(const char *p, size_t n, void *arg)
{
	return buf_add(arg, p, n, CTL_REPLY_MAX - 1) < 0 ? -1 : 0;
}

static json_t *error_reply(const char *text)
{
	json_t *s = json_string(text);

	/* A sentence cut inside a UTF-8 character is no JSON text. */
	if (!s) {
		char ascii[sizeof(((struct errbuf *)0)->text)];
		size_t n = 0;

		for (; text[n] && n + 1 < sizeof(ascii); n++)
			ascii[n] = (unsigned char)text[n] < 0x7f ? text[n] : '?';
		s = json_stringn(ascii, n);
	}
	return json_pack("{s:b, s:o}", "ok", 0, "error", s);
}

/* Appends a line; 0 or -errno with nothing appended. Steals reply. */
static int conn_put(struct conn *c, json_t *reply)
{
	size_t before = c->out.n;
	int r = reply ? 0 : -ENOMEM;

	if (r == 0 && json_dump_callback(reply, dump_piece, &c->out, JSON_COMPACT) < 0)
		r = -EMSGSIZE;
	if (r == 0)
		r = buf_add(&c->out, "\n", 1, CTL_REPLY_MAX);
	json_decref(reply);
	if (r < 0)
		c->out.n = before;
	return r;
}

static void conn_error(struct conn *c, const char *text)
{
	if (conn_put(c, error_reply(text)) < 0)
		c->closing = true;
}

static void conn_reply(struct conn *c, const char *cmd, json_t *body)
{
	char text[128];
	json_t *reply = json_pack("{s:b}", "ok", 1);

	if (!reply || json_object_update_missing(reply, body) < 0) {
		json_decref(reply);
		reply = NULL;
	}
	json_decref(body);
	if (conn_put(c, reply) == 0)
		return;
	snprintf(text, sizeof(text), "the answer to %.40s has no room in %u bytes", cmd,
		 CTL_REPLY_MAX);
	conn_error(c, text);
}

static const struct command *command_find(const struct ctl *ctl, const char *name)
{
	for (size_t i = 0; i < ctl->commands.n; i++)
		if (strcmp(ctl->commands.p[i].name, name) == 0)
			return &ctl->commands.p[i];
	return NULL;
}

static void conn_request(struct conn *c, struct str line)
{
	const struct command *cmd;
	struct errbuf err = { 0 };
	json_t *request = NULL, *body;
	const char *name;

	if (ctl_request_parse(line, &err, &request, &name) < 0) {
		conn_error(c, err.text);
		return;
	}
	cmd = command_find(c->ctl, name);
	if (!cmd) {
		errbuf_set(&err, -ENOENT, "there is no command \"%.64s\"", name);
		conn_error(c, err.text);
		json_decref(request);
		return;
	}
	body = cmd->fn(cmd->arg, request, &err);
	json_decref(request);
	if (json_is_object(body)) {
		conn_reply(c, cmd->name, body);
		return;
	}
	json_decref(body);
	conn_error(c, err.text[0] ? err.text : "the command failed without a reason");
}

/* Takes the next line out of in; false if there is none yet. */
static bool conn_line(struct conn *c)
{
	struct str line;
	char *nl = NULL;

	if (c->scanned < c->in.n)
		nl = memchr(c->in.p + c->scanned, '\n', c->in.n - c->scanned);
	if (!nl) {
		c->scanned = c->in.n;
		return false;
	}
	line = (struct str){ c->in.p, (size_t)(nl - c->in.p) };
	conn_request(c, line);
	c->in.n -= line.n + 1;
	memmove(c->in.p, nl + 1, c->in.n);
	c->scanned = 0;
	/* A large request is rare: its memory is not kept for the next one. */
	if (c->in.n == 0)
		buf_fini(&c->in);
	return true;
}

/* False: the connection is gone for writing. */
static bool conn_flush(struct conn *c)
{
	while (c->sent < c->out.n) {
		ssize_t put = send(c->fd, c->out.p + c->sent, c->out.n - c->sent,
				   MSG_NOSIGNAL | MSG_DONTWAIT);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno == EAGAIN;
		c->sent += (size_t)put;
	}
	buf_fini(&c->out);
	c->sent = 0;
	return true;
}

static bool conn_has_line(const struct conn *c)
{
	return c->scanned < c->in.n &&
	       memchr(c->in.p + c->scanned, '\n', c->in.n - c->scanned) != NULL;
}

/* What was buffered, as far as replies are taken. False: the connection is done for. */
static bool conn_work(struct conn *c)
{
	unsigned n = 0;

	while (conn_flush(c)) {
		if (c->out.n)
			return true;
		if (c->closing)
			return false;
		if (n++ == TURN_REQUESTS)
			return true;
		if (conn_line(c))
			continue;
		if (c->in.n > CTL_REQUEST_MAX) {
			conn_error(c, "the request is longer than 1048576 bytes");
			c->closing = true;
		} else if (c->eof && c->in.n) {
			conn_error(c, "the request ends before its newline");
			c->closing = true;
		} else {
			return !c->eof;
		}
	}
	return false;
}

/* False: the socket failed. */
static bool conn_read(struct conn *c)
{
	char chunk[READ_CHUNK];
	ssize_t got = recv(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN || errno == EINTR;
	if (got == 0) {
		c->eof = true;
		return true;
	}
	return buf_add(&c->in, chunk, (size_t)got, CTL_REQUEST_MAX + READ_CHUNK) == 0;
}

static void on_idle(void *arg)
{
	conn_free(arg);
}

static void on_conn(void *arg, uint32_t events)
{
	struct conn *c = arg;
	bool busy = c->out.n || conn_has_line(c);

	(void)events;
	/* EPOLLHUP ends nothing here: the last request may still lie in the socket. */
	if (!busy && !c->eof && !conn_read(c)) {
		conn_free(c);
		return;
	}
	if (!conn_work(c)) {
		conn_free(c);
		return;
	}
	busy = c->out.n || conn_has_line(c);
	if (watch_set(&c->watch, busy ? EPOLLOUT : EPOLLIN) < 0) {
		conn_free(c);
		return;
	}
	timer_set(c->ctl->loop, &c->idle, IDLE_NS, on_idle, c);
}

static void refuse(int fd, const char *why)
{
	_free_ char *line = str_printf("{\"ok\":false,\"error\":\"%s\"}\n", why);

	/* A fresh socket has room for a line; who does not get it sees the close. */
	if (line && send(fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("control socket: refused without a word: %s", why);
}

static const char *refusal(const struct ctl *ctl, int fd)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t n = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0 || who.uid != 0)
		return "only root may talk to weftd";
	if (ctl->n_conns >= CTL_CONNS_MAX)
		return "64 connections to the control socket are open already";
	return NULL;
}

static void conn_new(struct ctl *ctl, int fd_given)
{
	_close_ int fd = fd_given;
	const char *why = refusal(ctl, fd);
	struct conn *c;

	if (why) {
		refuse(fd, why);
		return;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return;
	c->ctl = ctl;
	c->fd = TAKE_FD(fd);
	list_add_tail(&ctl->conns, &c->node);
	ctl->n_conns++;
	if (watch_add(ctl->loop, &c->watch, c->fd, EPOLLIN, on_conn, c) < 0) {
		conn_free(c);
		return;
	}
	timer_set(ctl->loop, &c->idle, IDLE_NS, on_idle, c);
}

static void on_pause_over(void *arg)
{
	struct ctl *ctl = arg;

	if (watch_set(&ctl->watch, EPOLLIN) < 0)
		timer_set(ctl->loop, &ctl->pause, ACCEPT_PAUSE_NS, on_pause_over, ctl);
}

static void on_accept(void *arg, uint32_t events)
{
	struct ctl *ctl = arg;

	(void)events;
	for (unsigned i = 0; i < CTL_CONNS_MAX; i++) {
		int fd = accept4(ctl->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			conn_new(ctl, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* No descriptors, no memory: trying at once would only spin. */
		log_warn("control socket: cannot accept: %s; waiting a second, ignoring",
			 log_strerror(-errno));
		watch_set(&ctl->watch, 0);
		timer_set(ctl->loop, &ctl->pause, ACCEPT_PAUSE_NS, on_pause_over, ctl);
		return;
	}
}

/* Whether somebody answers at the address; a dead daemon's file refuses. */
static bool is_alive(const struct sockaddr_un *sa)
{
	_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0)
		return true;
	return errno != ECONNREFUSED && errno != ENOENT;
}

static int socket_bind(int fd, const struct sockaddr_un *sa, struct errbuf *err)
{
	struct stat st;

	/* The file gets the mode of the socket: there is no moment with a wider one. */
	if (fchmod(fd, 0600) < 0)
		return errbuf_set(err, -errno, "%s: %s", sa->sun_path, strerror(errno));
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return errbuf_set(err, -errno, "cannot make the control socket %s: %s",
				  sa->sun_path, strerror(errno));
	if (lstat(sa->sun_path, &st) == 0 && !S_ISSOCK(st.st_mode))
		return errbuf_set(err, -EEXIST, "%s exists and is not a socket", sa->sun_path);
	if (is_alive(sa))
		return errbuf_set(err, -EADDRINUSE, "another weftd answers at %s", sa->sun_path);
	if (unlink(sa->sun_path) < 0 && errno != ENOENT)
		return errbuf_set(err, -errno, "cannot remove the old %s: %s", sa->sun_path,
				  strerror(errno));
	if (bind(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return errbuf_set(err, -errno, "cannot make the control socket %s: %s",
				  sa->sun_path, strerror(errno));
	return 0;
}

static int ctl_listen(struct ctl *c, const char *path, struct errbuf *err)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;
	int r;

	if (str_copy(sa.sun_path, sizeof(sa.sun_path), str_of(path)) < 0)
		return errbuf_set(err, -ENAMETOOLONG,
				  "%s is longer than a socket path may be "
				  "(%zu bytes)",
				  path, sizeof(sa.sun_path) - 1);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return errbuf_set(err, -errno, "control socket: %s", strerror(errno));
	r = socket_bind(c->fd, &sa, err);
	if (r < 0)
		return r;
	c->path = str_dup(str_of(path));
	if (!c->path) {
		unlink(path);
		return -ENOMEM;
	}
	if (lstat(path, &st) == 0) {
		c->dev = st.st_dev;
		c->ino = st.st_ino;
	}
	if (listen(c->fd, CTL_CONNS_MAX) < 0)
		return errbuf_set(err, -errno, "%s: cannot listen: %s", path, strerror(errno));
	return 0;
}

static void own_ctl(struct ctl **c)
{
	ctl_stop(c);
}

int ctl_start(struct loop *loop, const char *path, struct errbuf *err, struct ctl **ret)
{
	cleanup_with(own_ctl) struct ctl *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->fd = -1;
	list_init(&c->conns);
	r = ctl_listen(c, path, err);
	if (r < 0)
		return r;
	r = watch_add(loop, &c->watch, c->fd, EPOLLIN, on_accept, c);
	if (r < 0)
		return errbuf_set(err, r, "%s: cannot wait for connections: %s", path, strerror(-r));
	*ret = TAKE_PTR(c);
	return 0;
}

void ctl_stop(struct ctl **cp)
{
	struct ctl *c = *cp;
	struct stat st;

	if (!c)
		return;
	list_for_each_safe(n, &c->conns)
		conn_free(list_entry(n, struct conn, node));
	timer_cancel(&c->pause);
	watch_del(&c->watch);
	own_close(&c->fd);
	if (c->path && lstat(c->path, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino)
		unlink(c->path);
	free(c->path);
	vec_fini(&c->commands);
	free(c);
	*cp = NULL;
}

int ctl_register(struct ctl *c, const char *cmd, ctl_fn fn, void *arg)
{
	if (command_find(c, cmd))
		return -EEXIST;
	return vec_push(&c->commands, (struct command){ cmd, fn, arg });
}
