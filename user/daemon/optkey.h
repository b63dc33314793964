/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One key of the configuration: text -> member of struct opts and back, by its row in the
 * table. Used by opts.c only. No state.
 */
#include <stddef.h>

#include "base/str.h"
#include "daemon/opts.h"

enum optkey_kind {
	KEY_TEXT,     /* not empty */
	KEY_TEXT_OR_NONE, /* "" is a value */
	KEY_PEM,      /* not empty; may be lines of PEM */
	KEY_PATH,     /* absolute */
	KEY_NUMBER,   /* uint32_t, min..max */
	KEY_PORT,     /* uint16_t */
	KEY_DURATION, /* uint64_t ns, min..max in seconds */
	KEY_WORD,     /* uint32_t, index in words */
	KEY_KIND_MAX,
};

struct optkey {
	const char *name;
	enum optkey_kind kind;
	size_t at; /* in struct opts */
	const char *def; /* NULL: found out at start, see opts_defaults.c */
	const char *help;
	uint32_t min, max;
	const char *const *words; /* NULL-terminated */
	/* Further names in the environment, those that ztunnel has; WEFT_<KEY> wins, then the first. */
	const char *env[2];
	/* More about one text value; NULL: anything goes. */
	int (*check)(const char *text, struct errbuf *err);
	bool secret; /* printed only if it is a path */
};

/* Sets the member; -EINVAL with the sentence (without source and key) in err, else 0, -ENOMEM. */
int optkey_set(const struct optkey *k, struct opts *o, struct str text, struct errbuf *err);
/* As YAML scalar. */
void optkey_print(const struct optkey *k, const struct opts *o, FILE *f);
/* What may be written, for people: "text or json", "1..65535". Into buf; returns buf. */
const char *optkey_domain(const struct optkey *k, char *buf, size_t cap);

static inline char **optkey_text(const struct optkey *k, struct opts *o)
{
	return (char **)((char *)o + k->at);
}

static inline bool optkey_is_text(const struct optkey *k)
{
	return k->kind == KEY_TEXT || k->kind == KEY_TEXT_OR_NONE || k->kind == KEY_PATH ||
	       k->kind == KEY_PEM;
}

/* optcheck.c: -EINVAL with the sentence. */
int optcheck_uplink(const char *text, struct errbuf *err);
int optcheck_run_dir(const char *text, struct errbuf *err);
int optcheck_zds(const char *text, struct errbuf *err);
int optcheck_cgroup(const char *text, struct errbuf *err);
int optcheck_ca_crl(const char *text, struct errbuf *err);
int optcheck_access_log(const char *text, struct errbuf *err);
int optcheck_congestion(const char *text, struct errbuf *err);
int optcheck_server(const char *text, struct errbuf *err);
int optcheck_cluster(const char *text, struct errbuf *err);
int optcheck_domain(const char *text, struct errbuf *err);

/* Defaults that depend on the machine; malloc'ed, NULL when out of memory or when there is
 * none (cgroup, uplink) in the given text of /proc. */
char *default_node(void);
char *default_workers(void);
char *default_pin_dir(const char *node);
char *default_cgroup(FILE *proc_mounts);
char *default_uplink(FILE *proc_net_route, FILE *proc_net_ipv6_route);
