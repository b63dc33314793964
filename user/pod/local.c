// SPDX-License-Identifier: Apache-2.0
/* The same pod under another identity. No state. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/str.h"
#include "pod/pods.h"

struct conn_local *pod_local_copy(const struct conn_local *l, const char *identity)
{
	struct conn_local *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	copy->refs = 1;
	copy->slot = l->slot;
	copy->cookie = l->cookie;
	copy->pass_mark = l->pass_mark;
	copy->v4 = l->v4;
	copy->v6 = l->v6;
	copy->netns_fd = fcntl(l->netns_fd, F_DUPFD_CLOEXEC, 0);
	copy->ns = str_dup(str_of(l->ns));
	copy->name = str_dup(str_of(l->name));
	copy->service_account = str_dup(str_of(l->service_account));
	copy->identity = str_dup(str_of(identity));
	if (copy->netns_fd < 0 || !copy->ns || !copy->name || !copy->identity ||
	    !copy->service_account)
		conn_local_put(&copy);
	return copy;
}
