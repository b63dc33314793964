/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Why a connection is allowed or denied: the way of one connection through a snapshot, told as
 * data. Who the source is, what the destination resolves to, which path leads there, and what
 * the policies say. It follows the order of bpf/connect.bpf.c and of conn/, with the same
 * choice of endpoints (lb/) and the same evaluator (policy/). Used by the daemon, which adds
 * what it knows of enrolled pods and of the kernel, and by `weft`, which has a mesh file only.
 *
 * A story points into its snapshot and is valid as long as that is. Pure: any thread that may
 * read the snapshot.
 */
#include "weft/reason.h"
#include "base/errbuf.h"
#include "lb/route.h"
#include "model/snap.h"
#include "policy/explain.h"

/* What a story keeps; beyond that it counts. */
#define WHY_ROUTES_MAX 64
#define WHY_ENDPOINTS_MAX 256 /* per dialled address */
#define WHY_POLICIES_MAX 64  /* per route */
#define WHY_MISSES_MAX 4      /* per policy */
#define WHY_ADDRS_MAX 16      /* of a source or destination */
#define WHY_UNHEALTHY_MAX 16  /* per dialled address */

/* What the kernel of the asked node holds for a pair and port. */
enum why_cached {
	WHY_NOT_ASKED, /* offline, or the kernel does not decide this one */
	WHY_MISS,
	WHY_STALE, /* of an older epoch, counts as a miss */
	WHY_HIT_ALLOW,
	WHY_HIT_DENY,
};

struct why_cache {
	enum why_cached state;
	uint32_t epoch, epoch_now; /* epoch: of the entry; 0 when there is none */
};

/* Who is asked. All zero: nobody, the snapshot is all there is. */
struct why_env {
	const char *node; /* of the daemon; NULL offline */
	bool same_node_mtls;
	bool on_demand; /* the mesh is asked for what is dialled and not known */
	/* Is this address that of an enrolled pod of the node, which is this workload? */
	bool (*enrolled)(void *arg, const struct workload *w, const struct weft_addr *a);
	/* Of an enrolled one: does no direct connection get into it? NULL: into each. */
	bool (*tunnel_only)(void *arg, const struct workload *w, const struct weft_addr *a);
	void (*cached)(void *arg, uint32_t src, uint32_t dst, uint16_t port, struct why_cache *ret);
	void *arg;
};

struct why_addrs {
	struct weft_addr a[WHY_ADDRS_MAX];
	size_t n;
};

struct why_source {
	const struct workload *w; /* NULL: from outside */
	struct why_addrs addrs;
	bool example;   /* "outside": the addresses only stand for any that nobody has */
	bool enrolled;   /* its connections go through the hooks, with its identity */
	bool enrol_known; /* asked its daemon, not concluded from the protocol */
};

struct why_dest {
	const struct service *svc; /* NULL: dialled by address, or by the name of a pod */
	const struct workload *w; /* NULL: a service, or nobody of the mesh */
	struct why_addrs addrs;   /* dialled */
	uint16_t port;
	bool headless; /* the service has no VIP: its name gives the endpoints' addresses */
};

enum why_path {
	WHY_REFUSED,  /* before there is a path */
	WHY_LOCAL,  /* to itself, untouched */
	WHY_PASSTHROUGH, /* not of the mesh, or reached as it is: untouched */
	WHY_DIRECT,
	WHY_HBONE,
	WHY_WAYPOINT,  /* HBONE to a waypoint, which decides */
	WHY_GATEWAY, /* HBONE through that to the gateway of another network, which decides there */
	WHY_PLAIN, /* no identity; the relay of the destination decides */
	WHY_UNSEEN, /* neither end is enrolled: nothing of the mesh sees it */
};

struct why_policy {
	struct explain_policy p;
	struct explain_miss miss[WHY_MISSES_MAX];
	size_t n_misses; /* may be more than are kept */
};

/* One way that a connection may take. */
struct why_route {
	struct weft_addr src;
	struct weft_ep dialled, chosen;
	const struct service *svc; /* that resolved dialled; NULL none */
	const struct workload *dst; /* whose address chosen is; NULL none */
	bool by_name; /* dst has no address, chosen neither: its hostname is resolved */
	bool untold; /* on_demand: chosen is not known, and may be somebody's */
	bool from_waypoint; /* the source is the waypoint of what it dials: it is let through */
	const struct workload *gateway; /* WHY_GATEWAY: whose address chosen is; dst is behind it */
	char said[256]; /* refused: what is wrong with the waypoint or the gateway; "" mostly */
	uint32_t slots, all_slots;  /* its share of svc; 0/0 without a service */
	enum why_path path;
	bool allow;
	enum weft_reason reason; /* WEFT_REASON_NONE when allowed */
	bool judged; /* policies were asked; else they do not matter here */
	bool at_syn; /* denied, and already by the kernel of the destination's node */
	bool dst_absent; /* its node is the asked one, and it is not enrolled there */
	struct rbac_result verdict;
	struct why_policy *policies; /* those that apply */
	size_t n_policies, n_applied; /* kept, and all */
	size_t n_allows; /* of all, the Allow ones that count */
	struct why_cache cache;
	bool cache_wrong; /* the kernel holds another verdict than the evaluator gives: a bug */
};

/* A service's endpoints for one dialled address. */
struct why_choice {
	const struct service *svc;
	struct weft_ep dialled;
	struct lb_row *rows; /* malloc'ed */
	size_t n_rows;
	uint32_t all_slots;
	const struct workload *unhealthy[WHY_UNHEALTHY_MAX]; /* members that are no endpoints */
	size_t n_unhealthy; /* may be more than are kept */
};

enum why_verdict { WHY_ALLOW, WHY_DENY, WHY_MIXED };

struct why_story {
	struct why_source src;
	struct why_dest dst;
	struct why_choice choices[WHY_ADDRS_MAX];
	size_t n_choices;
	struct why_route routes[WHY_ROUTES_MAX];
	size_t n_routes, n_ways; /* kept, and all */
	size_t n_allowed, n_denied; /* of all; routes without an endpoint only if all are so */
	enum why_verdict verdict;
	enum weft_reason reason; /* of the first that is denied */
	bool cache_wrong; /* of any of all ways */
};

/*
 * from: pod "namespace/name", uid, address, or "outside". to: the same, or a service by VIP,
 * hostname, "name.namespace" or "namespace/hostname"; with ":port" unless port is given (0: not).
 * A name without a namespace is looked for in that of the source. -ENOENT: no such name,
 * -EINVAL: not understood or no port, with the sentence in err; -ENOMEM.
 */
int why_ask(const struct snap *s, const struct why_env *env, const char *from, const char *to,
	    uint16_t port, struct errbuf *err, struct why_story **ret);
void why_free(struct why_story **story);
/* Inside of the room: the two ends, without a word about the way between them. */
int why_find_source(const struct snap *s, const struct why_env *env, const char *from,
		    struct errbuf *err, struct why_source *ret);
int why_find_dest(const struct snap *s, const struct why_source *src, const char *to, uint16_t port,
		  struct errbuf *err, struct why_dest *ret);
/* Of an address of w: as its own daemon says if that is asked, else as the protocol says. */
bool why_is_enrolled(const struct why_env *env, const struct workload *w, const struct weft_addr *a);

/* The route to tell about first: one that decided the verdict; NULL when there is none. */
const struct why_route *why_decisive(const struct why_story *story);
/* "direct", "hbone", ... */
const char *why_path_text(enum why_path path);
