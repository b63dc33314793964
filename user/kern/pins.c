// SPDX-License-Identifier: Apache-2.0
/*
 * The folder of pins. Hooks and tables outlive weftd only by their pins; these may go under a
 * running daemon (somebody unmounts the bpffs or empties the folder), which holds descriptors of
 * all of them, and so can pin them again. Control thread.
 */
#define LOG_SCOPE "kern"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "weft/abi.h"
#include "weft/knob.h"
#include "weft.skel.h"

static int mkdir_p(const char *path)
{
	_free_ char *p = str_dup(str_of(path));

	if (!p)
		return -ENOMEM;
	for (char *s = p + 1; *s; s++) {
		if (*s != '/')
			continue;
		*s = '\0';
		if (mkdir(p, 0700) < 0 && errno != EEXIST)
			return -errno;
		*s = '/';
	}
	return mkdir(p, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static int bpffs_ensure(struct errbuf *err)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700") < 0)
		return errbuf_set(err, -errno, "no bpffs at /sys/fs/bpf and mounting one failed: %s",
				  log_strerror(-errno));
	return 0;
}

/* A second daemon would take the first one's hooks and tables for leftovers of a dead one. */
static int pins_lock(const char *pin_dir, struct errbuf *err, int *ret_fd)
{
	_close_ int fd = open(pin_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errbuf_set(err, -errno, "pin_dir: cannot open %s: %s", pin_dir,
				  log_strerror(-errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errbuf_set(err, -errno, "pin_dir: %s: %s", pin_dir,
				  errno == EWOULDBLOCK ? "another weftd uses it"
						       : log_strerror(-errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int kern_pins_prepare(struct kern *k, const char *pin_dir, struct errbuf *err)
{
	int r = bpffs_ensure(err);

	if (r < 0)
		return r;
	if (!k->pin_root)
		k->pin_root = str_dup(str_of(pin_dir));
	if (!k->pin_dir)
		k->pin_dir = str_printf("%s/v%d", pin_dir, WEFT_ABI_VERSION);
	if (!k->pin_dir || !k->pin_root)
		return -ENOMEM;
	r = mkdir_p(k->pin_dir);
	if (r < 0)
		return errbuf_set(err, r, "cannot make %s: %s", k->pin_dir, log_strerror(r));
	own_close(&k->lock_fd);
	return pins_lock(pin_dir, err, &k->lock_fd);
}

/* ---- while weftd runs ---- */

/* Would a folder of this path be on a bpffs? Asks the part of the path that there is. */
static bool is_on_bpffs(const char *path)
{
	_free_ char *p = str_dup(str_of(path));
	struct statfs fs;

	while (p && statfs(p, &fs) < 0) {
		char *slash = strrchr(p, '/');

		if (errno != ENOENT || !slash || slash == p)
			return false;
		*slash = '\0';
	}
	return p && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

static bool pins_folder_is_ours(const struct kern *k)
{
	struct stat own, it;

	return fstat(k->lock_fd, &own) == 0 && stat(k->pin_root, &it) == 0 &&
	       own.st_dev == it.st_dev && own.st_ino == it.st_ino;
}

/* Pins fd as path if nothing is there; 1: it was not there. */
static int pin_again(const char *path, int fd)
{
	if (access(path, F_OK) == 0)
		return 0;
	return bpf_obj_pin(fd, path) < 0 ? -errno : 1;
}

/* What is still in a folder that no path leads to any more, since its file system was unmounted:
 * there are also links of pods that could not be enrolled again, of which this daemon holds no
 * descriptor. */
static void pins_carry(struct kern *k)
{
	const char *version = strrchr(k->pin_dir, '/') + 1;
	int fd = openat(k->lock_fd, version, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char from[320], to[1024];
		_close_ int obj = -1;

		if (e->d_name[0] == '.')
			continue;
		snprintf(from, sizeof(from), "/proc/self/fd/%d/%s", fd, e->d_name);
		snprintf(to, sizeof(to), "%s/%s", k->pin_dir, e->d_name);
		obj = bpf_obj_get(from);
		if (obj < 0 || pin_again(to, obj) < 0)
			log_warn("%s cannot be pinned again: %s", to, log_strerror(-errno));
	}
	if (d)
		closedir(d);
	else
		own_close(&fd);
}

static int pins_all_again(struct kern *k)
{
	struct bpf_map *map;
	int n = 0, r;

	bpf_object__for_each_map(map, k->skel->obj)
	{
		if (bpf_map__is_internal(map))
			continue;
		r = pin_again(bpf_map__pin_path(map), bpf_map__fd(map));
		if (r < 0)
			return r;
		n += r;
	}
	vec_for_each(l, &k->links) {
		/* What stands for a tc filter is its program. */
		const struct bpf_program *filter = strstr(l->path, "/tc_guard_")
							   ? k->skel->progs.weft_guard
							   : k->skel->progs.weft_uplink_tcx;

		r = pin_again(l->path, l->link ? bpf_link__fd(l->link) : bpf_program__fd(filter));
		if (r < 0)
			return r;
		n += r;
	}
	return n;
}

int kern_pins_keep(struct kern *k, struct errbuf *err)
{
	_close_ int fd = -1;
	bool moved;
	int r;

	if (!is_on_bpffs(k->pin_root))
		return errbuf_set(err, -ENOENT,
				  "no bpffs at %s any more: when weftd ends, its hooks go and pods are "
				  "open; mount it again (mount -t bpf bpf /sys/fs/bpf)",
				  k->pin_root);
	r = mkdir_p(k->pin_dir);
	if (r < 0)
		return errbuf_set(err, r, "cannot make %s: %s", k->pin_dir, log_strerror(r));
	moved = !pins_folder_is_ours(k);
	if (moved) {
		r = pins_lock(k->pin_root, err, &fd);
		if (r < 0)
			return r;
		pins_carry(k);
		own_close(&k->lock_fd);
		k->lock_fd = TAKE_FD(fd);
	}
	r = pins_all_again(k);
	if (r < 0)
		return errbuf_set(err, r, "cannot pin in %s: %s", k->pin_dir, log_strerror(r));
	return moved ? 1 : r;
}
