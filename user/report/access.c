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
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/sink.h"
#include "base/str.h"

#include "report/limit.h"

#define LOG_SCOPE "access"
#include "base/log.h"

#define QUEUE_LINES 10000
#define QUEUE_BYTES (8u << 20)
#define CHUNK_BYTES 65536
#define LINGER_NS 50000000l
#define LINE_MAX_BYTES 8192
#define STOP_WAIT_NS NS_PER_S /* at the end, for a reader that does not read */
#define SAY_EACH_NS (10 * NS_PER_S) /* while lines are being lost */

/* Whole lines, written at once: a line by itself would cost an allocation in one thread and its
 * release in another. */
struct chunk {
	struct chunk *next;
	size_t n, lines;
	char bytes[CHUNK_BYTES];
};

struct access_log {
	char *path; /* NULL: stderr */
	int fd;
	bool json;
	bool torn; /* the last line written was cut off */
	pthread_t thread;
	_Atomic uint64_t dropped;
	_Atomic int dropped_why; /* -errno of the last one; -ENOBUFS: the queue was full */
	uint64_t tick_dropped, said_dropped, said_ns; /* of access_tick_any() */
	struct limit *limit; /* of refused connections */

	pthread_mutex_t lock; /* guards everything below */
	pthread_cond_t wake;
	bool stop, reopen;
	uint64_t stop_ns; /* when stop was set */
	struct chunk *first, *last; /* what is to be written */
	struct chunk *spare;
	size_t lines, bytes; /* of these, and of those that are being written */
};

static void count_dropped(struct access_log *a, uint64_t n, int why)
{
	atomic_fetch_add_explicit(&a->dropped, n, memory_order_relaxed);
	atomic_store_explicit(&a->dropped_why, why, memory_order_relaxed);
}

/* Non-blocking, for it may be a pipe: the writer is to wait in poll() only, see must_stop(). */
static int file_open(const char *path)
{
	int fd;

	if (!path)
		return sink_dup(STDERR_FILENO);
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
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

/* The end of weftd does not wait for a reader that does not read. */
static bool must_stop(struct access_log *a)
{
	bool must;

	pthread_mutex_lock(&a->lock);
	must = a->stop && clock_mono_ns() - a->stop_ns >= STOP_WAIT_NS;
	pthread_mutex_unlock(&a->lock);
	return must;
}

/* All of it, or as much as can be; waits for the reader of a pipe. Returns how many bytes. */
static size_t bytes_write(struct access_log *a, const char *p, size_t n, int *ret_why)
{
	size_t done = 0;

	while (done < n) {
		ssize_t w = sink_write(a->fd, p + done, n - done);

		if (w >= 0)
			done += (size_t)w;
		else if (w == -EAGAIN && !must_stop(a))
			poll(&(struct pollfd){ .fd = a->fd, .events = POLLOUT }, 1, 100);
		else if (w != -EINTR) {
			*ret_why = (int)w;
			break;
		}
	}
	return done;
}

/* How much goes out at once: a pipe may be shared with weftd's own log and with other programs, and
 * keeps only pieces of PIPE_BUF together. n > 0, p ends with a whole line. */
static size_t piece(const char *p, size_t n, bool is_pipe)
{
	const char *end = p + n;

	if (is_pipe && n > PIPE_BUF) {
		end = memrchr(p, '\n', PIPE_BUF);
		end = end ? end + 1 : (const char *)memchr(p, '\n', n) + 1;
	}
	return (size_t)(end - p);
}

static void chunk_write(struct access_log *a, const struct chunk *c)
{
	bool is_pipe = sink_is_pipe(a->fd);
	int why = 0;

	for (size_t at = 0, n; at < c->n; at += n) {
		size_t done, lost = 0;

		n = piece(c->bytes + at, c->n - at, is_pipe);
		if (a->torn)
			a->torn = bytes_write(a, "\n", 1, &why) != 1;
		done = a->torn ? 0 : bytes_write(a, c->bytes + at, n, &why);
		if (done == n)
			continue;
		for (size_t i = done; i < n; i++)
			lost += c->bytes[at + i] == '\n';
		a->torn |= done && c->bytes[at + done - 1] != '\n';
		count_dropped(a, lost, why);
	}
}

static void chunks_free(struct chunk *c)
{
	while (c) {
		struct chunk *next = c->next;

		free(c);
		c = next;
	}
}

/* Writes them and keeps one for the next lines. What is on its way counts as queued: with a reader
 * that is stuck, memory must not grow. */
static void chunks_write(struct access_log *a, struct chunk *c)
{
	struct chunk *kept = c;
	size_t lines = 0, bytes = 0;

	for (; c; c = c->next) {
		chunk_write(a, c);
		lines += c->lines;
		bytes += c->n;
	}
	if (!kept)
		return;
	pthread_mutex_lock(&a->lock);
	a->lines -= lines;
	a->bytes -= bytes;
	c = kept->next;
	kept->next = NULL;
	if (!a->spare)
		a->spare = TAKE_PTR(kept);
	pthread_mutex_unlock(&a->lock);
	chunks_free(kept);
	chunks_free(c);
}

/* With the lock held: all there is. */
static struct chunk *chunks_take(struct access_log *a)
{
	struct chunk *c = a->first;

	a->first = a->last = NULL;
	return c;
}

/*
 * Until there is something to do. Lines then get LINGER_NS to gather, so that many short
 * connections cost one wake-up and one write per chunk of them, not one each.
 */
static void writer_wait(struct access_log *a)
{
	struct timespec until;

	while (!a->first && !a->stop && !a->reopen)
		pthread_cond_wait(&a->wake, &a->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LINGER_NS;
	if (until.tv_nsec >= (long)NS_PER_S) {
		until.tv_nsec -= (long)NS_PER_S;
		until.tv_sec++;
	}
	while (a->first == a->last && !a->stop && !a->reopen)
		if (pthread_cond_timedwait(&a->wake, &a->lock, &until) == ETIMEDOUT)
			break;
}

static void *writer_main(void *arg)
{
	struct access_log *a = arg;

	for (;;) {
		struct chunk *chunks;
		bool stop, reopen;

		pthread_mutex_lock(&a->lock);
		writer_wait(a);
		chunks = chunks_take(a);
		stop = a->stop;
		reopen = a->reopen;
		a->reopen = false;
		pthread_mutex_unlock(&a->lock);

		if (reopen)
			file_reopen(a);
		chunks_write(a, chunks);
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
	chunks_free((*a)->first);
	chunks_free((*a)->spare);
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
	a->path = to_file ? str_dup(str_of(path)) : NULL;
	if ((to_file && !a->path) || limit_new(&a->limit) < 0)
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

/* With the lock held: where n more bytes find room, or NULL. */
static struct chunk *chunk_for(struct access_log *a, size_t n)
{
	struct chunk *c = a->last;

	if (n > CHUNK_BYTES || a->lines >= QUEUE_LINES || a->bytes + n > QUEUE_BYTES)
		return NULL;
	if (c && n <= CHUNK_BYTES - c->n)
		return c;
	c = a->spare ? TAKE_PTR(a->spare) : malloc(sizeof(*c));
	if (!c)
		return NULL;
	c->next = NULL;
	c->n = c->lines = 0;
	if (a->last)
		a->last->next = c;
	else
		a->first = c;
	a->last = c;
	return c;
}

/* Copies the line, or counts it when the queue has no room. */
static void queue_push(struct access_log *a, const char *line, size_t n)
{
	struct chunk *c, *before;

	pthread_mutex_lock(&a->lock);
	before = a->last;
	c = chunk_for(a, n);
	if (c) {
		memcpy(c->bytes + c->n, line, n);
		c->n += n;
		c->lines++;
		a->bytes += n;
		a->lines++;
		if (c != before)
			pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	if (!c)
		count_dropped(a, 1, -ENOBUFS);
}

/* The kept line of a flood: how many more there were goes behind what it says. */
static void on_expired(void *arg, char *line, size_t n, uint64_t more)
{
	struct access_log *a = arg;
	size_t tail = a->json ? strlen("}\n") : strlen("\n");
	_free_ char *owned = line, *whole = NULL;

	if (more)
		whole = str_printf(a->json ? "%.*s,\"suppressed\":%llu}\n" : "%.*s suppressed=%llu\n",
				   (int)(n - tail), line, (unsigned long long)more);
	if (!more)
		queue_push(a, line, n);
	else if (whole)
		queue_push(a, whole, strlen(whole));
	else
		count_dropped(a, 1, -ENOMEM);
}

/* When no more are lost, and now and then while they are. */
static void say_dropped(struct access_log *a, uint64_t now_ns)
{
	uint64_t dropped = access_dropped_any(a), before = a->tick_dropped;
	int why = atomic_load_explicit(&a->dropped_why, memory_order_relaxed);

	a->tick_dropped = dropped;
	if (dropped == a->said_dropped || (dropped != before && now_ns - a->said_ns < SAY_EACH_NS))
		return;
	log_warn("%llu lines of the access log were lost: %s",
		 (unsigned long long)(dropped - a->said_dropped),
		 why == -ENOBUFS ? "they are not written fast enough" : log_strerror(why));
	a->said_dropped = dropped;
	a->said_ns = now_ns;
}

void access_tick_any(struct access_log *a)
{
	uint64_t now_ns = clock_mono_ns();

	if (!a)
		return;
	limit_expire_any(a->limit, now_ns, on_expired, a);
	say_dropped(a, now_ns);
}

void access_close(struct access_log **a)
{
	if (!*a)
		return;
	limit_expire_any((*a)->limit, UINT64_MAX, on_expired, *a);
	pthread_mutex_lock(&(*a)->lock);
	(*a)->stop = true;
	(*a)->stop_ns = clock_mono_ns();
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
	char *line;
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
	if (n > 0 && what != LIMIT_KEEP) {
		queue_push(a, buf, (size_t)n);
		return;
	}
	line = n > 0 ? malloc((size_t)n) : NULL;
	if (!line) {
		count_dropped(a, 1, -ENOMEM);
		return;
	}
	memcpy(line, buf, (size_t)n);
	limit_keep_any(a->limit, &pair, line, (size_t)n);
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
