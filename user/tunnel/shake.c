// SPDX-License-Identifier: Apache-2.0
/*
 * From TCP to HBONE: the handshake, and who the peer may be. A client expects exactly the
 * destination's SPIFFE id; a server takes any id of its own trust domain (policy comes later,
 * in conn/). After that OpenSSL is gone and the record layer has the connection.
 */
#define LOG_SCOPE "tunnel"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "codec/spiffe.h"
#include "ident/store.h"
#include "tunnel/priv.h"

int hbone_handshake_begin(struct hbone *hb)
{
	struct tls_crl *crl;
	int r;

	/* The number first: what changes behind it is seen when the handshake is done. */
	hb->trust = ident_trust_any(hb->t->ident);
	hb->identity = ident_current_any(hb->t->ident, hb->own_uri);
	if (!hb->identity)
		return -ENOKEY;
	r = tls_hs_new(hb->identity, hb->server ? TLS_SERVER : TLS_CLIENT, &hb->hs);
	if (r < 0)
		return r;
	crl = ident_crl_any(hb->t->ident);
	tls_hs_use_crl(hb->hs, crl);
	tls_crl_put(&crl);
	return 0;
}

static bool is_wanted(const struct hbone *hb, const char *uri)
{
	struct spiffe id;

	if (strcmp(uri, hb->want_uri) == 0)
		return true;
	for (size_t i = 0; i < hb->n_want_alts; i++)
		if (strcmp(uri, hb->want_alts[i]) == 0)
			return spiffe_parse(str_of(uri), &id) == 0;
	return false;
}

static bool client_accepts(struct hbone *hb)
{
	for (size_t i = 0; i < tls_hs_peer_uris(hb->hs); i++) {
		if (!is_wanted(hb, tls_hs_peer_uri(hb->hs, i)))
			continue;
		hb->peer_uri = str_dup(str_of(tls_hs_peer_uri(hb->hs, i)));
		return hb->peer_uri != NULL;
	}
	return false;
}

static bool server_accepts(struct hbone *hb)
{
	struct spiffe own, peer;

	if (spiffe_parse(str_of(hb->own_uri), &own) < 0)
		return false;
	for (size_t i = 0; i < tls_hs_peer_uris(hb->hs); i++) {
		const char *uri = tls_hs_peer_uri(hb->hs, i);

		if (spiffe_parse(str_of(uri), &peer) < 0 ||
		    !str_eq(peer.trust_domain, own.trust_domain))
			continue;
		hb->peer_uri = str_dup(str_of(uri));
		return hb->peer_uri != NULL;
	}
	return false;
}

static void push_output(struct hbone *hb)
{
	if (!hbone_out_get(hb))
		return;
	hb->out_n += tls_hs_output(hb->hs, hb->out + hb->out_n, hbone_out_room(hb));
	hb->writable = true; /* worth a try; EAGAIN corrects it */
	hbone_flush(hb);
}

/* Keys to the record layer, HTTP/2 on top; the SSL object's memory goes back. */
static int become_ready(struct hbone *hb)
{
	const struct h2_limits limits = { .max_streams = hb->t->max_streams };
	int r = tls_chain_new(hb->hs, &hb->chain);

	if (r == 0)
		r = tls_hs_record(hb->hs, &hb->rec);
	if (r < 0)
		return r;
	hb->rec_ready = true;
	r = h2_conn_init(&hb->h2, hb->server, &limits, &hbone_h2_ops, hb);
	if (r < 0)
		return r;
	hb->h2_ready = true;
	hb->phase = HBONE_READY;
	hbone_watch_peer(hb);
	if (hb->server) {
		hb->t->n_shaking--;
		list_del(&hb->shaking);
	}
	hb->until_s = tls_identity_not_after(hb->identity);
	if (tls_hs_peer_not_after(hb->hs) < hb->until_s)
		hb->until_s = tls_hs_peer_not_after(hb->hs);
	hb->t->stats.handshakes_ok++;
	return 0;
}

static void finish(struct hbone *hb)
{
	size_t left;
	int r;

	if (hb->server ? !server_accepts(hb) : !client_accepts(hb)) {
		char detail[400];

		snprintf(detail, sizeof(detail), "the peer is %s, expected %s",
			 tls_hs_peer_uris(hb->hs) ? tls_hs_peer_uri(hb->hs, 0) : "without SPIFFE id",
			 hb->server ? "an id of the own trust domain" : hb->want_uri);
		hb->t->stats.handshakes_failed++;
		hbone_close(hb, WEFT_REASON_TLS_FAILED, detail);
		return;
	}
	r = become_ready(hb);
	if (r < 0) {
		hbone_close(hb, WEFT_REASON_TLS_FAILED, log_strerror(r));
		return;
	}
	if (!hbone_trusted(hb))
		return;
	left = tls_hs_leftover(hb->hs, hb->t->rbuf, HBONE_RBUF);
	tls_hs_free(&hb->hs);
	if (left)
		hbone_open_records(hb, left);
	if (hb->phase != HBONE_READY)
		return;
	stream_send_waiting(hb);
	hbone_flush_later(hb);
}

void hbone_handshake(struct hbone *hb, const uint8_t *p, size_t n)
{
	enum weft_reason why = WEFT_REASON_TLS_FAILED;
	int r = tls_hs_step(hb->hs, p, n);

	push_output(hb);
	if (hb->phase != HBONE_HANDSHAKE)
		return;
	if (r < 0) {
		hb->t->stats.handshakes_failed++;
		if (tls_hs_peer_revoked(hb->hs)) {
			hb->t->stats.revoked[hb->server ? TLS_SERVER : TLS_CLIENT]++;
			why = WEFT_REASON_CERT_REVOKED;
		}
		hbone_close(hb, why, tls_hs_error(hb->hs));
	} else if (r == 1) {
		finish(hb);
	}
}
