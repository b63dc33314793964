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
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"

/*
 * Two lines for each direct connection are what a connection costs most outside of the kernel, so
 * nothing here goes through printf: keys are spliced in with the length that the compiler knows.
 */
struct out {
	char *at, *end; /* the end keeps room for a NUL */
	bool json;
	bool first; /* the next key is the first of the line */
	bool full;
};

/* A key as it stands in either form, with what separates it from the value before it. */
struct key {
	const char *text, *json;
	size_t n_text, n_json;
};
#define KEY(name) \
	(&(const struct key){ " " name "=", ",\"" name "\":", sizeof(" " name "=") - 1, \
			      sizeof(",\"" name "\":") - 1 })

static void put(struct out *o, const char *p, size_t n)
{
	if (n > (size_t)(o->end - o->at)) {
		o->full = true;
		return;
	}
	memcpy(o->at, p, n);
	o->at += n;
}

#define put_literal(o, s) put(o, s, sizeof(s) - 1)

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

#define EIGHT(c) (0x0101010101010101ull * (c))
#define HAS_ZERO(v) (((v) - EIGHT(1)) & ~(v))

/* How many bytes at the start of s are plain; names nearly always are, so eight at a time. */
static size_t plain_run(const char *s, size_t n)
{
	size_t i = 0;

	for (uint64_t v; i + 8 <= n; i += 8) {
		memcpy(&v, s + i, 8);
		/* The top bit of a byte: below 0x20, 0x7f or above, a quote, a backslash. */
		if (((v - EIGHT(0x20)) | (v + EIGHT(1)) | v | HAS_ZERO(v ^ EIGHT('"')) |
		     HAS_ZERO(v ^ EIGHT('\\'))) &
		    EIGHT(0x80))
			break;
	}
	while (i < n && is_plain((unsigned char)s[i]))
		i++;
	return i;
}

/* A byte that is not plain. Outside of ASCII it becomes a code point, so that the line is always
 * UTF-8. */
static void put_escape(struct out *o, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	if (c == '"' || c == '\\')
		put(o, (char[]){ '\\', (char)c }, 2);
	else if (o->json)
		put(o, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
	else if (c >> 4)
		put(o, (char[]){ '\\', 'u', '{', hex[c >> 4], hex[c & 15], '}' }, 6);
	else
		put(o, (char[]){ '\\', 'u', '{', hex[c], '}' }, 5);
}

static void put_escaped(struct out *o, const char *s)
{
	size_t n = strlen(s);

	for (;;) {
		size_t run = plain_run(s, n);

		put(o, s, run);
		if (run == n)
			return;
		put_escape(o, (unsigned char)s[run]);
		s += run + 1;
		n -= run + 1;
	}
}

static void put_quoted(struct out *o, const char *s)
{
	put_literal(o, "\"");
	put_escaped(o, s);
	put_literal(o, "\"");
}

static void put_key(struct out *o, const struct key *k)
{
	size_t skip = o->first ? 1 : 0;

	if (o->json) {
		put(o, k->json, k->n_json);
		return;
	}
	o->first = false;
	put(o, k->text + skip, k->n_text - skip);
}

/* A value in quotes; NULL and "" are left out. */
static void field_text(struct out *o, const struct key *k, const char *value)
{
	if (!value || !value[0])
		return;
	put_key(o, k);
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
static void field_bare(struct out *o, const struct key *k, const char *value)
{
	if (o->json || !value || !is_harmless(value)) {
		field_text(o, k, value);
		return;
	}
	if (!value[0])
		return;
	put_key(o, k);
	put(o, value, strlen(value));
}

static void field_ep(struct out *o, const struct key *k, const struct weft_ep *ep)
{
	char text[IP_TEXT_MAX];

	ip_format_ep(text, ep);
	put_key(o, k);
	if (o->json)
		put_literal(o, "\"");
	put(o, text, strlen(text));
	if (o->json)
		put_literal(o, "\"");
}

static void put_u64(struct out *o, uint64_t v)
{
	char text[24];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	put(o, text + at, sizeof(text) - at);
}

static void field_u64(struct out *o, const struct key *k, uint64_t v)
{
	put_key(o, k);
	put_u64(o, v);
}

/* The n last decimal digits of v. */
static void digits(char *at, size_t n, uint64_t v)
{
	for (; n; v /= 10)
		at[--n] = (char)('0' + v % 10);
}

/*
 * RFC 3339 in UTC, microseconds. Days to year, month and day without gmtime_r, which takes a lock
 * and looks for the time zone each time: years begin in March here, so that the leap day is the
 * last one and months follow a straight line (153 days are five months).
 */
static void put_time(struct out *o, uint64_t now_ns)
{
	char text[] = "0000-00-00T00:00:00.000000Z";
	uint64_t s = now_ns / NS_PER_S, days = s / 86400 + 719468; /* since 0000-03-01 */
	uint64_t era = days / 146097, day = days % 146097; /* of 400 years */
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153; /* 0 is March */
	day -= (153 * month + 2) / 5;
	digits(text, 4, era * 400 + year + (month >= 10));
	digits(text + 5, 2, month < 10 ? month + 3 : month - 9);
	digits(text + 8, 2, day + 1);
	digits(text + 11, 2, s / 3600 % 24);
	digits(text + 14, 2, s / 60 % 60);
	digits(text + 17, 2, s % 60);
	digits(text + 20, 6, now_ns % NS_PER_S / 1000);
	put(o, text, sizeof(text) - 1);
}

static const char *pod_name(const struct workload *w)
{
	return w->name && w->name[0] ? w->name : w->group->canonical_name;
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

	if (o->json) {
		put_literal(o, "{\"level\":\"");
		put(o, level, strlen(level));
		put_literal(o, "\",\"time\":\"");
		put_time(o, now_ns);
		put_literal(o, "\",\"scope\":\"access\",\"message\":\"");
	} else {
		put_time(o, now_ns);
		put_literal(o, "\t");
		put(o, level, strlen(level));
		put_literal(o, "\taccess\t");
	}
	if (early)
		put_literal(o, "connection failed");
	else
		put_literal(o, "connection complete");
	if (o->json)
		put_literal(o, "\"");
	else
		put_literal(o, "\t");
}

static void put_source(struct out *o, const struct access_rec *r)
{
	field_ep(o, KEY("src.addr"), &r->src);
	if (r->src_w) {
		field_text(o, KEY("src.workload"), pod_name(r->src_w));
		field_text(o, KEY("src.namespace"), r->src_w->ns);
	}
	if (r->mutual_tls)
		field_text(o, KEY("src.identity"), r->src_identity);
	if (r->src_w)
		field_text(o, KEY("src.cluster"), r->src_w->group->cluster);
}

static void put_destination(struct out *o, const struct access_rec *r)
{
	field_ep(o, KEY("dst.addr"), &r->dst);
	field_bare(o, KEY("dst.hbone_addr"), r->hbone_addr);
	if (r->service)
		field_text(o, KEY("dst.service"), r->service->hostname);
	if (r->dst_w) {
		field_text(o, KEY("dst.workload"), pod_name(r->dst_w));
		field_text(o, KEY("dst.namespace"), r->dst_w->ns);
	}
	if (r->mutual_tls)
		field_text(o, KEY("dst.identity"), r->dst_identity);
	if (r->dst_w)
		field_text(o, KEY("dst.cluster"), r->dst_w->group->cluster);
}

static void put_transfer(struct out *o, const struct access_rec *r)
{
	field_u64(o, KEY("bytes_sent"), r->sent_bytes);
	field_u64(o, KEY("bytes_recv"), r->received_bytes);
	put_key(o, KEY("duration"));
	put_literal(o, "\"");
	put_u64(o, r->duration_ns / NS_PER_MS);
	put_literal(o, "ms\"");
}

static bool was_rewritten(const struct access_rec *r)
{
	return r->dialled.port &&
	       (r->dialled.port != r->dst.port || !ip_eq(&r->dialled.addr, &r->dst.addr));
}

/* Only where the verdict would be another one: no such key, no effect. */
static void put_dry_run(struct out *o, const struct rbac_result *dry)
{
	if (!dry)
		return;
	field_text(o, KEY("dry_run"), dry->allow ? "allow" : "deny");
	field_text(o, KEY("dry_run_policy"), dry->policy);
	if (dry->rule >= 0)
		field_u64(o, KEY("dry_run_rule"), (uint64_t)dry->rule);
}

/* error="<token>: <sentence>": readers that split at spaces keep the token. */
static void put_error(struct out *o, const struct access_rec *r)
{
	unsigned reason = (unsigned)r->reason;
	const struct reason_text *t;

	if (!reason_is_error(r->reason))
		return;
	t = &reason_text[reason < WEFT_REASON_MAX ? reason : 0];
	put_key(o, KEY("error"));
	put_literal(o, "\"");
	put(o, t->token, strlen(t->token));
	put_literal(o, ": ");
	put_escaped(o, r->detail && r->detail[0] ? r->detail : t->sentence);
	put_literal(o, "\"");
}

int access_format(char *buf, size_t cap, const struct access_rec *r, bool json, uint64_t now_ns_wall)
{
	struct out o = { .at = buf, .end = buf + cap - 1, .json = json, .first = true };

	put_head(&o, r->reason, now_ns_wall);
	put_source(&o, r);
	put_destination(&o, r);
	field_text(&o, KEY("direction"), r->inbound ? "inbound" : "outbound");
	if (!reason_is_early(r->reason))
		put_transfer(&o, r);
	field_text(&o, KEY("path"), path_name(r->path));
	if (was_rewritten(r))
		field_ep(&o, KEY("dialled"), &r->dialled);
	field_text(&o, KEY("policy"), r->policy);
	if (r->policy && r->policy[0] && r->rule >= 0)
		field_u64(&o, KEY("rule"), (uint64_t)r->rule);
	put_dry_run(&o, r->dry_run);
	put_error(&o, r);
	put(&o, json ? "}\n" : "\n", json ? 2 : 1);
	*o.at = '\0';
	return o.full ? -ENAMETOOLONG : (int)(o.at - buf);
}
