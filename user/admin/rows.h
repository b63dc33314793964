/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the admin room: rows of JSON. The _new functions of jansson accept NULL and answer
 * -1, so a row is built without a check after each member: the results are or'ed together.
 */
#include <jansson.h>

#include "base/ip.h"
#include "base/own.h"
#include "model/types.h"

static inline void own_json(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

#define _json_ cleanup_with(own_json)

int row_set_text(json_t *row, const char *key, const char *value);
int row_set_u64(json_t *row, const char *key, uint64_t v);
int row_set_addrs(json_t *row, const char *key, const struct weft_addr *addrs, size_t n);
/* Finishes a row: gives it to the list, or drops it when something failed (r). */
int row_add(json_t *list, json_t *row, int r);
/* The words of the mesh file. */
const char *row_status_text(enum workload_status status);
const char *row_scope_text(enum policy_scope scope);
const char *row_action_text(enum policy_action action);
