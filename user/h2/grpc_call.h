/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the h2 room: what grpc.c (calls) and grpc_channel.c (connections) share. */
#include "base/list.h"
#include "h2/grpc.h"
#include "h2/grpc_frame.h"
#include "h2/sess.h"
#include "io/loop.h"

struct grpc_channel {
	struct loop *loop;
	struct grpc_channel_opts o;
	struct sess *sess; /* NULL: none, the next call makes one */
	struct list calls; /* all of them */
	struct timer idle;
	struct task connect;
	char authority[300];
};

struct grpc_call {
	struct list node; /* of channel.calls */
	struct grpc_channel *channel;
	struct grpc_call_opts o;
	const struct grpc_call_ops *ops;
	void *arg;
	struct h2_request *request; /* NULL: waits for the connection, or over */
	struct {
		char *p;
		size_t n, cap;
	} waiting; /* framed messages before there is a request */
	bool waiting_end, done;
	struct grpc_in in;
	struct timer deadline;
	struct task finish;
	unsigned http_status;
	int status; /* grpc-status, -1 not seen */
	char message[256];
	bool answered;
};

/* Opens the request of a call that waited; failures end it. */
void call_begin(struct grpc_call *call);
/* Ends it with a status of our own, on a turn of its own. */
void call_fail(struct grpc_call *call, unsigned code, const char *why);
/* A call has come or gone. */
void channel_call_added(struct grpc_channel *c);
void channel_call_gone(struct grpc_channel *c);
/* The credentials of one call. token is malloc'ed. */
int channel_token(const struct grpc_channel *c, struct errbuf *err, char **ret);
