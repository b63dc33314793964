// SPDX-License-Identifier: Apache-2.0
/*
 * What comes over ZDS: packets one after the other, each with descriptors or without, into codec
 * and state machine. Whatever is told, a pod is stopped only while it is served, no descriptor is
 * lost, and answers fit a message.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bug.h"
#include "base/str.h"
#include "pod/zds_state.h"

static void on_settled(void *arg, const struct zds_state *st)
{
	(void)arg;
	zds_state_knows(st, "a");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct world {
	long served;
	uint8_t dice; /* what the next start gives */
};

static int on_start(void *arg, const struct zds_pod_info *info, int fd, struct errbuf *err)
{
	struct world *w = arg;

	BUG_ON(!info->uid[0] || !info->ns[0] || !info->name[0] || fcntl(fd, F_GETFD) < 0);
	w->dice = (uint8_t)(w->dice * 5 + 3);
	if (w->dice % 4 == 0)
		return errbuf_set(err, w->dice & 64 ? -EINVAL : -EADDRINUSE, "no");
	w->served++;
	return 0;
}

static void on_stop(void *arg, const char *uid)
{
	struct world *w = arg;

	BUG_ON(!uid[0] || --w->served < 0);
}

static void one(struct zds_state *st, uint8_t head, struct str msg)
{
	static const char *const files[] = { "/proc/self/ns/net", "/dev/null", "/proc/self/ns/uts" };
	int fd = head & 3 ? open(files[(head & 3) - 1], O_RDONLY | O_CLOEXEC) : -1;
	char answer[ZDS_MSG_MAX];
	struct errbuf err = { 0 };
	struct zds_request rq;
	int r;

	if (head & 4)
		zds_state_begin(st);
	if (head & 8)
		zds_state_retry(st);
	r = zds_request_parse(msg, &err, &rq);
	if (r == 0)
		r = zds_state_apply(st, &rq, fd, &err);
	else if (fd >= 0)
		close(fd);
	BUG_ON(r < 0 && !err.text[0]);
	BUG_ON(zds_ack_format(answer, r < 0 ? err.text : NULL) > sizeof(answer));
	if (r == -EBADMSG || r == -EPROTO)
		zds_state_lost(st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct world w = { .dice = n ? data[0] : 0 };
	const struct zds_ops ops = {
		.start = on_start, .stop = on_stop, .settled = on_settled, .arg = &w
	};
	int before = dup(0), after;
	struct zds_state *st;
	struct zds_counts c;

	BUG_ON(before < 0);
	close(before);
	if (zds_state_new(&ops, &st) < 0)
		return 0;
	/* Packets: flags, length, bytes. */
	while (n >= 2) {
		size_t len = data[1] < n - 2 ? data[1] : n - 2;

		one(st, data[0], (struct str){ (const char *)data + 2, len });
		data += 2 + len;
		n -= 2 + len;
	}
	zds_state_counts(st, &c);
	BUG_ON(w.served < 0 || c.served != (size_t)w.served);
	zds_state_free(&st);
	after = dup(0);
	BUG_ON(after != before);
	close(after);
	return 0;
}
