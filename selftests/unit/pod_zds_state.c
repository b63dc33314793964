// SPDX-License-Identifier: Apache-2.0
/* Every row of the state table of ZDS, and what a confused agent may send. Any two files are
 * namespaces here: the machine knows them by device and inode only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/own.h"
#include "pod/zds_state.h"

struct world {
	struct zds_state *st;
	char did[4096]; /* "+uid " and "-uid ", in order */
	int start_result;
	size_t settled; /* snapshots that were complete */
	const char *known; /* then; NULL: not asked */
	size_t fds; /* open in this process at the beginning */
};

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void did(struct world *w, char what, const char *uid)
{
	size_t n = strlen(w->did);

	snprintf(w->did + n, sizeof(w->did) - n, "%c%s ", what, uid);
}

static int on_start(void *arg, const struct zds_pod_info *info, int fd, struct errbuf *err)
{
	struct world *w = arg;

	assert_true(fcntl(fd, F_GETFD) >= 0);
	did(w, w->start_result < 0 ? '!' : '+', info->uid);
	return w->start_result < 0 ? errbuf_set(err, w->start_result, "the port is taken") : 0;
}

static void on_stop(void *arg, const char *uid)
{
	did(arg, '-', uid);
}

static void on_settled(void *arg, const struct zds_state *st)
{
	struct world *w = arg;

	w->settled++;
	if (w->known)
		assert_true(zds_state_knows(st, w->known));
	assert_false(zds_state_knows(st, "nobody"));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct zds_ops ops = {
		.start = on_start, .stop = on_stop, .settled = on_settled, .arg = w
	};

	if (!w || zds_state_new(&ops, &w->st) < 0)
		return -1;
	w->fds = count_fds();
	zds_state_begin(w->st);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	zds_state_free(&w->st);
	assert_null(w->st);
	assert_int_equal(count_fds(), w->fds); /* whatever happened, none was lost */
	free(w);
	return 0;
}

static int apply_fd(struct world *w, enum zds_kind kind, const char *uid, int fd)
{
	const struct zds_request rq = { .kind = kind,
					.uid = str_of(uid),
					.has_info = true,
					.name = STR("p"),
					.ns = STR("n"),
					.service_account = STR("s") };
	struct errbuf err = { 0 };
	int r = zds_state_apply(w->st, &rq, fd, &err);

	assert_int_equal(r < 0, err.text[0] != '\0');
	return r;
}

static int netns(void)
{
	int fd = memfd_create("netns", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* In namespace ns, -1: none. */
static int add(struct world *w, const char *uid, int ns)
{
	return apply_fd(w, ZDS_ADD, uid, ns < 0 ? -1 : fcntl(ns, F_DUPFD_CLOEXEC, 3));
}

static int tell(struct world *w, enum zds_kind kind, const char *uid)
{
	return apply_fd(w, kind, uid, -1);
}

static void expect(struct world *w, const char *what, bool snapshot, size_t served, size_t pending)
{
	struct zds_counts c;

	assert_string_equal(w->did, what);
	w->did[0] = '\0';
	zds_state_counts(w->st, &c);
	assert_int_equal(c.snapshot, snapshot);
	assert_int_equal(c.served, served);
	assert_int_equal(c.pending, pending);
}

static void an_added_pod_is_served_at_once_before_and_after_the_snapshot(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	assert_int_equal(add(w, "a", a), 0);
	expect(w, "+a ", false, 1, 0);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), 0);
	assert_int_equal(add(w, "b", b), 0);
	expect(w, "+b ", true, 2, 0);
}

static void the_same_pod_again_changes_nothing(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	assert_int_equal(add(w, "a", a), 0);
	assert_int_equal(add(w, "a", a), 0);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), 0);
	assert_int_equal(add(w, "a", a), 0);
	expect(w, "+a ", true, 1, 0);
}

static void the_same_pod_in_another_namespace_is_started_anew(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	assert_int_equal(add(w, "a", a), 0);
	assert_int_equal(add(w, "a", b), 0);
	expect(w, "+a -a +a ", false, 1, 0);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), 0);
	assert_int_equal(add(w, "a", a), 0);
	expect(w, "-a +a ", true, 1, 0);
}

static void an_add_without_namespace_or_name_ends_the_connection(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();
	struct zds_request rq = { .kind = ZDS_ADD, .uid = STR("a") };
	struct errbuf err = { 0 };

	assert_int_equal(add(w, "a", -1), -EPROTO);
	assert_int_equal(zds_state_apply(w->st, &rq, fcntl(a, F_DUPFD_CLOEXEC, 3), &err), -EPROTO);
	rq.has_info = true;
	rq.ns = STR("n");
	assert_int_equal(zds_state_apply(w->st, &rq, fcntl(a, F_DUPFD_CLOEXEC, 3), &err), -EPROTO);
	expect(w, "", false, 0, 0);
}

static void a_descriptor_with_anything_else_ends_the_connection(void **state)
{
	static const enum zds_kind kinds[] = { ZDS_DEL, ZDS_KEEP, ZDS_SNAPSHOT_SENT };
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		assert_int_equal(apply_fd(w, kinds[i], "a", netns()), -EPROTO);
	expect(w, "", false, 0, 0);
}

static void what_is_not_in_a_new_snapshot_is_stopped_at_its_end(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns(), c = netns();

	add(w, "a", a);
	add(w, "b", b);
	add(w, "c", c);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	zds_state_lost(w->st);
	expect(w, "+a +b +c ", false, 3, 0);
	zds_state_begin(w->st);
	assert_int_equal(add(w, "b", b), 0);
	assert_int_equal(tell(w, ZDS_KEEP, "c"), 0);
	expect(w, "", false, 3, 0);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), 0);
	expect(w, "-a ", true, 2, 0);
}

static void a_kept_pod_that_is_not_served_waits_for_its_namespace(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	w->known = "a";
	assert_int_equal(tell(w, ZDS_KEEP, "a"), 0);
	assert_int_equal(tell(w, ZDS_KEEP, "a"), 0);
	assert_int_equal(w->settled, 0);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), 0);
	assert_int_equal(w->settled, 1);
	zds_state_retry(w->st);
	expect(w, "", true, 0, 1);
	assert_int_equal(add(w, "a", a), 0);
	expect(w, "+a ", true, 1, 0);
	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	expect(w, "-a ", true, 0, 0);
}

static void keep_and_snapshot_after_the_snapshot_end_the_connection(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	add(w, "a", a);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	assert_int_equal(tell(w, ZDS_KEEP, "a"), -EPROTO);
	assert_int_equal(tell(w, ZDS_SNAPSHOT_SENT, ""), -EPROTO);
	expect(w, "+a ", true, 1, 0); /* it is served as before */
}

static void a_pod_deleted_within_the_snapshot_is_stopped_at_its_end(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	add(w, "a", a);
	add(w, "b", b);
	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	expect(w, "+a +b ", false, 2, 0);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	expect(w, "-a ", true, 1, 0);
}

static void a_pod_deleted_within_the_snapshot_may_come_again(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	add(w, "a", a);
	tell(w, ZDS_DEL, "a");
	assert_int_equal(add(w, "a", a), 0);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	expect(w, "+a ", true, 1, 0);
}

static void a_deleted_pod_is_stopped_at_once_after_the_snapshot(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	add(w, "a", a);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	expect(w, "+a -a ", true, 0, 0);
}

static void deleting_an_unknown_pod_is_no_error(void **state)
{
	struct world *w = *state;

	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	expect(w, "", true, 0, 0);
}

static void a_pod_that_cannot_be_served_is_refused_and_tried_again(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	w->start_result = -EADDRINUSE;
	assert_int_equal(add(w, "a", a), -EADDRINUSE);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	expect(w, "!a ", true, 0, 1);
	zds_state_retry(w->st);
	expect(w, "!a ", true, 0, 1);
	w->start_result = 0;
	zds_state_retry(w->st);
	zds_state_retry(w->st);
	expect(w, "+a ", true, 1, 0);
	assert_int_equal(tell(w, ZDS_DEL, "a"), 0);
	expect(w, "-a ", true, 0, 0);
}

static void a_waiting_pod_may_be_added_again_or_deleted(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	w->start_result = -EADDRINUSE;
	add(w, "a", a);
	add(w, "b", b);
	expect(w, "!a !b ", false, 0, 2);
	assert_int_equal(tell(w, ZDS_DEL, "b"), 0);
	w->start_result = 0;
	assert_int_equal(add(w, "a", a), 0);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	expect(w, "+a ", true, 1, 0);
}

static void a_waiting_pod_is_forgotten_with_the_connection_that_named_it(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	w->start_result = -EADDRINUSE;
	add(w, "a", a);
	zds_state_lost(w->st);
	zds_state_begin(w->st);
	w->start_result = 0;
	zds_state_retry(w->st);
	expect(w, "!a ", false, 0, 0);
}

static void a_pod_that_moved_and_cannot_be_served_there_waits(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	add(w, "a", a);
	w->start_result = -EADDRINUSE;
	assert_int_equal(add(w, "a", b), -EADDRINUSE);
	expect(w, "+a -a !a ", false, 0, 1);
}

static void what_is_no_pod_is_not_tried_again(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	w->start_result = -EINVAL;
	assert_int_equal(add(w, "a", a), -EINVAL);
	expect(w, "!a ", false, 0, 0);
}

static void a_failure_of_a_pod_never_ends_the_connection(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();

	w->start_result = -EPROTO;
	assert_int_equal(add(w, "a", a), -EIO);
	expect(w, "!a ", false, 0, 1);
}

static void two_pods_may_have_one_name(void **state)
{
	struct world *w = *state;
	_close_ int a = netns(), b = netns();

	tell(w, ZDS_SNAPSHOT_SENT, "");
	assert_int_equal(add(w, "old", a), 0);
	assert_int_equal(add(w, "new", b), 0);
	assert_int_equal(tell(w, ZDS_DEL, "old"), 0);
	expect(w, "+old +new -old ", true, 1, 0);
}

static void there_is_a_limit_of_pods(void **state)
{
	struct world *w = *state;
	_close_ int a = netns();
	char uid[16];

	for (int i = 0; i < ZDS_PODS_MAX; i++) {
		snprintf(uid, sizeof(uid), "%d", i);
		w->did[0] = '\0';
		assert_int_equal(add(w, uid, a), 0);
	}
	assert_int_equal(add(w, "more", a), -ENOSPC);
	assert_int_equal(add(w, "7", a), 0);
	tell(w, ZDS_SNAPSHOT_SENT, "");
	tell(w, ZDS_DEL, "7");
	assert_int_equal(add(w, "more", a), 0);
	w->did[0] = '\0';
	expect(w, "", true, ZDS_PODS_MAX, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_added_pod_is_served_at_once_before_and_after_the_snapshot),
		TEST(the_same_pod_again_changes_nothing),
		TEST(the_same_pod_in_another_namespace_is_started_anew),
		TEST(an_add_without_namespace_or_name_ends_the_connection),
		TEST(a_descriptor_with_anything_else_ends_the_connection),
		TEST(what_is_not_in_a_new_snapshot_is_stopped_at_its_end),
		TEST(a_kept_pod_that_is_not_served_waits_for_its_namespace),
		TEST(keep_and_snapshot_after_the_snapshot_end_the_connection),
		TEST(a_pod_deleted_within_the_snapshot_is_stopped_at_its_end),
		TEST(a_pod_deleted_within_the_snapshot_may_come_again),
		TEST(a_deleted_pod_is_stopped_at_once_after_the_snapshot),
		TEST(deleting_an_unknown_pod_is_no_error),
		TEST(a_pod_that_cannot_be_served_is_refused_and_tried_again),
		TEST(a_waiting_pod_may_be_added_again_or_deleted),
		TEST(a_waiting_pod_is_forgotten_with_the_connection_that_named_it),
		TEST(a_pod_that_moved_and_cannot_be_served_there_waits),
		TEST(what_is_no_pod_is_not_tried_again),
		TEST(a_failure_of_a_pod_never_ends_the_connection),
		TEST(two_pods_may_have_one_name),
		TEST(there_is_a_limit_of_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
