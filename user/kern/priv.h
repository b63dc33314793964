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
};

struct kern {
	struct weft *skel;
	char *pin_dir; /* with /v<ABI> */
	VEC(struct kern_link) links;
	struct ring_buffer *ring;
	struct watch ring_watch;
	struct timer ring_due;
	void (*on_event)(void *arg, const struct weft_event *e);
	void *on_event_arg;
	int stats_fd;
	int lock_fd; /* of the folder of pins: one daemon at a time */
	uint32_t uplink_ifindex;
	enum uplink_mode uplink_mode;
	struct xdp_program *xdp;
	bool xdp_dispatcher;
	int fd_origdst, fd_own, fd_verdicts, fd_state; /* of the skeleton, for the _any calls */
};

/* Attaches prog by attach() and pins the link under name; a link that is pinned there already
 * is updated in place if still_good() says that it hangs where it should. */
struct link_how {
	struct bpf_link *(*attach)(const struct bpf_program *prog, const void *arg);
	bool (*still_good)(const struct bpf_link_info *info, const void *arg);
	const void *arg;
};
int kern_link_ensure(struct kern *k, const struct bpf_program *prog, const char *name,
		     const struct link_how *how);
/* The same for tcx ingress of a device. */
int kern_tcx_ensure(struct kern *k, const struct bpf_program *prog, const char *name,
		    uint32_t ifindex);
void kern_link_drop(struct kern *k, const char *name);
