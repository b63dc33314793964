// SPDX-License-Identifier: Apache-2.0
/*
 * The network of a lab:
 *
 *   pod eth0 <-veth-> p<slot> [node] eth0 <-veth-> n<index> [fabric] br0
 *
 * Pods are routed, not bridged: host routes on the node, a link-local gateway with a permanent
 * neighbour entry in the pod, as Calico does it. So nothing waits for ARP, neighbour discovery
 * or duplicate address detection, and a lab is ready when its last message is acknowledged.
 * Used by up and down; owns descriptors only while it runs; one thread.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "io/netns.h"
#include "lab_env.h"
#include "lab_net.h"
#include "lab_nl.h"
#include "lab_spec.h"

#define LO_INDEX 1
#define ETH0_INDEX 100 /* and the bridge: clear of the tunnel devices that modules make */
#define PORT_INDEX 100 /* + slot or node index, on the other side */

struct site { /* one namespace while it is being built */
	int fd;
	struct mnl_socket *nl;
};

static void site_fini(struct site *s)
{
	own_close(&s->fd);
	nl_close(&s->nl);
}
#define _site_ __attribute__((cleanup(site_fini)))

struct builder {
	const struct lab_env *env;
	const struct lab_spec *spec;
	struct errbuf *err;
	struct site fabric;
};

/* 02:ca:fe:KIND:NODE:SLOT, so that a packet dump can be read. */
static void mac_make(uint8_t *mac, uint8_t kind, unsigned int node, unsigned int slot)
{
	const uint8_t m[6] = { 0x02, 0xca, 0xfe, kind, (uint8_t)node, (uint8_t)slot };

	memcpy(mac, m, sizeof(m));
}

/* As iproute2 does it: shared, so that an unmount reaches every mount namespace. */
static int netns_dir_make(struct errbuf *err)
{
	int r = dir_make(LAB_NETNS_DIR, 0755, err);

	if (r < 0)
		return r;
	if (mount("", LAB_NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	if (mount(LAB_NETNS_DIR, LAB_NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0 ||
	    mount("", LAB_NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
		return errbuf_set(err, -errno, "%s: cannot make a shared mount: %s",
				  LAB_NETNS_DIR, strerror(errno));
	return 0;
}

static int netns_pin(const char *path)
{
	if (unshare(CLONE_NEWNET) < 0)
		return errno;
	return mount("/proc/self/ns/net", path, "none", MS_BIND, NULL) < 0 ? errno : 0;
}

/* A child makes it, so that this process stays at home. */
static int netns_make(const char *path, struct errbuf *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	int status = 0;
	pid_t pid;

	if (fd < 0)
		return errbuf_set(err, -errno, "%s: cannot create: %s", path, strerror(errno));
	pid = fork();
	if (pid == 0)
		_exit(netns_pin(path));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errbuf_set(err, -errno, "fork: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return errbuf_set(err, -EIO, "%s: cannot make a network namespace: %s", path,
				  strerror(WEXITSTATUS(status)));
	return 0;
}

struct sysctl {
	const char *name, *value;
	bool optional;
};

static int sysctls_write(void *arg)
{
	for (const struct sysctl *s = arg; s->name; s++) {
		_free_ char *path = str_printf("/proc/sys/net/%s", s->name);
		_close_ int fd = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;

		if (s->optional && fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || write(fd, s->value, strlen(s->value)) < 0)
			return -errno;
	}
	return 0;
}

static int site_sysctls(struct builder *b, struct site *site, const char *path)
{
	const struct sysctl all[] = {
		{ "ipv6/conf/all/disable_ipv6", "0", false },
		{ "ipv6/conf/default/disable_ipv6", "0", false },
		{ "ipv6/conf/all/accept_dad", "0", false },
		{ "ipv6/conf/default/accept_dad", "0", false },
		{ "ipv6/conf/default/dad_transmits", "0", false },
		{ "ipv6/conf/default/router_solicitations", "0", false },
		{ "ipv4/conf/all/rp_filter", "0", false },
		{ "ipv4/conf/default/rp_filter", "0", false },
		{ NULL, NULL, false },
	};
	struct sysctl congestion[] = {
		{ "ipv4/tcp_congestion_control", b->spec->congestion, false },
		{ NULL, NULL, false },
	};
	int r = netns_run(site->fd, sysctls_write, (void *)(uintptr_t)all);

	if (r < 0)
		return errbuf_set(b->err, r, "%s: cannot set IPv6 and rp_filter sysctls: %s", path,
				  strerror(-r));
	r = netns_run(site->fd, sysctls_write, congestion);
	if (r < 0)
		return errbuf_set(b->err, r,
				  "congestion: \"%s\" cannot be set in a network namespace (%s); "
				  "see net.ipv4.tcp_allowed_congestion_control",
				  b->spec->congestion, strerror(-r));
	return 0;
}

/* A new namespace with its sysctls and a loopback that is up. */
static int site_make(struct builder *b, const char *path, struct site *ret)
{
	_site_ struct site site = { .fd = -1 };
	int r = netns_make(path, b->err);

	if (r < 0)
		return r;
	site.fd = netns_open(path);
	if (site.fd < 0)
		return errbuf_set(b->err, site.fd, "%s: cannot open: %s", path,
				  strerror(-site.fd));
	r = site_sysctls(b, &site, path);
	if (r == 0)
		r = nl_open(site.fd, &site.nl);
	if (r == 0)
		r = nl_link_up(site.nl, LO_INDEX, 0);
	if (r < 0)
		return errbuf_set(b->err, r, "%s: cannot set up: %s", path, strerror(-r));
	*ret = site;
	site = (struct site){ .fd = -1 };
	return 0;
}

/* Routes to the pods of a node, as every other node and the fabric have them. */
static int pod_routes_add(struct site *site, const struct lab_node *to)
{
	struct weft_addr v4, v6;
	char text[IP_TEXT_MAX];
	int r;

	snprintf(text, sizeof(text), "10.244.%u.0", to->index);
	r = ip_parse(str_of(text), &v4);
	snprintf(text, sizeof(text), "fd00:10:244:%u::", to->index);
	if (r == 0)
		r = ip_parse(str_of(text), &v6);
	if (r == 0)
		r = nl_route_add(site->nl, ETH0_INDEX, &v4, 24, &to->v4);
	return r == 0 ? nl_route_add(site->nl, ETH0_INDEX, &v6, 64, &to->v6) : r;
}

static int fabric_addrs_add(struct site *site)
{
	struct weft_addr v4, v6;
	int r = ip_parse(STR("172.31.250.254"), &v4);

	if (r == 0)
		r = ip_parse(STR("fd31:250::254"), &v6);
	if (r == 0)
		r = nl_addr_add(site->nl, ETH0_INDEX, &v4, 24);
	return r == 0 ? nl_addr_add(site->nl, ETH0_INDEX, &v6, 64) : r;
}

static int fabric_build(struct builder *b)
{
	char path[LAB_PATH_MAX];
	int r = site_make(b, env_netns(b->env, path, "fabric"), &b->fabric);

	if (r < 0)
		return r;
	r = nl_bridge_add(b->fabric.nl, "br0", ETH0_INDEX, b->spec->mtu);
	if (r == 0)
		r = nl_link_up(b->fabric.nl, ETH0_INDEX, 0);
	if (r == 0)
		r = fabric_addrs_add(&b->fabric);
	for (size_t i = 0; i < b->spec->nodes.n && r == 0; i++)
		r = pod_routes_add(&b->fabric, &b->spec->nodes.p[i]);
	return r < 0 ? errbuf_set(b->err, r, "fabric: %s", strerror(-r)) : 0;
}

static int node_uplink_build(struct builder *b, struct site *site, const struct lab_node *n)
{
	struct nl_end eth0 = { .name = "eth0", .index = ETH0_INDEX, .netns_fd = site->fd };
	char port_name[16];
	struct nl_end port = { .name = port_name,
			       .index = PORT_INDEX + n->index,
			       .netns_fd = b->fabric.fd };
	int r;

	snprintf(port_name, sizeof(port_name), "n%u", n->index);
	mac_make(eth0.mac, 0x10, n->index, 0);
	mac_make(port.mac, 0x11, n->index, 0);
	r = nl_veth_add(site->nl, &eth0, &port, b->spec->mtu);
	if (r == 0)
		r = nl_link_up(b->fabric.nl, port.index, ETH0_INDEX);
	if (r == 0)
		r = nl_link_up(site->nl, ETH0_INDEX, 0);
	if (r == 0)
		r = nl_addr_add(site->nl, ETH0_INDEX, &n->v4, 24);
	return r == 0 ? nl_addr_add(site->nl, ETH0_INDEX, &n->v6, 64) : r;
}

static int node_routes_build(struct builder *b, struct site *site, const struct lab_node *n)
{
	const struct sysctl forward[] = {
		{ "ipv4/ip_forward", "1", false },
		{ "ipv6/conf/all/forwarding", "1", false },
		{ "ipv6/conf/default/forwarding", "1", false },
		/* "no route" reaches every sender at once, not one a second */
		{ "ipv4/icmp_ratelimit", "0", true },
		{ "ipv6/icmp/ratelimit", "0", true },
		{ NULL, NULL, false },
	};
	int r = netns_run(site->fd, sysctls_write, (void *)(uintptr_t)forward);

	for (size_t i = 0; i < b->spec->nodes.n && r == 0; i++) {
		const struct lab_node *other = &b->spec->nodes.p[i];

		if (other->index != n->index)
			r = pod_routes_add(site, other);
	}
	return r;
}

/* Addresses, gateways and neighbours of both ends of a pod's veth. */
static int pod_addr_build(struct site *node, struct site *pod, const struct lab_pod *p,
			  const struct nl_end *eth0, const struct nl_end *port)
{
	struct weft_addr gw4, gw6;
	const struct {
		const struct weft_addr *addr, *gw;
		uint8_t len;
	} sides[] = { { &p->v4, &gw4, 32 }, { &p->v6, &gw6, 128 } };
	int r = ip_parse(STR("169.254.1.1"), &gw4);

	if (r == 0)
		r = ip_parse(STR("fe80::1"), &gw6);
	for (size_t i = 0; i < ARRAY_LEN(sides) && r == 0; i++) {
		const struct weft_addr *a = sides[i].addr;

		r = nl_addr_add(pod->nl, ETH0_INDEX, a, sides[i].len);
		if (r == 0)
			r = nl_neigh_add(pod->nl, ETH0_INDEX, sides[i].gw, port->mac);
		if (r == 0)
			r = nl_route_add(pod->nl, ETH0_INDEX, NULL, 0, sides[i].gw);
		if (r == 0)
			r = nl_route_add(node->nl, port->index, a, sides[i].len, NULL);
		if (r == 0)
			r = nl_neigh_add(node->nl, port->index, a, eth0->mac);
	}
	return r;
}

static int pod_build(struct builder *b, struct site *node, const struct lab_node *n,
		     const struct lab_pod *p)
{
	_site_ struct site pod = { .fd = -1 };
	struct nl_end eth0 = { .name = "eth0", .index = ETH0_INDEX };
	char port_name[16], path[LAB_PATH_MAX];
	struct nl_end port = { .name = port_name,
			       .index = PORT_INDEX + p->slot,
			       .netns_fd = node->fd };
	int r = site_make(b, env_pod_netns(b->env, path, p->ns, p->name), &pod);

	if (r < 0)
		return r;
	eth0.netns_fd = pod.fd;
	snprintf(port_name, sizeof(port_name), "p%u", p->slot);
	mac_make(eth0.mac, 0x20, n->index, p->slot);
	mac_make(port.mac, 0x21, n->index, p->slot);
	r = nl_veth_add(node->nl, &port, &eth0, b->spec->mtu);
	if (r == 0)
		r = nl_link_up(node->nl, port.index, 0);
	if (r == 0)
		r = nl_link_up(pod.nl, ETH0_INDEX, 0);
	if (r == 0)
		r = pod_addr_build(node, &pod, p, &eth0, &port);
	return r < 0 ? errbuf_set(b->err, r, "pod %s/%s: cannot build its network: %s", p->ns,
				  p->name, strerror(-r)) : 0;
}

static int node_build(struct builder *b, size_t i)
{
	const struct lab_node *n = &b->spec->nodes.p[i];
	_site_ struct site node = { .fd = -1 };
	char path[LAB_PATH_MAX];
	int r = site_make(b, env_netns(b->env, path, n->name), &node);

	if (r == 0)
		r = node_uplink_build(b, &node, n);
	if (r == 0)
		r = node_routes_build(b, &node, n);
	if (r < 0)
		return errbuf_set(b->err, r, "node %s: cannot build its network: %s", n->name,
				  strerror(-r));
	lab_for_each(const struct lab_pod, p, &b->spec->pods) {
		r = p->node == i ? pod_build(b, &node, n, p) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

int net_build(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err)
{
	struct builder b = { .env = e, .spec = s, .err = err, .fabric = { .fd = -1 } };
	int r = netns_dir_make(err);

	if (r == 0)
		r = fabric_build(&b);
	for (size_t i = 0; i < s->nodes.n && r == 0; i++)
		r = node_build(&b, i);
	site_fini(&b.fabric);
	return r;
}

/* Somebody's shell inside a namespace of the lab would keep it alive; the lab's own processes
 * are gone by now. */
static void netns_kill(const struct stat *ns)
{
	DIR *proc = opendir("/proc");
	struct dirent *d;

	while (proc && (d = readdir(proc))) {
		_free_ char *path = str_printf("/proc/%s/ns/net", d->d_name);
		struct stat st;
		uint32_t pid;

		if (!path || str_to_u32(str_of(d->d_name), &pid) < 0 || pid <= 1 ||
		    (pid_t)pid == getpid() || stat(path, &st) < 0)
			continue;
		if (st.st_ino == ns->st_ino && st.st_dev == ns->st_dev)
			kill((pid_t)pid, SIGKILL);
	}
	if (proc)
		closedir(proc);
}

/* Links go with the last user of a namespace, all of them at once and behind our back: to
 * delete them one by one would wait for the kernel 40 ms each. */
static void netns_remove(const char *path)
{
	_close_ int fd = netns_open(path);
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		netns_kill(&st);
	umount2(path, MNT_DETACH);
	unlink(path);
}

int net_remove(const struct lab_env *e)
{
	_free_ char *prefix = str_printf("%s-", e->name);
	DIR *dir = opendir(LAB_NETNS_DIR);
	struct dirent *d;
	int n = 0;

	while (dir && prefix && (d = readdir(dir))) {
		_free_ char *path = str_printf(LAB_NETNS_DIR "/%s", d->d_name);

		if (!path || !str_has_prefix(str_of(d->d_name), str_of(prefix)))
			continue;
		netns_remove(path);
		n++;
	}
	if (dir)
		closedir(dir);
	return n;
}
