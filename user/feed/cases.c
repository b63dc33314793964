// SPDX-License-Identifier: Apache-2.0
/* The table of expected verdicts as a tree of fields (cases.h). */
#include "feed/cases.h"

#include <errno.h>
#include <stdlib.h>

#include "base/own.h"
#include "feed/decode.h"
#include "io/file.h"

/* from and to: names of many forms, but never nothing. */
static int read_end(struct decode *d, const struct at *at, const struct yaml *y,
		    const struct field *f, void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r == 0 && s.n == 0)
		return decode_error(d, at, y, "must not be empty");
	return r < 0 ? r : read_text(d, at, y, f, obj);
}

/* "namespace/name", or "" where no policy may have decided. */
static int read_policy(struct decode *d, const struct at *at, const struct yaml *y,
		       const struct field *f, void *obj)
{
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	if (r < 0)
		return r;
	return s.n ? read_pair(d, at, y, f, obj) : read_text(d, at, y, f, obj);
}

static const struct word expect_words[] = { { "allow", true }, { "deny", false }, { 0 } };

static const struct field case_fields[] = {
	{ "from", read_end, .off = offsetof(struct feed_case, from), .flags = FIELD_REQUIRED },
	{ "to", read_end, .off = offsetof(struct feed_case, to), .flags = FIELD_REQUIRED },
	{ "port", read_port, .off = offsetof(struct feed_case, port) },
	{ "expect", read_word_bool, .off = offsetof(struct feed_case, allow),
	  .flags = FIELD_REQUIRED, .words = expect_words },
	{ "policy", read_policy, .off = offsetof(struct feed_case, policy),
	  .flags = FIELD_NOT_NULL },
	{ "name", read_text, .off = offsetof(struct feed_case, name) },
	{ 0 },
};

static int read_case(struct decode *d, const struct at *at, const struct yaml *y,
		     const struct field *f, void *obj)
{
	struct feed_case *c = obj;

	(void)f;
	c->line = y->line;
	return decode_map(d, at, y, case_fields, c);
}

static const struct field item_case = { .read = read_case };
static const struct field root = {
	.read = read_list, .off = offsetof(struct feed_cases, v),
	.off_n = offsetof(struct feed_cases, n), .sub = &item_case,
	.size = sizeof(struct feed_case), .max = FEED_CASES_MAX,
};

int feed_cases_decode(struct str text, const char *path, struct errbuf *err,
		      struct feed_cases *ret)
{
	struct decode d = { .path = path, .err = err };
	cleanup_with(feed_cases_fini) struct feed_cases cases = { 0 };
	cleanup_with(yaml_free) struct yaml *y = NULL;
	int r = yaml_parse(text, path, err, &y);

	if (r < 0)
		return r;
	/* A test of nothing passes always; nobody wants to find out by that. */
	if (y->kind == YAML_NULL || (y->kind == YAML_LIST && y->n == 0))
		return decode_error(&d, NULL, y, "there are no cases; one is "
				    "{from: NAMESPACE/POD, to: SERVICE.NAMESPACE, port: 80, "
				    "expect: allow}");
	r = read_list(&d, NULL, y, &root, &cases);
	if (r < 0)
		return r;
	*ret = cases;
	cases = (struct feed_cases){ 0 };
	return 0;
}

int feed_cases_load(const char *path, struct errbuf *err, struct feed_cases *ret)
{
	struct file_identity seen;
	_free_ char *text = NULL;
	size_t n = 0;
	int r = file_read(path, err, &seen, &text, &n);

	return r < 0 ? r : feed_cases_decode((struct str){ text, n }, path, err, ret);
}

void feed_cases_fini(struct feed_cases *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].from);
		free(c->v[i].to);
		free(c->v[i].policy);
		free(c->v[i].name);
	}
	free(c->v);
	*c = (struct feed_cases){ 0 };
}
