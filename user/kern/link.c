// SPDX-License-Identifier: Apache-2.0
/*
 * Pinned links: attach once, afterwards replace the program in place. Used by load.c and for
 * the links of pods and devices. Control thread.
 */
#define LOG_SCOPE "kern"
#include <dirent.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

struct kern_link *kern_link_find(struct kern *k, const char *path)
{
	vec_for_each(l, &k->links)
		if (strcmp(l->path, path) == 0)
			return l;
	return NULL;
}

/* A link that an earlier daemon pinned and that still hangs where it should, or NULL. */
static struct bpf_link *link_adopt(const struct bpf_program *prog, const char *path,
				   const struct link_how *how)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	struct bpf_link *link = bpf_link__open(path);

	if (!link)
		return NULL;
	if (bpf_link_get_info_by_fd(bpf_link__fd(link), &info, &len) == 0 &&
	    how->still_good(&info, how->arg) &&
	    bpf_link__update_program(link, (struct bpf_program *)prog) == 0)
		return link;
	bpf_link__destroy(link);
	unlink(path);
	return NULL;
}

int kern_link_ensure(struct kern *k, const struct bpf_program *prog, const char *name,
		     const struct link_how *how)
{
	_free_ char *path = str_printf("%s/%s", k->pin_dir, name);
	struct bpf_link *link;
	int r;

	if (!path)
		return -ENOMEM;
	if (kern_link_find(k, path))
		return 0;
	link = link_adopt(prog, path, how);
	if (!link) {
		link = how->attach(prog, how->arg);
		if (!link)
			return -errno;
		r = bpf_link__pin(link, path);
		if (r < 0) {
			bpf_link__destroy(link);
			return r;
		}
		if (k->alone)
			kern_stale_detach(link);
	}
	r = vec_push(&k->links, (struct kern_link){ .path = path, .link = link });
	if (r < 0) {
		bpf_link__destroy(link);
		return r;
	}
	path = NULL;
	return 0;
}

void kern_link_drop(struct kern *k, const char *name)
{
	_free_ char *path = str_printf("%s/%s", k->pin_dir, name);
	struct kern_link *l = path ? kern_link_find(k, path) : NULL;

	if (!path)
		return;
	unlink(path);
	if (kern_tc_ifindex(name))
		kern_tc_detach(kern_tc_ifindex(name));
	if (!l)
		return;
	bpf_link__destroy(l->link);
	free(l->path);
	*l = k->links.p[--k->links.n];
}

static struct bpf_link *netns_attach(const struct bpf_program *prog, const void *arg)
{
	return bpf_program__attach_netns(prog, *(const int *)arg);
}

/* A link on a dead namespace reports inode 0. */
static bool netns_good(const struct bpf_link_info *info, const void *arg)
{
	struct stat st;

	return info->type == BPF_LINK_TYPE_NETNS && fstat(*(const int *)arg, &st) == 0 &&
	       info->netns.netns_ino == st.st_ino;
}

int kern_lookup_attach(struct kern *k, uint64_t cookie, int netns_fd)
{
	const struct link_how how = { .attach = netns_attach, .still_good = netns_good,
				      .arg = &netns_fd };
	char name[64];

	snprintf(name, sizeof(name), "link_sklookup_%llu", (unsigned long long)cookie);
	return kern_link_ensure(k, k->skel->progs.weft_sklookup, name, &how);
}

void kern_lookup_detach(struct kern *k, uint64_t cookie)
{
	char name[64];

	snprintf(name, sizeof(name), "link_sklookup_%llu", (unsigned long long)cookie);
	kern_link_drop(k, name);
}

static struct bpf_link *tcx_attach(const struct bpf_program *prog, const void *arg)
{
	/* In front of what is there: a verdict of another program may end the chain. */
	LIBBPF_OPTS(bpf_tcx_opts, opts, .flags = BPF_F_BEFORE);

	return bpf_program__attach_tcx(prog, (int)*(const uint32_t *)arg, &opts);
}

static bool tcx_good(const struct bpf_link_info *info, const void *arg)
{
	return info->type == BPF_LINK_TYPE_TCX && info->tcx.ifindex == *(const uint32_t *)arg;
}

int kern_ingress_ensure(struct kern *k, const struct bpf_program *prog, const char *what,
			uint32_t ifindex)
{
	const struct link_how how = { .attach = tcx_attach, .still_good = tcx_good,
				      .arg = &ifindex };
	char name[64];

	if (!k->has_tcx)
		return kern_tc_ensure(k, prog, what, ifindex);
	snprintf(name, sizeof(name), "link_%s_%u", what, ifindex);
	return kern_link_ensure(k, prog, name, &how);
}

void kern_ingress_drop(struct kern *k, const char *what, uint32_t ifindex)
{
	char name[64];

	snprintf(name, sizeof(name), "%s_%s_%u", k->has_tcx ? "link" : "tc", what, ifindex);
	kern_link_drop(k, name);
}

/* A netkit device in its default mode, for one. */
static bool is_bare_ip(uint32_t ifindex)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };

	return fd >= 0 && if_indextoname(ifindex, ifr.ifr_name) &&
	       ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 && ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER;
}

int kern_guard_set(struct kern *k, uint32_t ifindex, const struct weft_veth *v)
{
	struct weft_veth entry = *v;

	if (is_bare_ip(ifindex))
		entry.flags |= WEFT_VETH_BARE_IP;
	return bpf_map__update_elem(k->skel->maps.weft_veths, &ifindex, sizeof(ifindex), &entry,
				    sizeof(entry), BPF_ANY);
}

int kern_guard_attach(struct kern *k, uint32_t ifindex, const struct weft_veth *v)
{
	const struct bpf_map *map = k->skel->maps.weft_veths;
	struct weft_veth before;
	bool known = bpf_map__lookup_elem(map, &ifindex, sizeof(ifindex), &before, sizeof(before),
					  0) == 0;
	int r = kern_guard_set(k, ifindex, v);

	if (r < 0)
		return r;
	r = kern_ingress_ensure(k, k->skel->progs.weft_guard, "guard", ifindex);
	/* The device may be gone by now. A guard of before keeps its entry, and stays closed. */
	if (r < 0 && !known)
		bpf_map__delete_elem(map, &ifindex, sizeof(ifindex), 0);
	return r;
}

void kern_guard_detach(struct kern *k, uint32_t ifindex)
{
	kern_ingress_drop(k, "guard", ifindex);
	bpf_map__delete_elem(k->skel->maps.weft_veths, &ifindex, sizeof(ifindex), 0);
}

static bool is_pod_link(const char *name)
{
	static const char *const heads[] = { "link_sklookup_", "link_guard_", "tc_guard_" };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		if (strncmp(name, heads[i], strlen(heads[i])) == 0)
			return true;
	return false;
}

static bool link_is_ours(struct kern *k, const char *name)
{
	_free_ char *path = str_printf("%s/%s", k->pin_dir, name);

	return !path || kern_link_find(k, path);
}

static void veths_sweep(struct kern *k)
{
	const struct bpf_map *map = k->skel->maps.weft_veths;
	uint32_t key, next;
	int r = bpf_map__get_next_key(map, NULL, &next, sizeof(next));

	while (r == 0) {
		char name[64];

		key = next;
		/* Before key is deleted, or the walk would begin anew. */
		r = bpf_map__get_next_key(map, &key, &next, sizeof(next));
		snprintf(name, sizeof(name), "%s_guard_%u", k->has_tcx ? "link" : "tc", key);
		if (!link_is_ours(k, name))
			bpf_map__delete_elem(map, &key, sizeof(key), 0);
	}
}

void kern_pod_links_sweep(struct kern *k)
{
	DIR *d = opendir(k->pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!is_pod_link(e->d_name) || link_is_ours(k, e->d_name))
			continue;
		log_info("%s belongs to no enrolled pod, detached", e->d_name);
		kern_link_drop(k, e->d_name);
	}
	if (d)
		closedir(d);
	veths_sweep(k);
}
