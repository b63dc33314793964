/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one evaluator of L4 authorization. Semantics are those istiod relies upon:
 * policies that apply to a destination: GLOBAL, NAMESPACE of its namespace, and those its
 * workload names. DENY that matches -> deny; no ALLOW policy -> allow; ALLOW that matches ->
 * allow; else deny. A policy matches if any rule does; a rule if all its clauses do (none:
 * yes); a clause if any match does (none: yes); a match with all lists empty never; otherwise
 * every kind must hold: (positive empty or one hits) and (no negative hits). Without an
 * identity, principals are absent: positive never hits, negative never hits, "presence" needs
 * one. Dry-run policies decide nothing. A named policy that does not exist denies (fail
 * closed), with its name as the reason.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "codec/spiffe.h"
#include "model/snap.h"

struct facts {
	struct weft_addr src_ip, dst_ip;
	uint16_t dst_port;
	bool has_identity;
	struct str principal; /* without "spiffe://", empty without identity */
	struct spiffe id;     /* parts of it */
	const struct workload *dst;
};

struct rbac_result {
	bool allow;
	/* "ns/name" of the policy that decided; "" when no policy did (no ALLOW exists, or none
	 * matched). */
	char policy[256];
	int rule;     /* index of its rule that decided, from 0; -1 when no rule did */
	bool explicit_deny; /* a DENY matched or "missing", as opposed to "no ALLOW did" */
	bool missing;     /* the workload names this policy, and it does not exist */
};

void rbac_check(const struct snap *s, const struct facts *f, struct rbac_result *ret);

/* Facts of a local sender, by its workload; src_ip and dst_ip are set by the caller. */
void rbac_facts_of(const struct workload *src, const struct workload *dst, uint16_t port,
		   struct facts *ret);

/* May a verdict for {src, dst, port} be cached without the addresses? False when the answer
 * differs between addresses of the two workloads. *ret is the verdict when true. */
bool rbac_cacheable(const struct snap *s, const struct workload *src, const struct workload *dst,
		    uint16_t port, struct rbac_result *ret);
