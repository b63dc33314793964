// SPDX-License-Identifier: Apache-2.0
/*
 * weftd: options, limits, signals, the control loop. What it is made of stands in wire.c.
 *   SIGTERM  end: enrolled pods fail closed, hooks stay; relayed connections have the time of the
 *            option drain to end, then, or at a second signal, they are reset
 *   SIGINT   the same at once
 *   SIGHUP   reopen the access log, read the mesh file again or connect to istiod again
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/ztenv.h"
#include "feed/file.h"
#include "io/netns.h"
#include "report/access.h"
#include "tls/record.h"
#include "version.h"

extern char **environ;

static void on_signal(void *arg, uint32_t events)
{
	struct daemon *d = arg;
	struct signalfd_siginfo si;

	(void)events;
	while (read(d->signal_fd, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGHUP) {
			log_info("SIGHUP: access log reopened, mesh file read again, or connection to "
				 "istiod made anew");
			if (d->access)
				access_reopen_any(d->access);
			if (d->feed)
				feed_file_reload(d->feed);
			if (d->istiod.xds)
				xds_reconnect(d->istiod.xds);
			continue;
		}
		if (si.ssi_signo == SIGTERM && d->opts.drain_ns && !d->drain_until_ns) {
			drain_begin(d, "SIGTERM");
			continue;
		}
		log_info("signal %u, stopping", si.ssi_signo);
		loop_stop_any(d->loop);
	}
}

static int signals_start(struct daemon *d)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* Before any thread exists, so that all of them inherit it. */
	sigprocmask(SIG_BLOCK, &set, NULL);
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signal_fd < 0)
		return -errno;
	return watch_add(d->loop, &d->signals, d->signal_fd, EPOLLIN, on_signal, d);
}

/* As many descriptors as the hard limit allows: each relayed connection needs one or two. */
static void raise_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void on_start(void *arg)
{
	struct daemon *d = arg;
	struct errbuf err = { 0 };
	int r = daemon_start(d, &err);

	if (r < 0) {
		log_error("%s", err.text[0] ? err.text : log_strerror(r));
		d->exit_code = 1;
		loop_stop_any(d->loop);
		return;
	}
	log_info("weftd %s on node %s: %u workers, records by %s", WEFT_VERSION, d->opts.node,
		 d->n_workers, record_engine());
	daemon_trim_later(d);
	daemon_pins_watch(d);
}

/* Two daemons would take each other's hooks and pods away; the lock goes with the process. */
static int run_dir_lock(const char *dir)
{
	_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		log_error("run_dir: %s: %s", dir,
			  r == -EWOULDBLOCK ? "another weftd uses it" : log_strerror(r));
		return r;
	}
	return TAKE_FD(fd);
}

/* Only in ztunnel's place: elsewhere such names mean nothing. */
static void look_at_environment(const struct opts *o)
{
	struct ztenv_report r;

	if (!o->zds[0] && !o->xds_address[0])
		return;
	ztenv_look(environ, opts_reads, &r);
	if (r.other[0])
		log_warn("environment: not as ztunnel does it: %s", r.other);
	if (r.unknown[0])
		log_warn("environment: not known: %s", r.unknown);
}

static int run(struct daemon *d)
{
	_close_ int lock = -1;
	int r;

	if (geteuid() != 0) {
		log_error("weftd needs root (BPF, network namespaces)");
		return 1;
	}
	if (mkdir(d->opts.run_dir, 0700) < 0 && errno != EEXIST) {
		log_error("run_dir: cannot make %s: %s", d->opts.run_dir, log_strerror(-errno));
		return 1;
	}
	lock = run_dir_lock(d->opts.run_dir);
	if (lock < 0)
		return 1;
	raise_limits();
	look_at_environment(&d->opts);
	d->started_ns = clock_mono_ns();
	r = loop_new(&d->loop, "control");
	if (r == 0)
		r = signals_start(d);
	if (r == 0)
		r = netns_home_open();
	if (r == 0)
		r = loop_post_any(d->loop, on_start, d);
	if (r < 0) {
		log_err(r, "cannot start");
		return 1;
	}
	loop_run(d->loop);
	daemon_stop(d);
	watch_del(&d->signals);
	own_close(&d->signal_fd);
	loop_free(&d->loop);
	return d->exit_code;
}

int main(int argc, char **argv)
{
	struct daemon *d = calloc(1, sizeof(*d));
	struct errbuf err = { 0 };
	int code = 0;

	if (!d)
		return 1;
	d->signal_fd = -1;
	if (opts_parse(argc, argv, &d->opts, &err) < 0) {
		fprintf(stderr, "weftd: %s\n", err.text);
		free(d);
		return 2;
	}
	switch (d->opts.action) {
	case OPTS_HELP:
		opts_help(stdout);
		break;
	case OPTS_VERSION:
		printf("weftd %s\n", WEFT_VERSION);
		break;
	case OPTS_CHECK:
		opts_print(&d->opts, stdout);
		break;
	case OPTS_RUN:
		log_never_wait();
		log_set_level((enum log_level)d->opts.log_level);
		log_set_json(d->opts.log_format == OPTS_JSON);
		confine_secrets();
		code = run(d);
	}
	opts_fini(&d->opts);
	free(d);
	return code;
}
