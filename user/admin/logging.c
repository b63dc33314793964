// SPDX-License-Identifier: Apache-2.0
/* Levels of the log by HTTP. The state is in base/log.c. */
#include "admin/logging.h"

#include <ctype.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"

struct setting {
	char scope[16]; /* "": all */
	enum log_level level;
};

struct request {
	struct setting set[LOG_SCOPES_MAX];
	size_t n;
	bool reset;
};

static int read_level(struct str text, enum log_level *ret, struct errbuf *err)
{
	static const struct {
		const char *word;
		enum log_level level;
	} other[] = { { "warning", LOG_WARN },
		      { "off", LOG_ERROR },
		      { "critical", LOG_ERROR },
		      { "trace", LOG_DEBUG } };
	char word[16];

	if (str_copy(word, sizeof(word), text) == 0) {
		for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
			if (strcmp(word, other[i].word) == 0) {
				*ret = other[i].level;
				return 0;
			}
		if (log_level_parse(word, ret) == 0)
			return 0;
	}
	return errbuf_set(err, -EINVAL, "\"%.*s\" is no level: error, warn, info, debug",
			  STR_FMT(text));
}

static int read_scope(struct str text, char scope[16], struct errbuf *err)
{
	for (size_t i = text.n; i > 0; i--)
		if (text.p[i - 1] == ':') {
			text = (struct str){ text.p + i, text.n - i };
			break;
		}
	for (size_t i = 0; i < text.n; i++)
		if (!isalnum((unsigned char)text.p[i]) && text.p[i] != '_')
			text.n = 0;
	if (!text.n || str_copy(scope, 16, text) < 0)
		return errbuf_set(err, -EINVAL, "a component has a name like dns or xds");
	return 0;
}

/* "debug", "dns:debug" or "dns=debug" */
static int read_setting(struct request *q, struct str text, struct errbuf *err)
{
	struct setting *s = &q->set[q->n];
	size_t at = text.n;
	int r = 0;

	if (q->n == LOG_SCOPES_MAX)
		return errbuf_set(err, -EINVAL, "more than %d levels at once", LOG_SCOPES_MAX);
	while (at > 0 && text.p[at - 1] != ':' && text.p[at - 1] != '=')
		at--;
	*s = (struct setting){ 0 };
	if (at)
		r = read_scope((struct str){ text.p, at - 1 }, s->scope, err);
	if (r == 0)
		r = read_level((struct str){ text.p + at, text.n - at }, &s->level, err);
	q->n += r == 0;
	return r;
}

/* In place: "%3A" and the like are what some clients make of ':' and ','. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *c = text; *c; c++) {
		char hex[3] = { 0 };

		if (*c == '%' && isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2])) {
			memcpy(hex, c + 1, 2);
			*to++ = (char)strtol(hex, NULL, 16);
			c += 2;
			continue;
		}
		*to++ = *c;
	}
	*to = '\0';
}

static int read_query(struct request *q, const char *text, struct errbuf *err)
{
	struct str rest = str_of(text);
	int r = 0;

	while (r == 0 && rest.p) {
		struct str value = str_cut(&rest, '&'), key = str_cut(&value, '=');

		if (str_eq(key, STR("reset"))) {
			q->reset = true;
		} else if (str_eq(key, STR("level"))) {
			/* ztunnel's client sends an empty one along with reset. */
			while (r == 0 && value.p && value.n)
				r = read_setting(q, str_cut(&value, ','), err);
		} else if (key.n) {
			r = errbuf_set(err, -EINVAL, "\"%.*s\" is neither level nor reset",
				       STR_FMT(key));
		}
	}
	return r;
}

/* Is there room for the components that have no level yet? */
static bool fits(const struct request *q)
{
	size_t more = 0;

	for (size_t i = 0; i < q->n; i++) {
		bool known = !q->set[i].scope[0] || (!q->reset && log_scope_is_set(q->set[i].scope));

		for (size_t k = 0; k < i; k++)
			known |= strcmp(q->set[k].scope, q->set[i].scope) == 0;
		more += !known;
	}
	return more <= (q->reset ? LOG_SCOPES_MAX : log_scopes_free());
}

int logging_apply(const char *query, enum log_level at_start, struct errbuf *err)
{
	_free_ char *text = str_dup(str_of(query));
	struct request q = { 0 };
	int r = text ? 0 : -ENOMEM;

	if (r == 0) {
		unescape(text);
		r = read_query(&q, text, err);
	}
	if (r == 0 && !fits(&q))
		r = errbuf_set(err, -EINVAL,
			       "%zu of %d components have a level of their own: POST "
			       "/logging?reset first",
			       LOG_SCOPES_MAX - log_scopes_free(), LOG_SCOPES_MAX);
	if (r < 0)
		return r;
	if (q.reset) {
		log_clear_scopes();
		log_set_level(at_start);
	}
	for (size_t i = 0; i < q.n; i++) {
		if (!q.set[i].scope[0])
			log_set_level(q.set[i].level);
		else
			(void)log_set_scope(q.set[i].scope, q.set[i].level); /* it fits */
	}
	return 0;
}
