/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* rtnetlink for the lab: links, addresses, routes and neighbours of one network namespace. */
#include <stdbool.h>
#include <stdint.h>

#include "weft/addr.h"

struct mnl_socket;

struct nl_end { /* one end of a veth pair */
	const char *name;
	uint32_t index; /* chosen by us, so that nobody has to ask for it */
	uint8_t mac[6];
	int netns_fd;
};

/* A netlink socket inside netns_fd; it stays there. */
int nl_open(int netns_fd, struct mnl_socket **ret);
void nl_close(struct mnl_socket **nl);

int nl_veth_add(struct mnl_socket *nl, const struct nl_end *a, const struct nl_end *b,
		uint32_t mtu);
int nl_bridge_add(struct mnl_socket *nl, const char *name, uint32_t index, uint32_t mtu);
int nl_link_up(struct mnl_socket *nl, uint32_t index, uint32_t master);
int nl_addr_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *a, uint8_t len);
/* dst NULL: the default route of gw's family; gw NULL: directly on the link. */
int nl_route_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *dst, uint8_t len,
		 const struct weft_addr *gw);
int nl_neigh_add(struct mnl_socket *nl, uint32_t index, const struct weft_addr *a,
		 const uint8_t *mac);
