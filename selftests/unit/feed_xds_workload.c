// SPDX-License-Identifier: Apache-2.0
/* Workloads of istiod: what they share with others of their deployment. What is read of them:
 * feed_xds_decode.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "unit/xds_decoder.h"

/* One of a deployment, in this zone and with this target port. */
static struct workload *replica(void **state, const char *name, const char *zone, unsigned target)
{
	struct pb_writer w = { 0 };
	struct workload *ret = NULL;
	struct errbuf err = { 0 };
	size_t mark, inner, port;
	struct str bytes;
	char uid[64];

	snprintf(uid, sizeof(uid), "Kubernetes//Pod/shop/%s", name);
	pb_put_text(&w, 20, uid);
	pb_put_text(&w, 1, name);
	pb_put_text(&w, 2, "shop");
	pb_put_text(&w, 10, "web");
	pb_put_text(&w, 16, "shop/strict");
	mark = pb_begin(&w, 24);
	pb_put_text(&w, 2, zone);
	pb_end(&w, mark);
	mark = pb_begin(&w, 22);
	pb_put_text(&w, 1, "shop/web.shop");
	inner = pb_begin(&w, 2);
	port = pb_begin(&w, 1);
	pb_put_u64(&w, 1, 80);
	pb_put_u64(&w, 2, target);
	pb_end(&w, port);
	pb_end(&w, inner);
	pb_end(&w, mark);
	assert_int_equal(pb_written(&w, &bytes), 0);
	assert_int_equal(xds_decode_workload(*state, bytes, &err, &ret), 0);
	pb_writer_fini(&w);
	return ret;
}

static void workloads_of_a_deployment_share_what_they_have_in_common(void **state)
{
	struct xds_decoder *d = *state;
	struct workload *w[] = { replica(state, "web-1", "a", 8080),
				 replica(state, "web-2", "a", 8080),
				 replica(state, "web-3", "b", 8080),
				 replica(state, "web-4", "a", 8081) };

	assert_string_equal(w[0]->name, "web-1");
	assert_string_equal(w[1]->name, "web-2");
	assert_ptr_equal(w[0]->group, w[1]->group);
	assert_ptr_equal(w[0]->services, w[1]->services);
	assert_ptr_not_equal(w[0]->group, w[2]->group);
	assert_string_equal(w[2]->group->zone, "b");
	assert_ptr_not_equal(w[0]->group, w[3]->group);
	workload_put(&w[0]);
	assert_string_equal(w[1]->group->canonical_name, "web");
	assert_string_equal(w[1]->services[0].key, "shop/web.shop");
	assert_string_equal(w[1]->policies[0], "shop/strict");
	assert_int_equal(w[1]->services[0].ports[0].target_port, 8080);
	assert_int_equal(w[3]->services[0].ports[0].target_port, 8081);
	for (size_t i = 1; i < ARRAY_LEN(w); i++)
		workload_put(&w[i]);
	assert_int_equal(intern_count(d->strings), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			workloads_of_a_deployment_share_what_they_have_in_common, decoder_setup, decoder_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
