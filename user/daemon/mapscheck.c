// SPDX-License-Identifier: Apache-2.0
/* Do the kernel's tables have what the mesh asks for? `weft maps check`. Control thread. */
#include <errno.h>

#include "admin/views.h"
#include "daemon/daemon.h"
#include "model/snap.h"
#include "pod/mesh.h"

/* One wrong table of many entries is told by its first ones. */
#define DIFFS_MAX 1000

struct diffs {
	json_t *rows;
	uint64_t n;
};

static void add_diff(void *arg, const struct mesh_diff *m)
{
	struct diffs *d = arg;

	if (d->n++ >= DIFFS_MAX)
		return;
	json_array_append_new(d->rows, json_pack("{s:s, s:o, s:o, s:o}", "table", m->table, "key",
						 view_text(m->key), "kernel", view_text(m->kernel),
						 "wanted", view_text(m->wanted)));
}

json_t *on_maps_check(void *arg, const json_t *req, struct errbuf *err)
{
	struct daemon *d = arg;
	struct diffs diffs = { 0 };
	uint64_t entries = 0;
	int r;

	(void)req;
	if (!d->first_apply) {
		errbuf_set(err, -EAGAIN,
			   "no mesh was applied yet (weft status says what is missing)");
		return NULL;
	}
	diffs.rows = json_array();
	r = mesh_check(d->mesh, model_snap(d->model), add_diff, &diffs, &entries);
	daemon_trim_later(d);
	if (r < 0) {
		json_decref(diffs.rows);
		errbuf_set(err, r, "out of memory: nothing was compared to the end");
		return NULL;
	}
	return json_pack("{s:I, s:I, s:o}", "entries", (json_int_t)entries, "differences",
			 (json_int_t)diffs.n, "rows", diffs.rows);
}
