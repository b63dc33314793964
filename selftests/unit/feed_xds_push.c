// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of istiod into the store, and what istiod is answered: the answers wait in a call
 * whose channel is never connected, and are read there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "unit/xds_client.h"

static int setup(void **state)
{
	struct xds *x = calloc(1, sizeof(*x));
	struct loop *loop;

	assert_non_null(x);
	assert_int_equal(loop_new(&loop, "test"), 0);
	xds_client_begin(x, loop);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct xds *x = *state;

	xds_client_end(x);
	loop_free(&x->loop);
	free(x);
	return 0;
}

/* ---- messages ---- */

static void put_workload(struct pb_writer *w, const char *name, const char *uid, const char *ns,
			 const char *version)
{
	size_t res = pb_begin(w, 2), any, address, workload;

	pb_put_text(w, 1, version);
	any = pb_begin(w, 2);
	pb_put_text(w, 1, xds_type_url[XDS_ADDRESS]);
	address = pb_begin(w, 2);
	workload = pb_begin(w, 1);
	pb_put_text(w, 20, uid);
	pb_put_text(w, 2, ns);
	pb_end(w, workload);
	pb_end(w, address);
	pb_end(w, any);
	pb_put_text(w, 3, name);
	pb_end(w, res);
}

static void put_policy(struct pb_writer *w, const char *name)
{
	size_t res = pb_begin(w, 2), any, policy;

	any = pb_begin(w, 2);
	pb_put_text(w, 1, xds_type_url[XDS_AUTHORIZATION]);
	policy = pb_begin(w, 2);
	pb_put_text(w, 1, name);
	pb_put_text(w, 2, "ns");
	pb_end(w, policy);
	pb_end(w, any);
	pb_end(w, res);
}

static void put_tail(struct pb_writer *w, enum xds_type type, const char *nonce)
{
	pb_put_text(w, 4, xds_type_url[type]);
	pb_put_text(w, 5, nonce);
}

/* As the stream does it; w is empty afterwards. */
static int push(struct xds *x, struct pb_writer *w)
{
	struct str s;
	int r;

	assert_int_equal(pb_written(w, &s), 0);
	xds_push_reset(&x->push);
	x->message++;
	x->message++;
	r = xds_push_bytes(x, s.p, s.n);
	if (r == 0)
		r = xds_push_end(x);
	xds_push_reset(&x->push);
	pb_writer_fini(w);
	return r;
}

struct answer {
	struct str type, nonce, error, message;
	bool has_error;
	size_t claims, bytes;
};

static int count_claim(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	(void)d, (void)v;
	((struct answer *)obj)->claims++;
	return 0;
}

static const struct pb_field error_fields[] = {
	{ PB(2, PB_TEXT, 0, "message") },
	{ 0 },
};

static int set_error(struct pb_decode *d, void *obj, const struct pb_value *v)
{
	struct answer *a = obj;

	a->has_error = true;
	return pb_decode(d, v->bytes, error_fields, &a->message);
}

static const struct pb_field answer_fields[] = {
	{ PB(2, PB_TEXT, offsetof(struct answer, type), "type") },
	{ PB(5, PB_EACH, 0, "claims"), .each = count_claim },
	{ PB(6, PB_TEXT, offsetof(struct answer, nonce), "nonce") },
	{ PB(7, PB_EACH, 0, "error"), .each = set_error },
	{ 0 },
};

/* The only message that waits; it is taken out. The texts live until the next one. */
static struct answer answered(struct xds *x)
{
	struct pb_decode d = { 0 };
	struct answer a = { 0 };
	uint8_t head[GRPC_HEAD];

	assert_true(x->call->waiting.n >= GRPC_HEAD);
	a.bytes = x->call->waiting.n - GRPC_HEAD;
	grpc_head(head, (uint32_t)a.bytes);
	assert_memory_equal(head, x->call->waiting.p, GRPC_HEAD);
	assert_int_equal(pb_decode(&d, (struct str){ x->call->waiting.p + GRPC_HEAD, a.bytes },
				   answer_fields, &a),
			 0);
	x->call->waiting.n = 0;
	return a;
}

static const struct xds_resource *held(const struct xds *x, const char *name)
{
	return xds_store_find(&x->store, XDS_ADDRESS, str_of(name));
}

static void good(struct xds *x, const char *uid, const char *version)
{
	struct pb_writer w = { 0 };

	put_workload(&w, uid, uid, "ns", version);
	put_tail(&w, XDS_ADDRESS, "good");
	assert_int_equal(push(x, &w), 0);
	assert_false(answered(x).has_error);
}

/* ---- tests ---- */

static void a_good_message_is_kept_and_acknowledged(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct answer a;

	put_workload(&w, "a", "a", "ns", "v1");
	put_workload(&w, "b", "b", "ns", "v2");
	put_tail(&w, XDS_ADDRESS, "n1");
	assert_int_equal(push(x, &w), 0);
	a = answered(x);
	assert_true(str_eq(a.type, str_of(xds_type_url[XDS_ADDRESS])));
	assert_true(str_eq(a.nonce, STR("n1")));
	assert_false(a.has_error);
	assert_string_equal(held(x, "a")->version, "v1");
	assert_string_equal(held(x, "b")->version, "v2");
	assert_true(x->status.synced[XDS_ADDRESS] && x->dirty);
	assert_false(x->status.synced[XDS_AUTHORIZATION]);
}

static void bad_resources_are_refused_by_name_and_their_older_versions_stay(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct answer a;

	good(x, "a", "v1");
	put_workload(&w, "a", "a", "", "v2"); /* no namespace */
	put_workload(&w, "c", "c", "ns", "v1");
	put_workload(&w, "d", "other", "ns", "v1"); /* called otherwise inside */
	put_tail(&w, XDS_ADDRESS, "n2");
	assert_int_equal(push(x, &w), 0);
	a = answered(x);
	assert_true(str_eq(a.message, STR("a: has no namespace; d: is inside of it called 'other'")));
	assert_string_equal(held(x, "a")->version, "v1");
	assert_non_null(held(x, "c"));
	assert_null(held(x, "d"));
	assert_null(held(x, "other"));
	assert_int_equal(xds_store_refused(&x->store), 2);
	assert_int_equal(x->status.rejected[XDS_ADDRESS], 2);
	good(x, "a", "v3");
	assert_int_equal(xds_store_refused(&x->store), 1); /* d */
	assert_string_equal(held(x, "a")->version, "v3");
}

static void only_what_has_changed_is_applied(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };

	good(x, "a", "v1");
	assert_true(x->dirty && !x->only_policies); /* the first answer */
	xds_clean(x);
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	assert_false(x->dirty);
	/* a policy */
	put_tail(&w, XDS_AUTHORIZATION, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	xds_clean(x);
	put_policy(&w, "p");
	put_tail(&w, XDS_AUTHORIZATION, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	assert_true(x->dirty && x->only_policies);
	assert_int_equal(x->policies.n, 1);
	assert_string_equal(x->policies.p[0], "ns/p");
	/* and a workload as well */
	good(x, "a", "v2");
	assert_true(x->dirty && !x->only_policies);
	xds_clean(x);
	pb_put_text(&w, 6, "ns/p");
	pb_put_text(&w, 6, "ns/unheard-of");
	put_tail(&w, XDS_AUTHORIZATION, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	assert_true(x->dirty && x->only_policies);
	assert_int_equal(x->policies.n, 1);
}

static void removals_come_before_what_the_same_message_brings(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };

	good(x, "a", "v1");
	good(x, "b", "v1");
	put_workload(&w, "a", "a", "ns", "v2");
	pb_put_text(&w, 6, "a");
	pb_put_text(&w, 6, "b");
	pb_put_text(&w, 6, "never-heard-of");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_false(answered(x).has_error);
	assert_string_equal(held(x, "a")->version, "v2");
	assert_null(held(x, "b"));
}

static void what_is_held_in_this_version_stays_as_it_is(void **state)
{
	struct xds *x = *state;
	const struct workload *before;
	struct pb_writer w = { 0 };

	good(x, "a", "v1");
	before = held(x, "a")->obj.workload;
	xds_clean(x);
	good(x, "a", "v1");
	assert_false(x->dirty);
	assert_ptr_equal(held(x, "a")->obj.workload, before);
	/* also when the message removes it as well */
	put_workload(&w, "a", "a", "ns", "v1");
	pb_put_text(&w, 6, "a");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	assert_ptr_equal(held(x, "a")->obj.workload, before);
	/* An old version is not what was asked for once a newer one was refused. */
	put_workload(&w, "a", "a", "", "v2");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_true(answered(x).has_error);
	good(x, "a", "v1");
	assert_true(x->dirty);
	assert_int_equal(xds_store_refused(&x->store), 0);
	/* without a version nothing is known */
	good(x, "b", "");
	xds_clean(x);
	good(x, "b", "");
	assert_true(x->dirty);
}

static void a_message_that_breaks_off_counts_for_nothing(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct str s;

	put_workload(&w, "a", "a", "ns", "v1");
	pb_put_text(&w, 6, "b");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(pb_written(&w, &s), 0);
	for (size_t n = 0; n < s.n; n++) {
		x->message++;
		assert_int_equal(xds_push_bytes(x, s.p, n), 0);
		assert_null(held(x, "a"));
		xds_push_reset(&x->push);
	}
	assert_int_equal(xds_push_bytes(x, s.p, s.n - 1), 0);
	assert_int_equal(xds_push_end(x), -EBADMSG);
	xds_push_reset(&x->push);
	assert_null(held(x, "a"));
	assert_int_equal(x->call->waiting.n, 0);
	pb_writer_fini(&w);
}

static void a_message_without_nonce_or_type_ends_the_stream(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };

	pb_put_text(&w, 4, xds_type_url[XDS_ADDRESS]);
	assert_int_equal(push(x, &w), -EBADMSG);
	pb_put_text(&w, 5, "n");
	assert_int_equal(push(x, &w), -EBADMSG);
	assert_int_equal(x->call->waiting.n, 0);
}

static void begin_stream(struct xds *x, struct answer *ret)
{
	x->status.synced[XDS_ADDRESS] = x->status.synced[XDS_AUTHORIZATION] = false;
	assert_int_equal(xds_send_subscribe(x, XDS_ADDRESS), 0);
	*ret = answered(x);
}

static void a_new_stream_claims_what_is_held_but_nothing_refused(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct answer a;

	begin_stream(x, &a);
	assert_int_equal(a.claims, 0);
	good(x, "a", "v1");
	good(x, "b", "v1");
	put_workload(&w, "b", "b", "", "v2");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_true(answered(x).has_error);
	begin_stream(x, &a);
	assert_int_equal(a.claims, 1);
	/* istiod has neither: the claimed one is removed by name, the other one by not being there */
	pb_put_text(&w, 6, "a");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_null(held(x, "a"));
	assert_null(held(x, "b"));
}

static void what_was_not_claimed_stays_if_the_first_answer_has_it_even_refused(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct answer a;

	good(x, "a", "v1");
	put_workload(&w, "a", "a", "", "v2");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	answered(x);
	begin_stream(x, &a);
	put_workload(&w, "a", "a", "", "v2");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_non_null(held(x, "a"));
	answered(x);
	/* later messages of the stream are no whole picture */
	put_workload(&w, "b", "b", "ns", "v1");
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_non_null(held(x, "a"));
}

static void the_claims_of_a_large_mesh_stay_below_istiod_s_limit(void **state)
{
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct answer a;
	char uid[100];

	for (int i = 0; i < 60000; i++) {
		snprintf(uid, sizeof(uid), "Kubernetes//Pod/namespace-of-usual-length/name-%05d", i);
		put_workload(&w, uid, uid, "ns", "0123456789abcdef");
	}
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_false(answered(x).has_error);
	begin_stream(x, &a);
	assert_true(a.bytes < (4u << 20) - 4096);
	assert_true(a.claims > 30000 && a.claims < 60000);
	/* nothing has changed: istiod sends only those that it was not told of */
	hmap_for_each(n, &x->store.map[XDS_ADDRESS]) {
		const struct xds_resource *r = container_of(n, struct xds_resource, node);

		if (!r->claimed)
			put_workload(&w, xds_object_name(&r->obj), xds_object_name(&r->obj), "ns",
				     "v");
	}
	put_tail(&w, XDS_ADDRESS, "n");
	assert_int_equal(push(x, &w), 0);
	assert_int_equal(x->store.map[XDS_ADDRESS].n, 60000);
}

static void the_input_of_the_model_has_the_own_node_first_and_copies_of_services(void **state)
{
	struct xds *x = *state;
	struct model_input in;

	good(x, "a", "v1");
	assert_int_equal(xds_store_input(&x->store, "n", &in), 0);
	assert_int_equal(in.n_workloads, 1);
	assert_true(in.addrs_may_repeat);
	assert_ptr_equal(in.workload[0], held(x, "a")->obj.workload);
	model_input_drop(&in);
}

static void the_text_of_a_refusal_is_always_utf_8(void **state)
{
	struct xds *x = *state;
	struct answer a;

	assert_int_equal(xds_send_ack(x, "t", "n", "a\xff\xc3 b\n"), 0);
	a = answered(x);
	assert_true(str_eq(a.message, STR("a?? b?")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int send_nothing(void *arg, const char *const *name, size_t n, bool subscribe)
{
	(void)arg, (void)name, (void)n, (void)subscribe;
	return 0;
}

static bool not_held(void *arg, struct str name)
{
	(void)arg, (void)name;
	return false;
}

static bool connected(void *arg)
{
	(void)arg;
	return true;
}

static void on_stop(void *arg)
{
	loop_stop_any(arg);
}

static void turn(struct loop *loop)
{
	for (int i = 0; i < 3; i++) {
		loop_post_any(loop, on_stop, loop);
		loop_run(loop);
	}
}

static void on_demanded(void *arg, int r)
{
	*(int *)arg = r;
}

/* By the name of the resource, by an alias, by a removal, and by one that is refused. */
static void who_asks_by_name_hears_of_it_when_the_message_is_complete(void **state)
{
	static const struct demand_ops ops = { send_nothing, not_held, connected };
	static const char *const names[] = { "a", "n/10.0.0.1", "n/10.0.0.2", "bad", "other" };
	static const int expected[] = { 0, 0, -ENOENT, -EBADMSG, 1 };
	struct xds *x = *state;
	struct pb_writer w = { 0 };
	struct demand_ask *ask;
	struct loop *loop; /* the other one would connect */
	int got[ARRAY_LEN(names)];
	size_t res, any;

	assert_int_equal(loop_new(&loop, "test"), 0);
	assert_int_equal(demand_new(loop, &x->o.demand), 0);
	demand_attach(x->o.demand, &ops, x);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct demand_question q = { .name = names[i] };

		got[i] = 1;
		assert_int_equal(demand_ask_any(x->o.demand, loop, &q, on_demanded, &got[i], &ask),
				 0);
	}
	turn(loop);
	put_workload(&w, "a", "a", "ns", "v1");
	res = pb_begin(&w, 2); /* not readable, with an alias */
	any = pb_begin(&w, 2);
	pb_put_text(&w, 1, xds_type_url[XDS_ADDRESS]);
	pb_put_text(&w, 2, "?");
	pb_end(&w, any);
	pb_put_text(&w, 3, "bad");
	pb_end(&w, res);
	res = pb_begin(&w, 2);
	any = pb_begin(&w, 2);
	pb_put_text(&w, 1, xds_type_url[XDS_ADDRESS]);
	pb_put_bytes(&w, 2, (struct str){ "\x0a\x07\x12\x01n\xa2\x01\x01u", 9 });
	pb_end(&w, any);
	pb_put_text(&w, 3, "u");
	pb_put_text(&w, 4, "n/10.0.0.9");
	pb_put_text(&w, 4, "n/10.0.0.1");
	pb_end(&w, res);
	pb_put_text(&w, 6, "n/10.0.0.2");
	put_tail(&w, XDS_ADDRESS, "n1");
	assert_int_equal(push(x, &w), 0);
	demand_settle(x->o.demand, 0);
	turn(loop);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (got[i] != expected[i])
			fail_msg("%s: %d, expected %d", names[i], got[i], expected[i]);
	demand_detach(x->o.demand);
	turn(loop);
	demand_free(&x->o.demand);
	loop_free(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_good_message_is_kept_and_acknowledged),
		TEST(bad_resources_are_refused_by_name_and_their_older_versions_stay),
		TEST(only_what_has_changed_is_applied),
		TEST(removals_come_before_what_the_same_message_brings),
		TEST(what_is_held_in_this_version_stays_as_it_is),
		TEST(a_message_that_breaks_off_counts_for_nothing),
		TEST(a_message_without_nonce_or_type_ends_the_stream),
		TEST(a_new_stream_claims_what_is_held_but_nothing_refused),
		TEST(what_was_not_claimed_stays_if_the_first_answer_has_it_even_refused),
		TEST(the_claims_of_a_large_mesh_stay_below_istiod_s_limit),
		TEST(the_input_of_the_model_has_the_own_node_first_and_copies_of_services),
		TEST(the_text_of_a_refusal_is_always_utf_8),
		TEST(who_asks_by_name_hears_of_it_when_the_message_is_complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
