/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The environment that ztunnel reads, and what becomes of it in weftd: one table. What a key of the
 * configuration reads under the same meaning and in the same form stands in the table of keys
 * (struct optkey.env); here is what has to be translated, what weftd does not do, and what makes no
 * difference. Before any thread starts.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"

#define ZTENV_TEXT_MAX 112

/*
 * The value that ztunnel's variables give the key, for what has another form there: into buf, and the
 * name of the variable into *ret_name. 0: none is set; -EINVAL with a sentence about it.
 */
int ztenv_value(const char *key, char buf[ZTENV_TEXT_MAX], const char **ret_name, struct errbuf *err);

/* What one should know of variables that are set: names that look like ztunnel's and that nobody
 * knows, and values that weftd does not do. "" where all is well. is_key: of a key's own list. */
struct ztenv_report {
	char unknown[512], other[1024];
};
void ztenv_look(char *const *env, bool (*is_key)(const char *name), struct ztenv_report *ret);
