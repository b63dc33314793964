// SPDX-License-Identifier: Apache-2.0
/* Choice of the metrics format by Accept (RFC 9110 section 12.5.1). Pure; used by pages.c. */
#include "admin/pages.h"

#include "base/str.h"

/* "0.75" -> 750; 1000 for what cannot be read, as if no weight were given. */
static unsigned weight_of(struct str q)
{
	unsigned v = 0, digits = 0;

	if (q.n == 0 || q.p[0] != '0')
		return 1000;
	for (size_t i = 2; i < q.n && i < 5 && q.p[i] >= '0' && q.p[i] <= '9'; i++, digits++)
		v = v * 10 + (unsigned)(q.p[i] - '0');
	for (; digits < 3; digits++)
		v *= 10;
	return v;
}

static unsigned range_weight(struct str params)
{
	while (params.p) {
		struct str one = str_trim(str_cut(&params, ';'));

		if (one.n > 2 && (one.p[0] == 'q' || one.p[0] == 'Q') && one.p[1] == '=')
			return weight_of((struct str){ one.p + 2, one.n - 2 });
	}
	return 1000;
}

bool pages_wants_openmetrics(const char *accept)
{
	unsigned open = 0, text = 0;
	struct str rest = str_of(accept);

	while (rest.p) {
		struct str params = str_cut(&rest, ',');
		struct str type = str_trim(str_cut(&params, ';'));
		unsigned q = range_weight(params);

		if (str_eq_nocase(type, STR("application/openmetrics-text")) && q > open)
			open = q;
		else if (str_eq_nocase(type, STR("text/plain")) && q > text)
			text = q;
	}
	return open > 0 && open >= text;
}
