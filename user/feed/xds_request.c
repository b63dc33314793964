// SPDX-License-Identifier: Apache-2.0
/*
 * What is sent to istiod: DeltaDiscoveryRequest of envoy.service.discovery.v3.
 *
 *	1 node { 1 id, 3 metadata }   2 type_url   5 initial_resource_versions { 1 name, 2 version }
 *	3 resource_names_subscribe   4 resource_names_unsubscribe
 *	6 response_nonce   7 error_detail { 2 message }
 *
 * The first request of a stream names what is held and in which version, so that istiod sends
 * only what has changed and can tell what is gone. istiod takes messages of up to 4 MiB; names
 * beyond CLAIMS_MAX are left out. istiod then sends those resources again, and those of them
 * that its first answer does not have are gone (xds_store_sweep()).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/log.h"
#include "base/own.h"
#include "feed/xds_priv.h"

#define CLAIMS_MAX (3u << 20)
#define JSON_DEPTH 16

/* ---- google.protobuf.Struct ---- */

static int put_json(struct pb_writer *w, const json_t *j, int depth);

/* One entry of Struct.fields: 1 key, 2 Value. */
static size_t begin_entry(struct pb_writer *w, const char *key)
{
	size_t mark = pb_begin(w, 1);

	pb_put_bytes(w, 1, str_of(key));
	return mark;
}

static int put_object(struct pb_writer *w, json_t *j, int depth)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach(j, key, value) {
		size_t entry = begin_entry(w, key), v = pb_begin(w, 2);

		r = put_json(w, value, depth + 1);
		pb_end(w, v);
		pb_end(w, entry);
		if (r < 0)
			break;
	}
	return r;
}

static void put_number(struct pb_writer *w, double d)
{
	uint8_t b[9] = { 2 << 3 | PB_I64 };
	uint64_t u;

	memcpy(&u, &d, sizeof(u));
	for (int i = 0; i < 8; i++)
		b[1 + i] = (uint8_t)(u >> (8 * i));
	pb_put_raw(w, (struct str){ (const char *)b, sizeof(b) });
}

/* The body of a Value: 1 null, 2 number, 3 string, 4 bool, 5 Struct, 6 ListValue. */
static int put_json(struct pb_writer *w, const json_t *j, int depth)
{
	size_t mark, i;
	json_t *one;
	int r = 0;

	if (depth > JSON_DEPTH)
		return -E2BIG;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		mark = pb_begin(w, 5);
		r = put_object(w, (json_t *)(uintptr_t)j, depth);
		pb_end(w, mark);
		return r;
	case JSON_ARRAY:
		mark = pb_begin(w, 6);
		json_array_foreach(j, i, one) {
			size_t v = pb_begin(w, 1);

			r = r < 0 ? r : put_json(w, one, depth + 1);
			pb_end(w, v);
		}
		pb_end(w, mark);
		return r;
	case JSON_STRING:
		pb_put_bytes(w, 3, (struct str){ json_string_value(j), json_string_length(j) });
		return 0;
	case JSON_INTEGER:
	case JSON_REAL:
		put_number(w, json_number_value(j));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		pb_put_u64(w, 4, json_is_true(j));
		return 0;
	default:
		pb_put_u64(w, 1, 0);
		return 0;
	}
}

static void put_text_entry(struct pb_writer *w, const char *key, const char *value)
{
	size_t entry = begin_entry(w, key), v = pb_begin(w, 2);

	pb_put_bytes(w, 3, str_of(value));
	pb_end(w, v);
	pb_end(w, entry);
}

static void put_json_entry(struct pb_writer *w, const struct xds_meta *m)
{
	json_t *j = json_loads(m->value, JSON_DECODE_ANY, NULL);
	struct pb_writer body = { 0 };
	size_t entry;
	struct str s;

	if (!j || put_json(&body, j, 0) < 0 || pb_written(&body, &s) < 0) {
		log_warn("ISTIO_METAJSON_%s is no JSON, ignoring", m->name);
	} else {
		entry = begin_entry(w, m->name);
		pb_put_bytes(w, 2, s);
		pb_end(w, entry);
	}
	pb_writer_fini(&body);
	json_decref(j);
}

/* ---- the requests ---- */

static void put_node(struct pb_writer *w, const struct xds_opts *o)
{
	_free_ char *id = str_printf("ztunnel~%s~%s.%s~%s.svc.cluster.local",
				     o->instance_ip[0] ? o->instance_ip : "1.1.1.1", o->pod_name,
				     o->pod_namespace, o->pod_namespace);
	size_t node = pb_begin(w, 1), meta;

	if (!id)
		w->failed = true;
	pb_put_text(w, 1, id);
	meta = pb_begin(w, 3);
	put_text_entry(w, "NAME", o->pod_name);
	put_text_entry(w, "NAMESPACE", o->pod_namespace);
	put_text_entry(w, "INSTANCE_IPS", o->instance_ip);
	put_text_entry(w, "NODE_NAME", o->node);
	for (size_t i = 0; i < o->n_meta; i++) {
		if (o->meta[i].json)
			put_json_entry(w, &o->meta[i]);
		else
			put_text_entry(w, o->meta[i].name, o->meta[i].value);
	}
	pb_end(w, meta);
	pb_end(w, node);
}

static void put_claims(struct pb_writer *w, struct xds_store *store, enum xds_type type)
{
	hmap_for_each(n, &store->map[type]) {
		struct xds_resource *r = container_of(n, struct xds_resource, node);
		size_t entry;

		r->claimed = w->n < CLAIMS_MAX &&
			     !xds_store_is_refused(store, type, str_of(xds_object_name(&r->obj)));
		if (!r->claimed)
			continue;
		entry = pb_begin(w, 5);
		pb_put_text(w, 1, xds_object_name(&r->obj));
		pb_put_text(w, 2, r->version);
		pb_end(w, entry);
	}
}

static void put_wanted(void *arg, const char *name)
{
	pb_put_text(arg, 3, name);
}

/* To nothing, which is not the same as naming nothing: that would be to everything. */
static void put_on_demand(struct pb_writer *w, struct demand *d)
{
	pb_put_text(w, 3, "*");
	demand_stream_begin(d, put_wanted, w);
	pb_put_text(w, 4, "*");
}

static int send_written(struct xds *x, struct pb_writer *w)
{
	struct str s;
	int r = pb_written(w, &s);

	if (r == 0)
		r = grpc_call_send(x->call, s, false);
	pb_writer_fini(w);
	return r;
}

int xds_send_subscribe(struct xds *x, enum xds_type type)
{
	struct pb_writer w = { 0 };

	put_node(&w, &x->o);
	pb_put_text(&w, 2, xds_type_url[type]);
	if (x->o.demand && type == XDS_ADDRESS)
		put_on_demand(&w, x->o.demand);
	put_claims(&w, &x->store, type);
	return send_written(x, &w);
}

int xds_send_names(struct xds *x, const char *const *name, size_t n, bool subscribe)
{
	struct pb_writer w = { 0 };

	pb_put_text(&w, 2, xds_type_url[XDS_ADDRESS]);
	for (size_t i = 0; i < n; i++)
		pb_put_text(&w, subscribe ? 3 : 4, name[i]);
	return send_written(x, &w);
}

/* Text that was cut, or that came from a broken message, need not be UTF-8; a string field that
 * is not would make istiod refuse the whole request. */
static void put_plain_text(struct pb_writer *w, uint32_t field, const char *text)
{
	char plain[2048];
	size_t n = 0;

	for (; text[n] && n + 1 < sizeof(plain); n++)
		plain[n] = (unsigned char)text[n] < 0x20 || (unsigned char)text[n] > 0x7e ? '?'
											  : text[n];
	pb_put_bytes(w, field, (struct str){ plain, n });
}

int xds_send_ack(struct xds *x, const char *type_url, const char *nonce, const char *error)
{
	struct pb_writer w = { 0 };
	size_t detail;

	pb_put_text(&w, 2, type_url);
	pb_put_text(&w, 6, nonce);
	if (error) {
		detail = pb_begin(&w, 7);
		put_plain_text(&w, 2, error);
		pb_end(&w, detail);
	}
	return send_written(x, &w);
}
