/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * Only in the build that measures the tests (COVER=1, selftests/bpf/cover.sh), put in front of
 * every file by the compiler: each return statement counts itself in a map, by file and line.
 * The map is pinned by its name, so that all tests count in the same one.
 */
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>

#define COVER_FILES 128
#define COVER_LINES 512

struct weft_cover_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, COVER_FILES * COVER_LINES);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
};

#ifdef WEFT_COVER_MAP
struct weft_cover_map weft_cover SEC(".maps");
#else
extern struct weft_cover_map weft_cover SEC(".maps");
#endif

/* Told apart by three characters; cover.sh checks that no two files get the same number. */
#define COVER_FILE \
	((sizeof(__FILE_NAME__) * 31 + __FILE_NAME__[0] * 7 + __FILE_NAME__[3]) % COVER_FILES)

static __always_inline int cover_hit(__u32 at)
{
	__u64 *n = bpf_map_lookup_elem(&weft_cover, &at);

	if (n)
		__sync_fetch_and_add(n, 1);
	return 0;
}

/* An else that follows belongs to the if in front, as it did before. */
#define return \
	if (cover_hit(COVER_FILE * COVER_LINES + __LINE__ % COVER_LINES)) { \
	} else \
		return
