/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The mesh file: workloads, services and policies as YAML (or JSON), in the shape that
 * ztunnel reads from LOCAL_XDS_PATH, so that existing examples load. Two-phase: the whole file
 * is decoded and built before anything is published; a broken one changes nothing and is
 * reported with path:line and the key.
 */
#include "base/errbuf.h"
#include "model/snap.h"

/* What a workload has that does not say it; the strings outlive the feed. */
struct feed_defaults {
	const char *trust_domain, *cluster;
};

/* Decodes only. *ret owns its objects. -EINVAL with a sentence in err. */
int feed_file_decode(struct str text, const char *path, struct errbuf *err,
		     struct model_input *ret);
/* defaults NULL: cluster.local and Kubernetes, as with feed_file_decode(). */
int feed_file_decode_with(struct str text, const char *path, const struct feed_defaults *defaults,
			  struct errbuf *err, struct model_input *ret);
void model_input_fini(struct model_input *in);

/* What the file would become, without publishing it: for tools that have no daemon. -errno
 * with the sentence in err. */
int feed_file_snap(struct model *m, const char *path, const struct feed_defaults *defaults,
		   struct errbuf *err, struct snap **ret);

struct loop;
struct feed_file;

struct feed_file_status {
	uint64_t applied, rejected;   /* counts since start */
	uint64_t last_applied_s, last_rejected_s; /* Unix seconds, 0 never */
	char last_error[512];	      /* of the last attempt; "" if it was applied */
	char path[256];
};

/* Watches path (inotify on its folder, so that renames and symlink swaps are seen), applies it
 * now and after every change. on_apply runs on the loop after each publish. A missing or
 * broken file at start is an error in the status, not a failure. */
int feed_file_start(struct loop *loop, struct model *m, const char *path,
		    void (*on_apply)(void *arg, const struct snap *s), void *arg,
		    struct feed_file **ret);
int feed_file_start_with(struct loop *loop, struct model *m, const char *path,
			 const struct feed_defaults *defaults,
			 void (*on_apply)(void *arg, const struct snap *s), void *arg,
			 struct feed_file **ret);
void feed_file_stop(struct feed_file **f);
void feed_file_reload(struct feed_file *f);
void feed_file_status(const struct feed_file *f, struct feed_file_status *ret);
