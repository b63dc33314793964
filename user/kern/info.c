// SPDX-License-Identifier: Apache-2.0
/* What is loaded, for "weft bpf" and the metrics. Control thread. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

int kern_run_stats(struct kern *k, bool on)
{
	if (!on) {
		own_close(&k->stats_fd);
		return 0;
	}
	if (k->stats_fd >= 0)
		return 0;
	k->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	return k->stats_fd < 0 ? k->stats_fd : 0;
}

/* Pod and device links carry their place in the name: link_guard_7, link_sklookup_4098, tc_guard_7.
 * Gives that number, "" for a link of the node, NULL for one of another program. */
static const char *link_number(const struct kern_link *l, const char *prog)
{
	const char *kind = prog + strlen("weft_");
	const char *base = strchr(strrchr(l->path, '/'), '_') + 1;
	size_t n = strlen(kind);

	if (strcmp(base, prog) == 0)
		return "";
	return strncmp(base, kind, n) == 0 && base[n] == '_' ? base + n + 1 : NULL;
}

static bool is_uplink(const struct kern *k, const char *prog)
{
	return (k->uplink_mode == UPLINK_TCX && strcmp(prog, "weft_uplink_tcx") == 0) ||
	       (k->uplink_mode == UPLINK_XDP && strcmp(prog, "weft_uplink_xdp") == 0);
}

static uint32_t links_of(struct kern *k, const char *prog)
{
	uint32_t n = is_uplink(k, prog);

	vec_for_each(l, &k->links)
		n += link_number(l, prog) != NULL;
	return n;
}

static void device_place(uint32_t ifindex, void (*fn)(void *arg, const char *place), void *arg)
{
	char name[IF_NAMESIZE];

	fn(arg, if_indextoname(ifindex, name) ? name : "a device that is gone");
}

void kern_prog_places(struct kern *k, const char *prog, void (*fn)(void *arg, const char *place),
		      void *arg)
{
	if (is_uplink(k, prog))
		device_place(k->uplink_ifindex, fn, arg);
	vec_for_each(l, &k->links) {
		const char *number = link_number(l, prog);
		char text[48];
		uint32_t ifindex;

		if (!number)
			continue;
		if (strcmp(prog, "weft_guard") == 0 && str_to_u32(str_of(number), &ifindex) == 0) {
			device_place(ifindex, fn, arg);
			continue;
		}
		snprintf(text, sizeof(text), "netns %s", number);
		fn(arg, number[0] ? text : "cgroup");
	}
}

static int prog_row(const struct bpf_program *prog, struct kern_prog_row *row)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	int fd = bpf_program__fd(prog);

	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &len) < 0)
		return -ENOENT;
	row->name = bpf_program__name(prog);
	row->type = libbpf_bpf_prog_type_str(bpf_program__type(prog));
	row->id = info.id;
	row->insns = info.verified_insns;
	row->run_count = info.run_cnt;
	row->run_time_ns = info.run_time_ns;
	return 0;
}

void kern_prog_each(struct kern *k, void (*fn)(void *arg, const struct kern_prog_row *r), void *arg)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, k->skel->obj) {
		struct kern_prog_row row = { 0 };

		if (prog_row(prog, &row) < 0)
			continue;
		row.attached = links_of(k, row.name);
		fn(arg, &row);
	}
	if (k->uplink_mode == UPLINK_XDP) {
		struct kern_prog_row row = { .name = "weft_uplink_xdp", .type = "xdp", .attached = 1 };

		fn(arg, &row);
	}
}

static int add_piece(void *arg, const char *keys, const char *values, uint32_t n)
{
	(void)keys;
	(void)values;
	*(int64_t *)arg += n;
	return 0;
}

static int64_t hash_count(int fd, const struct bpf_map *map)
{
	int64_t n = 0;

	return kern_hash_pieces(fd, bpf_map__key_size(map), bpf_map__value_size(map), add_piece,
				&n) < 0
		       ? -1
		       : n;
}

static int64_t map_count(int fd, const struct bpf_map *map)
{
	enum bpf_map_type type = bpf_map__type(map);
	_free_ char *key = NULL, *next = NULL;
	void *prev = NULL;
	int64_t n = 0;

	if (type != BPF_MAP_TYPE_HASH && type != BPF_MAP_TYPE_PERCPU_HASH &&
	    type != BPF_MAP_TYPE_SOCKHASH && type != BPF_MAP_TYPE_LPM_TRIE)
		return -1;
	if (type == BPF_MAP_TYPE_HASH)
		return hash_count(fd, map);
	key = malloc(bpf_map__key_size(map));
	next = malloc(bpf_map__key_size(map));
	if (!key || !next)
		return -1;
	while (n <= (int64_t)bpf_map__max_entries(map) && bpf_map_get_next_key(fd, prev, next) == 0) {
		memcpy(key, next, bpf_map__key_size(map));
		prev = key;
		n++;
	}
	return n;
}

/* The kernel states a map's memory only in fdinfo. */
static uint64_t map_memory(int fd)
{
	_fclose_ FILE *f = NULL;
	unsigned long long bytes = 0;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}

void kern_map_each(struct kern *k, void (*fn)(void *arg, const struct kern_map_row *r), void *arg)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->skel->obj) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		int fd = bpf_map__fd(map);
		struct kern_map_row row = { .name = bpf_map__name(map) };

		if (fd < 0 || bpf_map_get_info_by_fd(fd, &info, &len) < 0)
			continue;
		row.type = libbpf_bpf_map_type_str(bpf_map__type(map));
		row.id = info.id;
		row.max_entries = info.max_entries;
		row.entries = map_count(fd, map);
		row.memory_bytes = map_memory(fd);
		fn(arg, &row);
	}
}
