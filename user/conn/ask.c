// SPDX-License-Identifier: Apache-2.0
/*
 * Where the mesh is fetched on demand (feed/demand.h): a connection waits for what has to be known
 * about it. One that leaves a pod goes nowhere before istiod has said who has the address that was
 * dialled, or that nobody has; one that comes in waits for the names of both sides, and for who is
 * behind an address that is not the pod's own.
 */
#include <errno.h>

#include "base/hmap.h"
#include "base/log.h"
#include "conn/conn.h"
#include "feed/demand.h"
#include "lb/unknown.h"

/* Later than any answer; for when there was no memory to tell of it. */
#define BACKSTOP_NS (2 * DEMAND_WAIT_NS)
/* The address, its waypoint, and as often again while the mesh changes. */
#define ROUNDS_MAX 4

static enum step go(struct conn *c, int r);

static void on_answer(void *arg, int r)
{
	struct conn *c = arg;
	enum step step;

	c->ask = NULL;
	conn_deadline(c, 0);
	step = go(c, r);
	if (step == STEP_NEXT)
		conn_resume(c);
	else if (step == STEP_FAIL)
		conn_end(c, c->reason, NULL);
}

static int ask(struct conn *c, const struct unknown *u)
{
	const struct demand_question q = { .name = u->name,
					   .addr = u->dialled ? &u->addr : NULL,
					   .hurry = c->stages != conn_outbound };
	int r = demand_ask_any(c->w->sh->demand, c->w->loop, &q, on_answer, c, &c->ask);

	c->asked = hash_str(str_of(u->name));
	if (r == 0)
		conn_deadline(c, BACKSTOP_NS);
	return r;
}

/* ---- out of a pod ---- */

static enum step fail_out(struct conn *c, const struct unknown *u, int r)
{
	bool full = r == -ENOBUFS || r == -ENOMEM;

	c->path = WEFT_PATH_DENIED;
	if (r == -EBADMSG)
		return conn_fail(c, WEFT_REASON_BAD_DESTINATION,
				 "what istiod says of %s is refused", u->name);
	return conn_fail(c, full ? WEFT_REASON_LIMIT : WEFT_REASON_TIMEOUT,
			 "istiod has not said what %s is: %s", u->name, log_strerror(r));
}

/* What is nobody's is outside of the mesh, as it is where all of the mesh is known. A waypoint or
 * an endpoint that is not there is for the next stage to say. */
static enum step go_out(struct conn *c, int r)
{
	const struct conn_shared *sh = c->w->sh;
	struct unknown u;

	if (!unknown_of(model_snap(sh->model), c->src, sh->network, &c->dialled.addr, &u))
		return STEP_NEXT;
	if (!c->asks || hash_str(str_of(u.name)) != c->asked) {
		r = c->asks++ < ROUNDS_MAX ? ask(c, &u) : -ETIMEDOUT;
		return r < 0 ? fail_out(c, &u, r) : STEP_WAIT;
	}
	if (u.dialled && r < 0 && r != -ENOENT)
		return fail_out(c, &u, r);
	c->outside = u.dialled;
	return STEP_NEXT;
}

/* ---- into a pod ---- */

static bool is_unknown(const struct snap *s, const struct weft_addr *a)
{
	return !ip_is_any(a) && !snap_workload_by_addr(s, a) && !snap_service_by_vip(s, a);
}

/* The client, then what it dialled, if that is another address than the pod's. Without an answer it
 * goes on: to whom it leads without one, the next stages refuse. */
static enum step go_in(struct conn *c)
{
	const struct conn_shared *sh = c->w->sh;
	const struct weft_addr *addr[] = { &c->client.addr, &c->dialled.addr };
	struct unknown u;

	while (c->asks < ARRAY_LEN(addr)) {
		const struct weft_addr *a = addr[c->asks++];

		if (!is_unknown(model_snap(sh->model), a))
			continue;
		unknown_addr(sh->network, a, &u);
		if (ask(c, &u) == 0)
			return STEP_WAIT;
	}
	return STEP_NEXT;
}

static enum step go(struct conn *c, int r)
{
	return c->stages == conn_outbound ? go_out(c, r) : go_in(c);
}

enum step stage_ask(struct conn *c)
{
	return c->w->sh->demand ? go(c, 0) : STEP_NEXT;
}
