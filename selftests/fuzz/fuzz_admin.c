// SPDX-License-Identifier: Apache-2.0
/*
 * What our own code reads of HTTP on the admin and metrics ports: the query of /logging, which takes
 * all or nothing, and the Accept header. Requests themselves are libmicrohttpd's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/logging.h"
#include "admin/pages.h"
#include "base/bug.h"
#include "base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_free_ char *text = strndup((const char *)data, size);
	_free_ char *before = NULL, *after = NULL;
	struct errbuf err = { 0 };
	int r;

	BUG_ON(!text);
	pages_wants_openmetrics(text);
	log_clear_scopes();
	log_set_level(LOG_ERROR);
	before = log_levels_text();
	r = logging_apply(text, LOG_ERROR, &err);
	after = log_levels_text();
	BUG_ON(!before || !after);
	BUG_ON(r < 0 && (!err.text[0] || strcmp(before, after) != 0));
	return 0;
}
