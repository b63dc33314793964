// SPDX-License-Identifier: Apache-2.0
/*
 * After a change of roots or revocation lists: live connections whose peer would not be accepted
 * any more are closed, and so are those whose own certificate is revoked. Chains that several
 * connections share are checked once.
 */
#define LOG_SCOPE "tunnel"
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"
#include "ident/store.h"
#include "tls/crl.h"
#include "tunnel/priv.h"

struct verdict {
	struct hnode node;
	struct tls_identity *id; /* held: verdicts are found by its address */
	const struct tls_chain *chain; /* NULL: of the identity itself */
	enum tls_role role;
	int r;
	struct errbuf err;
};

struct trust {
	struct tls_crl *crl;
	struct hmap seen;
	struct verdict spare; /* when there is no memory to remember one */
};

static enum tls_role role_of(const struct hbone *hb)
{
	return hb->server ? TLS_SERVER : TLS_CLIENT;
}

static bool same(const struct verdict *v, const struct tls_identity *id,
		 const struct tls_chain *chain, enum tls_role role)
{
	return v->id == id && v->role == role && !v->chain == !chain &&
	       (!chain || str_eq(tls_chain_bytes(v->chain), tls_chain_bytes(chain)));
}

static const struct verdict *verdict_of(struct trust *t, struct tls_identity *id,
					const struct tls_chain *chain, enum tls_role role)
{
	uint64_t part[2] = { chain ? hash_str(tls_chain_bytes(chain)) : 0, (uintptr_t)id };
	uint64_t hash = hash_bytes(part, sizeof(part));
	struct verdict *v;

	for (struct hnode *n = hmap_first(&t->seen, hash); n; n = hmap_next_same(n)) {
		v = container_of(n, struct verdict, node);
		if (same(v, id, chain, role))
			return v;
	}
	v = calloc(1, sizeof(*v));
	if (v && hmap_insert(&t->seen, &v->node, hash) < 0)
		own_free(&v);
	if (!v) {
		v = &t->spare;
		tls_identity_put(&v->id);
		*v = (struct verdict){ 0 };
	}
	v->id = tls_identity_get(id);
	v->chain = chain;
	v->role = role;
	v->r = chain ? tls_chain_check(chain, id, role, t->crl, &v->err)
		     : tls_identity_check(id, t->crl, &v->err);
	return v;
}

/* What is wrong with the connection's certificates by now; r is 0 if nothing is. */
static const struct verdict *judge(struct trust *t, const struct hbone *hb,
				   struct tls_identity *current)
{
	const struct verdict *v = verdict_of(t, hb->identity, NULL, role_of(hb));

	return v->r < 0 ? v : verdict_of(t, current ? current : hb->identity, hb->chain, role_of(hb));
}

static void trust_end(struct trust *t)
{
	hmap_for_each_safe(n, &t->seen) {
		struct verdict *v = container_of(n, struct verdict, node);

		tls_identity_put(&v->id);
		free(v);
	}
	tls_identity_put(&t->spare.id);
	hmap_fini(&t->seen);
	tls_crl_put(&t->crl);
}

/* Closes hb if it must not go on. */
static void look_at(struct trust *t, struct hbone *hb)
{
	struct tls_identity *current = ident_current_any(hb->t->ident, hb->own_uri);
	const struct verdict *v = judge(t, hb, current);

	if (v->r < 0) {
		hb->t->stats.revoked[role_of(hb)]++;
		hbone_close(hb, WEFT_REASON_CERT_REVOKED,
			    v->err.text[0] ? v->err.text : log_strerror(v->r));
	}
	tls_identity_put(&current);
}

void tunnel_recheck(struct tunnel *tu)
{
	struct trust t = { .crl = ident_crl_any(tu->ident) };

	list_for_each_safe(n, &tu->conns) {
		struct hbone *hb = list_entry(n, struct hbone, node);

		/* One that is still in its handshake looks itself when that is done. */
		if (hb->phase == HBONE_READY)
			look_at(&t, hb);
	}
	trust_end(&t);
}

bool hbone_trusted(struct hbone *hb)
{
	struct trust t;

	/* Nothing has changed since the handshake began: it has seen it all. */
	if (ident_trust_any(hb->t->ident) == hb->trust)
		return true;
	t = (struct trust){ .crl = ident_crl_any(hb->t->ident) };
	look_at(&t, hb);
	trust_end(&t);
	return hb->phase != HBONE_CLOSED;
}
