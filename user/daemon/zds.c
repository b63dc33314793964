// SPDX-License-Identifier: Apache-2.0
/*
 * ZDS in the daemon: pods that istio-cni tells of, when the option zds names its socket. It begins
 * when the mesh was applied for the first time: before, a pod could be taken over whose peers are
 * not known yet, and all it says would pass in plain text.
 */
#include "admin/views.h"
#include "codec/promtext.h"
#include "daemon/daemon.h"
#include "pod/pods.h"
#include "pod/zds_link.h"

int zds_start(struct daemon *d)
{
	struct zds_ops ops = pods_zds_ops(d->pods);

	if (!d->opts.zds[0] || d->drain_until_ns)
		return 0;
	return zds_link_new(d->loop, d->opts.zds, &ops, &d->zds);
}

bool zds_is_telling(const struct daemon *d)
{
	struct zds_status s;

	if (!d->zds)
		return false;
	zds_link_status(d->zds, &s);
	return s.state == ZDS_LINK_SNAPSHOT;
}

const char *zds_pending(const struct daemon *d)
{
	struct zds_status s;

	if (!d->opts.zds[0] || d->drain_until_ns)
		return NULL;
	if (!d->zds)
		return "zds";
	zds_link_status(d->zds, &s);
	return s.state != ZDS_LINK_SYNCED ? "zds" : s.counts.pending ? "zds pods" : NULL;
}

void zds_view(const struct daemon *d, json_t *status)
{
	struct zds_status s = { .path = d->opts.zds, .last_error = "" };

	if (!d->opts.zds[0])
		return;
	if (d->zds)
		zds_link_status(d->zds, &s);
	json_object_set_new(
		status, "zds",
		json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "path", view_text(s.path),
			  "state", d->zds ? zds_link_state_text(s.state) : "waiting", "since_s",
			  (json_int_t)s.since_s, "connections", (json_int_t)s.connections,
			  "messages", (json_int_t)s.messages, "refused", (json_int_t)s.refused,
			  "served", (json_int_t)s.counts.served, "pending",
			  (json_int_t)s.counts.pending, "last_error", view_text(s.last_error)));
}

static void one(struct prom *w, const char *name, enum prom_type type, const char *help, uint64_t v)
{
	prom_family(w, name, type, help);
	prom_begin(w, name, type);
	prom_u64(w, v);
}

void zds_metrics(const struct daemon *d, struct prom *w)
{
	struct zds_status s = { 0 };

	if (d->zds)
		zds_link_status(d->zds, &s);
	one(w, "weft_zds_connected", PROM_GAUGE, "1 when istio-cni has told of all its pods",
	    s.state == ZDS_LINK_SYNCED);
	one(w, "weft_zds_pods_waiting", PROM_GAUGE,
	    "pods that istio-cni has told of and that cannot be served", s.counts.pending);
	one(w, "weft_zds_refused", PROM_COUNTER,
	    "messages of istio-cni that were answered with an error", s.refused);
}
