/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of dns/: a pod that is served, and what its files share. */
#include "codec/dnsmsg.h"
#include "dns/dns.h"
#include "io/loop.h"
#include "io/udp.h"
#include "report/dnscount.h"

#define DNS_ANSWER_UDP_MAX 4096u /* over UDP, whatever the client says it takes */

struct dns_worker {
	struct loop *loop;
	const struct dns_shared *sh;
	struct list pods;
	uint8_t in[DNS_MSG_MAX], out[DNS_MSG_MAX];
};

struct dns_pod {
	struct list node;
	struct dns_worker *w;
	struct dns_pod_opts o; /* texts and netns_fd owned */
	struct watch watch[DNS_SOCKETS];
	struct timer pause; /* of accepting */
	struct list queries, streams; /* streams: the one that was silent for longest first */
	size_t n_queries, n_streams;
	struct weft_ep server[2][WEFT_DNS_MAX + 1]; /* by v6 and n; port 0: not asked for yet */
	int conntrack_fd; /* with rules; -1: not opened yet */
};

/* serve.c: the length of an answer in buf, 0: it is for a nameserver. *ret: for counting what comes. */
size_t dns_serve(struct dns_pod *p, struct str msg, bool tcp, uint8_t *buf, size_t cap,
		 struct dns_series **ret);
/* server.c: is this address of ours one at which questions come? */
bool dns_pod_is_asked(const struct dns_pod *p, const struct weft_addr *asked);
/* The nameserver that is meant by it: for a datagram from client, or for the connection fd. -ENOENT. */
int dns_pod_server(struct dns_pod *p, const struct weft_addr *asked, const struct weft_ep *client,
		   struct weft_ep *ret);
int dns_pod_stream_server(struct dns_pod *p, const struct weft_addr *asked, int fd,
			  struct weft_ep *ret);

/* forward.c: one query over UDP, which came by the socket via. -errno: nothing was sent. */
int dns_forward(struct dns_pod *p, enum dns_socket via, const struct udp_packet *from,
		struct str msg, struct dns_series *s);
void dns_queries_drop(struct dns_pod *p);

/* stream.c: a connection of the pod; takes fd. */
void dns_stream_new(struct dns_pod *p, int fd);
void dns_streams_drop(struct dns_pod *p);
