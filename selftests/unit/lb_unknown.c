// SPDX-License-Identifier: Apache-2.0
/* What of a mesh has to be asked for before a connection can be routed. */
#include "unit/model_make.h"

#include <string.h>

#include "feed/file.h"
#include "lb/unknown.h"

/* clang-format off */
static const char mesh_text[] =
	"workloads:\n"
	"- {name: web, namespace: a, workloadIps: [10.0.0.2], services: {a/web.svc: {}}}\n"
	"- {name: legacy, namespace: a, workloadIps: [10.0.0.3], waypoint: 10.0.0.2}\n"
	"- {name: lost, namespace: a, workloadIps: [10.0.0.4], waypoint: 10.9.9.9}\n"
	"- {name: far, namespace: a, workloadIps: [10.0.0.5], waypoint: net2/10.9.9.9}\n"
	"- {name: w, namespace: a, workloadIps: [10.0.0.6], services: {a/gone.svc: {}, a/parts.svc: {}, a/good.svc: {}}}\n"
	"- {name: away, namespace: a, network: net2, networkGateway: net2/192.0.2.7, services: {a/away.svc: {}}}\n"
	"services:\n"
	"- {name: away, namespace: a, hostname: away.svc, vips: [10.96.0.7], ports: {80: 8080}}\n"
	"- {name: web, namespace: a, hostname: web.svc, vips: [10.96.0.1], ports: {80: 8080}}\n"
	"- {name: good, namespace: a, hostname: good.svc, vips: [10.96.0.2], waypoint: a/web.svc}\n"
	"- {name: gone, namespace: a, hostname: gone.svc, vips: [10.96.0.3], waypoint: b/wp.svc}\n"
	"- {name: parts, namespace: a, hostname: parts.svc, vips: [10.96.0.4],\n"
	"  weightedWaypoints: [{destination: b/none.svc, weight: 0}, {destination: b/some.svc, weight: 1}]}\n"
	"- {name: empty, namespace: a, hostname: empty.svc, vips: [10.96.0.5], ports: {80: 8080}}\n"
	"- {name: as-is, namespace: a, hostname: as-is.svc, vips: [10.96.0.6], loadBalancer: {mode: Passthrough}}\n"
	"- {name: range, namespace: a, hostname: range.svc, cidrVips: [192.0.2.0/24]}\n";
/* clang-format on */

static void missing(const struct snap *s, const char *dialled, const char *name)
{
	const struct weft_addr a = make_addr(dialled);
	struct unknown u = { 0 };

	if (unknown_of(s, snap_workload_by_pod(s, "a", "web"), "net1", &a, &u) != (name[0] != '\0') ||
	    strcmp(u.name, name) != 0)
		fail_msg("%s: '%s', expected '%s'", dialled, u.name, name);
	assert_int_equal(u.dialled, name[0] && strstr(name, dialled));
}

static void the_first_thing_that_is_missing_is_named(void **state)
{
	struct model *model;
	struct model_input in = { 0 };
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	(void)state;
	assert_int_equal(model_new(&model), 0);
	if (feed_file_decode(str_of(mesh_text), "mesh.yaml", &err, &in) < 0 ||
	    model_build(model, &in, &err, &s) < 0)
		fail_msg("%s", err.text);
	/* what was dialled */
	missing(s, "10.7.7.7", "net1/10.7.7.7");
	missing(s, "fd00::7", "net1/fd00::7");
	missing(s, "10.0.0.2", "");
	missing(s, "10.96.0.1", "");
	missing(s, "192.0.2.9", "");
	/* a gateway to its endpoints */
	missing(s, "10.96.0.7", "net2/192.0.2.7");
	/* a waypoint of it */
	missing(s, "10.0.0.3", "");
	missing(s, "10.0.0.4", "net1/10.9.9.9");
	missing(s, "10.0.0.5", "net2/10.9.9.9");
	missing(s, "10.96.0.2", "");
	missing(s, "10.96.0.3", "b/wp.svc");
	missing(s, "10.96.0.4", "b/some.svc");
	/* a service without endpoints, unless it needs none */
	missing(s, "10.96.0.5", "a/empty.svc");
	missing(s, "10.96.0.6", "");
	snap_free(&s);
	model_free(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_thing_that_is_missing_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
