// SPDX-License-Identifier: Apache-2.0
/*
 * Does the kernel have what the snapshot asks for? Only differences are ever written, for hours and
 * over restarts; this makes the whole anew and looks at each entry of each table. mesh.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "kern/kern.h"
#include "pod/mesh_priv.h"
#include "policy/rbac.h"

struct pod_row;

struct check {
	struct mesh *m, *want;
	const struct snap *s;
	void (*fn)(void *arg, const struct mesh_diff *d);
	void *arg;
	uint64_t rows;
	struct svc_node **by_slots; /* one of each {service, family}, sorted */
	uint32_t *seen; /* slots of it that the kernel has */
	size_t n_by_slots;
	struct pod_row *pods; /* enrolled ones, sorted by cookie */
	size_t n_pods;
};

/* The table and the key of a difference; whoever finds it adds the two sides. */
static struct mesh_diff diff_of(const char *table, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static struct mesh_diff diff_of(const char *table, const char *fmt, ...)
{
	struct mesh_diff d = { .table = table };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d.key, sizeof(d.key), fmt, ap);
	va_end(ap);
	return d;
}

/* ---- addresses and ranges ---- */

static void wld_text(char *buf, size_t n, const struct weft_wld *w)
{
	snprintf(buf, n, "workload %u, flags 0x%x", w->workload, w->flags);
}

static void see_addr(void *arg, const struct weft_addr *a, const struct weft_wld *has)
{
	struct check *c = arg;
	char ip[IP_TEXT_MAX];
	struct weft_wld want;
	bool wanted = mesh_addr_wanted(c->m, c->s, a, &want);
	struct mesh_diff d;

	c->rows++;
	if (wanted && memcmp(&want, has, sizeof(want)) == 0)
		return;
	d = diff_of("weft_addrs", "%s", ip_format(ip, a));
	wld_text(d.kernel, sizeof(d.kernel), has);
	if (wanted)
		wld_text(d.wanted, sizeof(d.wanted), &want);
	c->fn(c->arg, &d);
}

static void want_addr(void *arg, const struct weft_addr *a)
{
	struct check *c = arg;
	char ip[IP_TEXT_MAX];
	struct weft_wld want, has;
	struct mesh_diff d;

	if (!mesh_addr_wanted(c->m, c->s, a, &want) || kern_addr_get(c->m->kern, a, &has) == 0)
		return;
	d = diff_of("weft_addrs", "%s", ip_format(ip, a));
	wld_text(d.wanted, sizeof(d.wanted), &want);
	c->fn(c->arg, &d);
}

static void check_addrs(struct check *c)
{
	kern_addr_each(c->m->kern, see_addr, c);
	mesh_addrs_each(c->s, want_addr, c);
}

#define RANGE_SEEN 0x80000000u

static void see_range(void *arg, const struct ip_prefix *p, uint32_t flags)
{
	struct check *c = arg;
	char ip[IP_TEXT_MAX];
	struct mesh_diff d;

	c->rows++;
	d = diff_of("weft_ranges", "%s", ip_format_prefix(ip, p));
	snprintf(d.kernel, sizeof(d.kernel), "flags 0x%x", flags);
	vec_for_each(r, &c->want->ranges) {
		if (r->prefix.len != p->len || !ip_eq(&r->prefix.addr, &p->addr))
			continue;
		snprintf(d.wanted, sizeof(d.wanted), "flags 0x%x", r->flags);
		if (r->flags != flags)
			c->fn(c->arg, &d);
		r->flags |= RANGE_SEEN;
		return;
	}
	c->fn(c->arg, &d);
}

static void check_ranges(struct check *c)
{
	char ip[IP_TEXT_MAX];

	kern_range_each(c->m->kern, see_range, c);
	vec_for_each(r, &c->want->ranges) {
		struct mesh_diff d;

		if (r->flags & RANGE_SEEN)
			continue;
		d = diff_of("weft_ranges", "%s", ip_format_prefix(ip, &r->prefix));
		snprintf(d.wanted, sizeof(d.wanted), "flags 0x%x", r->flags);
		c->fn(c->arg, &d);
	}
}

/* ---- services and slots ---- */

static struct mesh_diff svc_diff(const struct weft_svc_key *key)
{
	const struct weft_ep ep = { .addr = key->vip, .port = key->port };
	char text[IP_TEXT_MAX];

	return diff_of("weft_services", "%s", ip_format_ep(text, &ep));
}

static void svc_text(char *buf, size_t n, const struct weft_svc *v)
{
	snprintf(buf, n, "service %u, %u slots", v->service, v->n_slots);
}

static void see_service(void *arg, const struct weft_svc_key *key, const struct weft_svc *has)
{
	struct check *c = arg;
	struct svc_node *sn = mesh_svc_find(c->want, key);
	struct mesh_diff d;

	c->rows++;
	if (sn)
		sn->round = 0; /* seen */
	if (sn && memcmp(&sn->value, has, sizeof(*has)) == 0)
		return;
	d = svc_diff(key);
	svc_text(d.kernel, sizeof(d.kernel), has);
	if (sn)
		svc_text(d.wanted, sizeof(d.wanted), &sn->value);
	c->fn(c->arg, &d);
}

static int slots_cmp(const void *x, const void *y)
{
	const struct svc_node *a = *(struct svc_node *const *)x, *b = *(struct svc_node *const *)y;

	if (a->value.service != b->value.service)
		return a->value.service < b->value.service ? -1 : 1;
	return (int)(slot_bit(&a->key) > slot_bit(&b->key)) -
	       (int)(slot_bit(&a->key) < slot_bit(&b->key));
}

static int list_slots(struct check *c)
{
	size_t n = 0;

	c->by_slots = calloc(c->want->services.n + 1, sizeof(struct svc_node *));
	c->seen = calloc(c->want->services.n + 1, sizeof(*c->seen));
	if (!c->by_slots || !c->seen)
		return -ENOMEM;
	hmap_for_each(node, &c->want->services)
		c->by_slots[n++] = container_of(node, struct svc_node, by_key);
	qsort(c->by_slots, n, sizeof(struct svc_node *), slots_cmp);
	for (size_t i = 0; i < n; i++) /* several VIPs of a service show the same slots */
		if (i == 0 || slots_cmp(&c->by_slots[i], &c->by_slots[c->n_by_slots - 1]) != 0)
			c->by_slots[c->n_by_slots++] = c->by_slots[i];
	return 0;
}

static void see_slot(void *arg, const struct weft_slot_key *key, const struct weft_slot *has)
{
	struct check *c = arg;
	uint32_t i = key->n & ~WEFT_SLOT_V6;
	struct svc_node of = { .key.vip = { .b = { [10] = 0xff, [11] = 0xff } },
			       .value.service = key->service };
	const struct svc_node *pof = &of;
	struct svc_node **at;
	char text[IP_TEXT_MAX];
	struct mesh_diff d;

	if (key->n & WEFT_SLOT_V6)
		of.key.vip.b[0] = 0xfd;
	c->rows++;
	at = bsearch(&pof, c->by_slots, c->n_by_slots, sizeof(*at), slots_cmp);
	if (at && i < (*at)->value.n_slots) {
		c->seen[at - c->by_slots]++;
		if (memcmp(&(*at)->slots[i], &has->ep, sizeof(has->ep)) == 0)
			return;
	}
	d = diff_of("weft_slots", "service %u, %s slot %u", key->service,
		    key->n & WEFT_SLOT_V6 ? "IPv6" : "IPv4", i);
	snprintf(d.kernel, sizeof(d.kernel), "%s", ip_format_ep(text, &has->ep));
	if (at && i < (*at)->value.n_slots)
		snprintf(d.wanted, sizeof(d.wanted), "%s", ip_format_ep(text, &(*at)->slots[i]));
	c->fn(c->arg, &d);
}

static int check_services(struct check *c)
{
	int r = list_slots(c);

	if (r < 0)
		return r;
	kern_service_each(c->m->kern, see_service, c);
	hmap_for_each(n, &c->want->services) {
		const struct svc_node *sn = container_of(n, struct svc_node, by_key);
		struct mesh_diff d;

		if (sn->round == 0)
			continue;
		d = svc_diff(&sn->key);
		svc_text(d.wanted, sizeof(d.wanted), &sn->value);
		c->fn(c->arg, &d);
	}
	kern_slot_each(c->m->kern, see_slot, c);
	for (size_t i = 0; i < c->n_by_slots; i++) {
		const struct svc_node *sn = c->by_slots[i];
		struct mesh_diff d;

		if (c->seen[i] == sn->value.n_slots)
			continue;
		d = diff_of("weft_slots", "service %u, %s", sn->value.service,
			    slot_bit(&sn->key) ? "IPv6" : "IPv4");
		snprintf(d.kernel, sizeof(d.kernel), "%u slots", c->seen[i]);
		snprintf(d.wanted, sizeof(d.wanted), "%u slots", sn->value.n_slots);
		c->fn(c->arg, &d);
	}
	return 0;
}

/* ---- pods and verdicts ---- */

static void pod_text(char *buf, size_t n, const struct weft_pod *v)
{
	char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];

	snprintf(buf, n, "workload %u, slot %u, %s, %s, flags 0x%x", v->workload, v->slot,
		 ip_format(v4, &v->v4), ip_format(v6, &v->v6), v->flags);
}

struct pod_row {
	const struct pod *pod;
	bool seen; /* the kernel has an entry of its cookie */
};

static uint64_t row_cookie(const void *row)
{
	return ((const struct pod_row *)row)->pod->local->cookie;
}

static int row_cmp(const void *a, const void *b)
{
	return (row_cookie(a) > row_cookie(b)) - (row_cookie(a) < row_cookie(b));
}

static int row_find(const void *key, const void *row)
{
	uint64_t cookie = *(const uint64_t *)key;

	return (cookie > row_cookie(row)) - (cookie < row_cookie(row));
}

static void list_pod(void *arg, const struct pod *pod)
{
	struct check *c = arg;

	if (c->n_pods < pods_count(c->m->pods))
		c->pods[c->n_pods++] = (struct pod_row){ .pod = pod };
}

static struct mesh_diff pod_diff(const struct pod *pod)
{
	const struct conn_local *l = pod->local;

	return diff_of("weft_pods", "%s/%s, netns cookie %llu", l->ns, l->name,
		       (unsigned long long)l->cookie);
}

static void see_pod(void *arg, uint64_t cookie, const struct weft_pod *has)
{
	struct check *c = arg;
	struct pod_row *row = bsearch(&cookie, c->pods, c->n_pods, sizeof(*row), row_find);
	struct weft_pod want;
	struct mesh_diff d;

	c->rows++;
	if (!row && pods_closed(c->m->pods, cookie))
		return;
	if (row) {
		row->seen = true;
		want = pods_entry(row->pod);
		if (memcmp(&want, has, sizeof(want)) == 0)
			return;
		d = pod_diff(row->pod);
		pod_text(d.wanted, sizeof(d.wanted), &want);
	} else {
		d = diff_of("weft_pods", "netns cookie %llu", (unsigned long long)cookie);
	}
	pod_text(d.kernel, sizeof(d.kernel), has);
	c->fn(c->arg, &d);
}

static int check_pods(struct check *c)
{
	c->pods = calloc(pods_count(c->m->pods) + 1, sizeof(*c->pods));
	if (!c->pods)
		return -ENOMEM;
	pods_each(c->m->pods, list_pod, c);
	qsort(c->pods, c->n_pods, sizeof(*c->pods), row_cmp);
	kern_pod_each(c->m->kern, see_pod, c);
	for (size_t i = 0; i < c->n_pods; i++) {
		const struct pod *pod = c->pods[i].pod;
		struct mesh_diff d;

		if (c->pods[i].seen || !pod->in_map)
			continue;
		d = pod_diff(pod);
		snprintf(d.wanted, sizeof(d.wanted), "workload %u", pod->workload);
		c->fn(c->arg, &d);
	}
	return 0;
}

static void see_verdict(void *arg, const struct weft_verdict_key *key, bool allow)
{
	struct check *c = arg;
	struct workload *src = snap_workload_by_id(c->s, key->src);
	struct workload *dst = snap_workload_by_id(c->s, key->dst);
	struct rbac_result res;
	struct mesh_diff d;
	const char *say;

	c->rows++;
	if (!src || !dst)
		say = "none, a workload is gone";
	else if (!rbac_cacheable(c->s, src, dst, key->port, &res))
		say = "none, it depends on addresses";
	else if (res.allow == allow)
		return;
	else
		say = res.allow ? "allow" : "deny";
	d = diff_of("weft_verdicts", "%s -> %s port %u", src ? src->uid : "?", dst ? dst->uid : "?",
		    key->port);
	snprintf(d.kernel, sizeof(d.kernel), "%s", allow ? "allow" : "deny");
	snprintf(d.wanted, sizeof(d.wanted), "%s", say);
	c->fn(c->arg, &d);
}

int mesh_check(struct mesh *m, const struct snap *s,
	       void (*fn)(void *arg, const struct mesh_diff *d), void *arg, uint64_t *ret_rows)
{
	struct mesh *want = mesh_shadow(m);
	struct check c = { .m = m, .want = want, .s = s, .fn = fn, .arg = arg };
	struct lb_from from;
	int r;

	lb_from_node(s, m->node, &from);
	r = want ? mesh_services_sync(want, s, &from) : -ENOMEM;
	if (r == 0) {
		mesh_ranges_sync(want, s);
		r = mesh_ranges_expect(want, m);
	}
	if (r == 0) {
		check_addrs(&c);
		check_ranges(&c);
		r = check_services(&c);
	}
	if (r == 0)
		r = check_pods(&c);
	if (r == 0)
		kern_verdict_each(m->kern, see_verdict, &c);
	*ret_rows = c.rows;
	free(c.by_slots);
	free(c.seen);
	free(c.pods);
	mesh_free(&want);
	return r;
}
