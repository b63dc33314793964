// SPDX-License-Identifier: Apache-2.0
/* weft check: the machine around the kernel. Each line that is not ok says what to do. */
#include <cap-ng.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/own.h"
#include "base/str.h"
#include "check.h"
#include "daemon/opts.h"

/* Each relayed connection takes up to two descriptors. */
#define FILES_WANTED 65536

static void on_bpffs(struct check *c)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		check_line(c, "bpffs", CHECK_OK, "mounted at /sys/fs/bpf");
	else if (access("/sys/fs/bpf", F_OK) == 0)
		check_line(c, "bpffs", CHECK_WARN,
			   "not mounted; weftd will do it, but pins are safer with a mount of the "
			   "system: mount -t bpf bpf /sys/fs/bpf");
	else
		check_line(c, "bpffs", CHECK_FAIL, "no /sys/fs/bpf: is /sys mounted?");
}

static void on_capabilities(struct check *c)
{
	static const struct {
		unsigned cap;
		const char *why;
	} wanted[] = {
		{ CAP_BPF, "to load programs" },
		{ CAP_PERFMON, "to load programs that read kernel memory" },
		{ CAP_NET_ADMIN, "to attach them, for routes and marks" },
		{ CAP_SYS_ADMIN, "to enter namespaces and to pin" },
		{ CAP_NET_BIND_SERVICE, "for its ports in pods" },
	};
	size_t missing = 0;

	capng_get_caps_process();
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
		if (capng_have_capability(CAPNG_EFFECTIVE, wanted[i].cap))
			continue;
		check_line(c, "capabilities", CHECK_FAIL, "cap_%s is missing, weftd needs it %s",
			   capng_capability_to_name(wanted[i].cap), wanted[i].why);
		missing++;
	}
	if (!missing)
		check_line(c, "capabilities", CHECK_OK, "all that weftd needs");
}

static void on_limits(struct check *c)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		return;
	if (r.rlim_max >= FILES_WANTED)
		check_line(c, "open_files", CHECK_OK, "up to %llu descriptors",
			   (unsigned long long)r.rlim_max);
	else
		check_line(c, "open_files", CHECK_WARN,
			   "only %llu descriptors, enough for some %llu relayed connections: "
			   "LimitNOFILE=%d in the unit of weftd",
			   (unsigned long long)r.rlim_max, (unsigned long long)r.rlim_max / 2,
			   FILES_WANTED);
}

static void on_clock(struct check *c)
{
	struct timex t = { 0 };
	int r = adjtimex(&t);

	if (r == TIME_ERROR || (t.status & STA_UNSYNC))
		check_line(c, "clock", CHECK_WARN,
			   "nobody keeps it (certificates live for hours): run chrony or "
			   "systemd-timesyncd");
	else
		check_line(c, "clock", CHECK_OK, "synchronised");
}

/* Is this process, and so a daemon that is started like it, below the folder of the hooks? */
static void on_cgroup(struct check *c, const char *folder)
{
	_fclose_ FILE *f = fopen("/proc/self/cgroup", "re");
	char line[1024], v1[1024] = "";
	struct statfs fs;

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "0::", 3) != 0 && !v1[0])
			str_copy(v1, sizeof(v1), str_trim(str_of(line)));
	if (statfs(folder, &fs) < 0 || (unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
		check_line(c, "cgroup", CHECK_FAIL,
			   "%s is not on cgroup2: mount -t cgroup2 none /sys/fs/cgroup, or boot with "
			   "systemd.unified_cgroup_hierarchy=1", folder);
	else if (strstr(v1, "net_cls") || strstr(v1, "net_prio"))
		check_line(c, "cgroup", CHECK_WARN,
			   "%s, beside a hierarchy of version 1 with net_cls or net_prio: sockets "
			   "that use it before Linux 5.15 are not seen by the hooks", folder);
	else
		check_line(c, "cgroup", CHECK_OK, "hooks go to %s", folder);
}

/* Tunnels and the like carry bare IP; the guard of the uplink looks behind an Ethernet header. */
static bool has_ethernet(const char *ifname)
{
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", ifname);
	return fd >= 0 && ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 &&
	       (ifr.ifr_hwaddr.sa_family == ARPHRD_ETHER ||
		ifr.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK);
}

static void on_uplink(struct check *c, const struct opts *o)
{
	if (strcmp(o->uplink, "none") == 0)
		check_line(c, "uplink", CHECK_WARN,
			   "no interface has a default route: name one by uplink, or packets from "
			   "outside may claim the address of a pod");
	else if (!if_nametoindex(o->uplink))
		check_line(c, "uplink", CHECK_FAIL, "there is no interface %s", o->uplink);
	else if (!has_ethernet(o->uplink))
		check_line(c, "uplink", CHECK_WARN,
			   "%s has no Ethernet header: packets that claim the address of a pod are "
			   "not recognised there; filter them by other means", o->uplink);
	else
		check_line(c, "uplink", CHECK_OK, "%s", o->uplink);
}

void check_machine(struct check *c)
{
	char *argv[] = { (char *)"weftd", NULL };
	struct errbuf err = { 0 };
	struct opts o = { 0 };

	c->group = "machine";
	on_bpffs(c);
	on_capabilities(c);
	on_limits(c);
	on_clock(c);
	if (opts_parse(1, argv, &o, &err) < 0) {
		check_line(c, "configuration", CHECK_FAIL, "%s", err.text);
		return;
	}
	check_line(c, "configuration", CHECK_OK, "node %s", o.node);
	on_cgroup(c, o.cgroup);
	on_uplink(c, &o);
	opts_fini(&o);
}
