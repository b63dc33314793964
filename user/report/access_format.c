// SPDX-License-Identifier: Apache-2.0
/*
 * The text of one access-log line. Used by report/access.c and tests; pure, any thread.
 *
 * Readers split the text form on tabs and then on spaces, and some of the values come from
 * strangers (authority, peer identity, detail), so every value that is not made of harmless
 * characters is quoted and escaped; no byte of a value can start a new key or a new line.
 */
#include "report/access.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/ip.h"

struct out {
	char *p;
	size_t n, cap;
	bool json;
	bool first; /* the next key is the first of the line */
	int error;
};

static void put(struct out *o, const char *p, size_t n)
{
	if (o->error == 0 && n >= o->cap - o->n)
		o->error = -ENAMETOOLONG;
	if (o->error < 0)
		return;
	memcpy(o->p + o->n, p, n);
	o->n += n;
	o->p[o->n] = '\0';
}

static void put_z(struct out *o, const char *z)
{
	put(o, z, strlen(z));
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Bytes outside printable ASCII are written as code points, so the line is always UTF-8. */
static void put_escaped(struct out *o, const char *s)
{
	while (*s) {
		size_t n = 0;
		unsigned char c;
		char esc[12];

		while (is_plain((unsigned char)s[n]))
			n++;
		put(o, s, n);
		s += n;
		c = (unsigned char)*s;
		if (!c)
			return;
		if (c == '"' || c == '\\')
			snprintf(esc, sizeof(esc), "\\%c", c);
		else
			snprintf(esc, sizeof(esc), o->json ? "\\u%04x" : "\\u{%x}", c);
		put_z(o, esc);
		s++;
	}
}

static void put_quoted(struct out *o, const char *s)
{
	put_z(o, "\"");
	put_escaped(o, s);
	put_z(o, "\"");
}

static void put_key(struct out *o, const char *key)
{
	if (o->json) {
		put_z(o, ",\"");
		put_z(o, key);
		put_z(o, "\":");
		return;
	}
	if (!o->first)
		put_z(o, " ");
	o->first = false;
	put_z(o, key);
	put_z(o, "=");
}

/* A value in quotes; NULL and "" are left out. */
static void field_text(struct out *o, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	put_key(o, key);
	put_quoted(o, value);
}

static bool is_harmless(const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= ':') ||
		      c == '.' || c == '[' || c == ']' || c == '-' || c == '_'))
			return false;
	}
	return true;
}

/* Like field_text, without quotes in the text form where no quotes are needed. */
static void field_bare(struct out *o, const char *key, const char *value)
{
	if (o->json || !value || !is_harmless(value)) {
		field_text(o, key, value);
		return;
	}
	if (!value[0])
		return;
	put_key(o, key);
	put_z(o, value);
}

static void field_ep(struct out *o, const char *key, const struct weft_ep *ep)
{
	char text[IP_TEXT_MAX];

	field_bare(o, key, ip_format_ep(text, ep));
}

static void field_u64(struct out *o, const char *key, uint64_t v)
{
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put_key(o, key);
	put(o, text + at, sizeof(text) - at);
}

static const char *pod_name(const struct workload *w)
{
	return w->name && w->name[0] ? w->name : w->canonical_name;
}

static const char *path_name(enum weft_path path)
{
	static const char *const name[] = {
		[WEFT_PATH_NONE] = NULL,       [WEFT_PATH_PASSTHROUGH] = "passthrough",
		[WEFT_PATH_DIRECT] = "direct", [WEFT_PATH_RELAY] = "relay",
		[WEFT_PATH_HBONE] = "hbone",   [WEFT_PATH_PLAIN] = "plain",
		[WEFT_PATH_DENIED] = "denied",
	};
	_Static_assert(sizeof(name) / sizeof(name[0]) == WEFT_PATH_MAX, "name every path");

	return (unsigned)path < WEFT_PATH_MAX ? name[path] : NULL;
}

static const struct reason_text {
	const char *token, *sentence;
} reason_text[WEFT_REASON_MAX] = {
#define X(name, number, token_, flag, sentence_) [number] = { token_, sentence_ },
	WEFT_REASONS(X)
#undef X
};

/* Refused before anything was relayed: nothing to count, and the peer is not to be trusted. */
static bool reason_is_early(enum weft_reason reason)
{
	return reason == WEFT_REASON_UNKNOWN_SOURCE || reason == WEFT_REASON_BAD_DESTINATION ||
	       reason == WEFT_REASON_TLS_FAILED;
}

static bool reason_is_error(enum weft_reason reason)
{
	return reason != WEFT_REASON_NONE && reason != WEFT_REASON_OK;
}

static void put_head(struct out *o, enum weft_reason reason, uint64_t now_ns)
{
	bool early = reason_is_early(reason);
	const char *level = early ? "warn" : reason_is_error(reason) ? "error" : "info";
	const char *message = early ? "connection failed" : "connection complete";
	time_t s = (time_t)(now_ns / NS_PER_S);
	char day[32], head[160];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(head, sizeof(head),
		 o->json ? "{\"level\":\"%3$s\",\"time\":\"%1$s.%2$06uZ\",\"scope\":\"access\","
			   "\"message\":\"%4$s\""
			 : "%1$s.%2$06uZ\t%3$s\taccess\t%4$s\t",
		 day, (unsigned)(now_ns % NS_PER_S / 1000), level, message);
	put_z(o, head);
}

static void put_source(struct out *o, const struct access_rec *r)
{
	field_ep(o, "src.addr", &r->src);
	if (r->src_w) {
		field_text(o, "src.workload", pod_name(r->src_w));
		field_text(o, "src.namespace", r->src_w->ns);
	}
	if (r->mutual_tls)
		field_text(o, "src.identity", r->src_identity);
	if (r->src_w)
		field_text(o, "src.cluster", r->src_w->cluster);
}

static void put_destination(struct out *o, const struct access_rec *r)
{
	field_ep(o, "dst.addr", &r->dst);
	field_bare(o, "dst.hbone_addr", r->hbone_addr);
	if (r->service)
		field_text(o, "dst.service", r->service->hostname);
	if (r->dst_w) {
		field_text(o, "dst.workload", pod_name(r->dst_w));
		field_text(o, "dst.namespace", r->dst_w->ns);
	}
	if (r->mutual_tls)
		field_text(o, "dst.identity", r->dst_identity);
	if (r->dst_w)
		field_text(o, "dst.cluster", r->dst_w->cluster);
}

static void put_transfer(struct out *o, const struct access_rec *r)
{
	char text[32];

	field_u64(o, "bytes_sent", r->sent_bytes);
	field_u64(o, "bytes_recv", r->received_bytes);
	snprintf(text, sizeof(text), "%llums", (unsigned long long)(r->duration_ns / NS_PER_MS));
	field_text(o, "duration", text);
}

static bool was_rewritten(const struct access_rec *r)
{
	return r->dialled.port &&
	       (r->dialled.port != r->dst.port || !ip_eq(&r->dialled.addr, &r->dst.addr));
}

/* error="<token>: <sentence>": readers that split at spaces keep the token. */
static void put_error(struct out *o, const struct access_rec *r)
{
	unsigned reason = (unsigned)r->reason;
	const struct reason_text *t;

	if (!reason_is_error(r->reason))
		return;
	t = &reason_text[reason < WEFT_REASON_MAX ? reason : 0];
	put_key(o, "error");
	put_z(o, "\"");
	put_z(o, t->token);
	put_z(o, ": ");
	put_escaped(o, r->detail && r->detail[0] ? r->detail : t->sentence);
	put_z(o, "\"");
}

int access_format(char *buf, size_t cap, const struct access_rec *r, bool json, uint64_t now_ns_wall)
{
	struct out o = { .p = buf, .cap = cap, .json = json, .first = true };

	put_head(&o, r->reason, now_ns_wall);
	put_source(&o, r);
	put_destination(&o, r);
	field_text(&o, "direction", r->inbound ? "inbound" : "outbound");
	if (!reason_is_early(r->reason))
		put_transfer(&o, r);
	field_text(&o, "path", path_name(r->path));
	if (was_rewritten(r))
		field_ep(&o, "dialled", &r->dialled);
	field_text(&o, "policy", r->policy);
	if (r->policy && r->policy[0] && r->rule >= 0)
		field_u64(&o, "rule", (uint64_t)r->rule);
	put_error(&o, r);
	put_z(&o, json ? "}\n" : "\n");
	return o.error < 0 ? o.error : (int)o.n;
}
