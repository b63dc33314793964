// SPDX-License-Identifier: Apache-2.0
/* Enrolment records on disk; see state.h. Control thread. */
#define LOG_SCOPE "pod"
#include "pod/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"

static void boot_id(char buf[64])
{
	_fclose_ FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	buf[0] = '\0';
	if (f && fgets(buf, 64, f))
		buf[strcspn(buf, "\n")] = '\0';
}

static char *record_path(const char *run_dir, const char *ns, const char *name)
{
	return str_printf("%s/pods/%s_%s.json", run_dir, ns, name);
}

int pod_state_write(const char *run_dir, const struct pod_record *r)
{
	_free_ char *path = record_path(run_dir, r->ns, r->name), *dir = NULL, *tmp = NULL;
	char boot[64];
	json_t *j;
	int fail;

	dir = str_printf("%s/pods", run_dir);
	tmp = path ? str_printf("%s.new", path) : NULL;
	if (!path || !dir || !tmp)
		return -ENOMEM;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	boot_id(boot);
	j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s}", "namespace", r->ns, "name", r->name,
		      "netns", r->netns, "cookie", (json_int_t)r->cookie, "boot_id", boot,
		      "zds_uid", r->zds_uid);
	if (!j)
		return -ENOMEM;
	fail = json_dump_file(j, tmp, JSON_INDENT(1));
	json_decref(j);
	if (fail || rename(tmp, path) < 0)
		return -EIO;
	return 0;
}

void pod_state_remove(const char *run_dir, const char *ns, const char *name)
{
	_free_ char *path = record_path(run_dir, ns, name);

	if (path)
		unlink(path);
}

/* 0: valid and of this boot. */
static int record_read(const char *path, const char *boot, struct pod_record *ret)
{
	json_t *j = json_load_file(path, 0, NULL);
	const char *ns, *name, *netns, *was, *uid = "";
	json_int_t cookie;
	int r = -EINVAL;

	if (j &&
	    json_unpack(j, "{s:s, s:s, s:s, s:I, s:s, s?s}", "namespace", &ns, "name", &name,
			"netns", &netns, "cookie", &cookie, "boot_id", &was, "zds_uid", &uid) == 0 &&
	    strcmp(was, boot) == 0 && str_copy(ret->ns, sizeof(ret->ns), str_of(ns)) == 0 &&
	    str_copy(ret->name, sizeof(ret->name), str_of(name)) == 0 &&
	    str_copy(ret->netns, sizeof(ret->netns), str_of(netns)) == 0 &&
	    str_copy(ret->zds_uid, sizeof(ret->zds_uid), str_of(uid)) == 0) {
		ret->cookie = (uint64_t)cookie;
		r = 0;
	}
	json_decref(j);
	return r;
}

int pod_state_each(const char *run_dir, void (*fn)(void *arg, const struct pod_record *r),
		   void *arg)
{
	_free_ char *dir = str_printf("%s/pods", run_dir);
	char boot[64];
	struct dirent *e;
	DIR *d;

	if (!dir)
		return -ENOMEM;
	d = opendir(dir);
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	boot_id(boot);
	while ((e = readdir(d))) {
		_free_ char *path = str_printf("%s/%s", dir, e->d_name);
		struct pod_record r;

		if (!path || !str_has_suffix(str_of(e->d_name), STR(".json")))
			continue;
		if (record_read(path, boot, &r) == 0) {
			fn(arg, &r);
		} else {
			log_warn("%s is of another boot or not readable, removing it", path);
			unlink(path);
		}
	}
	closedir(d);
	return 0;
}
