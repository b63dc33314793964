/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Control socket of weftd: AF_UNIX SOCK_STREAM, 0600, root only (SO_PEERCRED is checked too).
 * One request per line, JSON: {"cmd": "pods", ...}; one reply per line: {"ok": true, ...} or
 * {"ok": false, "error": "sentence"}. Limits: 64 connections, 1 MiB per request, 10 s idle.
 */
#include <jansson.h>

#include "base/errbuf.h"

struct loop;
struct ctl;

/* Gives the reply object without "ok" (added by ctl), or NULL with the sentence in err. Runs
 * on the control loop and may block it briefly. */
typedef json_t *(*ctl_fn)(void *arg, const json_t *request, struct errbuf *err);

int ctl_start(struct loop *loop, const char *path, struct errbuf *err, struct ctl **ret);
void ctl_stop(struct ctl **c); /* unlinks the socket */
int ctl_register(struct ctl *c, const char *cmd, ctl_fn fn, void *arg);
/* Client side, blocking (for the CLI): sends request, waits, gives the reply (new reference)
 * or NULL with the sentence. */
json_t *ctl_call(const char *path, const json_t *request, struct errbuf *err);
