// SPDX-License-Identifier: Apache-2.0
/* ztunnel's environment: what becomes of each value, and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "daemon/opts.h"
#include "daemon/ztenv.h"

static const struct value {
	const char *key, *name, *text;
	const char *want; /* NULL: none of its values; "": says nothing */
} values[] = {
	{ "zds", "INPOD_ENABLED", "true", "/var/run/ztunnel/ztunnel.sock" },
	{ "zds", "INPOD_ENABLED", "false", "" },
	{ "zds", "INPOD_ENABLED", "maybe", NULL },
	{ "log_level", "RUST_LOG", "warn", "warn" },
	{ "log_level", "RUST_LOG", "trace", "debug" },
	{ "log_level", "RUST_LOG", "off", "error" },
	{ "log_level", "RUST_LOG", "ztunnel::proxy=debug, info", "info" },
	{ "log_level", "RUST_LOG", "ztunnel::proxy=debug", "" },
	{ "log_level", "RUST_LOG", "", "" },
	{ "log_format", "LOG_FORMAT", "json", "json" },
	{ "log_format", "LOG_FORMAT", "plain", "text" },
	{ "access_log_format", "LOG_FORMAT", "plain", "text" },
	{ "log_format", "LOG_FORMAT", "xml", NULL },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "3", "3" },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "999", "256" },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "1%", "1" },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "%", NULL },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "", NULL },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "-1", NULL },
	{ "workers", "ZTUNNEL_WORKER_THREADS", "two", NULL },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "30", "25s" },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "11", "6s" },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "10", "9s" },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "1", "1s" },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "0", "1s" },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", "30s", NULL },
};

static void each_value_becomes_what_the_key_takes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const struct value *v = &values[i];
		const char *name = NULL;
		char buf[ZTENV_TEXT_MAX] = "";
		struct errbuf err = { 0 };
		int r;

		print_message("%s=%s\n", v->name, v->text);
		setenv(v->name, v->text, 1);
		r = ztenv_value(v->key, buf, &name, &err);
		unsetenv(v->name);
		if (!v->want) {
			assert_int_equal(r, -EINVAL);
			assert_non_null(strstr(err.text, v->name));
			continue;
		}
		assert_int_equal(r, v->want[0] != '\0');
		assert_string_equal(buf, v->want);
		if (r)
			assert_string_equal(name, v->name);
	}
}

static void all_processors_are_zero_or_a_hundred_percent(void **state)
{
	char zero[ZTENV_TEXT_MAX], all[ZTENV_TEXT_MAX];
	const char *name;

	(void)state;
	setenv("ZTUNNEL_WORKER_THREADS", "0", 1);
	assert_int_equal(ztenv_value("workers", zero, &name, NULL), 1);
	setenv("ZTUNNEL_WORKER_THREADS", "100%", 1);
	assert_int_equal(ztenv_value("workers", all, &name, NULL), 1);
	unsetenv("ZTUNNEL_WORKER_THREADS");
	assert_string_equal(zero, all);
	assert_string_not_equal(zero, "0");
}

static void look(const char *const *env, const char *unknown, const char *other)
{
	struct ztenv_report r;

	ztenv_look((char *const *)env, opts_reads, &r);
	assert_string_equal(r.unknown, unknown);
	assert_string_equal(r.other, other);
}

static void the_environment_of_the_chart_is_understood(void **state)
{
	static const char *const chart[] = { "PATH=/bin",
					     "XDS_ADDRESS=istiod:15012",
					     "CA_ADDRESS=istiod:15012",
					     "XDS_ROOT_CA=SYSTEM",
					     "CA_ROOT_CA=SYSTEM",
					     "ISTIO_META_CLUSTER_ID=c",
					     "INPOD_ENABLED=true",
					     "INPOD_UDS=/a",
					     "TERMINATION_GRACE_PERIOD_SECONDS=30",
					     "RUST_LOG=info",
					     "RUST_BACKTRACE=1",
					     "CLUSTER_ID=c",
					     "NODE_NAME=n",
					     "POD_NAME=p",
					     "POD_NAMESPACE=s",
					     "INSTANCE_IP=1.2.3.4",
					     "SERVICE_ACCOUNT=ztunnel",
					     "ISTIO_META_ENABLE_HBONE=true",
					     "XDS_HEADER_X=1",
					     "CA_HEADER_Y=2",
					     "PROXY_MODE=shared",
					     "IPV6_ENABLED=true",
					     "CRL_PATH=/x",
					     "XDS_ON_DEMAND=false",
					     "ZTUNNEL_SERVICE_HOST=10.0.0.1",
					     "ZTUNNEL_PORT_80_TCP=tcp://10.0.0.1:80",
					     "TLS12_ENABLED=",
					     NULL };

	(void)state;
	look(chart, "", "");
}

static void what_is_not_done_is_said_and_what_nobody_knows_is_named(void **state)
{
	static const char *const odd[] = { "PROXY_MODE=dedicated",
					   "POOL_NEW=1",
					   "INPOD_OTHER=x",
					   "HTTP2_FRAME_SIZE=1048576",
					   "MY_POOL_=1",
					   "noequals",
					   NULL };

	(void)state;
	look(odd, "POOL_NEW, INPOD_OTHER",
	     "PROXY_MODE=dedicated (pods come by ZDS or are enrolled), HTTP2_FRAME_SIZE=1048576 (as "
	     "the peer allows)");
}

static void very_many_of_them_are_cut_off(void **state)
{
	static char name[200][40];
	const char *env[201] = { NULL };
	struct ztenv_report r;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(name); i++) {
		snprintf(name[i], sizeof(name[i]), "POOL_%zu=a long value of it", i);
		env[i] = name[i];
	}
	ztenv_look((char *const *)env, opts_reads, &r);
	assert_int_equal(strlen(r.unknown), sizeof(r.unknown) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_becomes_what_the_key_takes),
		cmocka_unit_test(all_processors_are_zero_or_a_hundred_percent),
		cmocka_unit_test(the_environment_of_the_chart_is_understood),
		cmocka_unit_test(what_is_not_done_is_said_and_what_nobody_knows_is_named),
		cmocka_unit_test(very_many_of_them_are_cut_off),
	};

	return cmocka_run_group_tests_name("daemon/ztenv", tests, NULL, NULL);
}
