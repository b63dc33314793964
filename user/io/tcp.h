/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* io/tcp: options of TCP sockets in one place. All fds are non-blocking and CLOEXEC. */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"

struct tcp_listen_opts {
	int netns_fd; /* -1: this namespace */
	uint16_t port;
	int backlog;
	bool reuse_port; /* SO_REUSEPORT: beside other processes of the same user */
	bool transparent; /* IP_TRANSPARENT, so that accepted sockets may carry foreign sources */
	/* For accepted sockets, which inherit it together with what tcp_tune() sets; NULL: the
	 * system's. */
	const char *congestion;
	uint32_t keepalive_s; /* of accepted sockets, see tcp_tune() */
};
/* Listens on [::]:port for both families, or 0.0.0.0 where there is no IPv6. Fd or -errno. */
int tcp_listen(const struct tcp_listen_opts *o);

struct tcp_connect_opts {
	int netns_fd;   /* -1: this namespace */
	struct weft_ep to;
	/* NULL: the kernel chooses. Foreign addresses are allowed (IP_TRANSPARENT). */
	const struct weft_addr *from;
	/* With from; 0: chosen at connect (IP_BIND_ADDRESS_NO_PORT). A given port may be shared
	 * with connections to other places; -EADDRINUSE, -EADDRNOTAVAIL: take another one. */
	uint16_t from_port;
	uint32_t mark;   /* SO_MARK, 0 none */
	const char *congestion;  /* e.g. "reno" for legs that stay on the node; NULL default */
	uint32_t keepalive_s; /* see tcp_tune() */
	bool stays_here; /* both ends are in one namespace: no keepalive, the kernel tells */
	/* Called on the socket before connect(2) (to put it into weft_own); may be NULL. */
	int (*prepare)(int fd, void *arg);
	void *prepare_arg;
};
/* Starts a connect; the caller waits for EPOLLOUT and asks tcp_connect_result(). Fd or -errno. */
int tcp_connect(const struct tcp_connect_opts *o);
int tcp_connect_result(int fd); /* SO_ERROR as 0 or -errno */

#define TCP_KEEPALIVE_S 180u
#define TCP_KEEPALIVE_MAX_S 28800u /* the kernel takes up to 32767 */
/* TCP_NODELAY; keepalive: nine probes, the first after keepalive_s (0: TCP_KEEPALIVE_S) of
 * silence and then one each keepalive_s; TCP_USER_TIMEOUT of the same span, ten times that. */
void tcp_tune(int fd, uint32_t keepalive_s);
void tcp_set_congestion(int fd, const char *name); /* best effort */
void tcp_reset_on_close(int fd); /* SO_LINGER 0: close(2) sends RST */
/* Ends the connection now: sends RST, no byte passes any more. Costs less than half of close(2),
 * which is still to come; until then the socket reports an error to whoever watches it. */
void tcp_abort(int fd);
int tcp_local(int fd, struct weft_ep *ret);
/* What was dialled, of a connection that rules of netfilter have redirected; the local address if
 * none did. -ENOENT, -ENOPROTOOPT and the like where nothing tracks connections. */
int tcp_original_dst(int fd, struct weft_ep *ret);
int tcp_peer(int fd, struct weft_ep *ret);
