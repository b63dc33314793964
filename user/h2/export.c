// SPDX-License-Identifier: Apache-2.0
/* Moving a live connection between processes: plain state out, plain state in. */
#include <errno.h>

#include "h2/internal.h"

bool h2_conn_exportable(const struct h2_conn *c)
{
	return !c->broken && !c->in_input && c->st.preface_done && c->st.got_settings &&
	       c->st.settings_acked && !c->in_headers_stream;
}

int h2_conn_export(const struct h2_conn *c, struct h2_conn_state *ret)
{
	if (!h2_conn_exportable(c))
		return -EBUSY;
	*ret = c->st;
	return 0;
}

const uint8_t *h2_conn_pending(const struct h2_conn *c, size_t *ret_n)
{
	*ret_n = c->in_n;
	return c->in;
}

static bool state_is_sane(const struct h2_conn_state *st)
{
	return st->preface_done && st->got_settings && st->settings_acked &&
	       st->stream_window >= H2_WINDOW_DEFAULT && st->stream_window <= H2_WINDOW_MAX &&
	       st->conn_window >= H2_WINDOW_DEFAULT && st->conn_window <= H2_WINDOW_MAX &&
	       st->recv_window <= st->conn_window && st->unacked <= st->conn_window &&
	       st->send_window <= (int64_t)H2_WINDOW_MAX &&
	       st->peer_initial_window <= H2_WINDOW_MAX && st->peer_max_frame >= H2_FRAME_MAX &&
	       st->peer_max_frame <= H2_FRAME_MAX_LIMIT && st->data_left <= H2_FRAME_MAX &&
	       st->pad_left < 256 && st->reset_next < H2_RESET_RING;
}

static uint32_t stream_window_max(const struct h2_conn_state *st, const struct h2_limits *limits)
{
	uint32_t max = limits && limits->stream_window_max ? limits->stream_window_max
							   : H2_STREAM_WINDOW_MAX;

	return max > st->stream_window ? max : st->stream_window;
}

int h2_conn_import(struct h2_conn *c, const struct h2_conn_state *st,
		   const struct h2_limits *limits, const struct h2_conn_ops *ops, void *arg)
{
	if (!state_is_sane(st))
		return -EINVAL;
	*c = (struct h2_conn){
		.st = *st,
		.limits = {
			.stream_window = st->stream_window,
			.stream_window_max = stream_window_max(st, limits),
			.conn_window = st->conn_window,
			.max_streams = limits && limits->max_streams ? limits->max_streams :
								       st->max_streams,
		},
		.ops = ops,
		.arg = arg,
	};
	list_init(&c->blocked);
	return 0;
}

int h2_stream_import(struct h2_conn *c, struct h2_stream *s, const struct h2_stream_state *st)
{
	uint64_t window = (uint64_t)st->recv_window + st->unacked + st->held +
			  (c->st.data_stream == st->id ? c->st.data_left + c->st.pad_left : 0);
	int r;

	if (st->phase < H2_OPEN || st->phase > H2_HALF_REMOTE || st->id == 0 ||
	    st->id > H2_ID_MAX || stream_id_is_idle(c, st->id) || stream_find(c, st->id) ||
	    window < c->st.stream_window || window > c->limits.stream_window_max ||
	    window - c->st.stream_window > conn_spare(c))
		return -EINVAL;
	r = stream_attach(c, s, st);
	if (r == 0)
		c->grown += (uint32_t)window - c->st.stream_window;
	return r;
}
