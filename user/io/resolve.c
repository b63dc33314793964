// SPDX-License-Identifier: Apache-2.0
/* Host names to addresses on a thread of its own; see resolve.h. Loop thread, but for
 * lookup_main(). */
#include "io/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/ip.h"
#include "base/own.h"
#include "io/loop.h"

#define STACK_BYTES (512u << 10)

struct answer { /* what goes through the socket pair */
	int r;
	uint32_t n;
	struct weft_ep ep[RESOLVE_MAX];
};

struct lookup { /* the thread's own */
	int fd;
	uint16_t port;
	char host[256];
};

struct resolve {
	int fd;
	struct watch watch;
	struct task now; /* numeric addresses */
	struct answer answer;
	resolve_fn fn;
	void *arg;
};

static int gai_errno(int e)
{
	switch (e) {
	case EAI_NONAME:
#ifdef EAI_NODATA
	case EAI_NODATA:
#endif
		return -ENOENT;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void lookup_do(const struct lookup *l, struct answer *a)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *all = NULL;
	int e = getaddrinfo(l->host, NULL, &hints, &all);

	if (e) {
		a->r = gai_errno(e);
		return;
	}
	for (const struct addrinfo *i = all; i && a->n < RESOLVE_MAX; i = i->ai_next) {
		struct weft_ep ep;

		if (ip_from_sockaddr(i->ai_addr, &ep) < 0)
			continue;
		ep.port = l->port;
		a->ep[a->n++] = ep;
	}
	freeaddrinfo(all);
	a->r = a->n ? 0 : -ENOENT;
}

static void *lookup_main(void *arg)
{
	struct lookup *l = arg;
	struct answer a = { 0 };

	lookup_do(l, &a);
	/* Nobody may be there any more: then it fails, and that is all. */
	(void)!send(l->fd, &a, sizeof(a), MSG_NOSIGNAL);
	close(l->fd);
	free(l);
	return NULL;
}

static int lookup_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t t;
	int r = -pthread_attr_init(&attr);

	if (r < 0)
		return r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	r = -pthread_create(&t, &attr, lookup_main, l);
	pthread_attr_destroy(&attr);
	return r;
}

static void on_answer(void *arg, uint32_t events)
{
	struct resolve *r = arg;
	ssize_t n = recv(r->fd, &r->answer, sizeof(r->answer), MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	watch_del(&r->watch);
	if (n != (ssize_t)sizeof(r->answer) || r->answer.n > RESOLVE_MAX)
		r->answer = (struct answer){ .r = -EIO };
	r->fn(r->arg, r->answer.r, r->answer.ep, r->answer.n);
}

static void on_numeric(void *arg)
{
	struct resolve *r = arg;

	r->fn(r->arg, 0, r->answer.ep, 1);
}

static int lookup_start(struct loop *loop, struct resolve *r, const char *host, uint16_t port)
{
	struct lookup *l = calloc(1, sizeof(*l));
	int fd[2], e;

	if (!l)
		return -ENOMEM;
	l->port = port;
	e = str_copy(l->host, sizeof(l->host), str_of(host));
	if (e == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd) < 0)
		e = -errno;
	if (e < 0) {
		free(l);
		return e;
	}
	r->fd = fd[0];
	l->fd = fd[1];
	e = watch_add(loop, &r->watch, r->fd, EPOLLIN, on_answer, r);
	if (e == 0)
		e = lookup_thread(l);
	if (e < 0) {
		close(fd[1]);
		free(l);
	}
	return e;
}

int resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn fn, void *arg,
		  struct resolve **ret)
{
	cleanup_with(resolve_free) struct resolve *r = calloc(1, sizeof(*r));
	struct weft_addr addr;
	int e = 0;

	if (!r)
		return -ENOMEM;
	r->fd = -1;
	r->fn = fn;
	r->arg = arg;
	if (ip_parse(str_of(host), &addr) == 0) {
		r->answer.ep[0] = (struct weft_ep){ .addr = addr, .port = port };
		task_defer(loop, &r->now, on_numeric, r);
	} else {
		e = lookup_start(loop, r, host, port);
	}
	if (e < 0)
		return e;
	*ret = TAKE_PTR(r);
	return 0;
}

void resolve_free(struct resolve **pr)
{
	struct resolve *r = TAKE_PTR(*pr);

	if (!r)
		return;
	watch_del(&r->watch);
	task_cancel(&r->now);
	own_close(&r->fd);
	free(r);
}
