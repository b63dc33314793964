// SPDX-License-Identifier: Apache-2.0
/*
 * Where the guards hang on kernels without tcx (before 6.6): as a direct-action filter at the
 * ingress of clsact. A filter is no link: it stays with its device, whoever dies. So the program
 * is pinned as tc_<what>_<ifindex> beside it, and that pin is how a later daemon finds the filter.
 * Used by link.c and uplink.c. Control thread.
 */
#define LOG_SCOPE "kern"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"

/* "weft". Filters of one priority are told apart by it, so that nobody else's is replaced. */
#define TC_HANDLE 0x77656674u
/* First of all, so that no other filter lets a packet through before the guard has seen it;
 * the next one where another kind of filter sits there. */
#define TC_PRIORITY_LAST 8

static int tc_query(const struct bpf_tc_hook *hook, uint32_t priority)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priority);

	return bpf_tc_query(hook, &opts);
}

static int tc_put(const struct bpf_tc_hook *hook, uint32_t priority, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = priority,
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(hook, &opts);
}

/* Replaces the program of a filter of ours in place. */
int kern_tc_attach(int prog_fd, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	int r = bpf_tc_hook_create(&hook);

	if (r < 0 && r != -EEXIST)
		return r;
	for (uint32_t p = 1; p <= TC_PRIORITY_LAST; p++)
		if (tc_query(&hook, p) == 0)
			return tc_put(&hook, p, prog_fd);
	for (uint32_t p = 1; p <= TC_PRIORITY_LAST; p++) {
		r = tc_put(&hook, p, prog_fd);
		if (r != -EINVAL && r != -EEXIST)
			break;
	}
	return r;
}

void kern_tc_detach(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);

	for (uint32_t p = 1; p <= TC_PRIORITY_LAST; p++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = p);

		if (tc_query(&hook, p) == 0)
			bpf_tc_detach(&hook, &opts);
	}
}

uint32_t kern_tc_ifindex(const char *name)
{
	const char *number = strrchr(name, '_');
	uint32_t ifindex;

	if (strncmp(name, "tc_", 3) != 0 || str_to_u32(str_of(number + 1), &ifindex) < 0)
		return 0;
	return ifindex;
}

int kern_tc_ensure(struct kern *k, const struct bpf_program *prog, const char *what,
		   uint32_t ifindex)
{
	_free_ char *path = str_printf("%s/tc_%s_%u", k->pin_dir, what, ifindex);
	int r;

	if (!path)
		return -ENOMEM;
	if (kern_link_find(k, path))
		return 0;
	r = kern_tc_attach(bpf_program__fd(prog), ifindex);
	if (r < 0)
		return r;
	unlink(path); /* the program of the daemon before */
	r = bpf_obj_pin(bpf_program__fd(prog), path);
	if (r == 0)
		r = vec_push(&k->links, (struct kern_link){ .path = path, .tc_ifindex = ifindex });
	if (r < 0) {
		unlink(path);
		kern_tc_detach(ifindex);
		return r;
	}
	path = NULL;
	return 0;
}
