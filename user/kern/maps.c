// SPDX-License-Identifier: Apache-2.0
/* Typed access to the maps; each function is one or a few bpf(2) calls. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

#define MAP_FD(k, name) bpf_map__fd((k)->skel->maps.name)

int kern_pod_set(struct kern *k, uint64_t cookie, const struct weft_pod *pod)
{
	return bpf_map_update_elem(MAP_FD(k, weft_pods), &cookie, pod, BPF_ANY);
}

/* Deleting what is not there is what the caller wanted. */
static int map_delete(int fd, const void *key)
{
	int r = bpf_map_delete_elem(fd, key);

	return r == -ENOENT ? 0 : r;
}

int kern_pod_del(struct kern *k, uint64_t cookie)
{
	return map_delete(MAP_FD(k, weft_pods), &cookie);
}

/* Walks a hash map. A key deleted meanwhile restarts the kernel's walk, so entries may be
 * seen twice, never missed; the bound keeps a busy map from holding us for ever. */
static void map_walk(int fd, void *key, void *next, size_t key_n, void *value, size_t limit,
		     void (*fn)(void *arg, const void *key, const void *value), void *arg)
{
	void *prev = NULL;

	for (size_t i = 0; i < limit && bpf_map_get_next_key(fd, prev, next) == 0; i++) {
		memcpy(key, next, key_n);
		prev = key;
		if (bpf_map_lookup_elem(fd, key, value) == 0)
			fn(arg, key, value);
	}
}

int kern_hash_pieces(int fd, size_t key_n, size_t value_n,
		     int (*fn)(void *arg, const char *keys, const char *values, uint32_t n),
		     void *arg)
{
	enum { AT_ONCE = 1024 };
	_free_ char *keys = calloc(AT_ONCE, key_n), *values = calloc(AT_ONCE, value_n);
	void *from = NULL;
	uint32_t at, n;
	int r = keys && values ? 0 : -ENOMEM, stop = 0;

	while (r == 0 && stop == 0) {
		n = AT_ONCE;
		r = bpf_map_lookup_batch(fd, from, &at, keys, values, &n, NULL);
		if (n && (r == 0 || r == -ENOENT)) /* which is the end */
			stop = fn(arg, keys, values, n);
		from = &at;
	}
	return stop ? stop : r == -ENOENT ? 0 : r;
}

struct hash_walk {
	void (*fn)(void *arg, const void *key, const void *value);
	void *arg;
	size_t key_n, value_n;
};

static int on_piece(void *arg, const char *keys, const char *values, uint32_t n)
{
	const struct hash_walk *w = arg;

	for (uint32_t i = 0; i < n; i++)
		w->fn(w->arg, keys + i * w->key_n, values + i * w->value_n);
	return 0;
}

static void hash_walk(int fd, size_t key_n, size_t value_n,
		      void (*fn)(void *arg, const void *key, const void *value), void *arg)
{
	struct hash_walk w = { fn, arg, key_n, value_n };

	kern_hash_pieces(fd, key_n, value_n, on_piece, &w);
}

struct pod_walk {
	void (*fn)(void *arg, uint64_t cookie, const struct weft_pod *p);
	void *arg;
};

static void on_pod(void *arg, const void *key, const void *value)
{
	const struct pod_walk *w = arg;

	w->fn(w->arg, *(const uint64_t *)key, value);
}

void kern_pod_each(struct kern *k, void (*fn)(void *arg, uint64_t cookie, const struct weft_pod *p),
		   void *arg)
{
	struct pod_walk w = { fn, arg };
	struct weft_pod pod;
	uint64_t key, next;

	map_walk(MAP_FD(k, weft_pods), &key, &next, sizeof(key), &pod, 65536, on_pod, &w);
}

int kern_listen_set(struct kern *k, const struct weft_addr *a, enum weft_listen_kind kind, int fd)
{
	struct weft_listen_key key = { .addr = *a, .kind = kind };
	uint64_t value = (uint64_t)fd;

	return bpf_map_update_elem(MAP_FD(k, weft_listen), &key, &value, BPF_ANY);
}

int kern_addr_set(struct kern *k, const struct weft_addr *a, const struct weft_wld *w)
{
	return bpf_map_update_elem(MAP_FD(k, weft_addrs), a, w, BPF_ANY);
}

int kern_addr_get(struct kern *k, const struct weft_addr *a, struct weft_wld *ret)
{
	return bpf_map_lookup_elem(MAP_FD(k, weft_addrs), a, ret);
}

int kern_addr_del(struct kern *k, const struct weft_addr *a)
{
	return map_delete(MAP_FD(k, weft_addrs), a);
}

struct addr_walk {
	void (*fn)(void *arg, const struct weft_addr *a, const struct weft_wld *w);
	void *arg;
};

static void on_addr(void *arg, const void *key, const void *value)
{
	const struct addr_walk *w = arg;

	w->fn(w->arg, key, value);
}

void kern_addr_each(struct kern *k,
		    void (*fn)(void *arg, const struct weft_addr *a, const struct weft_wld *w),
		    void *arg)
{
	struct addr_walk w = { fn, arg };

	hash_walk(MAP_FD(k, weft_addrs), sizeof(struct weft_addr), sizeof(struct weft_wld), on_addr,
		  &w);
}

static struct weft_range_key range_key(const struct ip_prefix *p)
{
	return (struct weft_range_key){ .prefixlen = p->len, .addr = p->addr };
}

int kern_range_set(struct kern *k, const struct ip_prefix *p, uint32_t flags)
{
	const struct weft_range_key key = range_key(p);
	const struct weft_wld value = { .flags = flags };

	return bpf_map_update_elem(MAP_FD(k, weft_ranges), &key, &value, BPF_ANY);
}

int kern_range_del(struct kern *k, const struct ip_prefix *p)
{
	const struct weft_range_key key = range_key(p);

	return map_delete(MAP_FD(k, weft_ranges), &key);
}

struct range_walk {
	void (*fn)(void *arg, const struct ip_prefix *p, uint32_t flags);
	void *arg;
};

static void on_range(void *arg, const void *key, const void *value)
{
	const struct range_walk *w = arg;
	const struct weft_range_key *k = key;
	const struct ip_prefix p = { .addr = k->addr, .len = (uint8_t)k->prefixlen };

	w->fn(w->arg, &p, ((const struct weft_wld *)value)->flags);
}

void kern_range_each(struct kern *k,
		     void (*fn)(void *arg, const struct ip_prefix *p, uint32_t flags), void *arg)
{
	struct range_walk w = { fn, arg };
	struct weft_range_key key, next;
	struct weft_wld value;

	map_walk(MAP_FD(k, weft_ranges), &key, &next, sizeof(key), &value, 1u << 16, on_range, &w);
}

int kern_service_set(struct kern *k, const struct weft_svc_key *key, const struct weft_svc *v)
{
	return bpf_map_update_elem(MAP_FD(k, weft_services), key, v, BPF_ANY);
}

int kern_service_del(struct kern *k, const struct weft_svc_key *key)
{
	return map_delete(MAP_FD(k, weft_services), key);
}

struct service_walk {
	void (*fn)(void *arg, const struct weft_svc_key *key, const struct weft_svc *v);
	void *arg;
};

static void on_service(void *arg, const void *key, const void *value)
{
	const struct service_walk *w = arg;

	w->fn(w->arg, key, value);
}

void kern_service_each(struct kern *k,
		       void (*fn)(void *arg, const struct weft_svc_key *key, const struct weft_svc *v),
		       void *arg)
{
	struct service_walk w = { fn, arg };

	hash_walk(MAP_FD(k, weft_services), sizeof(struct weft_svc_key), sizeof(struct weft_svc), on_service,
		  &w);
}

int kern_slot_set(struct kern *k, const struct weft_slot_key *key, const struct weft_slot *v)
{
	return bpf_map_update_elem(MAP_FD(k, weft_slots), key, v, BPF_ANY);
}

int kern_slot_del(struct kern *k, const struct weft_slot_key *key)
{
	return map_delete(MAP_FD(k, weft_slots), key);
}

struct slot_walk {
	void (*fn)(void *arg, const struct weft_slot_key *key, const struct weft_slot *v);
	void *arg;
};

static void on_slot(void *arg, const void *key, const void *value)
{
	const struct slot_walk *w = arg;

	w->fn(w->arg, key, value);
}

void kern_slot_each(struct kern *k,
		    void (*fn)(void *arg, const struct weft_slot_key *key, const struct weft_slot *v),
		    void *arg)
{
	struct slot_walk w = { fn, arg };

	hash_walk(MAP_FD(k, weft_slots), sizeof(struct weft_slot_key), sizeof(struct weft_slot), on_slot,
		  &w);
}

uint32_t kern_epoch_any(struct kern *k)
{
	struct weft_state s = { 0 };
	uint32_t zero = 0;

	bpf_map_lookup_elem(k->fd_state, &zero, &s);
	return s.epoch;
}

int kern_epoch_bump(struct kern *k)
{
	struct weft_state s = { .epoch = kern_epoch_any(k) + 1 };
	uint32_t zero = 0;

	return bpf_map_update_elem(k->fd_state, &zero, &s, BPF_ANY);
}

int kern_verdict_set_any(struct kern *k, uint32_t src, uint32_t dst, uint16_t port, bool allow)
{
	struct weft_verdict_key key = { .src = src, .dst = dst, .port = port };
	struct weft_verdict v = { .epoch = kern_epoch_any(k),
				  .kind = allow ? WEFT_VERDICT_ALLOW : WEFT_VERDICT_DENY };

	return bpf_map_update_elem(k->fd_verdicts, &key, &v, BPF_ANY);
}

int kern_verdict_get_any(struct kern *k, uint32_t src, uint32_t dst, uint16_t port,
			 struct weft_verdict *ret)
{
	struct weft_verdict_key key = { .src = src, .dst = dst, .port = port };

	return bpf_map_lookup_elem(k->fd_verdicts, &key, ret);
}

struct verdict_walk {
	void (*fn)(void *arg, const struct weft_verdict_key *key, bool allow);
	void *arg;
	uint32_t epoch;
};

static void on_verdict(void *arg, const void *key, const void *value)
{
	const struct verdict_walk *w = arg;
	const struct weft_verdict *v = value;

	if (v->epoch == w->epoch)
		w->fn(w->arg, key, v->kind == WEFT_VERDICT_ALLOW);
}

void kern_verdict_each(struct kern *k,
		       void (*fn)(void *arg, const struct weft_verdict_key *key, bool allow),
		       void *arg)
{
	struct verdict_walk w = { fn, arg, kern_epoch_any(k) };
	struct weft_verdict_key key, next;
	struct weft_verdict value;

	map_walk(k->fd_verdicts, &key, &next, sizeof(key), &value, 1u << 20, on_verdict, &w);
}

int kern_refuse_set(struct kern *k, const struct weft_addr *addr, uint16_t port, uint32_t dst,
		    bool refused)
{
	struct weft_refuse_key key = { .addr = *addr, .port = port };
	struct weft_refuse v = { .epoch = kern_epoch_any(k),
				 .dst = dst,
				 .kind = refused ? WEFT_VERDICT_DENY : WEFT_VERDICT_ALLOW };

	return bpf_map_update_elem(MAP_FD(k, weft_refused), &key, &v, BPF_ANY);
}

void kern_refuse_sweep(struct kern *k)
{
	int fd = MAP_FD(k, weft_refused);
	struct weft_refuse_key key, next, *prev = NULL;
	uint32_t epoch = kern_epoch_any(k);
	struct weft_refuse v;
	bool stale = false;

	while (bpf_map_get_next_key(fd, prev, &next) == 0) {
		if (stale)
			bpf_map_delete_elem(fd, &key);
		key = next;
		prev = &key;
		stale = bpf_map_lookup_elem(fd, &key, &v) == 0 && v.epoch != epoch;
	}
	if (stale)
		bpf_map_delete_elem(fd, &key);
}

void kern_verdict_sweep(struct kern *k)
{
	struct weft_verdict_key key, next, *prev = NULL;
	uint32_t epoch = kern_epoch_any(k);
	struct weft_verdict v;
	bool stale = false;

	while (bpf_map_get_next_key(k->fd_verdicts, prev, &next) == 0) {
		if (stale)
			bpf_map_delete_elem(k->fd_verdicts, &key);
		key = next;
		prev = &key;
		stale = bpf_map_lookup_elem(k->fd_verdicts, &key, &v) == 0 && v.epoch != epoch;
	}
	if (stale)
		bpf_map_delete_elem(k->fd_verdicts, &key);
}

int kern_approval_withdraw(struct kern *k, const struct weft_tuple *t)
{
	const struct weft_approval gone = { .kind = WEFT_APPROVED_WITHDRAWN };

	/* Not there any more: it has closed. */
	return bpf_map_update_elem(MAP_FD(k, weft_approved), t, &gone, BPF_EXIST);
}

int kern_origdst_any(struct kern *k, const struct weft_origdst_key *key, struct weft_origdst *ret)
{
	return bpf_map_lookup_elem(k->fd_origdst, key, ret);
}

int kern_own_mark_any(struct kern *k, int sock_fd)
{
	uint32_t kind = WEFT_OWN;

	return bpf_map_update_elem(k->fd_own, &sock_fd, &kind, BPF_ANY);
}

int kern_asks_mark_any(struct kern *k, int sock_fd)
{
	uint32_t kind = WEFT_OWN_ASKS;

	return bpf_map_update_elem(k->fd_own, &sock_fd, &kind, BPF_ANY);
}

int kern_dns_any(struct kern *k, const struct weft_dns_key *key, struct weft_addr *ret)
{
	return bpf_map_lookup_elem(k->fd_dns, key, ret);
}

void kern_dns_sweep(struct kern *k)
{
	struct weft_dns_key key, next, *prev = NULL;
	struct weft_pod pod;
	bool stale = false;

	while (bpf_map_get_next_key(k->fd_dns, prev, &next) == 0) {
		if (stale)
			bpf_map_delete_elem(k->fd_dns, &key);
		key = next;
		prev = &key;
		stale = bpf_map_lookup_elem(MAP_FD(k, weft_pods), &key.cookie, &pod) < 0;
	}
	if (stale)
		bpf_map_delete_elem(k->fd_dns, &key);
}

void kern_dns_forget(struct kern *k, uint64_t cookie)
{
	struct weft_dns_key key = { .cookie = cookie };

	for (key.v6 = 0; key.v6 <= 1; key.v6++)
		for (key.n = 1; key.n <= WEFT_DNS_MAX; key.n++)
			bpf_map_delete_elem(k->fd_dns, &key);
}
