// SPDX-License-Identifier: Apache-2.0
/*
 * Hooks that an earlier daemon left and no pin leads to any more: its bpffs was unmounted, and lives
 * on in some mount namespace. They would go on deciding by tables that nobody keeps. Control thread.
 */
#define LOG_SCOPE "kern"
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "kern/priv.h"

#define PLACES_MAX 64

static bool link_info(int fd, struct bpf_link_info *ret)
{
	__u32 len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_link_get_info_by_fd(fd, ret, &len) == 0;
}

static bool prog_name(uint32_t id, char ret[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	_close_ int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &len) < 0)
		return false;
	memcpy(ret, info.name, BPF_OBJ_NAME_LEN);
	return true;
}

/* An index of a device says nothing without its namespace: is the link on this one's, here? */
static bool is_on_device(uint32_t ifindex, uint32_t link)
{
	uint32_t ids[PLACES_MAX] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .link_ids = ids, .count = PLACES_MAX);

	if (bpf_prog_query_opts((int)ifindex, BPF_TCX_INGRESS, &opts) < 0)
		return false;
	for (uint32_t i = 0; i < opts.count && i < PLACES_MAX; i++)
		if (ids[i] == link)
			return true;
	return false;
}

static bool same_place(const struct bpf_link_info *a, const struct bpf_link_info *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case BPF_LINK_TYPE_CGROUP:
		return a->cgroup.cgroup_id == b->cgroup.cgroup_id;
	case BPF_LINK_TYPE_NETNS:
		return a->netns.netns_ino == b->netns.netns_ino;
	case BPF_LINK_TYPE_TCX:
		return a->tcx.ifindex == b->tcx.ifindex && is_on_device(a->tcx.ifindex, b->id);
	default:
		return false;
	}
}

void kern_stale_detach(const struct bpf_link *link)
{
	char name[BPF_OBJ_NAME_LEN], other[BPF_OBJ_NAME_LEN];
	struct bpf_link_info mine, it;
	uint32_t id = 0;

	if (!link_info(bpf_link__fd(link), &mine) || !prog_name(mine.prog_id, name))
		return;
	while (bpf_link_get_next_id(id, &id) == 0) {
		_close_ int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0 || id == mine.id || !link_info(fd, &it) || !same_place(&mine, &it))
			continue;
		if (!prog_name(it.prog_id, other) || strcmp(name, other) != 0)
			continue;
		if (bpf_link_detach(fd) == 0)
			log_warn("detached %s of an earlier weftd, whose pins are gone", name);
	}
}
