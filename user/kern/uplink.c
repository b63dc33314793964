// SPDX-License-Identifier: Apache-2.0
/*
 * The guard on the uplink: XDP through libxdp's dispatcher where the kernel takes it, as the
 * only program where not; tcx (a tc filter before Linux 6.6) for devices on which XDP costs more
 * than it saves (a veth with XDP loses segmentation offload). Control thread.
 */
#define LOG_SCOPE "kern"
#include <dirent.h>
#include <net/if.h>
#include <stdio.h>

#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

/* A second copy of the object for libxdp, which has to load the program itself (as an
 * extension of its dispatcher); all maps are those of the first copy. */
static struct bpf_object *object_for_xdp(struct kern *k)
{
	const void *elf;
	size_t elf_n;
	struct bpf_object *obj;
	struct bpf_program *prog;
	struct bpf_map *map;

	elf = weft__elf_bytes(&elf_n);
	obj = bpf_object__open_mem(elf, elf_n, NULL);
	if (!obj)
		return NULL;
	bpf_object__for_each_program(prog, obj)
		bpf_program__set_autoload(prog, strcmp(bpf_program__name(prog), "weft_uplink_xdp") == 0);
	bpf_object__for_each_map(map, obj) {
		struct bpf_map *own =
			bpf_object__find_map_by_name(k->skel->obj, bpf_map__name(map));

		if (own && bpf_map__reuse_fd(map, bpf_map__fd(own)) < 0) {
			bpf_object__close(obj);
			return NULL;
		}
	}
	return obj;
}

/* An earlier daemon's program on this device is taken off first: unlike links, a dispatcher
 * slot cannot be updated in place. The gap is harmless, approvals still need a live tuple. */
void kern_xdp_detach(uint32_t ifindex)
{
	struct xdp_multiprog *mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	struct xdp_program *p = NULL;

	if (libxdp_get_error(mp))
		return;
	if (xdp_multiprog__is_legacy(mp)) {
		p = xdp_multiprog__main_prog(mp);
		if (p && strcmp(xdp_program__name(p), "weft_uplink_xdp") == 0)
			xdp_program__detach(p, (int)ifindex, xdp_multiprog__attach_mode(mp), 0);
	} else {
		while ((p = xdp_multiprog__next_prog(p, mp))) {
			if (strcmp(xdp_program__name(p), "weft_uplink_xdp") != 0)
				continue;
			xdp_program__detach(p, (int)ifindex, xdp_multiprog__attach_mode(mp), 0);
			break;
		}
	}
	xdp_multiprog__close(mp);
}

int kern_xdp_attach(struct kern *k, uint32_t ifindex, struct errbuf *err)
{
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .prog_name = "weft_uplink_xdp");
	struct xdp_multiprog *mp;
	int r;

	kern_xdp_detach(ifindex);
	opts.obj = object_for_xdp(k);
	if (!opts.obj)
		return -ENOMEM;
	k->xdp = xdp_program__create(&opts);
	r = (int)libxdp_get_error(k->xdp);
	if (r) {
		k->xdp = NULL;
		return errbuf_set(err, r, "uplink: libxdp cannot take the program: %s",
				  log_strerror(r));
	}
	r = xdp_program__attach(k->xdp, (int)ifindex, XDP_MODE_NATIVE, 0);
	if (r < 0)
		r = xdp_program__attach(k->xdp, (int)ifindex, XDP_MODE_SKB, 0);
	if (r < 0) {
		xdp_program__close(k->xdp);
		k->xdp = NULL;
		return errbuf_set(err, r, "uplink: cannot attach XDP: %s", log_strerror(r));
	}
	mp = xdp_multiprog__get_from_ifindex((int)ifindex);
	k->xdp_dispatcher = !libxdp_get_error(mp) && !xdp_multiprog__is_legacy(mp);
	if (!libxdp_get_error(mp))
		xdp_multiprog__close(mp);
	return 0;
}

/* Takes the guard off every device but this one (0: off all): an earlier daemon may have had
 * another uplink, or another way to guard it. */
static void ingress_sweep(struct kern *k, uint32_t keep)
{
	DIR *d = opendir(k->pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		const char *what = strstr(e->d_name, "_uplink");
		uint32_t ifindex;

		if (!what)
			continue;
		what += strlen("_uplink");
		if (what[0] == '_' && keep && str_to_u32(str_of(what + 1), &ifindex) == 0 &&
		    ifindex == keep)
			continue;
		kern_link_drop(k, e->d_name);
	}
	if (d)
		closedir(d);
}

int kern_uplink_attach(struct kern *k, const char *ifname, enum uplink_mode mode,
		       struct errbuf *err)
{
	uint32_t ifindex = if_nametoindex(ifname);
	int r;

	ingress_sweep(k, mode == UPLINK_TCX ? ifindex : 0);
	if (mode == UPLINK_OFF)
		return 0;
	if (!ifindex)
		return errbuf_set(err, -ENODEV, "uplink: there is no interface %s", ifname);
	if (mode == UPLINK_XDP) {
		r = kern_xdp_attach(k, ifindex, err);
	} else {
		kern_xdp_detach(ifindex);
		r = kern_ingress_ensure(k, k->skel->progs.weft_uplink_tcx, "uplink", ifindex);
		if (r < 0)
			errbuf_set(err, r, "uplink: cannot attach %s to %s: %s",
				   k->has_tcx ? "tcx" : "a tc filter", ifname, log_strerror(r));
	}
	if (r < 0)
		return r;
	k->uplink_ifindex = ifindex;
	k->uplink_mode = mode;
	return 0;
}

const char *kern_uplink_text(const struct kern *k)
{
	switch (k->uplink_mode) {
	case UPLINK_TCX:
		return k->has_tcx ? "tcx" : "tc";
	case UPLINK_XDP:
		return k->xdp_dispatcher ? "xdp (dispatcher)" : "xdp (single program)";
	default:
		return "off";
	}
}
