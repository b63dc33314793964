// SPDX-License-Identifier: Apache-2.0
/*
 * Specs of AuthorizationPolicy and PeerAuthentication: any bytes either give one sentence of
 * error or policies that can be built, bound and asked. The first byte says which kind it is
 * and whether it stands in the root namespace; a workload is there to be selected.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "policy/explain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_ERROR);
	return 0;
}

static const char head[] =
	"workloads: [{name: w, namespace: a, serviceAccount: s, labels: {app: x}, workloadIps: "
	"[10.0.0.1]}]\n---\n"
	"{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: d, "
	"namespace: a}, spec: {mtls: {mode: STRICT}}}\n---\n";

static void on_policy(void *arg, const struct explain_policy *p)
{
	(void)arg;
	/* Everything a converted object names exists. */
	BUG_ON(!p->policy);
}

static void ask(const struct snap *s)
{
	static const struct explain_ops ops = { .on_policy = on_policy };
	struct rbac_result res, told;
	struct facts f;

	for (int identity = 0; identity < 2; identity++) {
		rbac_facts_of(identity ? s->workload[0] : NULL, s->workload[0], 80, &f);
		f.src_ip = f.dst_ip = s->workload[0]->addrs[0];
		rbac_check(s, &f, &res);
		policy_explain(s, &f, &ops, NULL, &told);
		BUG_ON(res.allow != told.allow || res.missing);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	_free_ char *text = NULL;
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	if (size < 1 || model_new(&m) < 0)
		return 0;
	text = str_printf("%s{apiVersion: security.istio.io/v1, kind: %s, metadata: {name: p, "
			  "namespace: %s}, spec: %.*s}\n",
			  head, data[0] & 1 ? "AuthorizationPolicy" : "PeerAuthentication",
			  data[0] & 2 ? "istio-system" : "a", (int)(size - 1),
			  (const char *)data + 1);
	if (!text)
		return 0;
	if (feed_file_decode(str_of(text), "f", &err, &in) < 0) {
		BUG_ON(!err.text[0] || in.workload || in.policy);
		return 0;
	}
	BUG_ON(model_build(m, &in, &err, &s) < 0 && !err.text[0]);
	if (s && s->n_workloads)
		ask(s);
	return 0;
}
