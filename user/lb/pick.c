// SPDX-License-Identifier: Apache-2.0
/*
 * Endpoint choice (see pick.h). Which endpoints are candidates is decided in one place for the
 * relay and for the kernel's slots, so that both give the same distribution. No state.
 */
#include "lb/pick.h"

#include <errno.h>
#include <stdlib.h>

#include "base/hmap.h"
#include "base/rand.h"
#include "lb/slots.h"

/* What a request asks for, resolved once per call. */
struct request {
	const struct service *svc;
	const struct lb_from *from;
	uint16_t port, svc_target;
	bool v4;
};

static int request_init(struct request *q, const struct service *svc, const struct lb_from *from,
			uint16_t port, bool v4)
{
	if (svc->lb_mode == LB_PASSTHROUGH)
		return -EOPNOTSUPP;
	for (size_t i = 0; i < svc->n_ports; i++) {
		if (svc->ports[i].port != port)
			continue;
		*q = (struct request){ svc, from, port, svc->ports[i].target_port, v4 };
		return 0;
	}
	return -ESRCH;
}

/* The endpoint's own mapping first, then the service's; 0: none. */
static uint16_t mapped(const struct port_map *ports, size_t n, uint16_t port, uint16_t svc_target)
{
	for (size_t i = 0; i < n; i++)
		if (ports[i].service_port == port && ports[i].target_port)
			return ports[i].target_port;
	return svc_target;
}

static uint16_t target_port(const struct request *q, const struct endpoint *e)
{
	return mapped(e->ports, e->n_ports, q->port, q->svc_target);
}

uint16_t lb_target_port(const struct service *svc, const struct workload *w, uint16_t port)
{
	uint16_t svc_target = 0;

	for (size_t i = 0; i < svc->n_ports; i++)
		if (svc->ports[i].port == port)
			svc_target = svc->ports[i].target_port;
	for (size_t i = 0; i < w->n_services; i++)
		if (strcmp(w->services[i].key, svc->key) == 0)
			return mapped(w->services[i].ports, w->services[i].n_ports, port, svc_target);
	return 0;
}

static const struct weft_addr *address_of(const struct request *q, const struct workload *w)
{
	enum ip_families refused = q->v4 ? FAMILIES_V6 : FAMILIES_V4;

	if (q->svc->families == refused)
		return NULL;
	for (size_t i = 0; i < w->n_addrs; i++)
		if (ip_is_v4(&w->addrs[i]) == q->v4)
			return &w->addrs[i];
	return NULL;
}

/* Another network is out of reach without a gateway; its addresses may even be ours too. */
bool lb_is_away(const char *network, const struct workload *w)
{
	return network && network[0] && w->network[0] && strcmp(network, w->network) != 0;
}

static bool scope_equal(enum lb_scope scope, const struct lb_from *from, const struct workload *w)
{
	const char *mine = "", *theirs = "";

	switch (scope) {
	case LB_REGION:
		mine = from->region, theirs = w->group->region;
		break;
	case LB_ZONE:
		mine = from->zone, theirs = w->group->zone;
		break;
	case LB_SUBZONE:
		mine = from->subzone, theirs = w->group->subzone;
		break;
	case LB_NODE:
		mine = from->node, theirs = w->node;
		break;
	case LB_CLUSTER:
		mine = from->cluster, theirs = w->group->cluster;
		break;
	case LB_NETWORK:
		mine = from->network, theirs = w->network;
		break;
	}
	return strcmp(mine ? mine : "", theirs) == 0;
}

/*
 * How many scopes agree, counted up to the first that does not; -1: not a candidate. A network
 * that is the first preference outweighs all the others together, and does not end the count.
 */
static int rank_of(const struct request *q, const struct workload *w)
{
	const struct service *svc = q->svc;
	int rank = 0, bonus = 0;

	if (svc->lb_mode == LB_STANDARD)
		return 0;
	for (size_t i = 0; i < svc->n_lb_scopes; i++) {
		bool network_first = svc->lb_scopes[i] == LB_NETWORK &&
				     svc->lb_scopes[0] == LB_NETWORK;
		bool equal = scope_equal(svc->lb_scopes[i], q->from, w);

		if (equal) {
			rank++;
			if (network_first)
				bonus = (int)svc->n_lb_scopes - 1;
		} else if (!network_first) {
			break;
		}
	}
	if (svc->lb_mode == LB_STRICT && rank != (int)svc->n_lb_scopes)
		return -1;
	return rank + bonus;
}

/* LB_CHOSEN: to be chosen among those of its rank; else not at all, and why. */
static enum lb_state candidate_of(const struct request *q, const struct endpoint *e, int *ret_rank,
				  struct lb_choice *ret)
{
	static const struct weft_addr none;
	bool away = lb_is_away(q->from->network, e->w);
	bool by_gateway = away && e->w->group->gateway[0] && !q->from->near;
	const struct weft_addr *addr = by_gateway || workload_is_name(e->w) ? &none
									    : address_of(q, e->w);
	uint16_t port = target_port(q, e);
	int rank;

	if (away && !by_gateway)
		return LB_OTHER_NETWORK;
	if (!addr)
		return LB_NO_ADDRESS;
	if (!port)
		return LB_NO_PORT;
	if (e->w->capacity == 0)
		return LB_NO_WEIGHT;
	if (by_gateway && !q->svc->n_sans)
		return LB_NO_SANS;
	rank = rank_of(q, e->w);
	if (rank < 0)
		return LB_NOT_PREFERRED;
	*ret_rank = rank;
	*ret = (struct lb_choice){ .w = e->w,
				   .ep = { .addr = *addr, .port = port },
				   .away = by_gateway };
	return LB_CHOSEN;
}

/* Uniform in [0, n), n > 0. */
static uint64_t rand_below(uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rand_fast() * n) >> 64);
}

int lb_pick(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	    struct lb_choice *ret)
{
	struct request q;
	uint64_t total = 0;
	int best = -1;
	int r = request_init(&q, svc, from, port, v4);

	if (r < 0)
		return r;
	/* Each candidate replaces the chosen one with probability weight / weights so far. */
	for (size_t i = 0; i < svc->n_endpoints; i++) {
		const struct endpoint *e = &svc->endpoints[i];
		struct lb_choice c;
		int rank;

		if (candidate_of(&q, e, &rank, &c) != LB_CHOSEN || rank < best)
			continue;
		if (rank > best) {
			best = rank;
			total = 0;
		}
		total += e->w->capacity;
		if (rand_below(total) < e->w->capacity)
			*ret = c;
	}
	return best < 0 ? -EHOSTUNREACH : 0;
}

/* All candidates of the best rank. */
static int candidates_of(const struct request *q, struct slot_source **ret, size_t *ret_n)
{
	size_t n_endpoints = q->svc->n_endpoints, n = 0;
	_free_ struct slot_source *all = calloc(n_endpoints ? n_endpoints : 1, sizeof(*all));
	int best = -1;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < n_endpoints; i++) {
		struct lb_choice c;
		int rank;

		if (candidate_of(q, &q->svc->endpoints[i], &rank, &c) != LB_CHOSEN || rank < best)
			continue;
		if (rank > best) {
			best = rank;
			n = 0;
		}
		all[n++] = (struct slot_source){ .choice = c, .weight = c.w->capacity,
						 .order = hash_str(str_of(c.w->uid)),
						 .endpoint = i };
	}
	*ret = TAKE_PTR(all);
	*ret_n = n;
	return 0;
}

int lb_slots(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	     struct lb_choice **ret)
{
	_free_ struct slot_source *src = NULL;
	struct request q;
	size_t n, n_addrs = 0;
	int r = request_init(&q, svc, from, port, v4);

	if (r == 0)
		r = candidates_of(&q, &src, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (!ip_is_any(&src[i].choice.ep.addr))
			src[n_addrs++] = src[i];
	return slots_expand(src, n_addrs, ret);
}

int lb_rows(const struct service *svc, const struct lb_from *from, uint16_t port, bool v4,
	    struct lb_row **ret)
{
	size_t n_rows = svc->n_endpoints, n = 0;
	_free_ struct lb_row *rows = calloc(n_rows ? n_rows : 1, sizeof(*rows));
	_free_ struct slot_source *src = NULL;
	_free_ struct lb_choice *slots = NULL;
	struct request q;
	int r = request_init(&q, svc, from, port, v4);

	if (r == 0)
		r = rows ? candidates_of(&q, &src, &n) : -ENOMEM;
	if (r == 0)
		r = slots_expand(src, n, &slots);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_rows; i++) {
		int rank;

		rows[i].state = candidate_of(&q, &svc->endpoints[i], &rank, &rows[i].choice);
		rows[i].choice.w = svc->endpoints[i].w;
		/* Until it is found among those of the best rank. */
		if (rows[i].state == LB_CHOSEN)
			rows[i].state = LB_NOT_PREFERRED;
	}
	for (size_t i = 0; i < n; i++) {
		rows[src[i].endpoint].state = LB_CHOSEN;
		rows[src[i].endpoint].slots = src[i].count;
	}
	*ret = TAKE_PTR(rows);
	return 0;
}

struct lb_from lb_from_workload(const struct workload *w)
{
	return (struct lb_from){
		.region = w->group->region,
		.zone = w->group->zone,
		.subzone = w->group->subzone,
		.node = w->node,
		.cluster = w->group->cluster,
		.network = w->network,
	};
}

void lb_from_node(const struct snap *s, const char *node, struct lb_from *ret)
{
	*ret = (struct lb_from){ "", "", "", node, "", "", false };
	for (size_t i = 0; i < s->n_workloads; i++) {
		if (strcmp(s->workload[i]->node, node) != 0)
			continue;
		*ret = lb_from_workload(s->workload[i]);
		return;
	}
}
