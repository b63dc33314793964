// SPDX-License-Identifier: Apache-2.0
/*
 * codec/hbone: the header values of HBONE's CONNECT. Used by tunnel/ on both sides and by
 * conn/. Pure functions, no memory of their own; results point into the input.
 *
 * Texts end up in labels, log lines and policy, so the parsers let through printable ASCII
 * only; the formatters leave out a member that would not survive the way rather than write a
 * header that means something else.
 */
#include "codec/hbone.h"

#include <errno.h>
#include <stdio.h>

#include "base/own.h"
#include "base/rand.h"

#define HOST_MAX 253
#define LABEL_MAX 63
#define VALUE_MAX 253

/* ---- output ---- */

struct out {
	char *p;
	size_t n, cap;
	bool full;
};

static void out_put(struct out *o, struct str s)
{
	if (o->full || s.n >= o->cap - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
	o->p[o->n] = '\0';
}

static int out_end(const struct out *o)
{
	return o->full ? -ENAMETOOLONG : (int)o->n;
}

/* ---- authority ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool label_ok(struct str l)
{
	if (!l.n || l.n > LABEL_MAX || l.p[0] == '-' || l.p[l.n - 1] == '-')
		return false;
	for (size_t i = 0; i < l.n; i++)
		if (!is_alnum(l.p[i]) && l.p[i] != '-' && l.p[i] != '_')
			return false;
	return true;
}

/* A name whose last label somebody could read as a number (1.2.3, 10.0.0.256, a.0x7f) is a
 * broken address, not a name. */
static bool looks_numeric(struct str label)
{
	size_t i = 0;

	if (label.n > 1 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x')
		return true;
	while (i < label.n && is_digit(label.p[i]))
		i++;
	return i == label.n;
}

static bool host_ok(struct str host)
{
	struct str label = { 0 };

	if (!host.n || host.n > HOST_MAX)
		return false;
	for (struct str rest = host; rest.p;) {
		label = str_cut(&rest, '.');
		if (!label_ok(label))
			return false;
	}
	return !looks_numeric(label);
}

/* Stricter than str_to_u16: one way only to write a port. */
static int port_parse(struct str s, uint16_t *ret)
{
	if (!s.n || s.n > 5 || s.p[0] == '0')
		return -EINVAL;
	return str_to_u16(s, ret) < 0 ? -EINVAL : 0;
}

int hbone_authority_parse(struct str s, struct hbone_authority *ret)
{
	struct hbone_authority a = { 0 };
	const char *colon = s.n ? memrchr(s.p, ':', s.n) : NULL;
	struct str host;

	if (!colon || s.n > HBONE_TEXT_MAX)
		return -EINVAL;
	host = (struct str){ s.p, (size_t)(colon - s.p) };
	if (port_parse((struct str){ colon + 1, s.n - host.n - 1 }, &a.port) < 0)
		return -EINVAL;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		struct str v6 = { host.p + 1, host.n - 2 };

		if (!v6.n || !memchr(v6.p, ':', v6.n) || ip_parse(v6, &a.addr) < 0)
			return -EINVAL;
		a.is_ip = true;
	} else if (!host.n || memchr(host.p, ':', host.n)) {
		return -EINVAL; /* IPv6 needs its brackets */
	} else if (ip_parse(host, &a.addr) == 0) {
		a.is_ip = true;
	} else if (host_ok(host)) {
		a.host = host;
	} else {
		return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* ---- baggage ---- */

/* baggage-octet of W3C Baggage: printable ASCII without space " , ; and \. */
static bool baggage_value_ok(struct str s)
{
	if (!s.n || s.n > VALUE_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c >= 0x7f || memchr("\",;\\", c, 4))
			return false;
	}
	return true;
}

static bool workload_type_of(struct str key, struct str *ret_type)
{
	static const struct str types[] = { STR("deployment"), STR("cronjob"), STR("pod"),
					    STR("job") };
	const struct str head = STR("k8s."), tail = STR(".name");

	if (key.n <= head.n + tail.n || !str_has_prefix(key, head) || !str_has_suffix(key, tail))
		return false;
	struct str type = { key.p + head.n, key.n - head.n - tail.n };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_eq(type, types[i])) {
			*ret_type = type;
			return true;
		}
	}
	return false;
}

struct baggage_key {
	struct str key;
	size_t member; /* offset in struct hbone_baggage */
};

#define KEY(text, field) { STR(text), offsetof(struct hbone_baggage, field) }
static const struct baggage_key before_workload[] = {
	KEY("k8s.cluster.name", cluster),
	KEY("k8s.namespace.name", ns),
};
static const struct baggage_key after_workload[] = {
	KEY("service.name", service_name),
	KEY("service.version", service_version),
	KEY("cloud.region", region),
	KEY("cloud.availability_zone", zone),
};
#undef KEY

static bool baggage_set(struct hbone_baggage *b, const struct baggage_key *keys, size_t n,
			struct str key, struct str value)
{
	for (size_t i = 0; i < n; i++) {
		if (str_eq(key, keys[i].key)) {
			*(struct str *)((char *)b + keys[i].member) = value;
			return true;
		}
	}
	return false;
}

void hbone_baggage_parse(struct str s, struct hbone_baggage *ret)
{
	struct hbone_baggage b = { 0 };

	for (struct str rest = s; rest.p;) {
		struct str value = str_cut(&rest, ','), key, type;

		value = str_cut(&value, ';'); /* properties are of no use here */
		key = str_trim(str_cut(&value, '='));
		if (!value.p)
			continue;
		value = str_trim(value);
		if (!baggage_value_ok(value))
			continue;
		if (baggage_set(&b, before_workload, ARRAY_LEN(before_workload), key, value) ||
		    baggage_set(&b, after_workload, ARRAY_LEN(after_workload), key, value))
			continue;
		if (workload_type_of(key, &type)) {
			b.workload_type = type;
			b.workload_name = value;
		}
	}
	*ret = b;
}

static void baggage_put(struct out *o, struct str key, struct str value)
{
	if (!baggage_value_ok(value))
		return;
	if (o->n)
		out_put(o, STR(","));
	out_put(o, key);
	out_put(o, STR("="));
	out_put(o, value);
}

static void baggage_put_all(struct out *o, const struct baggage_key *keys, size_t n,
			    const struct hbone_baggage *b)
{
	for (size_t i = 0; i < n; i++)
		baggage_put(o, keys[i].key, *(const struct str *)((const char *)b + keys[i].member));
}

int hbone_baggage_format(char *buf, size_t cap, const struct hbone_baggage *b)
{
	struct out o = { .p = buf, .cap = cap };
	struct str type = b->workload_type;
	char key[LABEL_MAX + sizeof("k8s..name")];

	if (!cap)
		return -ENAMETOOLONG;
	buf[0] = '\0';
	baggage_put_all(&o, before_workload, ARRAY_LEN(before_workload), b);
	if (label_ok(type)) {
		int n = snprintf(key, sizeof(key), "k8s.%.*s.name", STR_FMT(type));

		baggage_put(&o, (struct str){ key, (size_t)n }, b->workload_name);
	}
	baggage_put_all(&o, after_workload, ARRAY_LEN(after_workload), b);
	return out_end(&o);
}

/* ---- forwarded ---- */

/* Reads a value from the start of *s and cuts it off. Quoted text with escapes in it would
 * need a copy; nobody writes such, so it counts as absent (p == NULL). -EINVAL: no end. */
static int forwarded_value(struct str *s, struct str *ret)
{
	bool quoted = s->n && s->p[0] == '"', ok = true;
	size_t i = quoted ? 1 : 0, start = i;

	for (; i < s->n; i++) {
		unsigned char c = (unsigned char)s->p[i];

		if (quoted ? c == '"' : c == ';' || c == ',')
			break;
		if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\')
			ok = false;
		if (quoted && c == '\\')
			i++; /* whatever follows does not end the text */
	}
	if (quoted && i >= s->n)
		return -EINVAL;
	*ret = (struct str){ 0 };
	if (ok && i > start)
		*ret = (struct str){ s->p + start, i - start };
	if (quoted)
		i++;
	s->p += i;
	s->n -= i;
	return 0;
}

/* Skips spaces around a separator. */
static void skip_space(struct str *s)
{
	while (s->n && (s->p[0] == ' ' || s->p[0] == '\t')) {
		s->p++;
		s->n--;
	}
}

static struct str forwarded_key(struct str *s)
{
	struct str key = { s->p, 0 };

	while (key.n < s->n && (is_alnum(s->p[key.n]) || s->p[key.n] == '-'))
		key.n++;
	s->p += key.n;
	s->n -= key.n;
	return key;
}

void hbone_forwarded_parse(struct str s, struct hbone_forwarded *ret)
{
	struct hbone_forwarded f = { 0 };

	*ret = f;
	for (skip_space(&s); s.n && s.p[0] != ','; skip_space(&s)) {
		struct str key, value, *to = NULL;

		if (s.p[0] == ';') {
			s.p++;
			s.n--;
			continue;
		}
		key = forwarded_key(&s);
		if (!key.n || !s.n || s.p[0] != '=')
			break;
		s.p++;
		s.n--;
		if (forwarded_value(&s, &value) < 0)
			break;
		if (s.n && !memchr(";, \t", s.p[0], 4))
			break; /* text behind the closing quote */
		if (str_eq_nocase(key, STR("for")))
			to = &f.for_;
		else if (str_eq_nocase(key, STR("host")))
			to = &f.host;
		if (to && !to->p)
			*to = value;
	}
	*ret = f;
}

int hbone_forwarded_format(char *buf, size_t cap, const struct weft_ep *client, struct str host)
{
	struct out o = { .p = buf, .cap = cap };
	char text[IP_TEXT_MAX];

	if (!cap)
		return -ENAMETOOLONG;
	out_put(&o, STR("for=\""));
	out_put(&o, str_of(ip_format_ep(text, client)));
	out_put(&o, STR("\""));
	if (host_ok(host)) {
		out_put(&o, STR(";host="));
		out_put(&o, host);
	}
	return out_end(&o);
}

/* ---- traceparent ---- */

void hbone_traceparent(char *buf)
{
	uint64_t id[3];

	/* Unique is enough, nobody is trusted for knowing one; all zeros is not valid. */
	for (size_t i = 0; i < ARRAY_LEN(id); i++)
		while ((id[i] = rand_fast()) == 0)
			;
	snprintf(buf, 56, "00-%016llx%016llx-%016llx-00", (unsigned long long)id[0],
		 (unsigned long long)id[1], (unsigned long long)id[2]);
}
