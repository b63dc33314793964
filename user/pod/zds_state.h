/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What istio-cni has told over ZDS, and what follows: which pods are served, which wait because
 * they could not be, when everything was told. The rules of the protocol without its socket: it
 * owns descriptors only of pods that wait, and does nothing but call zds_ops. Control thread.
 *
 *   event          before SnapshotSent              after
 *   add            start, and it is in the snapshot start
 *   add again      same netns: nothing; another: stop, start
 *   keep           it is in the snapshot            breaks the connection
 *   del            not in the snapshot any more     stop; nothing if it is not known
 *   snapshot_sent  stop what is not in it; ready    breaks the connection
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"
#include "codec/zds.h"

#define ZDS_PODS_MAX 1024

struct zds_state;

/* Texts are "" where the agent gave none. */
struct zds_pod_info {
	const char *uid, *ns, *name, *service_account;
};

struct zds_ops {
	/* netns_fd stays the caller's. 0, or -errno with its sentence; then it is tried again, but not
	 * after -EINVAL: this is no pod. */
	int (*start)(void *arg, const struct zds_pod_info *info, int netns_fd, struct errbuf *err);
	void (*stop)(void *arg, const char *uid); /* of one that was started */
	/* The snapshot is complete: whatever zds_state_knows() does not know is no pod any more. */
	void (*settled)(void *arg, const struct zds_state *st);
	void *arg;
};

int zds_state_new(const struct zds_ops *ops, struct zds_state **ret);
void zds_state_free(struct zds_state **st); /* stops nothing */

/* A fresh connection: what waited is forgotten, the agent tells all again. */
void zds_state_begin(struct zds_state *st);
/* The connection is gone: what is served stays, but nobody tells what comes and goes. */
void zds_state_lost(struct zds_state *st);
/*
 * fd: of the message, or -1; always taken over. 0: say yes. -EPROTO: say no and end the
 * connection. Anything else below 0: say no. err has the sentence in both cases.
 */
int zds_state_apply(struct zds_state *st, const struct zds_request *rq, int fd, struct errbuf *err);
/* Is it served, does it wait, or was it kept without its namespace? */
bool zds_state_knows(const struct zds_state *st, const char *uid);
/* Tries those that wait again. */
void zds_state_retry(struct zds_state *st);

struct zds_counts {
	bool snapshot; /* the agent has told all */
	size_t served, pending; /* pending: those that were kept without their namespace, too */
};
void zds_state_counts(const struct zds_state *st, struct zds_counts *ret);
