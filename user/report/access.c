// SPDX-License-Identifier: Apache-2.0
/*
 * The access log's queue and writer. Used by conn (one line per connection) and by the daemon
 * for direct connections reported by the kernel. Owns the file, a thread and at most QUEUE_LINES
 * lines of together QUEUE_BYTES; a line that finds no room is counted and forgotten, because
 * a connection must not wait for a disk.
 *
 * Threads: *_any from anywhere; the writer thread alone touches the file.
 */
#include "report/access.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/str.h"

#include "report/limit.h"

#define LOG_SCOPE "access"
#include "base/log.h"

#define QUEUE_LINES 10000
#define QUEUE_BYTES (8u << 20)
#define BATCH_LINES 64
#define LINGER_NS 50000000l
#define LINE_MAX_BYTES 8192

struct access_log {
	char *path; /* NULL: stderr */
	int fd;
	bool json;
	pthread_t thread;
	_Atomic uint64_t dropped;
	struct limit *limit; /* of refused connections */

	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t wake;
	bool asleep; /* the writer waits for the first line */
	bool stop, reopen;
	struct iovec *ring; /* QUEUE_LINES */
	size_t head, n, bytes;
};

static void count_dropped(struct access_log *a, uint64_t n)
{
	atomic_fetch_add_explicit(&a->dropped, n, memory_order_relaxed);
}

static int file_open(const char *path)
{
	int fd = path ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640)
		      : fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? -errno : fd;
}

/* The old file stays in use when the new one cannot be opened. */
static void file_reopen(struct access_log *a)
{
	int fd;

	if (!a->path)
		return;
	fd = file_open(a->path);
	if (fd < 0) {
		log_warn("cannot reopen %s: %s, ignoring", a->path, log_strerror(fd));
		return;
	}
	own_close(&a->fd);
	a->fd = fd;
}

/* Drops what is written from the front of v; the number of iovecs that are finished. */
static size_t iov_advance(struct iovec *v, size_t n, size_t written)
{
	size_t i = 0;

	while (i < n && written >= v[i].iov_len)
		written -= v[i++].iov_len;
	if (i < n) {
		v[i].iov_base = (char *)v[i].iov_base + written;
		v[i].iov_len -= written;
	}
	return i;
}

/* stderr may be a non-blocking pipe: waits for it. Returns how many lines were lost. */
static size_t lines_write(int fd, struct iovec *v, size_t n)
{
	while (n) {
		ssize_t w = writev(fd, v, (int)n);
		size_t done;

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
			continue;
		}
		if (w < 0)
			return n;
		done = iov_advance(v, n, (size_t)w);
		v += done;
		n -= done;
	}
	return 0;
}

static void batch_write(struct access_log *a, const struct iovec *batch, size_t n)
{
	struct iovec v[BATCH_LINES];
	size_t lost;

	memcpy(v, batch, n * sizeof(v[0]));
	lost = lines_write(a->fd, v, n);
	if (lost)
		count_dropped(a, lost);
	for (size_t i = 0; i < n; i++)
		free(batch[i].iov_base);
}

/* With the lock held: takes up to BATCH_LINES lines out of the ring. */
static size_t batch_take(struct access_log *a, struct iovec *batch)
{
	size_t n = 0;

	while (n < BATCH_LINES && a->n) {
		batch[n] = a->ring[a->head];
		a->bytes -= batch[n++].iov_len;
		a->head = (a->head + 1) % QUEUE_LINES;
		a->n--;
	}
	return n;
}

/*
 * Until there is something to do. Lines then get LINGER_NS to gather, so that many short
 * connections cost one wake-up and one write per 64 of them, not one each.
 */
static void writer_wait(struct access_log *a)
{
	struct timespec until;

	while (!a->n && !a->stop && !a->reopen) {
		a->asleep = true;
		pthread_cond_wait(&a->wake, &a->lock);
	}
	a->asleep = false;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LINGER_NS;
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_nsec -= (long)NS_PER_S;
		until.tv_sec++;
	}
	while (a->n < BATCH_LINES && !a->stop && !a->reopen)
		if (pthread_cond_timedwait(&a->wake, &a->lock, &until) == ETIMEDOUT)
			break;
}

static void *writer_main(void *arg)
{
	struct access_log *a = arg;

	for (;;) {
		struct iovec batch[BATCH_LINES];
		bool stop, reopen;
		size_t n;

		pthread_mutex_lock(&a->lock);
		writer_wait(a);
		n = batch_take(a, batch);
		stop = a->stop && a->n == 0;
		reopen = a->reopen;
		a->reopen = false;
		pthread_mutex_unlock(&a->lock);

		if (reopen)
			file_reopen(a);
		batch_write(a, batch, n);
		if (stop)
			return NULL;
	}
}

/* The writer takes no signals: they belong to the control thread, and a closed pipe shall be
 * EPIPE. */
static int writer_start(struct access_log *a)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&a->thread, NULL, writer_main, a);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		pthread_setname_np(a->thread, "access-log");
	return r;
}

static void log_release(struct access_log **a)
{
	if (!*a)
		return;
	own_close(&(*a)->fd);
	limit_free(&(*a)->limit);
	free((*a)->ring);
	free((*a)->path);
	pthread_cond_destroy(&(*a)->wake);
	pthread_mutex_destroy(&(*a)->lock);
	free(*a);
	*a = NULL;
}

int access_open(const char *path, bool json, struct errbuf *err, struct access_log **ret)
{
	cleanup_with(log_release) struct access_log *a = calloc(1, sizeof(*a));
	bool to_file = path && strcmp(path, "-") != 0;
	pthread_condattr_t clock;
	int r;

	if (!a)
		return errbuf_set(err, -ENOMEM, "access log: out of memory");
	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&a->wake, &clock);
	pthread_condattr_destroy(&clock);
	a->json = json;
	a->fd = -1;
	a->ring = calloc(QUEUE_LINES, sizeof(*a->ring));
	a->path = to_file ? str_dup(str_of(path)) : NULL;
	if (!a->ring || (to_file && !a->path) || limit_new(&a->limit) < 0)
		return errbuf_set(err, -ENOMEM, "access log: out of memory");
	a->fd = file_open(a->path);
	if (a->fd < 0)
		return errbuf_set(err, a->fd, "access log: cannot open %s: %s",
				  to_file ? path : "stderr", log_strerror(a->fd));
	r = writer_start(a);
	if (r < 0)
		return errbuf_set(err, r, "access log: cannot start its thread: %s", log_strerror(r));
	*ret = TAKE_PTR(a);
	return 0;
}

/* Takes the line, or gives false when the queue has no room for it. */
static bool queue_push(struct access_log *a, char *line, size_t n)
{
	bool fits;

	pthread_mutex_lock(&a->lock);
	fits = a->n < QUEUE_LINES && a->bytes + n <= QUEUE_BYTES;
	if (fits) {
		a->ring[(a->head + a->n) % QUEUE_LINES] = (struct iovec){ .iov_base = line,
									  .iov_len = n };
		a->bytes += n;
		a->n++;
		if (a->asleep || a->n == BATCH_LINES)
			pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	return fits;
}

static void queue_or_count(struct access_log *a, char *line, size_t n)
{
	if (queue_push(a, line, n))
		return;
	count_dropped(a, 1);
	free(line);
}

/* The kept line of a flood: how many more there were goes behind what it says. */
static void on_expired(void *arg, char *line, size_t n, uint64_t more)
{
	struct access_log *a = arg;
	size_t tail = a->json ? strlen("}\n") : strlen("\n");
	char *whole = more == 0 ? line
				: str_printf(a->json ? "%.*s,\"suppressed\":%llu}\n"
						     : "%.*s suppressed=%llu\n",
					     (int)(n - tail), line, (unsigned long long)more);

	if (whole != line)
		free(line);
	if (whole)
		queue_or_count(a, whole, more == 0 ? n : strlen(whole));
	else
		count_dropped(a, 1);
}

void access_tick_any(struct access_log *a)
{
	if (a)
		limit_expire_any(a->limit, clock_mono_ns(), on_expired, a);
}

void access_close(struct access_log **a)
{
	if (!*a)
		return;
	limit_expire_any((*a)->limit, UINT64_MAX, on_expired, *a);
	pthread_mutex_lock(&(*a)->lock);
	(*a)->stop = true;
	pthread_cond_signal(&(*a)->wake);
	pthread_mutex_unlock(&(*a)->lock);
	pthread_join((*a)->thread, NULL);
	log_release(a);
}

/* Refused before anything was opened, and so as cheap to repeat as a SYN. */
static bool is_limited(const struct access_rec *r)
{
	return r->reason == WEFT_REASON_POLICY_DENIED || r->reason == WEFT_REASON_RESERVED_PORT ||
	       r->reason == WEFT_REASON_UNKNOWN_SOURCE;
}

void access_write_any(struct access_log *a, const struct access_rec *r)
{
	const struct limit_pair pair = {
		.src = r->src.addr, .dst = r->dst.addr, .port = r->dst.port, .inbound = r->inbound
	};
	enum limit_what what = LIMIT_WRITE;
	char buf[LINE_MAX_BYTES];
	struct timespec ts;
	char *line = NULL;
	int n;

	if (!a)
		return;
	if (is_limited(r))
		what = limit_ask_any(a->limit, &pair, clock_mono_ns());
	if (what == LIMIT_DROP)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	n = access_format(buf, sizeof(buf), r, a->json,
			  (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec);
	if (n > 0)
		line = malloc((size_t)n);
	if (!line) {
		count_dropped(a, 1);
		return;
	}
	memcpy(line, buf, (size_t)n);
	if (what == LIMIT_KEEP)
		limit_keep_any(a->limit, &pair, line, (size_t)n);
	else
		queue_or_count(a, line, (size_t)n);
}

void access_reopen_any(struct access_log *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->reopen = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
}

uint64_t access_suppressed_any(const struct access_log *a)
{
	return a ? limit_dropped_any(a->limit) : 0;
}

uint64_t access_dropped_any(const struct access_log *a)
{
	return a ? atomic_load_explicit(&a->dropped, memory_order_relaxed) : 0;
}
