// SPDX-License-Identifier: Apache-2.0
/*
 * io/loop: one epoll loop per thread. A turn is: wait, events (the mailbox is one of them),
 * due timers, tasks. Every room above registers its descriptors and timers here.
 *
 * Owns the epoll and event descriptors and the messages in the mailbox; not the watches,
 * timers and tasks, which sit in their owners. Watches must be deleted before loop_free().
 * Only functions that end in _any may be called by other threads.
 */
#include "io/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#include <urcu-qsbr.h>

#include "base/bug.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/race.h"
#include "base/str.h"
#include "io/wheel.h"

#define BATCH_MAX 256
/* A loop that is that far behind will not catch up; refusing keeps memory bounded. */
#define POSTS_MAX (1u << 20)

struct post {
	struct post *next;
	call_fn fn;
	void *arg;
};

struct mailbox {
	pthread_mutex_t lock;
	struct post *first, **last;
	size_t n;
};

struct loop {
	char name[16];
	int epoll_fd, wake_fd;
	struct watch wake;
	_Atomic bool stop;
	bool running;
	uint64_t now_ns;  /* start of this turn */
	uint64_t done_ns; /* end of the last turn */
	struct epoll_event batch[BATCH_MAX];
	int batch_at, batch_n; /* entries before batch_at are done */
	struct list tasks, tasks_mark;
	struct mailbox mail;
	_Atomic uint64_t turns, events, timers, posts, busy_ns, max_lag_ns;
	struct wheel wheel;
};

/* One writer, the loop's thread: no locked instruction needed. */
static void stat_add(_Atomic uint64_t *p, uint64_t n)
{
	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

/* ---- mailbox ---- */

static void wake_any(struct loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the loop is being woken already. */
	if (write(loop->wake_fd, &one, sizeof(one)) < 0)
		BUG_ON(errno != EAGAIN && errno != EINTR);
}

static struct post *mail_take(struct mailbox *m)
{
	struct post *first;

	pthread_mutex_lock(&m->lock);
	first = m->first;
	m->first = NULL;
	m->last = &m->first;
	m->n = 0;
	pthread_mutex_unlock(&m->lock);
	return first;
}

int loop_post_any(struct loop *loop, call_fn fn, void *arg)
{
	struct mailbox *m = &loop->mail;
	_free_ struct post *post = malloc(sizeof(*post));
	bool was_empty;

	if (!post)
		return -ENOMEM;
	*post = (struct post){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&m->lock);
	if (m->n >= POSTS_MAX) {
		pthread_mutex_unlock(&m->lock);
		return -ENOMEM;
	}
	was_empty = m->n++ == 0;
	*m->last = post;
	m->last = &post->next;
	pthread_mutex_unlock(&m->lock);
	post = NULL; /* the loop's; it may be gone already */
	if (was_empty)
		wake_any(loop);
	return 0;
}

static void posts_run(struct loop *loop)
{
	uint64_t n = 0;

	for (struct post *post = mail_take(&loop->mail), *next; post; post = next) {
		call_fn fn = post->fn;
		void *arg = post->arg;

		next = post->next;
		free(post);
		fn(arg);
		n++;
	}
	stat_add(&loop->posts, n);
}

static void on_wake(void *arg, uint32_t events)
{
	struct loop *loop = arg;
	uint64_t count;

	(void)events;
	/* Before the mail is taken: a message that comes later wakes again. */
	if (read(loop->wake_fd, &count, sizeof(count)) < 0)
		BUG_ON(errno != EAGAIN && errno != EINTR);
	posts_run(loop);
}

/* ---- life ---- */

int loop_new(struct loop **ret, const char *name)
{
	_close_ int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	_close_ int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	_free_ struct loop *loop = NULL;
	int r;

	if (epoll_fd < 0 || wake_fd < 0)
		return -errno;
	loop = calloc(1, sizeof(*loop));
	if (!loop)
		return -ENOMEM;
	r = str_copy(loop->name, sizeof(loop->name), str_of(name));
	if (r < 0)
		return r;
	loop->epoll_fd = epoll_fd;
	loop->wake_fd = wake_fd;
	loop->now_ns = loop->done_ns = clock_mono_ns();
	wheel_init(&loop->wheel, loop->now_ns);
	list_init(&loop->tasks);
	r = watch_add(loop, &loop->wake, wake_fd, EPOLLIN, on_wake, loop);
	if (r < 0)
		return r;
	pthread_mutex_init(&loop->mail.lock, NULL);
	loop->mail.last = &loop->mail.first;
	TAKE_FD(epoll_fd);
	TAKE_FD(wake_fd);
	*ret = TAKE_PTR(loop);
	return 0;
}

void loop_free(struct loop **loop_p)
{
	struct loop *loop = *loop_p;

	if (!loop)
		return;
	BUG_ON(loop->running);
	for (struct post *post = mail_take(&loop->mail), *next; post; post = next) {
		next = post->next;
		free(post);
	}
	/* Their owners may be torn down later and will cancel them then. */
	for (struct timer *t = wheel_pop(&loop->wheel); t; t = wheel_pop(&loop->wheel))
		t->loop = NULL;
	while (!list_empty(&loop->tasks))
		task_cancel(list_first(&loop->tasks, struct task, node));
	watch_del(&loop->wake);
	pthread_mutex_destroy(&loop->mail.lock);
	own_close(&loop->wake_fd);
	own_close(&loop->epoll_fd);
	free(loop);
	*loop_p = NULL;
}

uint64_t loop_now(const struct loop *loop)
{
	return loop->now_ns;
}

const char *loop_name(const struct loop *loop)
{
	return loop->name;
}

void loop_stats_any(struct loop *loop, struct loop_stats *ret)
{
	*ret = (struct loop_stats){
		.turns = atomic_load_explicit(&loop->turns, memory_order_relaxed),
		.events = atomic_load_explicit(&loop->events, memory_order_relaxed),
		.timers = atomic_load_explicit(&loop->timers, memory_order_relaxed),
		.posts = atomic_load_explicit(&loop->posts, memory_order_relaxed),
		.busy_ns = atomic_load_explicit(&loop->busy_ns, memory_order_relaxed),
		.max_lag_ns = atomic_exchange_explicit(&loop->max_lag_ns, 0, memory_order_relaxed),
	};
}

/* ---- watches ---- */

static int watch_ctl(struct watch *w, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	return epoll_ctl(w->loop->epoll_fd, op, w->fd, &ev) < 0 ? -errno : 0;
}

/* Takes the fetched but not yet delivered event of w out of the batch. */
static void batch_blank(struct loop *loop, const struct watch *w)
{
	for (int i = loop->batch_at; i < loop->batch_n; i++)
		if (loop->batch[i].data.ptr == w)
			loop->batch[i].data.ptr = NULL;
}

int watch_add(struct loop *loop, struct watch *w, int fd, uint32_t events, watch_fn fn, void *arg)
{
	int r;

	BUG_ON(w->loop);
	*w = (struct watch){ .loop = loop, .fd = fd, .events = events, .fn = fn, .arg = arg };
	r = watch_ctl(w, EPOLL_CTL_ADD, events);
	if (r < 0)
		*w = (struct watch){ 0 };
	return r;
}

void watch_retarget(struct watch *w, watch_fn fn, void *arg)
{
	BUG_ON(!w->loop);
	w->fn = fn;
	w->arg = arg;
}

int watch_set(struct watch *w, uint32_t events)
{
	int r;

	BUG_ON(!w->loop);
	/* A one-shot watch that fired is disarmed in the kernel, which events does not show. */
	if (events == w->events && !(events & EPOLLONESHOT))
		return 0;
	if ((events | w->events) & EPOLLEXCLUSIVE) {
		/* EPOLL_CTL_MOD knows no EPOLLEXCLUSIVE, neither before nor after. */
		watch_ctl(w, EPOLL_CTL_DEL, 0);
		r = watch_ctl(w, EPOLL_CTL_ADD, events);
		if (r < 0) {
			batch_blank(w->loop, w);
			*w = (struct watch){ 0 };
			return r;
		}
	} else {
		r = watch_ctl(w, EPOLL_CTL_MOD, events);
		if (r < 0)
			return r;
	}
	w->events = events;
	return 0;
}

void watch_del(struct watch *w)
{
	if (!w->loop)
		return;
	watch_ctl(w, EPOLL_CTL_DEL, 0);
	batch_blank(w->loop, w);
	*w = (struct watch){ 0 };
}

static void events_run(struct loop *loop)
{
	while (loop->batch_at < loop->batch_n) {
		struct epoll_event *ev = &loop->batch[loop->batch_at++];
		struct watch *w = ev->data.ptr;
		uint32_t got;

		if (!w)
			continue;
		/* watch_set() may have changed what is wanted since the event was fetched. */
		got = ev->events & (w->events | EPOLLERR | EPOLLHUP);
		if (got)
			w->fn(w->arg, got);
	}
	loop->batch_at = loop->batch_n = 0;
}

/* ---- timers ---- */

void timer_set(struct loop *loop, struct timer *t, uint64_t delay_ns, call_fn fn, void *arg)
{
	BUG_ON(t->loop && t->loop != loop);
	if (t->loop)
		list_del(&t->node);
	if (!loop->running)
		loop->now_ns = clock_mono_ns();
	*t = (struct timer){ .loop = loop, .fn = fn, .arg = arg };
	if (__builtin_add_overflow(loop->now_ns, delay_ns, &t->at_ns))
		t->at_ns = UINT64_MAX;
	wheel_add(&loop->wheel, t);
}

void timer_cancel(struct timer *t)
{
	if (!t->loop)
		return;
	list_del(&t->node);
	t->loop = NULL;
}

bool timer_armed(const struct timer *t)
{
	return t->loop != NULL;
}

/* All due timers are collected before the first one runs: one that arms itself again with no
 * delay waits for the next turn. */
static void timers_run(struct loop *loop)
{
	struct list due;
	uint64_t n = 0;

	list_init(&due);
	wheel_expire(&loop->wheel, loop->now_ns, &due);
	while (!list_empty(&due)) {
		struct timer *t = list_first(&due, struct timer, node);

		timer_cancel(t);
		t->fn(t->arg);
		n++;
	}
	stat_add(&loop->timers, n);
}

/* ---- tasks ---- */

void task_defer(struct loop *loop, struct task *t, call_fn fn, void *arg)
{
	BUG_ON(t->loop && t->loop != loop);
	t->fn = fn;
	t->arg = arg;
	if (t->loop)
		return;
	t->loop = loop;
	list_add_tail(&loop->tasks, &t->node);
}

void task_cancel(struct task *t)
{
	if (!t->loop)
		return;
	list_del(&t->node);
	t->loop = NULL;
}

/* Tasks deferred by tasks wait for the next turn, which does not block: a task that defers
 * itself for ever cannot starve the events. */
static void tasks_run(struct loop *loop)
{
	list_add_tail(&loop->tasks, &loop->tasks_mark);
	while (loop->tasks.next != &loop->tasks_mark) {
		struct task *t = list_first(&loop->tasks, struct task, node);

		task_cancel(t);
		t->fn(t->arg);
	}
	list_del(&loop->tasks_mark);
}

/* ---- turns ---- */

/* For epoll_wait(): 0 do not block, -1 for ever. */
static int wait_ms(struct loop *loop)
{
	uint64_t next, ms;

	if (!list_empty(&loop->tasks))
		return 0;
	next = wheel_next_ns(&loop->wheel);
	if (next == UINT64_MAX)
		return -1;
	if (next <= loop->done_ns)
		return 0;
	ms = (next - loop->done_ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

static void loop_wait(struct loop *loop)
{
	int ms = wait_ms(loop), n;

	race_before(RACE_GRACE); /* what was read is read no more */
	if (ms == 0) {
		rcu_quiescent_state();
		n = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, 0);
	} else {
		rcu_thread_offline();
		n = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, ms);
		rcu_thread_online();
	}
	BUG_ON(n < 0 && errno != EINTR);
	loop->batch_at = 0;
	loop->batch_n = n < 0 ? 0 : n;
	loop->now_ns = clock_mono_ns();
}

static void loop_turn(struct loop *loop)
{
	uint64_t busy;

	loop_wait(loop);
	stat_add(&loop->turns, 1);
	stat_add(&loop->events, (uint64_t)loop->batch_n);
	events_run(loop);
	timers_run(loop);
	tasks_run(loop);
	loop->done_ns = clock_mono_ns();
	busy = loop->done_ns - loop->now_ns;
	stat_add(&loop->busy_ns, busy);
	if (busy > atomic_load_explicit(&loop->max_lag_ns, memory_order_relaxed))
		atomic_store_explicit(&loop->max_lag_ns, busy, memory_order_relaxed);
}

void loop_run(struct loop *loop)
{
	BUG_ON(loop->running);
	pthread_setname_np(pthread_self(), loop->name);
	rcu_register_thread();
	loop->running = true;
	loop->now_ns = loop->done_ns = clock_mono_ns();
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
		loop_turn(loop);
	/* What was sent before the stop, and what that asked for, is still done. */
	posts_run(loop);
	tasks_run(loop);
	atomic_store_explicit(&loop->stop, false, memory_order_relaxed);
	loop->running = false;
	race_before(RACE_GRACE);
	rcu_unregister_thread();
}

void loop_stop_any(struct loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	wake_any(loop);
}
