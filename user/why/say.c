// SPDX-License-Identifier: Apache-2.0
/* Sentences about a story (say.h). */
#include "why/say.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/own.h"
#include "base/str.h"

/* Entries of a list that are shown; who wants more reads the policy. */
#define ENTRIES_SHOWN 4

/* Text that grows inside buf[WHY_TEXT_MAX]; what does not fit is left out. */
struct text {
	char *buf;
	size_t n;
};

static struct text text_start(char *buf)
{
	buf[0] = '\0';
	return (struct text){ buf, 0 };
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *fmt, ...)
{
	size_t room = WHY_TEXT_MAX - t->n;
	va_list ap;
	int k;

	va_start(ap, fmt);
	k = vsnprintf(t->buf + t->n, room, fmt, ap);
	va_end(ap);
	if (k > 0)
		t->n += (size_t)k < room ? (size_t)k : room - 1;
}

const char *why_say_workload(char *buf, const struct workload *w)
{
	struct text t = text_start(buf);

	if (w->name[0])
		text_add(&t, "%s/%s", w->ns, w->name);
	else
		text_add(&t, "%s", w->uid);
	return buf;
}

static void text_workload(struct text *t, const struct workload *w)
{
	char name[WHY_TEXT_MAX];

	text_add(t, "%s", why_say_workload(name, w));
}

const char *why_say_left_out(enum lb_state state)
{
	static const char *const text[] = {
		[LB_CHOSEN] = "",
		[LB_NO_ADDRESS] = "it has no address of this family, or the service refuses it",
		[LB_NO_PORT] = "neither it nor the service says a target port",
		[LB_NO_WEIGHT] = "its capacity is 0",
		[LB_OTHER_NETWORK] = "it is in another network",
		[LB_NO_SANS] = "it is in another network, and its service has no subjectAltNames",
		[LB_NOT_PREFERRED] = "the routing preferences of the service prefer others",
	};

	return text[state];
}

/* ---- paths */

static void text_node(struct text *t, const struct workload *w)
{
	if (w->node[0])
		text_add(t, "weftd of %s", w->node);
	else
		text_add(t, "weftd of its node");
}

static void say_refused(struct text *t, const struct why_route *r)
{
	if (r->reason == WEFT_REASON_NO_WAYPOINT) {
		text_add(t, "%s; it must be passed, so nothing gets through", r->said);
		return;
	}
	if (r->said[0]) {
		text_add(t, "%s", r->said);
		return;
	}
	if (r->reason == WEFT_REASON_RESERVED_PORT) {
		text_add(t, "port %u belongs to weftd, nobody may dial it",
			 r->dst ? r->chosen.port : r->dialled.port);
		return;
	}
	if (r->reason == WEFT_REASON_BAD_DESTINATION && r->dst) {
		text_workload(t, r->dst);
		text_add(t, " is in network %s, whose gateway takes in what goes to services only",
			 r->dst->network);
		return;
	}
	for (size_t i = 0; r->svc && i < r->svc->n_ports; i++) {
		if (r->svc->ports[i].port == r->dialled.port) {
			text_add(t, "service %s has no endpoint to choose", r->svc->key);
			return;
		}
	}
	text_add(t, "service %s has no port %u", r->svc ? r->svc->key : "?", r->dialled.port);
}

static void say_passthrough(struct text *t, const struct why_route *r)
{
	if (r->by_name)
		text_add(t, "weftd resolves %s for each connection; ", r->dst->hostname);
	if (r->dst) {
		text_add(t, "reached without a tunnel (");
		text_workload(t, r->dst);
		text_add(t, " has protocol TCP): goes out as it is, in plaintext, and policies for "
			    "it are not enforced");
		return;
	}
	text_add(t, "not an address of the mesh: goes out as it is, no policy is asked");
}

static void say_hbone(struct text *t, const struct why_route *r)
{
	text_add(t, "a mutual TLS tunnel to ");
	text_workload(t, r->dst);
	if (r->dst_absent) {
		text_add(t, ", which is NOT ENROLLED on this node: nobody answers there, the "
			    "connection fails with connect_failed");
		return;
	}
	text_add(t, "; ");
	text_node(t, r->dst);
	text_add(t, " decides");
}

static void say_plain(struct text *t, const struct why_story *story, const struct why_route *r)
{
	if (!story->src.w)
		text_add(t, "plaintext from outside the mesh, so there is no identity; ");
	else if (!story->src.enrolled)
		text_add(t,
			 "the source is not enrolled, so it sends plaintext without an identity; ");
	else
		text_add(t, "the destination has protocol TCP in the mesh, so it gets plaintext "
			    "without an identity; ");
	if (r->at_syn) {
		text_add(t, "refused at the SYN, by the kernel of %s",
			 r->dst->node[0] ? r->dst->node : "its node");
		return;
	}
	text_node(t, r->dst);
	text_add(t, " decides");
}

static void say_hop(struct text *t, const struct why_route *r)
{
	text_add(t, "a mutual TLS tunnel to the waypoint ");
	text_workload(t, r->dst);
	text_add(t,
		 ", which decides; it goes on from there with the identity of the waypoint, %s, which "
		 "is what policies of the destination see",
		 r->dst->identity);
}

static void say_gateway(struct text *t, const struct why_route *r)
{
	text_add(t, "a mutual TLS tunnel to the gateway of network %s, ", r->dst->network);
	text_workload(t, r->gateway);
	text_add(t, ", and inside of it one to whoever proves to be %s", r->svc->sans[0]);
	if (r->svc->n_sans > 1)
		text_add(t, " or another of %zu SANs of the service", r->svc->n_sans);
	text_add(t, "; the node over there decides");
}

/* Who relies on one must know. */
static void say_waypoint(struct text *t, const struct why_story *story, const struct why_route *r)
{
	bool has = route_has_waypoint(r->svc, r->dst);

	if (r->path == WHY_REFUSED || r->path == WHY_LOCAL || r->path == WHY_WAYPOINT ||
	    r->path == WHY_GATEWAY)
		return;
	if (r->from_waypoint)
		text_add(t, "; the source is the waypoint itself");
	else if (has && !story->src.enrolled)
		text_add(t, "; the waypoint is NOT PASSED, because the source is not enrolled");
	else if (!has && r->dst && r->dst->waypoint[0])
		text_add(t, "; a service was dialled that has no waypoint, so that of the workload "
			    "is not passed");
}

const char *why_say_path(char *buf, const struct why_story *story, const struct why_route *r)
{
	struct text t = text_start(buf);

	switch (r->path) {
	case WHY_REFUSED:
		say_refused(&t, r);
		break;
	case WHY_LOCAL:
		text_add(&t, "to itself: never leaves the pod, no policy is asked");
		break;
	case WHY_PASSTHROUGH:
		say_passthrough(&t, r);
		if (r->untold)
			text_add(&t, ", unless istiod, which is asked when a pod dials it, says "
				     "whose it is");
		break;
	case WHY_DIRECT:
		text_add(&t, "on one node, decided in the kernel of %s, without a proxy",
			 r->dst->node[0] ? r->dst->node : "the node");
		break;
	case WHY_HBONE:
		say_hbone(&t, r);
		break;
	case WHY_WAYPOINT:
		say_hop(&t, r);
		break;
	case WHY_GATEWAY:
		say_gateway(&t, r);
		break;
	case WHY_PLAIN:
		say_plain(&t, story, r);
		break;
	case WHY_UNSEEN:
		text_add(&t, "neither end is enrolled: Weft does not see this connection, no policy "
			     "is asked");
		break;
	}
	say_waypoint(&t, story, r);
	return buf;
}

/* ---- verdicts */

static void say_default_deny(struct text *t, const struct why_route *r)
{
	if (r->n_allows == 1)
		text_add(t, "one Allow policy binds ");
	else
		text_add(t, "%zu Allow policies bind ", r->n_allows);
	text_workload(t, r->dst);
	text_add(t, r->n_allows == 1 ? ", and it does not match" : ", and none of them matches");
}

const char *why_say_verdict(char *buf, const struct why_story *story, const struct why_route *r)
{
	const struct rbac_result *v = &r->verdict;
	struct text t = text_start(buf);

	text_add(&t, "%s: ", r->allow ? "allowed" : "denied");
	if (!r->judged) {
		char path[WHY_TEXT_MAX];

		text_add(&t, "%s", why_say_path(path, story, r));
	} else if (v->missing) {
		text_workload(&t, r->dst);
		text_add(&t, " names policy %s, which does not exist", v->policy);
	} else if (v->policy[0]) {
		text_add(&t, "%s policy %s matches by its rules[%d]", r->allow ? "Allow" : "Deny",
			 v->policy, v->rule);
	} else if (r->allow) {
		text_add(&t, "no Deny policy matches, and no Allow policy binds ");
		text_workload(&t, r->dst);
	} else {
		say_default_deny(&t, r);
	}
	return buf;
}

/* ---- what ruled a policy out */

enum kind { KIND_TEXT, KIND_IP, KIND_PORT, KIND_ACCOUNT };

/* A kind of condition: where its lists are. */
struct field {
	const char *name, *not_name;
	enum kind kind;
	size_t list, n_list, not_list, n_not_list;
};

#define FIELD(key, not_key, what, member) \
	{ \
		.name = key, \
		.not_name = not_key, \
		.kind = what, \
		.list = offsetof(struct match, member), \
		.n_list = offsetof(struct match, n_##member), \
		.not_list = offsetof(struct match, not_##member), \
		.n_not_list = offsetof(struct match, n_not_##member), \
	}

static const struct field fields[] = {
	FIELD("namespaces", "notNamespaces", KIND_TEXT, namespaces),
	FIELD("principals", "notPrincipals", KIND_TEXT, principals),
	FIELD("serviceAccounts", "notServiceAccounts", KIND_ACCOUNT, service_accounts),
	FIELD("sourceIps", "notSourceIps", KIND_IP, source_ips),
	FIELD("destinationIps", "notDestinationIps", KIND_IP, destination_ips),
	FIELD("destinationPorts", "notDestinationPorts", KIND_PORT, destination_ports),
};

static void say_string_match(struct text *t, const struct string_match *m)
{
	switch (m->kind) {
	case MATCH_EXACT:
		text_add(t, "%s", m->text);
		break;
	case MATCH_PREFIX:
		text_add(t, "%s*", m->text);
		break;
	case MATCH_SUFFIX:
		text_add(t, "*%s", m->text);
		break;
	case MATCH_PRESENCE:
		text_add(t, "*");
		break;
	}
}

static void say_prefix(struct text *t, const struct ip_prefix *p)
{
	char ip[IP_TEXT_MAX];

	text_add(t, "%s", p->len == 128 ? ip_format(ip, &p->addr) : ip_format_prefix(ip, p));
}

static void say_entry(struct text *t, enum kind kind, const void *list, size_t i)
{
	switch (kind) {
	case KIND_TEXT:
		say_string_match(t, &((const struct string_match *)list)[i]);
		break;
	case KIND_IP:
		say_prefix(t, &((const struct ip_prefix *)list)[i]);
		break;
	case KIND_PORT:
		text_add(t, "%u", ((const uint16_t *)list)[i]);
		break;
	case KIND_ACCOUNT:
		text_add(t, "%s/%s", ((const struct sa_match *)list)[i].ns,
			 ((const struct sa_match *)list)[i].sa);
		break;
	}
}

static void say_list(struct text *t, enum kind kind, const void *list, size_t n)
{
	for (size_t i = 0; i < n && i < ENTRIES_SHOWN; i++) {
		text_add(t, "%s", i ? ", " : "");
		say_entry(t, kind, list, i);
	}
	if (n > ENTRIES_SHOWN)
		text_add(t, " and %zu more", n - ENTRIES_SHOWN);
}

/* What the connection has that the field looks at. */
static void say_fact(struct text *t, const struct why_story *story, const struct why_route *r,
		     const struct field *f)
{
	const struct workload *w = r->path == WHY_PLAIN ? NULL : story->src.w;
	const char *id = w ? w->identity : "";
	char ip[IP_TEXT_MAX];

	if (f->kind == KIND_PORT)
		text_add(t, "the port is %u", r->chosen.port);
	else if (f->kind == KIND_IP && f->list == offsetof(struct match, source_ips))
		text_add(t, "the source is %s", ip_format(ip, &r->src));
	else if (f->kind == KIND_IP)
		text_add(t, "the destination is %s", ip_format(ip, &r->chosen.addr));
	else if (!w || !id[0])
		text_add(t, "the source has no identity (plaintext)");
	else if (f->kind == KIND_ACCOUNT)
		text_add(t, "the source is %s/%s", w->ns, w->group->service_account);
	else if (f->list == offsetof(struct match, namespaces))
		text_add(t, "the source is of namespace %s", w->ns);
	else
		text_add(t, "the source is %s", id + strlen("spiffe://"));
}

static const struct field *field_find(const char *name, bool *ret_negative)
{
	for (size_t i = 0; name && i < ARRAY_LEN(fields); i++) {
		*ret_negative = strcmp(fields[i].not_name, name) == 0;
		if (*ret_negative || strcmp(fields[i].name, name) == 0)
			return &fields[i];
	}
	return NULL;
}

const char *why_say_miss(char *buf, const struct why_story *story, const struct why_route *r,
			 const struct why_policy *p, const struct explain_miss *m)
{
	const struct match *match = &p->p.policy->rules[m->rule].clauses[m->clause].matches[m->match];
	const char *at = (const char *)match;
	struct text t = text_start(buf);
	bool negative = false;
	const struct field *f = field_find(m->field, &negative);

	text_add(&t, "rules[%zu][%zu][%zu]", m->rule, m->clause, m->match);
	if (!f) {
		text_add(&t, " has no condition, such a match never holds");
		return buf;
	}
	text_add(&t, ".%s ", m->field);
	if (negative) {
		text_add(&t, "excludes ");
		say_entry(&t, f->kind, *(const void *const *)(at + f->not_list), m->entry);
	} else {
		text_add(&t, "wants ");
		say_list(&t, f->kind, *(const void *const *)(at + f->list),
			 *(const size_t *)(at + f->n_list));
	}
	text_add(&t, ", ");
	say_fact(&t, story, r, f);
	return buf;
}
