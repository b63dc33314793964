// SPDX-License-Identifier: Apache-2.0
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool str_eq_nocase(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool str_has_prefix(struct str s, struct str prefix)
{
	return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

bool str_has_suffix(struct str s, struct str suffix)
{
	return s.n >= suffix.n && memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0;
}

struct str str_trim(struct str s)
{
	while (s.n && isspace((unsigned char)s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && isspace((unsigned char)s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str str_cut(struct str *s, char sep)
{
	struct str head = *s;
	const char *at = s->n ? memchr(s->p, sep, s->n) : NULL;

	if (!at) {
		*s = (struct str){ 0 };
		return head;
	}
	head.n = (size_t)(at - s->p);
	s->n -= head.n + 1;
	s->p = at + 1;
	return head;
}

char *str_dup(struct str s)
{
	char *z = malloc(s.n + 1);

	if (!z)
		return NULL;
	if (s.n)
		memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

char *str_printf(const char *fmt, ...)
{
	char *z = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&z, fmt, ap);
	va_end(ap);
	return n < 0 ? NULL : z;
}

int str_copy(char *buf, size_t cap, struct str s)
{
	if (s.n >= cap)
		return -ENAMETOOLONG;
	if (s.n)
		memcpy(buf, s.p, s.n);
	buf[s.n] = '\0';
	return 0;
}

int str_to_u64(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(v, (uint64_t)10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

static int to_bounded(struct str s, uint64_t max, uint64_t *ret)
{
	int r = str_to_u64(s, ret);

	if (r < 0)
		return r;
	return *ret > max ? -ERANGE : 0;
}

int str_to_u32(struct str s, uint32_t *ret)
{
	uint64_t v;
	int r = to_bounded(s, UINT32_MAX, &v);

	if (r == 0)
		*ret = (uint32_t)v;
	return r;
}

int str_to_u16(struct str s, uint16_t *ret)
{
	uint64_t v;
	int r = to_bounded(s, UINT16_MAX, &v);

	if (r == 0)
		*ret = (uint16_t)v;
	return r;
}

int str_to_bool(struct str s, bool *ret)
{
	static const struct {
		struct str word;
		bool value;
	} words[] = {
		{ STR("true"), true },	{ STR("yes"), true },  { STR("on"), true },
		{ STR("1"), true },	{ STR("false"), false }, { STR("no"), false },
		{ STR("off"), false },	{ STR("0"), false },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eq_nocase(s, words[i].word)) {
			*ret = words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

struct unit {
	struct str suffix;
	uint64_t factor;
};

static int to_scaled(struct str s, const struct unit *units, size_t n_units, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t v;
	int r;

	while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
		digits++;
	r = str_to_u64((struct str){ s.p, digits }, &v);
	if (r < 0)
		return r;
	struct str suffix = { s.p + digits, s.n - digits };

	for (size_t i = 0; i < n_units; i++) {
		if (!str_eq(suffix, units[i].suffix))
			continue;
		if (__builtin_mul_overflow(v, units[i].factor, &v))
			return -ERANGE;
		*ret = v;
		return 0;
	}
	return -EINVAL;
}

int str_to_duration_ns(struct str s, uint64_t *ret)
{
	static const struct unit units[] = {
		{ STR("ns"), 1 },		{ STR("us"), 1000 },
		{ STR("ms"), 1000000 },		{ STR("s"), 1000000000 },
		{ STR("m"), 60000000000 },	{ STR("h"), 3600000000000 },
		{ STR("d"), 86400000000000 },
	};

	if (str_eq(s, STR("0"))) {
		*ret = 0;
		return 0;
	}
	return to_scaled(s, units, sizeof(units) / sizeof(units[0]), ret);
}

int str_to_bytes(struct str s, uint64_t *ret)
{
	static const struct unit units[] = {
		{ STR(""), 1 },		  { STR("K"), 1 << 10 },   { STR("KB"), 1 << 10 },
		{ STR("KiB"), 1 << 10 },  { STR("M"), 1 << 20 },   { STR("MB"), 1 << 20 },
		{ STR("MiB"), 1 << 20 },  { STR("G"), 1ull << 30 }, { STR("GB"), 1ull << 30 },
		{ STR("GiB"), 1ull << 30 },
	};

	return to_scaled(s, units, sizeof(units) / sizeof(units[0]), ret);
}

char *str_human_bytes(char *buf, size_t cap, double bytes)
{
	static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	size_t i = 0;

	while (bytes >= 1000 && i + 1 < sizeof(unit) / sizeof(unit[0])) {
		bytes /= 1000;
		i++;
	}
	snprintf(buf, cap, i == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[i]);
	return buf;
}
