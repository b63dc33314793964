// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * cgroup connect4/6: the one moment where a connection of a local pod is decided.
 * Who (netns cookie) -> is it ours -> where (service, workload) -> direct, relay or refused.
 * Fail closed for enrolled pods; whoever is not enrolled is never touched.
 */
#include <linux/errno.h>
#include <linux/in.h>

#include "lib/addr.h"
#include "lib/dns.h"
#include "lib/event.h"
#include "lib/flow.h"

#define SOCK_STREAM 1
#define SOL_SOCKET 1
#define SO_MARK 36

enum act { ACT_ALLOW, ACT_REWRITE, ACT_REFUSE };

/* What the hook works on; to becomes the address to really connect to. */
struct dial {
	struct weft_ep to;
	struct weft_flow_rec rec;
};

static __always_inline enum act refuse(struct dial *d, __u8 reason)
{
	struct weft_event *e;
	struct weft_total_key key;
	struct weft_total *t;

	d->rec.path = WEFT_PATH_DENIED;
	total_key(&key, &d->rec, reason);
	t = total_of(&key);
	if (t)
		__sync_fetch_and_add(&t->failed, 1);
	e = event_reserve(WEFT_EVENT_DENIED, WEFT_PATH_DENIED, reason);
	if (e) {
		e->tuple.dst = d->rec.chosen.addr;
		e->tuple.dport = d->rec.chosen.port;
		e->dialled = d->rec.dialled;
		e->src = d->rec.src;
		e->dst = d->rec.dst;
		e->service = d->rec.service;
		e->slot = d->rec.slot;
		event_submit(e);
	}
	return ACT_REFUSE;
}

/* A VIP becomes one of its endpoints. */
static __always_inline enum act resolve_service(struct dial *d)
{
	struct weft_svc_key key = { .vip = d->to.addr, .port = d->to.port };
	struct weft_svc *svc = bpf_map_lookup_elem(&weft_services, &key);
	struct weft_slot_key sk = {};
	struct weft_slot *slot;

	if (!svc)
		return ACT_ALLOW;
	d->rec.service = svc->service;
	if (!svc->n_slots)
		return ACT_REFUSE;
	sk.service = svc->service;
	sk.n = bpf_get_prandom_u32() % svc->n_slots;
	if (!addr_is_v4(&d->to.addr))
		sk.n |= WEFT_SLOT_V6;
	slot = bpf_map_lookup_elem(&weft_slots, &sk);
	if (!slot)
		return ACT_REFUSE;
	d->rec.chosen = slot->ep;
	return ACT_REWRITE;
}

static __always_inline __u32 verdict_of(const struct weft_flow_rec *r)
{
	struct weft_verdict_key key = { .src = r->src, .dst = r->dst, .port = r->chosen.port };
	struct weft_verdict *v = bpf_map_lookup_elem(&weft_verdicts, &key);

	if (!v || v->epoch != epoch_now() || !r->src) {
		stat_inc(WEFT_STAT_VERDICT_MISS);
		return WEFT_VERDICT_NONE;
	}
	stat_inc(WEFT_STAT_VERDICT_HIT);
	return v->kind;
}

static __always_inline enum act take_relay(struct dial *d, const struct weft_pod *pod)
{
	const struct weft_addr *own = addr_is_v4(&d->to.addr) ? &pod->v4 : &pod->v6;

	if (addr_is_zero(own)) {
		stat_inc(WEFT_STAT_CONNECT_NO_FAMILY);
		return refuse(d, WEFT_REASON_BAD_DESTINATION);
	}
	d->rec.path = WEFT_PATH_RELAY;
	d->to.addr = *own;
	d->to.port = pod->flags & WEFT_POD_RULES ? WEFT_PORT_HOOKED : WEFT_PORT_OUTBOUND;
	return ACT_REWRITE;
}

/* The endpoint is known; which path leads there? */
static __always_inline enum act route(struct dial *d, const struct weft_pod *pod,
				      const struct weft_wld *w, enum act found)
{
	__u32 verdict;

	if (!w || !(w->flags & (WEFT_WLD_HBONE | WEFT_WLD_SERVICE))) {
		d->rec.dst = w ? w->workload : 0;
		d->rec.path = WEFT_PATH_PASSTHROUGH;
		d->to = d->rec.chosen;
		return found;
	}
	if (w->flags & WEFT_WLD_SERVICE) {
		stat_inc(WEFT_STAT_CONNECT_NO_ENDPOINT);
		return refuse(d, WEFT_REASON_NO_ENDPOINT);
	}
	d->rec.dst = w->workload;
	if ((w->flags & (WEFT_WLD_LOCAL | WEFT_WLD_RULES)) != WEFT_WLD_LOCAL ||
	    weft_knobs.same_node_mtls)
		return take_relay(d, pod);
	verdict = verdict_of(&d->rec);
	if (verdict == WEFT_VERDICT_DENY) {
		stat_inc(WEFT_STAT_CONNECT_DENIED);
		return refuse(d, WEFT_REASON_POLICY_DENIED);
	}
	if (verdict != WEFT_VERDICT_ALLOW)
		return take_relay(d, pod);
	d->rec.path = WEFT_PATH_DIRECT;
	d->to = d->rec.chosen;
	return found;
}

static __always_inline enum act decide(struct dial *d, const struct weft_pod *pod)
{
	int self = addr_eq(&d->to.addr, &pod->v4) || addr_eq(&d->to.addr, &pod->v6);
	int loop = addr_is_loopback(&d->to.addr);
	struct weft_wld *w = bpf_map_lookup_elem(&weft_addrs, &d->to.addr);
	enum act found = ACT_ALLOW;

	if (weft_port_is_reserved(d->to.port) && (self || loop || w)) {
		stat_inc(WEFT_STAT_CONNECT_RESERVED);
		return refuse(d, WEFT_REASON_RESERVED_PORT);
	}
	if (self || loop) {
		stat_inc(WEFT_STAT_CONNECT_LOOPBACK);
		d->rec.path = WEFT_PATH_NONE;
		return ACT_ALLOW;
	}
	/* Before services and verdicts: neither an endpoint nor the direct path may lead around
	 * the waypoint. Who is the waypoint itself, the relay knows. */
	if (w ? w->flags & WEFT_WLD_RELAY : range_flags(&d->to.addr))
		return take_relay(d, pod);
	if (w && (w->flags & WEFT_WLD_VIP))
		found = resolve_service(d);
	if (found == ACT_REFUSE) {
		stat_inc(WEFT_STAT_CONNECT_NO_ENDPOINT);
		return refuse(d, WEFT_REASON_NO_ENDPOINT);
	}
	/* A service that chose this very pod: the kernel's own loopback, as without a mesh. */
	if (addr_eq(&d->rec.chosen.addr, &pod->v4) || addr_eq(&d->rec.chosen.addr, &pod->v6)) {
		d->to = d->rec.chosen;
		return ACT_REWRITE;
	}
	if (found == ACT_REWRITE)
		w = bpf_map_lookup_elem(&weft_addrs, &d->rec.chosen.addr);
	return route(d, pod, w, found);
}

static __always_inline void count_path(__u8 path)
{
	if (path == WEFT_PATH_PASSTHROUGH)
		stat_inc(WEFT_STAT_CONNECT_PASSTHROUGH);
	else if (path == WEFT_PATH_DIRECT)
		stat_inc(WEFT_STAT_CONNECT_DIRECT);
	else if (path == WEFT_PATH_RELAY)
		stat_inc(WEFT_STAT_CONNECT_RELAY);
}

static __always_inline int set_mark(struct bpf_sock_addr *ctx, __u32 mark)
{
	return bpf_setsockopt(ctx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0;
}

/*
 * In a pod with istio-cni's rules: what leaves it as it is must carry the mark that they let pass.
 * What cannot (the application has a mark of its own), and names, which have rules of theirs, go
 * to where the rules send them: to weftd's listener. What the relay takes goes over the loopback
 * interface, where they leave it alone. Verified by itself.
 */
__noinline int left_to_rules(struct bpf_sock_addr *ctx, __u32 path, __u32 port)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 mark = sk ? sk->mark : 0;

	if (mark && mark != WEFT_PASS_MARK)
		return path != WEFT_PATH_RELAY;
	if (port == DNS_PORT) {
		if (mark)
			set_mark(ctx, 0);
		return 1;
	}
	return path != WEFT_PATH_RELAY && !mark && !set_mark(ctx, WEFT_PASS_MARK);
}

/* What was decided goes to the socket. What stays in the pod has no record, but may have to lose one:
 * sockets can be used for another connection. */
static __always_inline enum act remember(struct bpf_sock *sk, struct dial *d, enum act act)
{
	int create = d->rec.path != WEFT_PATH_NONE || act == ACT_REWRITE;
	struct weft_flow_value *f;

	if (act == ACT_REWRITE)
		d->rec.flags = WEFT_FLOW_REWRITTEN;
	f = bpf_sk_storage_get(&weft_flow, sk, 0, create ? BPF_SK_STORAGE_GET_F_CREATE : 0);
	if (!f && !create)
		return act;
	if (!f) {
		stat_inc(WEFT_STAT_CONNECT_NO_STATE);
		return act == ACT_ALLOW && d->rec.path != WEFT_PATH_DIRECT ? ACT_ALLOW : ACT_REFUSE;
	}
	bpf_spin_lock(&f->lock);
	f->r = d->rec;
	bpf_spin_unlock(&f->lock);
	count_path(d->rec.path);
	return act;
}

static __always_inline enum act connect_common(struct bpf_sock_addr *ctx, struct weft_ep *to)
{
	int tcp = ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP, question;
	__u64 cookie = bpf_get_netns_cookie(ctx);
	struct bpf_sock *sk = ctx->sk;
	struct weft_pod *pod;
	struct dial d = {};
	enum act act;
	__u32 *own;

	if (!sk || !(tcp || (ctx->protocol == IPPROTO_UDP && to->port == DNS_PORT)))
		return ACT_ALLOW;
	pod = bpf_map_lookup_elem(&weft_pods, &cookie);
	if (!pod) {
		stat_inc(WEFT_STAT_CONNECT_NOT_ENROLLED);
		return ACT_ALLOW;
	}
	own = bpf_sk_storage_get(&weft_own, sk, 0, 0);
	if (own && (*own == WEFT_OWN || !tcp)) {
		stat_inc(WEFT_STAT_CONNECT_OWN);
		return ACT_ALLOW;
	}
	d.to = *to;
	d.rec.dialled = *to;
	d.rec.chosen = *to;
	d.rec.src = pod->workload;
	d.rec.slot = pod->slot;
	question = !own && dns_capture(ctx, cookie, pod, &d.to, tcp);
	if (!tcp) {
		*to = d.to;
		return question ? ACT_REWRITE : ACT_ALLOW;
	}
	act = question ? ACT_REWRITE : decide(&d, pod);
	if (act == ACT_REFUSE)
		return act;
	if ((pod->flags & WEFT_POD_RULES) && d.rec.path != WEFT_PATH_NONE &&
	    left_to_rules(ctx, d.rec.path, d.rec.dialled.port)) {
		stat_inc(WEFT_STAT_CONNECT_RULES);
		d.rec.path = WEFT_PATH_NONE;
		act = ACT_ALLOW;
	}
	act = remember(sk, &d, act);
	if (act != ACT_REFUSE)
		*to = d.to;
	return act;
}

SEC("cgroup/connect4")
int weft_connect4(struct bpf_sock_addr *ctx)
{
	struct weft_ep to = {};
	enum act act;

	addr_set_v4(&to.addr, ctx->user_ip4);
	to.port = bpf_ntohs(ctx->user_port);
	act = connect_common(ctx, &to);
	if (act == ACT_REFUSE) {
		bpf_set_retval(-ECONNREFUSED);
		return 0;
	}
	if (act == ACT_REWRITE) {
		ctx->user_ip4 = addr_word(&to.addr, 3);
		ctx->user_port = bpf_htons(to.port);
	}
	return 1;
}

SEC("cgroup/connect6")
int weft_connect6(struct bpf_sock_addr *ctx)
{
	struct weft_ep to = {};
	enum act act;

	ctx_addr6(ctx, &to.addr);
	to.port = bpf_ntohs(ctx->user_port);
	act = connect_common(ctx, &to);
	if (act == ACT_REFUSE) {
		bpf_set_retval(-ECONNREFUSED);
		return 0;
	}
	if (act == ACT_REWRITE)
		ctx_set6(ctx, &to);
	return 1;
}

char LICENSE[] SEC("license") = "GPL";
