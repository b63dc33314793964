/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the tests of the BPF programs share: the programs loaded, a control group of their own
 * and four network namespaces, made new for each group of tests.
 *
 *        host (bridge)
 *      /    |     \
 *     a     b      x        a: 10.9.0.1 fd09::1  enrolled, workload 1, slot 1
 *   pod   pod   stranger    b: 10.9.0.2 fd09::2  enrolled, workload 2, slot 2, local, HBONE
 *                           x: 10.9.0.9 fd09::9  neither in the mesh nor enrolled
 *
 * In the mesh, but nowhere: workload 3, 10.9.0.3 fd09::3, HBONE on another node.
 * The test process lives in the control group, so each of its sockets meets the hooks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/ip.h"
#include "base/own.h"
#include "kern/kern.h"
#include "weft/abi.h"
#include "weft/knob.h"
#include "weft/reason.h"
#include "weft/stat.h"
#include "weft.skel.h"

enum { WLD_A = 1, WLD_B = 2, WLD_FAR = 3 };

struct env_opts {
	bool plain_a;	/* a has no IPv6 address as far as weft_pods knows */
	bool same_node_mtls;
	uint32_t approved, origdst, totals; /* capacities, 0: as built */
};

struct env {
	struct env_opts o;
	struct weft *skel;
	struct bpf_link *links[16];
	size_t n_links;
	struct bpf_link *guard;
	char cgroup[128], old_cgroup[512];
	int home, host, a, b, x; /* namespaces */
	uint64_t cookie_a, cookie_b;
	uint32_t if_a; /* a's interface in host */
};

/* Group setup: *state is a struct env_opts * or NULL before, a struct env * after. */
int env_up(void **state);
int env_down(void **state);
/* Test setup: verdicts, services and listeners gone, epoch 1, mesh as above. */
int env_reset(void **state);

/* A folder below the cgroup2 mount for this process; env_leave_cgroup() goes back. */
int env_enter_cgroup(struct env *e);
void env_leave_cgroup(struct env *e);
/* An IPv4 TCP socket that does not meet the hooks. */
int sock_outside(struct env *e, int ns);
/* sh -c; fails the test unless it ends with 0. */
__attribute__((format(printf, 1, 2))) void sh(const char *fmt, ...);

struct weft_addr addr(const char *text);
struct weft_ep ep(const char *ip, uint16_t port);

/* Sockets in a namespace. dial(): descriptor or -errno. */
int sock_in(int ns, int family, int type, int protocol);
int listen_in(int ns, const char *ip, uint16_t port);
int dial(int ns, const char *ip, uint16_t port);
int dial_fd(int fd, const char *ip, uint16_t port);
int accept_one(int listener); /* waits up to 5 s; -ETIMEDOUT */
bool nobody_came(int listener);
struct weft_ep peer_of(int fd);
struct weft_ep own_of(int fd);
void send_all(int fd, size_t n);
void recv_all(int fd, size_t n);
void wait_eof(int fd);
void close_rst(int fd);

void mesh_set(struct env *e, const char *ip, uint32_t workload, uint32_t flags);
void verdict_set(struct env *e, uint32_t src, uint32_t dst, uint16_t port,
		 enum weft_verdict_kind kind, uint32_t epoch);
void service_set(struct env *e, const char *vip, uint16_t port, uint32_t service, uint32_t n_slots);
void slot_set(struct env *e, uint32_t service, uint32_t n, const char *ip, uint16_t port);
void listener_set(struct env *e, const char *ip, enum weft_listen_kind kind, int fd);

uint64_t stat_now(struct env *e, enum weft_stat which);
struct weft_total total_now(struct env *e, const struct weft_total_key *key);
int map_entries(const struct bpf_map *map);
/* Waits up to 5 s until the map has n entries. */
void expect_entries(const struct bpf_map *map, int n);
