// SPDX-License-Identifier: Apache-2.0
/*
 * The mesh file and weftd.yaml of a lab are built as JSON trees and written as YAML, because
 * people read and edit them; parts of the lab file are passed through as they are. Used by
 * lab_parse.c and lab_gen.c; no state; any thread.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "codec/yaml.h"
#include "lab_json.h"

static bool text_is_integer(struct str s)
{
	size_t i = s.n > 0 && s.p[0] == '-' ? 1 : 0;

	if (s.n == i || s.n > 18 || (s.n > i + 1 && s.p[i] == '0'))
		return false;
	for (; i < s.n; i++) {
		if (!isdigit((unsigned char)s.p[i]))
			return false;
	}
	return true;
}

static json_t *scalar_from_yaml(const struct yaml *y)
{
	if (y->quoted)
		return json_stringn(y->text.p, y->text.n);
	if (str_eq(y->text, STR("true")) || str_eq(y->text, STR("false")))
		return json_boolean(y->text.n == 4);
	if (str_eq(y->text, STR("null")) || str_eq(y->text, STR("~")) || y->text.n == 0)
		return json_null();
	if (text_is_integer(y->text))
		return json_integer(strtoll(y->text.p, NULL, 10));
	return json_stringn(y->text.p, y->text.n);
}

json_t *json_from_yaml(const struct yaml *y)
{
	_json_ json_t *j = NULL;

	if (y->kind == YAML_NULL)
		return json_null();
	if (y->kind == YAML_SCALAR)
		return scalar_from_yaml(y);
	j = y->kind == YAML_MAP ? json_object() : json_array();
	for (size_t i = 0; j && i < y->n; i++) {
		json_t *child = json_from_yaml(y->child[i]);
		_free_ char *key = y->kind == YAML_MAP ? str_dup(y->child[i]->key) : NULL;
		int r = y->kind == YAML_MAP ? (key ? json_object_set_new(j, key, child) : -1)
					    : json_array_append_new(j, child);

		if (r < 0)
			return NULL;
	}
	return TAKE_PTR(j);
}

/* Text that every YAML reader takes for a string without quotes. */
static bool text_is_plain(const char *s)
{
	static const char *const words[] = { "true", "false", "null", "yes", "no",
					     "on",   "off",   "y",    "n" };

	if (!isalpha((unsigned char)s[0]) && s[0] != '/' && s[0] != '_')
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcasecmp(s, words[i]) == 0)
			return false;
	}
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("/._-", *s))
			return false;
	}
	return true;
}

static void text_print(const char *s, FILE *out)
{
	_json_ json_t *j = NULL;

	if (text_is_plain(s)) {
		fputs(s, out);
		return;
	}
	j = json_string(s);
	json_dumpf(j, out, JSON_ENCODE_ANY);
}

static bool is_block(const json_t *j)
{
	return json_is_object(j) ? json_object_size(j) > 0 :
				   json_is_array(j) && json_array_size(j) > 0;
}

static bool is_flow_list(const json_t *j)
{
	size_t i;
	json_t *item;

	if (!json_is_array(j) || json_array_size(j) == 0)
		return false;
	json_array_foreach(j, i, item) {
		if (json_is_object(item) || json_is_array(item))
			return false;
	}
	return true;
}

static void flow_print(const json_t *j, FILE *out)
{
	size_t i;
	json_t *item;

	if (json_is_string(j)) {
		text_print(json_string_value(j), out);
		return;
	}
	if (!is_flow_list(j)) {
		json_dumpf(j, out, JSON_ENCODE_ANY);
		return;
	}
	fputc('[', out);
	json_array_foreach(j, i, item) {
		fputs(i ? ", " : "", out);
		flow_print(item, out);
	}
	fputc(']', out);
}

static void block_print(const json_t *j, int indent, bool inline_first, FILE *out);

/* The value behind "key:" or "-"; a block goes on the next line, deeper. */
static void value_print(const json_t *j, int indent, FILE *out)
{
	if (!is_block(j) || is_flow_list(j)) {
		fputc(' ', out);
		flow_print(j, out);
		fputc('\n', out);
		return;
	}
	fputc('\n', out);
	block_print(j, indent, false, out);
}

static void list_print(const json_t *j, int indent, bool inline_first, FILE *out)
{
	size_t i;
	json_t *item;

	json_array_foreach(j, i, item) {
		fprintf(out, "%*s-", inline_first && i == 0 ? 0 : indent, "");
		if (is_block(item) && !is_flow_list(item)) {
			fputc(' ', out);
			block_print(item, indent + 2, true, out);
		} else {
			value_print(item, indent + 2, out);
		}
	}
}

/* inline_first: the first line stands behind a "- " already. */
static void block_print(const json_t *j, int indent, bool inline_first, FILE *out)
{
	const char *key;
	json_t *value;
	bool first = inline_first;

	if (json_is_array(j)) {
		list_print(j, indent, inline_first, out);
		return;
	}
	json_object_foreach((json_t *)(uintptr_t)j, key, value) {
		fprintf(out, "%*s", first ? 0 : indent, "");
		text_print(key, out);
		fputc(':', out);
		value_print(value, indent + 2, out);
		first = false;
	}
}

void json_to_yaml(const json_t *j, FILE *out)
{
	if (is_block(j)) {
		block_print(j, 0, false, out);
		return;
	}
	flow_print(j, out);
	fputc('\n', out);
}

int file_replace(const char *path, const char *text, size_t n, struct errbuf *err)
{
	_free_ char *temp = str_printf("%s.new", path);
	_fclose_ FILE *f = NULL;

	if (!temp)
		return -ENOMEM;
	f = fopen(temp, "we");
	if (!f)
		return errbuf_set(err, -errno, "%s: cannot create: %s", temp, strerror(errno));
	if (fwrite(text, 1, n, f) != n || fflush(f) != 0)
		return errbuf_set(err, -EIO, "%s: cannot write: %s", temp, strerror(errno));
	if (rename(temp, path) < 0)
		return errbuf_set(err, -errno, "%s: cannot replace: %s", path, strerror(errno));
	return 0;
}

int json_write_file(const char *path, const json_t *j, bool as_yaml, struct errbuf *err)
{
	_free_ char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return -ENOMEM;
	if (as_yaml)
		json_to_yaml(j, f);
	else
		json_dumpf(j, f, JSON_INDENT(2));
	if (fclose(f) != 0)
		return -ENOMEM;
	return file_replace(path, text, n, err);
}
