// SPDX-License-Identifier: Apache-2.0
/* The common part of all listing commands of weft. Owns nothing between calls. One thread. */
#include "listing.h"

#include <stdlib.h>

static const char *listing_key(const struct listing *l)
{
	return l->key ? l->key : l->cmd;
}

void listing_print(struct targets *ts, const struct listing *l)
{
	size_t skip = ts->many ? 0 : 1;
	struct table t;

	table_init(&t, l->columns + skip, l->n_columns - skip, stdout);
	vec_for_each(target, &ts->v) {
		const json_t *row, *list = json_object_get(target->reply, listing_key(l));
		size_t i;

		json_array_foreach(list, i, row) {
			if (ts->many)
				table_cell(&t, COLOUR_NONE, "%s", target->node);
			l->row(&t, row);
		}
	}
	if (t.cells.n)
		table_print(&t, stdout, 0);
	else if (l->empty)
		fprintf(stderr, "%s\n", l->empty);
	table_fini(&t);
}

int listing_run(const struct cli *c, const struct listing *l)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	bool done;
	int r = client_list(c, l->cmd, &ts, &done);

	if (!done)
		listing_print(&ts, l);
	return r;
}

void cell_texts(struct table *t, const json_t *list, size_t max)
{
	_free_ char *text = NULL;
	size_t n = json_array_size(list), size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return;
	for (size_t i = 0; i < n && i < max; i++) {
		const char *one = json_string_value(json_array_get(list, i));

		fprintf(f, "%s%s", i ? "," : "", one ? one : "?");
	}
	if (n > max)
		fprintf(f, " +%zu", n - max);
	fclose(f);
	table_cell(t, COLOUR_NONE, "%s", text);
}

void cell_count(struct table *t, const json_t *row, const char *key)
{
	char buf[24];

	if (json_is_number(json_object_get(row, key)))
		table_cell(t, COLOUR_NONE, "%s", human_count(buf, get_num(row, key)));
	else
		table_cell(t, COLOUR_NONE, "-");
}
