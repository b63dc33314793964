// SPDX-License-Identifier: Apache-2.0
/*
 * Messages of istiod into the store: two-byte length, a DeltaDiscoveryResponse, the next one.
 * What was refused is remembered as that, of what is held a mesh can be built, and at the end nothing is
 * left of any of them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/log.h"
#include "feed/xds_priv.h"
#include "model/snap.h"
#include "unit/xds_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static struct loop *loop;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	log_set_level((enum log_level)-1); /* below errors: each refusal is one */
	return loop_new(&loop, "fuzz");
}

/* As the stream does it. */
static int message(struct xds *x, const uint8_t *p, size_t n)
{
	size_t half = n / 2;
	int r;

	xds_push_reset(&x->push);
	x->message++;
	r = xds_push_bytes(x, p, half);
	if (r == 0)
		r = xds_push_bytes(x, p + half, n - half);
	if (r == 0)
		r = xds_push_end(x);
	vec_for_each(name, &x->push.rejected)
		BUG_ON(r == 0 && x->push.has_type && !x->push.unknown_type &&
		       !xds_store_is_refused(&x->store, x->push.type, str_of(*name)));
	BUG_ON(r == 0 && x->push.n_errors == 0 && x->push.rejected.n);
	xds_push_reset(&x->push);
	x->call->waiting.n = 0; /* the answer */
	return r;
}

/* As apply does it. A mesh that cannot be built says why. */
static void build(const struct xds *x)
{
	cleanup_with(model_free) struct model *m = NULL;
	cleanup_with(snap_free) struct snap *s = NULL;
	struct model_input in = { 0 };
	struct errbuf err = { 0 };

	if (xds_store_input(&x->store, "n", &in) < 0 || model_new(&m) < 0) {
		model_input_drop(&in);
		return;
	}
	BUG_ON(model_build(m, &in, &err, &s) < 0 && !err.text[0]);
	BUG_ON(in.workload || in.service || in.policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xds x = { 0 };

	xds_client_begin(&x, loop);
	while (size > 2) {
		size_t n = (size_t)(data[0] << 8 | data[1]);

		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		if (message(&x, data, n) < 0)
			break; /* the stream would end */
		build(&x);
		data += n;
		size -= n;
	}
	xds_client_end(&x);
	return 0;
}
