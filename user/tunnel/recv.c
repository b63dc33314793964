// SPDX-License-Identifier: Apache-2.0
/*
 * The receiving half of an HBONE connection: as much as the socket has (up to 256 KiB), all
 * its records opened in place in the worker's buffer, payload handed on as slices of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "tunnel/priv.h"

#define READ_ROUNDS 4

static int take_record(struct hbone *hb, const struct record_view *v)
{
	if (hb->rec.update_due)
		hbone_flush_later(hb);
	if (v->type != RECORD_DATA || v->n == 0)
		return 0;
	return h2_conn_input(&hb->h2, v->p, v->n);
}

/* Opens the whole records of rbuf[have]; keeps the rest for the next read. */
void hbone_open_records(struct hbone *hb, size_t have)
{
	struct tunnel *t = hb->t;
	uint8_t *buf = t->rbuf;
	size_t at = 0;
	int r = 0;

	while (at < have && r == 0 && hb->phase == HBONE_READY) {
		struct record_view v;
		size_t need = 0;
		ssize_t n = record_open(&hb->rec, buf + at, have - at, &v, &need);

		if (n == 0)
			break;
		if (n < 0) {
			r = (int)n;
			break;
		}
		at += (size_t)n;
		r = take_record(hb, &v);
	}
	stream_batch_flush(t);
	if (hb->phase != HBONE_READY)
		return;
	if (r < 0) {
		const char *why = hb->h2.error ? hb->h2.error : "bad TLS record";

		hbone_flush(hb); /* GOAWAY, if there is one */
		hbone_close(hb, hb->h2.error ? WEFT_REASON_H2_FAILED : WEFT_REASON_TUNNEL_LOST, why);
		return;
	}
	if (at < have) {
		/* Less than one record, so at most RECORD_WIRE_MAX. */
		hb->in = malloc(have - at);
		if (!hb->in) {
			hbone_close(hb, WEFT_REASON_LIMIT, "out of memory");
			return;
		}
		memcpy(hb->in, buf + at, have - at);
		hb->in_n = have - at;
	}
	hbone_flush_due(hb);
}

static void hbone_took(struct hbone *hb, size_t n, size_t room)
{
	size_t have = hb->in_n + n;

	hb->last_rx_ns = loop_now(hb->t->loop);
	hbone_moved(hb, n);
	if (n < room && !hb->rdhup)
		hb->readable = false;
	free(hb->in);
	hb->in = NULL;
	hb->in_n = 0;
	if (hb->phase == HBONE_HANDSHAKE)
		hbone_handshake(hb, hb->t->rbuf, have);
	else
		hbone_open_records(hb, have);
}

void hbone_read(void *arg)
{
	struct hbone *hb = arg;
	struct tunnel *t = hb->t;

	for (int i = 0; hb->readable && hb->phase != HBONE_CLOSED; i++) {
		ssize_t n;

		if (i == READ_ROUNDS) {
			task_defer(t->loop, &hb->read_again, hbone_read, hb);
			return;
		}
		if (hb->in_n)
			memcpy(t->rbuf, hb->in, hb->in_n);
		n = recv(hb->fd, t->rbuf + hb->in_n, HBONE_READ, 0);
		if (n > 0) {
			hbone_took(hb, (size_t)n, HBONE_READ);
			continue;
		}
		if (n == 0) {
			hbone_close(hb, hb->phase == HBONE_READY ? WEFT_REASON_TUNNEL_LOST
								 : WEFT_REASON_PEER_CLOSED,
				    "the peer closed the connection");
		} else if (errno == EAGAIN) {
			hb->readable = false;
		} else if (errno != EINTR) {
			hbone_close(hb, WEFT_REASON_TUNNEL_LOST, log_strerror(-errno));
		}
	}
}
