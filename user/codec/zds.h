/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Messages of ZDS, by which istio-cni's node agent tells a node proxy of its pods: one Protocol
 * Buffers message is one packet of a SOCK_SEQPACKET socket, at most ZDS_MSG_MAX bytes. The proxy
 * says hello, then the agent asks and the proxy answers, one at a time
 * (istio/ztunnel proto/zds.proto). Pure functions, any thread.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/errbuf.h"
#include "base/str.h"

#define ZDS_MSG_MAX 1024u
#define ZDS_ERROR_MAX 900u /* of an answer: the whole must fit ZDS_MSG_MAX */

enum zds_kind { ZDS_ADD, ZDS_DEL, ZDS_SNAPSHOT_SENT, ZDS_KEEP, ZDS_KIND_MAX };

/* Texts point into the message. */
struct zds_request {
	enum zds_kind kind;
	struct str uid; /* of the Kubernetes pod; not empty but with SNAPSHOT_SENT */
	bool has_info;  /* ADD: the three below were there */
	struct str name, ns, service_account;
};

/* -EBADMSG with a sentence in err: no payload or several, no uid, a broken encoding. Fields that
 * are not known are passed over. */
int zds_request_parse(struct str msg, struct errbuf *err, struct zds_request *ret);
/* "add", "del", ... for logs. */
const char *zds_kind_text(enum zds_kind kind);

/* Into buf of ZDS_MSG_MAX bytes; number of bytes. */
size_t zds_hello_format(char *buf);
/* error: NULL is success; longer than ZDS_ERROR_MAX is cut, what is not ASCII becomes '?'. */
size_t zds_ack_format(char *buf, const char *error);
