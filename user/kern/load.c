// SPDX-License-Identifier: Apache-2.0
/*
 * Loading: one skeleton, maps adopted from pins of the same ABI version, links updated in
 * place. Used by daemon/wire.c once at start; control thread.
 */
#define LOG_SCOPE "kern"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <xdp/libxdp.h>

#include "weft/abi.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "kern/priv.h"
#include "kern/probe.h"
#include "weft/knob.h"
#include "weft.skel.h"

/* The tail of what libbpf said last: with a verifier refusal that is the reason. */
static _Thread_local char bpf_says[256];

__attribute__((format(printf, 2, 0))) static int on_libbpf(enum libbpf_print_level level,
							   const char *fmt, va_list ap)
{
	char line[1024];

	if (level > LIBBPF_INFO && !log_enabled(LOG_DEBUG))
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	if (level == LIBBPF_WARN && !strstr(line, "unrecognized data section"))
		snprintf(bpf_says, sizeof(bpf_says), "%.250s", line);
	log_debug("libbpf: %s", line);
	return 0;
}

/* Not its own lines on stderr, which are no lines of our log. */
__attribute__((format(printf, 2, 0))) static int on_libxdp(enum libxdp_print_level level,
							   const char *fmt, va_list ap)
{
	char line[1024];

	if (level > LIBXDP_INFO && !log_enabled(LOG_DEBUG))
		return 0;
	vsnprintf(line, sizeof(line), fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_debug("libxdp: %s", line);
	return 0;
}

static int maps_set_pins(struct kern *k)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->skel->obj) {
		char path[512];
		int r;

		if (bpf_map__is_internal(map))
			continue;
		snprintf(path, sizeof(path), "%s/%s", k->pin_dir, bpf_map__name(map));
		r = bpf_map__set_pin_path(map, path);
		if (r < 0)
			return r;
	}
	return 0;
}

static int skel_open(struct kern *k, const struct kern_opts *o, struct errbuf *err)
{
	int r;

	k->skel = weft__open();
	if (!k->skel)
		return -errno;
	k->skel->rodata->weft_knobs.same_node_mtls = o->same_node_mtls;
	/* Loaded a second time through libxdp when it is wanted, see uplink.c. */
	bpf_program__set_autoload(k->skel->progs.weft_uplink_xdp, false);
	r = maps_set_pins(k);
	if (r == 0)
		r = kern_sizes_set(k, o->addrs_max ? o->addrs_max : WEFT_ADDRS_MAX, err);
	return r < 0 ? r : weft__load(k->skel);
}

static struct bpf_link *cgroup_attach(const struct bpf_program *prog, const void *arg)
{
	return bpf_program__attach_cgroup(prog, *(const int *)arg);
}

/* The inode of a cgroup folder is its id; a link on a removed cgroup reports another one. */
static bool cgroup_good(const struct bpf_link_info *info, const void *arg)
{
	struct stat st;

	return info->type == BPF_LINK_TYPE_CGROUP && fstat(*(const int *)arg, &st) == 0 &&
	       info->cgroup.cgroup_id == st.st_ino;
}

static int cgroup_hooks_attach(struct kern *k, const char *cgroup, struct errbuf *err)
{
	const struct link_how how = { .attach = cgroup_attach,
				      .still_good = cgroup_good,
				      .arg = &k->cgroup_fd };
	/* The reading side first: once connect and sendmsg steer, all they rely on is there. */
	const struct bpf_program *progs[] = {
		k->skel->progs.weft_sockops,  k->skel->progs.weft_getpeer4,
		k->skel->progs.weft_getpeer6, k->skel->progs.weft_recvmsg4,
		k->skel->progs.weft_recvmsg6, k->skel->progs.weft_connect4,
		k->skel->progs.weft_connect6, k->skel->progs.weft_sendmsg4,
		k->skel->progs.weft_sendmsg6,
	};

	k->cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (k->cgroup_fd < 0)
		return errbuf_set(err, -errno, "cgroup: cannot open %s: %s", cgroup,
				  log_strerror(-errno));
	k->alone = flock(k->cgroup_fd, LOCK_EX | LOCK_NB) == 0;
	if (!k->alone)
		log_warn("cgroup: %s: another weftd has its hooks there", cgroup);
	for (size_t i = 0; i < ARRAY_LEN(progs); i++) {
		char name[64];
		int r;

		snprintf(name, sizeof(name), "link_%s", bpf_program__name(progs[i]));
		r = kern_link_ensure(k, progs[i], name, &how);
		if (r < 0)
			return errbuf_set(err, r, "cannot attach %s to %s: %s",
					  bpf_program__name(progs[i]), cgroup, log_strerror(r));
	}
	return 0;
}

/* Does a pinned map differ from the one this build makes? (The verifier says -EINVAL, too:
 * pins are removed only for a reason that is theirs, since without them pods are open.) */
static bool pins_differ(struct kern *k)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->skel->obj) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);
		_close_ int fd = -1;

		if (bpf_map__is_internal(map))
			continue;
		fd = bpf_obj_get(bpf_map__pin_path(map));
		if (fd < 0 || bpf_map_get_info_by_fd(fd, &info, &len) < 0)
			continue;
		if (info.type != bpf_map__type(map) || info.key_size != bpf_map__key_size(map) ||
		    info.value_size != bpf_map__value_size(map) ||
		    (info.max_entries != bpf_map__max_entries(map) &&
		     info.type != BPF_MAP_TYPE_SK_STORAGE) ||
		    info.map_flags != bpf_map__map_flags(map))
			return true;
	}
	return false;
}

/* Hooks of another ABI version would go on deciding by tables that nobody keeps any more. */
static void unpin_other_versions(const struct kern *k, const char *pin_dir)
{
	const char *own = strrchr(k->pin_dir, '/') + 1;
	DIR *d = opendir(pin_dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[1024];

		if (e->d_name[0] != 'v' || strcmp(e->d_name, own) == 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", pin_dir, e->d_name);
		log_info("removing the hooks and tables of another version, %s", path);
		kern_unpin_all(path);
	}
	if (d)
		closedir(d);
}

static int load_or_replace(struct kern *k, const struct kern_opts *o, struct errbuf *err)
{
	int r = skel_open(k, o, err);

	if (r == -EINVAL && k->skel && pins_differ(k)) {
		/* Pins of this version that do not fit: a development build left them. Nothing
		 * can be adopted, so begin anew; enrolled pods are enrolled again afterwards. */
		log_warn("pinned maps in %s do not fit this build, replacing them", k->pin_dir);
		weft__destroy(k->skel);
		k->skel = NULL;
		kern_unpin_all(o->pin_dir);
		r = kern_pins_prepare(k, o->pin_dir, err);
		if (r == 0)
			r = skel_open(k, o, err);
	}
	if (r < 0)
		return errbuf_set(err, r, "cannot load the BPF programs: %s%s%s", log_strerror(r),
				  bpf_says[0] ? ": " : "", bpf_says);
	return 0;
}

int kern_open(const struct kern_opts *o, struct errbuf *err, struct kern **ret)
{
	struct kern *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->stats_fd = -1;
	k->lock_fd = -1;
	k->cgroup_fd = -1;
	libbpf_set_print(on_libbpf);
	libxdp_set_print(on_libxdp);
	r = kern_pins_prepare(k, o->pin_dir, err);
	if (r == 0)
		r = load_or_replace(k, o, err);
	if (r == 0) {
		k->fd_origdst = bpf_map__fd(k->skel->maps.weft_origdst);
		k->fd_own = bpf_map__fd(k->skel->maps.weft_own);
		k->fd_dns = bpf_map__fd(k->skel->maps.weft_dns);
		k->fd_verdicts = bpf_map__fd(k->skel->maps.weft_verdicts);
		k->fd_state = bpf_map__fd(k->skel->maps.weft_state);
		k->has_tcx = probe_tcx(bpf_program__fd(k->skel->progs.weft_guard));
		r = cgroup_hooks_attach(k, o->cgroup, err);
	}
	if (r == 0)
		unpin_other_versions(k, o->pin_dir);
	if (r < 0) {
		kern_close(&k);
		return r;
	}
	*ret = k;
	return 0;
}

void kern_close(struct kern **kp)
{
	struct kern *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	watch_del(&k->ring_watch);
	timer_cancel(&k->ring_due);
	ring_buffer__free(k->ring);
	vec_for_each(l, &k->links) {
		if (l->link)
			bpf_link__disconnect(l->link);
		bpf_link__destroy(l->link);
		free(l->path);
	}
	vec_fini(&k->links);
	if (k->stats_fd >= 0)
		close(k->stats_fd);
	own_close(&k->lock_fd);
	own_close(&k->cgroup_fd);
	xdp_program__close(k->xdp); /* it stays attached */
	weft__destroy(k->skel);
	free(k->pin_root);
	free(k->pin_dir);
	free(k);
}

int kern_unpin_all(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		char path[1024];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (kern_tc_ifindex(e->d_name))
			kern_tc_detach(kern_tc_ifindex(e->d_name));
		if (unlink(path) < 0)
			kern_unpin_all(path);
	}
	closedir(d);
	return rmdir(dir) < 0 ? -errno : 0;
}

const char *kern_pin_dir(const struct kern *k)
{
	return k->pin_dir;
}
