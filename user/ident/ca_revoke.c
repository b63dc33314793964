// SPDX-License-Identifier: Apache-2.0
/*
 * Revocation lists of the embedded CA (ca_revoke.h). Stateless; the folder's lock keeps two
 * writers apart.
 *
 * Lists are told apart by the key that signed them, not by the issuer's name: an intermediate that
 * was renewed has the name of the one before, whose certificates may still be in use.
 */
#include "ident/ca_revoke.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "ident/ca.h"
#include "ident/ca_pair.h"
#include "ident/keydir.h"

#define SKEW_S 60
#define CERT_SUFFIX "-cert.pem"

struct lists {
	int dirfd;
	const char *dir;
	STACK_OF(X509_CRL) *all;
};

static void lists_fini(struct lists *l)
{
	sk_X509_CRL_pop_free(l->all, X509_CRL_free);
	if (l->dirfd >= 0)
		close(l->dirfd);
}

static void own_serial(ASN1_INTEGER **s)
{
	ASN1_INTEGER_free(*s);
}

static void own_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

#define _lists_ cleanup_with(lists_fini)
#define _serial_ cleanup_with(own_serial)

/* ---- the file ---- */

static int lists_read(struct lists *l, struct errbuf *err)
{
	_free_ char *text = NULL;
	_bio_ BIO *b = NULL;
	X509_CRL *crl;
	size_t n;
	int r;

	l->all = sk_X509_CRL_new_null();
	if (!l->all)
		return -ENOMEM;
	if (!keydir_has(l->dirfd, CA_CRL_NAME))
		return 0;
	r = keydir_read(l->dirfd, l->dir, CA_CRL_NAME, err, &text, &n);
	if (r < 0)
		return r;
	b = BIO_new_mem_buf(text, (int)n);
	if (!b)
		return -ENOMEM;
	while ((crl = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL))) {
		if (!sk_X509_CRL_push(l->all, crl)) {
			X509_CRL_free(crl);
			return -ENOMEM;
		}
	}
	/* After the last one PEM finds no further beginning; all else is damage, and writing the
	 * file anew would let in what it revoked. */
	r = pem_ended() ? 0 : -EINVAL;
	ERR_clear_error();
	if (r < 0)
		return errbuf_set(err, r,
				  "%s/" CA_CRL_NAME " has a revocation list that cannot be read: put "
				  "back a copy of it, or remove it to begin anew with nothing revoked",
				  l->dir);
	return 0;
}

static int lists_write(struct lists *l, struct errbuf *err)
{
	_bio_ BIO *b = BIO_new(BIO_s_mem());
	char *text;
	long n;

	if (!b)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_CRL_num(l->all); i++)
		if (!PEM_write_bio_X509_CRL(b, sk_X509_CRL_value(l->all, i)))
			return -ENOMEM;
	n = BIO_get_mem_data(b, &text);
	return keydir_write(l->dirfd, l->dir, CA_CRL_NAME, text, (size_t)n, err);
}

static int lists_open(const char *dir, struct errbuf *err, struct lists *l)
{
	l->dir = dir;
	l->dirfd = keydir_open(dir, false, err);
	return l->dirfd < 0 ? l->dirfd : lists_read(l, err);
}

static bool signed_by(X509_CRL *crl, X509 *issuer)
{
	bool yes = X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1;

	ERR_clear_error();
	return yes;
}

/* ---- who issued it ---- */

typedef bool (*issuer_fn)(X509 *issuer, const void *arg);

static bool issued(X509 *issuer, const void *arg)
{
	bool yes = X509_verify((X509 *)arg, X509_get0_pubkey(issuer)) == 1;

	ERR_clear_error();
	return yes;
}

static bool has_signed(X509 *issuer, const void *arg)
{
	return signed_by((X509_CRL *)arg, issuer);
}

/* The certificate in dir for which fn is true: its BASE, 0 or -ENOENT. What cannot be read is none. */
static int issuer_find(struct lists *l, issuer_fn fn, const void *arg, char *ret, size_t cap)
{
	int fd = openat(l->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cleanup_with(own_dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d) {
		int r = -errno;

		if (fd >= 0)
			close(fd);
		return r;
	}
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name), tail = strlen(CERT_SUFFIX);
		_x509_ X509 *x = NULL;

		if (n <= tail || n - tail >= cap || strcmp(e->d_name + n - tail, CERT_SUFFIX) != 0)
			continue;
		snprintf(ret, cap, "%.*s", (int)(n - tail), e->d_name);
		if (ca_read_cert(l->dirfd, l->dir, ret, NULL, NULL, &x) == 0 && fn(x, arg))
			return 0;
	}
	return -ENOENT;
}

/* ---- what ---- */

static int serial_parse(const char *text, ASN1_INTEGER **ret)
{
	bool hex = strncmp(text, "0x", 2) == 0 || strncmp(text, "0X", 2) == 0;
	const char *digits = hex ? text + 2 : text;
	BIGNUM *bn = NULL;
	int r = -EINVAL;

	if (digits[0] && strlen(digits) < CA_SERIAL_MAX &&
	    digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")] == '\0' &&
	    (hex ? BN_hex2bn(&bn, digits) : BN_dec2bn(&bn, digits)) && BN_num_bytes(bn) <= 20) {
		*ret = BN_to_ASN1_INTEGER(bn, NULL);
		r = *ret ? 0 : -ENOMEM;
	}
	BN_free(bn);
	return r;
}

static int cert_read(const char *path, struct errbuf *err, X509 **ret)
{
	_bio_ BIO *b = BIO_new_file(path, "re");

	*ret = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	ERR_clear_error();
	if (*ret)
		return 0;
	return errbuf_set(err, -EINVAL,
			  b ? "%s is not a certificate in PEM"
			    : "%s is neither a serial nor a certificate that can be read",
			  path);
}

/* Gives the serial, and in base whose it is. */
static int target(struct lists *l, const char *node, const char *what, struct errbuf *err,
		  char *base, size_t cap, ASN1_INTEGER **ret)
{
	_x509_ X509 *x = NULL;
	int r;

	if (serial_parse(what, ret) == 0) {
		if (!node)
			return errbuf_set(err, -EINVAL,
					  "a serial says not who issued it: name the node (--node), or "
					  "root for an intermediate");
		r = strcmp(node, "root") == 0 ? 0 : ca_check_node(node, err);
		snprintf(base, cap, "%s", node);
		return r;
	}
	r = cert_read(what, err, &x);
	if (r < 0)
		return r;
	if (X509_self_signed(x, 0) == 1)
		return errbuf_set(err, -EINVAL,
				  "%s is a root: it is not revoked by a list, but by another root in "
				  "all folders",
				  what);
	r = issuer_find(l, issued, x, base, cap);
	if (r < 0)
		return errbuf_set(err, -EINVAL,
				  "%s was issued by nobody whose certificate is in %s: revoke it on the "
				  "node that issued it",
				  what, l->dir);
	*ret = ASN1_INTEGER_dup(X509_get0_serialNumber(x));
	return *ret ? 0 : -ENOMEM;
}

/* ---- the list ---- */

static int crl_number(X509_CRL *crl)
{
	ASN1_INTEGER *old = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
	ASN1_INTEGER *next = ASN1_INTEGER_new();
	long n = old ? ASN1_INTEGER_get(old) : 0;
	int ok = next && ASN1_INTEGER_set(next, n + 1) &&
		 X509_CRL_add1_ext_i2d(crl, NID_crl_number, next, 0, X509V3_ADD_REPLACE) == 1;

	ASN1_INTEGER_free(old);
	ASN1_INTEGER_free(next);
	return ok ? 0 : -ENOMEM;
}

static int crl_begin(X509 *issuer, X509_CRL **ret)
{
	X509_CRL *crl = X509_CRL_new();
	X509_EXTENSION *akid = NULL;
	X509V3_CTX ctx;
	int ok = crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
		 X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));

	if (ok) {
		X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
		akid = X509V3_EXT_nconf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
		ok = akid && X509_CRL_add_ext(crl, akid, -1);
	}
	X509_EXTENSION_free(akid);
	if (!ok) {
		X509_CRL_free(crl);
		return -ENOMEM;
	}
	*ret = crl;
	return 0;
}

static int crl_add(X509_CRL *crl, ASN1_INTEGER *serial, int64_t now_s)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *when = ASN1_TIME_set(NULL, now_s);
	int ok = entry && when && X509_REVOKED_set_serialNumber(entry, serial) &&
		 X509_REVOKED_set_revocationDate(entry, when) && X509_CRL_add0_revoked(crl, entry);

	ASN1_TIME_free(when);
	if (!ok)
		X509_REVOKED_free(entry);
	return ok ? 0 : -ENOMEM;
}

/* No successor is due before the issuer ends: nothing makes lists by the clock here. */
static int crl_sign(X509_CRL *crl, const struct ca_pair *by, int64_t now_s)
{
	ASN1_TIME *begin = ASN1_TIME_set(NULL, now_s - SKEW_S);
	int ok = begin && X509_CRL_set1_lastUpdate(crl, begin) &&
		 X509_CRL_set1_nextUpdate(crl, X509_get0_notAfter(by->cert)) &&
		 X509_CRL_sort(crl) && X509_CRL_sign(crl, by->key, EVP_sha256()) > 0;

	ASN1_TIME_free(begin);
	return ok ? 0 : -EKEYREJECTED;
}

/* The issuer's list in l; made, if there is none. */
static int list_of(struct lists *l, X509 *issuer, X509_CRL **ret)
{
	int r;

	for (int i = 0; i < sk_X509_CRL_num(l->all); i++) {
		*ret = sk_X509_CRL_value(l->all, i);
		if (signed_by(*ret, issuer))
			return 0;
	}
	r = crl_begin(issuer, ret);
	if (r == 0 && !sk_X509_CRL_push(l->all, *ret)) {
		X509_CRL_free(*ret);
		r = -ENOMEM;
	}
	return r;
}

static void describe(struct ca_revoked *ret, X509_CRL *crl, const X509_REVOKED *entry)
{
	char *serial = serial_text(X509_REVOKED_get0_serialNumber(entry));

	snprintf(ret->serial, sizeof(ret->serial), "%s", serial ? serial : "?");
	OPENSSL_free(serial);
	ret->revoked_s = cert_unix(X509_REVOKED_get0_revocationDate(entry));
	ret->next_update_s = cert_unix(X509_CRL_get0_nextUpdate(crl));
}

static int list_add(struct lists *l, const struct ca_pair *by, ASN1_INTEGER *serial,
		    struct errbuf *err, struct ca_revoked *ret, bool *ret_was)
{
	int64_t now_s = (int64_t)clock_wall_s();
	X509_REVOKED *entry;
	X509_CRL *crl;
	int r = list_of(l, by->cert, &crl);

	if (r < 0)
		return r;
	*ret_was = X509_CRL_get0_by_serial(crl, &entry, serial) == 1;
	if (!*ret_was) {
		r = crl_add(crl, serial, now_s);
		if (r == 0)
			r = crl_number(crl);
		if (r == 0)
			r = crl_sign(crl, by, now_s);
		if (r == 0)
			r = lists_write(l, err);
		if (r == 0 && X509_CRL_get0_by_serial(crl, &entry, serial) != 1)
			r = -EINVAL;
	}
	if (r == 0)
		describe(ret, crl, entry);
	return r;
}

int ca_revoke(const char *dir, const char *node, const char *what, struct errbuf *err,
	      struct ca_revoked *ret, bool *ret_was)
{
	_lists_ struct lists l = { .dirfd = -1 };
	_serial_ ASN1_INTEGER *serial = NULL;
	_pair_ struct ca_pair by = { 0 };
	int r = lists_open(dir, err, &l);

	if (r == 0)
		r = target(&l, node, what, err, ret->issuer, sizeof(ret->issuer), &serial);
	if (r == 0)
		r = ca_read_pair(l.dirfd, dir, ret->issuer, err, &by);
	if (r < 0)
		return r;
	return list_add(&l, &by, serial, err, ret, ret_was);
}

static size_t count_all(const struct lists *l)
{
	size_t n = 0;

	for (int i = 0; i < sk_X509_CRL_num(l->all); i++) {
		int more = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(sk_X509_CRL_value(l->all, i)));

		n += more > 0 ? (size_t)more : 0;
	}
	return n;
}

/* Gives where the next list's go. */
static struct ca_revoked *describe_all(struct lists *l, X509_CRL *crl, struct ca_revoked *to)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);
	char issuer[sizeof(to->issuer)];

	if (issuer_find(l, has_signed, crl, issuer, sizeof(issuer)) < 0)
		X509_NAME_oneline(X509_CRL_get_issuer(crl), issuer, sizeof(issuer));
	for (int i = 0; i < sk_X509_REVOKED_num(entries); i++, to++) {
		memcpy(to->issuer, issuer, sizeof(issuer));
		describe(to, crl, sk_X509_REVOKED_value(entries, i));
	}
	return to;
}

int ca_revoked_list(const char *dir, struct errbuf *err, struct ca_revoked **ret, size_t *ret_n)
{
	_lists_ struct lists l = { .dirfd = -1 };
	struct ca_revoked *to;
	int r = lists_open(dir, err, &l);

	if (r < 0)
		return r;
	*ret_n = count_all(&l);
	*ret = to = *ret_n ? calloc(*ret_n, sizeof(*to)) : NULL;
	if (*ret_n && !to)
		return -ENOMEM;
	for (int i = 0; i < sk_X509_CRL_num(l.all); i++)
		to = describe_all(&l, sk_X509_CRL_value(l.all, i), to);
	return 0;
}
