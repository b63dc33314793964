/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * kern: the only room that knows libbpf. It loads, pins and attaches the programs of bpf/ and
 * gives typed access to their maps. Everything is for the control thread, except functions
 * that end in _any (map look-ups and marks, one system call each).
 *
 * Pins: <pin_dir>/v<ABI>/. A new daemon adopts the pinned maps of its ABI version and updates
 * the pinned links in place, so there is no moment without the hooks; kern_close() leaves all
 * pins where they are, and enrolled pods fail closed until the next daemon comes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/dns.h"
#include "weft/event.h"
#include "weft/flow.h"
#include "weft/pod.h"
#include "weft/stat.h"
#include "weft/svc.h"
#include "weft/verdict.h"
#include "weft/wld.h"
#include "base/errbuf.h"
#include "base/ip.h"

struct kern;
struct loop;

struct kern_opts {
	const char *pin_dir;
	const char *cgroup; /* cgroup2 folder for the connect hooks and sockops */
	bool same_node_mtls;
	uint32_t addrs_max; /* what weft_addrs has room for; 0: WEFT_ADDRS_MAX */
};

/* What weft_services then has room for. */
uint32_t kern_services_max(uint32_t addrs_max);

/* 0 or -errno with the sentence in err (bpffs missing, no BTF, verifier's last lines, ...). */
int kern_open(const struct kern_opts *o, struct errbuf *err, struct kern **ret);
void kern_close(struct kern **k);
/* Removes all pins below pin_dir: everything is detached. */
int kern_unpin_all(const char *pin_dir);

/* Pins again what somebody unpinned or unmounted. 0: nothing is missing; > 0: something was, and is
 * there again; -errno: something is, and err says what to do. */
int kern_pins_keep(struct kern *k, struct errbuf *err);

/* Pods. The order that leaves no gap is the caller's business (pod/enrol.c). */
int kern_pod_set(struct kern *k, uint64_t cookie, const struct weft_pod *pod);
int kern_pod_del(struct kern *k, uint64_t cookie);
/* Walks weft_pods. */
void kern_pod_each(struct kern *k, void (*fn)(void *arg, uint64_t cookie, const struct weft_pod *p),
		   void *arg);
int kern_listen_set(struct kern *k, const struct weft_addr *a, enum weft_listen_kind kind, int fd);
/* sk_lookup in the netns behind fd; the link is pinned by cookie. */
int kern_lookup_attach(struct kern *k, uint64_t cookie, int netns_fd);
void kern_lookup_detach(struct kern *k, uint64_t cookie);
/* Guard on a host-side veth (tcx, or a tc filter before Linux 6.6); pinned by ifindex. */
int kern_guard_attach(struct kern *k, uint32_t ifindex, const struct weft_veth *v);
/* Only what the guard goes by; it is attached already. */
int kern_guard_set(struct kern *k, uint32_t ifindex, const struct weft_veth *v);
void kern_guard_detach(struct kern *k, uint32_t ifindex);
/* Detaches what an earlier daemon attached to pods and this one did not take over: it died in
 * the middle of an enrolment. After all pods are enrolled again. */
void kern_pod_links_sweep(struct kern *k);

enum uplink_mode { UPLINK_OFF, UPLINK_TCX, UPLINK_XDP };
/* Guards this device and no other; UPLINK_OFF: none (tcx and tc only, XDP is left alone). */
int kern_uplink_attach(struct kern *k, const char *ifname, enum uplink_mode mode, struct errbuf *err);
/* "off", "tcx", "tc", "xdp (dispatcher)", "xdp (single program)". */
const char *kern_uplink_text(const struct kern *k);

/* Mesh tables; see sync.h for the whole snapshot. */
int kern_addr_set(struct kern *k, const struct weft_addr *a, const struct weft_wld *w);
int kern_addr_get(struct kern *k, const struct weft_addr *a, struct weft_wld *ret);
int kern_addr_del(struct kern *k, const struct weft_addr *a);
/* fn may delete and change entries. */
void kern_addr_each(struct kern *k,
		    void (*fn)(void *arg, const struct weft_addr *a, const struct weft_wld *w),
		    void *arg);
/* Ranges of services' addresses (weft_ranges); flags: enum weft_wld_flag. */
int kern_range_set(struct kern *k, const struct ip_prefix *p, uint32_t flags);
int kern_range_del(struct kern *k, const struct ip_prefix *p);
void kern_range_each(struct kern *k,
		     void (*fn)(void *arg, const struct ip_prefix *p, uint32_t flags), void *arg);
int kern_service_set(struct kern *k, const struct weft_svc_key *key, const struct weft_svc *v);
int kern_service_del(struct kern *k, const struct weft_svc_key *key);
void kern_service_each(struct kern *k,
		       void (*fn)(void *arg, const struct weft_svc_key *key, const struct weft_svc *v),
		       void *arg);
int kern_slot_set(struct kern *k, const struct weft_slot_key *key, const struct weft_slot *v);
int kern_slot_del(struct kern *k, const struct weft_slot_key *key);
/* fn may not delete. */
void kern_slot_each(struct kern *k,
		    void (*fn)(void *arg, const struct weft_slot_key *key, const struct weft_slot *v),
		    void *arg);

/* Verdicts. kern_epoch_bump makes every cached verdict a miss. */
int kern_verdict_set_any(struct kern *k, uint32_t src, uint32_t dst, uint16_t port, bool allow);
/* What is cached, whatever its epoch; -ENOENT: nothing. */
int kern_verdict_get_any(struct kern *k, uint32_t src, uint32_t dst, uint16_t port,
			 struct weft_verdict *ret);
/* Those of the current epoch. Workers add to them meanwhile: some may be seen twice. */
void kern_verdict_each(struct kern *k,
		       void (*fn)(void *arg, const struct weft_verdict_key *key, bool allow),
		       void *arg);
uint32_t kern_epoch_any(struct kern *k);
int kern_epoch_bump(struct kern *k);
/* Deletes verdicts of older epochs. */
void kern_verdict_sweep(struct kern *k);
/* kern_reap() will destroy this direct connection, whatever the verdict for its pair. -ENOENT: it has
 * no approval, because it has closed or its SYN is still to be sent. */
int kern_approval_withdraw(struct kern *k, const struct weft_tuple *t);

/* What strangers may not reach (weft_refused), for the current epoch; entries of others are deleted
 * by the sweep. */
int kern_refuse_set(struct kern *k, const struct weft_addr *addr, uint16_t port, uint32_t dst,
		    bool refused);
void kern_refuse_sweep(struct kern *k);

/* The relay's questions. */
int kern_origdst_any(struct kern *k, const struct weft_origdst_key *key, struct weft_origdst *ret);
int kern_own_mark_any(struct kern *k, int sock_fd); /* this socket is weftd's own */
/* It asks a nameserver over TCP for its pod, whose connection it is in all other respects. */
int kern_asks_mark_any(struct kern *k, int sock_fd);
/* The nameserver that a pod means by an address (weft/dns.h). -ENOENT: none. */
int kern_dns_any(struct kern *k, const struct weft_dns_key *key, struct weft_addr *ret);
void kern_dns_forget(struct kern *k, uint64_t cookie); /* the pod has left */
void kern_dns_sweep(struct kern *k); /* what belongs to no pod in weft_pods */

/* Counters. */
void kern_totals_each(struct kern *k,
		      void (*fn)(void *arg, const struct weft_total_key *key,
				 const struct weft_total *t),
		      void *arg);
void kern_stats(struct kern *k, uint64_t ret[WEFT_STAT_MAX]);
/* Folds the byte counts of all live flows into the totals and shows each of them. */
int kern_flows_each(struct kern *k, void (*fn)(void *arg, const struct weft_flow_live *l), void *arg);
/* Destroys denied direct connections in the netns behind fd. */
int kern_reap(struct kern *k, int netns_fd);
/* Destroys sockets in this netns, whatever their state; the source is the socket's own end. All are
 * tried; 0 or the first error, and those that have ended are none. */
int kern_destroy(int netns_fd, const struct weft_tuple *t, size_t n);

/* Ring buffer, on the control loop. */
int kern_events_start(struct kern *k, struct loop *loop,
		      void (*fn)(void *arg, const struct weft_event *e), void *arg);

struct kern_prog_row {
	const char *name, *type;
	uint32_t id, insns;
	uint64_t run_count, run_time_ns;
	uint32_t attached; /* number of places */
};
struct kern_map_row {
	const char *name, *type;
	uint32_t id, max_entries;
	int64_t entries; /* -1: not countable */
	uint64_t memory_bytes;
};
/* Run counts need statistics of the kernel switched on, which costs a little per run:
 * kern_run_stats(true) while somebody looks. */
int kern_run_stats(struct kern *k, bool on);
void kern_prog_each(struct kern *k, void (*fn)(void *arg, const struct kern_prog_row *r), void *arg);
/* "cgroup", the name of a device, or "netns " and its cookie, for each place of a program. */
void kern_prog_places(struct kern *k, const char *prog, void (*fn)(void *arg, const char *place),
		      void *arg);
void kern_map_each(struct kern *k, void (*fn)(void *arg, const struct kern_map_row *r), void *arg);
const char *kern_pin_dir(const struct kern *k);
