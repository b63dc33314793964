/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The connection to istio-cni's node agent (ZDS): it listens on a SOCK_SEQPACKET socket, we
 * connect, say hello, and answer each of its messages with exactly one. Nothing else is ever sent:
 * the agent takes it for a breach. A connection that ends, or that the agent broke the rules on, is
 * made again, after a pause that doubles up to ZDS_PAUSE_MAX_NS until a snapshot was complete. What
 * the messages mean: zds_state.h. Control thread.
 */
#include <stdint.h>

#include "pod/zds_state.h"

#define ZDS_PAUSE_MIN_NS (10 * NS_PER_MS)
#define ZDS_PAUSE_MAX_NS (15 * NS_PER_S)
#define ZDS_RETRY_NS (5 * NS_PER_S) /* of pods that could not be served */

struct loop;
struct zds_link;

enum zds_link_state {
	ZDS_LINK_DOWN,    /* nobody listens, or a pause after an error */
	ZDS_LINK_SNAPSHOT, /* connected, the agent tells what there is */
	ZDS_LINK_SYNCED,   /* it has told all; what follows are changes */
};

struct zds_status {
	enum zds_link_state state;
	const char *path; /* of the socket */
	const char *last_error; /* why the last connection ended or could not be made; "" */
	uint64_t since_s; /* wall clock: when the state was entered */
	uint64_t connections; /* made so far */
	uint64_t messages, refused; /* of the agent; refused: answered with an error */
	struct zds_counts counts;
};

/* Begins to connect. path is copied; ops as in zds_state.h. */
int zds_link_new(struct loop *loop, const char *path, const struct zds_ops *ops,
		 struct zds_link **ret);
/* Pods that are served stay so. */
void zds_link_free(struct zds_link **zl);
/* Texts are valid until the loop's next turn. */
void zds_link_status(const struct zds_link *zl, struct zds_status *ret);
const char *zds_link_state_text(enum zds_link_state s); /* "down", "snapshot", "synced" */
