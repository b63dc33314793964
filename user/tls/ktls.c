// SPDX-License-Identifier: Apache-2.0
/* The kernel's record layer for a session of tls/record, see ktls.h. */
#include "tls/ktls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/tls.h>
#include <openssl/crypto.h>

#include "base/own.h"
#include "base/rand.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* Every cipher's form of the same: key, salt and iv (the 12 bytes of the nonce, split), number. */
union crypto_info {
	struct tls_crypto_info head;
	struct tls12_crypto_info_aes_gcm_128 gcm128;
	struct tls12_crypto_info_aes_gcm_256 gcm256;
	struct tls12_crypto_info_chacha20_poly1305 chacha;
};

static void seq_put(uint8_t *p, uint64_t seq)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(seq >> (56 - 8 * i));
}

#define INFO_FILL(field, cipher)                                              \
	do {                                                                  \
		(field)->info.version = TLS_1_3_VERSION;                      \
		(field)->info.cipher_type = (cipher);                         \
		memcpy((field)->key, d->key, sizeof((field)->key));           \
		memcpy((field)->salt, d->iv, sizeof((field)->salt));          \
		memcpy((field)->iv, d->iv + sizeof((field)->salt), sizeof((field)->iv)); \
		seq_put((field)->rec_seq, d->seq);                            \
		n = sizeof(*(field));                                         \
	} while (0)

/* Length of what is to be handed over, 0 for a suite that the kernel does not know. */
static socklen_t info_fill(union crypto_info *ci, const struct record_dir *d)
{
	socklen_t n = 0;

	memset(ci, 0, sizeof(*ci));
	switch (d->suite) {
	case RECORD_AES_128_GCM_SHA256:
		INFO_FILL(&ci->gcm128, TLS_CIPHER_AES_GCM_128);
		break;
	case RECORD_AES_256_GCM_SHA384:
		INFO_FILL(&ci->gcm256, TLS_CIPHER_AES_GCM_256);
		break;
	case RECORD_CHACHA20_POLY1305_SHA256:
		INFO_FILL(&ci->chacha, TLS_CIPHER_CHACHA20_POLY1305);
		break;
	}
	return n;
}

int ktls_start(int fd, const struct record_dir *d, bool tx)
{
	union crypto_info ci;
	socklen_t n;
	int r = 0;

	if (!tx && (d->hs_len || d->hs_skip))
		return -EBUSY;
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) < 0 && errno != EEXIST)
		return -errno;
	n = info_fill(&ci, d);
	if (n == 0)
		return -ENOTSUP;
	if (setsockopt(fd, SOL_TLS, tx ? TLS_TX : TLS_RX, &ci, n) < 0)
		r = errno == EINVAL && d->suite != RECORD_AES_128_GCM_SHA256 ? -ENOTSUP : -errno;
	OPENSSL_cleanse(&ci, sizeof(ci));
	return r;
}

ssize_t ktls_send(int fd, const void *p, size_t n, enum record_type type)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)] = { 0 };
	struct iovec iov = { .iov_base = (void *)p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t sent;

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = (unsigned char)type;
	sent = sendmsg(fd, &m, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

ssize_t ktls_recv(int fd, void *p, size_t n, enum record_type *ret_type)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(1)] = { 0 };
	struct iovec iov = { .iov_base = p, .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof(control) };
	struct cmsghdr *c;
	ssize_t got = recvmsg(fd, &m, 0);

	if (got < 0)
		return -errno;
	*ret_type = RECORD_DATA;
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_RECORD_TYPE)
		*ret_type = *CMSG_DATA(c);
	return got;
}

/* Both ends of a connection of loopback. */
static int loopback_pair(int *ret_a, int *ret_b)
{
	_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_close_ int a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), b = -1;
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(sa);

	if (l < 0 || a < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(l, 1) < 0 || getsockname(l, (struct sockaddr *)&sa, &n) < 0 ||
	    connect(a, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	b = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (b < 0)
		return -errno;
	*ret_a = TAKE_FD(a);
	*ret_b = TAKE_FD(b);
	return 0;
}

/* The kernel opens what user space sealed, and the other way round. */
static int exchange(int kernel, int user, struct record *r)
{
	static const char hello[] = "hello";
	uint8_t wire[RECORD_WIRE_MAX] = { 0 };
	enum record_type type = RECORD_ALERT;
	struct record_view v;
	ssize_t n;
	size_t need;

	memcpy(wire + RECORD_HEADER, hello, sizeof(hello));
	n = record_seal(r, wire, sizeof(hello), RECORD_DATA);
	if (n < 0 || send(user, wire, (size_t)n, MSG_NOSIGNAL) != n)
		return -EIO;
	n = ktls_recv(kernel, wire, sizeof(wire), &type);
	if (n != sizeof(hello) || type != RECORD_DATA || memcmp(wire, hello, sizeof(hello)) != 0)
		return n < 0 ? (int)n : -EIO;
	if (send(kernel, hello, sizeof(hello), MSG_NOSIGNAL) != sizeof(hello))
		return -EIO;
	n = recv(user, wire, sizeof(hello) + RECORD_OVERHEAD, MSG_WAITALL);
	if (n <= 0 || record_open(r, wire, (size_t)n, &v, &need) != n)
		return -EIO;
	return v.n == sizeof(hello) && memcmp(v.p, hello, v.n) == 0 ? 0 : -EIO;
}

int ktls_probe(uint16_t suite)
{
	const size_t n = suite == RECORD_AES_256_GCM_SHA384 ? 48 : 32;
	_close_ int kernel = -1, user = -1;
	struct record near, far;
	uint8_t x[48], y[48];
	int r;

	rand_secure(x, sizeof(x));
	rand_secure(y, sizeof(y));
	r = record_init(&near, suite, x, y, n);
	if (r < 0)
		return r;
	r = record_init(&far, suite, y, x, n);
	if (r == 0)
		r = loopback_pair(&kernel, &user);
	if (r == 0)
		r = ktls_start(kernel, &near.tx, true);
	if (r == 0)
		r = ktls_start(kernel, &near.rx, false);
	if (r == 0)
		r = exchange(kernel, user, &far);
	record_fini(&near);
	record_fini(&far);
	return r;
}
