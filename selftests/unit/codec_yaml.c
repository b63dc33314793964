// SPDX-License-Identifier: Apache-2.0
/* Unit tests of codec/yaml. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "base/own.h"
#include "codec/yaml.h"

#define _yaml_ cleanup_with(yaml_free)

static struct yaml *parsed(struct str text)
{
	struct errbuf err = { 0 };
	struct yaml *y = NULL;
	int r = yaml_parse(text, "t.yaml", &err, &y);

	if (r < 0)
		fail_msg("%s", err.text);
	return y;
}

static void assert_error(struct str text, const char *want)
{
	struct errbuf err = { 0 };
	struct yaml *y = (void *)1;

	assert_int_equal(yaml_parse(text, "t.yaml", &err, &y), -EINVAL);
	assert_string_equal(err.text, want);
	assert_ptr_equal(y, (void *)1);
	assert_int_equal(yaml_parse(text, "t.yaml", NULL, &y), -EINVAL);
}

static void assert_text(const struct yaml *y, const char *want)
{
	assert_non_null(y);
	assert_int_equal(y->kind, YAML_SCALAR);
	assert_string_equal(y->text.p, want);
	assert_int_equal(y->text.n, strlen(want));
}

static void maps_lists_and_text_become_a_tree_with_places(void **state)
{
	_yaml_ struct yaml *y = parsed(STR("name: a\n"
					   "ports:\n"
					   "  - 80\n"
					   "  - {port: 443, tls: 'yes'}\n"));
	const struct yaml *ports = yaml_get(y, "ports");

	(void)state;
	assert_int_equal(y->kind, YAML_MAP);
	assert_int_equal(y->n, 2);
	assert_text(yaml_get(y, "name"), "a");
	assert_string_equal(y->child[0]->key.p, "name");
	assert_int_equal(ports->kind, YAML_LIST);
	assert_int_equal(ports->line, 2);
	assert_int_equal(ports->column, 1);
	assert_int_equal(ports->n, 2);
	assert_text(ports->child[0], "80");
	assert_false(ports->child[0]->quoted);
	assert_int_equal(ports->child[0]->line, 3);
	assert_int_equal(ports->child[0]->column, 5);
	assert_text(yaml_get(ports->child[1], "tls"), "yes");
	assert_true(yaml_get(ports->child[1], "tls")->quoted);
	assert_null(yaml_get(y, "nothing"));
	assert_null(yaml_get(ports, "port"));
	assert_null(yaml_get(NULL, "port"));
}

static void json_is_read_as_well(void **state)
{
	_yaml_ struct yaml *y =
		parsed(STR("{\"a\":1,\"b\":[true,null,\"x\\n\\u00e9\\/\"],\n\t\"\":{}}"));
	const struct yaml *b = yaml_get(y, "b");

	(void)state;
	assert_text(yaml_get(y, "a"), "1");
	assert_int_equal(b->n, 3);
	assert_int_equal(b->child[1]->kind, YAML_NULL);
	assert_text(b->child[2], "x\n\xc3\xa9/");
	assert_int_equal(yaml_get(y, "")->kind, YAML_MAP);
}

static void only_plain_null_words_are_null(void **state)
{
	_yaml_ struct yaml *y = parsed(STR("a: ~\nb: null\nc:\nd: 'null'\ne: ''\nf: nil\n"
					   "g: !!str null\nh: |\n  ~\n"));

	(void)state;
	assert_int_equal(yaml_get(y, "a")->kind, YAML_NULL);
	assert_int_equal(yaml_get(y, "b")->kind, YAML_NULL);
	assert_string_equal(yaml_get(y, "b")->text.p, "null");
	assert_int_equal(yaml_get(y, "c")->kind, YAML_NULL);
	assert_text(yaml_get(y, "d"), "null");
	assert_text(yaml_get(y, "e"), "");
	assert_text(yaml_get(y, "f"), "nil");
	assert_text(yaml_get(y, "g"), "null");
	assert_text(yaml_get(y, "h"), "~\n");
	assert_true(yaml_get(y, "h")->quoted);
}

static void an_empty_document_is_null(void **state)
{
	static const char *const texts[] = { "", "\n", "# nothing\n", "---\n", "---\n...\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		_yaml_ struct yaml *y = parsed(str_of(texts[i]));

		assert_int_equal(y->kind, YAML_NULL);
		assert_int_equal(y->line, 1 + (texts[i][0] == '-' && y->line > 1));
	}
	_yaml_ struct yaml *y = parsed((struct str){ 0 });

	assert_int_equal(y->kind, YAML_NULL);
}

static void a_duplicate_key_is_an_error_that_names_both_places(void **state)
{
	char text[2048] = "";
	size_t n = 0;

	(void)state;
	assert_error(STR("a: 1\nb:\n  c: 2\n  d: 3\n  c:\n    - 4\n"),
		     "t.yaml:5:3: key \"c\" is there twice (first in line 3)");
	assert_error(STR("{a: 1, 'a': 2}"), "t.yaml:1:8: key \"a\" is there twice (first in line 1)");
	/* A large map takes another way. */
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "k%d: v\n", i * 7 % 100);
	{
		_yaml_ struct yaml *y = parsed((struct str){ text, n });

		assert_int_equal(y->n, 100);
	}
	n += (size_t)snprintf(text + n, sizeof(text) - n, "k14: again\n");
	assert_error((struct str){ text, n },
		     "t.yaml:101:1: key \"k14\" is there twice (first in line 3)");
}

static void the_same_key_in_different_maps_is_fine(void **state)
{
	_yaml_ struct yaml *y = parsed(STR("- a: 1\n- a: 2\n- ab: 1\n  a: {a: 3}\n"));

	(void)state;
	assert_text(yaml_get(y->child[1], "a"), "2");
}

static void an_alias_is_a_deep_copy_at_its_own_place(void **state)
{
	_yaml_ struct yaml *y = parsed(STR("a: &x {p: [1, 2]}\nb: *x\nc: &x 5\nd: *x\n"));
	const struct yaml *a = yaml_get(y, "a"), *b = yaml_get(y, "b");

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_int_equal(b->line, 2);
	assert_int_equal(b->kind, YAML_MAP);
	assert_string_equal(b->key.p, "b");
	assert_text(yaml_get(b, "p")->child[1], "2");
	assert_ptr_not_equal(yaml_get(a, "p"), yaml_get(b, "p"));
	assert_text(yaml_get(y, "d"), "5");
}

static void broken_aliases_are_errors(void **state)
{
	(void)state;
	assert_error(STR("a: *x\n"), "t.yaml:1:4: alias without anchor");
	assert_error(STR("a: &x [1, *x]\n"), "t.yaml:1:11: alias of something it is part of");
	assert_error(STR("a: &x 1\n*x : 2\n"), "t.yaml:2:1: an alias cannot be a key");
	assert_error(STR("&x a: 1\n"), "t.yaml:1:1: anchors on keys are not supported");
}

/* n levels of nine aliases each, the "billion laughs". */
static struct str laughs(char *buf, size_t cap, int levels, const char *seed)
{
	size_t n = (size_t)snprintf(buf, cap, "l0: &l0 %s\n", seed);

	for (int i = 1; i <= levels; i++) {
		n += (size_t)snprintf(buf + n, cap - n, "l%d: &l%d [", i, i);
		for (int k = 0; k < 9; k++)
			n += (size_t)snprintf(buf + n, cap - n, "*l%d%s", i - 1, k < 8 ? "," : "]\n");
	}
	return (struct str){ buf, n };
}

static void aliases_cannot_multiply_without_limit(void **state)
{
	char text[4096], seed[1024];
	struct errbuf err = { 0 };
	struct yaml *y = NULL;

	(void)state;
	assert_int_equal(yaml_parse(laughs(text, sizeof(text), 12, "x"), "t", &err, &y), -EINVAL);
	assert_non_null(strstr(err.text, "too many values"));

	memset(seed, 'x', sizeof(seed) - 1);
	seed[sizeof(seed) - 1] = '\0';
	err = (struct errbuf){ 0 };
	assert_int_equal(yaml_parse(laughs(text, sizeof(text), 12, seed), "t", &err, &y), -EINVAL);
	assert_non_null(strstr(err.text, "too much text"));
	assert_null(y);
}

static void depth_is_limited_also_through_aliases(void **state)
{
	char text[1024];
	size_t n = 0;

	(void)state;
	memset(text, '[', 64);
	memset(text + 64, ']', 64);
	{
		_yaml_ struct yaml *y = parsed((struct str){ text, 128 });

		assert_int_equal(y->n, 1);
	}
	memset(text, '[', 65);
	assert_error((struct str){ text, 65 }, "t.yaml:1:65: nested too deeply");
	memset(text, '[', sizeof(text));
	assert_error((struct str){ text, sizeof(text) }, "t.yaml:1:65: nested too deeply");

	n += (size_t)snprintf(text, sizeof(text), "- &a ");
	memset(text + n, '[', 60);
	memset(text + n + 60, ']', 60);
	n += 120;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\n- [[[[[*a]]]]]\n");
	assert_error((struct str){ text, n }, "t.yaml:2:8: nested too deeply");
}

static void the_number_of_anchors_is_limited(void **state)
{
	_free_ char *text = malloc(64 * 1024);
	struct errbuf err = { 0 };
	struct yaml *y = NULL;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 1025; i++)
		n += (size_t)snprintf(text + n, 64 * 1024 - n, "- &a%d x\n", i);
	assert_int_equal(yaml_parse((struct str){ text, n }, "t", &err, &y), -EINVAL);
	assert_string_equal(err.text, "t:1025:3: too many anchors");
}

static void a_second_document_is_an_error_that_names_its_line(void **state)
{
	(void)state;
	assert_error(STR("a: 1\n---\nb: 2\n"), "t.yaml:2:1: only one document is allowed");
	assert_error(STR("---\na: 1\n...\n---\n"), "t.yaml:4:1: only one document is allowed");
	assert_error(STR("---\na: 1\n...\nb: 2\n"),
		     "t.yaml:4:1: did not find expected <document start>");
}

static void what_a_configuration_does_not_need_is_refused(void **state)
{
	(void)state;
	assert_error(STR("a: {x: 1}\nb:\n  <<: {x: 1}\n"),
		     "t.yaml:3:3: merge keys (<<) are not supported");
	assert_error(STR("a: !!python/object x\n"), "t.yaml:1:4: tags are not supported");
	assert_error(STR("a: !!binary aGk=\n"), "t.yaml:1:4: tags are not supported");
	assert_error(STR("a: !thing {}\n"), "t.yaml:1:4: tags are not supported");
	assert_error(STR("? [a]\n: 1\n"), "t.yaml:1:3: a key must be text, not a list or map");
	assert_error(STR("a: ! 5\n"), "t.yaml:1:4: tags are not supported");
	assert_error(STR("a: 1\n? \n: 2\n"), "t.yaml:2:2: a key is missing before ':'");
	assert_error(STR("a: \"x\\0y\"\n"), "t.yaml:1:4: NUL characters are not allowed");
	assert_error(STR("\"\\0\": y\n"), "t.yaml:1:1: NUL characters are not allowed");
}

static void errors_of_syntax_have_a_line(void **state)
{
	static const struct {
		struct str text;
		const char *place;
	} bad[] = {
		{ STR("a: 1\n b: 2\n"), "t.yaml:2:" },
		{ STR("a: [1, 2\nb: 3\n"), "t.yaml:2:" },
		{ STR("a: 'x\n"), "t.yaml:2:" },
		{ STR("a:\n\tb: 1\n"), "t.yaml:2:" },
		{ STR("a: 1\nb: \xff\n"), "t.yaml:2:4: " },
		{ STR("a: 1\nb: x\x01y\n"), "t.yaml:2:5: " },
		{ STR("a: x\0y\n"), "t.yaml:1:5: " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct errbuf err = { 0 };
		struct yaml *y = NULL;

		assert_int_equal(yaml_parse(bad[i].text, "t.yaml", &err, &y), -EINVAL);
		assert_memory_equal(err.text, bad[i].place, strlen(bad[i].place));
		assert_null(y);
	}
}

static void a_file_is_read_and_errors_name_it(void **state)
{
	char path[] = "/tmp/codec_yaml.XXXXXX";
	_close_ int fd = mkstemp(path);
	struct errbuf err = { 0 };
	struct yaml *y = NULL;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "a: b\n", 5), 5);
	assert_int_equal(yaml_read_file(path, &err, &y), 0);
	assert_text(yaml_get(y, "a"), "b");
	yaml_free(&y);
	assert_null(y);
	yaml_free(&y);
	unlink(path);
	assert_int_equal(yaml_read_file("/nonexistent/x", &err, &y), -ENOENT);
	assert_string_equal(err.text, "/nonexistent/x: No such file or directory");
	err = (struct errbuf){ 0 };
	assert_int_equal(yaml_read_file("/tmp", &err, &y), -EISDIR);
	assert_string_equal(err.text, "/tmp: Is a directory");
	assert_int_equal(yaml_read_file("/dev/null", NULL, &y), 0);
	assert_int_equal(y->kind, YAML_NULL);
	yaml_free(&y);
	err = (struct errbuf){ 0 };
	assert_int_equal(yaml_read_file("/dev/zero", &err, &y), -EINVAL);
	assert_string_equal(err.text, "/dev/zero:1:1: larger than 64 MiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_lists_and_text_become_a_tree_with_places),
		cmocka_unit_test(json_is_read_as_well),
		cmocka_unit_test(only_plain_null_words_are_null),
		cmocka_unit_test(an_empty_document_is_null),
		cmocka_unit_test(a_duplicate_key_is_an_error_that_names_both_places),
		cmocka_unit_test(the_same_key_in_different_maps_is_fine),
		cmocka_unit_test(an_alias_is_a_deep_copy_at_its_own_place),
		cmocka_unit_test(broken_aliases_are_errors),
		cmocka_unit_test(aliases_cannot_multiply_without_limit),
		cmocka_unit_test(depth_is_limited_also_through_aliases),
		cmocka_unit_test(the_number_of_anchors_is_limited),
		cmocka_unit_test(a_second_document_is_an_error_that_names_its_line),
		cmocka_unit_test(what_a_configuration_does_not_need_is_refused),
		cmocka_unit_test(errors_of_syntax_have_a_line),
		cmocka_unit_test(a_file_is_read_and_errors_name_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
