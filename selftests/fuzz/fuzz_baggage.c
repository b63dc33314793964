// SPDX-License-Identifier: Apache-2.0
/* Everything taken from baggage survives being written and read again. */
#include "base/bug.h"
#include "base/own.h"
#include "codec/hbone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_same(const struct str *a, const struct str *b, struct str in)
{
	BUG_ON(!a->p != !b->p || !str_eq(*a, *b));
	BUG_ON(a->p && (a->p < in.p || a->p + a->n > in.p + in.n || a->n == 0));
	for (size_t i = 0; i < a->n; i++)
		BUG_ON(a->p[i] <= ' ' || a->p[i] > '~' || a->p[i] == '"');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = { (const char *)data, n };
	struct hbone_baggage a, b;
	char text[4 * HBONE_TEXT_MAX], small[32];
	int len, r;

	hbone_baggage_parse(in, &a);
	len = hbone_baggage_format(text, sizeof(text), &a);
	BUG_ON(len < 0 || text[len] != '\0');
	hbone_baggage_parse((struct str){ text, (size_t)len }, &b);
	check_same(&a.cluster, &b.cluster, in);
	check_same(&a.ns, &b.ns, in);
	check_same(&a.workload_type, &b.workload_type, in);
	check_same(&a.workload_name, &b.workload_name, in);
	check_same(&a.service_name, &b.service_name, in);
	check_same(&a.service_version, &b.service_version, in);
	check_same(&a.region, &b.region, in);
	check_same(&a.zone, &b.zone, in);
	r = hbone_baggage_format(small, sizeof(small), &a);
	BUG_ON(r != (len < (int)sizeof(small) ? len : -ENAMETOOLONG));
	return 0;
}
