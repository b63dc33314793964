/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * The kernel types we read, and of them only the fields we read. CO-RE relocates each access
 * to the running kernel's layout, so this is all of "vmlinux.h" that the build needs.
 */
#include <linux/in6.h>
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	unsigned long skc_flags;
	__be16 skc_dport;
	__u16 skc_num;
	/* IPv4 sockets carry their addresses here too, v4-mapped. */
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	int sk_err;
};

struct inet_connection_sock;

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u32 srtt_us;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_map;

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	__u32 uid;
};

enum sock_flags {
	SOCK_DEAD,
	SOCK_DONE,
};

#pragma clang attribute pop
