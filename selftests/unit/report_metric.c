// SPDX-License-Identifier: Apache-2.0
/* The istio_tcp_* families: label text, which samples exist, and the sums of relay and kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "codec/promtext.h"
#include "report/labels.h"
#include "report/metric.h"

static struct workload_group client_group = {
	.workload_name = (char *)"client",
	.canonical_name = (char *)"client",
	.canonical_revision = (char *)"v1",
	.cluster = (char *)"Kubernetes",
	.region = (char *)"",
	.zone = (char *)"",
};
static struct workload client = {
	.name = (char *)"client-7d9f-abcde",
	.ns = (char *)"demo",
	.identity = (char *)"spiffe://cluster.local/ns/demo/sa/client",
	.group = &client_group,
};
static struct workload_group server_group = {
	.workload_name = (char *)"",
	.canonical_name = (char *)"server",
	.canonical_revision = (char *)"",
	.cluster = (char *)"Kubernetes",
	.region = (char *)"",
	.zone = (char *)"",
};
static struct workload server = {
	.name = (char *)"server-0",
	.ns = (char *)"demo",
	.identity = (char *)"spiffe://cluster.local/ns/demo/sa/server",
	.group = &server_group,
};
static struct service shop = {
	.name = (char *)"shop",
	.ns = (char *)"demo",
	.hostname = (char *)"shop.demo.svc.cluster.local",
};

static struct tcp_labels full_labels(void)
{
	return (struct tcp_labels){
		.reporter = REPORTER_SOURCE,
		.src = &client,
		.dst = &server,
		.service = &shop,
		.mutual_tls = true,
	};
}

#define FULL_TEXT \
	"reporter=\"source\",source_workload=\"client\",source_canonical_service=\"client\"," \
	"source_canonical_revision=\"v1\",source_workload_namespace=\"demo\"," \
	"source_principal=\"spiffe://cluster.local/ns/demo/sa/client\",source_app=\"client\"," \
	"source_version=\"v1\",source_cluster=\"Kubernetes\"," \
	"destination_service=\"shop.demo.svc.cluster.local\"," \
	"destination_service_namespace=\"demo\",destination_service_name=\"shop\"," \
	"destination_workload=\"server-0\",destination_canonical_service=\"server\"," \
	"destination_canonical_revision=\"unknown\",destination_workload_namespace=\"demo\"," \
	"destination_principal=\"spiffe://cluster.local/ns/demo/sa/server\"," \
	"destination_app=\"server\",destination_version=\"unknown\"," \
	"destination_cluster=\"Kubernetes\",request_protocol=\"tcp\",response_flags=\"-\"," \
	"connection_security_policy=\"mutual_tls\""

static void all_labels_stand_in_the_agreed_order(void **state)
{
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	assert_int_equal(labels_format(buf, sizeof(buf), &l), (int)strlen(FULL_TEXT));
	assert_string_equal(buf, FULL_TEXT);
}

static void what_is_not_known_is_called_unknown_and_never_left_out(void **state)
{
	struct tcp_labels l = { .reporter = REPORTER_DESTINATION };
	char buf[LABELS_TEXT_MAX];
	size_t n = 0;

	(void)state;
	assert_true(labels_format(buf, sizeof(buf), &l) > 0);
	for (const char *at = buf; (at = strstr(at, "=\"unknown\"")); at++)
		n++;
	/* All but reporter, request_protocol and response_flags. */
	assert_int_equal(n, 20);
	assert_null(strstr(buf, "=\"\""));
}

static void principals_are_shown_only_with_mutual_tls(void **state)
{
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	l.mutual_tls = false;
	l.src_principal = "spiffe://other/ns/a/sa/b";
	assert_true(labels_format(buf, sizeof(buf), &l) > 0);
	assert_null(strstr(buf, "spiffe://"));
	assert_non_null(strstr(buf, "connection_security_policy=\"unknown\""));
}

static void the_certificate_of_the_peer_beats_the_model(void **state)
{
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	l.src_principal = "spiffe://other/ns/a/sa/b";
	assert_true(labels_format(buf, sizeof(buf), &l) > 0);
	assert_non_null(strstr(buf, "source_principal=\"spiffe://other/ns/a/sa/b\""));
}

static void locality_is_all_four_labels_or_none(void **state)
{
	struct workload_group group = server_group;
	struct workload there = server;
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	there.group = &group;
	group.zone = (char *)"z1";
	l.dst = &there;
	assert_true(labels_format(buf, sizeof(buf), &l) > 0);
	assert_non_null(strstr(buf, ",source_region=\"unknown\",source_zone=\"unknown\","
				    "destination_region=\"unknown\",destination_zone=\"z1\""));
}

static void a_quote_in_a_name_cannot_end_its_label(void **state)
{
	struct workload_group group = client_group;
	struct workload odd = client;
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	odd.group = &group;
	group.workload_name = (char *)"a\",b=\"\n\\";
	l.src = &odd;
	assert_true(labels_format(buf, sizeof(buf), &l) > 0);
	assert_non_null(strstr(buf, "source_workload=\"a\\\",b=\\\"\\n\\\\\","));
}

static void a_label_text_that_does_not_fit_is_an_error(void **state)
{
	struct tcp_labels l = full_labels();
	char buf[LABELS_TEXT_MAX];

	(void)state;
	for (size_t cap = 1; cap <= strlen(FULL_TEXT); cap++)
		assert_int_equal(labels_format(buf, cap, &l), -ENAMETOOLONG);
	assert_true(labels_format(buf, strlen(FULL_TEXT) + 1, &l) > 0);
}

static char *page(struct metrics *m, void (*fill)(void *arg), void *arg)
{
	struct prom w;

	prom_init(&w, false);
	metrics_write(m, &w, fill, arg);
	assert_int_equal(w.error, 0);
	return w.p;
}

static void assert_sample(const char *text, const char *name, const char *value)
{
	char line[4096];

	snprintf(line, sizeof(line), "\n%s{" FULL_TEXT "} %s\n", name, value);
	assert_non_null(strstr(text, line));
}

static void the_same_labels_are_the_same_series(void **state)
{
	struct tcp_labels a = full_labels(), b = full_labels();
	struct workload copy = client;
	struct metrics *m;

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	b.src = &copy;
	b.reason = WEFT_REASON_OK; /* flag "-" as well */
	assert_ptr_equal(metrics_tcp_any(m, &a), metrics_tcp_any(m, &b));
	b.reason = WEFT_REASON_POLICY_DENIED;
	assert_ptr_not_equal(metrics_tcp_any(m, &a), metrics_tcp_any(m, &b));
	metrics_free(&m);
	assert_null(m);
	metrics_free(&m);
}

static void a_new_series_shows_its_zeroes_except_failed(void **state)
{
	struct tcp_labels l = full_labels();
	_free_ char *text = NULL;
	struct metrics *m;

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	assert_non_null(metrics_tcp_any(m, &l));
	text = page(m, NULL, NULL);
	assert_sample(text, "istio_tcp_connections_opened_total", "0");
	assert_sample(text, "istio_tcp_connections_closed_total", "0");
	assert_sample(text, "istio_tcp_sent_bytes_total", "0");
	assert_sample(text, "istio_tcp_received_bytes_total", "0");
	assert_null(strstr(text, "istio_tcp_connections_failed_total{"));
	assert_non_null(strstr(text, "(unstable)\n"));
	metrics_free(&m);
}

static void a_denied_connection_has_a_failure_and_empty_byte_counts(void **state)
{
	struct tcp_labels l = full_labels();
	_free_ char *text = NULL;
	struct tcp_series *s;
	struct metrics *m;

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	l.reason = WEFT_REASON_POLICY_DENIED;
	s = metrics_tcp_any(m, &l);
	atomic_fetch_add(&s->failed, 2);
	text = page(m, NULL, NULL);
	assert_non_null(strstr(text, "istio_tcp_connections_failed_total{"));
	assert_non_null(strstr(text, "response_flags=\"DENY\",connection_security_policy="
				     "\"mutual_tls\"} 2\n"));
	assert_non_null(strstr(text, "istio_tcp_sent_bytes_total{"));
	assert_null(strstr(text, "istio_tcp_connections_opened_total{"));
	metrics_free(&m);
}

struct kernel {
	struct metrics *m;
	uint64_t bytes;
};

static void fill_two_rows(void *arg)
{
	struct kernel *k = arg;
	struct tcp_labels l = full_labels();
	struct weft_total t = { .opened = 1, .sent_bytes = k->bytes };

	metrics_kernel_row(k->m, &l, &t);
	l.reason = WEFT_REASON_OK;
	t = (struct weft_total){ .closed = 1, .sent_bytes = 5 };
	metrics_kernel_row(k->m, &l, &t);
}

static void kernel_rows_are_added_to_the_relay_and_not_twice(void **state)
{
	struct tcp_labels l = full_labels();
	struct kernel k = { .bytes = 100 };
	_free_ char *first = NULL, *second = NULL;
	struct tcp_series *s;

	(void)state;
	assert_int_equal(metrics_new(&k.m), 0);
	s = metrics_tcp_any(k.m, &l);
	atomic_store(&s->sent_bytes, 1000);
	atomic_store(&s->opened, 3);
	first = page(k.m, fill_two_rows, &k);
	assert_sample(first, "istio_tcp_sent_bytes_total", "1105");
	assert_sample(first, "istio_tcp_connections_opened_total", "4");
	assert_sample(first, "istio_tcp_connections_closed_total", "1");
	k.bytes = 150;
	second = page(k.m, fill_two_rows, &k);
	assert_sample(second, "istio_tcp_sent_bytes_total", "1155");
	metrics_free(&k.m);
}

static void openmetrics_names_the_family_without_total(void **state)
{
	struct tcp_labels l = full_labels();
	struct metrics *m;
	struct prom w;

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	metrics_tcp_any(m, &l);
	prom_init(&w, true);
	metrics_write(m, &w, NULL, NULL);
	assert_non_null(strstr(w.p, "# TYPE istio_tcp_sent_bytes counter\n"));
	assert_non_null(strstr(w.p, "\nistio_tcp_sent_bytes_total{reporter="));
	prom_fini(&w);
	metrics_free(&m);
}

static void beyond_the_limit_there_is_no_series_but_a_count(void **state)
{
	struct workload_group group = client_group;
	struct workload w = client;
	struct tcp_labels l = { .reporter = REPORTER_SOURCE, .src = &w };
	_free_ char *text = NULL;
	struct metrics *m;
	char name[24];

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	w.group = &group;
	group.workload_name = name;
	for (int i = 0; i < 100000; i++) {
		snprintf(name, sizeof(name), "w%d", i);
		assert_non_null(metrics_tcp_any(m, &l));
	}
	snprintf(name, sizeof(name), "one-more");
	assert_null(metrics_tcp_any(m, &l));
	snprintf(name, sizeof(name), "w7");
	assert_non_null(metrics_tcp_any(m, &l));
	text = page(m, NULL, NULL);
	assert_non_null(strstr(text, "\nweft_metric_series 100000\n"));
	assert_non_null(strstr(text, "\nweft_metric_series_dropped_total 1\n"));
	metrics_free(&m);
}

static void *count_some(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		struct tcp_labels l = full_labels();

		l.reason = (enum weft_reason)(i % WEFT_REASON_MAX);
		atomic_fetch_add(&metrics_tcp_any(arg, &l)->closed, 1);
	}
	return NULL;
}

static void threads_find_the_same_series(void **state)
{
	struct tcp_labels l = full_labels();
	uint64_t sum = 0;
	pthread_t t[4];
	struct metrics *m;

	(void)state;
	assert_int_equal(metrics_new(&m), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_some, m), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	static const enum weft_reason one_per_flag[] = {
		WEFT_REASON_OK,           WEFT_REASON_POLICY_DENIED, WEFT_REASON_NO_ENDPOINT,
		WEFT_REASON_TLS_FAILED,   WEFT_REASON_H2_FAILED,     WEFT_REASON_NO_IDENTITY,
		WEFT_REASON_CERT_REVOKED,
	};

	for (size_t i = 0; i < ARRAY_LEN(one_per_flag); i++) {
		l.reason = one_per_flag[i];
		sum += atomic_load(&metrics_tcp_any(m, &l)->closed);
	}
	assert_int_equal(sum, 8000);
	metrics_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_labels_stand_in_the_agreed_order),
		cmocka_unit_test(what_is_not_known_is_called_unknown_and_never_left_out),
		cmocka_unit_test(principals_are_shown_only_with_mutual_tls),
		cmocka_unit_test(the_certificate_of_the_peer_beats_the_model),
		cmocka_unit_test(locality_is_all_four_labels_or_none),
		cmocka_unit_test(a_quote_in_a_name_cannot_end_its_label),
		cmocka_unit_test(a_label_text_that_does_not_fit_is_an_error),
		cmocka_unit_test(the_same_labels_are_the_same_series),
		cmocka_unit_test(a_new_series_shows_its_zeroes_except_failed),
		cmocka_unit_test(a_denied_connection_has_a_failure_and_empty_byte_counts),
		cmocka_unit_test(kernel_rows_are_added_to_the_relay_and_not_twice),
		cmocka_unit_test(openmetrics_names_the_family_without_total),
		cmocka_unit_test(beyond_the_limit_there_is_no_series_but_a_count),
		cmocka_unit_test(threads_find_the_same_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
