// SPDX-License-Identifier: Apache-2.0
/*
 * The set of policies of a snapshot (policies.h): what is written into the table for each.
 */
#include "model/policies.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/own.h"
#include "base/vec.h"

/* Where the rules of a group are, and where the directory that names the first of them. */
struct group {
	uint64_t rules, directory;
};

struct filing {
	VEC(struct posting) list;
	VEC(struct group) groups;
	struct policies *of; /* where they are counted */
	uint32_t sign;
};

static void filing_fini(struct filing *f)
{
	vec_fini(&f->list);
	vec_fini(&f->groups);
}

static const char *scope_ns(const struct policy *p)
{
	return p->scope == SCOPE_GLOBAL ? NULL : p->ns;
}

static int file_rule(struct filing *f, struct policy *p, const struct filed_rule *rule)
{
	const char *ns = scope_ns(p);
	enum policy_key kind = (enum policy_key)rule->kind;
	struct group g;
	int r;

	f->of->filed[ns != NULL][p->action][kind] += f->sign;
	if (!rule->guard) {
		uint64_t h = key_hash(ns, p->action, kind, rule->value);

		return vec_push(&f->list, (struct posting){ h, p, rule->rule, false });
	}
	f->of->grouped[ns != NULL][p->action][kind] += f->sign;
	g = (struct group){ key_group(ns, p->action, rule),
			    key_directory(ns, p->action, kind, rule->value) };
	r = vec_push(&f->list, (struct posting){ g.rules, p, rule->rule, false });
	return r < 0 ? r : vec_push(&f->groups, g);
}

static uint64_t name_hash(struct str key)
{
	return key_hash(NULL, ACTION_ALLOW, KEY_NAME, key_text(key));
}

/* Appends all postings of p. */
static int file_policy(struct filing *f, struct policy *p)
{
	const char *ns = scope_ns(p);
	int r = policy_file(p);

	if (r == 0)
		r = vec_push(&f->list, (struct posting){ name_hash(str_of(p->key)), p, 0, true });
	if (p->dry_run && p->action != ACTION_NONE)
		f->of->n_dry_run += f->sign;
	if (r < 0 || p->scope == SCOPE_WORKLOAD)
		return r;
	r = vec_push(&f->list,
		     (struct posting){ key_hash(ns, ACTION_ALLOW, KEY_BOUND, 0), p, 0, false });
	if (r == 0 && p->dry_run && p->action != ACTION_NONE)
		r = vec_push(&f->list, (struct posting){ key_hash(ns, p->action, KEY_DRY_RUN, 0), p,
							 0, false });
	if (r < 0 || !policy_decides(p))
		return r;
	if (p->action == ACTION_ALLOW)
		r = vec_push(&f->list, (struct posting){ key_hash(ns, ACTION_ALLOW, KEY_ALLOW, 0),
							 p, 0, false });
	for (size_t i = 0; r == 0 && i < p->n_filed; i++)
		r = file_rule(f, p, &p->filed[i]);
	return r;
}

/* The entry of a rule that is the first of its group. */
static struct posting directory_entry(const struct posting *first, const struct group *g)
{
	struct policy *p = first->p;
	size_t lo = 0, hi = p->n_filed;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->filed[mid].rule < first->rule)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (key_group(scope_ns(p), p->action, &p->filed[lo]) != g->rules)
		lo++;
	return (struct posting){ g->directory, p, (uint32_t)lo, false };
}

static int group_cmp(const void *va, const void *vb)
{
	const struct group *a = va, *b = vb;

	return (a->rules > b->rules) - (a->rules < b->rules);
}

static const struct posting *first_of(const struct postings *t, uint64_t hash)
{
	const struct posting *p;

	return postings_find(t, hash, &p) ? p : NULL;
}

/* Each directory names the first rule of each group: t has other rules in these groups than from. */
static int directories_change(struct postings *t, const struct postings *from, struct group *g,
			      size_t n)
{
	VEC(struct posting) gone = { 0 }, add = { 0 };
	int r = 0;

	if (n)
		qsort(g, n, sizeof(*g), group_cmp);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct posting *was = first_of(from, g[i].rules), *is = first_of(t, g[i].rules);

		if ((i && g[i].rules == g[i - 1].rules) ||
		    (was && is && was->p == is->p)) /* and so the same rule of it */
			continue;
		if (was)
			r = vec_push(&gone, directory_entry(was, &g[i]));
		if (r == 0 && is)
			r = vec_push(&add, directory_entry(is, &g[i]));
	}
	if (r == 0)
		r = postings_change(t, gone.p, gone.n, add.p, add.n);
	vec_fini(&gone);
	vec_fini(&add);
	return r;
}

struct policies *policies_get(struct policies *s)
{
	if (s)
		atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void policies_put(struct policies **ps)
{
	struct policies *s = TAKE_PTR(*ps);

	if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	postings_drop(&s->table);
	free(s->all);
	free(s);
}

static struct policies *policies_new(size_t n)
{
	cleanup_with(policies_put) struct policies *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	atomic_init(&s->refs, 1);
	s->all = calloc(n ? n : 1, sizeof(struct policy *));
	return s->all ? TAKE_PTR(s) : NULL;
}

static int by_key(const void *va, const void *vb)
{
	return strcmp((*(struct policy *const *)va)->key, (*(struct policy *const *)vb)->key);
}

int policies_build(struct policy *const *list, size_t n, struct errbuf *err, struct policies **ret)
{
	cleanup_with(policies_put) struct policies *s = policies_new(n);
	struct filing f = { .sign = 1 };
	const struct postings none = { 0 };
	int r = 0;

	if (!s)
		return -ENOMEM;
	s->n = n;
	if (n)
		memcpy(s->all, list, n * sizeof(struct policy *));
	qsort(s->all, n, sizeof(struct policy *), by_key);
	for (size_t i = 1; i < n; i++)
		if (strcmp(s->all[i - 1]->key, s->all[i]->key) == 0)
			return errbuf_set(err, -EEXIST, "policy '%s' is there twice", s->all[i]->key);
	f.of = s;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = file_policy(&f, s->all[i]);
	if (r == 0)
		r = postings_build(&s->table, f.list.p, f.list.n);
	if (r == 0)
		r = directories_change(&s->table, &none, f.groups.p, f.groups.n);
	filing_fini(&f);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

static int key_cmp(const struct policy *p, struct str key)
{
	int d = strncmp(p->key, key.p, key.n);

	return d ? d : p->key[key.n] != '\0';
}

/* Where key is in the sorted list, or belongs. */
static size_t place_of(const struct policies *s, struct str key, bool *ret_there)
{
	size_t lo = 0, hi = s->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = key_cmp(s->all[mid], key);

		if (d == 0) {
			*ret_there = true;
			return mid;
		}
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_there = false;
	return lo;
}

static int table_replace(struct policies *s, const struct postings *from, struct policy *old,
			 struct policy *p)
{
	struct filing gone = { .of = s, .sign = UINT32_MAX };
	struct filing add = { .of = s, .sign = 1 };
	int r = old ? file_policy(&gone, old) : 0;

	if (r == 0 && p)
		r = file_policy(&add, p);
	if (r == 0)
		r = postings_change(&s->table, gone.list.p, gone.list.n, add.list.p, add.list.n);
	for (size_t i = 0; r == 0 && i < add.groups.n; i++)
		r = vec_push(&gone.groups, add.groups.p[i]);
	if (r == 0)
		r = directories_change(&s->table, from, gone.groups.p, gone.groups.n);
	filing_fini(&gone);
	filing_fini(&add);
	return r;
}

int policies_replace(const struct policies *from, struct str key, struct policy *p,
		     struct policies **ret)
{
	cleanup_with(policies_put) struct policies *s = policies_new(from->n + 1);
	bool there;
	size_t at = place_of(from, key, &there);
	struct policy **out;
	int r;

	BUG_ON(p && !str_eq(str_of(p->key), key));
	if (!s)
		return -ENOMEM;
	out = s->all;
	memcpy(out, from->all, at * sizeof(*out));
	out += at;
	if (p)
		*out++ = p;
	memcpy(out, from->all + at + there, (from->n - at - there) * sizeof(*out));
	s->n = from->n - there + (p != NULL);
	s->n_dry_run = from->n_dry_run;
	memcpy(s->filed, from->filed, sizeof(s->filed));
	memcpy(s->grouped, from->grouped, sizeof(s->grouped));
	postings_share(&s->table, &from->table);
	r = table_replace(s, &from->table, there ? from->all[at] : NULL, p);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

struct policy *policies_find(const struct policies *s, struct str key)
{
	const struct posting *p = NULL;
	size_t n = postings_find(&s->table, name_hash(key), &p);

	for (size_t i = 0; i < n; i++)
		if (p[i].owner && str_eq(str_of(p[i].p->key), key))
			return p[i].p;
	return NULL;
}

size_t policies_bytes(const struct policies *s)
{
	return sizeof(*s) - sizeof(s->table) + postings_bytes(&s->table) +
	       s->n * sizeof(struct policy *);
}
