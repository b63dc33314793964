/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Serving the names: one worker thread serves a pod's sockets, from which it answers what
 * dns/table knows and passes on the rest. Made by daemon/dns.c. All of it is for the thread of the
 * worker's loop; struct dns_shared is made once and only read.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "weft/dns.h"
#include "base/ip.h"
#include "model/snap.h"

struct dnscount;
struct dns_worker;
struct loop;

/* Limits, each per pod: further queries are answered SERVFAIL, for a further connection the one that
 * was silent for longest is closed. */
#define DNS_QUERIES_MAX 256u
#define DNS_STREAMS_MAX 64u
#define DNS_FORWARD_S 10u /* that a nameserver has for an answer over UDP */
#define DNS_STREAM_IDLE_S 60u

struct dns_shared {
	struct model *model;
	struct dnscount *count;
	const char *domain; /* of the cluster */
	const char *preferred; /* see struct dns_client */
	/* The nameserver that a pod means by n (weft/dns.h), or with n 0 one of this node's own; -ENOENT:
	 * none. */
	int (*nameserver)(void *arg, const struct weft_dns_key *key, struct weft_ep *ret);
	/* Before a socket asks a nameserver: it is not to be led to weftd. rules: see dns_pod_opts. */
	int (*mark)(void *arg, int fd, bool tcp, bool rules);
	void *arg;
};

enum dns_socket { DNS_UDP4, DNS_UDP6, DNS_TCP, DNS_SOCKETS };

struct dns_pod_opts {
	const char *ns, *name;
	uint64_t cookie;
	int netns_fd; /* duplicated */
	bool v6; /* has an IPv6 address */
	bool rules; /* not the hooks lead questions to weftd, but the rules of istio-cni */
	int fd[DNS_SOCKETS]; /* of the pod's netns, not owned, -1: none */
};

int dns_worker_new(struct loop *loop, const struct dns_shared *sh, struct dns_worker **ret);
void dns_worker_free(struct dns_worker **w);
/* 0 or -errno (-ENOMEM, -EMFILE). */
int dns_pod_start(struct dns_worker *w, const struct dns_pod_opts *o);
/* Nothing uses its sockets any more; what is under way is dropped. A pod that is not served: nothing. */
void dns_pod_stop(struct dns_worker *w, uint64_t cookie);
