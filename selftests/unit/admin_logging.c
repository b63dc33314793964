// SPDX-License-Identifier: Apache-2.0
/* The query of /logging, and levels of components. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "admin/logging.h"
#include "base/own.h"

static int fresh(void **state)
{
	(void)state;
	log_clear_scopes();
	log_set_level(LOG_INFO);
	return 0;
}

static void levels_are(const char *want)
{
	_free_ char *text = log_levels_text();

	assert_string_equal(text, want);
}

static void takes(const char *query, const char *want)
{
	struct errbuf err = { 0 };

	if (logging_apply(query, LOG_WARN, &err) < 0)
		fail_msg("%s: %s", query, err.text);
	levels_are(want);
}

static void refuses(const char *query, const char *want)
{
	struct errbuf err = { 0 };

	assert_int_equal(logging_apply(query, LOG_WARN, &err), -EINVAL);
	assert_non_null(strstr(err.text, want));
}

static void a_level_is_for_all_or_for_a_component(void **state)
{
	(void)state;
	takes("", "info");
	takes("level=debug", "debug");
	takes("level=dns:debug,xds=warn,info", "info,dns=debug,xds=warn");
	takes("level=dns:error", "info,dns=error,xds=warn");
	takes("level=dns%3Ainfo%2Cerror", "error,dns=info,xds=warn");
}

static void the_words_of_other_tools_are_understood(void **state)
{
	(void)state;
	takes("level=warning", "warn");
	takes("level=trace", "debug");
	takes("level=off", "error");
	takes("level=ztunnel::proxy::dns:trace", "error,dns=debug");
	takes("level=dns=warning", "error,dns=warn");
}

static void reset_is_as_at_the_start_before_levels_count(void **state)
{
	(void)state;
	takes("level=dns:debug,error", "error,dns=debug");
	takes("level=&reset", "warn");
	takes("reset", "warn");
	takes("level=xds:debug&reset", "warn,xds=debug");
}

static void a_wrong_query_changes_nothing(void **state)
{
	(void)state;
	refuses("level=loud", "\"loud\" is no level");
	refuses("level=debug,dns:loud", "\"loud\" is no level");
	refuses("level=debug,:warn", "a component has a name");
	refuses("level=debug,a-b:warn", "a component has a name");
	refuses("level=debug,a234567890123456:warn", "a component has a name");
	refuses("volume=11", "\"volume\" is neither level nor reset");
	refuses("level=,", "\"\" is no level");
	levels_are("info");
}

static void set_all(const char *head)
{
	char query[64];

	for (int i = 0; i < LOG_SCOPES_MAX; i++) {
		struct errbuf err = { 0 };

		snprintf(query, sizeof(query), "level=%s%d:debug", head, i);
		if (logging_apply(query, LOG_INFO, &err) < 0)
			fail_msg("%s: %s", query, err.text);
	}
}

static void components_are_limited_and_what_has_no_room_changes_nothing(void **state)
{
	_free_ char *before = NULL;

	(void)state;
	set_all("c");
	before = log_levels_text();
	refuses("level=onemore:debug", "32 of 32 components have a level of their own");
	refuses("level=error,c3:warn,onemore:debug", "components have a level of their own");
	levels_are(before);
	takes("level=onemore:debug&reset", "warn,onemore=debug");
}

static void names_of_before_a_reset_take_no_room(void **state)
{
	(void)state;
	set_all("d");
	takes("reset", "warn");
	set_all("e");
	takes("level=dns:debug&reset", "warn,dns=debug");
}

static void a_component_has_its_own_level(void **state)
{
	(void)state;
	assert_false(log_enabled(LOG_DEBUG));
	takes("level=dns:debug", "info,dns=debug");
	assert_true(log_enabled(LOG_DEBUG));
	takes("reset", "warn");
	assert_false(log_enabled(LOG_INFO));
}

#define T(f) cmocka_unit_test_setup(f, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_level_is_for_all_or_for_a_component),
		T(the_words_of_other_tools_are_understood),
		T(reset_is_as_at_the_start_before_levels_count),
		T(a_wrong_query_changes_nothing),
		T(a_component_has_its_own_level),
		T(components_are_limited_and_what_has_no_room_changes_nothing),
		T(names_of_before_a_reset_take_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
