/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Inside of pods: what enrolment (pods.c) and its memory over restarts (pods_restore.c) share.
 */
#include "io/loop.h"
#include "pod/pods.h"

#define PODS_MAX 1024

struct pods {
	struct pods_opts o;
	struct list all;
	size_t n;
	uint32_t next_slot;
	struct timer check;
	bool quiesced;
	/* Cookies of pods that an earlier daemon had enrolled and this one has not (yet). Their
	 * kernel entries stay, so nothing of theirs goes out in plain text. */
	uint64_t closed[PODS_MAX];
	size_t n_closed;
};

/* dns.c. Quiet where names are off. */
void pod_dns_open(struct pods *p, struct pod *pod);
void pod_dns_close(struct pods *p, struct pod *pod);
void pods_dns_retry(struct pods *p); /* of all that have none */

/* NULL: not enrolled. */
struct pod *pods_find(const struct pods *p, const char *ns, const char *name);
bool pods_same_netns(const struct pod *pod, int fd);
/* Takes the pod out of the mesh, from whatever point of enrolment it had reached; one that was
 * closed before stays closed. */
void pods_undo(struct pods *p, struct pod *pod);
/* What is asked to be enrolled. */
struct pod_ask {
	const char *ns, *name;
	const char *netns_path;      /* "": known by descriptor only */
	const char *service_account; /* "": any */
	const char *zds_uid;      /* "": not by ZDS */
};

/* Takes fd over. Otherwise as pods_enrol(). */
int pods_enrol_fd(struct pods *p, const struct pod_ask *ask, int fd, struct errbuf *err,
		  struct pod **ret);
/* Compares records and kernel, as at the start. */
void pods_look(struct pods *p);
/* Its record, for the next daemon; a failure is logged. */
void pods_remember(struct pods *p, const struct pod *pod);
