// SPDX-License-Identifier: Apache-2.0
/*
 * The mesh file: any bytes either give one sentence of error or a mesh that can be built,
 * looked up, asked for policy and balanced. Two builds of the same text give the same ids.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "lb/pick.h"
#include "policy/rbac.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Pairs of workloads to ask about; enough to reach everything, and quick. */
#define ASKED 4

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	return 0;
}

static struct snap *build(struct model *m, const uint8_t *data, size_t size)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	if (feed_file_decode((struct str){ (const char *)data, size }, "f", &err, &in) < 0) {
		BUG_ON(!err.text[0] || in.workload || in.service || in.policy);
		return NULL;
	}
	if (model_build(m, &in, &err, &s) < 0)
		BUG_ON(!err.text[0] || s);
	BUG_ON(in.workload || in.service || in.policy);
	return s;
}

static void ask_workloads(const struct snap *s)
{
	for (size_t i = 0; i < s->n_workloads && i < ASKED; i++) {
		struct workload *w = s->workload[i];

		BUG_ON(snap_workload_by_uid(s, str_of(w->uid)) != w);
		BUG_ON(snap_workload_by_id(s, w->id) != w);
		for (size_t k = 0; !w->host_network && k < w->n_addrs; k++)
			BUG_ON(snap_workload_by_addr(s, &w->addrs[k]) != w);
		snap_service_of(s, w, 8080);
		for (size_t k = 0; k < s->n_workloads && k < ASKED; k++) {
			struct rbac_result res;
			struct facts f;

			rbac_facts_of(w, s->workload[k], 80, &f);
			rbac_check(s, &f, &res);
			rbac_cacheable(s, w, s->workload[k], 80, &res);
		}
	}
}

static void ask_services(const struct snap *s)
{
	static const struct lb_from from = { .region = "r", .node = "n" };

	for (size_t i = 0; i < s->n_services && i < ASKED; i++) {
		struct service *svc = s->service[i];

		BUG_ON(snap_service_by_key(s, str_of(svc->key)) != svc);
		for (size_t k = 0; k < svc->n_ports && k < ASKED; k++) {
			struct lb_choice c, *slots = NULL;
			uint16_t port = 0;
			int r = lb_pick(svc, &from, svc->ports[k].port, true, &c);
			int n = lb_slots(svc, &from, svc->ports[k].port, true, &slots);

			/* Endpoints that are names have no slots. */
			BUG_ON((n > 0 && r < 0) || n > LB_SLOTS_MAX);
			BUG_ON(r == 0 && n <= 0 && !svc->has_names && !svc->has_gateways);
			BUG_ON(snap_service_by_port_id(s, svc->ports[k].id, &port) != svc);
			BUG_ON(port != svc->ports[k].port);
			free(slots);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	cleanup_with(snap_free) struct snap *again = NULL;
	const struct snap *now;

	if (model_new(&m) < 0)
		return 0;
	s = build(m, data, size);
	if (!s)
		return 0;
	ask_workloads(s);
	ask_services(s);
	now = s;
	model_publish(m, TAKE_PTR(s));
	again = build(m, data, size);
	BUG_ON(!again || again->n_workloads != now->n_workloads);
	for (size_t i = 0; i < now->n_workloads; i++)
		BUG_ON(now->workload[i]->id != again->workload[i]->id);
	return 0;
}
