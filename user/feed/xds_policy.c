// SPDX-License-Identifier: Apache-2.0
/*
 * istio.security.Authorization. A condition that is dropped or misread would let somebody in
 * or keep somebody out, so everything must be understood: a field, a match or a value of a
 * later version makes the whole policy invalid (the control plane is told, and an older version
 * of it stays in force).
 *
 * The lists of the model are filled one by one while they are decoded; policies are few.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/own.h"
#include "codec/pb.h"
#include "feed/xds_decode.h"

/* Room for one more element of a list of the model; the lists know no capacity, so they grow
 * by doubling at powers of two. NULL when out of memory. */
static void *list_add(void **list, size_t *n, size_t size)
{
	size_t used = *n;

	if ((used & (used - 1)) == 0) {
		size_t bytes;
		void *p;

		if (__builtin_mul_overflow(used ? used * 2 : 1, size, &bytes))
			return NULL;
		p = realloc(*list, bytes);
		if (!p)
			return NULL;
		*list = p;
	}
	memset((char *)*list + used * size, 0, size);
	*n = used + 1;
	return (char *)*list + used * size;
}

#define ADD(obj, list) list_add((void **)&(obj)->list, &(obj)->n_##list, sizeof(*(obj)->list))

/* ---- parts of a match ---- */

struct raw_string {
	struct str exact, prefix, suffix, presence;
};

static const struct pb_field string_fields[] = {
						 /* StringMatch: one of them */
	{ PB(1, PB_TEXT, offsetof(struct raw_string, exact), "exact") },
	{ PB(2, PB_TEXT, offsetof(struct raw_string, prefix), "prefix") },
	{ PB(3, PB_TEXT, offsetof(struct raw_string, suffix), "suffix") },
	{ PB(4, PB_BYTES, offsetof(struct raw_string, presence), "presence") },
	{ 0 },
};

static int string_read(struct pb_decode *pd, const struct pb_value *v, struct string_match *m)
{
	const struct {
		enum match_kind kind;
		size_t at;
	} kinds[] = {
		{ MATCH_EXACT, offsetof(struct raw_string, exact) },
		{ MATCH_PREFIX, offsetof(struct raw_string, prefix) },
		{ MATCH_SUFFIX, offsetof(struct raw_string, suffix) },
		{ MATCH_PRESENCE, offsetof(struct raw_string, presence) },
	};
	struct raw_string raw = { 0 };
	unsigned found = 0;
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "a string match has another type");
	r = pb_decode(pd, v->bytes, string_fields, &raw);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct str s = *(struct str *)(void *)((char *)&raw + kinds[i].at);

		if (!s.p)
			continue;
		m->kind = kinds[i].kind;
		if (found++ || m->kind == MATCH_PRESENCE)
			continue;
		m->text = str_dup(s);
		if (!m->text)
			return -ENOMEM;
	}
	if (found != 1)
		return errbuf_set(pd->err, -EINVAL, "a string match of %u kinds", found);
	return 0;
}

struct raw_prefix {
	struct str address;
	uint32_t length;
};

static const struct pb_field prefix_fields[] = {
						 /* Address */
	{ PB(1, PB_BYTES, offsetof(struct raw_prefix, address), "address") },
	{ PB(2, PB_U32, offsetof(struct raw_prefix, length), "length") },
	{ 0 },
};

static int prefix_read(struct pb_decode *pd, const struct pb_value *v, struct ip_prefix *ret)
{
	struct raw_prefix raw = { 0 };
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "an address has another type");
	r = pb_decode(pd, v->bytes, prefix_fields, &raw);
	if (r < 0)
		return r;
	if (ip_from_bytes(raw.address.p, raw.address.n, &ret->addr) < 0 ||
	    raw.length > raw.address.n * 8)
		return errbuf_set(pd->err, -EINVAL, "an address of %zu bytes has length %u",
				  raw.address.n, raw.length);
	ret->len = (uint8_t)(raw.length + (raw.address.n == 4 ? 96 : 0));
	/* Host bits mean nothing and are not compared. */
	for (unsigned bit = ret->len; bit < 128; bit++)
		ret->addr.b[bit / 8] &= (uint8_t)~(0x80u >> (bit % 8));
	return 0;
}

struct raw_sa {
	struct str ns, sa;
};

static const struct pb_field sa_fields[] = {
					     /* ServiceAccountMatch */
	{ PB(1, PB_TEXT, offsetof(struct raw_sa, ns), "namespace") },
	{ PB(2, PB_TEXT, offsetof(struct raw_sa, sa), "serviceAccount") },
	{ 0 },
};

static int sa_read(struct pb_decode *pd, const struct pb_value *v, struct sa_match *m)
{
	struct raw_sa raw = { 0 };
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "a service account has another type");
	r = pb_decode(pd, v->bytes, sa_fields, &raw);
	if (r < 0)
		return r;
	if (!raw.ns.n || !raw.sa.n)
		return errbuf_set(pd->err, -EINVAL, "a service account without namespace or name");
	m->ns = str_dup(raw.ns);
	m->sa = str_dup(raw.sa);
	return m->ns && m->sa ? 0 : -ENOMEM;
}

/* ---- a match ---- */

#define STRINGS(list) \
	static int add_##list(struct pb_decode *pd, void *obj, const struct pb_value *v) \
	{ \
		struct string_match *m = ADD((struct match *)obj, list); \
\
		return m ? string_read(pd, v, m) : -ENOMEM; \
	}
#define PREFIXES(list) \
	static int add_##list(struct pb_decode *pd, void *obj, const struct pb_value *v) \
	{ \
		struct ip_prefix *p = ADD((struct match *)obj, list); \
\
		return p ? prefix_read(pd, v, p) : -ENOMEM; \
	}
#define PORTS(list) \
	static int add_##list##_one(struct pb_decode *pd, void *obj, uint32_t u) \
	{ \
		uint16_t *p; \
\
		if (u > UINT16_MAX) \
			return errbuf_set(pd->err, -EINVAL, "%u is no port", u); \
		p = ADD((struct match *)obj, list); \
		if (!p) \
			return -ENOMEM; \
		*p = (uint16_t)u; \
		return 0; \
	} \
	static int add_##list(struct pb_decode *pd, void *obj, const struct pb_value *v) \
	{ \
		return pb_each_u32(pd, v, #list, add_##list##_one, obj); \
	}
#define ACCOUNTS(list) \
	static int add_##list(struct pb_decode *pd, void *obj, const struct pb_value *v) \
	{ \
		struct sa_match *m = ADD((struct match *)obj, list); \
\
		return m ? sa_read(pd, v, m) : -ENOMEM; \
	}

STRINGS(namespaces)
STRINGS(not_namespaces)
STRINGS(principals)
STRINGS(not_principals)
PREFIXES(source_ips)
PREFIXES(not_source_ips)
PREFIXES(destination_ips)
PREFIXES(not_destination_ips)
PORTS(destination_ports)
PORTS(not_destination_ports)
ACCOUNTS(service_accounts)
ACCOUNTS(not_service_accounts)

/* 13 is extensions: conditions of somebody else, which cannot be left out. */
static const struct pb_field match_fields[] = {
	{ PB(1, PB_EACH, 0, "namespaces"), .each = add_namespaces },
	{ PB(2, PB_EACH, 0, "not_namespaces"), .each = add_not_namespaces },
	{ PB(3, PB_EACH, 0, "principals"), .each = add_principals },
	{ PB(4, PB_EACH, 0, "not_principals"), .each = add_not_principals },
	{ PB(5, PB_EACH, 0, "source_ips"), .each = add_source_ips },
	{ PB(6, PB_EACH, 0, "not_source_ips"), .each = add_not_source_ips },
	{ PB(7, PB_EACH, 0, "destination_ips"), .each = add_destination_ips },
	{ PB(8, PB_EACH, 0, "not_destination_ips"), .each = add_not_destination_ips },
	{ PB(9, PB_EACH, 0, "destination_ports"), .each = add_destination_ports },
	{ PB(10, PB_EACH, 0, "not_destination_ports"), .each = add_not_destination_ports },
	{ PB(11, PB_EACH, 0, "service_accounts"), .each = add_service_accounts },
	{ PB(12, PB_EACH, 0, "not_service_accounts"), .each = add_not_service_accounts },
	{ 0 },
};

/* ---- rules ---- */

static int nested(struct pb_decode *pd, const struct pb_value *v, const struct pb_field *table,
		  void *obj)
{
	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "a rule has another type");
	return obj ? pb_decode(pd, v->bytes, table, obj) : -ENOMEM;
}

static int add_match(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	return nested(pd, v, match_fields, ADD((struct clause *)obj, matches));
}

static const struct pb_field clause_fields[] = {
	{ PB(2, PB_EACH, 0, "matches"), .each = add_match },
	{ 0 },
};

static int add_clause(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	return nested(pd, v, clause_fields, ADD((struct rule *)obj, clauses));
}

static const struct pb_field rule_fields[] = {
	{ PB(1, PB_EACH, 0, "clauses"), .each = add_clause },
	{ 0 },
};

struct raw {
	struct str name, ns;
	int scope, action;
	bool dry_run;
	struct policy *policy;
};

static int add_rule(struct pb_decode *pd, void *obj, const struct pb_value *v)
{
	struct raw *raw = obj;

	return nested(pd, v, rule_fields, ADD(raw->policy, rules));
}

static const struct pb_field policy_fields[] = {
	{ PB(1, PB_TEXT, offsetof(struct raw, name), "name") },
	{ PB(2, PB_TEXT, offsetof(struct raw, ns), "namespace") },
	{ PB(3, PB_ENUM, offsetof(struct raw, scope), "scope") },
	{ PB(4, PB_ENUM, offsetof(struct raw, action), "action") },
	{ PB(5, PB_EACH, 0, "rules"), .each = add_rule },
	{ PB(6, PB_BOOL, offsetof(struct raw, dry_run), "dry_run") },
	{ 0 },
};

static int set_head(struct policy *p, const struct raw *raw, struct errbuf *err)
{
	static const enum policy_scope scope[] = { SCOPE_GLOBAL, SCOPE_NAMESPACE, SCOPE_WORKLOAD };
	static const enum policy_action action[] = { ACTION_ALLOW, ACTION_DENY };

	if (!raw->name.n || memchr(raw->name.p, '/', raw->name.n) ||
	    (raw->ns.n && memchr(raw->ns.p, '/', raw->ns.n)))
		return errbuf_set(err, -EINVAL, "'%.*s/%.*s' is no namespace and name",
				  STR_FMT(raw->ns), STR_FMT(raw->name));
	if (raw->scope < 0 || (size_t)raw->scope >= ARRAY_LEN(scope))
		return errbuf_set(err, -EINVAL, "scope %d is not known to this version", raw->scope);
	if (raw->action < 0 || (size_t)raw->action >= ARRAY_LEN(action))
		return errbuf_set(err, -EINVAL, "action %d is not known to this version",
				  raw->action);
	/* The root namespace's policies come without one only if they bind the whole mesh. */
	if (!raw->ns.n && scope[raw->scope] == SCOPE_NAMESPACE)
		return errbuf_set(err, -EINVAL, "binds a namespace and names none");
	p->scope = scope[raw->scope];
	p->action = action[raw->action];
	p->dry_run = raw->dry_run;
	p->name = str_dup(raw->name);
	p->ns = str_dup(raw->ns);
	p->key = str_printf("%.*s/%.*s", STR_FMT(raw->ns), STR_FMT(raw->name));
	return p->name && p->ns && p->key ? 0 : -ENOMEM;
}

int xds_decode_policy(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		      struct xds_object *ret)
{
	struct pb_decode pd = { .err = err, .strict = true, .arg = d };
	cleanup_with(policy_put) struct policy *p = policy_new();
	struct raw raw = { .policy = p };
	int r;

	if (!p)
		return -ENOMEM;
	r = pb_decode(&pd, bytes, policy_fields, &raw);
	if (r == 0)
		r = set_head(p, &raw, err);
	if (r < 0)
		return r;
	ret->kind = XDS_POLICY;
	ret->policy = TAKE_PTR(p);
	return 0;
}
