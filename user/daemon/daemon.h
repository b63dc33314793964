/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The daemon: one pointer per room, made and unmade in wire.c. The control thread owns all of
 * it; workers own their struct conn_worker and what hangs below it.
 */
#include <pthread.h>
#include <semaphore.h>

#include <jansson.h>

#include "weft/event.h"
#include "conn/conn.h"
#include "dns/dns.h"
#include "daemon/istiod.h"
#include "daemon/opts.h"
#include "feed/file.h"
#include "io/loop.h"

struct access_log;
struct dnscount;
struct dns_worker;
struct ctl;
struct drops;
struct feed_file;
struct ident_store;
struct kern;
struct mesh;
struct metrics;
struct model;
struct pages;
struct pods;
struct prom;
struct zds_link;

#define WORKERS_MAX 64

struct worker {
	struct daemon *d;
	pthread_t thread;
	bool started;
	struct loop *loop;
	struct conn_worker *conns;
	struct dns_worker *names;
};

/* A question to a worker that is under way. */
struct worker_call {
	struct worker *w;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
	sem_t done;
	bool posted;
};

struct workers_call {
	struct worker_call of[WORKERS_MAX];
};

struct daemon {
	struct opts opts;
	struct loop *loop; /* control */
	struct watch signals;
	int signal_fd;
	int exit_code;
	uint64_t started_ns;
	bool first_apply; /* the mesh was applied once, pods are restored */
	struct kern *kern;
	struct model *model;
	struct ident_store *ident;
	struct metrics *metrics;
	struct access_log *access;
	struct drops *drops;
	struct pods *pods;
	struct mesh *mesh;
	struct zds_link *zds; /* NULL: off, or not yet */
	struct feed_file *feed; /* NULL: the mesh comes from istiod */
	struct feed_defaults feed_defaults;
	struct istiod istiod;
	struct ctl *ctl;
	struct pages *pages;
	struct conn_shared shared;
	struct dns_shared names;
	struct dnscount *dnscount;
	struct weft_ep own_nameserver; /* port 0: none */
	struct worker worker[WORKERS_MAX];
	uint32_t n_workers;
	uint64_t enforce_ns; /* until all live connections had felt the last change */
	struct timer stats_off, trim, pods_later, log_tick, pins, drain;
	struct errbuf pins_error; /* empty: they are where they belong */
	uint64_t drain_until_ns;  /* 0: not ending in peace */
	char uplink[64];
};

/* wire.c: builds everything in order of the rooms, takes it down in reverse. */
int daemon_start(struct daemon *d, struct errbuf *err);
void daemon_stop(struct daemon *d);
/* workers.c */
int workers_start(struct daemon *d);
void workers_stop(struct daemon *d);
/* Runs fn on the worker's thread and waits for it. */
void worker_call(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg);
void workers_listen(void *arg, struct conn_local *l, enum conn_listen kind, int fd);
void workers_unlisten(void *arg, struct conn_local *l);
void workers_cut(void *arg, struct conn_local *l);
/* All workers judge their connections by the current snapshot, at the same time; *ret must live
 * until workers_recheck_end(), which waits until those denied are cut, and has them put away. */
void workers_recheck_begin(struct daemon *d, struct workers_call *ret);
void workers_recheck_trust(struct daemon *d);
void workers_recheck_end(struct daemon *d, struct workers_call *c);
/* dns.c: names */
void names_prepare(struct daemon *d);
int names_listen(void *arg, struct conn_local *l, const int *fd, bool rules);
void names_unlisten(void *arg, struct conn_local *l);
json_t *on_dns(void *arg, const json_t *req, struct errbuf *err); /* of the control socket */
/* events.c: what the kernel tells */
void on_kernel_event(void *arg, const struct weft_event *e);
/* views.c: answers on the control socket */
int views_register(struct daemon *d);
bool daemon_ready(struct daemon *d, char *buf, size_t cap);
json_t *views_status(struct daemon *d);
/* live.c */
json_t *view_connections(struct daemon *d);
json_t *view_drops(struct daemon *d, uint64_t since); /* since: first seq of "recent" */
json_t *view_bpf(struct daemon *d);
/* mapscheck.c: "maps.check" of the control socket. */
json_t *on_maps_check(void *arg, const json_t *req, struct errbuf *err);
/* zds.c: after the first apply, if the option zds is set */
int zds_start(struct daemon *d);
const char *zds_pending(const struct daemon *d); /* NULL: nothing to wait for */
/* Is it in the middle of a snapshot? */
bool zds_is_telling(const struct daemon *d);
void zds_view(const struct daemon *d, json_t *status);
void zds_metrics(const struct daemon *d, struct prom *w);
/* adminport.c: the pages of the HTTP ports */
int adminport_start(struct daemon *d, struct errbuf *err);
/* drain.c: stops the loop when relayed connections have ended, at the latest after opts.drain_ns.
 * The second call does nothing. */
void drain_begin(struct daemon *d, const char *why);
/* why.c: a command of the control socket */
json_t *on_why(void *arg, const json_t *req, struct errbuf *err);
/* trim.c: gives back what only starting needed */
void daemon_trim_later(struct daemon *d);
/* pins.c: says when pins are gone, and makes them again where that can be */
void daemon_pins_watch(struct daemon *d);
/* prom.c */
void daemon_metrics(void *arg, struct prom *w);
