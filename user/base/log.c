// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/sink.h"

static _Atomic int log_level_now = LOG_INFO; /* of components without their own */
static _Atomic int log_level_most = LOG_INFO; /* the greatest one of all */
static _Atomic bool log_json_now;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic unsigned long long log_lost_now; /* lines, ever */
static _Atomic unsigned long long log_lost_said;
static _Atomic int log_lost_why; /* -errno of the last one */
static _Atomic bool log_torn; /* the last line was cut off */

static const char *const level_name[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};
_Static_assert(sizeof(level_name) / sizeof(level_name[0]) == LOG_LEVEL_MAX, "name every level");

#define LEVEL_UNSET (-1)

/*
 * Written by one thread, read by all. A place without a level is free; its name changes before it
 * has a level again, so who reads while that happens writes or misses one line at the most.
 */
static struct {
	_Atomic uint64_t name[2]; /* 16 bytes, the last of them 0 */
	_Atomic int level;
} log_scope[LOG_SCOPES_MAX];
static _Atomic size_t log_scopes; /* places that were used ever */

struct scope_name {
	uint64_t word[2];
};

/* What does not fit is no name: all 0. */
static struct scope_name scope_name(const char *scope)
{
	struct scope_name n = { 0 };
	const size_t len = strlen(scope);

	if (len < sizeof(n))
		memcpy(n.word, scope, len);
	return n;
}

static int level_at(size_t i)
{
	return atomic_load_explicit(&log_scope[i].level, memory_order_acquire);
}

static struct scope_name name_at(size_t i)
{
	return (struct scope_name){
		{ atomic_load_explicit(&log_scope[i].name[0], memory_order_relaxed),
		  atomic_load_explicit(&log_scope[i].name[1], memory_order_relaxed) }
	};
}

/* The place of a component that has a level, or how many places there were. */
static size_t find_scope(const char *scope)
{
	const struct scope_name want = scope_name(scope);
	const size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);

	for (size_t i = 0; i < n; i++) {
		const struct scope_name have = name_at(i);

		if (level_at(i) != LEVEL_UNSET && have.word[0] == want.word[0] &&
		    have.word[1] == want.word[1])
			return i;
	}
	return n;
}

static void find_most(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);
	int most = atomic_load_explicit(&log_level_now, memory_order_relaxed);

	for (size_t i = 0; i < n; i++) {
		const int level = level_at(i);

		most = level > most ? level : most;
	}
	atomic_store_explicit(&log_level_most, most, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
	find_most();
}

static void put_scope(size_t i, struct scope_name name, int level)
{
	atomic_store_explicit(&log_scope[i].name[0], name.word[0], memory_order_relaxed);
	atomic_store_explicit(&log_scope[i].name[1], name.word[1], memory_order_relaxed);
	atomic_store_explicit(&log_scope[i].level, level, memory_order_release);
}

int log_set_scope(const char *scope, enum log_level level)
{
	const size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);
	size_t i = find_scope(scope);

	if (!scope[0] || strlen(scope) >= sizeof(struct scope_name))
		return -EINVAL;
	for (size_t k = 0; i == n && k < n; k++)
		if (level_at(k) == LEVEL_UNSET)
			i = k;
	if (i == LOG_SCOPES_MAX)
		return -ENOSPC;
	put_scope(i, scope_name(scope), (int)level);
	if (i == n)
		atomic_store_explicit(&log_scopes, n + 1, memory_order_release);
	find_most();
	return 0;
}

bool log_scope_is_set(const char *scope)
{
	return find_scope(scope) < atomic_load_explicit(&log_scopes, memory_order_acquire);
}

size_t log_scopes_free(void)
{
	const size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);
	size_t used = 0;

	for (size_t i = 0; i < n; i++)
		used += level_at(i) != LEVEL_UNSET;
	return LOG_SCOPES_MAX - used;
}

void log_clear_scopes(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);

	for (size_t i = 0; i < n; i++)
		atomic_store_explicit(&log_scope[i].level, LEVEL_UNSET, memory_order_relaxed);
	find_most();
}

static int level_of(const char *scope)
{
	const size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);
	const size_t i = n ? find_scope(scope) : 0;
	const int level = i < n ? level_at(i) : LEVEL_UNSET;

	return level != LEVEL_UNSET ? level
				    : atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

char *log_levels_text(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire), len = 0;
	char text[LOG_SCOPES_MAX * 24 + 16];

	len = (size_t)snprintf(text, sizeof(text), "%s",
			       level_name[atomic_load_explicit(&log_level_now, memory_order_relaxed)]);
	for (size_t i = 0; i < n; i++) {
		const int level = level_at(i);
		const struct scope_name name = name_at(i);

		if (level != LEVEL_UNSET)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",%s=%s",
						(const char *)name.word, level_name[level]);
	}
	return strdup(text);
}

void log_set_json(bool json)
{
	atomic_store_explicit(&log_json_now, json, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level_most, memory_order_relaxed);
}

int log_level_parse(const char *s, enum log_level *ret_level)
{
	for (int i = 0; i < LOG_LEVEL_MAX; i++) {
		if (strcmp(s, level_name[i]) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_strerror(int neg_errno)
{
	static _Thread_local char text[128];

	return strerror_r(neg_errno < 0 ? -neg_errno : neg_errno, text, sizeof(text));
}

/* JSON string body: quotes, backslashes and control characters escaped. */
static size_t json_escape(char *out, size_t cap, const char *s)
{
	size_t n = 0;

	for (; *s && n + 7 < cap; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c < 0x20) {
			n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
		} else {
			out[n++] = (char)c;
		}
	}
	out[n] = '\0';
	return n;
}

/* The line as it goes out; its length. */
static size_t line_make(char *line, size_t cap, enum log_level level, const char *scope,
			const char *msg)
{
	char when[40], esc[4200];
	struct timespec ts;
	struct tm tm;
	int n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = (int)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof(when) - (size_t)n, ".%06ldZ", ts.tv_nsec / 1000);

	if (atomic_load_explicit(&log_json_now, memory_order_relaxed)) {
		json_escape(esc, sizeof(esc), msg);
		n = snprintf(line, cap,
			     "{\"level\":\"%s\",\"time\":\"%s\",\"scope\":\"%s\",\"message\":\"%s\"}\n",
			     level_name[level], when, scope, esc);
	} else {
		n = snprintf(line, cap, "%s\t%s\t%s\t%s\n", when, level_name[level], scope, msg);
	}
	return n >= (int)cap ? cap - 1 : (size_t)n;
}

/*
 * One write, so that lines of threads don't mix; if it can't be had now, the line is lost and
 * counted, for who logs may be the one who moves bytes. line has a byte before it.
 */
static bool line_put(char *line, size_t n)
{
	size_t before = atomic_exchange(&log_torn, false);
	ssize_t r;

	line[-1] = '\n';
	do
		r = sink_write(atomic_load(&log_fd), line - before, n + before);
	while (r == -EINTR);
	if (r == (ssize_t)(n + before))
		return true;
	if (r > 0 || before)
		atomic_store(&log_torn, true);
	atomic_fetch_add(&log_lost_now, 1);
	atomic_store(&log_lost_why, r < 0 ? (int)r : -ENOSPC);
	return false;
}

/* As soon as lines go out again: how many did not. */
static void say_lost(void)
{
	unsigned long long lost = atomic_load(&log_lost_now), said = atomic_load(&log_lost_said);
	char msg[160], line[512];
	size_t n;

	if (lost == said || !atomic_compare_exchange_strong(&log_lost_said, &said, lost))
		return;
	snprintf(msg, sizeof(msg), "%llu lines of this log were lost: %s", lost - said,
		 log_strerror(atomic_load(&log_lost_why)));
	n = line_make(line + 1, sizeof(line) - 1, LOG_WARN, "log", msg);
	if (!line_put(line + 1, n)) {
		atomic_fetch_sub(&log_lost_now, 1); /* this one is not missed */
		atomic_fetch_sub(&log_lost_said, lost - said);
	}
}

void log_line(enum log_level level, const char *scope, const char *fmt, ...)
{
	char msg[2048], line[4608];
	va_list ap;

	if (!log_enabled(level) || (int)level > level_of(scope))
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	say_lost();
	line_put(line + 1, line_make(line + 1, sizeof(line) - 1, level, scope, msg));
}

void log_tick(void)
{
	say_lost();
}

void log_never_wait(void)
{
	int fd = sink_dup(STDERR_FILENO), before;

	if (fd < 0)
		return;
	before = atomic_exchange(&log_fd, fd);
	if (before != STDERR_FILENO)
		close(before);
}

unsigned long long log_lost(void)
{
	return atomic_load(&log_lost_now);
}
