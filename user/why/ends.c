// SPDX-License-Identifier: Apache-2.0
/*
 * The two ends of a connection by the names that people write (see why.h). Names of services
 * are looked for as a resolver in a pod would: without a namespace in the client's own.
 */
#include "why/why.h"

#include <errno.h>
#include <string.h>

#include "base/own.h"

/* Addresses reserved for documentation (RFC 5737, RFC 3849): nobody has them. */
#define EXAMPLE_V4 STR("192.0.2.1")
#define EXAMPLE_V6 STR("2001:db8::1")

static void addrs_add(struct why_addrs *l, const struct weft_addr *a)
{
	for (size_t i = 0; i < l->n; i++)
		if (ip_eq(&l->a[i], a))
			return;
	if (l->n < WHY_ADDRS_MAX)
		l->a[l->n++] = *a;
}

static void addrs_of(struct why_addrs *l, const struct workload *w)
{
	for (size_t i = 0; i < w->n_addrs; i++)
		addrs_add(l, &w->addrs[i]);
}

bool why_is_enrolled(const struct why_env *env, const struct workload *w, const struct weft_addr *a)
{
	/* It shares the node's namespace, which nobody enrols. */
	if (!w || w->host_network)
		return false;
	if (env->enrolled && strcmp(w->node, env->node) == 0)
		return env->enrolled(env->arg, w, a);
	return w->protocol == TUNNEL_HBONE;
}

static const struct workload *pod_find(const struct snap *s, struct str ns, struct str name)
{
	_free_ char *z_ns = str_dup(ns), *z_name = str_dup(name);

	return z_ns && z_name ? snap_workload_by_pod(s, z_ns, z_name) : NULL;
}

/* By uid, which may have any number of slashes, or as "namespace/name". */
static const struct workload *workload_find(const struct snap *s, struct str text)
{
	const struct workload *w = snap_workload_by_uid(s, text);
	struct str rest = text, ns = str_cut(&rest, '/');

	return w || !rest.p ? w : pod_find(s, ns, rest);
}

/* Only addresses that are served count: a pod may have more. */
static void source_enrolment(const struct why_env *env, struct why_source *src)
{
	struct why_addrs served = { .n = 0 };

	for (size_t i = 0; src->w && i < src->addrs.n; i++)
		if (why_is_enrolled(env, src->w, &src->addrs.a[i]))
			addrs_add(&served, &src->addrs.a[i]);
	src->enrolled = served.n > 0;
	src->enrol_known = src->w && env->enrolled && strcmp(src->w->node, env->node) == 0;
	if (src->enrolled)
		src->addrs = served;
}

int why_find_source(const struct snap *s, const struct why_env *env, const char *from,
		    struct errbuf *err, struct why_source *ret)
{
	struct why_source src = { .w = NULL };
	struct weft_addr a;

	if (strcmp(from, "outside") == 0) {
		src.example = true;
		if (ip_parse(EXAMPLE_V4, &a) == 0)
			addrs_add(&src.addrs, &a);
		if (ip_parse(EXAMPLE_V6, &a) == 0)
			addrs_add(&src.addrs, &a);
	} else if (ip_parse(str_of(from), &a) == 0) {
		src.w = snap_workload_by_addr(s, &a);
		addrs_add(&src.addrs, &a);
	} else {
		src.w = workload_find(s, str_of(from));
		if (!src.w)
			return errbuf_set(err, -ENOENT,
					  "source %.200s: the mesh has no such pod; write "
					  "NAMESPACE/NAME, a uid, an address, or outside",
					  from);
		addrs_of(&src.addrs, src.w);
		if (src.addrs.n == 0)
			return errbuf_set(err, -EINVAL, "source %.200s: it has no address", from);
	}
	source_enrolment(env, &src);
	*ret = src;
	return 0;
}

static const struct service *service_named(const struct snap *s, struct str ns, struct str name)
{
	const struct service *found = NULL;

	for (size_t i = 0; i < s->n_services; i++) {
		const struct service *svc = s->service[i];

		if (!str_eq(str_of(svc->name), name) || !str_eq(str_of(svc->ns), ns))
			continue;
		if (svc->canonical)
			return svc;
		if (!found)
			found = svc;
	}
	return found;
}

/* "web.shop", "web.shop.svc", with or without the dot at the end. */
static const struct service *service_dotted(const struct snap *s, struct str text)
{
	struct str rest = text, name = str_cut(&rest, '.'), ns = str_cut(&rest, '.');

	if (ns.n == 0 || (rest.p && rest.n && !str_eq(rest, STR("svc"))))
		return NULL;
	return service_named(s, ns, name);
}

static bool dest_by_path(const struct snap *s, struct str text, struct why_dest *d)
{
	struct str rest = text, ns = str_cut(&rest, '/');

	d->w = rest.p ? pod_find(s, ns, rest) : NULL;
	if (!d->w && rest.p)
		d->svc = snap_service_by_key(s, text);
	if (!d->w && !d->svc && rest.p)
		d->svc = service_named(s, ns, rest);
	return d->w || d->svc;
}

static bool dest_by_name(const struct snap *s, const struct why_source *src, struct str text,
			 struct why_dest *d)
{
	for (size_t i = 0; !d->svc && src->w; i++) {
		d->svc = snap_service_by_hostname_nth(s, text, i);
		if (!d->svc)
			break;
		if (strcmp(d->svc->ns, src->w->ns) != 0)
			d->svc = NULL;
	}
	if (!d->svc)
		d->svc = snap_service_by_hostname(s, text);
	if (!d->svc)
		d->svc = service_dotted(s, text);
	if (!d->svc && src->w && !memchr(text.p, '.', text.n))
		d->svc = service_named(s, str_of(src->w->ns), text);
	if (!d->svc && src->w)
		d->w = pod_find(s, str_of(src->w->ns), text);
	return d->svc || d->w;
}

/* The name and the port behind its last colon, if what is there is a number. */
static int port_split(struct str text, struct errbuf *err, struct str *ret_name, uint16_t *ret_port)
{
	const char *colon = text.n ? memrchr(text.p, ':', text.n) : NULL;
	struct str digits = { 0 };
	uint16_t port;

	if (colon)
		digits = (struct str){ colon + 1, text.n - (size_t)(colon + 1 - text.p) };
	*ret_name = text;
	*ret_port = 0;
	for (size_t i = 0; i < digits.n; i++)
		if (digits.p[i] < '0' || digits.p[i] > '9')
			return 0;
	if (digits.n == 0)
		return 0;
	if (str_to_u16(digits, &port) < 0 || port == 0)
		return errbuf_set(err, -EINVAL, "destination %.*s: %.*s is not a port",
				  STR_FMT(text), STR_FMT(digits));
	ret_name->n = (size_t)(colon - text.p);
	*ret_port = port;
	return 0;
}

static int dest_find(const struct snap *s, const struct why_source *src, struct str text,
		     struct errbuf *err, struct why_dest *d)
{
	struct weft_addr a;
	struct weft_ep ep;
	struct str name;
	int r;

	if (ip_parse(text, &a) == 0 || ip_parse_ep(text, &ep) == 0) {
		bool bare = ip_parse(text, &a) == 0;

		addrs_add(&d->addrs, bare ? &a : &ep.addr);
		d->port = bare ? 0 : ep.port;
		d->w = snap_workload_by_addr(s, &d->addrs.a[0]);
		return 0;
	}
	d->w = snap_workload_by_uid(s, text);
	if (d->w)
		return 0;
	r = port_split(text, err, &name, &d->port);
	if (r < 0)
		return r;
	d->w = snap_workload_by_uid(s, name);
	if (d->w || dest_by_path(s, name, d) || dest_by_name(s, src, name, d))
		return 0;
	return errbuf_set(err, -ENOENT,
			  "destination %.*s: the mesh has no such pod or service; write "
			  "NAMESPACE/POD, SERVICE.NAMESPACE, a hostname or an address",
			  (int)(name.n < 200 ? name.n : 200), name.p);
}

/* What a client dials who has looked the name up. */
static void dest_addrs(struct why_dest *d)
{
	if (d->addrs.n)
		return;
	if (d->w)
		addrs_of(&d->addrs, d->w);
	for (size_t i = 0; d->svc && i < d->svc->n_vips; i++)
		addrs_add(&d->addrs, &d->svc->vips[i]);
	d->headless = d->svc && d->svc->n_vips == 0;
	for (size_t i = 0; d->headless && i < d->svc->n_endpoints; i++)
		addrs_of(&d->addrs, d->svc->endpoints[i].w);
}

static int dest_port(struct why_dest *d, uint16_t port, const char *to, struct errbuf *err)
{
	const char *hint = "";
	size_t n = d->svc ? d->svc->n_ports : 0;

	if (port && d->port && d->port != port)
		return errbuf_set(err, -EINVAL, "destination %.200s: another port than %u is given",
				  to, port);
	if (port)
		d->port = port;
	else if (!d->port && n == 1)
		d->port = d->svc->ports[0].port;
	if (d->port)
		return 0;
	if (n > 1)
		hint = "; the service has several";
	if (d->addrs.n && !d->svc && strchr(to, ':') && to[0] != '[')
		return errbuf_set(err, -EINVAL,
				  "destination %.200s: which port? Write [%.200s]:PORT", to, to);
	return errbuf_set(err, -EINVAL, "destination %.200s: which port? Write %.200s:PORT%s", to,
			  to, hint);
}

int why_find_dest(const struct snap *s, const struct why_source *src, const char *to, uint16_t port,
		  struct errbuf *err, struct why_dest *ret)
{
	struct why_dest d = { .svc = NULL };
	int r = dest_find(s, src, str_of(to), err, &d);

	if (r == 0)
		r = dest_port(&d, port, to, err);
	if (r < 0)
		return r;
	dest_addrs(&d);
	*ret = d;
	return 0;
}
