/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * weft_stats: per-CPU array, one counter per early exit and per full map.
 * X(NAME, label, help): exported as weft_bpf_events_total{event="<label>"}.
 */
#define WEFT_STATS(X) \
	X(CONNECT_OWN, "connect_own", "weftd's own connection, untouched") \
	X(CONNECT_NOT_ENROLLED, "connect_not_enrolled", "sender is not enrolled") \
	X(CONNECT_LOOPBACK, "connect_loopback", "loopback or the pod itself") \
	X(CONNECT_PASSTHROUGH, "connect_passthrough", "destination outside the mesh") \
	X(CONNECT_DIRECT, "connect_direct", "same node, allowed, no proxy") \
	X(CONNECT_RELAY, "connect_relay", "captured to the relay") \
	X(CONNECT_DENIED, "connect_denied", "refused by a cached verdict") \
	X(CONNECT_RESERVED, "connect_reserved", "refused: one of weftd's ports") \
	X(CONNECT_NO_ENDPOINT, "connect_no_endpoint", "refused: no endpoint") \
	X(CONNECT_NO_FAMILY, "connect_no_family", "refused: pod lacks the address family") \
	X(CONNECT_RULES, "connect_rules", "left to the rules that istio-cni made in the pod") \
	X(CONNECT_NO_STATE, "connect_no_state", "refused: no memory for the flow") \
	X(VERDICT_HIT, "verdict_hit", "verdict found in the cache") \
	X(VERDICT_MISS, "verdict_miss", "verdict not in the cache, relay decides") \
	X(ORIGDST_FULL, "origdst_full", "weft_origdst is full, connection will be refused") \
	X(APPROVED_FULL, "approved_full", \
	  "weft_approved is full, the SYN goes to the plaintext listener") \
	X(TOTALS_FULL, "totals_full", "weft_totals is full, counts are lost") \
	X(EVENT_LOST, "event_lost", "weft_events is full, event lost") \
	X(LOOKUP_APPROVED, "lookup_approved", "SYN with an approval, to the application") \
	X(LOOKUP_HBONE, "lookup_hbone", "SYN to the HBONE listener") \
	X(LOOKUP_PLAIN, "lookup_plain", "SYN to the plaintext listener") \
	X(LOOKUP_LOCAL, "lookup_local", "SYN from inside the pod") \
	X(LOOKUP_RESERVED, "lookup_reserved", "SYN to a port of weftd, dropped") \
	X(LOOKUP_NO_LISTENER, "lookup_no_listener", "no listener (weftd down?), dropped") \
	X(GUARD_SPOOFED, "guard_spoofed", "packet with a foreign source left a pod, dropped") \
	X(GUARD_UPLINK, "guard_uplink", "packet from outside claimed a local pod, dropped") \
	X(GUARD_PLAIN_PACKETS, "guard_plain_packets", "packets outside HBONE leaving pods") \
	X(GUARD_PLAIN_BYTES, "guard_plain_bytes", "bytes outside HBONE leaving pods") \
	X(GUARD_HBONE_PACKETS, "guard_hbone_packets", "HBONE packets leaving pods") \
	X(GUARD_HBONE_BYTES, "guard_hbone_bytes", "HBONE bytes leaving pods") \
	X(GUARD_PLAIN_SYN, "guard_plain_syn", "SYN around the hooks to a tunnel-only peer, dropped") \
	X(REAPED, "reaped", "live direct connection destroyed after a policy change") \
	X(LOOKUP_REFUSED, "lookup_refused", "packet to a port that refuses all plaintext, dropped") \
	X(DNS_CAPTURED, "dns_captured", "question to a nameserver, to weftd") \
	X(DNS_DIRECT, "dns_direct", "question to a nameserver, not taken by weftd: it is not there") \
	X(DNS_FULL, "dns_full", "question to one nameserver more than a pod may have, not taken")

enum weft_stat {
#define X(name, label, help) WEFT_STAT_##name,
	WEFT_STATS(X)
#undef X
		WEFT_STAT_MAX
};
