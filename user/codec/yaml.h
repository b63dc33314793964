/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML (and so JSON) text -> tree with line numbers. Limits: 64 MiB, depth 64, no aliases that
 * multiply (an alias is a copy, counted against the node limit). Plain scalars keep their text:
 * the reader of a key decides what it must be.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"
#include "base/str.h"

enum yaml_kind { YAML_NULL, YAML_SCALAR, YAML_MAP, YAML_LIST };

struct yaml {
	enum yaml_kind kind;
	bool quoted;   /* scalar was in quotes, so "null" and "5" are text */
	int line, column; /* 1-based; of its key if it has one */
	struct str text;  /* scalar; owned by the tree, NUL-terminated */
	struct str key;   /* name under which a map holds this node */
	size_t n;
	struct yaml **child; /* values of a map (see key) or items of a list */
};

/* One document, a second one is an error; an empty one is YAML_NULL, and so are plain ~, null
 * and nothing (which keep their text). path is only for messages. -EINVAL with
 * "path:line:column: what" in err. Duplicate keys of a map, merge keys and tags other than
 * !!str are errors. */
int yaml_parse(struct str text, const char *path, struct errbuf *err, struct yaml **ret);
/* All documents of a stream: a list with one node for each, empty ones are YAML_NULL. Anchors
 * hold inside of a document. */
int yaml_parse_all(struct str text, const char *path, struct errbuf *err, struct yaml **ret);
/* -errno of open(2) or read(2) with "path: why" in err, or as yaml_parse(). */
int yaml_read_file(const char *path, struct errbuf *err, struct yaml **ret);
/* libyaml calls a function of the same name inside itself and would find this one instead. */
void yaml_free(struct yaml **y) __asm__("weft_yaml_free");
const struct yaml *yaml_get(const struct yaml *map, const char *key); /* NULL if absent */
