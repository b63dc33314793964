/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whom a command asks: the daemon of this machine, the node that --node names, or all nodes of
 * a lab. One thread.
 */
#include <jansson.h>

#include "base/errbuf.h"
#include "base/own.h"
#include "base/vec.h"
#include "cli.h"

#define WEFT_SOCKET_DEFAULT "/run/weft/weftd.sock"
#define WEFT_LAB_DIR "/run/weft/lab"

static inline void own_json(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

#define _json_ cleanup_with(own_json)

struct target {
	char *node; /* "" unless it is one of several */
	char *path;
	json_t *reply; /* NULL: no answer */
};

struct targets {
	VEC(struct target) v;
	bool many;  /* a NODE column is wanted */
	bool quiet; /* no complaints on stderr: a live screen is there */
};

void targets_fini(struct targets *t);
/* Finds the sockets: EXIT_DONE, or prints why not on stderr. */
int targets_find(const struct cli *c, struct targets *ret);
/* As targets_find, for commands that act on one daemon only. */
int targets_find_one(const struct cli *c, struct targets *ret);
/* Sends request to each and stores the replies; complains on stderr about those that fail.
 * EXIT_DONE when all answered. */
int targets_ask(struct targets *t, const json_t *request);
/* One request to one socket: EXIT_DONE, EXIT_FAILED when the daemon said no, EXIT_UNREACHABLE;
 * then the sentence is in err. */
int client_call(const char *path, const json_t *request, struct errbuf *err, json_t **ret);
/* On stdout, readable, with a line's end; NULL: nothing. */
void print_json(const json_t *j);
/* One reply as it is, several as {"nodes": {NAME: reply}}; on stdout. */
void targets_print_json(struct targets *t);

/* Find and ask in one go; with -o json the replies are printed too, and *ret_done says that
 * there is nothing left to do. */
int client_list(const struct cli *c, const char *cmd, struct targets *ret, bool *ret_done);
/* The same for one daemon and a finished request; takes the reference to request. */
int client_act(const struct cli *c, json_t *request, struct targets *ret, bool *ret_done);

/* Members of replies; missing or of another type: "", 0, false, NULL. */
const char *get_text(const json_t *j, const char *key);
double get_num(const json_t *j, const char *key);
bool get_true(const json_t *j, const char *key);
