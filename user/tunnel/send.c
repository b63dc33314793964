// SPDX-License-Identifier: Apache-2.0
/*
 * The sending half of an HBONE connection. Sealed records collect in one buffer while events
 * of a turn are handled and leave with one send(2) at its end. The buffer exists only while
 * bytes wait; when it is full, streams are not read (backpressure by not reading).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "tunnel/priv.h"

bool hbone_out_get(struct hbone *hb)
{
	struct tunnel *t = hb->t;

	if (hb->out)
		return true;
	hb->out = t->n_bufs ? t->bufs[--t->n_bufs] : malloc(HBONE_OUT_CAP);
	hb->out_at = hb->out_n = 0;
	return hb->out != NULL;
}

static void out_put(struct hbone *hb)
{
	struct tunnel *t = hb->t;

	if (t->n_bufs < TUNNEL_BUFS)
		t->bufs[t->n_bufs++] = hb->out;
	else
		free(hb->out);
	hb->out = NULL;
	hb->out_at = hb->out_n = 0;
}

size_t hbone_out_room(const struct hbone *hb)
{
	return HBONE_OUT_CAP - hb->out_n;
}

static int seal_key_update(struct hbone *hb)
{
	ssize_t n;

	if (!hb->rec.update_due || hbone_out_room(hb) < 64)
		return 0;
	n = record_key_update(&hb->rec, hb->out + hb->out_n, false);
	if (n < 0)
		return (int)n;
	hb->out_n += (size_t)n;
	return 0;
}

/* Moves queued HTTP/2 control frames into sealed records, as far as there is room. */
int hbone_seal_control(struct hbone *hb)
{
	size_t n;
	const uint8_t *p = h2_conn_output(&hb->h2, &n);

	hb->patient = 0;
	if (!n && !hb->rec.update_due)
		return 0;
	if (!hbone_out_get(hb))
		return -ENOMEM;
	while (n) {
		size_t chunk = n < RECORD_PLAIN_MAX ? n : RECORD_PLAIN_MAX;
		uint8_t *rec = hb->out + hb->out_n;
		ssize_t sealed;

		if (hbone_out_room(hb) < chunk + RECORD_OVERHEAD)
			return 0;
		memcpy(rec + RECORD_HEADER, p, chunk);
		sealed = record_seal(&hb->rec, rec, chunk, RECORD_DATA);
		if (sealed < 0)
			return (int)sealed;
		hb->out_n += (size_t)sealed;
		h2_conn_output_done(&hb->h2, chunk);
		p = h2_conn_output(&hb->h2, &n);
	}
	return seal_key_update(hb);
}

/* 1: all is gone, 0: the socket is full, -errno. */
static int out_send(struct hbone *hb)
{
	while (hb->out_at < hb->out_n) {
		ssize_t n = send(hb->fd, hb->out + hb->out_at, hb->out_n - hb->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			hb->writable = false;
			return 0;
		}
		if (n < 0)
			return -errno;
		hb->out_at += (size_t)n;
		hbone_moved(hb, (size_t)n);
	}
	if (hb->out)
		out_put(hb);
	return 1;
}

static void wake_blocked(struct hbone *hb)
{
	struct list all;

	if (list_empty(&hb->blocked))
		return;
	/* Those who block again in their callback wait for the next time. */
	list_init(&all);
	while (!list_empty(&hb->blocked)) {
		struct list *n = hb->blocked.next;

		list_del(n);
		list_add_tail(&all, n);
	}
	while (!list_empty(&all)) {
		struct tunnel_stream *s = list_first(&all, struct tunnel_stream, node);

		list_del(&s->node);
		if (s->chan.events)
			s->chan.events->on_writable(s->chan.arg);
	}
}

void hbone_flush(void *arg)
{
	struct hbone *hb = arg;
	int r = 0;

	if (hb->phase == HBONE_CLOSED || hb->phase == HBONE_CONNECTING)
		return;
	do {
		if (hb->h2_ready)
			r = hbone_seal_control(hb);
		if (r == 0 && hb->out_n)
			r = hb->writable ? out_send(hb) : 0;
		else if (r == 0)
			break;
		if (r < 0) {
			hbone_close(hb, WEFT_REASON_TUNNEL_LOST, log_strerror(r));
			return;
		}
	} while (r == 1 && hb->h2_ready && hb->h2.out_n);
	if (hb->out && !hb->out_n)
		out_put(hb); /* reserved, but the source had nothing */
	if (!hb->out_n)
		wake_blocked(hb);
}
