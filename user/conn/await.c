// SPDX-License-Identifier: Apache-2.0
/*
 * istio-cni tells of a pod before the control plane does, and its application may connect at once.
 * Such a connection waits a moment for the pod's workload and certificate, as it would in ztunnel,
 * instead of being reset.
 */
#include <string.h>

#include "base/clock.h"
#include "conn/conn.h"
#include "ident/store.h"
#include "tls/handshake.h"

#define LOOK_NS (50 * NS_PER_MS)
#define AWAIT_NS (5 * NS_PER_S)

/* The pod under the identity that it has got since the connection was accepted. */
static void refresh(struct conn *c)
{
	struct conn_local *now = conn_serving(c->w, c->local);

	if (!now || now == c->local)
		return;
	conn_local_put(&c->local);
	c->local = conn_local_get(now);
}

static bool has_certificate(struct conn *c)
{
	struct tls_identity *id = NULL;
	bool has;

	if (c->local->identity[0])
		id = ident_current_any(c->w->sh->ident, c->local->identity);
	has = id;
	tls_identity_put(&id);
	return has;
}

static bool is_known(struct conn *c)
{
	refresh(c);
	/* Where plaintext goes nobody asks for one. */
	return conn_local_workload(model_snap(c->w->sh->model), c->local) &&
	       (c->stages == conn_plain || has_certificate(c));
}

static void on_look(void *arg)
{
	struct conn *c = arg;

	/* Whatever is still missing then, the next stages say. */
	if (is_known(c) || clock_mono_ns() - c->started_ns > AWAIT_NS)
		conn_resume(c);
	else
		timer_set(c->w->loop, &c->deadline, LOOK_NS, on_look, c);
}

enum step stage_await(struct conn *c)
{
	if (!c->local->pass_mark || is_known(c))
		return STEP_NEXT;
	timer_set(c->w->loop, &c->deadline, LOOK_NS, on_look, c);
	return STEP_WAIT;
}
