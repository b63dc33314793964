// SPDX-License-Identifier: Apache-2.0
/*
 * Messages from strangers. Whatever is read: a name is one that text can say, an answer fits the
 * room that it has, is a reply to its question and can itself be read; a message is the reply to
 * nothing unless it says so.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bug.h"
#include "base/ip.h"
#include "codec/dnsmsg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_name(const struct dns_question *q)
{
	BUG_ON(q->name_len > DNS_NAME_MAX || strlen(q->name) != q->name_len);
	for (size_t i = 0; i < q->name_len; i++)
		BUG_ON(q->name[i] <= ' ' || q->name[i] > '~' ||
		       (q->name[i] >= 'A' && q->name[i] <= 'Z'));
	BUG_ON(q->end < DNS_HEADER + 5 || q->udp_size < DNS_UDP_MIN);
}

static void answer(struct str msg, const struct dns_question *q, size_t cap, struct str cname)
{
	static const struct weft_addr addrs[40];
	uint8_t *buf = malloc(cap ? cap : 1); /* exactly as large as it is said to be */
	const struct dns_answer a = { .cname = cname, .addrs = addrs, .n = msg.n % 41, .ttl_s = 30 };
	size_t len;

	BUG_ON(!buf);
	len = dnsmsg_answer(buf, cap, msg, q, &a);
	BUG_ON(len > cap || (len && len < q->end));
	BUG_ON(len && !dnsmsg_is_reply(msg, (struct str){ (char *)buf, len }));
	BUG_ON(len && dnsmsg_type((struct str){ (char *)buf, len }) != q->type);
	BUG_ON(!len && cap >= DNS_UDP_MIN && cname.n == 0);
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_question q;
	uint8_t refusal[DNS_UDP_MIN];
	struct str msg, other;
	size_t cut, len;

	if (n < 2)
		return 0;
	cut = (size_t)(data[0] << 8 | data[1]) % (n - 1);
	msg = (struct str){ (const char *)data + 2, cut };
	other = (struct str){ msg.p + cut, n - 2 - cut };
	if (dnsmsg_parse(msg, &q) == 0) {
		check_name(&q);
		answer(msg, &q, q.udp_size, (struct str){ 0 });
		answer(msg, &q, other.n, (struct str){ 0 });
		answer(msg, &q, other.n, other);
		answer(msg, &q, DNS_MSG_MAX, str_of(q.name));
	}
	len = dnsmsg_refuse(refusal, sizeof(refusal), msg, DNS_SERVFAIL);
	BUG_ON(len > sizeof(refusal));
	BUG_ON(len && !dnsmsg_is_reply(msg, (struct str){ (char *)refusal, len }));
	BUG_ON(!dnsmsg_type_text(dnsmsg_type(msg))[0]);
	BUG_ON(dnsmsg_is_reply(msg, other) && (other.n < DNS_HEADER || !(other.p[2] & 0x80)));
	return 0;
}
