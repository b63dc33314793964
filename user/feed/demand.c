// SPDX-License-Identifier: Apache-2.0
/*
 * What is asked for by name, see demand.h.
 *
 *	ASKED   sent, or waiting for a stream     until it is heard of, or for DEMAND_WAIT_NS
 *	HEARD   the answer is here                until the mesh with it is in force
 *	KEPT    all were told                     for DEMAND_KEEP_NS, then it is forgotten
 *
 * istiod answers a name once, and does not tell when something comes to an address that was
 * nobody's: such a name is given back when it is forgotten, and the next one who needs it asks anew.
 */
#include "feed/demand.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hmap.h"
#include "base/list.h"
#include "base/own.h"
#include "base/vec.h"
#include "io/loop.h"

enum state { ASKED, HEARD, KEPT };

struct demand_ask {
	struct list node; /* in the name's, on the control thread */
	struct demand *d;
	struct loop *loop;
	void (*fn)(void *arg, int r); /* the asker's; NULL: cancelled */
	void *arg;
	uint64_t began_ns;
	int result;
	bool hurry, by_addr;
	struct weft_addr addr;
	char name[];
};

struct name {
	struct hnode node;
	struct list age; /* by until_ns */
	struct list asks;
	enum state state;
	bool due;  /* is to be sent */
	bool sent; /* istiod knows on this stream that we want it */
	bool by_addr, outside; /* outside: demand_on_outside() was told */
	int result;
	uint64_t until_ns;
	struct weft_addr addr;
	char text[];
};

struct demand {
	struct loop *loop;
	struct hmap names;
	struct list age, heard; /* of ASKED and KEPT; of HEARD, which have no end of their own */
	struct timer expire;
	struct task flush;
	const struct demand_ops *ops;
	void *arg;
	bool streaming;
	void (*on_outside)(void *arg, const struct weft_addr *a, bool on);
	void *outside_arg;
	struct demand_stats stats;
};

static struct name *find(const struct demand *d, struct str text)
{
	for (struct hnode *n = hmap_first(&d->names, hash_str(text)); n; n = hmap_next_same(n)) {
		struct name *x = container_of(n, struct name, node);

		if (str_eq(str_of(x->text), text))
			return x;
	}
	return NULL;
}

/* ---- answers ---- */

static void on_answer(void *arg)
{
	struct demand_ask *a = arg;

	if (a->fn)
		a->fn(a->arg, a->result);
	free(a);
}

static void count(struct demand_stats *s, const struct demand_ask *a, int r)
{
	s->waited++;
	s->waited_ns += clock_mono_ns() - a->began_ns;
	s->found += r == 0;
	s->absent += r == -ENOENT;
	s->refused += r == -EBADMSG;
	s->timeout += r == -ETIMEDOUT;
	s->other += r < 0 && r != -ENOENT && r != -EBADMSG && r != -ETIMEDOUT;
}

static void answer(struct demand *d, struct demand_ask *a, int r)
{
	count(&d->stats, a, r);
	a->result = r;
	/* Out of memory: it is not told, and ends by a deadline of its own. */
	loop_post_any(a->loop, on_answer, a);
}

static void answer_all(struct demand *d, struct name *x, int r)
{
	list_for_each_safe(n, &x->asks) {
		struct demand_ask *a = list_entry(n, struct demand_ask, node);

		list_del(n);
		answer(d, a, r);
	}
}

/* ---- names ---- */

static void set_outside(struct demand *d, struct name *x, bool on)
{
	if (x->outside == on || !x->by_addr || !d->on_outside)
		return;
	x->outside = on;
	d->stats.outside += on ? 1 : (size_t)-1;
	d->on_outside(d->outside_arg, &x->addr, on);
}

static void name_drop(struct demand *d, struct name *x)
{
	d->stats.waiting -= x->state == ASKED;
	set_outside(d, x, false);
	list_del(&x->age);
	hmap_remove(&d->names, &x->node);
	free(x);
}

/* What is known by this very name stays subscribed to. */
static void give_back(struct demand *d, struct name *x)
{
	const char *one = x->text;

	if (x->sent && d->streaming && !d->ops->held(d->arg, str_of(x->text)))
		d->ops->send(d->arg, &one, 1, false);
	x->sent = false;
}

static void on_expire(void *arg);

static void expire_later(struct demand *d)
{
	const struct name *x = list_first(&d->age, struct name, age);
	uint64_t now = clock_mono_ns();

	if (!x)
		timer_cancel(&d->expire);
	else if (!timer_armed(&d->expire))
		timer_set(d->loop, &d->expire, x->until_ns > now ? x->until_ns - now : 0,
			  on_expire, d);
}

static void on_expire(void *arg)
{
	struct demand *d = arg;
	uint64_t now = clock_mono_ns();
	struct name *x;

	while ((x = list_first(&d->age, struct name, age)) && x->until_ns <= now) {
		answer_all(d, x, -ETIMEDOUT);
		give_back(d, x);
		name_drop(d, x);
	}
	expire_later(d);
}

static void set_until(struct demand *d, struct name *x, uint64_t ns)
{
	list_del(&x->age);
	list_add_tail(&d->age, &x->age);
	x->until_ns = clock_mono_ns() + ns;
	expire_later(d);
}

/* ---- sending ---- */

/* Whatever else was asked for in this turn goes with it. */
static void on_flush(void *arg)
{
	struct demand *d = arg;
	VEC(const char *) fresh = { 0 }, again = { 0 };
	int r = 0;

	if (!d->ops || !d->streaming)
		return;
	list_for_each(n, &d->age) {
		struct name *x = list_entry(n, struct name, age);

		if (!x->due)
			continue;
		/* istiod answers nothing to who has it already. */
		if (x->sent || d->ops->held(d->arg, str_of(x->text)))
			r = vec_push(&again, x->text);
		r = r < 0 ? r : vec_push(&fresh, x->text);
		if (r < 0)
			break;
		x->due = false;
		x->sent = true;
		d->stats.asked++;
	}
	if (again.n)
		d->ops->send(d->arg, again.p, again.n, false);
	if (fresh.n)
		d->ops->send(d->arg, fresh.p, fresh.n, true);
	vec_fini(&fresh);
	vec_fini(&again);
}

static void name_ask(struct demand *d, struct name *x)
{
	x->state = ASKED;
	x->due = true;
	d->stats.waiting++;
	set_until(d, x, DEMAND_WAIT_NS);
	task_defer(d->loop, &d->flush, on_flush, d);
}

static struct name *name_new(struct demand *d, const struct demand_ask *a)
{
	struct str text = str_of(a->name);
	struct name *x;

	if (d->names.n >= DEMAND_NAMES_MAX)
		return NULL;
	x = calloc(1, sizeof(*x) + text.n + 1);
	if (!x)
		return NULL;
	memcpy(x->text, text.p, text.n);
	x->by_addr = a->by_addr;
	x->addr = a->addr;
	list_init(&x->age);
	list_init(&x->asks);
	if (hmap_insert(&d->names, &x->node, hash_str(text)) < 0) {
		free(x);
		return NULL;
	}
	name_ask(d, x);
	return x;
}

/* Who asks again for an address that was found does so because it is not there any more. */
static bool is_stale(const struct name *x)
{
	return x->by_addr && x->result == 0;
}

static void on_ask(void *arg)
{
	struct demand_ask *a = arg;
	struct demand *d = a->d;
	struct name *x = find(d, str_of(a->name));

	if (!d->ops) {
		answer(d, a, -ECANCELED);
	} else if (x && x->state == KEPT && !is_stale(x)) {
		answer(d, a, x->result);
	} else if (a->hurry && !d->ops->connected(d->arg)) {
		answer(d, a, -ENOTCONN);
	} else if (x || (x = name_new(d, a))) {
		if (x->state == KEPT)
			name_ask(d, x);
		list_add_tail(&x->asks, &a->node);
	} else {
		answer(d, a, -ENOBUFS);
	}
}

int demand_ask_any(struct demand *d, struct loop *loop, const struct demand_question *q,
		   void (*fn)(void *arg, int r), void *arg, struct demand_ask **ret)
{
	struct str name = str_of(q->name);
	struct demand_ask *a = calloc(1, sizeof(*a) + name.n + 1);
	int r;

	if (!a)
		return -ENOMEM;
	list_init(&a->node);
	a->d = d;
	a->loop = loop;
	a->fn = fn;
	a->arg = arg;
	a->began_ns = clock_mono_ns();
	a->hurry = q->hurry;
	a->by_addr = q->addr;
	if (q->addr)
		a->addr = *q->addr;
	memcpy(a->name, name.p, name.n);
	r = loop_post_any(d->loop, on_ask, a);
	if (r < 0) {
		free(a);
		return r;
	}
	*ret = a;
	return 0;
}

void demand_cancel(struct demand_ask **pa)
{
	struct demand_ask *a = TAKE_PTR(*pa);

	if (a)
		a->fn = NULL;
}

/* ---- the client of the control plane ---- */

void demand_attach(struct demand *d, const struct demand_ops *ops, void *arg)
{
	d->ops = ops;
	d->arg = arg;
}

void demand_detach(struct demand *d)
{
	hmap_for_each_safe(n, &d->names) {
		struct name *x = container_of(n, struct name, node);

		answer_all(d, x, -ECANCELED);
		name_drop(d, x);
	}
	d->ops = NULL;
	d->streaming = false;
	timer_cancel(&d->expire);
	task_cancel(&d->flush);
}

void demand_stream_begin(struct demand *d, void (*fn)(void *arg, const char *name), void *arg)
{
	d->streaming = true;
	list_for_each(n, &d->age) {
		struct name *x = list_entry(n, struct name, age);

		if (x->state != ASKED)
			continue;
		fn(arg, x->text);
		x->due = false;
		x->sent = true;
		d->stats.asked++;
	}
}

void demand_stream_end(struct demand *d)
{
	d->streaming = false;
	hmap_for_each(n, &d->names) {
		struct name *x = container_of(n, struct name, node);

		x->sent = false;
		list_for_each_safe(k, &x->asks) {
			struct demand_ask *a = list_entry(k, struct demand_ask, node);

			if (!a->hurry)
				continue;
			list_del(k);
			answer(d, a, -ENOTCONN);
		}
	}
}

bool demand_waits(const struct demand *d, struct str name)
{
	const struct name *x = find(d, name);

	return x && x->state != KEPT;
}

/* Several answers may be in one message, as for an address of two: what is there counts more than
 * what is not, and what is refused most. */
static int graver(int a, int b)
{
	if (a == -EBADMSG || b == -EBADMSG)
		return -EBADMSG;
	return a == 0 || b == 0 ? 0 : a;
}

void demand_heard(struct demand *d, const char *name, int result)
{
	struct name *x = find(d, str_of(name));

	if (!x || x->state == KEPT)
		return;
	if (x->state == HEARD) {
		x->result = graver(x->result, result);
		return;
	}
	d->stats.waiting--;
	x->state = HEARD;
	x->result = result;
	list_del(&x->age);
	list_add_tail(&d->heard, &x->age);
}

void demand_settle(struct demand *d, int r)
{
	list_for_each_safe(n, &d->heard) {
		struct name *x = list_entry(n, struct name, age);

		if (r < 0)
			x->result = r;
		x->state = KEPT;
		set_until(d, x, DEMAND_KEEP_NS);
		set_outside(d, x, x->result == -ENOENT);
		answer_all(d, x, x->result);
	}
}

/* ---- life ---- */

int demand_new(struct loop *control, struct demand **ret)
{
	struct demand *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->loop = control;
	list_init(&d->age);
	list_init(&d->heard);
	*ret = d;
	return 0;
}

void demand_free(struct demand **pd)
{
	struct demand *d = TAKE_PTR(*pd);

	if (!d)
		return;
	d->on_outside = NULL;
	demand_detach(d);
	hmap_fini(&d->names);
	free(d);
}

void demand_on_outside(struct demand *d, void (*fn)(void *arg, const struct weft_addr *a, bool on),
		       void *arg)
{
	d->on_outside = fn;
	d->outside_arg = arg;
}

void demand_stats(const struct demand *d, struct demand_stats *ret)
{
	*ret = d->stats;
}
