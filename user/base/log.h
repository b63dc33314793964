/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One line per event on stderr: "<RFC3339 us UTC>\t<level>\t<scope>\t<message>", or the same as
 * JSON. Log where a thing is decided; a function that logged an error returns it and its
 * caller stays silent. Thread safe; a line is one write(2). A line that cannot be written (disk
 * full, a reader of stderr that does not read) is lost, counted, and said when it can.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVEL_MAX };

/* Once, before threads: from now on no line waits for the reader of stderr. */
void log_never_wait(void);
/* Says how many lines were lost, if not said yet; for a timer, so that no other line is needed. */
void log_tick(void);
unsigned long long log_lost(void); /* lines, ever */

void log_set_level(enum log_level level);
void log_set_json(bool json);
/* "error", "warn", "info" or "debug" -> level; -EINVAL for anything else. */
int log_level_parse(const char *s, enum log_level *ret_level);
/* Is it written for any component? */
bool log_enabled(enum log_level level);
/* A component (what LOG_SCOPE says) with a level of its own; -ENOSPC when LOG_SCOPES_MAX have
 * one, -EINVAL if the name is longer than 15 characters or empty. */
#define LOG_SCOPES_MAX 32
int log_set_scope(const char *scope, enum log_level level);
bool log_scope_is_set(const char *scope);
size_t log_scopes_free(void); /* how many more may have a level */
void log_clear_scopes(void);
/* "info" or "info,dns=debug,xds=warn"; malloc'ed, NULL when out of memory. */
char *log_levels_text(void);

__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *scope,
						    const char *fmt, ...);

#ifndef LOG_SCOPE
#define LOG_SCOPE "weftd"
#endif

#define log_error(...) log_line(LOG_ERROR, LOG_SCOPE, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, LOG_SCOPE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, LOG_SCOPE, __VA_ARGS__)
#define log_debug(...)                                               \
	do {                                                         \
		if (log_enabled(LOG_DEBUG))                          \
			log_line(LOG_DEBUG, LOG_SCOPE, __VA_ARGS__); \
	} while (0)

/* return log_err(r, "pod %s: cannot enter netns", name): logs with the errno text, gives r. */
#define log_err(r, fmt, ...)                                                       \
	({                                                                         \
		int _r = (r);                                                      \
		log_line(LOG_ERROR, LOG_SCOPE, fmt ": %s", ##__VA_ARGS__,          \
			 log_strerror(_r));                                        \
		_r;                                                                \
	})

/* Text of a -errno value; valid until the thread's next call. */
const char *log_strerror(int neg_errno);
