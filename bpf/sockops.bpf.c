// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * sockops: what happens to a connection after connect4/6 decided it.
 *   TCP_CONNECT_CB       source port known, SYN not sent: leave the approval or the original
 *                        destination where the other side will look for it
 *   ACTIVE_ESTABLISHED   note when it was opened
 *   STATE_CB -> CLOSE    fold what is not counted yet, count the end, take back what CONNECT_CB
 *                        left
 *
 * A direct connection is recorded once, on its client's socket: both ends are in this kernel,
 * so what one has sent the other has received, and weftd reports it for both pods. The
 * server's socket is not touched at all.
 */
#include "kern.h"
#include "lib/addr.h"
#include "lib/event.h"
#include "lib/flow.h"

#define ECONNRESET 104
#define ECONNABORTED 103

static __always_inline void origdst_key(struct weft_origdst_key *k, const struct weft_ep *local,
					const struct weft_flow_rec *r)
{
	k->src = local->addr;
	k->slot = r->slot;
	k->sport = local->port;
	k->pad = 0;
}

static __always_inline void watch_close(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

/* weftd's leg to an application carries the client's address; the approval keeps sk_lookup
 * from steering it back to weftd. It is known by its mark, which keeps it in the pod: what has none
 * goes somewhere else, where nothing is approved. */
static __always_inline void own_connect(struct bpf_sock_ops *ctx, const struct bpf_sock *sk)
{
	struct weft_approval own = { .kind = sk->mark == WEFT_ROUTE_MARK ? WEFT_APPROVED_OWN
									 : WEFT_APPROVED_LEAVES };
	struct weft_ep local, remote;
	struct weft_tuple t;

	sockops_ends(ctx, &local, &remote);
	if (remote.port == WEFT_PORT_HBONE)
		return; /* a tunnel to another pod */
	tuple_set(&t, &local, &remote);
	if (bpf_map_update_elem(&weft_approved, &t, &own, BPF_ANY))
		stat_inc(WEFT_STAT_APPROVED_FULL);
	watch_close(ctx);
}

static __always_inline void own_close(struct bpf_sock_ops *ctx)
{
	struct weft_ep local, remote;
	struct weft_tuple t;

	sockops_ends(ctx, &local, &remote);
	tuple_set(&t, &local, &remote);
	bpf_map_delete_elem(&weft_approved, &t);
}

/* The record of an application's socket; NULL for weftd's own, which never have one. */
static __always_inline struct weft_flow_value *flow_of(struct bpf_sock *sk, int *ret_own)
{
	struct weft_flow_value *f = bpf_sk_storage_get(&weft_flow, sk, 0, 0);

	*ret_own = !f && bpf_sk_storage_get(&weft_own, sk, 0, 0);
	return f;
}

static __always_inline void on_connect(struct bpf_sock_ops *ctx)
{
	struct weft_ep local, remote;
	struct weft_flow_value *f;
	struct bpf_sock *sk = ctx->sk;
	int own;

	if (!sk)
		return;
	f = flow_of(sk, &own);
	if (own)
		own_connect(ctx, sk);
	if (!f || f->r.path == WEFT_PATH_NONE)
		return;
	sockops_ends(ctx, &local, &remote);
	if (f->r.path == WEFT_PATH_DIRECT) {
		struct weft_approval a = { .kind = WEFT_APPROVED_DIRECT };
		struct weft_tuple t;

		tuple_set(&t, &local, &remote);
		if (bpf_map_update_elem(&weft_approved, &t, &a, BPF_ANY))
			stat_inc(WEFT_STAT_APPROVED_FULL);
	} else if (f->r.path == WEFT_PATH_RELAY) {
		struct weft_origdst o = { .dialled = f->r.dialled,
					  .chosen = f->r.chosen,
					  .service = f->r.service,
					  .dst = f->r.dst };
		struct weft_origdst_key k;

		origdst_key(&k, &local, &f->r);
		if (bpf_map_update_elem(&weft_origdst, &k, &o, BPF_ANY))
			stat_inc(WEFT_STAT_ORIGDST_FULL);
	}
	watch_close(ctx);
}

/* Only noted: the next scrape or the end adds it to the totals (flow_fold). */
static __always_inline void opened(struct weft_flow_value *f)
{
	struct weft_event *e;

	f->r.opened_ns = bpf_ktime_get_boot_ns();
	f->r.flags |= WEFT_FLOW_OPENED;
	if (!weft_knobs.events_open)
		return;
	e = event_reserve(WEFT_EVENT_OPENED, f->r.path, WEFT_REASON_NONE);
	if (e) {
		e->src = f->r.src;
		e->dst = f->r.dst;
		e->dialled = f->r.dialled;
		event_submit(e);
	}
}

static __always_inline void on_active(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct weft_flow_value *f;

	if (!sk)
		return;
	f = bpf_sk_storage_get(&weft_flow, sk, 0, 0);
	/* The relay counts what goes through it; a connection must be counted once. */
	if (f && (f->r.path == WEFT_PATH_DIRECT || f->r.path == WEFT_PATH_PASSTHROUGH))
		opened(f);
}

static __always_inline __u8 end_reason(const struct sock *sk, const struct weft_flow_rec *r)
{
	int err = sk->sk_err;

	if (!(r->flags & WEFT_FLOW_OPENED))
		return WEFT_REASON_CONNECT_FAILED;
	if (err == ECONNABORTED)
		return WEFT_REASON_POLICY_CHANGED;
	return err == ECONNRESET ? WEFT_REASON_RESET : WEFT_REASON_OK;
}

static __always_inline void send_closed(const struct weft_flow_rec *r, const struct weft_tuple *t,
					__u64 tx, __u64 rx, __u8 reason)
{
	struct weft_event *e = event_reserve(WEFT_EVENT_CLOSED, r->path, reason);

	if (!e)
		return;
	e->tuple = *t;
	e->dialled = r->dialled;
	e->src = r->src;
	e->dst = r->dst;
	e->service = r->service;
	e->slot = r->slot;
	e->duration_ns = r->opened_ns ? bpf_ktime_get_boot_ns() - r->opened_ns : 0;
	e->received_bytes = tx;
	e->sent_bytes = rx;
	event_submit(e);
}

/* Takes back what on_connect() left in the maps. */
static __always_inline void take_back(const struct weft_flow_rec *r, const struct weft_ep *local,
				      const struct weft_tuple *t)
{
	if (r->path == WEFT_PATH_DIRECT) {
		bpf_map_delete_elem(&weft_approved, t);
	} else if (r->path == WEFT_PATH_RELAY) {
		struct weft_origdst_key k;

		origdst_key(&k, local, r);
		bpf_map_delete_elem(&weft_origdst, &k);
	}
}

static __always_inline void on_close(struct bpf_sock_ops *ctx)
{
	struct weft_ep local, remote;
	struct weft_flow_value *f;
	struct bpf_sock *sk = ctx->sk;
	struct weft_tuple t;
	struct tcp_sock *tp;
	__u8 reason;
	__u64 tx, rx;
	int own;

	if (!sk)
		return;
	f = flow_of(sk, &own);
	if (own)
		own_close(ctx);
	if (!f || f->r.path == WEFT_PATH_NONE || (f->r.flags & WEFT_FLOW_DONE))
		return;
	sockops_ends(ctx, &local, &remote);
	tuple_set(&t, &local, &remote);
	take_back(&f->r, &local, &t);
	f->r.flags |= WEFT_FLOW_DONE;
	if (f->r.path == WEFT_PATH_RELAY)
		return;
	tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return;
	reason = end_reason((struct sock *)tp, &f->r);
	tx = sock_tx(tp);
	rx = sock_rx(tp, sock_fin_seen((struct sock *)tp));
	flow_fold(f, tx, rx, reason);
	send_closed(&f->r, &t, tx, rx, reason);
}

SEC("sockops")
int weft_sockops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		on_connect(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		on_active(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ctx->args[1] == BPF_TCP_CLOSE)
			on_close(ctx);
		break;
	}
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
