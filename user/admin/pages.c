// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP pages: metrics, readiness, admin. One libmicrohttpd daemon per listening socket, without
 * threads of its own: its epoll descriptor is watched by the control loop. Owns the sockets
 * and all memory of requests. Everything, callbacks included, runs on the control loop.
 *
 * Each port has its own limits, so that a stranger who fills one does not take readiness away.
 */
#define LOG_SCOPE "admin"
#include "admin/pages.h"

#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <microhttpd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/promtext.h"
#include "io/loop.h"

#define CONNS_MAX 64u
#define CONNS_PER_PEER 16u
#define TIMEOUT_S 10u
#define CONN_MEMORY (32u * 1024)
#define BODY_MAX (64u * 1024)
#define LISTEN_BACKLOG 128
#define RUNS_PER_TURN 8
#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_JSON "application/json"
#define TYPE_HTML "text/html; charset=utf-8"
#define STREAM_BLOCK (64u * 1024)
#define TYPE_PROM "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum page_port { PORT_METRICS, PORT_READY, PORT_ADMIN, PORT_ADMIN6, PORT_MAX };

static const char *const port_name[] = {
	[PORT_METRICS] = "metrics",
	[PORT_READY] = "readiness",
	[PORT_ADMIN] = "admin",
	[PORT_ADMIN6] = "admin",
};
_Static_assert(ARRAY_LEN(port_name) == PORT_MAX, "name every port");

struct site {
	struct pages *pages;
	enum page_port port;
	struct MHD_Daemon *mhd;
	struct watch watch;
	struct timer timer;
};

/* Paths of ops.admin_stream. */
static const char *const stream_path[] = { "/config_dump" };

struct stream {
	struct pages *pages;
	struct page_stream src;
	uint64_t until_ns;
};

struct pages {
	struct loop *loop;
	unsigned n_streams;
	struct pages_ops ops;
	void *arg;
	struct site site[PORT_MAX];
};

struct visit { /* one request; made when its first line is there, freed when it is done */
	char *query;
	size_t body;
	bool begun;
};

struct answer {
	unsigned status;
	const char *type, *allow;
	char *text; /* malloc'ed, given away */
	size_t n;
	struct stream *stream; /* instead of text */
};

static struct answer answer_text(unsigned status, const char *text)
{
	struct answer a = { .status = status, .type = TYPE_TEXT, .text = str_dup(str_of(text)) };

	if (a.text)
		a.n = strlen(a.text);
	return a;
}

static struct answer answer_method(const char *allow)
{
	struct answer a = answer_text(MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed\n");

	a.allow = allow;
	return a;
}

static struct answer answer_not_found(void)
{
	return answer_text(MHD_HTTP_NOT_FOUND, "not found\n");
}

static bool is_get(const char *method)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
}

static struct answer page_metrics(struct pages *p, struct MHD_Connection *conn)
{
	const char *accept = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Accept");
	struct prom w;
	struct answer a;

	prom_init(&w, pages_wants_openmetrics(accept));
	p->ops.metrics(p->arg, &w);
	prom_end(&w);
	if (w.error || !w.p) {
		prom_fini(&w);
		return answer_text(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
	a = (struct answer){ .status = MHD_HTTP_OK,
			     .type = w.openmetrics ? TYPE_OPENMETRICS : TYPE_PROM,
			     .n = w.n };
	a.text = TAKE_PTR(w.p);
	prom_fini(&w);
	return a;
}

static struct answer page_ready(struct pages *p)
{
	char pending[1024] = "", text[1100];

	if (p->ops.ready(p->arg, pending, sizeof(pending)))
		return answer_text(MHD_HTTP_OK, "ready\n");
	pending[sizeof(pending) - 1] = '\0';
	snprintf(text, sizeof(text), "not ready, pending: %s\n", pending);
	return answer_text(MHD_HTTP_INTERNAL_SERVER_ERROR, text);
}

static struct answer answer_owned(char *text, const char *type)
{
	return (struct answer){ .status = MHD_HTTP_OK, .type = type, .text = text, .n = strlen(text) };
}

static struct answer page_stream(struct pages *p, const char *path)
{
	struct answer a = { .status = MHD_HTTP_OK, .type = TYPE_JSON };
	struct stream *st;

	if (p->n_streams >= PAGE_STREAMS_MAX)
		return answer_text(MHD_HTTP_SERVICE_UNAVAILABLE,
				   "as many of these are being read as may be, try again\n");
	st = calloc(1, sizeof(*st));
	if (!st)
		return (struct answer){ 0 };
	if (p->ops.admin_stream(p->arg, path, &st->src) < 0) {
		free(st);
		return answer_text(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	}
	st->pages = p;
	st->until_ns = clock_mono_ns() + PAGE_STREAM_MAX_S * NS_PER_S;
	p->n_streams++;
	a.stream = st;
	return a;
}

/* What there is to read on the admin port; text NULL and no stream: nothing. */
static struct answer page_admin_get(struct pages *p, const char *path)
{
	char *text;

	for (size_t i = 0; p->ops.admin_stream && i < ARRAY_LEN(stream_path); i++)
		if (strcmp(path, stream_path[i]) == 0)
			return page_stream(p, path);
	text = p->ops.admin_get ? p->ops.admin_get(p->arg, path) : NULL;
	if (!text)
		return answer_not_found();
	return answer_owned(text, text[0] == '{'   ? TYPE_JSON
				  : text[0] == '<' ? TYPE_HTML
						   : TYPE_TEXT);
}

static struct answer page_admin_post(struct pages *p, const char *path, const char *query)
{
	char *text = NULL;
	int r = p->ops.admin_post ? p->ops.admin_post(p->arg, path, query, &text) : -ENOENT;
	struct answer a;

	if (r != -ENOENT) {
		if (!text)
			return (struct answer){ 0 };
		a = answer_owned(text, TYPE_TEXT);
		a.status = r < 0 ? MHD_HTTP_BAD_REQUEST : MHD_HTTP_OK;
		return a;
	}
	for (size_t i = 0; i < ARRAY_LEN(stream_path); i++)
		if (strcmp(path, stream_path[i]) == 0)
			return answer_method("GET, HEAD");
	text = p->ops.admin_get ? p->ops.admin_get(p->arg, path) : NULL;
	if (!text)
		return answer_not_found();
	free(text);
	return answer_method("GET, HEAD");
}

static struct answer page_admin(struct pages *p, const char *method, const char *path,
				const char *query)
{
	if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
		return page_admin_post(p, path, query);
	if (strcmp(path, "/quitquitquit") == 0)
		return answer_method("POST");
	if (!is_get(method))
		return answer_method("GET, HEAD, POST");
	return page_admin_get(p, path);
}

static struct answer page_of(struct site *s, struct MHD_Connection *conn, const char *method,
			     const char *path, const struct visit *v)
{
	bool ours;

	if (s->port == PORT_ADMIN || s->port == PORT_ADMIN6)
		return page_admin(s->pages, method, path, v->query ? v->query : "");
	if (s->port == PORT_METRICS)
		ours = strcmp(path, "/metrics") == 0 || strcmp(path, "/stats/prometheus") == 0;
	else
		ours = strcmp(path, "/healthz/ready") == 0;
	if (!ours)
		return answer_not_found();
	if (!is_get(method))
		return answer_method("GET, HEAD");
	return s->port == PORT_METRICS ? page_metrics(s->pages, conn) : page_ready(s->pages);
}

static ssize_t on_stream_read(void *cls, uint64_t pos, char *buf, size_t cap)
{
	struct stream *st = cls;
	ssize_t n = clock_mono_ns() < st->until_ns ? st->src.read(st->src.arg, buf, cap) : -ETIMEDOUT;

	(void)pos;
	if (n == 0)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return n < 0 ? MHD_CONTENT_READER_END_WITH_ERROR : n;
}

static void on_stream_end(void *cls)
{
	struct stream *st = cls;

	st->src.end(st->src.arg);
	st->pages->n_streams--;
	free(st);
}

static struct MHD_Response *make_response(const struct answer *a)
{
	struct MHD_Response *resp;

	if (a->stream) {
		resp = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
							 on_stream_read, a->stream, on_stream_end);
		if (!resp)
			on_stream_end(a->stream);
		return resp;
	}
	if (!a->text)
		return NULL;
	resp = MHD_create_response_from_buffer(a->n, a->text, MHD_RESPMEM_MUST_FREE);
	if (!resp)
		free(a->text);
	return resp;
}

static enum MHD_Result send_answer(struct MHD_Connection *conn, const struct answer *a)
{
	struct MHD_Response *resp = make_response(a);
	enum MHD_Result ok;

	if (!resp)
		return MHD_NO;
	MHD_add_response_header(resp, MHD_HTTP_HEADER_CONTENT_TYPE, a->type);
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	if (a->allow)
		MHD_add_response_header(resp, MHD_HTTP_HEADER_ALLOW, a->allow);
	ok = MHD_queue_response(conn, a->status, resp);
	MHD_destroy_response(resp);
	return ok;
}

static bool body_is_too_large(struct MHD_Connection *conn)
{
	const char *text = MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "Content-Length");
	uint64_t n;

	return text && (str_to_u64(str_of(text), &n) < 0 || n > BODY_MAX);
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *conn, const char *path,
				  const char *method, const char *version, const char *body,
				  size_t *body_n, void **con_cls)
{
	struct site *s = cls;
	struct visit *v = *con_cls;
	struct answer a;

	(void)version, (void)body;
	if (!v)
		return MHD_NO;
	/* The first call has the headers, later ones the body, the last one neither. */
	if (!v->begun) {
		v->begun = true;
		if (!body_is_too_large(conn))
			return MHD_YES;
		a = answer_text(MHD_HTTP_CONTENT_TOO_LARGE, "the body is too large\n");
		return send_answer(conn, &a);
	}
	if (*body_n) {
		v->body += *body_n;
		*body_n = 0;
		return v->body > BODY_MAX ? MHD_NO : MHD_YES;
	}
	a = page_of(s, conn, method, path, v);
	return send_answer(conn, &a);
}

/* The only place where the library shows the query as it came. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *conn)
{
	struct visit *v = calloc(1, sizeof(*v));
	const char *mark = strchr(uri, '?');

	(void)cls, (void)conn;
	if (!v)
		return NULL;
	v->query = str_dup(str_of(mark ? mark + 1 : ""));
	return v;
}

static void on_done(void *cls, struct MHD_Connection *conn, void **con_cls,
		    enum MHD_RequestTerminationCode why)
{
	struct visit *v = *con_cls;

	(void)cls, (void)conn, (void)why;
	if (!v)
		return;
	free(v->query);
	free(v);
	*con_cls = NULL;
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *fmt, va_list ap)
{
	char text[256];
	size_t n;

	(void)cls;
	if (!log_enabled(LOG_DEBUG))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	n = strlen(text);
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';
	log_debug("http: %s", text);
}

static void on_timer(void *arg);

/* Lets the library work and asks it when it wants to be called again. */
static void site_run(struct site *s)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	bool timed = true;

	for (int i = 0; i < RUNS_PER_TURN; i++) {
		if (MHD_run(s->mhd) == MHD_NO)
			log_debug("http: %s: run failed", port_name[s->port]);
		timed = MHD_get_timeout(s->mhd, &ms) == MHD_YES;
		if (!timed || ms > 0)
			break;
	}
	if (!timed)
		timer_cancel(&s->timer);
	else
		timer_set(s->pages->loop, &s->timer, (uint64_t)ms * NS_PER_MS, on_timer, s);
}

static void on_timer(void *arg)
{
	site_run(arg);
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events;
	site_run(arg);
}

/* Both families on all addresses, or one loopback address. Fd or -errno. */
static int listen_on(int family, bool loopback, uint16_t port)
{
	_close_ int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = loopback ? in6addr_loopback : in6addr_any,
	};
	struct sockaddr_in four = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(loopback ? INADDR_LOOPBACK : INADDR_ANY),
	};
	const struct sockaddr *sa = (const struct sockaddr *)&four;
	socklen_t n = sizeof(four);
	int on = 1, only_six = loopback;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_six, sizeof(only_six));
		sa = (const struct sockaddr *)&six;
		n = sizeof(six);
	}
	if (bind(fd, sa, n) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static bool no_family(int r)
{
	return r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL;
}

static int site_listen(const struct site *s, uint16_t port)
{
	int fd;

	if (s->port == PORT_ADMIN)
		return listen_on(AF_INET, true, port);
	if (s->port == PORT_ADMIN6)
		return listen_on(AF_INET6, true, port);
	fd = listen_on(AF_INET6, false, port);
	return no_family(fd) ? listen_on(AF_INET, false, port) : fd;
}

static struct MHD_Daemon *mhd_start(struct site *s, int fd)
{
	bool admin = s->port == PORT_ADMIN || s->port == PORT_ADMIN6;

	/* clang-format off */
	return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, s,
		MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNS_MAX,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, admin ? CONNS_MAX : CONNS_PER_PEER,
		MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONN_MEMORY,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, NULL,
		MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL,
		MHD_OPTION_END);
	/* clang-format on */
}

static int site_start(struct site *s, uint16_t port, struct errbuf *err)
{
	const union MHD_DaemonInfo *info;
	int fd, r;

	if (port == 0)
		return 0;
	fd = site_listen(s, port);
	if (s->port == PORT_ADMIN6 && no_family(fd))
		return 0;
	if (fd < 0)
		return errbuf_set(err, fd, "cannot listen on %s port %u: %s", port_name[s->port],
				  port, strerror(-fd));
	s->mhd = mhd_start(s, fd);
	if (!s->mhd) {
		/* Not closed here: the library may have done it, and the caller ends anyway. */
		return errbuf_set(err, -ENOMEM, "cannot start HTTP on %s port %u",
				  port_name[s->port], port);
	}
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	if (!info)
		return errbuf_set(err, -ENOTSUP, "libmicrohttpd was built without epoll");
	r = watch_add(s->pages->loop, &s->watch, info->epoll_fd, EPOLLIN, on_ready, s);
	if (r < 0)
		return errbuf_set(err, r, "cannot wait for %s port %u: %s", port_name[s->port],
				  port, strerror(-r));
	return 0;
}

static void own_pages(struct pages **p)
{
	pages_stop(p);
}

int pages_start(struct loop *loop, const struct pages_opts *o, const struct pages_ops *ops,
		void *arg, struct errbuf *err, struct pages **ret)
{
	const uint16_t ports[PORT_MAX] = { o->metrics_port, o->ready_port, o->admin_port,
					   o->admin_port };
	cleanup_with(own_pages) struct pages *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->ops = *ops;
	p->arg = arg;
	for (unsigned i = 0; i < PORT_MAX; i++) {
		p->site[i].pages = p;
		p->site[i].port = (enum page_port)i;
		r = site_start(&p->site[i], ports[i], err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(p);
	return 0;
}

void pages_stop(struct pages **pp)
{
	struct pages *p = *pp;

	if (!p)
		return;
	for (unsigned i = 0; i < PORT_MAX; i++) {
		struct site *s = &p->site[i];

		timer_cancel(&s->timer);
		watch_del(&s->watch);
		if (s->mhd)
			MHD_stop_daemon(s->mhd);
	}
	free(p);
	*pp = NULL;
}
