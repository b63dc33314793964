/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Control socket of weftd: AF_UNIX SOCK_STREAM, 0600, root only (SO_PEERCRED is checked too).
 * One request per line, JSON: {"cmd": "pods", ...}; one reply per line: {"ok": true, ...} or
 * {"ok": false, "error": "sentence"}. Limits: 64 connections, 1 MiB per request, 10 s idle,
 * 16 MiB of replies that the client has not taken (until it does, its next request waits).
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/errbuf.h"
#include "base/str.h"

struct loop;
struct ctl;

/* Gives the reply object without "ok" (added by ctl), or NULL with the sentence in err. Runs
 * on the control loop and may block it briefly. */
typedef json_t *(*ctl_fn)(void *arg, const json_t *request, struct errbuf *err);

#define CTL_CONNS_MAX 64
#define CTL_REQUEST_MAX (1u << 20)
#define CTL_REPLY_MAX (16u << 20)

/* The socket of a dead daemon is replaced; -EADDRINUSE if a live one answers there. The folder
 * must exist. */
int ctl_start(struct loop *loop, const char *path, struct errbuf *err, struct ctl **ret);
void ctl_stop(struct ctl **c); /* unlinks the socket */
/* cmd must stay valid (a literal). -EEXIST if it is taken. */
int ctl_register(struct ctl *c, const char *cmd, ctl_fn fn, void *arg);
/* Client side, blocking (for the CLI): sends request, waits at most 30 s, gives the reply with
 * "ok": true (new reference), or NULL with the sentence: the daemon's own if it said no. */
json_t *ctl_call(const char *path, const json_t *request, struct errbuf *err);

/* One request line (without its newline) as JSON object with a text "cmd"; pure, for every
 * byte that may come in. -EINVAL with the sentence. *ret is a new reference; *ret_cmd lives
 * in it. */
int ctl_request_parse(struct str line, struct errbuf *err, json_t **ret, const char **ret_cmd);
