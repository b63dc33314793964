/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A decoder of istiod's resources as the state of a cmocka test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "feed/xds_decode.h"

static inline int decoder_setup(void **state)
{
	struct xds_decoder *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	d->network = "";
	assert_int_equal(intern_new(&d->strings), 0);
	*state = d;
	return 0;
}

static inline int decoder_teardown(void **state)
{
	struct xds_decoder *d = *state;

	/* Every text that was taken was given back. */
	assert_int_equal(intern_count(d->strings), 0);
	xds_decoder_fini(d);
	intern_free(&d->strings);
	free(d);
	return 0;
}
