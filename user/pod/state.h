/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a restarted daemon needs to enrol its pods again: <run_dir>/pods/<ns>_<name>.json with
 * netns path, cookie and boot id, and for those of istio-cni their uid. The kernel has the last word on all of it.
 */
#include <stdint.h>

struct pod_record {
	char ns[64], name[256], netns[512]; /* netns: "" of one that came by ZDS */
	char zds_uid[128]; /* "": not by ZDS */
	uint64_t cookie;
};

int pod_state_write(const char *run_dir, const struct pod_record *r);
void pod_state_remove(const char *run_dir, const char *ns, const char *name);
/* Calls fn for each record of this boot; records of other boots are removed. */
int pod_state_each(const char *run_dir, void (*fn)(void *arg, const struct pod_record *r),
		   void *arg);
