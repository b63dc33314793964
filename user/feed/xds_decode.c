// SPDX-License-Identifier: Apache-2.0
/* What the decoders of the workload API have in common; see xds_decode.h. */
#include "feed/xds_decode.h"

#include <errno.h>

#include "weft/abi.h"

#include "base/ip.h"
#include "base/own.h"
#include "codec/pb.h"
#include "model/gateway.h"

const char *xds_object_name(const struct xds_object *o)
{
	switch (o->kind) {
	case XDS_WORKLOAD:
		return o->workload->uid;
	case XDS_SERVICE:
		return o->service->key;
	case XDS_POLICY:
		return o->policy->key;
	default:
		return "";
	}
}

void xds_object_put(struct xds_object *o)
{
	if (o->kind == XDS_WORKLOAD)
		workload_put(&o->workload);
	else if (o->kind == XDS_SERVICE)
		service_put(&o->service);
	else if (o->kind == XDS_POLICY)
		policy_put(&o->policy);
	o->kind = XDS_NONE;
}

void xds_decoder_fini(struct xds_decoder *d)
{
	vec_fini(&d->addrs);
	vec_fini(&d->texts);
	vec_fini(&d->memberships);
	vec_fini(&d->ports);
	vec_fini(&d->key);
}

/* istio.workload.Address: one of the two. */
struct address {
	struct str workload, service;
};

static const struct pb_field address_fields[] = {
	{ PB(1, PB_BYTES, offsetof(struct address, workload), "workload") },
	{ PB(2, PB_BYTES, offsetof(struct address, service), "service") },
	{ 0 },
};

int xds_decode_address(struct xds_decoder *d, struct str bytes, struct errbuf *err,
		       struct xds_object *ret)
{
	struct pb_decode pd = { .err = err, .arg = d };
	struct address a = { 0 };
	int r = pb_decode(&pd, bytes, address_fields, &a);

	if (r < 0)
		return r;
	if (!a.workload.p == !a.service.p)
		return errbuf_set(err, -EINVAL, "is neither a workload nor a service, or both");
	if (a.workload.p) {
		r = xds_decode_workload(d, a.workload, err, &ret->workload);
		ret->kind = r < 0 ? XDS_NONE : XDS_WORKLOAD;
	} else {
		r = xds_decode_service(d, a.service, err, &ret->service);
		ret->kind = r < 0 ? XDS_NONE : XDS_SERVICE;
	}
	return r;
}

/* ---- gateways ---- */

static const struct pb_field hostname_fields[] = {
						   /* NamespacedHostname */
	{ PB(1, PB_TEXT, offsetof(struct xds_gateway, ns), "namespace") },
	{ PB(2, PB_TEXT, offsetof(struct xds_gateway, hostname), "hostname") },
	{ 0 },
};

static const struct pb_field address_of_gateway[] = {
						      /* NetworkAddress */
	{ PB(1, PB_TEXT, offsetof(struct xds_gateway, network), "network") },
	{ PB(2, PB_BYTES, offsetof(struct xds_gateway, address), "address") },
	{ 0 },
};

const struct pb_field xds_gateway_fields[] = {
					       /* GatewayAddress */
	{ PB(1, PB_SUB, 0, "hostname"), .sub = hostname_fields },
	{ PB(2, PB_SUB, 0, "address"), .sub = address_of_gateway },
	{ PB(3, PB_U32, offsetof(struct xds_gateway, port), "hbone_mtls_port") },
	{ 0 },
};

int xds_gateway_text(const struct xds_gateway *g, struct errbuf *err, char **ret)
{
	unsigned port = g->port ? g->port : WEFT_PORT_HBONE;
	struct gateway_ref ref = {
		.ns = g->ns, .hostname = g->hostname, .network = g->network, .port = (uint16_t)port
	};

	if (port > UINT16_MAX)
		return errbuf_set(err, -EINVAL, "a gateway has port %u", port);
	if (!g->hostname.n && !g->address.n)
		return g->port ? errbuf_set(err, -EINVAL, "a gateway has a port and no destination")
			       : 0;
	if (!g->hostname.n && ip_from_bytes(g->address.p, g->address.n, &ref.addr) < 0)
		return errbuf_set(err, -EINVAL, "a gateway's address has %zu bytes", g->address.n);
	ref.by_addr = !g->hostname.n;
	*ret = gateway_format(&ref);
	return *ret ? 0 : -ENOMEM;
}

/* ---- ports ---- */

struct port {
	uint32_t service, target;
};

static const struct pb_field port_fields[] = {
					       /* Port; 3 is the application's protocol */
	{ PB(1, PB_U32, offsetof(struct port, service), "service_port") },
	{ PB(2, PB_U32, offsetof(struct port, target), "target_port") },
	{ 0 },
};

int xds_add_port(struct pb_decode *pd, size_t from, const struct pb_value *v)
{
	struct xds_decoder *d = pd->arg;
	struct port p = { 0 };
	struct port_map m;
	int r;

	if (v->wire != PB_LEN)
		return errbuf_set(pd->err, -EBADMSG, "field ports has another type");
	r = pb_decode(pd, v->bytes, port_fields, &p);
	if (r < 0)
		return r;
	if (p.service > UINT16_MAX || p.target > UINT16_MAX || p.service == 0)
		return errbuf_set(pd->err, -EINVAL, "port %u to %u is no pair of ports", p.service,
				  p.target);
	m = (struct port_map){ (uint16_t)p.service, (uint16_t)p.target };
	for (size_t i = from; i < d->ports.n; i++) {
		if (d->ports.p[i].service_port != m.service_port)
			continue;
		d->ports.p[i] = m;
		return 0;
	}
	return vec_push(&d->ports, m);
}

int xds_enum(struct xds_decoder *d, int value, int known, int safe)
{
	if (value >= 0 && value < known)
		return value;
	d->unknown_values++;
	return safe;
}
