/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of kern/: what its files share. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/vec.h"
#include "io/loop.h"
#include "kern/kern.h"

struct weft;

/* A pinned link that belongs to a pod or a device. */
struct kern_link {
	char *path;
	struct bpf_link *link;
	uint32_t tc_ifindex; /* not 0: a filter of that device, link is NULL, see tc.c */
};

struct kern {
	struct weft *skel;
	char *pin_root, *pin_dir; /* the latter with /v<ABI> */
	VEC(struct kern_link) links;
	struct ring_buffer *ring;
	struct watch ring_watch;
	struct timer ring_due;
	void (*on_event)(void *arg, const struct weft_event *e);
	void *on_event_arg;
	int stats_fd;
	bool has_tcx;
	int lock_fd; /* of the folder of pins: one daemon at a time */
	int cgroup_fd; /* the hooks' */
	bool alone; /* cgroup_fd is locked: no other weftd has hooks there */
	uint32_t uplink_ifindex;
	enum uplink_mode uplink_mode;
	struct xdp_program *xdp;
	bool xdp_dispatcher;
	int fd_origdst, fd_own, fd_dns, fd_verdicts,
		fd_state; /* of the skeleton, for the _any calls */
};

/* pins.c: makes and locks the folder of pins, mounts a bpffs if there is none. Fills pin_root,
 * pin_dir and lock_fd. */
int kern_pins_prepare(struct kern *k, const char *pin_dir, struct errbuf *err);

/* resize.c: the tables of addresses and services have room for so many; pinned ones of another size are
 * exchanged, with what they hold. -E2BIG if that does not fit, and they stay as they are. After the
 * pins' paths are set, before loading. */
int kern_sizes_set(struct kern *k, uint32_t addrs_max, struct errbuf *err);

/* maps.c: a hash map in pieces of whole buckets, of which there may be a million entries. fn may change and
 * delete what it is given. 0, what fn gave if it is not 0, -errno. */
int kern_hash_pieces(int fd, size_t key_n, size_t value_n,
		     int (*fn)(void *arg, const char *keys, const char *values, uint32_t n),
		     void *arg);

/* Attaches prog by attach() and pins the link under name; a link that is pinned there already
 * is updated in place if still_good() says that it hangs where it should. */
struct link_how {
	struct bpf_link *(*attach)(const struct bpf_program *prog, const void *arg);
	bool (*still_good)(const struct bpf_link_info *info, const void *arg);
	const void *arg;
};
int kern_link_ensure(struct kern *k, const struct bpf_program *prog, const char *name,
		     const struct link_how *how);
struct kern_link *kern_link_find(struct kern *k, const char *path);
/* Detaches what another daemon, which must be dead, left of this link's program at this link's place. */
void kern_stale_detach(const struct bpf_link *link);
/* Detaches and unpins, also what an earlier daemon left. */
void kern_link_drop(struct kern *k, const char *name);

/* The same for the ingress of a device: tcx, or a tc filter on kernels before 6.6. what is
 * "guard" or "uplink". */
int kern_ingress_ensure(struct kern *k, const struct bpf_program *prog, const char *what,
			uint32_t ifindex);
void kern_ingress_drop(struct kern *k, const char *what, uint32_t ifindex);

int kern_tc_ensure(struct kern *k, const struct bpf_program *prog, const char *what,
		   uint32_t ifindex);
int kern_tc_attach(int prog_fd, uint32_t ifindex);
void kern_tc_detach(uint32_t ifindex);
/* Of the device whose filter the pin of this name stands for; 0: it is none. */
uint32_t kern_tc_ifindex(const char *name);

/* Fills k->xdp and k->xdp_dispatcher; detach takes any weft_uplink_xdp off. */
int kern_xdp_attach(struct kern *k, uint32_t ifindex, struct errbuf *err);
void kern_xdp_detach(uint32_t ifindex);

/* Destroys a connection of this namespace's loopback over sock_diag. 0 or -errno. */
int kern_sock_destroy_probe(void);
