/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The load generator of the benchmark, shared parts: what is asked for, the protocol between
 * its client and its server, the measured window with its CPU times, a histogram, and the one
 * line of JSON that comes out.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define LOAD_PIDS_MAX 64
#define LOAD_ROLES_MAX 8
#define LOAD_TARGETS_MAX 32
#define LOAD_THREADS_MAX 256
#define LOAD_STEPS_MAX 8
#define LOAD_BUF (256 * 1024)

/* LOAD_BARE: nothing is said first, the server is another one. */
enum load_op { LOAD_BARE, LOAD_SINK, LOAD_SOURCE, LOAD_ECHO };

/* First bytes of each connection, from the client; little endian on both sides (one machine). */
struct load_hello {
	char magic[4];
	uint32_t op;
	uint32_t size; /* LOAD_ECHO: bytes of a message both ways; LOAD_SOURCE: of a write */
	uint32_t reserved;
};

#define LOAD_MAGIC "WBL1"

/* A process by what it is in the picture: "proxy_server", "app_server". */
struct load_role {
	char name[32];
	pid_t pid;
};

struct load_addr {
	struct sockaddr_storage to;
	socklen_t to_n;
};

struct load_opts {
	struct load_addr target[LOAD_TARGETS_MAX]; /* `keep` takes them all, others the first */
	size_t n_targets;
	const char *url;
	const char *tool;
	double seconds, warmup;
	unsigned int streams;
	unsigned int inner; /* requests in flight on one HTTP/2 connection */
	uint32_t size;
	double rate; /* messages per second of all streams; 0: as fast as they are answered */
	bool down; /* bytes flow from the server to the client */
	uint16_t port;
	unsigned int steps[LOAD_STEPS_MAX];
	size_t n_steps;
	pid_t pids[LOAD_PIDS_MAX]; /* processes of the mesh */
	size_t n_pids;
	struct load_role roles[LOAD_ROLES_MAX];
	size_t n_roles;
	json_t *record; /* tags; becomes the line */
	const char *out;
	const char *key; /* `value`: what run.sh found out itself */
	double value;
};

/* ---- load_window.c: CPU and memory ---- */
struct cpu_sample {
	double at; /* seconds */
	double machine; /* busy seconds of all CPUs */
	double stolen; /* by the hypervisor */
	double mesh; /* of opts->pids */
	double self; /* of this process */
	double roles[LOAD_ROLES_MAX];
};

struct cpu_sample cpu_now(const struct load_opts *o);
/* Proportional set size of opts->pids in bytes; negative if one is gone. */
double mesh_pss(const struct load_opts *o);
/* Bytes of the BPF maps that opts->pids have open, as the kernel counts them. */
double mesh_maps(const struct load_opts *o);
void sleep_s(double s);

/* ---- load_hist.c: nanoseconds with a relative error below 1 % ---- */
#define HIST_SUB 128
#define HIST_BUCKETS (58 * HIST_SUB)

struct hist {
	uint64_t n, max, sum;
	uint32_t count[HIST_BUCKETS];
};

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *to, const struct hist *from);
uint64_t hist_at(const struct hist *h, double quantile);
/* p50_us, p99_us, p999_us, mean_us, max_us */
void hist_values(const struct hist *h, json_t *values);

/* ---- load_crew.c: sockets ---- */
int sock_connect(const struct load_addr *to);
int sock_hello(int fd, enum load_op op, uint32_t size);
/* All n bytes, or -1 with errno (ECONNRESET at the end of the stream). */
int sock_send_all(int fd, const void *p, size_t n);
int sock_recv_all(int fd, void *p, size_t n);

/* ---- the commands; each fills values and gives 0 or -1 with a sentence on stderr ---- */
int run_server(const struct load_opts *o);
int run_bulk(const struct load_opts *o, json_t *values);
int run_pingpong(const struct load_opts *o, json_t *values);
int run_connect(const struct load_opts *o, json_t *values);
int run_hold(const struct load_opts *o, json_t *values);
int run_http(const struct load_opts *o, json_t *values);
int run_rest(const struct load_opts *o, json_t *values);
int run_keep(const struct load_opts *o, json_t *values);
int run_request(const struct load_opts *o, json_t *values);
int run_machine(const struct load_opts *o, json_t *values);
int run_pss(const struct load_opts *o, json_t *values);
int run_note(const struct load_opts *o, json_t *values);
int run_value(const struct load_opts *o, json_t *values);
void value_set(json_t *values, const char *key, double v);
/* One GET of "/" and its whole answer; buf >= LOAD_BUF bytes. 0 or -1 with errno. */
int request_once(int fd, char *buf);
/* Connections to the first target with a byte there and back each, into fds[from..to). */
int hold_open(const struct load_opts *o, int *fds, unsigned int from, unsigned int to);
void sleep_until(uint64_t ns);

/* ---- load_crew.c: threads that work through warm-up and window ---- */
enum load_phase { PHASE_WARMUP, PHASE_MEASURE, PHASE_END };

struct crew;

struct worker {
	struct crew *crew;
	const struct load_opts *o;
	unsigned int index;
	int fd; /* -1: opens its own */
	_Atomic uint64_t done; /* bytes or messages, all phases */
	_Atomic uint64_t errors;
	struct hist hist; /* PHASE_MEASURE only */
	pthread_t thread;
};

struct crew {
	_Atomic int phase;
	void (*work)(struct worker *w);
	enum load_op op;
	bool connected; /* each worker gets a connection before the start */
	struct worker *workers;
	unsigned int n;
	/* of the window: */
	struct cpu_sample begin, end;
	uint64_t done, errors;
	struct hist hist;
};

/* A connection before the others: the mesh may have to set up a tunnel or a verdict for this
 * pair, which is not what is measured. */
int crew_prime(const struct load_opts *o, enum load_op op);
int crew_run(struct crew *c, const struct load_opts *o);
/* Rate, times and CPU of a crew whose unit is a message, a connection or a request. */
int run_messages(const struct load_opts *o, struct crew *c, json_t *values);
void crew_fini(struct crew *c);
static inline int crew_phase(const struct worker *w)
{
	return atomic_load_explicit(&w->crew->phase, memory_order_relaxed);
}
