// SPDX-License-Identifier: Apache-2.0
/* The store of identities on a running loop: counting, rotation, failure, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "ident/ca.h"
#include "ident/store.h"
#include "io/loop.h"
#include "tls/handshake.h"

#define YEAR_S (365ull * 86400)
#define FRONT "spiffe://cluster.local/ns/shop/sa/front"
#define BACK "spiffe://cluster.local/ns/shop/sa/back"
#define WAIT_MAX_NS (30 * NS_PER_S) /* only to end a test that failed */

struct fixture {
	char base[64], dir[80], files[80];
	struct errbuf err;
	struct loop *loop;
	struct ident_store *store;
	struct timer poll;
	bool (*cond)(struct fixture *f);
	bool met;
	uint64_t deadline_ns;
	struct ident_row row; /* of the last look() */
	char state[320];
	unsigned n_rows;
	char order[1024];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->base, sizeof(f->base), "%s", "/tmp/weft-st-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->dir, sizeof(f->dir), "%s/ca", f->base);
	snprintf(f->files, sizeof(f->files), "%s/files", f->base);
	assert_int_equal(mkdir(f->files, 0700), 0);
	assert_int_equal(ca_init_root(f->dir, "cluster.local", 10 * YEAR_S, false, &f->err), 0);
	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &f->err), 0);
	assert_int_equal(loop_new(&f->loop, "control"), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	ident_store_free(&f->store);
	loop_free(&f->loop);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->base);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static void start_ca(struct fixture *f, uint64_t ttl_s)
{
	struct ident_opts o = { .source = IDENT_CA, .ca_dir = f->dir, .node = "n1", .ttl_s = ttl_s };

	assert_int_equal(ident_store_new(f->loop, &o, &f->err, &f->store), 0);
}

static void start_files(struct fixture *f)
{
	struct ident_opts o = { .source = IDENT_FILES, .files_dir = f->files };

	assert_int_equal(ident_store_new(f->loop, &o, &f->err, &f->store), 0);
}

static void on_row(void *arg, const struct ident_row *row)
{
	struct fixture *f = arg;

	f->row = *row;
	snprintf(f->state, sizeof(f->state), "%s", row->state);
	f->n_rows++;
	strncat(f->order, row->uri, sizeof(f->order) - strlen(f->order) - 1);
	strncat(f->order, " ", sizeof(f->order) - strlen(f->order) - 1);
}

static void look(struct fixture *f)
{
	f->n_rows = 0;
	f->order[0] = '\0';
	ident_each(f->store, on_row, f);
}

static void on_poll(void *arg)
{
	struct fixture *f = arg;

	f->met = f->cond(f);
	if (f->met || clock_mono_ns() > f->deadline_ns)
		loop_stop_any(f->loop);
	else
		timer_set(f->loop, &f->poll, 10 * NS_PER_MS, on_poll, f);
}

/* Runs the loop until cond holds. */
static void wait_until(struct fixture *f, bool (*cond)(struct fixture *f))
{
	f->cond = cond;
	f->met = false;
	f->deadline_ns = clock_mono_ns() + WAIT_MAX_NS;
	timer_set(f->loop, &f->poll, 0, on_poll, f);
	loop_run(f->loop);
	assert_true(f->met);
}

static bool has_identity(struct fixture *f, const char *uri)
{
	struct tls_identity *id = ident_current_any(f->store, uri);

	if (!id)
		return false;
	assert_string_equal(tls_identity_uri(id), uri);
	tls_identity_put(&id);
	return true;
}

static void a_wanted_identity_is_there_at_once(void **state)
{
	struct fixture *f = *state;

	start_ca(f, 3600);
	assert_false(has_identity(f, FRONT));
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_true(has_identity(f, FRONT));
	look(f);
	assert_string_equal(f->state, "ready");
	assert_string_equal(f->row.error, "");
	assert_true(f->row.serial[0]);
	/* Half of the hour, up to a tenth more; the row has whole seconds. */
	assert_in_range(f->row.next_s, f->row.not_after_s - 1802, f->row.not_after_s - 1430);
}

static void an_identity_lives_until_the_last_want_is_forgotten(void **state)
{
	struct fixture *f = *state;

	start_ca(f, 3600);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	look(f);
	assert_int_equal(f->row.wants, 2);
	ident_forget(f->store, FRONT);
	assert_true(has_identity(f, FRONT));
	ident_forget(f->store, FRONT);
	assert_false(has_identity(f, FRONT));
	look(f);
	assert_int_equal(f->n_rows, 0);
	ident_forget(f->store, FRONT);
}

static void a_reference_survives_forgetting(void **state)
{
	struct fixture *f = *state;
	struct tls_identity *id;

	start_ca(f, 3600);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	id = ident_current_any(f->store, FRONT);
	assert_non_null(id);
	ident_forget(f->store, FRONT);
	assert_string_equal(tls_identity_uri(id), FRONT);
	tls_identity_put(&id);
}

static void what_is_no_workload_id_is_not_wanted(void **state)
{
	struct fixture *f = *state;
	char longer[400];

	start_ca(f, 3600);
	assert_int_equal(ident_want(f->store, "front"), -EINVAL);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(ident_want(f->store, longer), -ENAMETOOLONG);
	look(f);
	assert_int_equal(f->n_rows, 0);
}

static void rows_come_sorted_by_uri(void **state)
{
	struct fixture *f = *state;

	start_ca(f, 3600);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_int_equal(ident_want(f->store, BACK), 0);
	look(f);
	assert_string_equal(f->order, BACK " " FRONT " ");
}

static bool rotated_twice(struct fixture *f)
{
	/* There is never a moment without one. */
	assert_true(has_identity(f, FRONT));
	look(f);
	return f->row.rotations >= 2;
}

static void a_certificate_is_rotated_at_half_life_without_a_gap(void **state)
{
	struct fixture *f = *state;
	char serial[64];

	start_ca(f, 4);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	look(f);
	memcpy(serial, f->row.serial, sizeof(serial));
	wait_until(f, rotated_twice);
	assert_string_not_equal(serial, f->row.serial);
	assert_string_equal(f->state, "ready");
}

static void an_id_outside_the_trust_domain_fails_with_the_reason_and_a_retry(void **state)
{
	static const char foreign[] = "spiffe://other.mesh/ns/shop/sa/front";
	struct fixture *f = *state;

	start_ca(f, 3600);
	assert_int_equal(ident_want(f->store, foreign), 0);
	assert_false(has_identity(f, foreign));
	look(f);
	assert_non_null(strstr(f->state, "failed: "));
	assert_non_null(strstr(f->row.error, "outside the trust domain"));
	assert_true(f->row.next_s <= clock_wall_s() + 2);
}

static bool is_new_intermediate(struct fixture *f)
{
	look(f);
	return f->row.rotations > 0 && f->row.not_after_s > clock_wall_s() + 60;
}

static void a_renewed_intermediate_is_used_without_a_restart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ca_init_node(f->dir, "n1", YEAR_S, &f->err), 0);
	/* Leaves end with it, in 8 s. */
	assert_int_equal(ca_init_node(f->dir, "n2", 8, &f->err), 0);
	struct ident_opts o = { .source = IDENT_CA, .ca_dir = f->dir, .node = "n2", .ttl_s = 3600 };

	assert_int_equal(ident_store_new(f->loop, &o, &f->err, &f->store), 0);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	look(f);
	assert_true(f->row.not_after_s <= clock_wall_s() + 8);
	assert_int_equal(ca_init_node(f->dir, "n2", YEAR_S, &f->err), 0);
	wait_until(f, is_new_intermediate);
}

static void a_store_without_its_ca_does_not_start(void **state)
{
	struct fixture *f = *state;
	struct ident_opts o = { .source = IDENT_CA, .ca_dir = f->dir, .node = "n7", .ttl_s = 60 };
	struct ident_opts gone = { .source = IDENT_FILES, .files_dir = "/nonexistent/weft" };
	struct errbuf ca = { 0 }, files = { 0 };

	assert_int_equal(ident_store_new(f->loop, &o, &ca, &f->store), -ENOENT);
	assert_non_null(strstr(ca.text, "n7-cert.pem"));
	assert_int_equal(ident_store_new(f->loop, &gone, &files, &f->store), -ENOENT);
	assert_non_null(strstr(files.text, "/nonexistent/weft"));
	assert_null(f->store);
}

static void put_file(struct fixture *f, const char *name, const char *text)
{
	_free_ char *temp = str_printf("%s/.new", f->files),
		    *path = str_printf("%s/%s", f->files, name);
	FILE *out = fopen(temp, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(rename(temp, path), 0);
}

/* As a secret manager would: certificate for uri under the names of front. */
static void put_front(struct fixture *f, const char *uri)
{
	_free_ char *chain = NULL, *key = NULL;
	struct ca *ca = NULL;

	assert_int_equal(ca_open(f->dir, "n1", &f->err, &ca), 0);
	assert_int_equal(ca_issue(ca, uri, 3600, &f->err, &chain, &key), 0);
	put_file(f, "root-cert.pem", ca_root_pem(ca));
	put_file(f, "shop.front.cert.pem", chain);
	put_file(f, "shop.front.key.pem", key);
	ca_free(&ca);
}

static void files_are_read_and_their_absence_is_named(void **state)
{
	struct fixture *f = *state;

	put_front(f, FRONT);
	start_files(f);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_true(has_identity(f, FRONT));
	ident_forget(f->store, FRONT);
	assert_int_equal(ident_want(f->store, BACK), 0);
	look(f);
	assert_non_null(strstr(f->row.error, "shop.back.cert.pem"));
}

static void a_file_for_somebody_else_is_refused(void **state)
{
	struct fixture *f = *state;

	put_front(f, BACK);
	start_files(f);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_false(has_identity(f, FRONT));
	look(f);
	assert_non_null(strstr(f->row.error, "is for \"" BACK "\""));
}

static bool file_rotated(struct fixture *f)
{
	look(f);
	return f->row.rotations == 1;
}

static void a_replaced_file_is_taken_over(void **state)
{
	struct fixture *f = *state;

	put_front(f, FRONT);
	start_files(f);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	put_front(f, FRONT);
	wait_until(f, file_rotated);
}

static bool has_error(struct fixture *f)
{
	look(f);
	return f->row.error[0] != '\0';
}

static bool no_error(struct fixture *f)
{
	return !has_error(f);
}

static void a_broken_file_leaves_the_old_certificate_in_use_until_it_is_repaired(void **state)
{
	struct fixture *f = *state;

	put_front(f, FRONT);
	start_files(f);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	put_file(f, "shop.front.key.pem", "garbage\n");
	wait_until(f, has_error);
	assert_true(has_identity(f, FRONT));
	assert_string_equal(f->state, "ready");
	put_front(f, FRONT);
	wait_until(f, no_error);
	assert_string_equal(f->state, "ready");
}

static bool front_is_there(struct fixture *f)
{
	return has_identity(f, FRONT);
}

static void a_folder_that_is_replaced_is_watched_again(void **state)
{
	struct fixture *f = *state;
	char moved[96];

	start_files(f);
	assert_int_equal(ident_want(f->store, FRONT), 0);
	assert_false(has_identity(f, FRONT));
	snprintf(moved, sizeof(moved), "%s.old", f->files);
	assert_int_equal(rename(f->files, moved), 0);
	assert_int_equal(mkdir(f->files, 0700), 0);
	put_front(f, FRONT);
	wait_until(f, front_is_there);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_wanted_identity_is_there_at_once),
		T(an_identity_lives_until_the_last_want_is_forgotten),
		T(a_reference_survives_forgetting),
		T(what_is_no_workload_id_is_not_wanted),
		T(rows_come_sorted_by_uri),
		T(a_certificate_is_rotated_at_half_life_without_a_gap),
		T(an_id_outside_the_trust_domain_fails_with_the_reason_and_a_retry),
		T(a_renewed_intermediate_is_used_without_a_restart),
		T(a_store_without_its_ca_does_not_start),
		T(files_are_read_and_their_absence_is_named),
		T(a_file_for_somebody_else_is_refused),
		T(a_replaced_file_is_taken_over),
		T(a_broken_file_leaves_the_old_certificate_in_use_until_it_is_repaired),
		T(a_folder_that_is_replaced_is_watched_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
