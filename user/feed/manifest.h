/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of the feed room: Kubernetes objects in the mesh file. AuthorizationPolicy and
 * PeerAuthentication are converted to policies as istiod does it for ztunnel; decision 0020
 * lists where not. First all objects are read, then, when the workloads are known, selectors
 * become names of policies in workloads, and peer authentications become policies.
 */
#include "base/vec.h"
#include "feed/decode.h"
#include "model/snap.h"

#define MANIFEST_API "security.istio.io/"
#define STATIC_STRICT "istio_converted_static_strict"
#define PEER_PREFIX "converted_peer_authentication_"

/* spec.selector */
struct selector {
	bool there; /* with at least one label */
	struct label *labels;
	size_t n_labels;
};

struct manifest_meta {
	char *name, *ns;
	char *created; /* RFC 3339 in UTC, "" unknown: older than all others */
	bool dry_run;
	int line;
};

enum mtls_mode { MTLS_UNSET, MTLS_DISABLE, MTLS_PERMISSIVE, MTLS_STRICT };

struct port_mtls {
	uint16_t port;
	enum mtls_mode mode;
};

struct peer_auth {
	struct manifest_meta meta;
	struct selector selector;
	enum mtls_mode mode;
	struct port_mtls *ports;
	size_t n_ports;
};

/* A policy that is bound by labels. */
struct bound_policy {
	char *key, *ns; /* ns NULL: workloads of all namespaces */
	struct selector selector;
};

struct manifests {
	char *root_ns; /* NULL: istio-system */
	VEC(struct policy *) policies;
	VEC(struct bound_policy) bound;
	VEC(struct peer_auth) peers;
};

void manifests_fini(struct manifests *m);
const char *manifests_root(const struct manifests *m);
/* One object, or a List of them. */
int manifest_read(struct decode *d, const struct at *at, const struct yaml *y, struct manifests *m);
/* Policies go to in->policy, names of those that select a workload to its list. */
int manifests_apply(struct decode *d, struct manifests *m, struct model_input *in);

/* ---- between the files of this part */

void selector_fini(struct selector *s);
bool selector_selects(const struct selector *s, const struct workload *w);
/* Into the struct selector at obj + f->off. */
int read_selector(struct decode *d, const struct at *at, const struct yaml *y,
		  const struct field *f, void *obj);
/* y is the spec. Takes what it keeps out of meta. */
int authz_read(struct decode *d, const struct at *at, const struct yaml *y,
	       struct manifest_meta *meta, struct manifests *m);
int peer_read(struct decode *d, const struct at *at, const struct yaml *y,
	      struct manifest_meta *meta, struct manifests *m);
/* Converts all peer authentications: policies into m->policies. */
int peers_convert(struct decode *d, struct manifests *m);
/* The name of the policy that these give to a workload, malloc'ed; NULL: none. */
int peers_of(struct decode *d, const struct manifests *m, const struct workload *w, char **ret);
/* A sentence for p, shown by `weft policies`, and logged. */
__attribute__((format(printf, 4, 5))) int policy_warn(struct decode *d, int line, struct policy *p,
						      const char *fmt, ...);
int policy_named(struct decode *d, struct str ns, struct str name, struct policy **ret);
