// SPDX-License-Identifier: Apache-2.0
/*
 * Ends live direct connections that a policy denies by now. The iterator weft_reap finds them and
 * destroys them itself where the kernel has bpf_sock_destroy(); where not, it names them and
 * they are destroyed over sock_diag(7), which does the same to the socket. Control thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "io/netns.h"
#include "kern/priv.h"
#include "weft/knob.h"
#include "weft.skel.h"

#define ROWS 64

struct rows {
	VEC(struct weft_reaped) v;
};

static void id_of(const struct weft_reaped *row, bool v4, struct inet_diag_sockid *id)
{
	const struct weft_tuple *t = &row->tuple;
	const size_t at = v4 ? 12 : 0, n = v4 ? 4 : 16;

	id->idiag_sport = htons(t->sport);
	id->idiag_dport = htons(t->dport);
	memcpy(id->idiag_src, t->src.b + at, n);
	memcpy(id->idiag_dst, t->dst.b + at, n);
	id->idiag_if = row->ifindex;
	id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

/* Sends it and gives the answer to fn (or only waits for it); 0 or -errno. */
static int diag_ask(struct mnl_socket *nl, uint16_t type, const struct inet_diag_req_v2 *req,
		    mnl_cb_t fn, void *arg)
{
	_Alignas(8) char buf[8192];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	ssize_t n;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = fn ? NLM_F_REQUEST : NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = 1;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(*req)), req, sizeof(*req));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	if (n < 0)
		return -errno;
	return mnl_cb_run(buf, (size_t)n, 1, mnl_socket_get_portid(nl), fn, arg) < 0 ? -errno : 0;
}

static int on_found(const struct nlmsghdr *nlh, void *arg)
{
	struct inet_diag_req_v2 *req = arg;
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*m) || m->idiag_state == TCP_LISTEN) {
		errno = ENOENT;
		return MNL_CB_ERROR;
	}
	req->id.idiag_cookie[0] = m->id.idiag_cookie[0];
	req->id.idiag_cookie[1] = m->id.idiag_cookie[1];
	return MNL_CB_STOP;
}

/*
 * 0 also if it has ended by itself meanwhile. The kernel looks a connection up as if a packet of it
 * had come: where it is no more, it finds the listener, and would destroy that. So it is first asked
 * what there is, and then to destroy this very socket.
 */
static int sock_destroy(struct mnl_socket *nl, const struct weft_reaped *row)
{
	const bool v4 = ip_is_v4(&row->tuple.src);
	struct inet_diag_req_v2 req = {
		.sdiag_family = v4 ? AF_INET : AF_INET6,
		.sdiag_protocol = IPPROTO_TCP,
		.idiag_states = UINT32_MAX,
	};
	int r;

	id_of(row, v4, &req.id);
	r = diag_ask(nl, SOCK_DIAG_BY_FAMILY, &req, on_found, &req);
	if (r == 0)
		r = diag_ask(nl, SOCK_DESTROY, &req, NULL, NULL);
	return r == -ENOENT || r == -ESTALE ? 0 : r;
}

static int destroy_all(const struct rows *rows)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int r, first = 0;

	if (!nl)
		return -errno;
	r = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	for (size_t i = 0; r == 0 && i < rows->v.n; i++) {
		int err = sock_destroy(nl, &rows->v.p[i]);

		if (err < 0 && first == 0)
			first = err; /* the others are tried all the same */
	}
	mnl_socket_close(nl);
	return r < 0 ? r : first;
}

/* Reads the iterator to its end. */
static int rows_read(int fd, struct rows *rows)
{
	char buf[ROWS * sizeof(struct weft_reaped)];
	size_t have = 0;
	ssize_t n;

	while ((n = read(fd, buf + have, sizeof(buf) - have)) > 0) {
		size_t at = 0;

		have += (size_t)n;
		for (; have - at >= sizeof(struct weft_reaped); at += sizeof(struct weft_reaped)) {
			struct weft_reaped row;
			int r;

			memcpy(&row, buf + at, sizeof(row));
			r = vec_push(&rows->v, row);
			if (r < 0)
				return r;
		}
		memmove(buf, buf + at, have - at);
		have -= at;
	}
	return n < 0 ? -errno : 0;
}

static int reap_here(void *arg)
{
	struct kern *k = arg;
	struct bpf_link *link = bpf_program__attach_iter(k->skel->progs.weft_reap, NULL);
	struct rows rows = { 0 };
	_close_ int fd = -1;
	int r;

	if (!link)
		return -errno;
	/* The namespace of the walk is that of the thread that creates the iterator. */
	fd = bpf_iter_create(bpf_link__fd(link));
	bpf_link__destroy(link);
	if (fd < 0)
		return fd;
	r = rows_read(fd, &rows);
	if (rows.v.n > 0) {
		int err = destroy_all(&rows);

		r = r < 0 ? r : err;
	}
	vec_fini(&rows.v);
	return r;
}

struct destroy {
	const struct weft_tuple *t;
	size_t n;
};

static int destroy_here(void *arg)
{
	const struct destroy *d = arg;
	struct rows rows = { 0 };
	int r = 0;

	for (size_t i = 0; i < d->n && r == 0; i++) {
		const struct weft_reaped row = { .tuple = d->t[i] };

		r = vec_push(&rows.v, row);
	}
	if (r == 0)
		r = destroy_all(&rows);
	vec_fini(&rows.v);
	return r;
}

int kern_destroy(int netns_fd, const struct weft_tuple *t, size_t n)
{
	struct destroy d = { t, n };

	return netns_run(netns_fd, destroy_here, &d);
}

int kern_sock_destroy_probe(void)
{
	/* TCP to oneself: both ends are one socket, no listener and no thread is needed. */
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(sa);
	struct rows rows = { 0 };
	struct weft_reaped row = { 0 };
	struct weft_ep ep;
	char c;
	int r;

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&sa, &n) < 0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	ip_from_sockaddr((struct sockaddr *)&sa, &ep);
	row.tuple = (struct weft_tuple){ ep.addr, ep.addr, ep.port, ep.port };
	r = vec_push(&rows.v, row);
	if (r == 0)
		r = destroy_all(&rows);
	vec_fini(&rows.v);
	if (r == 0 && (recv(fd, &c, 1, MSG_DONTWAIT) >= 0 || errno != ECONNABORTED))
		r = -EIO;
	return r;
}

int kern_reap(struct kern *k, int netns_fd)
{
	return netns_run(netns_fd, reap_here, k);
}
