// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-policy [POLICIES [RULES]]: what the policy evaluator costs with many policies, by
 * default 10,000 of 10 rules each. For each way in which they may be spread: memory, time for
 * one connection (median, 99th percentile, over connections that match some rule and ones that
 * match none), and for the exchange of one policy: the new snapshot, and its publication with
 * the release of the old one. One line of JSON each.
 */
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/own.h"
#include "model/policies.h"
#include "policy/rbac.h"

#define CONNECTIONS 20000
#define EXCHANGES 500
#define ACCOUNTS 1000 /* service accounts per namespace that call */

enum shape { SPREAD, ONE_NAMESPACE, GLOBAL, SELECTED, RANGES, EXCLUDED, EXCLUDED_MANY, SHAPES };

static const char *const shape_text[] = {
	[SPREAD] = "1000 namespaces, rules by principal",
	[ONE_NAMESPACE] = "one namespace, rules by service account and port",
	[GLOBAL] = "whole mesh, rules by principal",
	[SELECTED] = "named by workloads, 10 each",
	[RANGES] = "one namespace, rules by source range",
	[EXCLUDED] = "one namespace, rules with negations only, all the same",
	[EXCLUDED_MANY] = "one namespace, rules with negations only, 100 different",
};

struct bench {
	enum shape shape;
	size_t n, n_rules;
	struct model *m;
	const struct snap *s;
	uint32_t seed;
};

static void *need(void *p)
{
	BUG_ON(!p);
	return p;
}

static uint32_t roll(struct bench *b, uint32_t n)
{
	b->seed = b->seed * 1664525u + 1013904223u;
	return (b->seed >> 8) % n;
}

static char *account_of(size_t i)
{
	return need(str_printf("caller-%zu", i % ACCOUNTS));
}

static char *ns_of(const struct bench *b, size_t i)
{
	if (b->shape == SPREAD || b->shape == SELECTED)
		return need(str_printf("ns-%zu", i % 1000));
	return need(str_dup(STR("shop")));
}

static void ask_from(struct match *m, const struct bench *b, size_t who)
{
	_free_ char *sa = account_of(who);

	switch (b->shape) {
	case ONE_NAMESPACE:
		m->service_accounts = need(calloc(1, sizeof(*m->service_accounts)));
		m->service_accounts[m->n_service_accounts++] =
			(struct sa_match){ need(str_dup(STR("clients"))), TAKE_PTR(sa) };
		break;
	case RANGES:
		m->source_ips = need(calloc(1, sizeof(*m->source_ips)));
		m->n_source_ips = 1;
		m->source_ips[0].len = 96 + 24;
		ip_from_bytes((uint8_t[]){ 10, (uint8_t)(who >> 8), (uint8_t)who, 0 }, 4,
			      &m->source_ips[0].addr);
		break;
	case EXCLUDED:
	case EXCLUDED_MANY:
		m->not_namespaces = need(calloc(2, sizeof(*m->not_namespaces)));
		if (b->shape == EXCLUDED_MANY)
			m->not_namespaces[m->n_not_namespaces++] = (struct string_match){
				MATCH_EXACT, need(str_printf("other-%zu", who % 100))
			};
		m->not_namespaces[m->n_not_namespaces++] =
			(struct string_match){ MATCH_EXACT, need(str_dup(STR("clients"))) };
		break;
	default:
		m->principals = need(calloc(1, sizeof(*m->principals)));
		m->principals[m->n_principals++] = (struct string_match){
			MATCH_EXACT, need(str_printf("cluster.local/ns/clients/sa/%s", sa))
		};
	}
}

static struct policy *make(const struct bench *b, size_t i, size_t version)
{
	struct policy *p = need(policy_new());

	p->ns = ns_of(b, i);
	p->name = need(str_printf("policy-%zu", i));
	p->scope = b->shape == GLOBAL     ? SCOPE_GLOBAL
		   : b->shape == SELECTED ? SCOPE_WORKLOAD
					  : SCOPE_NAMESPACE;
	p->action = i % 4 == 0 ? ACTION_DENY : ACTION_ALLOW;
	p->rules = need(calloc(b->n_rules, sizeof(*p->rules)));
	for (; p->n_rules < b->n_rules; p->n_rules++) {
		struct clause *c = need(calloc(2, sizeof(*c)));
		struct match *from = need(calloc(1, sizeof(*from)));
		struct match *to = need(calloc(1, sizeof(*to)));

		ask_from(from, b, i * b->n_rules + p->n_rules + version);
		to->destination_ports = need(calloc(1, sizeof(uint16_t)));
		/* DENY is for another port than the connections have, so both kinds are gone through. */
		to->destination_ports[to->n_destination_ports++] = p->action == ACTION_DENY ? 1
											    : 8080;
		c[0] = (struct clause){ from, 1 };
		c[1] = (struct clause){ to, 1 };
		p->rules[p->n_rules] = (struct rule){ c, 2 };
	}
	return p;
}

static struct workload *make_server(const struct bench *b, size_t i)
{
	struct workload *w = need(workload_new());

	w->uid = need(str_printf("server-%zu", i));
	w->ns = ns_of(b, i);
	w->group->trust_domain = need(str_dup(STR("cluster.local")));
	w->group->service_account = need(str_dup(STR("server")));
	if (b->shape != SELECTED)
		return w;
	w->policies = need(calloc(10, sizeof(char *)));
	for (; w->n_policies < 10 && w->n_policies < b->n; w->n_policies++) {
		size_t k = (i + w->n_policies * 1000) % b->n;
		_free_ char *ns = ns_of(b, k);

		w->policies[w->n_policies] = need(str_printf("%s/policy-%zu", ns, k));
	}
	return w;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static json_t *spread_of(uint64_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return need(json_pack("{s:f, s:f, s:f}", "median_us", (double)v[n / 2] / 1e3, "p99_us",
			      (double)v[n * 99 / 100] / 1e3, "max_us", (double)v[n - 1] / 1e3));
}

/* A connection of one of the callers; every other one of nobody's identity that is named. */
static void measure_checks(struct bench *b, json_t *out)
{
	_free_ uint64_t *took = need(calloc(CONNECTIONS, sizeof(*took)));
	size_t allowed = 0;

	for (size_t i = 0; i < CONNECTIONS; i++) {
		const struct workload *dst = b->s->workload[roll(b, (uint32_t)b->s->n_workloads)];
		uint32_t who = roll(b, ACCOUNTS);
		_free_ char *id = need(str_printf("spiffe://cluster.local/ns/clients/sa/%s-%u",
						  i % 2 ? "caller" : "nobody", who));
		struct facts f = { .dst = dst, .dst_port = 8080, .has_identity = true };
		struct rbac_result res;
		uint64_t start;

		BUG_ON(spiffe_parse(str_of(id), &f.id) < 0);
		f.principal = str_of(id + strlen("spiffe://"));
		ip_from_bytes((uint8_t[]){ i % 2 ? 10 : 11, (uint8_t)(who >> 8), (uint8_t)who, 7 },
			      4, &f.src_ip);
		ip_from_bytes((uint8_t[]){ 192, 168, 0, 1 }, 4, &f.dst_ip);
		start = now_ns();
		rbac_check(b->s, &f, &res);
		took[i] = now_ns() - start;
		allowed += res.allow;
	}
	json_object_set_new(out, "check", spread_of(took, CONNECTIONS));
	json_object_set_new(out, "allowed", json_real((double)allowed / CONNECTIONS));
}

static void measure_exchanges(struct bench *b, json_t *out)
{
	_free_ uint64_t *built = need(calloc(EXCHANGES, sizeof(*built)));
	_free_ uint64_t *whole = need(calloc(EXCHANGES, sizeof(*whole)));

	for (size_t i = 0; i < EXCHANGES; i++) {
		struct policy_change change = { .policy = make(b, roll(b, (uint32_t)b->n), i) };
		struct snap *s = NULL;
		uint64_t start = now_ns();

		BUG_ON(model_build_policies(b->m, &change, 1, NULL, &s) < 0);
		built[i] = now_ns() - start;
		model_publish(b->m, s);
		whole[i] = now_ns() - start;
	}
	b->s = model_snap(b->m);
	json_object_set_new(out, "exchange_build", spread_of(built, EXCHANGES));
	json_object_set_new(out, "exchange", spread_of(whole, EXCHANGES));
}

static void load(struct bench *b, json_t *out)
{
	struct model_input in = { .n_policies = b->n, .n_workloads = 1000 };
	size_t before = mallinfo2().uordblks, after;
	struct snap *s = NULL;
	uint64_t start;

	in.policy = need(calloc(in.n_policies, sizeof(struct policy *)));
	for (size_t i = 0; i < in.n_policies; i++)
		in.policy[i] = make(b, i, 0);
	after = mallinfo2().uordblks;
	in.workload = need(calloc(in.n_workloads, sizeof(struct workload *)));
	for (size_t i = 0; i < in.n_workloads; i++)
		in.workload[i] = make_server(b, i);
	start = now_ns();
	BUG_ON(model_build(b->m, &in, NULL, &s) < 0);
	json_object_set_new(out, "build_all_ms", json_real((double)(now_ns() - start) / 1e6));
	model_publish(b->m, s);
	b->s = model_snap(b->m);
	json_object_set_new(out, "policies_mb", json_real((double)(after - before) / 1e6));
	json_object_set_new(out, "index_mb", json_real((double)policies_bytes(s->policies) / 1e6));
}

static int number(const char *text, size_t *ret)
{
	uint32_t n = 0;

	if (str_to_u32(str_of(text), &n) < 0 || n < 1 || n > 1000000) {
		fprintf(stderr, "weft-bench-policy: '%s' is not a number from 1 to 1000000\n", text);
		return -1;
	}
	*ret = n;
	return 0;
}

int main(int argc, char **argv)
{
	size_t n = 10000, n_rules = 10;

	if (argc > 3 || (argc > 1 && number(argv[1], &n) < 0) ||
	    (argc > 2 && number(argv[2], &n_rules) < 0)) {
		fprintf(stderr, "usage: weft-bench-policy [POLICIES [RULES]]\n");
		return 2;
	}
	urcu_qsbr_register_thread();
	for (enum shape shape = 0; shape < SHAPES; shape++) {
		struct bench b = { .shape = shape, .n = n, .n_rules = n_rules, .seed = 7 };
		json_t *out = need(json_pack("{s:s, s:i, s:i}", "shape", shape_text[shape],
					     "policies", (int)n, "rules", (int)n_rules));

		BUG_ON(model_new(&b.m) < 0);
		load(&b, out);
		measure_checks(&b, out);
		measure_exchanges(&b, out);
		measure_checks(&b, out); /* the same table after many exchanges */
		json_dumpf(out, stdout, JSON_REAL_PRECISION(4));
		putchar('\n');
		fflush(stdout);
		json_decref(out);
		model_free(&b.m);
	}
	urcu_qsbr_unregister_thread();
	return 0;
}
