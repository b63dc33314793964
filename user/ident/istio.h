/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Certificates from istiod, or from any other server of
 * istio.v1.auth.IstioCertificateService, such as istio-csr. The node asks in the name of its
 * pods (ImpersonatedIdentity); the server checks that such a pod runs here. Up to 8 requests are
 * under way, others wait in order. Retries are the store's business. Control thread.
 */
#include "h2/grpc.h"
#include "ident/source.h"

struct istio_ca;
struct istio_request;
struct loop;

/* The strings of channel must outlive it. */
int istio_ca_new(struct loop *loop, const struct grpc_channel_opts *channel, uint64_t ttl_s,
		 struct istio_ca **ret);
/* Requests must be gone. */
void istio_ca_free(struct istio_ca **ca);

/* r below 0: a sentence is in err, else c is the callee's. The request is gone. */
typedef void (*istio_done)(void *arg, int r, const struct errbuf *err, struct source_cert *c);

/* done is called once, later on the loop. */
int istio_ca_ask(struct istio_ca *ca, const char *uri, istio_done done, void *arg,
		 struct istio_request **ret);
void istio_ca_cancel(struct istio_request **q); /* NULL is fine */
