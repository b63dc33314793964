// SPDX-License-Identifier: Apache-2.0
/*
 * The stream to istiod, its end and its return; see xds.h.
 *
 *	stream opens: both types are subscribed at once
 *	message:      decoded while it comes in (xds_push.c), ACK or NACK, apply
 *	stream ends:  what is held stays; again after a pause that doubles up to 15 s, with
 *	              jitter so that the nodes of a cluster do not come back all at once
 */
#define LOG_SCOPE "xds"
#include "feed/xds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/rand.h"
#include "feed/xds_priv.h"

#define METHOD "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"

#define BACKOFF_MIN_NS (100 * NS_PER_MS)
#define BACKOFF_MAX_NS (15 * NS_PER_S)
/* A server that takes the stream and then says nothing. istiod may have to read its whole
 * cluster first. */
#define PATIENCE_NS (60 * NS_PER_S)
/* Applying a large mesh takes its time; at most this part of the control thread's is spent on
 * it: 1 / (1 + APPLY_PAUSE). */
#define APPLY_PAUSE 4
/* istiod tells of workloads before it tells of the policies that they name, and a policy that is
 * missing denies: applied at once, a new policy would cut connections that it allows. */
#define POLICY_WAIT_NS (500 * NS_PER_MS)

static void stream_start(void *arg);

/* ---- applying ---- */

static int apply_all(struct xds *x, struct errbuf *err)
{
	struct model_input in = { 0 };
	int r = xds_store_input(&x->store, x->o.node, &in);

	return r < 0 ? r : apply_input(&x->applier, &in, err);
}

/* Only some policies: the rest of the mesh is shared with what is in force. */
static int apply_changed(struct xds *x, struct errbuf *err)
{
	_free_ struct policy_change *change = calloc(x->policies.n + 1, sizeof(*change));
	size_t n = 0;

	if (!change)
		return -ENOMEM;
	vec_for_each(name, &x->policies) {
		struct xds_resource *r = xds_store_find(&x->store, XDS_AUTHORIZATION, str_of(*name));

		change[n++] = (struct policy_change){ .policy = r ? policy_get(r->obj.policy) : NULL,
						      .key = *name };
	}
	return apply_policies(&x->applier, change, n, err);
}

static void apply_now(void *arg)
{
	struct xds *x = arg;
	struct errbuf err = { 0 };
	uint64_t begin = clock_mono_ns();
	int r = x->only_policies && x->status.applied ? apply_changed(x, &err) : apply_all(x, &err);

	x->applied_ns = clock_mono_ns();
	x->status.apply_ns = x->applied_ns - begin;
	xds_clean(x);
	if (x->o.demand)
		demand_settle(x->o.demand, r < 0 ? -EIO : 0);
	x->lacks_since_ns = 0;
	x->status.apply_error[0] = '\0';
	if (r < 0) {
		x->status.failed++;
		x->dirty = true; /* all of it is tried again with the next change */
		snprintf(x->status.apply_error, sizeof(x->status.apply_error), "%s",
			 err.text[0] ? err.text : log_strerror(r));
		log_error("%s; the mesh stays as it was", x->status.apply_error);
		return;
	}
	x->status.applied++;
	x->status.last_applied_s = clock_wall_s();
}

static void apply_soon(struct xds *x)
{
	uint64_t due = x->applied_ns + APPLY_PAUSE * x->status.apply_ns, now = clock_mono_ns();

	if (!x->dirty || !x->answered_once[XDS_ADDRESS] || !x->answered_once[XDS_AUTHORIZATION])
		return;
	if (x->lacks_since_ns && x->lacks_since_ns + POLICY_WAIT_NS > due)
		due = x->lacks_since_ns + POLICY_WAIT_NS;
	timer_cancel(&x->apply);
	if (now >= due)
		apply_now(x);
	else
		timer_set(x->loop, &x->apply, due - now, apply_now, x);
}

/* ---- messages ---- */

static void set_connected(struct xds *x)
{
	if (x->status.connected)
		return;
	x->status.connected = true;
	x->status.since_s = clock_wall_s();
	x->status.error[0] = '\0';
	x->backoff_ns = BACKOFF_MIN_NS;
	log_info("connected to %s (%s)", x->status.server, grpc_channel_peer(x->channel));
}

static int on_begin(void *arg, uint32_t bytes)
{
	struct xds *x = arg;

	timer_cancel(&x->patience);
	set_connected(x);
	xds_push_reset(&x->push);
	x->message++;
	x->status.bytes += bytes;
	return 0;
}

static int on_bytes(void *arg, const void *p, size_t n)
{
	return xds_push_bytes(arg, p, n);
}

static int on_end(void *arg)
{
	struct xds *x = arg;
	int r = xds_push_end(x);

	xds_push_reset(&x->push);
	if (r == 0)
		apply_soon(x);
	if (r == 0 && x->o.demand && !x->dirty)
		demand_settle(x->o.demand, 0);
	return r;
}

/* ---- the stream ---- */

static uint64_t pause_ns(struct xds *x)
{
	uint64_t full = x->backoff_ns;

	x->backoff_ns = full * 2 < BACKOFF_MAX_NS ? full * 2 : BACKOFF_MAX_NS;
	return full / 2 + rand_fast() % (full / 2 + 1);
}

/* As the metric of ztunnel tells them apart. */
static void count_end(struct xds *x, const struct grpc_status *st)
{
	if (!x->status.connected && !st->answered)
		x->status.ended_unreachable++;
	else if (st->code == GRPC_OK)
		x->status.ended_complete++;
	else if (!st->answered || st->code == GRPC_UNKNOWN || st->code == GRPC_CANCELLED ||
		 st->code == GRPC_DEADLINE_EXCEEDED || st->code == GRPC_UNAVAILABLE)
		x->status.ended_reconnect++;
	else
		x->status.ended_error++;
}

static void stream_ended(struct xds *x, const struct grpc_status *st)
{
	bool was = x->status.connected, first = !was && !x->status.error[0];
	uint64_t pause = pause_ns(x);
	char code[32];

	count_end(x, st);
	x->call = NULL;
	if (x->o.demand)
		demand_stream_end(x->o.demand);
	xds_push_reset(&x->push);
	timer_cancel(&x->patience);
	if (was)
		x->status.since_s = clock_wall_s();
	x->status.connected = false;
	x->status.synced[XDS_ADDRESS] = x->status.synced[XDS_AUTHORIZATION] = false;
	if (st->code == GRPC_OK)
		snprintf(x->status.error, sizeof(x->status.error), "istiod ended the stream");
	else
		snprintf(x->status.error, sizeof(x->status.error), "%s%s%.400s",
			 st->answered ? grpc_code_text(code, sizeof(code), st->code) : "",
			 st->answered ? ": " : "", st->message);
	/* It ends every half an hour by istiod's wish; that is no news. */
	log_line(was && st->code == GRPC_OK ? LOG_INFO
		 : first || was             ? LOG_WARN
					    : LOG_INFO,
		 LOG_SCOPE, "%s: %s; trying again in %llu ms%s", x->status.server, x->status.error,
		 (unsigned long long)(pause / NS_PER_MS),
		 x->status.applied ? ", the mesh stays as it was" : "");
	timer_set(x->loop, &x->retry, pause, stream_start, x);
}

static void on_done(void *arg, const struct grpc_status *st)
{
	stream_ended(arg, st);
}

static void give_up(struct xds *x, const char *why)
{
	const struct grpc_status st = { .code = GRPC_UNAVAILABLE, .message = why };

	grpc_call_cancel(&x->call);
	stream_ended(x, &st);
}

static void on_patience(void *arg)
{
	give_up(arg, "no answer to the subscription");
}

static void stream_start(void *arg)
{
	static const struct grpc_call_ops ops = {
		.on_begin = on_begin, .on_bytes = on_bytes, .on_end = on_end, .on_done = on_done
	};
	static const struct grpc_call_opts o = { .path = METHOD, .message_max = XDS_MESSAGE_MAX };
	struct xds *x = arg;
	int r = grpc_call_start(x->channel, &o, &ops, x, &x->call);

	/* In this order: workloads name policies, and a policy that is missing denies. */
	for (int t = 0; r == 0 && t < XDS_TYPES; t++)
		r = xds_send_subscribe(x, (enum xds_type)t);
	if (r < 0) {
		give_up(x, log_strerror(r));
		return;
	}
	timer_set(x->loop, &x->patience, PATIENCE_NS, on_patience, x);
}

void xds_reconnect(struct xds *x)
{
	timer_cancel(&x->retry);
	x->backoff_ns = BACKOFF_MIN_NS;
	if (x->call)
		give_up(x, "asked to connect again");
	else
		timer_set(x->loop, &x->retry, 0, stream_start, x);
}

/* ---- by name ---- */

static int on_send_names(void *arg, const char *const *name, size_t n, bool subscribe)
{
	return xds_send_names(arg, name, n, subscribe);
}

static bool on_held(void *arg, struct str name)
{
	const struct xds *x = arg;

	return xds_store_find(&x->store, XDS_ADDRESS, name);
}

static bool is_connected(void *arg)
{
	const struct xds *x = arg;

	return x->status.connected;
}

static const struct demand_ops demand_ops = {
	.send = on_send_names, .held = on_held, .connected = is_connected
};

int xds_start(struct loop *loop, struct model *m, const struct xds_opts *o,
	      void (*on_apply)(void *arg, const struct snap *s), void *arg, struct xds **ret)
{
	cleanup_with(xds_stop) struct xds *x = calloc(1, sizeof(*x));
	int r;

	if (!x)
		return -ENOMEM;
	x->loop = loop;
	x->o = *o;
	x->applier = (struct applier){ .loop = loop, .model = m, .on_apply = on_apply, .arg = arg };
	x->backoff_ns = BACKOFF_MIN_NS;
	x->status.since_s = clock_wall_s();
	snprintf(x->status.server, sizeof(x->status.server), "%s:%u", o->channel.server.host,
		 o->channel.server.port);
	r = intern_new(&x->decoder.strings);
	if (r < 0)
		return r;
	x->decoder.network = o->network;
	r = grpc_channel_new(loop, &o->channel, &x->channel);
	if (r < 0)
		return r;
	if (o->demand)
		demand_attach(o->demand, &demand_ops, x);
	stream_start(x);
	*ret = TAKE_PTR(x);
	return 0;
}

void xds_stop(struct xds **px)
{
	struct xds *x = TAKE_PTR(*px);

	if (!x)
		return;
	if (x->o.demand)
		demand_detach(x->o.demand);
	timer_cancel(&x->retry);
	timer_cancel(&x->patience);
	timer_cancel(&x->apply);
	grpc_call_cancel(&x->call);
	grpc_channel_free(&x->channel);
	xds_push_reset(&x->push);
	xds_clean(x);
	applier_fini(&x->applier);
	xds_store_fini(&x->store);
	xds_decoder_fini(&x->decoder);
	intern_free(&x->decoder.strings);
	free(x);
}

void xds_status(const struct xds *x, struct xds_status *ret)
{
	*ret = x->status;
	snprintf(ret->peer, sizeof(ret->peer), "%s", grpc_channel_peer(x->channel));
	ret->unknown_values = x->decoder.unknown_values;
	ret->rejected_now = xds_store_refused(&x->store);
	if (!ret->rejected_now)
		ret->rejection[0] = '\0';
	for (int t = 0; t < XDS_TYPES; t++)
		ret->held[t] = x->store.map[t].n;
}
