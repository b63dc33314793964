// SPDX-License-Identifier: Apache-2.0
/*
 * The embedded CA: root and node intermediates on disk, leaf certificates from an opened
 * intermediate. Used by the CLI (init) and by ident/store (issue). struct ca owns its key.
 * One thread per object.
 */
#include "ident/ca.h"

#include <openssl/err.h>
#include <string.h>

#include "base/clock.h"
#include "base/ip.h"
#include "codec/spiffe.h"
#include "ident/ca_pair.h"
#include "ident/cert.h"
#include "ident/keydir.h"

#define SKEW_S 60
#define TRUST_DOMAIN_MAX 253
#define NODE_MAX 200
#define VALID_MAX_S (100ull * 365 * 86400)
#define SCHEME "spiffe://"

struct ca {
	X509 *cert;
	EVP_PKEY *key;
	char *trust_domain, *node;
	char *chain_pem; /* the intermediate, goes behind each leaf */
	char *root_pem;
};

static void own_ca(struct ca **ca)
{
	ca_free(ca);
}

#define _ca_ cleanup_with(own_ca)

static bool only_of(const char *z, const char *allowed)
{
	return z[strspn(z, allowed)] == '\0';
}

int ca_check_trust_domain(const char *td, struct errbuf *err)
{
	size_t n = strlen(td);
	struct weft_addr addr;

	if (n == 0 || n > TRUST_DOMAIN_MAX)
		return errbuf_set(err, -EINVAL, "a trust domain has 1 to %d characters",
				  TRUST_DOMAIN_MAX);
	if (!only_of(td, "abcdefghijklmnopqrstuvwxyz0123456789-._"))
		return errbuf_set(err, -EINVAL,
				  "trust domain \"%s\": only a-z 0-9 - . and _ are allowed", td);
	/* Verifiers treat a leading dot of a name constraint as "any host below". */
	if (td[0] == '.' || td[n - 1] == '.' || strstr(td, ".."))
		return errbuf_set(err, -EINVAL, "trust domain \"%s\" has an empty label", td);
	if (ip_parse(str_of(td), &addr) == 0)
		return errbuf_set(err, -EINVAL, "trust domain \"%s\" is an address, not a name", td);
	return 0;
}

int ca_check_node(const char *node, struct errbuf *err)
{
	size_t n = strlen(node);

	if (n == 0 || n > NODE_MAX)
		return errbuf_set(err, -EINVAL, "a node name has 1 to %d characters", NODE_MAX);
	if (node[0] == '.' || !only_of(node, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					     "0123456789-._"))
		return errbuf_set(err, -EINVAL,
				  "node name \"%s\": only letters, digits, - . and _ are allowed, "
				  "and no dot in front",
				  node);
	if (strcmp(node, "root") == 0)
		return errbuf_set(err, -EINVAL,
				  "a node cannot be called root: its files would be "
				  "those of the root");
	return 0;
}

/* The root's SAN is "spiffe://<trust domain>"; gives the trust domain. */
static int trust_domain_of(const X509 *root, const char *dir, struct errbuf *err, char **ret)
{
	_free_ char *uri = NULL;
	char *td;

	if (cert_uri(root, &uri) < 0 || strncmp(uri, SCHEME, strlen(SCHEME)) != 0 ||
	    ca_check_trust_domain(uri + strlen(SCHEME), NULL) < 0)
		return errbuf_set(err, -EINVAL,
				  "%s/root-cert.pem names no trust domain (a URI " SCHEME
				  "<trust domain> as subject alternative name)",
				  dir);
	td = str_dup(str_of(uri + strlen(SCHEME)));
	if (!td)
		return -ENOMEM;
	*ret = td;
	return 0;
}

static int check_valid_s(uint64_t valid_s, struct errbuf *err)
{
	if (valid_s == 0 || valid_s > VALID_MAX_S)
		return errbuf_set(err, -EINVAL,
				  "a life of %llu s is not possible, 1 s to 100 years are",
				  (unsigned long long)valid_s);
	return 0;
}

/* Makes a pair of key and certificate; the caller has filled all but the times. */
static int make_pair(struct cert_spec *spec, const struct cert_signer *by, uint64_t valid_s,
		     struct errbuf *err, struct ca_pair *ret)
{
	int64_t now = (int64_t)clock_wall_s();
	_pair_ struct ca_pair p = { .key = cert_key_new() };
	char text[256];
	int r;

	if (!p.key)
		return errbuf_set(err, -ENOMEM, "cannot make a P-256 key: %s",
				  cert_error(text, sizeof(text)));
	spec->not_before_s = now - SKEW_S;
	spec->not_after_s = now + (int64_t)valid_s;
	if (by->cert && spec->not_after_s > cert_not_after(by->cert))
		spec->not_after_s = cert_not_after(by->cert);
	r = cert_make(spec, p.key, by, &p.cert);
	if (r < 0)
		return errbuf_set(err, r, "cannot make a certificate: %s",
				  cert_error(text, sizeof(text)));
	*ret = p;
	p = (struct ca_pair){ 0 };
	return 0;
}

static int keep_root(int dirfd, const char *dir, const char *trust_domain, struct errbuf *err)
{
	_x509_ X509 *root = NULL;
	_free_ char *have = NULL;
	int r = ca_read_cert(dirfd, dir, "root", err, NULL, &root);

	if (r == 0)
		r = trust_domain_of(root, dir, err, &have);
	if (r < 0)
		return r;
	if (strcmp(have, trust_domain) != 0)
		return errbuf_set(err, -EINVAL, "%s holds the root of trust domain %s, not of %s",
				  dir, have, trust_domain);
	return 0;
}

int ca_init_root(const char *dir, const char *trust_domain, uint64_t valid_s, bool keep,
		 struct errbuf *err)
{
	_pair_ struct ca_pair root = { 0 };
	_free_ char *uri = NULL;
	_close_ int dirfd = -1;
	struct cert_spec spec = {
		.kind = CERT_ROOT,
		.org = trust_domain,
		.cn = "Weft root CA",
	};
	int r = ca_check_trust_domain(trust_domain, err);

	if (r == 0)
		r = check_valid_s(valid_s, err);
	if (r < 0)
		return r;
	dirfd = keydir_open(dir, true, err);
	if (dirfd < 0)
		return dirfd;
	if (keydir_has(dirfd, "root-cert.pem")) {
		if (keep)
			return keep_root(dirfd, dir, trust_domain, err);
		return errbuf_set(err, -EEXIST,
				  "%s holds a root already; a new one would cut off "
				  "every node that has the old one",
				  dir);
	}
	uri = str_printf(SCHEME "%s", trust_domain);
	if (!uri)
		return -ENOMEM;
	spec.uri = uri;
	r = make_pair(&spec, &(struct cert_signer){ 0 }, valid_s, err, &root);
	if (r < 0)
		return r;
	return ca_write_pair(dirfd, dir, "root", &root, err);
}

/* True if what is on disk can stay: readable, of this root, and more than a third is left. */
static bool node_is_fresh(int dirfd, const char *dir, const char *node, X509 *root)
{
	_pair_ struct ca_pair p = { 0 };
	int64_t begin, end;
	bool ours;

	if (ca_read_pair(dirfd, dir, node, NULL, &p) < 0)
		return false;
	ours = X509_verify(p.cert, X509_get0_pubkey(root)) == 1;
	ERR_clear_error();
	begin = cert_not_before(p.cert);
	end = cert_not_after(p.cert);
	return ours && begin != INT64_MIN && end - (int64_t)clock_wall_s() >= (end - begin) / 3;
}

/* Wider modes are for people to judge, also where the pair would be replaced anyway. */
static int check_node_files(int dirfd, const char *dir, const char *node, struct errbuf *err)
{
	static const char *const kinds[] = { "cert", "key" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		_secret_ char *text = NULL;
		char name[256];
		size_t n;
		int r;

		snprintf(name, sizeof(name), "%s-%s.pem", node, kinds[i]);
		if (!keydir_has(dirfd, name))
			continue;
		r = keydir_read(dirfd, dir, name, err, &text, &n);
		if (r < 0)
			return r;
	}
	return 0;
}

int ca_init_node(const char *dir, const char *node, uint64_t valid_s, struct errbuf *err)
{
	_pair_ struct ca_pair root = { 0 }, made = { 0 };
	_free_ char *td = NULL, *uri = NULL;
	_close_ int dirfd = -1;
	_x509_ X509 *root_cert = NULL;
	struct cert_spec spec = { .kind = CERT_NODE, .cn = node };
	int r = ca_check_node(node, err);

	if (r == 0)
		r = check_valid_s(valid_s, err);
	if (r < 0)
		return r;
	dirfd = keydir_open(dir, true, err);
	if (dirfd < 0)
		return dirfd;
	r = ca_read_cert(dirfd, dir, "root", err, NULL, &root_cert);
	if (r == 0)
		r = trust_domain_of(root_cert, dir, err, &td);
	if (r == 0)
		r = check_node_files(dirfd, dir, node, err);
	if (r < 0)
		return r;
	/* Before the root's key is looked at: on most nodes it is not there. */
	if (node_is_fresh(dirfd, dir, node, root_cert))
		return 0;
	r = ca_read_pair(dirfd, dir, "root", err, &root);
	if (r < 0)
		return r;
	if (cert_not_after(root.cert) <= (int64_t)clock_wall_s())
		return errbuf_set(err, -EKEYEXPIRED, "%s/root-cert.pem has ended", dir);
	uri = str_printf(SCHEME "%s", td);
	if (!uri)
		return -ENOMEM;
	spec.org = td;
	spec.uri = uri;
	spec.permit_host = td;
	r = make_pair(&spec, &(struct cert_signer){ root.cert, root.key }, valid_s, err, &made);
	if (r < 0)
		return r;
	return ca_write_pair(dirfd, dir, node, &made, err);
}

void ca_free(struct ca **ca)
{
	struct ca *c = *ca;

	if (!c)
		return;
	X509_free(c->cert);
	EVP_PKEY_free(c->key);
	free(c->trust_domain);
	free(c->node);
	free(c->chain_pem);
	free(c->root_pem);
	free(c);
	*ca = NULL;
}

static int open_files(struct ca *ca, int dirfd, const char *dir, struct errbuf *err)
{
	_pair_ struct ca_pair p = { 0 };
	_x509_ X509 *root = NULL;
	size_t n;
	int r = ca_read_cert(dirfd, dir, "root", err, &ca->root_pem, &root);

	if (r == 0)
		r = trust_domain_of(root, dir, err, &ca->trust_domain);
	if (r == 0)
		r = ca_read_pair(dirfd, dir, ca->node, err, &p);
	if (r < 0)
		return r;
	if (X509_verify(p.cert, X509_get0_pubkey(root)) != 1) {
		ERR_clear_error();
		return errbuf_set(err, -EINVAL, "%s/%s-cert.pem is not signed by root-cert.pem",
				  dir, ca->node);
	}
	/* Written anew from the parsed form, so that text around it does not travel along. */
	r = cert_to_pem(p.cert, &ca->chain_pem, &n);
	if (r < 0)
		return r;
	ca->cert = TAKE_PTR(p.cert);
	ca->key = TAKE_PTR(p.key);
	return 0;
}

int ca_open(const char *dir, const char *node, struct errbuf *err, struct ca **ret)
{
	_ca_ struct ca *ca = NULL;
	_close_ int dirfd = -1;
	int r = ca_check_node(node, err);

	if (r < 0)
		return r;
	dirfd = keydir_open(dir, false, err);
	if (dirfd < 0)
		return dirfd;
	ca = calloc(1, sizeof(*ca));
	if (!ca)
		return -ENOMEM;
	ca->node = str_dup(str_of(node));
	if (!ca->node)
		return -ENOMEM;
	r = open_files(ca, dirfd, dir, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(ca);
	return 0;
}

static int check_leaf_uri(const struct ca *ca, const char *uri, struct errbuf *err)
{
	struct spiffe id;

	if (spiffe_parse(str_of(uri), &id) < 0)
		return errbuf_set(err, -EINVAL, "\"%s\" is not a SPIFFE id of a workload", uri);
	if (!str_eq(id.trust_domain, str_of(ca->trust_domain)))
		return errbuf_set(err, -EINVAL, "%s is outside the trust domain %s of this CA", uri,
				  ca->trust_domain);
	return 0;
}

int ca_issue(struct ca *ca, const char *uri, uint64_t valid_s, struct errbuf *err,
	     char **ret_chain_pem, char **ret_key_pem)
{
	struct cert_spec spec = { .kind = CERT_LEAF, .uri = uri };
	_pair_ struct ca_pair leaf = { 0 };
	_free_ char *cert = NULL, *chain = NULL;
	_secret_ char *key = NULL;
	size_t n;
	int r = check_leaf_uri(ca, uri, err);

	if (r == 0)
		r = check_valid_s(valid_s, err);
	if (r < 0)
		return r;
	if (ca_not_after(ca) <= clock_wall_s())
		return errbuf_set(err, -EKEYEXPIRED,
				  "the intermediate of node %s has ended: renew "
				  "it with the root's key",
				  ca->node);
	r = make_pair(&spec, &(struct cert_signer){ ca->cert, ca->key }, valid_s, err, &leaf);
	if (r == 0)
		r = cert_to_pem(leaf.cert, &cert, &n);
	if (r == 0)
		r = cert_key_to_pem(leaf.key, &key, &n);
	if (r < 0)
		return r;
	chain = str_printf("%s%s", cert, ca->chain_pem);
	if (!chain)
		return -ENOMEM;
	*ret_chain_pem = TAKE_PTR(chain);
	*ret_key_pem = TAKE_PTR(key);
	return 0;
}

const char *ca_root_pem(const struct ca *ca)
{
	return ca->root_pem;
}

const char *ca_trust_domain(const struct ca *ca)
{
	return ca->trust_domain;
}

uint64_t ca_not_after(const struct ca *ca)
{
	int64_t t = cert_not_after(ca->cert);

	return t < 0 ? 0 : (uint64_t)t;
}
