// SPDX-License-Identifier: Apache-2.0
/*
 * Where the rooms are tied together: built in the order of user/ROOMS, taken down in reverse.
 * All of it runs on the control thread, inside its loop (publishing a snapshot needs a thread
 * that is registered for RCU).
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/sockios.h>

#include "admin/ctl.h"
#include "admin/pages.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "feed/file.h"
#include "ident/store.h"
#include "kern/kern.h"
#include "model/snap.h"
#include "pod/mesh.h"
#include "pod/pods.h"
#include "pod/zds_link.h"
#include "report/access.h"
#include "report/dnscount.h"
#include "report/drops.h"
#include "report/metric.h"
#include "tls/aead.h"

/* By the driver's name; /sys shows the devices of the namespace it was mounted in. */
static bool is_veth(const char *ifname)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq ifr = { .ifr_data = (void *)&info };
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%.15s", ifname);
	return fd >= 0 && ioctl(fd, SIOCETHTOOL, &ifr) == 0 && strcmp(info.driver, "veth") == 0;
}

/* XDP on a network card; if that cannot be, tcx, which does the same later in the stack. */
static int uplink_auto(struct daemon *d, struct errbuf *err)
{
	struct errbuf why = { 0 };

	if (is_veth(d->uplink))
		return kern_uplink_attach(d->kern, d->uplink, UPLINK_TCX, err);
	if (kern_uplink_attach(d->kern, d->uplink, UPLINK_XDP, &why) == 0)
		return 0;
	log_warn("%s; guarded by tcx instead", why.text);
	return kern_uplink_attach(d->kern, d->uplink, UPLINK_TCX, err);
}

static int uplink_start(struct daemon *d, struct errbuf *err)
{
	enum uplink_mode mode = UPLINK_TCX;

	if (strcmp(d->opts.uplink, "none") == 0 || d->opts.uplink_guard == OPTS_GUARD_OFF)
		return kern_uplink_attach(d->kern, "", UPLINK_OFF, err);
	snprintf(d->uplink, sizeof(d->uplink), "%.60s", d->opts.uplink);
	if (d->opts.uplink_guard == OPTS_GUARD_AUTO)
		return uplink_auto(d, err);
	if (d->opts.uplink_guard == OPTS_GUARD_XDP)
		mode = UPLINK_XDP;
	return kern_uplink_attach(d->kern, d->uplink, mode, err);
}

/* What takes rights away comes first, on all threads at once; the tables then may take their
 * time. */
static void take_effect(struct daemon *d)
{
	const struct snap *s = model_snap(d->model);
	struct workers_call recheck;
	uint64_t begin = clock_mono_ns();

	workers_recheck_begin(d, &recheck);
	pods_sync(d->pods, s);
	mesh_enforce(d->mesh, s);
	workers_recheck_end(d, &recheck);
	d->enforce_ns = clock_mono_ns() - begin;
	mesh_sync(d->mesh, s);
	mesh_verdicts(d->mesh, s);
}

static void on_pods_later(void *arg)
{
	take_effect(arg);
}

static void on_pods_change(void *arg)
{
	struct daemon *d = arg;

	if (!d->first_apply)
		return;
	/* The pods of a snapshot come by the hundred, and are one change. */
	if (!zds_is_telling(d))
		take_effect(d);
	else if (!timer_armed(&d->pods_later))
		timer_set(d->loop, &d->pods_later, 500 * NS_PER_MS, on_pods_later, d);
}

static void on_mesh_apply(void *arg, const struct snap *s)
{
	struct daemon *d = arg;

	log_info("mesh version %llu: %zu workloads, %zu services, %zu policies",
		 (unsigned long long)s->version, s->n_workloads, s->n_services, s->n_policies);
	if (!d->first_apply) {
		/* Before the first sync: an address of an enrolled pod must not lose its mark. */
		pods_restore(d->pods);
		d->first_apply = true;
	}
	take_effect(d);
	if (!d->zds && zds_start(d) < 0)
		log_error("zds: out of memory");
	istiod_prefetch(d, s);
	daemon_trim_later(d); /* applying touches much that traffic does not */
}

/* Before anything asks for a key. */
static int start_records(struct daemon *d, struct errbuf *err)
{
	int r = 0;

	if (d->opts.aead != OPTS_AEAD_AUTO)
		r = aead_engine_force(d->opts.aead == OPTS_AEAD_OPENSSL ? AEAD_OPENSSL
									: AEAD_IPSEC_MB);
	if (r < 0)
		return errbuf_set(err, r,
				  "aead: ipsec-mb is not here: it needs x86-64 with AES and a build "
				  "with libipsec-mb; set aead: auto");
	return 0;
}

static int start_kernel(struct daemon *d, struct errbuf *err)
{
	const struct kern_opts ko = { .pin_dir = d->opts.pin_dir,
				      .cgroup = d->opts.cgroup,
				      .same_node_mtls = d->opts.same_node == OPTS_MTLS,
				      .addrs_max = d->opts.mesh_addresses };
	int r = kern_open(&ko, err, &d->kern);

	return r < 0 ? r : uplink_start(d, err);
}

static void on_trust(void *arg)
{
	workers_recheck_trust(arg);
}

static int start_identity(struct daemon *d, struct errbuf *err)
{
	static const enum ident_source source[] = {
		[OPTS_CERTS_CA] = IDENT_CA, [OPTS_CERTS_FILES] = IDENT_FILES, [OPTS_CERTS_ISTIO] = IDENT_ISTIO
	};
	const struct ident_opts io = {
		.source = source[d->opts.certificates],
		.istio = &d->istiod.ca,
		.ca_dir = d->opts.certificates_dir,
		.files_dir = d->opts.certificates_dir,
		.node = d->opts.node,
		.ttl_s = d->opts.certificate_ttl_ns / NS_PER_S,
		.crl_file = d->opts.ca_crl,
		.on_trust = on_trust,
		.on_trust_arg = d,
	};

	return ident_store_new(d->loop, &io, err, &d->ident);
}

static void on_log_tick(void *arg)
{
	struct daemon *d = arg;

	access_tick_any(d->access);
	log_tick();
	timer_set(d->loop, &d->log_tick, NS_PER_S, on_log_tick, d);
}

static int start_reports(struct daemon *d, struct errbuf *err)
{
	int r = metrics_new(&d->metrics);

	if (r == 0)
		r = dnscount_new(&d->dnscount);
	if (r == 0)
		r = drops_new(&d->drops);
	if (r == 0 && strcmp(d->opts.access_log, "off") != 0)
		r = access_open(d->opts.access_log, d->opts.access_log_format == OPTS_JSON, err,
				&d->access);
	if (r == 0)
		timer_set(d->loop, &d->log_tick, NS_PER_S, on_log_tick, d);
	return r;
}

static int start_pods(struct daemon *d)
{
	const struct pods_opts po = {
		.kern = d->kern,
		.model = d->model,
		.ident = d->ident,
		.loop = d->loop,
		.run_dir = d->opts.run_dir,
		.node = d->opts.node,
		.congestion = d->shared.congestion,
		.keepalive_s = d->shared.keepalive_s,
		.on_listen = workers_listen,
		.zds = d->opts.zds[0],
		.on_unlisten = workers_unlisten,
		.dns = opts_is_on(d->opts.dns),
		.on_dns = names_listen,
		.on_dns_end = names_unlisten,
		.on_cut = workers_cut,
		.on_change = on_pods_change,
		.arg = d,
	};
	int r = pods_new(&po, &d->pods);

	return r < 0 ? r : mesh_new(d->kern, d->model, d->pods, d->loop, d->opts.node, &d->mesh);
}

static int start_feed(struct daemon *d, struct errbuf *err)
{
	if (d->opts.xds_address[0])
		return istiod_start(d, on_mesh_apply, err);
	return feed_file_start_with(d->loop, d->model, d->opts.mesh_file, &d->feed_defaults,
				    on_mesh_apply, d, &d->feed);
}

static int start_admin(struct daemon *d, struct errbuf *err)
{
	_free_ char *sock = str_printf("%s/weftd.sock", d->opts.run_dir);
	int r;

	if (!sock)
		return -ENOMEM;
	r = ctl_start(d->loop, sock, err, &d->ctl);
	if (r == 0)
		r = views_register(d);
	return r < 0 ? r : adminport_start(d, err);
}

int daemon_start(struct daemon *d, struct errbuf *err)
{
	int r = start_records(d, err);

	if (r == 0)
		r = start_kernel(d, err);
	if (r == 0 && d->opts.confine == OPTS_CONFINE_ON)
		r = confine_process(err);
	if (r == 0)
		r = model_new(&d->model);
	if (r == 0)
		model_limit(d->model, d->opts.mesh_addresses,
			    kern_services_max(d->opts.mesh_addresses));
	if (r == 0)
		r = istiod_prepare(d, err);
	if (r == 0)
		r = start_identity(d, err);
	if (r == 0)
		r = start_reports(d, err);
	if (r < 0)
		return r;
	d->shared.model = d->model;
	d->shared.kern = d->kern;
	d->shared.ident = d->ident;
	d->shared.metrics = d->metrics;
	d->shared.dnscount = d->dnscount;
	d->shared.access = d->access;
	d->shared.drops = d->drops;
	d->shared.demand = d->istiod.demand;
	d->shared.network = d->opts.network;
	d->shared.node = d->opts.node;
	d->shared.tunnel_connections = d->opts.tunnel_connections;
	d->shared.congestion = d->opts.local_congestion[0] ? d->opts.local_congestion : NULL;
	d->shared.tunnel_ping_ns = d->opts.tunnel_ping_ns;
	d->shared.keepalive_s = (uint32_t)(d->opts.keepalive_ns / NS_PER_S);
	names_prepare(d);
	d->feed_defaults = (struct feed_defaults){ d->opts.trust_domain, d->opts.cluster };
	d->n_workers = d->opts.workers < WORKERS_MAX ? d->opts.workers : WORKERS_MAX;
	r = workers_start(d);
	if (r == 0)
		r = start_pods(d);
	if (r == 0)
		r = kern_events_start(d->kern, d->loop, on_kernel_event, d);
	if (r == 0)
		r = start_feed(d, err);
	return r < 0 ? r : start_admin(d, err);
}

void daemon_stop(struct daemon *d)
{
	pages_stop(&d->pages);
	ctl_stop(&d->ctl);
	feed_file_stop(&d->feed);
	istiod_stop(d);
	zds_link_free(&d->zds);
	workers_stop(d);
	mesh_free(&d->mesh);
	pods_free(&d->pods);
	access_close(&d->access);
	istiod_forget(d);
	ident_store_free(&d->ident);
	istiod_fini(d);
	timer_cancel(&d->stats_off);
	timer_cancel(&d->trim);
	timer_cancel(&d->pods_later);
	timer_cancel(&d->pins);
	timer_cancel(&d->log_tick);
	timer_cancel(&d->drain);
	kern_close(&d->kern);
	drops_free(&d->drops);
	dnscount_free(&d->dnscount);
	metrics_free(&d->metrics);
	model_free(&d->model);
}
