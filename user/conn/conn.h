/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * conn: THE STORY of a connection. Three itineraries (outbound.c, inbound.c, plain.c), each a
 * table of stages; one driver walks the table, one function ends every connection, with
 * exactly one reason. A connection lives and dies on one worker (conn_worker); the shared part
 * (conn_shared) is made once by daemon/ and only read.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weft/flow.h"
#include "weft/reason.h"
#include "conn/local.h"
#include "io/loop.h"
#include "io/resolver.h"
#include "model/snap.h"
#include "relay/pump.h"
#include "relay/splice.h"
#include "tunnel/tunnel.h"

struct access_log;
struct demand;
struct demand_ask;
struct dnscount;
struct drops;
struct ident_store;
struct kern;
struct metrics;
struct tcp_series;

#define CONN_WORKERS_MAX 64

struct conn_worker;

struct rbac_result;

struct conn_shared {
	struct model *model;
	struct kern *kern;
	struct ident_store *ident;
	struct metrics *metrics;
	struct dnscount *dnscount;
	struct access_log *access;
	struct drops *drops;
	struct demand *demand; /* NULL: all of the mesh is known */
	const char *network; /* of this node, "" */
	const char *node, *congestion; /* congestion: of legs that stay on the node, or NULL */
	uint32_t tunnel_connections; /* that one tunnel carries in its life; 0: no limit */
	uint64_t tunnel_ping_ns;       /* see struct tunnel_opts */
	uint32_t keepalive_s;
	_Atomic uint64_t ended[WEFT_PATH_MAX][WEFT_REASON_MAX]; /* relayed connections */
	/* Verdicts that would be another one with the dry-run policies in force: deny, allow. */
	_Atomic uint64_t dry_run[2];
	_Atomic uint64_t opened[WEFT_PATH_MAX];
	/* All workers, complete before the first listener: accepting hands over to the idlest. */
	struct conn_worker *worker[CONN_WORKERS_MAX];
	uint32_t n_workers;
};

/* Series of the last connections between two workloads: rendering the labels costs as much as
 * the rest of opening a connection. Holds references, so a pointer is never another's. */
#define CONN_SERIES_SLOTS 64

struct conn_series {
	struct workload *src, *dst;
	struct service *service;
	struct tcp_series *series;
	uint8_t reporter, mutual_tls, reason; /* reason: NONE for all that have no flag */
};

struct conn_worker {
	struct conn_series series[CONN_SERIES_SLOTS];
	struct loop *loop;
	struct conn_shared *sh;
	struct tunnel *tunnel;
	struct resolver *resolver; /* NULL until the first name */
	struct list conns, dead; /* dead: ended, freed later in the turn */
	struct list listeners;
	_Atomic uint32_t n_conns; /* written by this worker, read by all */
	_Atomic uint32_t n_tunnels; /* tunnels accepted here */
	uint64_t next_id;
	uint32_t number, next_port;
};

int conn_worker_new(struct loop *loop, struct conn_shared *sh, uint32_t number,
		    struct conn_worker **ret);
/* Stops accepting; all workers, before the first of them is freed: they hand over. */
void conn_worker_quiesce(struct conn_worker *w);
/* The same for the end in peace: peers are told, connections that are open go on. */
void conn_worker_drain(struct conn_worker *w);
void conn_worker_free(struct conn_worker **w);

enum conn_listen {
	CONN_LISTEN_OUTBOUND,
	CONN_LISTEN_HBONE,
	CONN_LISTEN_PLAIN,
	CONN_LISTEN_HOOKED, /* as OUTBOUND, in pods of istio-cni: see WEFT_PORT_HOOKED */
	CONN_LISTEN_MAX
};

/* Starts accepting from fd (shared by all workers, not owned) for this pod. */
int conn_listen(struct conn_worker *w, struct conn_local *l, enum conn_listen kind, int fd);
/* The pod left: no more accepts, connections that are open go on. */
void conn_unlisten(struct conn_worker *w, struct conn_local *l);
/* The pod is gone: what is open of it ends now, no peer waits for it. */
void conn_cut_pod(struct conn_worker *w, struct conn_local *l);
/* Is the pod enrolled: with l, or again with another one? */
bool conn_serves(const struct conn_worker *w, const struct conn_local *l);
/* The one of the same enrolment that is listened for now, the listener's; NULL: none. */
struct conn_local *conn_serving(const struct conn_worker *w, const struct conn_local *l);

/* After a change of policies or workloads: connections that are denied now are cut, no byte of
 * them passes any more. conn_recheck_end() then closes, counts and logs them: the larger part of
 * the work, for which no other worker shall wait. */
void conn_recheck(struct conn_worker *w);
void conn_recheck_end(struct conn_worker *w);

/* ---- inside of conn/ and for views ---- */

enum step { STEP_NEXT, STEP_WAIT, STEP_FAIL };

struct conn;

struct stage {
	const char *name;
	/* NEXT: done. WAIT: a callback will conn_resume() at the following stage. FAIL:
	 * conn_fail() has set the reason. */
	enum step (*run)(struct conn *c);
};

#define CONN_MAGIC 0x434f4e4eu

struct conn {
	uint32_t magic;
	uint32_t service_id;
	struct list node;
	struct conn_worker *w;
	const struct stage *stages; /* ends with a NULL name */
	uint8_t at;
	bool inbound, opened, ending, relay_started;
	bool told;     /* inbound: the application gets the client's address by PROXY protocol */
	bool caught; /* outbound: by rules of istio-cni, not by the hooks */
	bool waypoint; /* outbound: through one; what was dialled is the authority */
	bool by_name; /* outbound: dst has no address, its hostname tells the one that is chosen */
	bool outside; /* outbound: nobody has what was dialled, says istiod (ask.c) */
	bool resolve_waits; /* the name is being asked for */
	bool cut; /* by conn_recheck(): ends with POLICY_CHANGED, whatever is seen first */
	uint8_t redials;
	uint8_t asks; /* questions to istiod */
	uint8_t path; /* enum weft_path */
	uint8_t reason;
	int app_error; /* of the connect to the application: 0 or -errno */
	int fd; /* towards the local application (outbound: captured; inbound: connected) */
	int fd2; /* plaintext: the other side, inbound the client */
	uint64_t id, started_ns, ended_ns;
	struct conn_local *local;
	/* chosen: endpoint, local application, or the waypoint or gateway and its HBONE port */
	struct weft_ep client, dialled, chosen;
	struct workload *src, *dst;
	struct workload *gateway; /* outbound: of dst's network, to which chosen leads; NULL */
	struct service *gateway_sans_of; /* what sans_of is, for the gateway */
	struct service *service;
	struct service *sans_of; /* outbound: whose SANs the peer may prove; NULL */
	struct tcp_series *series;
	struct tunnel_stream *stream;
	struct conn_head *head; /* texts of the CONNECT, only until the relay runs */
	char *peer_identity; /* HBONE: proven id of the other side */
	char *policy, *detail; /* why it ended; NULL mostly */
	int rule; /* of policy */
	struct resolver_query query;
	struct demand_ask *ask; /* under way */
	uint64_t asked; /* hash of the last name that was asked for */
	struct timer deadline;
	struct task free_later, resume_later;
	union {
		struct pump pump;
		struct splice_relay splice;
	};
};

extern const struct stage conn_outbound[], conn_inbound[], conn_plain[];

struct conn *conn_new(struct conn_worker *w, const struct stage *stages, struct conn_local *l);
void conn_run(struct conn *c); /* from the current stage on */
void conn_resume(struct conn *c); /* the waiting stage is done: go on behind it */
/* Sets reason and texts (printf), gives STEP_FAIL. */
__attribute__((format(printf, 3, 4))) enum step conn_fail(struct conn *c, enum weft_reason why,
							  const char *fmt, ...);
/* What decided, for log and drops; rule: its index, -1 none. */
void conn_set_policy(struct conn *c, const char *policy, int rule);
/* Ends c now (from a callback). */
void conn_end(struct conn *c, enum weft_reason why, const char *detail);
void conn_free(void *conn);
/* What its CONNECT names: the destination, what was dialled (waypoint), or service and port. */
#define CONN_AUTHORITY_MAX 270
void conn_authority(const struct conn *c, char *buf, size_t cap);
/* How w introduces itself in a CONNECT and its answer; as hbone_baggage_format(). */
int conn_baggage(const struct workload *w, char *buf, size_t cap);
const char *conn_action(const struct conn *c); /* name of the stage under way */
uint64_t conn_bytes_sent(const struct conn *c); /* from the local pod's perspective */
uint64_t conn_bytes_received(const struct conn *c);
/* await.c: in pods of istio-cni, waits for what the control plane has not told yet */
enum step stage_await(struct conn *c);
/* ask.c: waits for what istiod tells only if it is asked */
enum step stage_ask(struct conn *c);
/* stages.c: shared stages */
enum step stage_report_open(struct conn *c);
void conn_series_drop(struct conn_series *slot);
/* The counters of c's label set with this end; NULL when there are too many. */
struct tcp_series *conn_series_get(struct conn *c, enum weft_reason reason);
/* Starts the connect; conn_resume() follows with the result in app_error. w: of the relay that
 * will run, so that one registration with epoll serves both. */
int conn_connect_app(struct conn *c, struct watch *w);
/* The same of an outbound connection to its destination, without a tunnel: fd2, for the splice
 * relay's side b. */
int conn_connect_plain(struct conn *c);
void conn_deadline(struct conn *c, uint64_t ns); /* ends c with TIMEOUT; 0: off */
/* Asks the evaluator; what denies is kept for the log (conn_set_policy). */
bool conn_denied(struct conn *c);
/* The same for a client that by now has this identity (spiffe://...; NULL: none). */
bool conn_denied_as(struct conn *c, const char *uri);
/* Would the verdict of an inbound connection be another one with the dry-run policies in force?
 * Counts it then, and *ret says which (policy/dryrun.h). */
bool conn_dry_run(struct conn *c, struct rbac_result *ret);
/* inbound.c: the tunnel's callbacks of a worker */
extern const struct tunnel_ops conn_tunnel_ops;
