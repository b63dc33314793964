// SPDX-License-Identifier: Apache-2.0
/* Programs of others on our hooks, see foreign.h. Asked from the kernel, whoever attached them. */
#include "kern/foreign.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/own.h"

#define PROGS_MAX 64

struct walk {
	void (*fn)(void *arg, const struct foreign *f);
	void *arg;
};

static void show(const struct walk *w, const char *hook, uint32_t id)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	_close_ int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &len) < 0)
		return;
	if (strncmp(info.name, "weft_", strlen("weft_")) == 0)
		return;
	w->fn(w->arg, &(struct foreign){ .hook = hook, .name = info.name, .id = id });
}

static void hook_each(const struct walk *w, const char *hook, int target, enum bpf_attach_type type,
		      uint32_t flags)
{
	uint32_t ids[PROGS_MAX] = { 0 };
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .query_flags = flags, .prog_ids = ids,
		    .prog_cnt = PROGS_MAX);

	if (bpf_prog_query_opts(target, type, &opts) < 0)
		return;
	for (uint32_t i = 0; i < opts.prog_cnt && i < PROGS_MAX; i++)
		show(w, hook, ids[i]);
}

void foreign_each(const char *cgroup, uint32_t ifindex,
		  void (*fn)(void *arg, const struct foreign *f), void *arg)
{
	static const struct {
		const char *name;
		enum bpf_attach_type type;
	} hooks[] = {
		{ "connect4", BPF_CGROUP_INET4_CONNECT },
		{ "connect6", BPF_CGROUP_INET6_CONNECT },
		{ "getpeername4", BPF_CGROUP_INET4_GETPEERNAME },
		{ "getpeername6", BPF_CGROUP_INET6_GETPEERNAME },
		{ "sendmsg4", BPF_CGROUP_UDP4_SENDMSG },
		{ "sendmsg6", BPF_CGROUP_UDP6_SENDMSG },
		{ "recvmsg4", BPF_CGROUP_UDP4_RECVMSG },
		{ "recvmsg6", BPF_CGROUP_UDP6_RECVMSG },
		{ "sockops", BPF_CGROUP_SOCK_OPS },
	};
	const struct walk w = { fn, arg };
	_close_ int fd = cgroup ? open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	uint32_t xdp = 0;

	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(hooks); i++)
		hook_each(&w, hooks[i].name, fd, hooks[i].type, BPF_F_QUERY_EFFECTIVE);
	if (!ifindex)
		return;
	hook_each(&w, "tcx ingress", (int)ifindex, BPF_TCX_INGRESS, 0);
	if (bpf_xdp_query_id((int)ifindex, 0, &xdp) == 0 && xdp)
		show(&w, "xdp", xdp);
}
