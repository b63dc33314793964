/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * model: what the mesh looks like. Plain data, immutable once published; workloads, services
 * and policies are refcounted (thread safe) and shared between snapshots, so an update
 * replaces only what changed and a connection can keep its workloads for its labels.
 * All strings are NUL-terminated, owned by their object, "" where the feed said nothing
 * (defaults of the feed are already applied).
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hmap.h"
#include "base/ip.h"

enum tunnel_protocol { TUNNEL_NONE, TUNNEL_HBONE };
enum workload_status { WORKLOAD_HEALTHY, WORKLOAD_UNHEALTHY };

struct port_map { /* service port -> target port of one endpoint or service */
	uint16_t service_port, target_port; /* target 0: unset */
};

struct workload_service { /* membership of a workload in a service */
	char *key;   /* "namespace/hostname" */
	struct port_map *ports;
	size_t n_ports;
};

struct label { /* of a pod, for selectors of policies */
	char *key, *value;
};

struct workload;

/* What is the same for all workloads of a deployment, which may share one of these. */
struct workload_group {
	char *service_account, *trust_domain, *cluster;
	char *canonical_name, *canonical_revision, *workload_name, *workload_type;
	char *region, *zone, *subzone;
	/* Who takes in what comes from other networks, for those in theirs: as gateway_parse() reads
	 * it, "" nobody. */
	char *gateway;
	/* How the feed that made a workload of it wants that freed, on any thread, instead of member by
	 * member; NULL: member by member. */
	void (*release)(struct workload *w);
};

/* A mesh has many of these, in which each byte counts. */
struct workload {
	_Atomic uint32_t refs;
	uint32_t id; /* > 0; the workload id of include/weft/wld.h */
	char *uid, *name, *ns, *node, *network, *hostname;
	struct workload_group *group;
	char *waypoint; /* as gateway_parse() reads it, "" none */
	char *identity; /* spiffe://<trust_domain>/ns/<ns>/sa/<service_account> */
	struct weft_addr *addrs;
	struct workload_service *services;
	char **policies; /* "namespace/name" of WORKLOAD_SELECTOR policies */
	uint32_t n_addrs, n_services, n_policies;
	uint32_t capacity; /* weight, default 1 */
	enum tunnel_protocol protocol;
	enum workload_status status;
	bool native_tunnel, host_network;
	/* It ends tunnels' streams itself: accepts any authority, on app_port (0: the authority's),
	 * with a PROXY protocol header in front if app_proxy. */
	bool app_tunnel, app_proxy;
	uint16_t app_port;
};

/* One with a group of its own, as workload_new() gives it. */
struct workload_alone {
	struct workload w;
	struct workload_group group;
	struct label *labels;
	size_t n_labels;
};

/* Known by its hostname only: whoever wants to reach it has to ask for its address. */
static inline bool workload_is_name(const struct workload *w)
{
	return !w->n_addrs && w->hostname[0];
}

struct endpoint {
	struct workload *w; /* owned reference */
	const struct port_map *ports; /* of w's membership, valid as long as w */
	size_t n_ports;
};

/* Which addresses of an endpoint may be used for a service. */
enum ip_families { FAMILIES_ANY, FAMILIES_V4, FAMILIES_V6 };
enum lb_mode { LB_STANDARD, LB_STRICT, LB_FAILOVER, LB_PASSTHROUGH };
/* One of several waypoints of a service, which are used by weight. */
struct weighted_waypoint {
	char *text; /* as gateway_parse() reads it */
	uint32_t weight;
};

enum lb_scope { LB_REGION = 1, LB_ZONE, LB_SUBZONE, LB_NODE, LB_CLUSTER, LB_NETWORK };

struct service {
	_Atomic uint32_t refs;
	uint32_t id; /* > 0, for labels; kernel service ids are per port, see service_port */
	char *key, *name, *ns, *hostname;
	struct weft_addr *vips;
	size_t n_vips;
	struct ip_prefix *ranges; /* more addresses, host bits clear */
	size_t n_ranges;
	struct service_port {
		uint16_t port, target_port;
		uint32_t id; /* > 0, the service id of include/weft/svc.h */
	} *ports;
	size_t n_ports;
	enum lb_mode lb_mode;
	enum lb_scope lb_scopes[6];
	size_t n_lb_scopes;
	bool allow_unhealthy;
	char *waypoint; /* as gateway_parse() reads it, "" none */
	struct weighted_waypoint *weighted; /* instead of it, if any has a weight */
	size_t n_weighted;
	bool canonical; /* wins over others with the same hostname or VIP */
	bool ns_only; /* its name is for clients of its own namespace */
	enum ip_families families;
	char **sans;
	size_t n_sans;
	struct endpoint *endpoints; /* healthy ones, or all with allow_unhealthy */
	size_t n_endpoints;
	void *block; /* owned; key, name, ns, hostname, vips and ports are in it, NULL: each by itself */
	struct service *like; /* owned; whose texts and lists these are, NULL: its own */
	bool has_names; /* some of them: workload_is_name(); the kernel cannot choose those */
	bool has_gateways; /* some of them have one, if they should be in another network */
};

enum match_kind { MATCH_EXACT, MATCH_PREFIX, MATCH_SUFFIX, MATCH_PRESENCE };

struct string_match {
	enum match_kind kind;
	char *text; /* NULL for presence */
};

struct sa_match {
	char *ns, *sa;
};

/* Lists are (positive, negative) pairs; see policy/rbac.h for what they mean. */
struct match {
	struct string_match *namespaces, *not_namespaces, *principals, *not_principals;
	size_t n_namespaces, n_not_namespaces, n_principals, n_not_principals;
	struct ip_prefix *source_ips, *not_source_ips, *destination_ips, *not_destination_ips;
	size_t n_source_ips, n_not_source_ips, n_destination_ips, n_not_destination_ips;
	uint16_t *destination_ports, *not_destination_ports;
	size_t n_destination_ports, n_not_destination_ports;
	struct sa_match *service_accounts, *not_service_accounts;
	size_t n_service_accounts, n_not_service_accounts;
};

struct clause {
	struct match *matches;
	size_t n_matches;
};

struct rule {
	struct clause *clauses;
	size_t n_clauses;
};

enum policy_scope { SCOPE_GLOBAL, SCOPE_NAMESPACE, SCOPE_WORKLOAD };
/* NONE: this node cannot carry the policy out; it is there to be seen, with the reason. */
enum policy_action { ACTION_ALLOW, ACTION_DENY, ACTION_NONE };

struct policy {
	_Atomic uint32_t refs;
	char *key, *name, *ns;
	enum policy_scope scope;
	enum policy_action action;
	bool dry_run;
	struct rule *rules;
	size_t n_rules;
	struct filed_rule *filed; /* made when a snapshot is built, see model/policykey.h */
	size_t n_filed;
	char **warnings; /* what of it is not enforced as written, in sentences */
	size_t n_warnings;
};

struct workload *workload_get(struct workload *w); /* NULL stays NULL */
void workload_put(struct workload **w);
struct service *service_get(struct service *s);
void service_put(struct service **s);
/* A fresh one of the same description, without ids and endpoints; NULL when out of memory. It shares the
 * texts and lists of s, which has a key and lives as long. */
struct service *service_copy(struct service *s);
struct policy *policy_get(struct policy *p);
void policy_put(struct policy **p);
