// SPDX-License-Identifier: Apache-2.0
/* Options of weftd: sources and their order, checks, sentences, the printed form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"
#include "daemon/opts.h"
#include "daemon/optkey.h"

struct fixture {
	char base[64], path[96];
	struct opts o;
	struct errbuf err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	snprintf(f->base, sizeof(f->base), "%s", "/tmp/weft-op-XXXXXX");
	assert_non_null(mkdtemp(f->base));
	snprintf(f->path, sizeof(f->path), "%s/weft.yaml", f->base);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	opts_fini(&f->o);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", f->base);
	assert_int_equal(system(cmd), 0);
	free(f);
	return 0;
}

static void write_file(struct fixture *f, const char *text)
{
	FILE *out = fopen(f->path, "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
	assert_int_equal(fclose(out), 0);
}

/* Parses with the fixture's file and the given flags, ended by NULL. */
static int parse(struct fixture *f, ...)
{
	char *argv[16] = { (char *)"weftd", (char *)"--config", f->path };
	int argc = 3;
	va_list ap;

	va_start(ap, f);
	while ((argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	opts_fini(&f->o);
	f->err.text[0] = '\0';
	return opts_parse(argc, argv, &f->o, &f->err);
}

static void refused(struct fixture *f, const char *file, const char *sentence)
{
	write_file(f, file);
	assert_int_equal(parse(f, NULL), -EINVAL);
	if (!strstr(f->err.text, sentence))
		fail_msg("\"%s\" is not in \"%s\"", sentence, f->err.text);
}

static void the_defaults_are_those_of_the_documentation(void **state)
{
	struct fixture *f = *state;
	_free_ char *host = default_node();

	write_file(f, "");
	assert_int_equal(parse(f, NULL), 0);
	assert_int_equal(f->o.action, OPTS_RUN);
	assert_string_equal(f->o.node, host);
	assert_string_equal(f->o.mesh_file, "/etc/weft/mesh.yaml");
	assert_string_equal(f->o.run_dir, "/run/weft");
	assert_non_null(strstr(f->o.pin_dir, "/sys/fs/bpf/weft/"));
	assert_string_equal(f->o.pin_dir + strlen("/sys/fs/bpf/weft/"), host);
	assert_true(f->o.workers >= 1);
	assert_true(f->o.uplink[0]);
	assert_int_equal(f->o.uplink_guard, OPTS_GUARD_AUTO);
	assert_int_equal(f->o.same_node, OPTS_DIRECT);
	assert_int_equal(f->o.certificates, OPTS_CERTS_CA);
	assert_string_equal(f->o.certificates_dir, "/etc/weft/ca");
	assert_true(f->o.certificate_ttl_ns == 24 * 3600 * NS_PER_S);
	assert_string_equal(f->o.trust_domain, "cluster.local");
	assert_string_equal(f->o.cluster, "Kubernetes");
	assert_int_equal(f->o.metrics_port, 15020);
	assert_int_equal(f->o.ready_port, 15021);
	assert_int_equal(f->o.admin_port, 15000);
	assert_string_equal(f->o.access_log, "-");
	assert_int_equal(f->o.access_log_format, OPTS_TEXT);
	assert_int_equal(f->o.log_format, OPTS_TEXT);
	assert_int_equal(f->o.log_level, LOG_INFO);
	assert_string_equal(f->o.local_congestion, "reno");
	assert_int_equal(f->o.aead, OPTS_AEAD_AUTO);
	assert_int_equal(f->o.tunnel_ping_ns, 10000000000);
	assert_int_equal(f->o.keepalive_ns, 180000000000);
}

static void flags_win_over_the_environment_and_that_over_the_file(void **state)
{
	struct fixture *f = *state;

	write_file(f, "node: from-file\ncluster: from-file\nlog_level: debug\n");
	setenv("WEFT_NODE", "from-env", 1);
	setenv("WEFT_CLUSTER", "from-env", 1);
	assert_int_equal(parse(f, "--node", "from-flag", NULL), 0);
	unsetenv("WEFT_NODE");
	unsetenv("WEFT_CLUSTER");
	assert_string_equal(f->o.node, "from-flag");
	assert_string_equal(f->o.cluster, "from-env");
	assert_int_equal(f->o.log_level, LOG_DEBUG);
	assert_string_equal(f->o.pin_dir, "/sys/fs/bpf/weft/from-flag");
}

static void flags_take_both_spellings_and_both_forms(void **state)
{
	struct fixture *f = *state;

	write_file(f, "");
	assert_int_equal(parse(f, "--same-node=mtls", "--uplink_guard", "tcx", "--admin-port", "0",
			       "--check", "--local-congestion=", NULL),
			 0);
	assert_int_equal(f->o.same_node, OPTS_MTLS);
	assert_int_equal(f->o.uplink_guard, OPTS_GUARD_TCX);
	assert_int_equal(f->o.admin_port, 0);
	assert_string_equal(f->o.local_congestion, "");
	assert_int_equal(f->o.action, OPTS_CHECK);
}

static void a_bad_value_names_file_line_and_key(void **state)
{
	struct fixture *f = *state;
	char want[160];

	snprintf(want, sizeof(want), "%s:2: workers \"many\" is not a number from 1 to 256", f->path);
	refused(f, "node: n1\nworkers: many\n", want);
	refused(f, "workers: 0\n", ":1: workers \"0\"");
	refused(f, "same_node: sometimes\n", ":1: same_node \"sometimes\" is not direct or mtls");
	refused(f, "\n\nuplink_guard: on\n", ":3: uplink_guard \"on\" is not auto, xdp, tcx or off");
	refused(f, "metrics_port: 70000\n", ":1: metrics_port \"70000\" is not a port");
	refused(f, "certificate_ttl: 1s\n", ":1: certificate_ttl \"1s\" is not a duration");
	refused(f, "certificate_ttl: soon\n", ":1: certificate_ttl");
	refused(f, "run_dir: run\n", ":1: run_dir \"run\" is not an absolute path");
	refused(f, "cgroup: /proc\n", "is not a folder of a cgroup2 mount");
	refused(f, "cgroup: /nonexistent/x\n", "No such file");
	refused(f, "trust_domain: Cluster\n", ":1: trust_domain trust domain \"Cluster\"");
	refused(f, "node: a/b\n", ":1: node node name \"a/b\"");
	refused(f, "access_log: here\n", ":1: access_log \"here\" is not -, off or an absolute path");
	refused(f, "uplink: an-interface-of-17\n", ":1: uplink");
	refused(f, "local_congestion: \"a b\"\n", ":1: local_congestion");
	refused(f, "aead: kernel\n", ":1: aead \"kernel\" is not auto, ipsec-mb or openssl");
	refused(f, "tunnel_ping: 0s\n", ":1: tunnel_ping");
	refused(f, "keepalive: 2d\n", ":1: keepalive");
	refused(f, "node: \"a\\u0007\"\n", ":1: node has a control character");
}

static void an_unknown_key_and_a_wrong_shape_name_file_and_line(void **state)
{
	struct fixture *f = *state;

	refused(f, "node: n1\nworker: 3\n", ":2: there is no key \"worker\"");
	refused(f, "same-node: mtls\n", ":1: there is no key \"same-node\"");
	refused(f, "node:\n", ":1: node has no value");
	refused(f, "node: [a]\n", ":1: node must be one value");
	refused(f, "- node\n", ":1: must be lines of");
	refused(f, "node: \"\"\n", ":1: node must not be empty");
}

static void a_run_dir_too_long_for_a_socket_path_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[200] = "run_dir: /";

	memset(text + strlen(text), 'a', 120);
	refused(f, text, "the path of the control socket in it would not fit");
}

static void bad_values_of_environment_and_flags_name_them(void **state)
{
	struct fixture *f = *state;

	write_file(f, "");
	setenv("WEFT_WORKERS", "x", 1);
	assert_int_equal(parse(f, NULL), -EINVAL);
	unsetenv("WEFT_WORKERS");
	assert_non_null(strstr(f->err.text, "WEFT_WORKERS: workers \"x\""));
	assert_int_equal(parse(f, "--log-level=loud", NULL), -EINVAL);
	assert_non_null(strstr(f->err.text, "--log-level: log_level \"loud\""));
	assert_int_equal(parse(f, "--colour", "red", NULL), -EINVAL);
	assert_non_null(strstr(f->err.text, "there is no option --colour"));
	assert_int_equal(parse(f, "--node", NULL), -EINVAL);
	assert_non_null(strstr(f->err.text, "--node needs a value"));
	assert_int_equal(parse(f, "start", NULL), -EINVAL);
	assert_non_null(strstr(f->err.text, "\"start\" is no option"));
}

static void two_uses_of_one_port_name_both_sources(void **state)
{
	struct fixture *f = *state;

	write_file(f, "ready_port: 15020\n");
	assert_int_equal(parse(f, NULL), -EINVAL);
	assert_non_null(strstr(f->err.text, ":1: ready_port and metrics_port (default) are both "
					    "15020"));
	write_file(f, "ready_port: 0\nmetrics_port: 0\nadmin_port: 0\n");
	assert_int_equal(parse(f, NULL), 0);
}

static void on_demand_needs_istiod_and_no_names(void **state)
{
	struct fixture *f = *state;

	refused(f, "xds_on_demand: on\n", ":1: xds_on_demand needs xds_address");
	refused(f, "xds_address: i:1\nxds_on_demand: on\n",
		":2: xds_on_demand needs dns: off (default)");
	write_file(f, "xds_address: i:1\ndns: off\n");
	setenv("XDS_ON_DEMAND", "true", 1);
	assert_int_equal(parse(f, NULL), 0);
	unsetenv("XDS_ON_DEMAND");
	assert_int_equal(f->o.xds_on_demand % 2, OPTS_SWITCH_ON);
}

static void a_file_that_was_asked_for_must_exist(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(parse(f, NULL), -ENOENT);
	assert_non_null(strstr(f->err.text, f->path));
}

static void help_and_version_need_no_valid_configuration(void **state)
{
	struct fixture *f = *state;

	write_file(f, "nonsense: 1\n");
	assert_int_equal(parse(f, "--help", NULL), 0);
	assert_int_equal(f->o.action, OPTS_HELP);
	assert_int_equal(parse(f, "--version", NULL), 0);
	assert_int_equal(f->o.action, OPTS_VERSION);
}

static void failure_leaves_the_result_untouched(void **state)
{
	struct fixture *f = *state;
	struct opts before;

	write_file(f, "node: n1\nworkers: none\n");
	memset(&f->o, 0, sizeof(f->o));
	before = f->o;
	assert_int_equal(parse(f, NULL), -EINVAL);
	assert_memory_equal(&before, &f->o, sizeof(before));
}

static char *printed(const struct opts *o)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	opts_print(o, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void what_is_printed_names_sources_and_reads_back_the_same(void **state)
{
	struct fixture *f = *state;
	_free_ char *first = NULL, *second = NULL;
	struct str a, b;

	write_file(f, "cluster: 'a \"b\" \\ #c: d'\ncertificate_ttl: 90m\n");
	assert_int_equal(parse(f, "--workers=3", NULL), 0);
	first = printed(&f->o);
	assert_non_null(strstr(first, "workers: 3 # --workers\n"));
	assert_non_null(strstr(first, "certificate_ttl: 90m # "));
	assert_non_null(strstr(first, "ready_port: 15021 # default\n"));
	assert_non_null(strstr(first, "weft.yaml:1\n"));
	write_file(f, first);
	assert_int_equal(parse(f, NULL), 0);
	second = printed(&f->o);
	/* The same but for the sources: all of the second are lines of the file. */
	for (a = str_of(first), b = str_of(second); a.p && b.p;) {
		struct str x = str_cut(&a, '\n'), y = str_cut(&b, '\n');
		size_t value = 0;

		while (value < x.n && x.p[value] != '#')
			value++;
		assert_true(y.n >= value);
		assert_memory_equal(x.p, y.p, value);
	}
	assert_true(!a.p && !b.p);
	assert_string_equal(f->o.cluster, "a \"b\" \\ #c: d");
	assert_true(f->o.certificate_ttl_ns == 5400 * NS_PER_S);
}

static void help_lists_every_key(void **state)
{
	struct fixture *f = *state;
	_free_ char *text = NULL, *keys = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	struct str rest;

	opts_help(out);
	assert_int_equal(fclose(out), 0);
	write_file(f, "");
	assert_int_equal(parse(f, NULL), 0);
	keys = printed(&f->o);
	for (rest = str_of(keys); rest.p && rest.n;) {
		struct str line = str_cut(&rest, '\n'), key = str_cut(&line, ':');
		_free_ char *want = str_printf("\n  %.*s ", STR_FMT(key));

		assert_non_null(strstr(text, want));
	}
}

static FILE *text_file(const char *text)
{
	FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(f);
	return f;
}

static void the_cgroup2_mount_of_a_hybrid_host_is_found(void **state)
{
	_fclose_ FILE *hybrid = text_file("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n"
					  "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
					  "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n");
	_fclose_ FILE *none = text_file("tmpfs /sys/fs/cgroup tmpfs rw 0 0\n");
	_free_ char *found = default_cgroup(hybrid);

	(void)state;
	assert_string_equal(found, "/sys/fs/cgroup/unified");
	assert_null(default_cgroup(none));
	assert_null(default_cgroup(NULL));
}

static void the_uplink_is_the_interface_of_the_default_route(void **state)
{
	static const char head[] = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask"
				   "\t\tMTU\tWindow\tIRTT\n";
	_free_ char *four_text = str_printf("%seth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0"
					    "\t0\neth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0"
					    "\t0\t0\n",
					    head);
	_fclose_ FILE *four = text_file(four_text), *none = text_file(head);
	_fclose_ FILE *six = text_file(
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n"
		"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		"fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth6\n");
	_free_ char *a = default_uplink(four, NULL), *b = default_uplink(none, six);

	(void)state;
	assert_string_equal(a, "eth0");
	assert_string_equal(b, "eth6");
	assert_null(default_uplink(NULL, NULL));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_defaults_are_those_of_the_documentation),
		T(flags_win_over_the_environment_and_that_over_the_file),
		T(flags_take_both_spellings_and_both_forms),
		T(a_bad_value_names_file_line_and_key),
		T(an_unknown_key_and_a_wrong_shape_name_file_and_line),
		T(a_run_dir_too_long_for_a_socket_path_is_refused),
		T(bad_values_of_environment_and_flags_name_them),
		T(two_uses_of_one_port_name_both_sources),
		T(on_demand_needs_istiod_and_no_names),
		T(a_file_that_was_asked_for_must_exist),
		T(help_and_version_need_no_valid_configuration),
		T(failure_leaves_the_result_untouched),
		T(what_is_printed_names_sources_and_reads_back_the_same),
		T(help_lists_every_key),
		cmocka_unit_test(the_cgroup2_mount_of_a_hybrid_host_is_found),
		cmocka_unit_test(the_uplink_is_the_interface_of_the_default_route),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
