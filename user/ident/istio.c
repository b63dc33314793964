// SPDX-License-Identifier: Apache-2.0
/*
 * Client of IstioCertificateService; see istio.h.
 *
 *	IstioCertificateRequest { 1 csr, 3 validity_duration, 4 metadata }
 *
 * What it answers is read by ident/answer.c.
 */
#define LOG_SCOPE "ident"
#include "ident/istio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/own.h"
#include "base/vec.h"
#include "codec/pb.h"
#include "ident/answer.h"
#include "ident/cert.h"
#include "ident/request.h"
#include "io/loop.h"

#define METHOD "/istio.v1.auth.IstioCertificateService/CreateCertificate"
#define UNDER_WAY_MAX 8
#define ANSWER_MAX (1u << 20)
/* istio-csr waits for cert-manager, which takes seconds. */
#define DEADLINE_NS (20 * NS_PER_S)

struct istio_ca {
	struct loop *loop;
	struct grpc_channel *channel;
	struct task start;
	uint64_t ttl_s;
	struct list waiting, under_way;
	unsigned n_under_way;
};

struct istio_request {
	struct list node;
	struct istio_ca *ca;
	struct grpc_call *call; /* NULL: waits */
	char *uri, *key_pem;
	istio_done done;
	void *arg;
	VEC(char) answer;
	bool complete;
};

static void own_secret(char **z)
{
	if (*z)
		explicit_bzero(*z, strlen(*z));
	free(*z);
	*z = NULL;
}

static void request_free(struct istio_request *q)
{
	list_del(&q->node);
	if (q->call)
		q->ca->n_under_way--;
	grpc_call_cancel(&q->call);
	own_secret(&q->key_pem);
	free(q->uri);
	vec_fini(&q->answer);
	free(q);
}

/* ---- the question ---- */

/* metadata: a google.protobuf.Struct with one text in it. */
static int encode(const struct istio_request *q, const char *csr, struct pb_writer *w)
{
	size_t meta, entry, value;

	pb_put_text(w, 1, csr);
	pb_put_u64(w, 3, q->ca->ttl_s);
	meta = pb_begin(w, 4);
	entry = pb_begin(w, 1);
	pb_put_text(w, 1, "ImpersonatedIdentity");
	value = pb_begin(w, 2);
	pb_put_text(w, 3, q->uri);
	pb_end(w, value);
	pb_end(w, entry);
	pb_end(w, meta);
	return w->failed ? -ENOMEM : 0;
}

static int make_question(struct istio_request *q, struct pb_writer *w)
{
	_pkey_ EVP_PKEY *key = cert_key_new();
	_free_ char *csr = NULL;
	size_t n;
	int r;

	if (!key)
		return -ENOMEM;
	r = cert_key_to_pem(key, &q->key_pem, &n);
	if (r == 0)
		r = request_make(key, q->uri, &csr);
	return r < 0 ? r : encode(q, csr, w);
}

/* ---- calls ---- */

static int on_begin(void *arg, uint32_t bytes)
{
	struct istio_request *q = arg;

	if (q->complete)
		return -EBADMSG; /* a unary call has one answer */
	return vec_reserve(&q->answer, bytes);
}

static int on_bytes(void *arg, const void *p, size_t n)
{
	struct istio_request *q = arg;

	memcpy(q->answer.p + q->answer.n, p, n);
	q->answer.n += n;
	return 0;
}

static int on_end(void *arg)
{
	((struct istio_request *)arg)->complete = true;
	return 0;
}

static void start_next(struct istio_ca *ca);

static void finish(struct istio_request *q, int r, const struct errbuf *err, struct source_cert *c)
{
	struct istio_ca *ca = q->ca;
	istio_done done = q->done;
	void *arg = q->arg;

	request_free(q);
	/* The callee may ask again, or cancel others, but does not free the client. */
	done(arg, r, err, c);
	start_next(ca);
}

static int answer_of(const struct istio_request *q, struct errbuf *err, struct source_cert *ret)
{
	const struct answer_to to = { .uri = q->uri, .key_pem = q->key_pem };

	if (!q->complete)
		return errbuf_set(err, -EBADMSG, "the CA's answer is empty");
	return answer_read((struct str){ q->answer.p, q->answer.n }, &to, err, ret);
}

static void on_done(void *arg, const struct grpc_status *st)
{
	struct istio_request *q = arg;
	struct source_cert cert = { 0 };
	struct errbuf err = { 0 };
	char code[32];
	int r;

	q->call = NULL;
	q->ca->n_under_way--;
	if (st->code == GRPC_OK)
		r = answer_of(q, &err, &cert);
	else
		r = errbuf_set(&err, -EIO, "the CA %s%s: %.300s",
			       st->answered ? "refuses, " : "cannot be reached",
			       st->answered ? grpc_code_text(code, sizeof(code), st->code) : "",
			       st->message);
	finish(q, r, &err, &cert);
}

static int start(struct istio_request *q)
{
	static const struct grpc_call_ops ops = {
		.on_begin = on_begin, .on_bytes = on_bytes, .on_end = on_end, .on_done = on_done
	};
	static const struct grpc_call_opts o = { .path = METHOD,
						 .message_max = ANSWER_MAX,
						 .deadline_ns = DEADLINE_NS };
	struct pb_writer w = { 0 };
	struct str question;
	int r = make_question(q, &w);

	if (r == 0)
		r = pb_written(&w, &question);
	if (r == 0)
		r = grpc_call_start(q->ca->channel, &o, &ops, q, &q->call);
	if (r == 0) {
		q->ca->n_under_way++;
		r = grpc_call_send(q->call, question, true);
	}
	pb_writer_fini(&w);
	return r;
}

static void start_next(struct istio_ca *ca)
{
	struct istio_request *q;

	while (ca->n_under_way < UNDER_WAY_MAX &&
	       (q = list_first(&ca->waiting, struct istio_request, node))) {
		struct errbuf err = { 0 };
		int r;

		list_del(&q->node);
		list_add_tail(&ca->under_way, &q->node);
		r = start(q);
		if (r == 0)
			continue;
		errbuf_set(&err, r, "cannot ask the CA: %s", log_strerror(r));
		finish(q, r, &err, NULL);
		return; /* it has gone on with the others */
	}
}

static void on_start(void *arg)
{
	start_next(arg);
}

int istio_ca_ask(struct istio_ca *ca, const char *uri, istio_done done, void *arg,
		 struct istio_request **ret)
{
	struct istio_request *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->uri = str_dup(str_of(uri));
	if (!q->uri) {
		free(q);
		return -ENOMEM;
	}
	q->ca = ca;
	q->done = done;
	q->arg = arg;
	list_add_tail(&ca->waiting, &q->node);
	task_defer(ca->loop, &ca->start, on_start, ca);
	*ret = q;
	return 0;
}

void istio_ca_cancel(struct istio_request **pq)
{
	struct istio_request *q = TAKE_PTR(*pq);
	struct istio_ca *ca;

	if (!q)
		return;
	ca = q->ca;
	request_free(q);
	task_defer(ca->loop, &ca->start, on_start, ca);
}

int istio_ca_new(struct loop *loop, const struct grpc_channel_opts *channel, uint64_t ttl_s,
		 struct istio_ca **ret)
{
	cleanup_with(istio_ca_free) struct istio_ca *ca = calloc(1, sizeof(*ca));
	int r;

	if (!ca)
		return -ENOMEM;
	ca->loop = loop;
	ca->ttl_s = ttl_s;
	list_init(&ca->waiting);
	list_init(&ca->under_way);
	r = grpc_channel_new(loop, channel, &ca->channel);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(ca);
	return 0;
}

void istio_ca_free(struct istio_ca **pca)
{
	struct istio_ca *ca = TAKE_PTR(*pca);

	if (!ca)
		return;
	task_cancel(&ca->start);
	grpc_channel_free(&ca->channel);
	free(ca);
}
