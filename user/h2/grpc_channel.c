// SPDX-License-Identifier: Apache-2.0
/* Channels of gRPC: the server, its credentials, the connection; see grpc.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "h2/grpc_call.h"
#include "io/file.h"

#define ROOTS_BYTES_MAX (4u << 20)
#define TOKEN_BYTES_MAX (64u << 10)

const char *grpc_code_text(char *buf, size_t cap, unsigned code)
{
	static const char *const name[] = {
		"OK",
		"Cancelled",
		"Unknown",
		"InvalidArgument",
		"DeadlineExceeded",
		"NotFound",
		"AlreadyExists",
		"PermissionDenied",
		"ResourceExhausted",
		"FailedPrecondition",
		"Aborted",
		"OutOfRange",
		"Unimplemented",
		"Internal",
		"Unavailable",
		"DataLoss",
		"Unauthenticated",
	};

	if (code < ARRAY_LEN(name))
		snprintf(buf, cap, "%s", name[code]);
	else
		snprintf(buf, cap, "status %u", code);
	return buf;
}

static int port_of(struct str *host, uint16_t def, uint16_t *ret)
{
	const char *colon = NULL;
	struct str port;

	if (host->n && host->p[0] == '[') {
		const char *close = memchr(host->p, ']', host->n);

		if (!close)
			return -EINVAL;
		if (close + 1 < host->p + host->n) {
			if (close[1] != ':')
				return -EINVAL;
			colon = close + 1;
		}
		port = (struct str){ colon, colon ? host->n - (size_t)(colon - host->p) : 0 };
		*host = (struct str){ host->p + 1, (size_t)(close - host->p) - 1 };
	} else {
		colon = memrchr(host->p, ':', host->n);
		port = (struct str){ colon, colon ? host->n - (size_t)(colon - host->p) : 0 };
		if (colon)
			host->n = (size_t)(colon - host->p);
	}
	*ret = def;
	if (!colon)
		return 0;
	port.p++;
	port.n--;
	return str_to_u16(port, ret) < 0 || *ret == 0 ? -EINVAL : 0;
}

int grpc_server_parse(const char *text, uint16_t default_port, struct errbuf *err,
		      struct grpc_server *ret)
{
	struct grpc_server s = { 0 };
	struct str host = str_of(text);

	if (str_has_prefix(host, STR("http://"))) {
		s.plaintext = true;
		host = str_of(text + 7);
	} else if (str_has_prefix(host, STR("https://"))) {
		host = str_of(text + 8);
	}
	if (host.n && host.p[host.n - 1] == '/')
		host.n--;
	if (!host.n || port_of(&host, default_port, &s.port) < 0 || !host.n ||
	    memchr(host.p, '/', host.n) || memchr(host.p, ' ', host.n) ||
	    str_copy(s.host, sizeof(s.host), host) < 0)
		return errbuf_set(err, -EINVAL,
				  "\"%.200s\" is not the address of a server, like "
				  "istiod.istio-system.svc:15012",
				  text);
	*ret = s;
	return 0;
}

/* NULL text: the system's roots. */
static int read_roots(const struct grpc_channel *c, struct errbuf *err, char **ret)
{
	if (c->o.server.plaintext || strcmp(c->o.root_ca, "SYSTEM") == 0)
		return 0;
	if (strstr(c->o.root_ca, "-----BEGIN")) {
		*ret = str_dup(str_of(c->o.root_ca));
		return *ret ? 0 : -ENOMEM;
	}
	return file_read_text(c->o.root_ca, ROOTS_BYTES_MAX, err, ret);
}

int channel_token(const struct grpc_channel *c, struct errbuf *err, char **ret)
{
	_free_ char *text = NULL;
	struct str token;
	int r;

	if (c->o.token[0] != '/' && c->o.token[0] != '.') {
		*ret = str_dup(str_of(c->o.token));
		return *ret ? 0 : -ENOMEM;
	}
	r = file_read_text(c->o.token, TOKEN_BYTES_MAX, err, &text);
	if (r < 0)
		return r;
	token = str_trim(str_of(text));
	if (!token.n)
		return errbuf_set(err, -EINVAL, "%s is empty, there should be a token in it",
				  c->o.token);
	for (size_t i = 0; i < token.n; i++)
		if ((unsigned char)token.p[i] <= 0x20 || (unsigned char)token.p[i] >= 0x7f)
			return errbuf_set(err, -EINVAL,
					  "%s is no token: it has blanks or other "
					  "bytes than letters, digits and signs",
					  c->o.token);
	*ret = str_dup(token);
	explicit_bzero(text, strlen(text));
	return *ret ? 0 : -ENOMEM;
}

/* ---- the connection ---- */

static void fail_waiting(struct grpc_channel *c, const char *why)
{
	list_for_each_safe(n, &c->calls) {
		struct grpc_call *call = list_entry(n, struct grpc_call, node);

		if (!call->request && !call->done)
			call_fail(call, GRPC_UNAVAILABLE, why);
	}
}

static void on_up(void *arg)
{
	struct grpc_channel *c = arg;

	list_for_each_safe(n, &c->calls)
		call_begin(list_entry(n, struct grpc_call, node));
}

static void on_down(void *arg, const char *why)
{
	struct grpc_channel *c = arg;
	struct errbuf text = { 0 };

	errbuf_set(&text, 0, "%s", why);
	sess_free(&c->sess);
	/* Those with a request were ended when it was closed, before the reason was told. */
	list_for_each_safe(n, &c->calls) {
		struct grpc_call *call = list_entry(n, struct grpc_call, node);

		if (call->done && !call->answered)
			snprintf(call->message, sizeof(call->message), "%.255s", text.text);
	}
	fail_waiting(c, text.text);
}

static int connect_now(struct grpc_channel *c, struct errbuf *err)
{
	static const struct sess_ops ops = { .on_up = on_up, .on_down = on_down };
	_free_ char *roots = NULL;
	struct sess_opts o = { .host = c->o.server.host,
			       .port = c->o.server.port,
			       .plaintext = c->o.server.plaintext,
			       .alt_name = c->o.alt_name };
	int r = read_roots(c, err, &roots);

	if (r < 0)
		return r;
	o.roots_pem = roots;
	return sess_open(c->loop, &o, &ops, c, &c->sess);
}

static bool has_requests(const struct grpc_channel *c)
{
	list_for_each(n, &c->calls)
		if (list_entry(n, struct grpc_call, node)->request)
			return true;
	return false;
}

static void on_connect(void *arg)
{
	struct grpc_channel *c = arg;
	struct errbuf err = { 0 };
	int r;

	if (c->sess && sess_usable(c->sess)) {
		on_up(c);
		return;
	}
	/* One that is told to go serves its requests to the end; new calls wait until then. */
	if (c->sess && (!sess_ended(c->sess) || has_requests(c)))
		return;
	sess_free(&c->sess);
	r = connect_now(c, &err);
	if (r < 0)
		fail_waiting(c, err.text[0] ? err.text : log_strerror(r));
}

static void on_idle(void *arg)
{
	struct grpc_channel *c = arg;

	if (list_empty(&c->calls))
		sess_free(&c->sess);
}

void channel_call_added(struct grpc_channel *c)
{
	timer_cancel(&c->idle);
	task_defer(c->loop, &c->connect, on_connect, c);
}

void channel_call_gone(struct grpc_channel *c)
{
	if (!list_empty(&c->calls))
		task_defer(c->loop, &c->connect, on_connect, c);
	else if (c->o.idle_ns && c->sess)
		timer_set(c->loop, &c->idle, c->o.idle_ns, on_idle, c);
}

int grpc_channel_new(struct loop *loop, const struct grpc_channel_opts *o, struct grpc_channel **ret)
{
	struct grpc_channel *c = calloc(1, sizeof(*c));
	bool v6 = strchr(o->server.host, ':');

	if (!c)
		return -ENOMEM;
	c->loop = loop;
	c->o = *o;
	list_init(&c->calls);
	snprintf(c->authority, sizeof(c->authority), "%s%s%s:%u", v6 ? "[" : "", o->server.host,
		 v6 ? "]" : "", o->server.port);
	*ret = c;
	return 0;
}

void grpc_channel_free(struct grpc_channel **pc)
{
	struct grpc_channel *c = TAKE_PTR(*pc);

	if (!c)
		return;
	timer_cancel(&c->idle);
	task_cancel(&c->connect);
	sess_free(&c->sess);
	free(c);
}

const char *grpc_channel_peer(const struct grpc_channel *c)
{
	return c->sess && sess_usable(c->sess) ? sess_peer(c->sess) : "";
}
