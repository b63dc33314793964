// SPDX-License-Identifier: Apache-2.0
/* The model: lookups, ids over several applies, endpoints, refusals, life of objects. */
#include "model/policies.h"
#include "unit/model_make.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <urcu/urcu-qsbr.h>

static struct model *new_model(void)
{
	struct model *m = NULL;

	assert_int_equal(model_new(&m), 0);
	return m;
}

static const struct snap *publish(struct model *m, struct model_input *in)
{
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	assert_int_equal(model_build(m, in, &err, &s), 0);
	assert_null(in->workload);
	model_publish(m, s);
	assert_ptr_equal(model_snap(m), s);
	return s;
}

static void refused(struct model *m, struct model_input *in, const char *name)
{
	struct errbuf err = { 0 };
	struct snap *s = NULL;

	assert_int_equal(model_build(m, in, &err, &s), -EEXIST);
	assert_null(s);
	assert_null(in->workload);
	assert_non_null(strstr(err.text, name));
}

static size_t n_bound(const struct snap *s, const char *ns, const struct posting **ret)
{
	return policies_filed(s->policies, ns, ACTION_ALLOW, KEY_BOUND, 0, ret);
}

static void a_new_model_publishes_an_empty_snapshot(void **state)
{
	struct weft_addr a = make_addr("10.0.0.1");
	cleanup_with(model_free) struct model *m = new_model();
	const struct snap *s = model_snap(m);
	const struct posting *p;

	(void)state;
	assert_non_null(s);
	assert_int_equal(s->n_workloads + s->n_services + s->n_policies, 0);
	assert_null(snap_workload_by_addr(s, &a));
	assert_null(snap_workload_by_id(s, 1));
	assert_null(snap_service_by_vip(s, &a));
	assert_null(snap_service_by_port_id(s, 1, NULL));
	assert_null(snap_policy_by_key(s, STR("a/b")));
	assert_int_equal(n_bound(s, NULL, &p), 0);
	assert_int_equal(n_bound(s, "default", &p), 0);
}

static void every_lookup_finds_its_object_and_only_that(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct weft_addr a = make_addr("10.0.0.2"), vip = make_addr("10.1.0.1");
	struct model_input in = { 0 };
	const struct snap *s;
	struct workload *w;
	struct service *svc;
	uint16_t port = 0;

	(void)state;
	add_workload(&in, make_workload("u1", "red", "10.0.0.1"));
	add_workload(&in, make_workload("u2", "blue", "10.0.0.2"));
	make_member(in.workload[1], "blue/web", 80, 8080);
	add_service(&in, make_service("blue", "web", "10.1.0.1", 80, 9090));
	add_policy(&in, make_policy("blue", "p", SCOPE_WORKLOAD));
	s = publish(m, &in);
	w = s->workload[1];
	svc = s->service[0];
	assert_ptr_equal(snap_workload_by_addr(s, &a), w);
	assert_ptr_equal(snap_workload_by_uid(s, STR("u2")), w);
	assert_ptr_equal(snap_workload_by_id(s, w->id), w);
	assert_ptr_equal(snap_workload_by_pod(s, "blue", "u2"), w);
	assert_null(snap_workload_by_pod(s, "red", "u2"));
	assert_null(snap_workload_by_id(s, 999));
	assert_null(snap_workload_by_addr(s, &vip));
	assert_ptr_equal(snap_service_by_vip(s, &vip), svc);
	assert_null(snap_service_by_vip(s, &a));
	assert_ptr_equal(snap_service_by_hostname(s, STR("web")), svc);
	assert_ptr_equal(snap_service_by_key(s, STR("blue/web")), svc);
	assert_ptr_equal(snap_service_by_port_id(s, svc->ports[0].id, &port), svc);
	assert_int_equal(port, 80);
	assert_null(snap_service_by_port_id(s, svc->id, NULL));
	assert_ptr_equal(snap_policy_by_key(s, STR("blue/p")), s->policy[0]);
	assert_ptr_equal(snap_service_of(s, w, 8080), svc);
	assert_null(snap_service_of(s, w, 9090));
}

static void absent_texts_are_empty_and_the_identity_is_made(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct model_input in = { 0 };
	const struct workload *w;

	(void)state;
	add_workload(&in, make_workload("u1", "red", "10.0.0.1"));
	w = publish(m, &in)->workload[0];
	assert_string_equal(w->identity, "spiffe://cluster.local/ns/red/sa/default");
	assert_string_equal(w->waypoint, "");
	assert_string_equal(w->group->subzone, "");
	assert_string_equal(w->group->canonical_revision, "");
}

static void endpoints_are_the_healthy_members_unless_all_are_wanted(void **state)
{
	static const struct {
		bool allow_unhealthy;
		size_t n;
	} rows[] = { { false, 1 }, { true, 2 } };
	cleanup_with(model_free) struct model *m = new_model();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct model_input in = { 0 };
		const struct service *svc;

		add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
		add_workload(&in, make_workload("u2", "a", "10.0.0.2"));
		add_workload(&in, make_workload("u3", "a", "10.0.0.3"));
		make_member(in.workload[0], "a/web", 80, 8080);
		make_member(in.workload[0], "a/nothing", 0, 0);
		make_member(in.workload[1], "a/web", 0, 0);
		in.workload[1]->status = WORKLOAD_UNHEALTHY;
		add_service(&in, make_service("a", "web", "10.1.0.1", 80, 80));
		in.service[0]->allow_unhealthy = rows[i].allow_unhealthy;
		svc = publish(m, &in)->service[0];
		assert_int_equal(svc->n_endpoints, rows[i].n);
		assert_string_equal(svc->endpoints[0].w->uid, "u1");
		assert_int_equal(svc->endpoints[0].ports[0].target_port, 8080);
	}
}

static void ambiguous_input_is_refused_and_changes_nothing(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	add_workload(&in, make_workload("keep", "a", "10.0.0.1"));
	s = publish(m, &in);

	add_workload(&in, make_workload("twice", "a", "10.0.0.1"));
	add_workload(&in, make_workload("twice", "a", "10.0.0.2"));
	refused(m, &in, "'twice'");

	add_workload(&in, make_workload("u1", "a", "10.0.0.7"));
	add_workload(&in, make_workload("u2", "b", "10.0.0.7"));
	refused(m, &in, "10.0.0.7");

	add_service(&in, make_service("a", "web", "10.1.0.1", 80, 80));
	add_service(&in, make_service("a", "web", "10.1.0.2", 80, 80));
	refused(m, &in, "'a/web'");

	add_policy(&in, make_policy("a", "p", SCOPE_GLOBAL));
	add_policy(&in, make_policy("a", "p", SCOPE_NAMESPACE));
	refused(m, &in, "'a/p'");

	assert_ptr_equal(model_snap(m), s);
	assert_non_null(snap_workload_by_uid(s, STR("keep")));
}

static void a_repeated_address_is_found_at_the_workload_that_has_it_now(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	const struct weft_addr a = make_addr("10.0.0.7");

	(void)state;
	/* whatever the order in which they come */
	for (int order = 0; order < 2; order++) {
		struct model_input in = { .addrs_may_repeat = true };
		struct workload *w[4];
		const struct snap *s;

		w[0] = make_workload("gone", "a", "10.0.0.7");
		w[0]->status = WORKLOAD_UNHEALTHY;
		w[0]->protocol = TUNNEL_HBONE;
		w[1] = make_workload("plain", "a", "10.0.0.7");
		w[2] = make_workload("new-1", "a", "10.0.0.7");
		w[2]->protocol = TUNNEL_HBONE;
		w[3] = make_workload("new-2", "a", "10.0.0.7");
		w[3]->protocol = TUNNEL_HBONE;
		for (int i = 0; i < 4; i++)
			add_workload(&in, w[order ? 3 - i : i]);
		s = publish(m, &in);
		assert_string_equal(snap_workload_by_addr(s, &a)->uid, "new-2");
		assert_non_null(snap_workload_by_uid(s, STR("gone")));
	}
}

static void host_network_workloads_share_the_node_address_and_are_not_found_by_it(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct weft_addr a = make_addr("10.0.0.9");
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	add_workload(&in, make_workload("h1", "a", "10.0.0.9"));
	add_workload(&in, make_workload("h2", "a", "10.0.0.9"));
	in.workload[0]->host_network = in.workload[1]->host_network = true;
	s = publish(m, &in);
	assert_null(snap_workload_by_addr(s, &a));
	assert_non_null(snap_workload_by_uid(s, STR("h2")));
}

static void ids_stay_with_their_names_and_are_never_reused(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	uint32_t id[2], svc_id, port_id;
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
	add_workload(&in, make_workload("u2", "a", "10.0.0.2"));
	add_service(&in, make_service("a", "web", "10.1.0.1", 80, 80));
	s = publish(m, &in);
	id[0] = s->workload[0]->id;
	id[1] = s->workload[1]->id;
	svc_id = s->service[0]->id;
	port_id = s->service[0]->ports[0].id;
	assert_true(id[0] > 0 && id[1] > 0 && id[0] != id[1]);
	assert_true(svc_id > 0 && port_id > 0 && svc_id != port_id);

	/* u1 goes, u3 comes with its address, the service moves. */
	add_workload(&in, make_workload("u3", "a", "10.0.0.1"));
	add_workload(&in, make_workload("u2", "a", "10.0.0.3"));
	add_service(&in, make_service("a", "web", "10.1.0.9", 80, 81));
	s = publish(m, &in);
	assert_int_equal(s->workload[1]->id, id[1]);
	assert_true(s->workload[0]->id > id[1]);
	assert_int_equal(s->service[0]->id, svc_id);
	assert_int_equal(s->service[0]->ports[0].id, port_id);

	/* u1 is back. */
	add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
	s = publish(m, &in);
	assert_int_equal(s->workload[0]->id, id[0]);
}

static void adopted_ids_win_by_address_and_leave_no_trace_of_themselves_otherwise(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct weft_addr a = make_addr("10.0.0.2"), b = make_addr("10.0.0.3"),
			 gone = make_addr("10.0.0.99"), vip = make_addr("10.1.0.1");
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	assert_int_equal(model_adopt_workload_id(m, &a, 700), 0);
	assert_int_equal(model_adopt_workload_id(m, &b, 700), 0); /* two addresses, one pod */
	assert_int_equal(model_adopt_workload_id(m, &gone, 900), 0);
	assert_int_equal(model_adopt_workload_id(m, &gone, 0), -EINVAL);
	assert_int_equal(model_adopt_service_id(m, &vip, 80, 55), 0);
	add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
	add_workload(&in, make_workload("u2", "a", "10.0.0.2"));
	add_workload(&in, make_workload("u3", "a", "10.0.0.3"));
	add_service(&in, make_service("a", "web", "10.1.0.1", 80, 80));
	add_service(&in, make_service("b", "web", "10.1.0.1", 81, 80));
	s = publish(m, &in);
	assert_int_equal(s->workload[1]->id, 700);
	assert_true(s->workload[0]->id > 900);
	assert_true(s->workload[2]->id > 900);
	assert_int_equal(s->service[0]->ports[0].id, 55);
	assert_true(s->service[1]->ports[0].id > 55);
	assert_true(s->service[0]->id > 55);

	assert_int_equal(model_adopt_workload_id(m, &a, 5), -EBUSY);
	assert_int_equal(model_adopt_service_id(m, &vip, 80, 5), -EBUSY);
	add_workload(&in, make_workload("u9", "a", "10.0.0.99"));
	s = publish(m, &in);
	assert_true(s->workload[0]->id > 900);
}

static void a_refused_first_input_uses_up_no_adopted_id(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct weft_addr a = make_addr("10.0.0.2");
	struct model_input in = { 0 };

	(void)state;
	assert_int_equal(model_adopt_workload_id(m, &a, 7), 0);
	add_workload(&in, make_workload("wrong", "a", "10.0.0.2"));
	add_workload(&in, make_workload("wrong", "a", "10.0.0.3"));
	refused(m, &in, "'wrong'");
	add_workload(&in, make_workload("right", "a", "10.0.0.2"));
	assert_int_equal(publish(m, &in)->workload[0]->id, 7);
}

static void a_canonical_service_is_found_before_others_else_the_first(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct weft_addr vip = make_addr("10.1.0.1");
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	for (const char *const *ns = (const char *const[]){ "a", "b", "c", NULL }; *ns; ns++)
		add_service(&in, make_service(*ns, "web", "10.1.0.1", 80, 80));
	s = publish(m, &in);
	assert_ptr_equal(snap_service_by_hostname(s, STR("web")), s->service[0]);
	assert_ptr_equal(snap_service_by_vip(s, &vip), s->service[0]);

	for (const char *const *ns = (const char *const[]){ "a", "b", "c", NULL }; *ns; ns++)
		add_service(&in, make_service(*ns, "web", "10.1.0.1", 80, 80));
	in.service[1]->canonical = in.service[2]->canonical = true;
	s = publish(m, &in);
	assert_ptr_equal(snap_service_by_hostname(s, STR("web")), s->service[1]);
	assert_ptr_equal(snap_service_by_vip(s, &vip), s->service[1]);

	/* A name that is for one namespace only is the last that all others find. */
	for (const char *const *ns = (const char *const[]){ "a", "b", "c", NULL }; *ns; ns++)
		add_service(&in, make_service(*ns, "web", "10.1.0.1", 80, 80));
	in.service[0]->canonical = in.service[0]->ns_only = in.service[1]->ns_only = true;
	s = publish(m, &in);
	assert_ptr_equal(snap_service_by_hostname(s, STR("web")), s->service[2]);
}

static void policies_are_listed_by_what_they_bind(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	const struct posting *p;
	struct model_input in = { 0 };
	const struct snap *s;

	(void)state;
	add_policy(&in, make_policy("b", "p1", SCOPE_NAMESPACE));
	add_policy(&in, make_policy("a", "p2", SCOPE_WORKLOAD));
	add_policy(&in, make_policy("root", "p3", SCOPE_GLOBAL));
	add_policy(&in, make_policy("a", "p4", SCOPE_NAMESPACE));
	add_policy(&in, make_policy("b", "p5", SCOPE_NAMESPACE));
	s = publish(m, &in);
	assert_int_equal(n_bound(s, NULL, &p), 1);
	assert_string_equal(p[0].p->key, "root/p3");
	assert_int_equal(n_bound(s, "a", &p), 1);
	assert_string_equal(p[0].p->key, "a/p4");
	assert_int_equal(n_bound(s, "b", &p), 2);
	assert_string_equal(p[1].p->key, "b/p5");
	assert_int_equal(n_bound(s, "aa", &p), 0);
	assert_int_equal(n_bound(s, "root", &p), 0);
}

static void policies_change_alone_while_everything_else_is_shared(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct policy_change change[3] = { { .policy = make_policy("a", "p1", SCOPE_GLOBAL) },
					   { .policy = make_policy("a", "p3", SCOPE_NAMESPACE) },
					   { .key = "a/p2" } };
	struct model_input in = { 0 };
	const struct workload *w;
	struct errbuf err = { 0 };
	struct snap *s = NULL;
	const struct posting *p;
	uint64_t version;
	size_t workloads;

	(void)state;
	add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
	add_policy(&in, make_policy("a", "p1", SCOPE_WORKLOAD));
	add_policy(&in, make_policy("a", "p2", SCOPE_WORKLOAD));
	in.workload[0]->policies = grown(NULL, 1, sizeof(char *));
	in.workload[0]->policies[0] = str_dup(STR("a/p2"));
	in.workload[0]->n_policies = 1;
	w = publish(m, &in)->workload[0];
	version = model_snap(m)->version;
	assert_int_equal(snap_missing_policies(model_snap(m), &workloads), 0);
	assert_int_equal(model_build_policies(m, change, 3, &err, &s), 0);
	assert_non_null(snap_policy_by_key(model_snap(m), STR("a/p2")));
	model_publish(m, s);
	assert_ptr_equal(model_snap(m)->workload[0], w);
	assert_ptr_equal(snap_workload_by_uid(s, STR("u1")), w);
	assert_true(s->version > version);
	assert_int_equal(s->n_policies, 2);
	assert_null(snap_policy_by_key(s, STR("a/p2")));
	assert_int_equal(snap_policy_by_key(s, STR("a/p1"))->scope, SCOPE_GLOBAL);
	assert_int_equal(n_bound(s, NULL, &p), 1);
	assert_int_equal(n_bound(s, "a", &p), 1);
	assert_int_equal(snap_missing_policies(s, &workloads), 1);
	assert_int_equal(workloads, 1);
	/* One that is built and not published leaves the others alone. */
	change[0] = (struct policy_change){ .key = "a/p1" };
	assert_int_equal(model_build_policies(m, change, 1, &err, &s), 0);
	snap_free(&s);
	assert_int_equal(model_snap(m)->n_policies, 2);
}

static void a_workload_outlives_its_snapshot_while_it_is_referenced(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct model_input in = { 0 };
	struct workload *w;

	(void)state;
	add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
	make_member(in.workload[0], "a/web", 80, 80);
	add_service(&in, make_service("a", "web", "10.1.0.1", 80, 80));
	w = workload_get(publish(m, &in)->workload[0]);
	publish(m, &in);
	assert_int_equal(atomic_load(&w->refs), 1);
	assert_string_equal(w->uid, "u1");
	workload_put(&w);
	assert_null(w);
}

struct reader {
	struct model *model;
	_Atomic bool stop;
	_Atomic unsigned long turns;
};

static void *reader_main(void *arg)
{
	struct weft_addr a = make_addr("10.0.0.1");
	struct reader *rd = arg;

	urcu_qsbr_register_thread();
	while (!atomic_load(&rd->stop)) {
		const struct snap *s = model_snap(rd->model);
		struct workload *w = snap_workload_by_addr(s, &a);

		BUG_ON(w && strcmp(w->uid, "u1") != 0);
		urcu_qsbr_quiescent_state();
		atomic_fetch_add(&rd->turns, 1);
	}
	urcu_qsbr_unregister_thread();
	return NULL;
}

static void readers_never_see_a_freed_snapshot(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	struct reader rd = { .model = m };
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, reader_main, &rd), 0);
	for (int i = 0; i < 200 || atomic_load(&rd.turns) < 1000; i++) {
		struct model_input in = { 0 };

		add_workload(&in, make_workload("u1", "a", "10.0.0.1"));
		publish(m, &in);
	}
	atomic_store(&rd.stop, true);
	/* While it waits it must not hold up anybody's grace period. */
	urcu_qsbr_thread_offline();
	pthread_join(thread, NULL);
	urcu_qsbr_thread_online();
}

static void names_that_come_and_go_do_not_fill_the_memory_nor_change_those_that_stay(void **state)
{
	cleanup_with(model_free) struct model *m = new_model();
	uint32_t stay = 0;

	(void)state;
	for (int round = 0; round < 8; round++) {
		struct model_input in = { 0 };
		const struct snap *s;

		add_workload(&in, make_workload("stay", "a", "10.0.0.1"));
		for (int i = 0; i < 20000; i++) {
			_free_ char *uid = str_printf("u%d-%d", round, i);

			in.workload = grown(in.workload, in.n_workloads + 1, sizeof(*in.workload));
			in.workload[in.n_workloads++] = make_workload(uid, "a", NULL);
		}
		s = publish(m, &in);
		if (round == 0)
			stay = s->workload[0]->id;
		assert_int_equal(s->workload[0]->id, stay);
		assert_true(s->workload[1]->id > stay + (uint32_t)round * 20000 - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_model_publishes_an_empty_snapshot),
		cmocka_unit_test(every_lookup_finds_its_object_and_only_that),
		cmocka_unit_test(absent_texts_are_empty_and_the_identity_is_made),
		cmocka_unit_test(endpoints_are_the_healthy_members_unless_all_are_wanted),
		cmocka_unit_test(ambiguous_input_is_refused_and_changes_nothing),
		cmocka_unit_test(a_repeated_address_is_found_at_the_workload_that_has_it_now),
		cmocka_unit_test(host_network_workloads_share_the_node_address_and_are_not_found_by_it),
		cmocka_unit_test(ids_stay_with_their_names_and_are_never_reused),
		cmocka_unit_test(adopted_ids_win_by_address_and_leave_no_trace_of_themselves_otherwise),
		cmocka_unit_test(a_refused_first_input_uses_up_no_adopted_id),
		cmocka_unit_test(a_canonical_service_is_found_before_others_else_the_first),
		cmocka_unit_test(policies_are_listed_by_what_they_bind),
		cmocka_unit_test(policies_change_alone_while_everything_else_is_shared),
		cmocka_unit_test(a_workload_outlives_its_snapshot_while_it_is_referenced),
		cmocka_unit_test(readers_never_see_a_freed_snapshot),
		cmocka_unit_test(names_that_come_and_go_do_not_fill_the_memory_nor_change_those_that_stay),
	};
	int r;

	urcu_qsbr_register_thread();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	urcu_qsbr_unregister_thread();
	return r;
}
