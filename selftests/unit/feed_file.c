// SPDX-License-Identifier: Apache-2.0
/* The file feed: what is applied, what is refused and counted, which changes are seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <urcu/urcu-qsbr.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "io/loop.h"

#define DEADLINE_NS (60 * NS_PER_S)
#define LOOK_NS (10 * NS_PER_MS)

struct world {
	char dir[64], path[96];
	struct loop *loop;
	struct model *model;
	struct feed_file *feed;
	struct timer look;
	uint64_t deadline_ns;
	bool (*until)(struct world *w);
	int calls;		 /* of on_apply */
	const struct snap *told; /* by the last one */
	uint64_t want;
};

static void on_apply(void *arg, const struct snap *s)
{
	struct world *w = arg;

	w->calls++;
	w->told = s;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	snprintf(w->dir, sizeof(w->dir), "/tmp/weft-feed-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/mesh.yaml", w->dir);
	assert_int_equal(loop_new(&w->loop, "test-feed"), 0);
	assert_int_equal(model_new(&w->model), 0);
	*state = w;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct world *w = *state;

	timer_cancel(&w->look);
	feed_file_stop(&w->feed);
	model_free(&w->model);
	loop_free(&w->loop);
	nftw(w->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(w);
	return 0;
}

static void look(void *arg)
{
	struct world *w = arg;

	if (w->until(w) || clock_mono_ns() > w->deadline_ns)
		loop_stop_any(w->loop);
	else
		timer_set(w->loop, &w->look, LOOK_NS, look, w);
}

/* Runs the loop until the condition holds. */
static void wait_until(struct world *w, bool (*until)(struct world *w))
{
	w->until = until;
	w->deadline_ns = clock_mono_ns() + DEADLINE_NS;
	timer_set(w->loop, &w->look, LOOK_NS, look, w);
	loop_run(w->loop);
	assert_true(until(w));
}

static struct feed_file_status status_of(const struct world *w)
{
	struct feed_file_status st;

	feed_file_status(w->feed, &st);
	return st;
}

static bool applied(struct world *w)
{
	return status_of(w).applied >= w->want && w->told == model_snap(w->model);
}

static bool rejected(struct world *w)
{
	return status_of(w).rejected >= w->want;
}

static void wait_applied(struct world *w, uint64_t n)
{
	w->want = n;
	wait_until(w, applied);
}

static void wait_rejected(struct world *w, uint64_t n)
{
	w->want = n;
	wait_until(w, rejected);
}

static void write_file(const char *path, const char *text)
{
	_fclose_ FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
}

/* As editors do: a new file takes the name. */
static void replace(struct world *w, const char *text)
{
	char tmp[128];

	snprintf(tmp, sizeof(tmp), "%s/.new", w->dir);
	write_file(tmp, text);
	assert_int_equal(rename(tmp, w->path), 0);
}

static void start(struct world *w)
{
	assert_int_equal(feed_file_start(w->loop, w->model, w->path, on_apply, w, &w->feed), 0);
}

static bool has(const struct world *w, const char *uid)
{
	return snap_workload_by_uid(model_snap(w->model), str_of(uid)) != NULL;
}

#define ONE(uid) "workloads: [{uid: " uid ", namespace: a, workloadIps: [10.0.0.1]}]\n"
#define TWO "workloads: [{uid: u1, namespace: a}, {uid: u2, namespace: a}]\n"

static void the_file_is_applied_at_once_and_told_later(void **state)
{
	struct world *w = *state;

	write_file(w->path, ONE("u1"));
	start(w);
	assert_true(has(w, "u1"));
	assert_int_equal(w->calls, 0);
	wait_applied(w, 1);
	assert_int_equal(w->calls, 1);
	assert_string_equal(status_of(w).path, w->path);
	assert_true(status_of(w).last_applied_s > 0);
	assert_int_equal(status_of(w).rejected, 0);
}

static void a_renamed_file_is_seen_and_ids_stay(void **state)
{
	struct world *w = *state;
	uint32_t id;

	write_file(w->path, ONE("u2"));
	start(w);
	id = snap_workload_by_uid(model_snap(w->model), STR("u2"))->id;
	replace(w, TWO);
	wait_applied(w, 2);
	assert_true(has(w, "u1"));
	assert_int_equal(snap_workload_by_uid(model_snap(w->model), STR("u2"))->id, id);
}

static void a_file_written_in_place_is_seen(void **state)
{
	struct world *w = *state;

	write_file(w->path, ONE("u1"));
	start(w);
	write_file(w->path, TWO);
	wait_applied(w, 2);
	assert_true(has(w, "u2"));
}

static void a_broken_edit_changes_nothing_and_is_counted(void **state)
{
	struct world *w = *state;
	const struct snap *before;
	struct feed_file_status st;

	write_file(w->path, ONE("u1"));
	start(w);
	before = model_snap(w->model);
	replace(w, "workloads:\n- uid: u9\n  namespace: a\n  protocol: FOO\n");
	wait_rejected(w, 1);
	assert_ptr_equal(model_snap(w->model), before);
	st = status_of(w);
	assert_non_null(strstr(st.last_error, "mesh.yaml:4: workloads[0].protocol: 'FOO'"));
	assert_true(st.last_rejected_s > 0);
	assert_int_equal(st.applied, 1);

	/* It decodes, but the model refuses it. */
	replace(w, "workloads: [{uid: u1, namespace: a}, {uid: u1, namespace: a}]\n");
	wait_rejected(w, 2);
	assert_ptr_equal(model_snap(w->model), before);
	assert_non_null(strstr(status_of(w).last_error, "'u1'"));

	/* A file being written. */
	replace(w, "");
	wait_rejected(w, 3);
	assert_ptr_equal(model_snap(w->model), before);

	replace(w, TWO);
	wait_applied(w, 2);
	assert_string_equal(status_of(w).last_error, "");
	assert_int_equal(status_of(w).rejected, 3);
}

static void a_missing_file_is_a_status_and_is_applied_when_it_comes(void **state)
{
	struct world *w = *state;

	start(w);
	assert_int_equal(status_of(w).rejected, 1);
	assert_non_null(strstr(status_of(w).last_error, "mesh.yaml"));
	replace(w, ONE("u1"));
	wait_applied(w, 1);
	assert_true(has(w, "u1"));
}

static void a_removed_file_changes_nothing(void **state)
{
	struct world *w = *state;

	write_file(w->path, ONE("u1"));
	start(w);
	assert_int_equal(unlink(w->path), 0);
	wait_rejected(w, 1);
	assert_true(has(w, "u1"));
}

static void a_missing_folder_is_found_when_it_comes(void **state)
{
	struct world *w = *state;
	char folder[80];

	snprintf(folder, sizeof(folder), "%s/later", w->dir);
	snprintf(w->path, sizeof(w->path), "%s/mesh.yaml", folder);
	start(w);
	assert_int_equal(mkdir(folder, 0700), 0);
	write_file(w->path, ONE("u1"));
	wait_applied(w, 1);
	assert_true(has(w, "u1"));
}

/* As Kubernetes mounts a ConfigMap: mesh.yaml -> ..data/mesh.yaml, ..data -> ..v1 */
static void a_swapped_symlink_to_a_folder_is_seen(void **state)
{
	struct world *w = *state;
	char a[96], b[96], link_path[96], tmp[96], file[128];

	snprintf(a, sizeof(a), "%s/..v1", w->dir);
	snprintf(b, sizeof(b), "%s/..v2", w->dir);
	snprintf(link_path, sizeof(link_path), "%s/..data", w->dir);
	snprintf(tmp, sizeof(tmp), "%s/..data_tmp", w->dir);
	assert_int_equal(mkdir(a, 0700) | mkdir(b, 0700), 0);
	snprintf(file, sizeof(file), "%s/mesh.yaml", a);
	write_file(file, ONE("u1"));
	snprintf(file, sizeof(file), "%s/mesh.yaml", b);
	write_file(file, ONE("u2"));
	assert_int_equal(symlink("..v1", link_path), 0);
	assert_int_equal(symlink("..data/mesh.yaml", w->path), 0);
	start(w);
	assert_true(has(w, "u1"));

	assert_int_equal(symlink("..v2", tmp), 0);
	assert_int_equal(rename(tmp, link_path), 0);
	wait_applied(w, 2);
	assert_true(has(w, "u2"));
	assert_false(has(w, "u1"));

	/* And then the file behind the symlinks is written. */
	write_file(file, TWO);
	wait_applied(w, 3);
	assert_true(has(w, "u1"));
}

static void other_files_in_the_folder_do_not_count(void **state)
{
	struct world *w = *state;
	char other[128];

	write_file(w->path, ONE("u1"));
	start(w);
	snprintf(other, sizeof(other), "%s/other", w->dir);
	write_file(other, "x");
	replace(w, TWO);
	wait_applied(w, 2);
	assert_int_equal(status_of(w).applied, 2);
	assert_int_equal(status_of(w).rejected, 0);
}

static void reload_applies_an_unchanged_file_again(void **state)
{
	struct world *w = *state;

	write_file(w->path, ONE("u1"));
	start(w);
	feed_file_reload(w->feed);
	assert_int_equal(status_of(w).applied, 2);
	assert_int_equal(w->calls, 0);
	wait_applied(w, 2);
	assert_int_equal(w->calls, 1);
}

static void a_feed_stopped_before_its_callback_does_not_call_back(void **state)
{
	struct world *w = *state;

	write_file(w->path, ONE("u1"));
	start(w);
	feed_file_stop(&w->feed);
	assert_null(w->feed);
	feed_file_stop(&w->feed);
	loop_free(&w->loop);
	assert_int_equal(w->calls, 0);
}

static void what_is_no_file_is_refused(void **state)
{
	struct world *w = *state;

	assert_int_equal(mkfifo(w->path, 0600), 0);
	start(w);
	assert_non_null(strstr(status_of(w).last_error, "is not a file"));
}

static void a_path_too_long_for_the_status_is_refused(void **state)
{
	struct world *w = *state;
	char path[300];

	memset(path, 'a', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(feed_file_start(w->loop, w->model, path, on_apply, w, &w->feed),
			 -ENAMETOOLONG);
	assert_null(w->feed);
}

#define world_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		world_test(the_file_is_applied_at_once_and_told_later),
		world_test(a_renamed_file_is_seen_and_ids_stay),
		world_test(a_file_written_in_place_is_seen),
		world_test(a_broken_edit_changes_nothing_and_is_counted),
		world_test(a_missing_file_is_a_status_and_is_applied_when_it_comes),
		world_test(a_removed_file_changes_nothing),
		world_test(a_missing_folder_is_found_when_it_comes),
		world_test(a_swapped_symlink_to_a_folder_is_seen),
		world_test(other_files_in_the_folder_do_not_count),
		world_test(reload_applies_an_unchanged_file_again),
		world_test(a_feed_stopped_before_its_callback_does_not_call_back),
		world_test(what_is_no_file_is_refused),
		world_test(a_path_too_long_for_the_status_is_refused),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
