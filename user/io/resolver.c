// SPDX-License-Identifier: Apache-2.0
/* See resolver.h. One entry per name; all who ask for it meanwhile wait for the same answer. */
#include "io/resolver.h"

#include <ares.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/hmap.h"
#include "base/own.h"
#include "base/vec.h"
#include "io/loop.h"

#define TIMEOUT_MS 2000
#define TRIES 2
/* A name that failed is not asked for again at once. */
#define FAILED_S 5
/* c-ares has one UDP and one TCP socket per nameserver. */
#define SOCKETS_MAX 32
#define ADDRS_MAX 64 /* of one name; what is beyond is left out */

struct name {
	struct hnode by_text;
	struct resolver *r;
	struct list waiting; /* struct resolver_query */
	VEC(struct weft_addr) addrs;
	uint64_t until_ns; /* fresh until then; 0: nothing is known */
	uint64_t stale_ns; /* of use until then */
	int error; /* of the last answer, valid until until_ns */
	bool asking;
	char text[];
};

struct resolver_socket {
	struct watch watch; /* zeroed: free */
	struct resolver *r;
};

struct resolver {
	struct loop *loop;
	ares_channel channel;
	bool closing, answering; /* answering: c-ares is on the stack */
	size_t asking; /* names that c-ares works on */
	struct timespec conf_mtime;
	struct resolver_socket socket[SOCKETS_MAX];
	struct timer timer;
	struct hmap names;
};

/* ---- sockets and time of c-ares ---- */

static void on_timer(void *arg);

static void timer_next(struct resolver *r)
{
	struct timeval tv, *next = ares_timeout(r->channel, NULL, &tv);

	if (next)
		timer_set(r->loop, &r->timer,
			  (uint64_t)tv.tv_sec * NS_PER_S + (uint64_t)tv.tv_usec * 1000, on_timer, r);
	else
		timer_cancel(&r->timer);
}

static void on_timer(void *arg)
{
	struct resolver *r = arg;

	ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	timer_next(r);
}

static void on_socket(void *arg, uint32_t events)
{
	struct resolver_socket *s = arg;
	struct resolver *r = s->r;
	int fd = s->watch.fd;

	ares_process_fd(r->channel, events & ~(uint32_t)EPOLLOUT ? fd : ARES_SOCKET_BAD,
			events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	timer_next(r);
}

/* c-ares tells what it waits for; nothing: it closes the socket next. */
static void on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct resolver *r = arg;
	uint32_t events = (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
	struct resolver_socket *free_one = NULL;

	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		struct resolver_socket *s = &r->socket[i];

		if (!s->watch.loop) {
			free_one = free_one ? free_one : s;
			continue;
		}
		if (s->watch.fd != fd)
			continue;
		if (events)
			watch_set(&s->watch, events);
		else
			watch_del(&s->watch);
		return;
	}
	/* Without a watch the question runs into its timeout. */
	if (events && free_one) {
		free_one->r = r;
		watch_add(r->loop, &free_one->watch, fd, events, on_socket, free_one);
	}
}

static struct timespec conf_mtime(void)
{
	struct stat st;

	return stat("/etc/resolv.conf", &st) == 0 ? st.st_mtim : (struct timespec){ 0 };
}

static int channel_open(struct resolver *r)
{
	struct ares_options o = {
		.flags = ARES_FLAG_NOSEARCH,
		.timeout = TIMEOUT_MS,
		.tries = TRIES,
		.sock_state_cb = on_state,
		.sock_state_cb_data = r,
	};

	r->conf_mtime = conf_mtime();
	return ares_init_options(&r->channel, &o,
				 ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
					 ARES_OPT_SOCK_STATE_CB) == ARES_SUCCESS
		       ? 0
		       : -ENOMEM;
}

/* Nameservers change when the host moves to another network. While something is being asked the
 * old ones stay. */
static int channel_renew(struct resolver *r)
{
	const struct timespec now = conf_mtime();

	if (r->asking || r->answering ||
	    (now.tv_sec == r->conf_mtime.tv_sec && now.tv_nsec == r->conf_mtime.tv_nsec))
		return 0;
	ares_destroy(r->channel);
	r->channel = NULL;
	return channel_open(r);
}

/* ---- names ---- */

static struct name *name_find(struct resolver *r, struct str text)
{
	for (struct hnode *n = hmap_first(&r->names, hash_str(text)); n; n = hmap_next_same(n)) {
		struct name *e = container_of(n, struct name, by_text);

		if (str_eq(str_of(e->text), text))
			return e;
	}
	return NULL;
}

static void name_free(struct resolver *r, struct name *e)
{
	hmap_remove(&r->names, &e->by_text);
	vec_fini(&e->addrs);
	free(e);
}

/* Those that nobody can use any more. */
static void names_sweep(struct resolver *r)
{
	uint64_t now = clock_mono_ns();

	hmap_for_each_safe(n, &r->names) {
		struct name *e = container_of(n, struct name, by_text);

		if (!e->asking && list_empty(&e->waiting) && now >= e->until_ns && now >= e->stale_ns)
			name_free(r, e);
	}
}

static int name_get(struct resolver *r, const char *text, struct name **ret)
{
	struct str s = str_of(text);
	struct name *e = name_find(r, s);
	int err;

	*ret = e;
	if (e)
		return 0;
	if (r->names.n >= RESOLVER_NAMES_MAX)
		names_sweep(r);
	if (r->names.n >= RESOLVER_NAMES_MAX)
		return -ENOSPC;
	e = calloc(1, sizeof(*e) + s.n + 1);
	if (!e)
		return -ENOMEM;
	e->r = r;
	memcpy(e->text, s.p, s.n);
	list_init(&e->waiting);
	err = hmap_insert(&r->names, &e->by_text, hash_str(s));
	if (err < 0)
		free(e);
	else
		*ret = e;
	return err;
}

static void answer(struct name *e, struct resolver_query *q)
{
	/* q may be gone, and its owner with it, when fn returns. */
	void (*fn)(void *, int, const char *, const struct weft_addr *, size_t) = q->fn;
	void *arg = q->arg;
	int r = e->addrs.n ? 0 : e->error == ARES_ENOMEM ? -ENOMEM : -EHOSTUNREACH;

	if (!e->addrs.n && (e->error == ARES_ENOTFOUND || e->error == ARES_ENODATA ||
			    e->error == ARES_EBADNAME || e->error == ARES_SUCCESS))
		r = -ENOENT;
	fn(arg, r,
	   e->addrs.n ? NULL
	   : e->error ? ares_strerror(e->error)
		      : "it has no address",
	   e->addrs.p, e->addrs.n);
}

static int take_addrs(struct name *e, const struct ares_addrinfo *ai, int *ret_ttl)
{
	struct weft_ep ep;
	int r = 0;

	*ret_ttl = RESOLVER_TTL_MAX_S;
	e->addrs.n = 0;
	for (const struct ares_addrinfo_node *n = ai->nodes; n && e->addrs.n < ADDRS_MAX && r == 0;
	     n = n->ai_next) {
		if (ip_from_sockaddr(n->ai_addr, &ep) < 0 || ip_is_any(&ep.addr))
			continue;
		r = vec_push(&e->addrs, ep.addr);
		if (n->ai_ttl < *ret_ttl)
			*ret_ttl = n->ai_ttl;
	}
	if (*ret_ttl < RESOLVER_TTL_MIN_S)
		*ret_ttl = RESOLVER_TTL_MIN_S;
	return e->addrs.n ? 0 : r;
}

static void on_answer(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct name *e = arg;
	struct resolver *r = e->r;
	uint64_t now = clock_mono_ns();
	int ttl = FAILED_S;

	(void)timeouts;
	e->asking = false;
	r->asking--;
	if (status == ARES_SUCCESS && ai) {
		if (take_addrs(e, ai, &ttl) < 0)
			status = ARES_ENOMEM;
		e->stale_ns = now + ((uint64_t)ttl + RESOLVER_STALE_S) * NS_PER_S;
	} else if (status == ARES_ENOTFOUND || status == ARES_ENODATA || now >= e->stale_ns) {
		e->addrs.n = 0; /* else: old addresses are better than none */
	}
	if (ai)
		ares_freeaddrinfo(ai);
	e->error = status;
	e->until_ns = now + (uint64_t)ttl * NS_PER_S;
	if (r->closing)
		return;
	r->answering = true;
	while (!list_empty(&e->waiting)) {
		struct resolver_query *q = list_first(&e->waiting, struct resolver_query, node);

		resolver_cancel(q);
		answer(e, q);
	}
	r->answering = false;
}

/* Both families are asked for; not sorted, which would probe each by a connect(2). */
static int name_ask(struct resolver *r, struct name *e)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC,
						   .ai_flags = ARES_AI_NOSORT };
	int err = channel_renew(r);

	if (err < 0)
		return err;
	e->asking = true;
	r->asking++;
	ares_getaddrinfo(r->channel, e->text, NULL, &hints, on_answer, e);
	timer_next(r);
	return 0;
}

int resolver_ask(struct resolver *r, const char *text, struct resolver_query *q)
{
	struct name *e;
	int err = name_get(r, text, &e);

	if (err < 0)
		return err;
	if (!e->asking && clock_mono_ns() < e->until_ns) {
		answer(e, q);
		return 0;
	}
	list_add_tail(&e->waiting, &q->node);
	if (e->asking)
		return 0;
	err = name_ask(r, e);
	if (err < 0)
		resolver_cancel(q);
	return err;
}

void resolver_cancel(struct resolver_query *q)
{
	if (!q->node.next)
		return;
	list_del(&q->node);
	q->node = (struct list){ 0 };
}

/* ---- life ---- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void library_init(void)
{
	ares_library_init(ARES_LIB_INIT_ALL);
}

int resolver_new(struct loop *loop, struct resolver **ret)
{
	struct resolver *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	pthread_once(&library_once, library_init);
	r->loop = loop;
	err = channel_open(r);
	if (err < 0)
		free(r);
	else
		*ret = r;
	return err;
}

void resolver_free(struct resolver **pr)
{
	struct resolver *r = TAKE_PTR(*pr);

	if (!r)
		return;
	r->closing = true;
	if (r->channel)
		ares_destroy(r->channel); /* answers all that is open, and closes its sockets */
	timer_cancel(&r->timer);
	for (size_t i = 0; i < SOCKETS_MAX; i++)
		watch_del(&r->socket[i].watch);
	hmap_for_each_safe(n, &r->names) {
		struct name *e = container_of(n, struct name, by_text);

		while (!list_empty(&e->waiting))
			resolver_cancel(list_first(&e->waiting, struct resolver_query, node));
		name_free(r, e);
	}
	hmap_fini(&r->names);
	free(r);
}
