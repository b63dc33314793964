/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A client of istiod for tests and fuzzers, whose call is never connected: messages are given to it,
 * and its answers wait in the call.
 */
#include "base/bug.h"
#include "feed/xds_priv.h"
#include "h2/grpc_call.h"
#include "io/loop.h"

static inline void xds_client_begin(struct xds *x, struct loop *loop)
{
	static const struct grpc_channel_opts channel_opts = {
		.server = { .host = "127.0.0.1", .port = 1, .plaintext = true },
		.alt_name = "",
		.root_ca = "",
		.token = "",
		.cluster = "",
	};
	static const struct grpc_call_opts call_opts = { .path = "/x", .message_max = 1 };
	static const struct grpc_call_ops call_ops = { 0 };

	x->loop = loop;
	x->o = (struct xds_opts){ .node = "n",
				  .network = "",
				  .pod_name = "p",
				  .pod_namespace = "ns",
				  .instance_ip = "10.0.0.9" };
	x->decoder.network = "";
	BUG_ON(intern_new(&x->decoder.strings) < 0);
	BUG_ON(grpc_channel_new(loop, &channel_opts, &x->channel) < 0);
	BUG_ON(grpc_call_start(x->channel, &call_opts, &call_ops, x, &x->call) < 0);
}

/* Every text that was taken must have been given back. */
static inline void xds_client_end(struct xds *x)
{
	grpc_call_cancel(&x->call);
	grpc_channel_free(&x->channel);
	xds_push_reset(&x->push);
	xds_clean(x);
	xds_store_fini(&x->store);
	BUG_ON(intern_count(x->decoder.strings) != 0);
	xds_decoder_fini(&x->decoder);
	intern_free(&x->decoder.strings);
}
