// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Iterators that the daemon runs: nothing here is attached to traffic.
 *   weft_flows  walks every socket that has a weft_flow record, in all namespaces at once;
 *               folds its byte counts and writes one struct weft_flow_live per open flow
 *   weft_reap   walks the TCP sockets of the namespace it is read in and destroys direct
 *               connections whose pair is denied by now; on kernels without bpf_sock_destroy()
 *               (before 6.5) it writes one struct weft_reaped for each, and weftd destroys them
 */
#include "kern.h"
#include "lib/addr.h"
#include "lib/flow.h"

extern int bpf_sock_destroy(struct sock_common *sk) __ksym __weak;

static __always_inline void live_fill(struct weft_flow_live *l, const struct weft_flow_rec *r,
				      __u64 tx, __u64 rx)
{
	l->src = r->src;
	l->dst = r->dst;
	l->service = r->service;
	l->slot = r->slot;
	l->opened_ns = r->opened_ns;
	l->received_bytes = tx;
	l->sent_bytes = rx;
	l->dialled = r->dialled;
	l->path = r->path;
}

static __always_inline void live_tuple(struct weft_tuple *t, const struct sock_common *skc)
{
	struct weft_ep local = {}, remote = {};

	__builtin_memcpy(local.addr.b, &skc->skc_v6_rcv_saddr, 16);
	__builtin_memcpy(remote.addr.b, &skc->skc_v6_daddr, 16);
	local.port = skc->skc_num;
	remote.port = bpf_ntohs(skc->skc_dport);
	tuple_set(t, &local, &remote);
}

SEC("iter/bpf_sk_storage_map")
int weft_flows(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct weft_flow_live live = {};
	struct sock *sk = ctx->sk;
	struct weft_flow_value *f;
	struct tcp_sock *tp;
	__u64 tx, rx;

	if (!sk)
		return 0;
	f = bpf_sk_storage_get(&weft_flow, sk, 0, 0);
	/* A direct connection that is still in its handshake is shown, too (opened_ns is 0): a
	 * policy change must find it. */
	if (!f || (f->r.flags & WEFT_FLOW_DONE) ||
	    (!(f->r.flags & WEFT_FLOW_OPENED) && f->r.path != WEFT_PATH_DIRECT))
		return 0;
	tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	tx = sock_tx(tp);
	/* The socket is not locked: a FIN may be in bytes_received and not yet in the flags.
	 * One byte is kept back for it; the close callback gives it out exactly. */
	rx = sock_rx(tp, 1);
	flow_fold(f, tx, rx, WEFT_REASON_NONE);
	live_fill(&live, &f->r, tx, rx);
	live.rtt_us = tp->srtt_us >> 3;
	live.state = sk->__sk_common.skc_state;
	live_tuple(&live.tuple, &sk->__sk_common);
	bpf_seq_write(ctx->meta->seq, &live, sizeof(live));
	return 0;
}

/* Denied for the pair of pods; where addresses matter, or are another's by now, withdrawn for this very
 * connection. */
static __always_inline int is_denied(const struct weft_flow_rec *r, const struct sock_common *skc)
{
	struct weft_verdict_key key = { .src = r->src, .dst = r->dst, .port = r->chosen.port };
	struct weft_verdict *v = bpf_map_lookup_elem(&weft_verdicts, &key);
	struct weft_approval *a;
	struct weft_tuple t;

	if (v && v->epoch == epoch_now() && v->kind == WEFT_VERDICT_DENY)
		return 1;
	live_tuple(&t, skc);
	a = bpf_map_lookup_elem(&weft_approved, &t);
	return a && a->kind == WEFT_APPROVED_WITHDRAWN;
}

static __always_inline int destroy(struct bpf_iter_meta *meta, struct sock_common *skc)
{
	struct weft_reaped row = {};

	if (bpf_sock_destroy)
		return bpf_sock_destroy(skc);
	live_tuple(&row.tuple, skc);
	row.ifindex = skc->skc_bound_dev_if;
	return bpf_seq_write(meta->seq, &row, sizeof(row));
}

SEC("iter/tcp")
int weft_reap(struct bpf_iter__tcp *ctx)
{
	struct sock_common *skc = ctx->sk_common;
	struct weft_flow_value *f;
	struct tcp_sock *tp;

	if (!skc)
		return 0;
	tp = (struct tcp_sock *)bpf_skc_to_tcp_sock(skc);
	if (!tp)
		return 0;
	f = bpf_sk_storage_get(&weft_flow, (struct sock *)tp, 0, 0);
	if (!f || f->r.path != WEFT_PATH_DIRECT)
		return 0;
	if (!is_denied(&f->r, skc))
		return 0;
	if (!destroy(ctx->meta, skc))
		stat_inc(WEFT_STAT_REAPED);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
