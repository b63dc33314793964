// SPDX-License-Identifier: Apache-2.0
/*
 * The machinery behind the tables of the mesh file: see decode.h. Knows nothing of the mesh.
 */
#define LOG_SCOPE "mesh"
#include "feed/decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/ip.h"
#include "base/log.h"
#include "base/own.h"

#define TEXT_MAX 1024
#define WHERE_MAX 256

#define FIELD_PTR(type, obj, offset) ((type *)(void *)((char *)(obj) + (offset)))

/* Appends to buf[WHERE_MAX]; what does not fit is cut off. */
static size_t where_format(char *buf, const struct at *at)
{
	size_t n;
	int k;

	if (!at)
		return 0;
	n = where_format(buf, at->up);
	if (at->key.p)
		k = snprintf(buf + n, WHERE_MAX - n, "%s%.*s", n ? "." : "",
			     (int)(at->key.n < 128 ? at->key.n : 128), at->key.p);
	else
		k = snprintf(buf + n, WHERE_MAX - n, "[%zu]", at->index);
	n += k > 0 ? (size_t)k : 0;
	return n < WHERE_MAX ? n : WHERE_MAX - 1;
}

/* Keys and values are quoted in messages as they are, but a message stays one line. */
static void text_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

int decode_error(struct decode *d, const struct at *at, const struct yaml *y, const char *fmt, ...)
{
	char where[WHERE_MAX] = "", what[256];
	va_list ap;

	where_format(where, at);
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	text_clean(where);
	text_clean(what);
	return errbuf_set(d->err, -EINVAL, "%s:%d: %s%s%s", d->path, y->line, where,
			  where[0] ? ": " : "", what);
}

int decode_oom(struct decode *d)
{
	return errbuf_set(d->err, -ENOMEM, "%s: out of memory", d->path);
}

static const char *kind_text(const struct yaml *y)
{
	static const char *const text[] = {
		[YAML_NULL] = "nothing",
		[YAML_SCALAR] = "a single value",
		[YAML_MAP] = "a map",
		[YAML_LIST] = "a list",
	};

	return text[y->kind];
}

static const struct field *field_find(const struct field *table, struct str key)
{
	for (; table->key; table++)
		if (str_eq(str_of(table->key), key))
			return table;
	return NULL;
}

static int unknown_key(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *table)
{
	for (; table->key; table++)
		if (str_eq_nocase(str_of(table->key), y->key))
			return decode_error(d, at, y, "unknown key '%.*s', did you mean '%s'?",
					    (int)(y->key.n < 64 ? y->key.n : 64), y->key.p,
					    table->key);
	return decode_error(d, at, y, "unknown key '%.*s'",
			    (int)(y->key.n < 64 ? y->key.n : 64), y->key.p);
}

static int check_required(struct decode *d, const struct at *at, const struct yaml *y,
			  const struct field *table)
{
	for (; table->key; table++) {
		const struct yaml *value;

		if (!(table->flags & FIELD_REQUIRED))
			continue;
		value = yaml_get(y, table->key);
		if (!value || value->kind == YAML_NULL)
			return decode_error(d, at, value ? value : y, "'%s' is missing",
					    table->key);
	}
	return 0;
}

int decode_map(struct decode *d, const struct at *at, const struct yaml *y,
	       const struct field *table, void *obj)
{
	int r;

	if (y->kind != YAML_MAP)
		return decode_error(d, at, y, "must be a map, not %s", kind_text(y));
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *value = y->child[i];
		const struct field *f = field_find(table, value->key);
		struct at here = { .up = at, .key = value->key };

		if (!f)
			return unknown_key(d, at, value, table);
		if (value->kind == YAML_NULL && !(f->flags & FIELD_NOT_NULL))
			continue;
		r = f->read(d, &here, value, f, obj);
		if (r < 0)
			return r;
	}
	return check_required(d, at, y, table);
}

int decode_scalar(struct decode *d, const struct at *at, const struct yaml *y, struct str *ret)
{
	if (y->kind != YAML_SCALAR)
		return decode_error(d, at, y, "must be a single value, not %s", kind_text(y));
	*ret = y->text;
	return 0;
}

static int check_text(struct decode *d, const struct at *at, const struct yaml *y, struct str s)
{
	if (s.n > TEXT_MAX)
		return decode_error(d, at, y, "longer than %d characters", TEXT_MAX);
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return decode_error(d, at, y, "has a control character");
	return 0;
}

static int text_store(struct decode *d, struct str s, const struct field *f, void *obj)
{
	char **slot = FIELD_PTR(char *, obj, f->off);

	*slot = str_dup(s);
	return *slot ? 0 : decode_oom(d);
}

int read_text(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r == 0)
		r = check_text(d, at, y, s);
	return r < 0 ? r : text_store(d, s, f, obj);
}

static int check_part(struct decode *d, const struct at *at, const struct yaml *y, struct str s)
{
	if (s.n == 0)
		return decode_error(d, at, y, "must not be empty");
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '/' || s.p[i] == ' ')
			return decode_error(d, at, y, "'%.*s' must not contain '%c'",
					    (int)(s.n < 128 ? s.n : 128), s.p, s.p[i]);
	return check_text(d, at, y, s);
}

int read_name(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r == 0)
		r = check_part(d, at, y, s);
	return r < 0 ? r : text_store(d, s, f, obj);
}

int decode_check_pair(struct decode *d, const struct at *at, const struct yaml *y, struct str s)
{
	struct str rest = s, head = str_cut(&rest, '/');
	int r;

	if (!rest.p)
		return decode_error(d, at, y, "'%.*s' must be 'namespace/name'",
				    (int)(s.n < 128 ? s.n : 128), s.p);
	r = check_part(d, at, y, head);
	return r < 0 ? r : check_part(d, at, y, rest);
}

int decode_pair(struct decode *d, const struct at *at, const struct yaml *y, struct str s,
		char **ret_head, char **ret_rest)
{
	int r = decode_check_pair(d, at, y, s);

	if (r < 0)
		return r;
	*ret_head = str_dup(str_cut(&s, '/'));
	*ret_rest = str_dup(s);
	return *ret_head && *ret_rest ? 0 : decode_oom(d);
}

int read_pair(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r == 0)
		r = decode_check_pair(d, at, y, s);
	return r < 0 ? r : text_store(d, s, f, obj);
}

int read_bool(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r < 0)
		return r;
	if (str_to_bool(s, FIELD_PTR(bool, obj, f->off)) < 0)
		return decode_error(d, at, y, "'%.*s' is not true or false",
				    (int)(s.n < 128 ? s.n : 128), s.p);
	return 0;
}

static int number(struct decode *d, const struct at *at, const struct yaml *y, struct str s,
		  uint32_t min, uint32_t max, uint32_t *ret)
{
	uint32_t v = 0;
	int r = str_to_u32(s, &v);

	if (r < 0 || v < min || v > max)
		return decode_error(d, at, y, "'%.*s' is not a number from %u to %u",
				    (int)(s.n < 128 ? s.n : 128), s.p, min, max);
	*ret = v;
	return 0;
}

int read_u32(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	     void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	return r < 0 ? r : number(d, at, y, s, f->min_value, UINT32_MAX,
				  FIELD_PTR(uint32_t, obj, f->off));
}

int read_port(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	uint32_t v = 0;
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r == 0)
		r = number(d, at, y, s, 1, UINT16_MAX, &v);
	if (r == 0)
		*FIELD_PTR(uint16_t, obj, f->off) = (uint16_t)v;
	return r;
}

int decode_port_entry(struct decode *d, const struct at *at, const struct yaml *y,
		      uint16_t *ret_port, uint16_t *ret_target)
{
	uint32_t port = 0, target = 0;
	struct str s;
	int r = number(d, at, y, y->key, 1, UINT16_MAX, &port);

	/* "80" and "080" would be the same port twice. */
	if (r == 0 && y->key.p[0] == '0')
		return decode_error(d, at, y, "a port has no leading zeros");
	if (r == 0)
		r = decode_scalar(d, at, y, &s);
	if (r == 0)
		r = number(d, at, y, s, 0, UINT16_MAX, &target);
	if (r < 0)
		return r;
	*ret_port = (uint16_t)port;
	*ret_target = (uint16_t)target;
	return 0;
}

int read_word(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	char all[192] = "";
	size_t n = 0;
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r < 0)
		return r;
	for (const struct word *w = f->words; w->text; w++) {
		if (str_eq_nocase(str_of(w->text), s)) {
			*FIELD_PTR(int, obj, f->off) = w->value;
			return 0;
		}
	}
	for (const struct word *w = f->words; w->text && n < sizeof(all); w++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", n ? ", " : "", w->text);
	return decode_error(d, at, y, "'%.*s' is not one of %s", (int)(s.n < 48 ? s.n : 48), s.p,
			    all);
}

int read_word_bool(struct decode *d, const struct at *at, const struct yaml *y,
		   const struct field *f, void *obj)
{
	struct field to_int = *f;
	int value = 0, r;

	to_int.off = 0;
	r = read_word(d, at, y, &to_int, &value);
	if (r == 0)
		*FIELD_PTR(bool, obj, f->off) = value;
	return r;
}

int decode_addr(struct decode *d, const struct at *at, const struct yaml *y, struct str s,
		struct weft_addr *ret)
{
	struct weft_addr a;

	if (ip_parse(s, &a) < 0 || ip_is_any(&a))
		return decode_error(d, at, y, "'%.*s' is not the IP address of a host",
				    (int)(s.n < 128 ? s.n : 128), s.p);
	*ret = a;
	return 0;
}

int read_addr(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r < 0)
		return r;
	return decode_addr(d, at, y, s, FIELD_PTR(struct weft_addr, obj, f->off));
}

int read_prefix(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
		void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r < 0)
		return r;
	if (ip_parse_prefix(s, FIELD_PTR(struct ip_prefix, obj, f->off)) < 0)
		return decode_error(d, at, y, "'%.*s' is not an address or address/length",
				    (int)(s.n < 128 ? s.n : 128), s.p);
	return 0;
}

int read_list(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
	      void *obj)
{
	bool map = f->flags & FIELD_MAP;
	char **slot = FIELD_PTR(char *, obj, f->off);
	int r;

	if (y->kind != (map ? YAML_MAP : YAML_LIST))
		return decode_error(d, at, y, "must be a %s, not %s", map ? "map" : "list",
				    kind_text(y));
	if (y->n > f->max)
		return decode_error(d, at, y, "has %zu entries, more than %zu", y->n, f->max);
	if (y->n == 0)
		return 0;
	*slot = calloc(y->n, f->size);
	if (!*slot)
		return decode_oom(d);
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *item = y->child[i];
		struct at here = { .up = at, .key = { 0 }, .index = i };

		if (map)
			here.key = item->key;
		/* what a failed element has made is freed with the object */
		if (f->n32)
			*FIELD_PTR(uint32_t, obj, f->off_n) = (uint32_t)i + 1;
		else
			*FIELD_PTR(size_t, obj, f->off_n) = i + 1;
		r = f->sub->read(d, &here, item, f->sub, *slot + i * f->size);
		if (r < 0)
			return r;
	}
	return 0;
}

int read_nested(struct decode *d, const struct at *at, const struct yaml *y, const struct field *f,
		void *obj)
{
	return decode_map(d, at, y, f->sub, obj);
}

int read_nothing(struct decode *d, const struct at *at, const struct yaml *y,
		 const struct field *f, void *obj)
{
	(void)d;
	(void)at;
	(void)y;
	(void)f;
	(void)obj;
	return 0;
}
