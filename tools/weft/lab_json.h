/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* JSON trees of the lab: from YAML nodes, to YAML text, and files replaced as a whole. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/errbuf.h"

struct yaml;

/* Plain scalars that look like integers, booleans or null become those; NULL: no memory. */
json_t *json_from_yaml(const struct yaml *y);
/* Block style, a list of scalars in flow style. */
void json_to_yaml(const json_t *j, FILE *out);

/* Writes path by way of path.new and rename, so that a reader sees the old or the new text. */
int file_replace(const char *path, const char *text, size_t n, struct errbuf *err);
int json_write_file(const char *path, const json_t *j, bool as_yaml, struct errbuf *err);

static inline void own_json(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}
#define _json_ __attribute__((cleanup(own_json)))
