// SPDX-License-Identifier: Apache-2.0
/* A query in, an answer out, or nothing: then it is for the nameserver that the pod had asked. */
#define LOG_SCOPE "dns"
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"
#include "dns/priv.h"
#include "dns/table.h"

static void shuffle(struct weft_addr *a, size_t n)
{
	for (; n > 1; n--) {
		size_t k = rand_fast() % n;
		struct weft_addr last = a[n - 1];

		a[n - 1] = a[k];
		a[k] = last;
	}
}

static void tell(const struct dns_pod *p, const struct dns_question *q, const struct dns_found *f,
		 size_t n)
{
	log_debug("src.workload=\"%s\" src.namespace=\"%s\" query=%s domain=\"%s\" result=%s%s%s "
		  "endpoints=%zu",
		  p->o.name, p->o.ns, dnsmsg_type_text(q->type), q->name, f->svc ? "\"" : "",
		  f->svc ? f->svc->key : "forwarded", f->svc ? "\"" : "", n);
}

/* Addresses only; whoever else asks for a name of ours is answered by who knows more of it. */
static bool is_for_us(const struct dns_question *q)
{
	return q->cls == DNS_CLASS_IN && (q->type == DNS_A || q->type == DNS_AAAA);
}

size_t dns_serve(struct dns_pod *p, struct str msg, bool tcp, uint8_t *buf, size_t cap,
		 struct dns_series **ret)
{
	const struct snap *s = model_snap(p->w->sh->model);
	const struct workload *w = snap_workload_by_pod(s, p->o.ns, p->o.name);
	const struct dns_client c = { .ns = p->o.ns,
				      .network = w ? w->network : "",
				      .domain = p->w->sh->domain,
				      .preferred = p->w->sh->preferred,
				      .v6 = p->o.v6 };
	struct weft_addr addrs[DNS_ADDRS_MAX];
	struct dns_answer a = { .addrs = addrs, .ttl_s = DNS_TTL_S };
	struct dns_found f = { 0 };
	struct dns_question q;
	int r = dnsmsg_parse(msg, &q);

	*ret = dnscount_get_any(p->w->sh->count, dnsmsg_type_text(dnsmsg_type(msg)), tcp, w);
	atomic_fetch_add_explicit(&(*ret)->requests, 1, memory_order_relaxed);
	if (r < 0)
		return 0;
	if (is_for_us(&q) && dns_table_find(s, &c, str_of(q.name), &f)) {
		a.n = dns_table_addrs(f.svc, &c, q.type, addrs, DNS_ADDRS_MAX);
		a.cname = str_of(f.alias);
		shuffle(addrs, a.n);
	}
	tell(p, &q, &f, a.n);
	if (!f.svc)
		return 0;
	if (!tcp && cap > q.udp_size)
		cap = q.udp_size;
	return dnsmsg_answer(buf, cap, msg, &q, &a);
}
