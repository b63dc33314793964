// SPDX-License-Identifier: Apache-2.0
/*
 * What istiod sends: frames of gRPC in pieces, the message's fields, and resources of both
 * types. However the bytes are cut, the same fields must come out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/own.h"
#include "codec/pb.h"
#include "feed/xds_decode.h"
#include "h2/grpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct reader {
	struct pb_split split;
	struct xds_decoder *d;
	uint64_t sum; /* of what was seen */
	bool broken;
};

static int on_field(void *arg, const struct pb_value *v)
{
	struct reader *r = arg;
	struct xds_object o = { 0 };
	struct errbuf err = { 0 };

	r->sum = r->sum * 31 + v->field + v->u;
	for (size_t i = 0; i < v->bytes.n; i++)
		r->sum = r->sum * 31 + (uint8_t)v->bytes.p[i];
	if (!r->d || v->wire != PB_LEN)
		return 0;
	if ((v->field & 1 ? xds_decode_address : xds_decode_policy)(r->d, v->bytes, &err, &o) == 0) {
		BUG_ON(o.kind == XDS_NONE || !xds_object_name(&o)[0]);
		xds_object_put(&o);
	}
	return 0;
}

static int on_begin(void *arg, uint32_t bytes)
{
	struct reader *r = arg;

	pb_split_fini(&r->split);
	r->sum += bytes;
	return 0;
}

static int on_bytes(void *arg, const void *p, size_t n)
{
	struct reader *r = arg;

	return pb_split_feed(&r->split, p, n, 4096, on_field, r);
}

static int on_end(void *arg)
{
	struct reader *r = arg;

	r->sum = r->sum * 31 + 7;
	return pb_split_end(&r->split);
}

static void run(struct reader *r, const uint8_t *data, size_t n, size_t step)
{
	static const struct grpc_in_ops ops = { on_begin, on_bytes, on_end };
	struct grpc_in g = { 0 };

	for (size_t at = 0; at < n && !r->broken; at += step)
		r->broken = grpc_in_feed(&g, data + at, n - at < step ? n - at : step, 1 << 20,
					 &ops, r) < 0;
	pb_split_fini(&r->split);
}

/* A status' text: terminated, whatever the room, and nothing that a terminal obeys. */
static void status_text(const uint8_t *data, size_t n)
{
	char text[64];
	const size_t cap = data[0] % sizeof(text) + 1;

	grpc_message_decode(text, cap, (struct str){ (const char *)data, n });
	BUG_ON(strlen(text) >= cap);
	for (const char *c = text; *c; c++)
		BUG_ON((unsigned char)*c < ' ' || *c == 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct xds_decoder d = { .network = "" };
	struct reader whole = { .d = &d }, pieces = { 0 };

	if (n < 1 || intern_new(&d.strings) < 0)
		return 0;
	status_text(data, n);
	run(&whole, data + 1, n - 1, n);
	run(&pieces, data + 1, n - 1, data[0] % 7 + 1);
	BUG_ON(whole.broken != pieces.broken || (!whole.broken && whole.sum != pieces.sum));
	BUG_ON(intern_count(d.strings) != 0);
	xds_decoder_fini(&d);
	intern_free(&d.strings);
	return 0;
}
