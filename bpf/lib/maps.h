/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/* Declarations of the maps that maps.bpf.c defines, and the value types only BPF code knows. */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "weft/abi.h"
#include "weft/dns.h"
#include "weft/event.h"
#include "weft/flow.h"
#include "weft/knob.h"
#include "weft/pod.h"
#include "weft/reason.h"
#include "weft/stat.h"
#include "weft/svc.h"
#include "weft/verdict.h"
#include "weft/wld.h"

#include "lib/flowval.h"

#define WEFT_MAP(name, map_type, key_type, value_type, entries, mapflags) \
	struct { \
		__uint(type, map_type); \
		__uint(max_entries, entries); \
		__uint(map_flags, mapflags); \
		__type(key, key_type); \
		__type(value, value_type); \
	}

extern WEFT_MAP(, BPF_MAP_TYPE_HASH, __u64, struct weft_pod, 4096, BPF_F_NO_PREALLOC) weft_pods
	SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_addr, struct weft_wld, WEFT_ADDRS_MAX,
		BPF_F_NO_PREALLOC) weft_addrs SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_LPM_TRIE, struct weft_range_key, struct weft_wld, WEFT_RANGES_MAX,
		BPF_F_NO_PREALLOC) weft_ranges SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_svc_key, struct weft_svc, WEFT_SERVICES_MAX,
		BPF_F_NO_PREALLOC) weft_services SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_slot_key, struct weft_slot, WEFT_SLOTS_MAX,
		BPF_F_NO_PREALLOC) weft_slots SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_verdict_key, struct weft_verdict, 65536,
		BPF_F_NO_PREALLOC) weft_verdicts SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_refuse_key, struct weft_refuse, 65536,
		BPF_F_NO_PREALLOC) weft_refused SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_tuple, struct weft_approval, 131072,
		BPF_F_NO_PREALLOC) weft_approved SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_origdst_key, struct weft_origdst, 131072,
		BPF_F_NO_PREALLOC) weft_origdst SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_SOCKHASH, struct weft_listen_key, __u64, 16384, 0) weft_listen
	SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, struct weft_dns_key, struct weft_addr, 32768,
		BPF_F_NO_PREALLOC) weft_dns SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_HASH, __u32, struct weft_veth, 4096, BPF_F_NO_PREALLOC) weft_veths
	SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_PERCPU_HASH, struct weft_total_key, struct weft_total, 65536,
		BPF_F_NO_PREALLOC) weft_totals SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_PERCPU_ARRAY, __u32, __u64, WEFT_STAT_MAX, 0) weft_stats SEC(".maps");
extern WEFT_MAP(, BPF_MAP_TYPE_ARRAY, __u32, struct weft_state, 1, 0) weft_state SEC(".maps");
extern struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} weft_events SEC(".maps");
extern struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct weft_flow_value);
} weft_flow SEC(".maps");
extern struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} weft_own SEC(".maps");

extern const volatile struct weft_knobs weft_knobs;

/* Of an address that weft_addrs does not have: enum weft_wld_flag. */
static __always_inline __u32 range_flags(const struct weft_addr *a)
{
	struct weft_range_key key = { .prefixlen = 128, .addr = *a };
	struct weft_wld *w = bpf_map_lookup_elem(&weft_ranges, &key);

	return w ? w->flags : 0;
}

static __always_inline void stat_add(enum weft_stat which, __u64 n)
{
	__u32 i = which;
	__u64 *v = bpf_map_lookup_elem(&weft_stats, &i);

	/* Per-CPU, but a softirq may interrupt a connect(2) on the same CPU. */
	if (v)
		__sync_fetch_and_add(v, n);
}

static __always_inline void stat_inc(enum weft_stat which)
{
	stat_add(which, 1);
}

static __always_inline __u32 epoch_now(void)
{
	__u32 zero = 0;
	struct weft_state *s = bpf_map_lookup_elem(&weft_state, &zero);

	return s ? s->epoch : 0;
}
