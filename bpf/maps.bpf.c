// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Every map, defined once. "weftd" below is the daemon (user/kern/), the other writers and
 * readers are programs of this folder. Capacities are defaults; the loader may change them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "weft/abi.h"
#include "weft/dns.h"
#include "weft/event.h"
#include "weft/flow.h"
#include "weft/knob.h"
#include "weft/pod.h"
#include "weft/stat.h"
#include "weft/svc.h"
#include "weft/verdict.h"
#include "weft/wld.h"

#include "lib/flowval.h"

/* Netns cookie -> enrolled pod. Writer weftd; read on every connect and passive open. Full:
 * enrolment fails with an error, the pod stays outside. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct weft_pod);
} weft_pods SEC(".maps");

/* Address -> workload. Writer weftd; read by connect, guard, uplink. Never full:
 * a mesh that does not fit is refused before anything changes (model_build). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_ADDRS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_addr);
	__type(value, struct weft_wld);
} weft_addrs SEC(".maps");

/* Ranges of addresses of services -> is there a waypoint? Writer weftd; read by connect and guard
 * for what is not in weft_addrs. Never full, as weft_addrs. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, WEFT_RANGES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_range_key);
	__type(value, struct weft_wld);
} weft_ranges SEC(".maps");

/* {VIP, port} -> service. Writer weftd; read by connect. Never full, as weft_addrs. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_SERVICES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_svc_key);
	__type(value, struct weft_svc);
} weft_services SEC(".maps");

/* {service, n} -> endpoint. Writer weftd; read by connect. Full: logged and
 * counted, the service refuses connections that pick a missing slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_SLOTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_slot_key);
	__type(value, struct weft_slot);
} weft_slots SEC(".maps");

/* Cached decisions for pairs of pods of this node. Writer weftd; read by connect and reap. Full:
 * new pairs stay misses and use the relay (slower, never wrong). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_verdict_key);
	__type(value, struct weft_verdict);
} weft_verdicts SEC(".maps");

/* {pod address, port} -> do all policies refuse it without an identity? Writer weftd; read by
 * sk_lookup and guard. Full: the relay accepts and then resets, as without an entry. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_refuse_key);
	__type(value, struct weft_refuse);
} weft_refused SEC(".maps");

/* Live direct connections and weftd's own, by 4-tuple. Written and deleted by sockops, withdrawn by
 * weftd, read by sk_lookup, guard and reap. Full: the SYN finds no approval and lands on the
 * plaintext listener, which knows no identity (fails closed under a strict policy); counted in
 * approved_full. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_tuple);
	__type(value, struct weft_approval);
} weft_approved SEC(".maps");

/* Live captured connections -> where they wanted to go. Written and deleted by sockops, read by
 * the relay. Full: the relay finds nothing and closes the connection; counted in origdst_full. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_origdst_key);
	__type(value, struct weft_origdst);
} weft_origdst SEC(".maps");

/* {pod address, kind} -> weftd's listener in that pod. Writer weftd; read by sk_lookup. Entries go
 * away with their socket: no daemon means refused, never plain. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16384);
	__type(key, struct weft_listen_key);
	__type(value, __u64);
} weft_listen SEC(".maps");

/* {netns cookie, family, n} -> a nameserver that the pod has asked. Written by connect and sendmsg,
 * read by them, by what shows the pod whom it asked, and by weftd, which deletes them when the pod
 * leaves. Full, or the pod's share of it is: the nameserver is asked directly. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_dns_key);
	__type(value, struct weft_addr);
} weft_dns SEC(".maps");

/* Host-side interface -> the addresses its pod may use. Writer weftd; read by guard. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct weft_veth);
} weft_veths SEC(".maps");

/* Counters of direct and passthrough connections. Writers sockops and the flow iterator; read by
 * weftd at scrapes. Never evicts. Full: new label sets are lost, counted in totals_full. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct weft_total_key);
	__type(value, struct weft_total);
} weft_totals SEC(".maps");

/* One counter per early exit, see weft/stat.h. Writers all programs, reader weftd. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} weft_stats SEC(".maps");

/* The epoch of verdicts. Writer weftd, readers connect and reap. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_state);
} weft_state SEC(".maps");

/* struct weft_event. Writers connect and sockops, reader weftd. Full: event lost and counted. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} weft_events SEC(".maps");

/* Per-socket record, lives and dies with its socket. Writers connect, sockops, flow iterator.
 * No memory: the connect is refused, except passthrough, which then is not counted. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weft_flow_value);
} weft_flow SEC(".maps");

/* Marks weftd's own sockets. Written from user space by socket descriptor, which no pod can do
 * (the map is reachable by root of the node only). */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} weft_own SEC(".maps");

/* Load-time constants; rodata, so dead branches disappear at load. */
const volatile struct weft_knobs weft_knobs = { .abi = WEFT_ABI_VERSION };

/* Readable with "bpftool btf dump" without running anything. */
struct {
	__uint(weft_abi_version, WEFT_ABI_VERSION);
} weft_abi SEC(".weft.abi");

char LICENSE[] SEC("license") = "GPL";
