// SPDX-License-Identifier: Apache-2.0
/* DNS messages, see dnsmsg.h. Used by dns/. */
#include "codec/dnsmsg.h"

#include <errno.h>
#include <string.h>

#include "base/ip.h"
#include "base/own.h"

#define FLAG_QR 0x8000u
#define FLAG_OPCODE 0x7800u
#define FLAG_AA 0x0400u
#define FLAG_TC 0x0200u
#define FLAG_RD 0x0100u
#define FLAG_RA 0x0080u
#define FLAG_CD 0x0010u
#define EDNS_DO 0x8000u
#define LABEL_MAX 63u
#define POINTER 0xc000u
#define OPT_LEN 11u

static uint16_t get16(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

struct header {
	uint16_t id, flags, questions, answers, authority, additional;
};

static bool header_read(struct str msg, struct header *h)
{
	if (msg.n < DNS_HEADER)
		return false;
	*h = (struct header){ get16(msg.p),     get16(msg.p + 2), get16(msg.p + 4),
			      get16(msg.p + 6), get16(msg.p + 8), get16(msg.p + 10) };
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* One label as text. False: text cannot say it. */
static bool label_text(struct str label, struct dns_question *q)
{
	if (q->name_len + (q->name_len > 0) + label.n > DNS_NAME_MAX)
		return false;
	if (q->name_len > 0)
		q->name[q->name_len++] = '.';
	for (size_t i = 0; i < label.n; i++) {
		if (label.p[i] <= ' ' || label.p[i] > '~' || label.p[i] == '.')
			return false;
		q->name[q->name_len++] = lower(label.p[i]);
	}
	return true;
}

/* The name at *at, which moves behind it. A first name has nothing to point to. */
static bool name_read(struct str msg, size_t *at, struct dns_question *q)
{
	q->name_len = 0;
	for (;;) {
		size_t n;

		if (*at >= msg.n)
			return false;
		n = (uint8_t)msg.p[(*at)++];
		if (n == 0)
			break;
		if (n > LABEL_MAX || n > msg.n - *at ||
		    !label_text((struct str){ msg.p + *at, n }, q))
			return false;
		*at += n;
	}
	q->name[q->name_len] = '\0';
	return true;
}

/* The one additional record: OPT of version 0 at the end of the message. */
static bool opt_read(struct str msg, struct dns_question *q)
{
	const char *p = msg.p + q->end;

	if (msg.n - q->end < OPT_LEN || p[0] != 0 || get16(p + 1) != DNS_OPT || p[6] != 0 ||
	    (size_t)get16(p + 9) != msg.n - q->end - OPT_LEN)
		return false;
	q->edns = true;
	q->dnssec_ok = get16(p + 7) & EDNS_DO;
	if (get16(p + 3) > DNS_UDP_MIN)
		q->udp_size = get16(p + 3);
	return true;
}

int dnsmsg_parse(struct str msg, struct dns_question *ret)
{
	struct dns_question q = { .udp_size = DNS_UDP_MIN, .end = DNS_HEADER };
	struct header h;

	if (!header_read(msg, &h) || h.flags & FLAG_QR)
		return -EBADMSG;
	if (h.flags & (FLAG_OPCODE | FLAG_TC) || h.questions != 1 || h.answers || h.authority ||
	    h.additional > 1)
		return -ENOTSUP;
	if (!name_read(msg, &q.end, &q) || msg.n - q.end < 4)
		return -ENOTSUP;
	q.type = get16(msg.p + q.end);
	q.cls = get16(msg.p + q.end + 2);
	q.end += 4;
	if (h.additional ? !opt_read(msg, &q) : q.end != msg.n)
		return -ENOTSUP;
	*ret = q;
	return 0;
}

/* Offset behind the name at at, without following pointers; 0: it is broken. */
static size_t name_skip(struct str msg, size_t at)
{
	while (at < msg.n) {
		size_t n = (uint8_t)msg.p[at];

		if (n == 0)
			return at + 1;
		if (n > LABEL_MAX)
			return 0;
		at += 1 + n;
	}
	return 0;
}

/* Name, type and class of the first question as bytes; n == 0: there is none to be read. */
static struct str question_bytes(struct str msg)
{
	size_t end = name_skip(msg, DNS_HEADER);

	if (end == 0 || msg.n - end < 4)
		return (struct str){ 0 };
	return (struct str){ msg.p + DNS_HEADER, end + 4 - DNS_HEADER };
}

uint16_t dnsmsg_type(struct str msg)
{
	struct header h;
	struct str q;

	if (!header_read(msg, &h) || !h.questions)
		return 0;
	q = question_bytes(msg);
	return q.n ? get16(q.p + q.n - 4) : 0;
}

const char *dnsmsg_type_text(uint16_t type)
{
	static const struct {
		uint16_t type;
		const char *text;
	} names[] = {
		{ 1, "A" },      { 2, "NS" },    { 5, "CNAME" },  { 6, "SOA" },    { 12, "PTR" },
		{ 13, "HINFO" }, { 15, "MX" },   { 16, "TXT" },   { 28, "AAAA" },  { 33, "SRV" },
		{ 35, "NAPTR" }, { 43, "DS" },   { 46, "RRSIG" }, { 47, "NSEC" },  { 48, "DNSKEY" },
		{ 52, "TLSA" },  { 64, "SVCB" }, { 65, "HTTPS" }, { 250, "TSIG" }, { 251, "IXFR" },
		{ 252, "AXFR" }, { 255, "ANY" }, { 257, "CAA" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].type == type)
			return names[i].text;
	return "unknown";
}

/* Writes as long as there is room; full stays set from the first write that does not fit. */
struct out {
	uint8_t *p;
	size_t n, cap;
	bool full;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (o->full || n > o->cap - o->n) {
		o->full = true;
		return;
	}
	if (n == 0)
		return;
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put16(struct out *o, uint32_t v)
{
	const uint8_t b[] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(o, b, sizeof(b));
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, v >> 16);
	put16(o, v & 0xffff);
}

/* A name as labels, not compressed. False: it is no name. */
static bool put_name(struct out *o, struct str name)
{
	if (name.n == 0 || name.n > DNS_NAME_MAX)
		return false;
	while (name.p) {
		struct str label = str_cut(&name, '.');
		uint8_t len = (uint8_t)label.n;

		if (label.n == 0 || label.n > LABEL_MAX)
			return false;
		put(o, &len, 1);
		put(o, label.p, label.n);
	}
	put(o, "", 1);
	return true;
}

/* The fixed part of a record that belongs to the name at offset owner. */
static void put_record(struct out *o, size_t owner, uint16_t type, uint32_t ttl_s, size_t data)
{
	put16(o, POINTER | (uint32_t)owner);
	put16(o, type);
	put16(o, DNS_CLASS_IN);
	put32(o, ttl_s);
	put16(o, (uint32_t)data);
}

static void put_opt(struct out *o, const struct dns_question *q)
{
	put(o, "", 1);
	put16(o, DNS_OPT);
	put16(o, DNS_UDP_OURS);
	put16(o, 0);
	put16(o, q->dnssec_ok ? EDNS_DO : 0);
	put16(o, 0);
}

static void poke16(struct out *o, size_t at, uint32_t v)
{
	o->p[at] = (uint8_t)(v >> 8);
	o->p[at + 1] = (uint8_t)v;
}

/* Header of a reply to query and, if there is one, its question. */
static void put_head(struct out *o, struct str query, struct str question, uint32_t flags)
{
	put(o, query.p, 2);
	put16(o, FLAG_QR | flags | (get16(query.p + 2) & (FLAG_OPCODE | FLAG_RD | FLAG_CD)));
	put16(o, question.n > 0);
	put32(o, 0);
	put16(o, 0);
	put(o, question.p, question.n);
}

/* Number of records that fit; all of them belong to the name at owner. */
static size_t put_addrs(struct out *o, size_t owner, const struct dns_question *q,
			const struct dns_answer *a)
{
	size_t skip = q->type == DNS_A ? 12 : 0, i;

	for (i = 0; i < a->n; i++) {
		size_t before = o->n;

		put_record(o, owner, q->type, a->ttl_s, 16 - skip);
		put(o, a->addrs[i].b + skip, 16 - skip);
		if (o->full) {
			o->n = before;
			break;
		}
	}
	return i;
}

size_t dnsmsg_answer(uint8_t *buf, size_t cap, struct str query, const struct dns_question *q,
		     const struct dns_answer *a)
{
	size_t owner = DNS_HEADER, records = 0, tail = q->edns ? OPT_LEN : 0, fit;
	struct out o = { .p = buf, .cap = cap };
	uint32_t flags = FLAG_AA | FLAG_RA;

	if (cap < tail)
		return 0;
	o.cap = cap - tail;
	put_head(&o, query, (struct str){ query.p + DNS_HEADER, q->end - DNS_HEADER }, flags);
	if (a->cname.n) {
		size_t at = o.n;

		/* The length of the name as data: its text, one more in front, one behind. */
		put_record(&o, owner, DNS_CNAME, a->ttl_s, a->cname.n + 2);
		owner = o.n;
		if (!put_name(&o, a->cname))
			return 0;
		if (o.full)
			o.n = at;
		records += !o.full;
	}
	if (o.n < q->end)
		return 0;
	fit = put_addrs(&o, owner, q, a);
	records += fit;
	if (o.full)
		poke16(&o, 2, ((uint32_t)o.p[2] << 8 | o.p[3]) | FLAG_TC);
	poke16(&o, 6, (uint32_t)records);
	if (!q->edns)
		return o.n;
	o.cap = cap;
	o.full = false;
	put_opt(&o, q);
	poke16(&o, 10, 1);
	return o.n;
}

size_t dnsmsg_refuse(uint8_t *buf, size_t cap, struct str query, enum dns_rcode rcode)
{
	struct out o = { .p = buf, .cap = cap };
	struct str question = { 0 };
	struct header h;

	if (!header_read(query, &h) || h.flags & FLAG_QR)
		return 0;
	if (h.questions == 1)
		question = question_bytes(query);
	put_head(&o, query, question, FLAG_RA | (uint32_t)rcode);
	return o.full ? 0 : o.n;
}

static bool same_question(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool dnsmsg_is_reply(struct str query, struct str reply)
{
	struct header q, r;

	if (!header_read(query, &q) || !header_read(reply, &r))
		return false;
	if (!(r.flags & FLAG_QR) || r.id != q.id || (r.flags ^ q.flags) & FLAG_OPCODE)
		return false;
	if (!r.questions || !q.questions || !question_bytes(query).n)
		return true;
	return same_question(question_bytes(query), question_bytes(reply));
}
