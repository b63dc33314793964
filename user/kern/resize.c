// SPDX-License-Identifier: Apache-2.0
/*
 * Pinned tables that were made for another number of addresses than is configured now. A table
 * cannot grow; another one takes its place under the same pin, with all that is in it, before
 * the programs are loaded. Those of the daemon before go on with the old one, which says the same,
 * until each is replaced in its link: no hook is missing and no connection ends. Control thread.
 */
#define LOG_SCOPE "kern"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

/* Of each kind as many for an address as there are by default. */
static uint32_t share(uint32_t addrs, uint32_t of_default)
{
	return (uint32_t)((uint64_t)addrs * of_default / WEFT_ADDRS_MAX);
}

uint32_t kern_services_max(uint32_t addrs_max)
{
	return share(addrs_max, WEFT_SERVICES_MAX);
}

static bool differs_in_size_only(const struct bpf_map_info *info, const struct bpf_map *map)
{
	return info->type == bpf_map__type(map) && info->key_size == bpf_map__key_size(map) &&
	       info->value_size == bpf_map__value_size(map) &&
	       info->map_flags == bpf_map__map_flags(map) &&
	       info->max_entries != bpf_map__max_entries(map);
}

static int copy_piece(void *arg, const char *keys, const char *values, uint32_t n)
{
	return bpf_map_update_batch(*(const int *)arg, keys, values, &n, NULL);
}

/* Nobody writes meanwhile: the daemon before is gone, and no program does. */
static int entries_copy(int from, int to, const struct bpf_map_info *info)
{
	return kern_hash_pieces(from, info->key_size, info->value_size, copy_piece, &to);
}

static int map_like(const struct bpf_map_info *info, uint32_t max_entries)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = info->map_flags);
	_close_ int btf = info->btf_id ? bpf_btf_get_fd_by_id(info->btf_id) : -1;

	if (btf >= 0) { /* bpftool shows what is in it by this */
		opts.btf_fd = (__u32)btf;
		opts.btf_key_type_id = info->btf_key_type_id;
		opts.btf_value_type_id = info->btf_value_type_id;
	}
	return bpf_map_create(info->type, info->name, info->key_size, info->value_size, max_entries,
			      &opts);
}

static int map_resize(const struct bpf_map *map, const char *path, struct errbuf *err)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);
	_close_ int old = bpf_obj_get(path), new = -1;
	char next[512];
	int r;

	snprintf(next, sizeof(next), "%s_next", path);
	unlink(next); /* of a daemon that was killed here */
	if (old < 0 || bpf_map_get_info_by_fd(old, &info, &len) < 0 ||
	    !differs_in_size_only(&info, map))
		return 0;
	new = map_like(&info, bpf_map__max_entries(map));
	r = new < 0 ? new : entries_copy(old, new, &info);
	if (r == -E2BIG)
		return errbuf_set(err, r,
				  "mesh_addresses: %s, of the last weftd, has more than the %u entries "
				  "that would fit; it stays in force (set mesh_addresses higher)",
				  info.name, bpf_map__max_entries(map));
	if (r == 0)
		r = bpf_obj_pin(new, next);
	if (r == 0 && rename(next, path) < 0)
		r = -errno;
	if (r < 0)
		return errbuf_set(err, r, "cannot make %s for %u entries instead of %u: %s",
				  info.name, bpf_map__max_entries(map), info.max_entries,
				  log_strerror(r));
	log_info("%s has room for %u entries now, instead of %u", info.name,
		 bpf_map__max_entries(map), info.max_entries);
	return 0;
}

int kern_sizes_set(struct kern *k, uint32_t addrs_max, struct errbuf *err)
{
	const struct {
		struct bpf_map *map;
		uint32_t max;
	} sized[] = {
		{ k->skel->maps.weft_addrs, addrs_max },
		{ k->skel->maps.weft_services, kern_services_max(addrs_max) },
		{ k->skel->maps.weft_slots, share(addrs_max, WEFT_SLOTS_MAX) },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(sized) && r == 0; i++) {
		r = bpf_map__set_max_entries(sized[i].map, sized[i].max);
		if (r == 0)
			r = map_resize(sized[i].map, bpf_map__pin_path(sized[i].map), err);
	}
	return r;
}
