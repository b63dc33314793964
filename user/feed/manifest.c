// SPDX-License-Identifier: Apache-2.0
/*
 * Kubernetes objects in the mesh file (manifest.h): kind, metadata and selectors, and the
 * binding of policies to workloads by their labels. Objects are as kubectl prints them, so
 * metadata and status may have anything; a spec may not.
 */
#define LOG_SCOPE "mesh"
#include "feed/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "feed/mesh.h"

#define ROOT_NS "istio-system"
#define DRY_RUN_ANNOTATION "istio.io/dry-run"
#define WARNING_MAX 400

const char *manifests_root(const struct manifests *m)
{
	return m->root_ns ? m->root_ns : ROOT_NS;
}

void selector_fini(struct selector *s)
{
	labels_free(s->labels, s->n_labels);
	*s = (struct selector){ 0 };
}

static void meta_fini(struct manifest_meta *m)
{
	free(m->name);
	free(m->ns);
	free(m->created);
	*m = (struct manifest_meta){ 0 };
}

void manifests_fini(struct manifests *m)
{
	free(m->root_ns);
	vec_for_each(p, &m->policies)
		policy_put(p);
	vec_for_each(b, &m->bound) {
		free(b->key);
		free(b->ns);
		selector_fini(&b->selector);
	}
	vec_for_each(a, &m->peers) {
		meta_fini(&a->meta);
		selector_fini(&a->selector);
		free(a->ports);
	}
	vec_fini(&m->policies);
	vec_fini(&m->bound);
	vec_fini(&m->peers);
}

/* ---- parts that both kinds have */

static int read_label(struct decode *d, const struct at *at, const struct yaml *y,
		      const struct field *f, void *obj)
{
	struct label *l = obj;
	struct str s;
	int r = decode_scalar(d, at, y, &s);

	(void)f;
	if (r < 0)
		return r;
	l->key = str_dup(y->key);
	l->value = str_dup(s);
	return l->key && l->value ? 0 : decode_oom(d);
}

static const struct field item_label = { .read = read_label };
const struct field workload_labels = {
	.read = read_list,
	.off = offsetof(struct workload_alone, labels),
	.off_n = offsetof(struct workload_alone, n_labels),
	.sub = &item_label,
	.size = sizeof(struct label),
	.max = 256,
	.flags = FIELD_MAP,
};

static const struct field selector_fields[] = {
	{ "matchLabels", read_list, .off = offsetof(struct selector, labels),
	  .off_n = offsetof(struct selector, n_labels), .sub = &item_label,
	  .size = sizeof(struct label), .max = 256, .flags = FIELD_MAP | FIELD_NOT_NULL },
	{ 0 },
};

int read_selector(struct decode *d, const struct at *at, const struct yaml *y,
		  const struct field *f, void *obj)
{
	struct selector *s = (struct selector *)(void *)((char *)obj + f->off);
	int r = decode_map(d, at, y, selector_fields, s);

	/* Without a label it selects everything, as no selector does. */
	s->there = s->n_labels > 0;
	return r;
}

/* A mesh file's workloads have a group, and labels, of their own. */
static bool has_label(const struct workload *w, const struct label *l)
{
	const struct workload_alone *a = (const struct workload_alone *)w;

	for (size_t i = 0; i < a->n_labels; i++)
		if (strcmp(a->labels[i].key, l->key) == 0)
			return strcmp(a->labels[i].value, l->value) == 0;
	return false;
}

bool selector_selects(const struct selector *s, const struct workload *w)
{
	for (size_t i = 0; i < s->n_labels; i++)
		if (!has_label(w, &s->labels[i]))
			return false;
	return true;
}

int policy_warn(struct decode *d, int line, struct policy *p, const char *fmt, ...)
{
	char text[WARNING_MAX];
	char **list;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn("%s:%d: policy %s/%s: %s", d->path, line, p->ns, p->name, text);
	list = realloc(p->warnings, (p->n_warnings + 1) * sizeof(*list));
	if (!list)
		return decode_oom(d);
	p->warnings = list;
	list[p->n_warnings] = str_dup(str_of(text));
	if (!list[p->n_warnings])
		return decode_oom(d);
	p->n_warnings++;
	return 0;
}

int policy_named(struct decode *d, struct str ns, struct str name, struct policy **ret)
{
	cleanup_with(policy_put) struct policy *p = policy_new();

	if (!p)
		return decode_oom(d);
	p->ns = str_dup(ns);
	p->name = str_dup(name);
	if (!p->ns || !p->name)
		return decode_oom(d);
	*ret = TAKE_PTR(p);
	return 0;
}

/* ---- metadata; what it has besides is of no interest */

static int meta_text(struct decode *d, const struct at *at, const struct yaml *meta,
		     const char *key, bool required, char **slot)
{
	static const struct field name_field = { .read = read_name },
				  text_field = { .read = read_text };
	const struct yaml *y = yaml_get(meta, key);
	struct at here = { .up = at, .key = str_of(key) };

	if (required && (!y || y->kind == YAML_NULL))
		return decode_error(d, at, meta, "'%s' is missing", key);
	if (!y || y->kind == YAML_NULL) {
		*slot = str_dup(STR(""));
		return *slot ? 0 : decode_oom(d);
	}
	return required ? read_name(d, &here, y, &name_field, slot)
			: read_text(d, &here, y, &text_field, slot);
}

/* Go's ParseBool, which istiod uses; what it does not know is not taken for false. */
static int read_dry_run(struct decode *d, const struct at *at, const struct yaml *annotations,
			bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True" };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False", "" };
	const struct yaml *y = yaml_get(annotations, DRY_RUN_ANNOTATION);
	struct at here = { .up = at, .key = STR(DRY_RUN_ANNOTATION) };
	struct str s;
	int r;

	if (!y || y->kind == YAML_NULL)
		return 0;
	r = decode_scalar(d, &here, y, &s);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		*ret = *ret || str_eq(s, str_of(yes[i]));
	for (size_t i = 0; !*ret && i < ARRAY_LEN(no); i++)
		if (str_eq(s, str_of(no[i])))
			return 0;
	return *ret ? 0 : decode_error(d, &here, y, "is not true or false");
}

static int read_meta(struct decode *d, const struct at *at, const struct yaml *object,
		     struct manifest_meta *ret)
{
	const struct yaml *y = yaml_get(object, "metadata");
	struct at here = { .up = at, .key = STR("metadata") };
	struct at notes = { .up = &here, .key = STR("annotations") };
	int r;

	if (!y || y->kind != YAML_MAP)
		return decode_error(d, at, object, "'metadata' is missing");
	ret->line = object->line;
	r = meta_text(d, &here, y, "name", true, &ret->name);
	if (r == 0)
		r = meta_text(d, &here, y, "namespace", true, &ret->ns);
	if (r == 0)
		r = meta_text(d, &here, y, "creationTimestamp", false, &ret->created);
	if (r == 0)
		r = read_dry_run(d, &notes, yaml_get(y, "annotations"), &ret->dry_run);
	return r;
}

/* ---- objects */

static int read_items(struct decode *d, const struct at *at, const struct yaml *list,
		      struct manifests *m)
{
	const struct yaml *items = yaml_get(list, "items");
	struct at here = { .up = at, .key = STR("items") };

	if (!items || items->kind == YAML_NULL)
		return 0;
	if (items->kind != YAML_LIST)
		return decode_error(d, &here, items, "must be a list");
	for (size_t i = 0; i < items->n; i++) {
		struct at item = { .up = &here, .index = i };
		int r = manifest_read(d, &item, items->child[i], m);

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_spec(struct decode *d, const struct at *at, const struct yaml *object,
		     struct str kind, struct manifests *m)
{
	static const struct yaml nothing = { .kind = YAML_MAP };
	cleanup_with(meta_fini) struct manifest_meta meta = { 0 };
	const struct yaml *spec = yaml_get(object, "spec");
	struct at here = { .up = at, .key = STR("spec") };
	int r = read_meta(d, at, object, &meta);

	if (r < 0)
		return r;
	if (!spec || spec->kind == YAML_NULL)
		spec = &nothing;
	if (str_eq(kind, STR("AuthorizationPolicy")))
		return authz_read(d, &here, spec, &meta, m);
	return peer_read(d, &here, spec, &meta, m);
}

/* Keys of an object; a "rules:" beside "spec:" would be a policy without rules. */
static int check_keys(struct decode *d, const struct at *at, const struct yaml *y)
{
	static const char *const known[] = { "apiVersion", "kind",   "metadata",
					     "spec",       "status", "items" };

	for (size_t i = 0; i < y->n; i++) {
		bool found = false;

		for (size_t k = 0; k < ARRAY_LEN(known); k++)
			found = found || str_eq(y->child[i]->key, str_of(known[k]));
		if (!found)
			return decode_error(d, at, y->child[i], "unknown key '%.*s'",
					    (int)(y->child[i]->key.n < 64 ? y->child[i]->key.n : 64),
					    y->child[i]->key.p);
	}
	return 0;
}

static int object_text(struct decode *d, const struct at *at, const struct yaml *y, const char *key,
		       struct str *ret)
{
	const struct yaml *value = yaml_get(y, key);
	struct at here = { .up = at, .key = str_of(key) };

	if (!value || value->kind == YAML_NULL)
		return decode_error(d, at, y, "'%s' is missing", key);
	return decode_scalar(d, &here, value, ret);
}

int manifest_read(struct decode *d, const struct at *at, const struct yaml *y, struct manifests *m)
{
	struct str kind, api;
	int r;

	if (y->kind != YAML_MAP)
		return decode_error(d, at, y, "must be a Kubernetes object");
	r = check_keys(d, at, y);
	if (r == 0)
		r = object_text(d, at, y, "kind", &kind);
	if (r == 0)
		r = object_text(d, at, y, "apiVersion", &api);
	if (r < 0)
		return r;
	if (str_has_suffix(kind, STR("List")))
		return read_items(d, at, y, m);
	if ((str_eq(kind, STR("AuthorizationPolicy")) || str_eq(kind, STR("PeerAuthentication"))) &&
	    (str_eq(api, STR(MANIFEST_API "v1")) || str_eq(api, STR(MANIFEST_API "v1beta1"))))
		return read_spec(d, at, y, kind, m);
	return decode_error(d, at, y,
			    "%.*s of %.*s is not read here, only AuthorizationPolicy and "
			    "PeerAuthentication of " MANIFEST_API "v1",
			    (int)(kind.n < 48 ? kind.n : 48), kind.p,
			    (int)(api.n < 48 ? api.n : 48), api.p);
}

/* ---- which workloads */

static int by_ns(const void *va, const void *vb)
{
	return strcmp((*(struct workload *const *)va)->ns, (*(struct workload *const *)vb)->ns);
}

static int workload_name(struct decode *d, struct workload *w, char *key)
{
	char **list = key ? realloc(w->policies, (w->n_policies + 1) * sizeof(*list)) : NULL;

	if (!list) {
		free(key);
		return decode_oom(d);
	}
	w->policies = list;
	list[w->n_policies++] = key;
	return 0;
}

static int bind_policy(struct decode *d, const struct bound_policy *b, struct workload **sorted,
		       size_t n)
{
	size_t lo = 0, hi = b->ns ? n : 0;
	int r = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(sorted[mid]->ns, b->ns) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; r == 0 && lo < n && (!b->ns || strcmp(sorted[lo]->ns, b->ns) == 0); lo++)
		if (selector_selects(&b->selector, sorted[lo]))
			r = workload_name(d, sorted[lo], str_dup(str_of(b->key)));
	return r;
}

static int bind_peers(struct decode *d, const struct manifests *m, struct workload *w)
{
	char *name = NULL;
	int r = peers_of(d, m, w, &name);

	return r == 0 && name ? workload_name(d, w, name) : r;
}

static int add_policies(struct decode *d, struct manifests *m, struct model_input *in)
{
	size_t n = in->n_policies + m->policies.n;
	struct policy **list;

	if (n > MESH_POLICIES_MAX)
		return errbuf_set(d->err, -EINVAL, "%s: has %zu policies, more than %d", d->path, n,
				  MESH_POLICIES_MAX);
	list = realloc(in->policy, n * sizeof(*list));
	if (!list)
		return decode_oom(d);
	in->policy = list;
	vec_for_each(p, &m->policies)
		list[in->n_policies++] = TAKE_PTR(*p);
	return 0;
}

int manifests_apply(struct decode *d, struct manifests *m, struct model_input *in)
{
	_free_ struct workload **sorted = NULL;
	int r = peers_convert(d, m);

	if (r == 0 && m->policies.n)
		r = add_policies(d, m, in);
	if (r < 0 || (!m->bound.n && !m->peers.n) || !in->n_workloads)
		return r;
	sorted = calloc(in->n_workloads, sizeof(struct workload *));
	if (!sorted)
		return decode_oom(d);
	memcpy(sorted, in->workload, in->n_workloads * sizeof(struct workload *));
	qsort(sorted, in->n_workloads, sizeof(struct workload *), by_ns);
	for (size_t i = 0; r == 0 && i < m->bound.n; i++)
		r = bind_policy(d, &m->bound.p[i], sorted, in->n_workloads);
	for (size_t i = 0; r == 0 && m->peers.n && i < in->n_workloads; i++)
		r = bind_peers(d, m, in->workload[i]);
	return r;
}
