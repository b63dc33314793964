// SPDX-License-Identifier: Apache-2.0
/* Names of the mesh, see table.h. */
#include "dns/table.h"

#include <string.h>

#include "base/ip.h"
#include "base/own.h"

#define ALIASES_MAX 32 /* 4 names, each with at most 3 expansions, are 16 */

struct name {
	char text[DNS_NAME_MAX + 1];
	size_t n;
};

struct alias {
	struct name name;
	size_t stripped; /* bytes that were taken off the end of the name asked for; 0: nothing */
};

struct find {
	const struct snap *s;
	const struct dns_client *c;
	struct str asked;
	struct dns_found *ret;
};

static size_t labels_of(struct str name)
{
	size_t n = name.n > 0;

	for (size_t i = 0; i < name.n; i++)
		n += name.p[i] == '.';
	return n;
}

/* Appends ".part". False: that is no name. */
static bool name_add(struct name *name, struct str part)
{
	if (part.n == 0 || name->n + 1 + part.n > DNS_NAME_MAX)
		return false;
	name->text[name->n++] = '.';
	memcpy(name->text + name->n, part.p, part.n);
	name->n += part.n;
	name->text[name->n] = '\0';
	return true;
}

/* Is name in domain: "a.b" is in "b", "b" and "ab" are not. */
static bool in_domain(struct str name, struct str domain)
{
	return name.n > domain.n + 1 && domain.n > 0 && str_has_suffix(name, domain) &&
	       name.p[name.n - domain.n - 1] == '.';
}

/* "svc.<domain>" at the end: the name of a service of Kubernetes. */
static bool is_kubernetes(struct str host, const struct dns_client *c)
{
	struct str domain = str_of(c->domain);

	if (!in_domain(host, domain))
		return false;
	host.n -= domain.n + 1;
	return in_domain(host, STR("svc"));
}

/* Can svc be answered to this pod? What has no VIP is headless in Kubernetes, but elsewhere reached
 * by what its name is in DNS. */
static bool is_answerable(const struct service *svc, const struct dns_client *c)
{
	if (!service_is_visible(svc, c->ns))
		return false;
	return svc->n_vips > 0 || is_kubernetes(str_of(svc->hostname), c);
}

/* Of several with one name: the pod's own namespace, then a canonical one, then the preferred namespace. */
static int place_of(const struct service *svc, const struct dns_client *c)
{
	if (strcmp(svc->ns, c->ns) == 0)
		return 0;
	if (svc->canonical)
		return 1;
	return c->preferred && strcmp(svc->ns, c->preferred) == 0 ? 2 : 3;
}

static const struct service *service_of(struct find *f, struct str host)
{
	const struct service *best = NULL, *svc;

	f->ret->tried++;
	for (size_t i = 0; (svc = snap_service_by_hostname_nth(f->s, host, i)); i++)
		if (is_answerable(svc, f->c) && (!best || place_of(svc, f->c) < place_of(best, f->c)))
			best = svc;
	return best;
}

static void found(struct find *f, const struct alias *a, const struct service *svc, bool wildcard)
{
	struct str stripped = { f->asked.p, f->asked.n - a->stripped };

	f->ret->svc = svc;
	f->ret->wildcard = wildcard;
	if (a->stripped && !wildcard)
		str_copy(f->ret->alias, sizeof(f->ret->alias), stripped);
}

/* The name, then "*.<rest>" at each of its dots, the nearest first, and "*". */
static bool try_alias(struct find *f, const struct alias *a)
{
	char wild[DNS_NAME_MAX + 1] = "*";
	struct str rest = { a->name.text, a->name.n };
	const struct service *svc = service_of(f, rest);
	bool wildcard = false;

	while (!svc && rest.p) {
		size_t n = 1;

		str_cut(&rest, '.');
		if (rest.p) {
			wild[1] = '.';
			memcpy(wild + 2, rest.p, rest.n);
			n = 2 + rest.n;
		}
		svc = service_of(f, (struct str){ wild, n });
		wildcard = true;
	}
	if (svc)
		found(f, a, svc, wildcard);
	return svc;
}

struct aliases {
	struct alias of[ALIASES_MAX];
	size_t n;
};

/* Texts to put behind a name, up to one without a pointer. */
#define PARTS(...) ((const struct str[]){ __VA_ARGS__, { .p = NULL } })

/* name followed by parts; nothing if one of them is empty, if that is too long or there already. */
static void alias_add(struct aliases *as, struct str name, size_t stripped, const struct str *parts)
{
	struct alias a = { .stripped = stripped };

	if (name.n == 0 || str_copy(a.name.text, sizeof(a.name.text), name) < 0)
		return;
	a.name.n = name.n;
	for (; parts->p; parts++)
		if (!name_add(&a.name, *parts))
			return;
	for (size_t i = 0; i < as->n; i++)
		if (as->of[i].name.n == a.name.n &&
		    memcmp(as->of[i].name.text, a.name.text, a.name.n) == 0)
			return;
	if (as->n < ARRAY_LEN(as->of))
		as->of[as->n++] = a;
}

/* The name and what it could be short for, by the number of its labels. */
static void aliases_of(struct aliases *as, const struct dns_client *c, struct str name,
		       size_t stripped)
{
	struct str svc = STR("svc"), ns = str_of(c->ns), domain = str_of(c->domain);
	size_t labels = labels_of(name);

	alias_add(as, name, stripped, PARTS({ 0 }));
	if (labels == 1)
		alias_add(as, name, stripped, PARTS(ns, svc, domain));
	if ((labels == 3 || labels == 4) && in_domain(name, svc))
		alias_add(as, name, stripped, PARTS(domain));
	if (labels == 2 || labels == 3)
		alias_add(as, name, stripped, PARTS(svc, domain));
	if (labels == 2)
		alias_add(as, name, stripped, PARTS(ns, svc, domain));
}

/* The search path that Kubernetes gives to a pod, the longest first. */
static void strip_searches(struct aliases *as, const struct dns_client *c, struct str name)
{
	struct name path = { 0 };

	for (int i = 0; i < 3; i++) {
		struct str domain;

		path.n = 0;
		/* ".ns.svc.domain", of which the first dot is not part of the path */
		if (i < 1 && !name_add(&path, str_of(c->ns)))
			continue;
		if ((i < 2 && !name_add(&path, STR("svc"))) ||
		    !name_add(&path, str_of(c->domain)) || path.n < 2)
			continue;
		domain = (struct str){ path.text + 1, path.n - 1 };
		if (in_domain(name, domain))
			aliases_of(as, c, (struct str){ name.p, name.n - domain.n - 1 },
				   domain.n + 1);
	}
}

bool dns_table_find(const struct snap *s, const struct dns_client *c, struct str name,
		    struct dns_found *ret)
{
	struct dns_found none = { 0 };
	struct find f = { s, c, name, ret };
	struct aliases as;

	*ret = none;
	if (name.n == 0 || name.n > DNS_NAME_MAX)
		return false;
	as.n = 0;
	aliases_of(&as, c, name, 0);
	strip_searches(&as, c, name);
	for (size_t i = 0; i < as.n; i++)
		if (try_alias(&f, &as.of[i]))
			return true;
	return false;
}

static bool is_family(const struct weft_addr *a, enum dns_type type)
{
	return ip_is_v4(a) == (type == DNS_A);
}

static bool is_elsewhere(const struct workload *w, const struct dns_client *c)
{
	return c->network[0] && w->network[0] && strcmp(w->network, c->network) != 0;
}

/* One address of each endpoint; of those that are elsewhere, or of the others. */
static size_t endpoint_addrs(const struct service *svc, const struct dns_client *c,
			     enum dns_type type, bool elsewhere, struct weft_addr *ret, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < svc->n_endpoints && n < cap; i++) {
		const struct workload *w = svc->endpoints[i].w;

		if (is_elsewhere(w, c) != elsewhere)
			continue;
		for (size_t k = 0; k < w->n_addrs; k++) {
			if (!is_family(&w->addrs[k], type))
				continue;
			ret[n++] = w->addrs[k];
			break;
		}
	}
	return n;
}

size_t dns_table_addrs(const struct service *svc, const struct dns_client *c, enum dns_type type,
		       struct weft_addr *ret, size_t cap)
{
	size_t n = 0;

	if (type == DNS_AAAA && !c->v6)
		return 0;
	for (size_t i = 0; i < svc->n_vips && n < cap; i++)
		if (is_family(&svc->vips[i], type))
			ret[n++] = svc->vips[i];
	if (svc->n_vips)
		return n;
	n = endpoint_addrs(svc, c, type, false, ret, cap);
	return n ? n : endpoint_addrs(svc, c, type, true, ret, cap);
}
