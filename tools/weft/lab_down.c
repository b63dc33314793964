// SPDX-License-Identifier: Apache-2.0
/*
 * Taking a lab down. It does not trust the record: whatever carries the lab's name goes, in
 * an order in which nothing can come back: processes, pinned BPF objects, control groups,
 * network namespaces, files. Used by up (leftovers, failures), down and the demo; one thread.
 */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/str.h"
#include "lab_cgroup.h"
#include "lab_env.h"
#include "lab_json.h"
#include "lab_net.h"
#include "lab_state.h"
#include "lab_up.h"

bool lab_running(const struct lab_env *e)
{
	struct errbuf err = { 0 };
	_json_ json_t *state = state_read(e, &err);

	return json_is_true(json_object_get(state, "complete")) && cgroup_populated(e->cgroup);
}

static void pins_remove(const struct lab_env *e, const char *node)
{
	char path[LAB_PATH_MAX];

	dir_remove(env_node_pins(e, path, node));
}

/* Names of folders in dir: nodes have one in each of the lab's trees. */
static void pins_remove_named_in(const struct lab_env *e, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			pins_remove(e, entry->d_name);
	}
	if (d)
		closedir(d);
}

/* Only those of nodes of this lab: a weftd of the machine itself pins in the same folder. */
static void pins_remove_all(const struct lab_env *e)
{
	struct errbuf err = { 0 };
	_json_ json_t *state = state_read(e, &err);
	size_t i;
	json_t *n;

	json_array_foreach(json_object_get(state, "nodes"), i, n)
		pins_remove(e, state_text(n, "name"));
	pins_remove_named_in(e, e->cgroup);
	pins_remove_named_in(e, e->dir);
	rmdir(e->pins);
}

int lab_down(struct lab_env *e, FILE *progress, struct errbuf *err)
{
	int r = cgroup_kill(e->cgroup);
	int n;

	if (r < 0)
		return errbuf_set(err, r, "%s: some processes do not end", e->cgroup);
	pins_remove_all(e);
	r = cgroup_remove(e->cgroup);
	if (r < 0)
		return errbuf_set(err, r, "%s: cannot remove: %s", e->cgroup, strerror(-r));
	n = net_remove(e);
	r = dir_remove(e->dir);
	if (r < 0)
		return errbuf_set(err, r, "%s: cannot remove: %s", e->dir, strerror(-r));
	if (progress)
		fprintf(progress, "lab %s is down, %d network namespaces removed\n", e->name, n);
	return 0;
}
