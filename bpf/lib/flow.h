/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * Byte counts of a socket and how they reach weft_totals: always as the difference to what was
 * folded before, taken under the flow's lock, so that no counter ever goes backwards and the
 * close callback and the scrape may meet on the same socket.
 */
#include "kern.h"
#include "lib/maps.h"

#include <bpf/bpf_core_read.h>

/* Payload bytes. bytes_sent counts data only; bytes_received counts the peer's FIN as one. */
static __always_inline __u64 sock_tx(const struct tcp_sock *tp)
{
	return tp->bytes_sent - tp->bytes_retrans;
}

static __always_inline __u64 sock_rx(const struct tcp_sock *tp, int fin_seen)
{
	__u64 rx = tp->bytes_received;

	return rx && fin_seen ? rx - 1 : rx;
}

static __always_inline int sock_fin_seen(const struct sock *sk)
{
	return (sk->__sk_common.skc_flags >> bpf_core_enum_value(enum sock_flags, SOCK_DONE)) & 1;
}

static __always_inline struct weft_total *total_of(const struct weft_total_key *key)
{
	struct weft_total zero = {}, *t = bpf_map_lookup_elem(&weft_totals, key);

	if (t)
		return t;
	bpf_map_update_elem(&weft_totals, key, &zero, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&weft_totals, key);
	if (!t)
		stat_inc(WEFT_STAT_TOTALS_FULL);
	return t;
}

static __always_inline void total_key(struct weft_total_key *k, const struct weft_flow_rec *r,
				      __u8 reason)
{
	k->src = r->src;
	k->dst = r->dst;
	k->service = r->service;
	k->path = r->path;
	k->reason = reason;
	k->pad[0] = k->pad[1] = 0;
}

/* What of a flow is not in the totals yet; taken under its lock, so nobody else adds it, too. */
struct flow_delta {
	__u64 opened, tx, rx;
};

static __always_inline void flow_take(struct weft_flow_value *f, __u64 tx, __u64 rx,
				      struct flow_delta *d)
{
	bpf_spin_lock(&f->lock);
	if ((f->r.flags & (WEFT_FLOW_OPENED | WEFT_FLOW_COUNTED)) == WEFT_FLOW_OPENED) {
		f->r.flags |= WEFT_FLOW_COUNTED;
		d->opened = 1;
	}
	if (tx > f->r.folded_tx) {
		d->tx = tx - f->r.folded_tx;
		f->r.folded_tx = tx;
	}
	if (rx > f->r.folded_rx) {
		d->rx = rx - f->r.folded_rx;
		f->r.folded_rx = rx;
	}
	bpf_spin_unlock(&f->lock);
}

static __always_inline void count(__u64 *n, __u64 more)
{
	/* Per-CPU, but a softirq may interrupt the iterator on the same CPU. */
	if (more)
		__sync_fetch_and_add(n, more);
}

/* Adds to the totals what the flow grew by, and its end, unless reason is NONE. */
static __always_inline void flow_fold(struct weft_flow_value *f, __u64 tx, __u64 rx, __u8 reason)
{
	struct flow_delta d = {};
	struct weft_total_key key;
	struct weft_total *t;

	flow_take(f, tx, rx, &d);
	total_key(&key, &f->r, WEFT_REASON_NONE);
	if (d.opened || d.tx || d.rx || reason == WEFT_REASON_OK) {
		t = total_of(&key);
		if (t) {
			count(&t->opened, d.opened);
			count(&t->received_bytes, d.tx);
			count(&t->sent_bytes, d.rx);
			count(&t->closed, reason == WEFT_REASON_OK);
		}
	}
	if (reason == WEFT_REASON_NONE || reason == WEFT_REASON_OK)
		return;
	key.reason = reason;
	t = total_of(&key);
	if (t)
		count(f->r.flags & WEFT_FLOW_OPENED ? &t->closed : &t->failed, 1);
}
