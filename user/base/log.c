// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
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

/* Written by one thread, read by all: a name is complete before the number counts it. */
static struct {
	char name[16];
	_Atomic int level;
} log_scope[LOG_SCOPES_MAX];
static _Atomic size_t log_scopes;

static void find_most(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);
	int most = atomic_load_explicit(&log_level_now, memory_order_relaxed);

	for (size_t i = 0; i < n; i++) {
		int level = atomic_load_explicit(&log_scope[i].level, memory_order_relaxed);

		most = level > most ? level : most;
	}
	atomic_store_explicit(&log_level_most, most, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
	find_most();
}

#define LEVEL_UNSET (-1)

int log_set_scope(const char *scope, enum log_level level)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire), i = 0;

	if (!scope[0] || strlen(scope) >= sizeof(log_scope[0].name))
		return -EINVAL;
	while (i < n && strcmp(log_scope[i].name, scope) != 0)
		i++;
	if (i == LOG_SCOPES_MAX)
		return -ENOSPC;
	atomic_store_explicit(&log_scope[i].level, (int)level, memory_order_relaxed);
	if (i == n) {
		snprintf(log_scope[i].name, sizeof(log_scope[i].name), "%s", scope);
		atomic_store_explicit(&log_scopes, n + 1, memory_order_release);
	}
	find_most();
	return 0;
}

/* The names stay: a reader may be at one. */
void log_clear_scopes(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);

	for (size_t i = 0; i < n; i++)
		atomic_store_explicit(&log_scope[i].level, LEVEL_UNSET, memory_order_relaxed);
	find_most();
}

static int level_of(const char *scope)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire);

	for (size_t i = 0; i < n; i++) {
		int level = atomic_load_explicit(&log_scope[i].level, memory_order_relaxed);

		if (level != LEVEL_UNSET && strcmp(log_scope[i].name, scope) == 0)
			return level;
	}
	return atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

char *log_levels_text(void)
{
	size_t n = atomic_load_explicit(&log_scopes, memory_order_acquire), len = 0;
	char text[LOG_SCOPES_MAX * 24 + 16];

	len = (size_t)snprintf(text, sizeof(text), "%s",
			       level_name[atomic_load_explicit(&log_level_now, memory_order_relaxed)]);
	for (size_t i = 0; i < n; i++) {
		int level = atomic_load_explicit(&log_scope[i].level, memory_order_relaxed);

		if (level != LEVEL_UNSET)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ",%s=%s",
						log_scope[i].name, level_name[level]);
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
