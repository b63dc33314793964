// SPDX-License-Identifier: Apache-2.0
/*
 * What the running kernel can do, see probe.h. probe_all() forks: the child makes itself a network
 * namespace, loads the real programs without pinning anything, attaches them to its own loopback
 * device and to a control group of its own, and writes rows to a pipe. All of it goes away with
 * the child.
 */
#include "kern/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/btf.h>
#include <linux/magic.h>
#include <xdp/libxdp.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "tls/ktls.h"
#include "weft/knob.h"
#include "weft.skel.h"

#define LO_IFINDEX 1

/* The child's; one process, so a place that the print callback can reach. */
static char says[160];

struct probing {
	int out;
	struct kern k; /* of which only the skeleton is used */
};

bool probe_tcx(int prog_fd)
{
	/* No device has this index: a kernel with tcx looks for it, another does not get there. */
	int fd = bpf_link_create(prog_fd, INT_MAX, BPF_TCX_INGRESS, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -ENODEV;
}

__attribute__((format(printf, 4, 5))) static void row(const struct probing *p, const char *name,
						       enum probe_state state, const char *fmt, ...)
{
	struct probe_row r = { .state = state };
	va_list ap;

	snprintf(r.name, sizeof(r.name), "%s", name);
	va_start(ap, fmt);
	vsnprintf(r.text, sizeof(r.text), fmt, ap);
	va_end(ap);
	if (write(p->out, &r, sizeof(r)) != (ssize_t)sizeof(r))
		_exit(1);
}

__attribute__((format(printf, 2, 0))) static int on_libbpf(enum libbpf_print_level level,
							    const char *fmt, va_list ap)
{
	char line[1024];

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (!strstr(line, "unrecognized data section"))
		snprintf(says, sizeof(says), "%.150s", line);
	return 0;
}

__attribute__((format(printf, 2, 0))) static int on_libxdp(enum libxdp_print_level level,
							    const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

static int lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

/* ---- one function per row ---- */

static void on_btf(struct probing *p)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK) == 0)
		row(p, "btf", PROBE_OK, "type information of the kernel");
	else
		row(p, "btf", PROBE_MISSING,
		    "no /sys/kernel/btf/vmlinux: a kernel with CONFIG_DEBUG_INFO_BTF=y is needed");
}

/* Everything else hangs on this one. */
static bool on_programs(struct probing *p)
{
	int r;

	p->k.skel = weft__open();
	r = p->k.skel ? weft__load(p->k.skel) : -errno;
	if (r == 0)
		row(p, "programs", PROBE_OK, "all BPF programs load");
	else
		row(p, "programs", PROBE_MISSING, "the BPF programs do not load: %s%s%s",
		    log_strerror(r), says[0] ? ": " : "", says);
	return r == 0;
}

static int cgroup_make(char *ret, size_t cap)
{
	_fclose_ FILE *f = setmntent("/proc/mounts", "re");
	struct mntent *m;

	while (f && (m = getmntent(f))) {
		if (strcmp(m->mnt_type, "cgroup2") != 0)
			continue;
		snprintf(ret, cap, "%s/weft-check-%d", m->mnt_dir, getpid());
		return mkdir(ret, 0755) < 0 ? -errno : 0;
	}
	return -ENOENT;
}

static void on_cgroup(struct probing *p)
{
	const struct bpf_program *progs[] = { p->k.skel->progs.weft_connect4,
					      p->k.skel->progs.weft_getpeer4,
					      p->k.skel->progs.weft_sendmsg4,
					      p->k.skel->progs.weft_recvmsg4,
					      p->k.skel->progs.weft_sockops };
	_close_ int fd = -1;
	char path[256];
	int r = cgroup_make(path, sizeof(path));

	if (r < 0) {
		row(p, "cgroup", PROBE_MISSING, "no control group of version 2 can be made: %s",
		    log_strerror(r));
		return;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_LEN(progs) && r == 0; i++) {
		struct bpf_link *link = bpf_program__attach_cgroup(progs[i], fd);

		r = link ? 0 : -errno;
		bpf_link__destroy(link);
	}
	rmdir(path);
	row(p, "cgroup", r < 0 ? PROBE_MISSING : PROBE_OK, "hooks of a control group%s%s",
	    r < 0 ? " cannot be attached: " : "", r < 0 ? log_strerror(r) : "");
}

static void on_cookie(struct probing *p)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t n = sizeof(cookie);

	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &n) == 0)
		row(p, "netns_cookie", PROBE_OK, "cookies of network namespaces");
	else
		row(p, "netns_cookie", PROBE_MISSING, "no SO_NETNS_COOKIE (Linux 5.14): %s",
		    log_strerror(-errno));
}

static void on_lookup(struct probing *p)
{
	_close_ int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct bpf_link *link = bpf_program__attach_netns(p->k.skel->progs.weft_sklookup, fd);

	if (link)
		row(p, "sk_lookup", PROBE_OK, "sk_lookup on a network namespace");
	else
		row(p, "sk_lookup", PROBE_MISSING, "sk_lookup cannot be attached: %s",
		    log_strerror(-errno));
	bpf_link__destroy(link);
}

static void on_guard(struct probing *p)
{
	struct bpf_program *prog = p->k.skel->progs.weft_guard;
	struct bpf_link *link = NULL;
	int r;

	if (probe_tcx(bpf_program__fd(prog)))
		link = bpf_program__attach_tcx(prog, LO_IFINDEX, NULL);
	if (link) {
		row(p, "tcx", PROBE_OK, "guards are links on tcx");
		bpf_link__destroy(link);
		return;
	}
	r = kern_tc_attach(bpf_program__fd(prog), LO_IFINDEX);
	if (r == 0)
		row(p, "tcx", PROBE_FALLBACK,
		    "no tcx (Linux 6.6): guards are tc filters, which others can remove, and which a "
		    "tc filter of the same device may come before");
	else
		row(p, "tcx", PROBE_MISSING,
		    "guards can be attached neither to tcx nor to tc (CONFIG_NET_CLS_BPF, "
		    "CONFIG_NET_SCH_INGRESS): %s", log_strerror(r));
	kern_tc_detach(LO_IFINDEX);
}

static void on_destroy(struct probing *p)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int r;

	if (btf && btf__find_by_name_kind(btf, "bpf_sock_destroy", BTF_KIND_FUNC) > 0) {
		row(p, "sock_destroy", PROBE_OK, "denied connections are ended by BPF");
		btf__free(btf);
		return;
	}
	btf__free(btf);
	r = kern_sock_destroy_probe();
	if (r == 0)
		row(p, "sock_destroy", PROBE_FALLBACK,
		    "no bpf_sock_destroy (Linux 6.5): denied connections are ended over sock_diag, one "
		    "system call each");
	else
		row(p, "sock_destroy", PROBE_MISSING,
		    "direct connections that a new policy denies cannot be ended "
		    "(CONFIG_INET_DIAG_DESTROY): %s", log_strerror(r));
}

static void on_xdp(struct probing *p)
{
	struct errbuf err = { 0 };

	if (kern_xdp_attach(&p->k, LO_IFINDEX, &err) < 0) {
		row(p, "xdp", PROBE_FALLBACK, "no XDP (%s): the uplink is guarded by tcx or tc",
		    err.text);
		return;
	}
	if (p->k.xdp_dispatcher)
		row(p, "xdp", PROBE_OK, "XDP beside other programs (dispatcher of libxdp)");
	else
		row(p, "xdp", PROBE_FALLBACK,
		    "XDP as the only program of a device: libxdp's dispatcher needs BPF extensions");
	kern_xdp_detach(LO_IFINDEX);
}

static void on_sysctl(struct probing *p)
{
	if (access("/proc/sys/net/ipv4/tcp_fwmark_accept", W_OK) == 0)
		row(p, "fwmark_accept", PROBE_OK, "the leg to an application may carry a mark");
	else
		row(p, "fwmark_accept", PROBE_MISSING,
		    "no /proc/sys/net/ipv4/tcp_fwmark_accept that can be written");
}

static void on_ktls(struct probing *p)
{
	int r = ktls_probe(RECORD_AES_128_GCM_SHA256);

	if (r == 0)
		row(p, "ktls", PROBE_OK, "TLS 1.3 records in the kernel (not used by tunnels)");
	else
		row(p, "ktls", PROBE_OPTIONAL, "no TLS 1.3 records in the kernel (%s); tunnels do not use them",
		    log_strerror(r));
}

static void all(struct probing *p)
{
	if (lo_up() < 0)
		row(p, "netns", PROBE_MISSING, "lo of a new namespace cannot be set up: %s",
		    log_strerror(-errno));
	on_btf(p);
	if (on_programs(p)) {
		on_cgroup(p);
		on_lookup(p);
		on_guard(p);
		on_destroy(p);
		on_xdp(p);
	}
	on_cookie(p);
	on_sysctl(p);
	on_ktls(p);
}

/* libxdp pins its dispatchers, so there must be a bpffs; one of our own. */
static void bpffs_ensure(void)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		return;
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
		(void)mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700");
}

static void child(int out)
{
	struct probing p = { .out = out, .k = { .stats_fd = -1, .lock_fd = -1 } };

	libbpf_set_print(on_libbpf);
	libxdp_set_print(on_libxdp);
	if (unshare(CLONE_NEWNET) < 0) {
		row(&p, "netns", PROBE_MISSING, "no network namespace can be made: %s",
		    log_strerror(-errno));
		_exit(0);
	}
	bpffs_ensure();
	all(&p);
	_exit(0);
}

int probe_all(void (*fn)(void *arg, const struct probe_row *r), void *arg)
{
	struct probe_row r;
	int fds[2], status = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		child(fds[1]);
	}
	close(fds[1]);
	/* Rows are far smaller than what a pipe writes in one piece. */
	while (pid > 0 && read(fds[0], &r, sizeof(r)) == (ssize_t)sizeof(r))
		fn(arg, &r);
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
