// SPDX-License-Identifier: Apache-2.0
/*
 * The table of expected verdicts: any bytes give cases or one sentence with the line, and
 * whatever names are in the cases, a story about them is told or refused with a sentence.
 */
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/cases.h"
#include "feed/file.h"
#include "why/say.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define ASKED 8

static const char mesh[] =
	"workloads:\n"
	"- {name: c, namespace: a, node: n, protocol: HBONE, workloadIps: [10.0.0.1, 'fd00::1']}\n"
	"- {name: s, namespace: a, node: n, protocol: HBONE, workloadIps: [10.0.0.2, 'fd00::2'],\n"
	"   services: {a/s.a: {80: 8080}}, authorizationPolicies: [a/p]}\n"
	"- {name: o, namespace: b, workloadIps: [10.0.0.3]}\n"
	"services:\n"
	"- {name: s, namespace: a, hostname: s.a, vips: [10.9.0.1, 'fd00:9::1'], ports: {80: 81, 90: 0}}\n"
	"policies:\n"
	"- {name: p, namespace: a, scope: WorkloadSelector, action: Allow, rules: [\n"
	"   [[{principals: [x, 'y*'], sourceIps: [10.0.0.0/8]}, {notNamespaces: ['*']}, {}],\n"
	"    [{destinationPorts: [1], notServiceAccounts: [a/default]}]]]}\n"
	"- {name: d, namespace: a, scope: Namespace, action: Deny, rules: [[[{notPrincipals: ['*']}]]]}\n";

static struct model *model;
static struct snap *snap;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	BUG_ON(model_new(&model) < 0);
	BUG_ON(feed_file_decode(str_of(mesh), "mesh", &err, &in) < 0);
	BUG_ON(model_build(model, &in, &err, &snap) < 0);
	return 0;
}

static void tell(const struct why_story *story)
{
	char buf[WHY_TEXT_MAX];

	BUG_ON(story->n_routes > story->n_ways || story->n_allowed > story->n_ways);
	BUG_ON((story->verdict == WHY_ALLOW) != (story->reason == WEFT_REASON_NONE));
	BUG_ON(story->n_routes && !why_decisive(story));
	for (size_t i = 0; i < story->n_routes; i++) {
		const struct why_route *r = &story->routes[i];

		BUG_ON(r->allow != (r->reason == WEFT_REASON_NONE));
		BUG_ON(r->judged && r->allow != r->verdict.allow);
		BUG_ON(!why_say_path(buf, story, r)[0] || !why_say_verdict(buf, story, r)[0]);
		for (size_t k = 0; k < r->n_policies; k++)
			for (size_t m = 0; m < r->policies[k].n_misses && m < WHY_MISSES_MAX; m++)
				why_say_miss(buf, story, r, &r->policies[k], &r->policies[k].miss[m]);
	}
}

static void ask(const struct feed_case *c)
{
	cleanup_with(why_free) struct why_story *story = NULL;
	struct errbuf err = { 0 };
	int r = why_ask(snap, NULL, c->from, c->to, c->port, &err, &story);

	BUG_ON((r < 0) != (story == NULL) || (r < 0) != (err.text[0] != '\0'));
	if (story)
		tell(story);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_with(feed_cases_fini) struct feed_cases cases = { 0 };
	struct errbuf err = { 0 };
	int r = feed_cases_decode((struct str){ (const char *)data, size }, "f", &err, &cases);

	BUG_ON((r < 0) != (err.text[0] != '\0') || (r < 0) != (cases.n == 0));
	for (size_t i = 0; i < cases.n; i++) {
		BUG_ON(cases.v[i].line < 1 || !cases.v[i].from[0] || !cases.v[i].to[0]);
		if (i < ASKED)
			ask(&cases.v[i]);
	}
	return 0;
}
