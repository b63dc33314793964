// SPDX-License-Identifier: Apache-2.0
/* The access log: text of a line, and the queue between connections and the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/clock.h"
#include "base/ip.h"
#include "base/own.h"
#include "report/access.h"

#define NOW_NS 1700000000123456789ull /* 2023-11-14T22:13:20.123456Z */

static struct workload_group client_group = {
	.workload_name = (char *)"client",
	.canonical_name = (char *)"client",
	.cluster = (char *)"Kubernetes",
};
static struct workload client = {
	.name = (char *)"client-7d9f-abcde",
	.ns = (char *)"demo",
	.group = &client_group,
};
static struct workload_group server_group = {
	.canonical_name = (char *)"server",
	.cluster = (char *)"Kubernetes",
};
static struct workload server = {
	.name = (char *)"",
	.ns = (char *)"demo",
	.group = &server_group,
};
static struct service shop = { .hostname = (char *)"shop.demo.svc.cluster.local" };

static struct weft_ep ep(const char *text)
{
	struct weft_ep e;

	assert_int_equal(ip_parse_ep(str_of(text), &e), 0);
	return e;
}

static struct access_rec full_rec(void)
{
	return (struct access_rec){
		.path = WEFT_PATH_HBONE,
		.reason = WEFT_REASON_OK,
		.mutual_tls = true,
		.src = ep("10.1.1.2:40000"),
		.dst = ep("10.1.2.3:15008"),
		.hbone_addr = "10.1.2.3:8080",
		.dialled = ep("10.96.0.10:80"),
		.src_w = &client,
		.dst_w = &server,
		.service = &shop,
		.src_identity = "spiffe://cluster.local/ns/demo/sa/client",
		.dst_identity = "spiffe://cluster.local/ns/demo/sa/server",
		.sent_bytes = 84,
		.received_bytes = 319,
		.duration_ns = 12999999,
	};
}

static const char *line_of(const struct access_rec *r, bool json)
{
	static char buf[8192];
	int n = access_format(buf, sizeof(buf), r, json, NOW_NS);

	assert_true(n > 0);
	assert_int_equal((size_t)n, strlen(buf));
	return buf;
}

static void a_line_has_the_known_keys_in_the_known_order(void **state)
{
	struct access_rec r = full_rec();

	(void)state;
	assert_string_equal(
		line_of(&r, false),
		"2023-11-14T22:13:20.123456Z\tinfo\taccess\tconnection complete\t"
		"src.addr=10.1.1.2:40000 src.workload=\"client-7d9f-abcde\" src.namespace=\"demo\" "
		"src.identity=\"spiffe://cluster.local/ns/demo/sa/client\" "
		"src.cluster=\"Kubernetes\" dst.addr=10.1.2.3:15008 dst.hbone_addr=10.1.2.3:8080 "
		"dst.service=\"shop.demo.svc.cluster.local\" dst.workload=\"server\" "
		"dst.namespace=\"demo\" dst.identity=\"spiffe://cluster.local/ns/demo/sa/server\" "
		"dst.cluster=\"Kubernetes\" direction=\"outbound\" bytes_sent=84 bytes_recv=319 "
		"duration=\"12ms\" path=\"hbone\" dialled=10.96.0.10:80\n");
}

static void what_is_not_known_is_left_out(void **state)
{
	struct access_rec r = {
		.inbound = true,
		.path = WEFT_PATH_PLAIN,
		.reason = WEFT_REASON_OK,
		.src = ep("[fd00::1]:9"),
		.dst = ep("10.1.2.3:80"),
	};

	(void)state;
	assert_string_equal(line_of(&r, false),
			    "2023-11-14T22:13:20.123456Z\tinfo\taccess\tconnection complete\t"
			    "src.addr=[fd00::1]:9 dst.addr=10.1.2.3:80 direction=\"inbound\" "
			    "bytes_sent=0 bytes_recv=0 duration=\"0ms\" path=\"plain\"\n");
}

static void identities_are_shown_only_with_mutual_tls(void **state)
{
	struct access_rec r = full_rec();

	(void)state;
	r.mutual_tls = false;
	assert_null(strstr(line_of(&r, false), "identity"));
}

static void an_error_starts_with_one_word_that_survives_a_split(void **state)
{
	struct access_rec r = full_rec();
	const char *line;

	(void)state;
	r.reason = WEFT_REASON_POLICY_DENIED;
	r.policy = "demo/only-client";
	r.rule = 2;
	line = line_of(&r, false);
	assert_non_null(strstr(line, "\terror\taccess\tconnection complete\t"));
	assert_non_null(strstr(line, " policy=\"demo/only-client\" rule=2 error=\"policy_denied: "
				     "an authorization policy refused it\"\n"));
	r.rule = -1; /* a name that no policy has */
	assert_null(strstr(line_of(&r, false), "rule="));
	r.detail = "because of \"x\"";
	assert_non_null(strstr(line_of(&r, false), "error=\"policy_denied: because of \\\"x\\\"\""));
}

static void a_dry_run_that_changes_the_verdict_stands_behind_the_policy(void **state)
{
	struct rbac_result dry = { .allow = true, .policy = "demo/next", .rule = 1 };
	struct access_rec r = full_rec();

	(void)state;
	r.reason = WEFT_REASON_POLICY_DENIED;
	r.policy = "demo/only-client";
	r.rule = -1;
	r.dry_run = &dry;
	assert_non_null(strstr(line_of(&r, false),
			       " policy=\"demo/only-client\" dry_run=\"allow\" "
			       "dry_run_policy=\"demo/next\" dry_run_rule=1 error="));
	assert_non_null(strstr(line_of(&r, true), ",\"dry_run\":\"allow\",\"dry_run_policy\":"
						  "\"demo/next\",\"dry_run_rule\":1,\"error\":"));
	dry = (struct rbac_result){ .rule = -1 };
	assert_non_null(strstr(line_of(&r, false), " dry_run=\"deny\" error="));
}

static void an_early_refusal_is_a_warning_without_counts(void **state)
{
	struct access_rec r = full_rec();
	const char *line;

	(void)state;
	r.inbound = true;
	r.reason = WEFT_REASON_TLS_FAILED;
	line = line_of(&r, false);
	assert_non_null(strstr(line, "\twarn\taccess\tconnection failed\t"));
	assert_non_null(strstr(line, "direction=\"inbound\""));
	assert_null(strstr(line, "bytes_sent"));
	assert_null(strstr(line, "duration"));
	assert_non_null(strstr(line, "error=\"tls_failed: "));
}

static void a_stranger_cannot_start_a_new_key_or_line(void **state)
{
	struct access_rec r = full_rec();
	const char *line;

	(void)state;
	r.hbone_addr = "a b=c\n\td\"\\\xff";
	line = line_of(&r, false);
	assert_non_null(strstr(line, "dst.hbone_addr=\"a b=c\\u{a}\\u{9}d\\\"\\\\\\u{ff}\" "));
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void every_byte_is_escaped_wherever_it_stands(void **state)
{
	struct access_rec r = full_rec();
	char name[18], want[64], part[12];

	(void)state;
	for (int i = 1; i < 256 * 17; i++) {
		int c = i / 17, at = i % 17;
		bool as_is = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

		if (c == 0)
			continue;
		memset(name, 'a', 17);
		name[at] = (char)c;
		name[17] = '\0';
		snprintf(part, sizeof(part),
			 as_is                   ? "%c"
			 : c == '"' || c == '\\' ? "\\%c"
						 : "\\u{%x}",
			 c);
		snprintf(want, sizeof(want), " policy=\"%.*s%s%.*s\"", at, name, part, 16 - at,
			 name + at + 1);
		r.policy = name;
		assert_non_null(strstr(line_of(&r, false), want));
	}
}

static void json_lines_are_json_whatever_the_names(void **state)
{
	struct access_rec r = full_rec();
	json_t *j;

	(void)state;
	r.reason = WEFT_REASON_RESET;
	r.hbone_addr = "a\"\n\x80";
	j = json_loads(line_of(&r, true), JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(j);
	assert_string_equal(json_string_value(json_object_get(j, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(j, "time")),
			    "2023-11-14T22:13:20.123456Z");
	assert_string_equal(json_string_value(json_object_get(j, "scope")), "access");
	assert_string_equal(json_string_value(json_object_get(j, "src.workload")),
			    "client-7d9f-abcde");
	assert_string_equal(json_string_value(json_object_get(j, "dst.hbone_addr")), "a\"\n\xc2\x80");
	assert_int_equal(json_integer_value(json_object_get(j, "bytes_recv")), 319);
	json_decref(j);
}

static void every_reason_makes_a_line(void **state)
{
	struct access_rec r = full_rec();

	(void)state;
	for (int i = 0; i <= WEFT_REASON_MAX; i++) {
		bool failed = i > WEFT_REASON_OK;

		r.reason = (enum weft_reason)i;
		assert_int_equal(strstr(line_of(&r, false), " error=\"") != NULL, failed);
	}
}

/* Against the C library: leap days, ends of months and years, centuries. */
static void the_time_is_that_of_the_calendar_in_utc(void **state)
{
	static const uint64_t days[] = { 0,     58,    59,    60,    364,   365,   789,
					 790,   11015, 11016, 11017, 11381, 20512, 20787,
					 20788, 47540, 47541, 47542, 150000 };
	struct access_rec r = full_rec();
	char buf[2048], want[40];

	(void)state;
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		time_t s = (time_t)(days[i] * 86400 + 3661 * i);
		struct tm tm;

		gmtime_r(&s, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000042Z\t", &tm);
		assert_true(access_format(buf, sizeof(buf), &r, false,
					  (uint64_t)s * NS_PER_S + 42999) > 0);
		assert_memory_equal(buf, want, strlen(want));
	}
}

static void a_line_that_does_not_fit_is_an_error(void **state)
{
	struct access_rec r = full_rec();
	size_t n = strlen(line_of(&r, false));
	char buf[2048];

	(void)state;
	for (size_t cap = 1; cap <= n; cap++)
		assert_int_equal(access_format(buf, cap, &r, false, NOW_NS), -ENAMETOOLONG);
	assert_int_equal(access_format(buf, n + 1, &r, false, NOW_NS), (int)n);
}

struct folder {
	char dir[40], path[60], moved[60];
};

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/weft-access-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	snprintf(f->moved, sizeof(f->moved), "%s/log.1", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct folder *f = *state;

	unlink(f->path);
	unlink(f->moved);
	rmdir(f->dir);
	free(f);
	return 0;
}

static size_t lines_in(const char *path)
{
	_fclose_ FILE *f = fopen(path, "re");
	size_t n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	return n;
}

static void closing_writes_all_that_is_queued(void **state)
{
	struct folder *f = *state;
	struct access_rec r = full_rec();
	struct errbuf err = { 0 };
	struct access_log *a;
	struct stat st;

	assert_int_equal(access_open(f->path, false, &err, &a), 0);
	for (int i = 0; i < 1000; i++)
		access_write_any(a, &r);
	assert_int_equal(access_dropped_any(a), 0);
	access_close(&a);
	assert_null(a);
	assert_int_equal(lines_in(f->path), 1000);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777 & ~0640, 0);
}

static void a_reopened_log_goes_to_a_new_file(void **state)
{
	struct folder *f = *state;
	struct access_rec r = full_rec();
	struct errbuf err = { 0 };
	struct access_log *a;

	assert_int_equal(access_open(f->path, false, &err, &a), 0);
	assert_int_equal(rename(f->path, f->moved), 0);
	access_reopen_any(a);
	access_write_any(a, &r);
	access_close(&a);
	/* The line may be in the same batch as the reopening, never in the old file after it. */
	assert_int_equal(lines_in(f->moved), 0);
	assert_int_equal(lines_in(f->path), 1);
}

static void a_stuck_reader_costs_lines_but_never_waits(void **state)
{
	struct access_rec r = full_rec();
	struct errbuf err = { 0 };
	struct access_log *a;
	char path[40];
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", p[1]);
	assert_int_equal(access_open(path, false, &err, &a), 0);
	/* The pipe takes 64 KiB, the queue 10,000 lines. */
	for (int i = 0; i < 12000; i++)
		access_write_any(a, &r);
	assert_true(access_dropped_any(a) > 0);
	/* Nor does the end wait for it; what is queued is lost as well. */
	access_close(&a);
	close(p[0]);
	close(p[1]);
}

/* A limit on the size of files acts as a disk that is full: a short write, then none. */
static void a_full_disk_costs_lines_and_the_next_one_is_whole(void **state)
{
	struct folder *f = *state;
	struct access_rec r = full_rec();
	struct errbuf err = { 0 };
	struct access_log *a;
	struct rlimit old, low;
	char line[1024];
	int n = 0;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(access_open(f->path, false, &err, &a), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 1000;
	setrlimit(RLIMIT_FSIZE, &low);
	for (int i = 0; i < 10; i++)
		access_write_any(a, &r);
	while (access_dropped_any(a) == 0)
		poll(NULL, 0, 1);
	setrlimit(RLIMIT_FSIZE, &old);
	access_write_any(a, &r);
	access_close(&a);

	_fclose_ FILE *file = fopen(f->path, "re");

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		assert_int_equal(strncmp(line, "20", 2), 0);
		assert_null(strstr(strstr(line, "src.addr=") ?: line, "\taccess\t")); /* one by itself */
		n++;
	}
	assert_true(n >= 3); /* whole ones, a cut one, a whole one */
}

static void a_path_that_cannot_be_opened_is_named(void **state)
{
	struct access_log *a = NULL;
	struct errbuf err = { 0 };

	(void)state;
	assert_int_equal(access_open("/nonexistent/dir/log", false, &err, &a), -ENOENT);
	assert_non_null(strstr(err.text, "/nonexistent/dir/log"));
	assert_null(a);
}

static void without_a_log_nothing_happens(void **state)
{
	struct access_rec r = full_rec();
	struct access_log *a = NULL;

	(void)state;
	access_write_any(NULL, &r);
	access_reopen_any(NULL);
	assert_int_equal(access_dropped_any(NULL), 0);
	access_close(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_the_known_keys_in_the_known_order),
		cmocka_unit_test(what_is_not_known_is_left_out),
		cmocka_unit_test(identities_are_shown_only_with_mutual_tls),
		cmocka_unit_test(an_error_starts_with_one_word_that_survives_a_split),
		cmocka_unit_test(a_dry_run_that_changes_the_verdict_stands_behind_the_policy),
		cmocka_unit_test(an_early_refusal_is_a_warning_without_counts),
		cmocka_unit_test(a_stranger_cannot_start_a_new_key_or_line),
		cmocka_unit_test(every_byte_is_escaped_wherever_it_stands),
		cmocka_unit_test(json_lines_are_json_whatever_the_names),
		cmocka_unit_test(every_reason_makes_a_line),
		cmocka_unit_test(the_time_is_that_of_the_calendar_in_utc),
		cmocka_unit_test(a_line_that_does_not_fit_is_an_error),
		cmocka_unit_test_setup_teardown(closing_writes_all_that_is_queued, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reopened_log_goes_to_a_new_file, setup, teardown),
		cmocka_unit_test(a_stuck_reader_costs_lines_but_never_waits),
		cmocka_unit_test_setup_teardown(a_full_disk_costs_lines_and_the_next_one_is_whole,
						setup, teardown),
		cmocka_unit_test(a_path_that_cannot_be_opened_is_named),
		cmocka_unit_test(without_a_log_nothing_happens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
