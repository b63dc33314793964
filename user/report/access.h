/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Access log: one line per connection on every path, in the key order that Kiali and ztunnel
 * users know: src.addr src.workload src.namespace src.identity src.cluster dst.addr
 * dst.hbone_addr dst.service dst.workload dst.namespace dst.identity dst.cluster direction
 * bytes_sent bytes_recv duration [path] [policy [rule]] [dry_run [dry_run_policy [dry_run_rule]]]
 * [error]. Text:
 * "<RFC3339 us>\t<info|error|warn>\taccess\tconnection complete\tk=v k=v ...". JSON on wish.
 * Refused connections of one source to one destination and port: ten lines within five seconds,
 * then one with suppressed=N, the number of further ones, when the five seconds are over.
 * Lines go through a bounded queue to a thread of its own; a full queue drops the line and
 * counts it (the data path never waits for a disk). So does a disk that is full; the line after one
 * that was cut begins a line.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "weft/flow.h"
#include "weft/reason.h"
#include "model/types.h"
#include "policy/rbac.h"

struct access_rec {
	bool inbound; /* direction, seen from the local pod */
	bool mutual_tls; /* identities are shown only then */
	enum weft_path path;
	enum weft_reason reason;
	struct weft_ep src, dst; /* dst: pod:15008 for HBONE, else the endpoint */
	struct weft_ep dialled;  /* port 0: same as dst */
	const char *hbone_addr;  /* authority; NULL when not HBONE */
	const struct workload *src_w, *dst_w; /* NULL unknown */
	const struct service *service;
	const char *src_identity, *dst_identity; /* spiffe://...; NULL */
	uint64_t sent_bytes, received_bytes; /* from the local pod's perspective */
	uint64_t duration_ns;
	const char *policy; /* name of the deciding policy; NULL or "" */
	int rule;     /* index of its rule that decided, -1 none; looked at with policy only */
	/* What the verdict would be with the dry-run policies in force, if another one: allow or
	 * deny, and by which policy and rule of it. NULL: the same one, or not looked at. */
	const struct rbac_result *dry_run;
	const char *detail; /* sentence behind the reason's token; NULL */
};

struct access_log;

/* path NULL or "-": stderr; otherwise a file opened for append (0640), reopened by
 * access_reopen_any() for logrotate. */
int access_open(const char *path, bool json, struct errbuf *err, struct access_log **ret);
void access_close(struct access_log **a); /* writes what is queued, waits 1 s for a stuck reader */
void access_write_any(struct access_log *a, const struct access_rec *r); /* a may be NULL */
/* Once a second, one thread: floods of refused connections that are over are summed up (limit.h),
 * and lines that were lost are said in weftd's own log. */
void access_tick_any(struct access_log *a);
uint64_t access_suppressed_any(const struct access_log *a); /* refusals without a line of their own */
void access_reopen_any(struct access_log *a);
uint64_t access_dropped_any(const struct access_log *a);
/* The line as it would be written, for tests; length or -ENAMETOOLONG. */
int access_format(char *buf, size_t cap, const struct access_rec *r, bool json, uint64_t now_ns_wall);
