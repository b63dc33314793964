/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Programs of others on the hooks that Weft uses: they decide as well. Reads only; no state. */
#include <stdint.h>

struct foreign {
	const char *hook; /* "connect4", "sockops", "tcx ingress", "xdp", ... */
	const char *name; /* of the program */
	uint32_t id;
};

/* Those in effect for the cgroup folder (NULL: none) and at the ingress of a device (0: none).
 * Programs called weft_... are ours. Best effort: what cannot be asked is not shown. */
void foreign_each(const char *cgroup, uint32_t ifindex,
		  void (*fn)(void *arg, const struct foreign *f), void *arg);
