// SPDX-License-Identifier: Apache-2.0
#include "report/drops.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct drops {
	pthread_mutex_t lock;
	uint64_t count[WEFT_REASON_MAX];
	uint64_t n;
	struct drop_rec ring[DROPS_RECENT];
};

int drops_new(struct drops **ret)
{
	struct drops *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
	*ret = d;
	return 0;
}

void drops_free(struct drops **d)
{
	free(*d);
	*d = NULL;
}

void drops_add_any(struct drops *d, const struct drop_rec *r)
{
	pthread_mutex_lock(&d->lock);
	if (r->reason < WEFT_REASON_MAX)
		d->count[r->reason]++;
	d->ring[d->n % DROPS_RECENT] = *r;
	d->ring[d->n % DROPS_RECENT].seq = d->n;
	d->n++;
	pthread_mutex_unlock(&d->lock);
}

uint64_t drops_count_any(struct drops *d, enum weft_reason reason)
{
	uint64_t n;

	pthread_mutex_lock(&d->lock);
	n = d->count[reason];
	pthread_mutex_unlock(&d->lock);
	return n;
}

size_t drops_recent_any(struct drops *d, struct drop_rec *out, size_t max)
{
	size_t have, from;

	pthread_mutex_lock(&d->lock);
	have = d->n < DROPS_RECENT ? d->n : DROPS_RECENT;
	if (have > max)
		have = max;
	from = d->n - have;
	for (size_t i = 0; i < have; i++)
		out[i] = d->ring[(from + i) % DROPS_RECENT];
	pthread_mutex_unlock(&d->lock);
	return have;
}
