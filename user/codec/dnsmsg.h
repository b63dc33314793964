/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * DNS messages (RFC 1035), as far as a proxy needs them that answers addresses of names it knows
 * and passes on all else as it is: what is asked, an answer, a refusal, and whether a message is
 * the reply to another one. Pure functions, any thread; every byte they read is a stranger's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weft/addr.h"
#include "base/str.h"

#define DNS_HEADER 12u
#define DNS_MSG_MAX 65535u
#define DNS_UDP_MIN 512u  /* what every client takes over UDP (RFC 1035 2.3.4) */
#define DNS_UDP_OURS 1232u /* what we say that we take, see RFC 9715 3.2 */
#define DNS_NAME_MAX 253u /* as text, without the final dot */

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_AAAA = 28, DNS_OPT = 41 };
enum dns_rcode { DNS_NOERROR = 0, DNS_SERVFAIL = 2, DNS_REFUSED = 5 };
#define DNS_CLASS_IN 1u

struct dns_question {
	char name[DNS_NAME_MAX + 1]; /* lower case, no final dot; "" is the root */
	size_t name_len;
	size_t end; /* offset behind the question in the message */
	uint16_t type, cls;
	bool edns, dnssec_ok;
	uint16_t udp_size; /* that the client takes, at least DNS_UDP_MIN */
};

/*
 * A message with one question that could be answered from a table: QUERY (RFC 1035 4.1.1), one
 * question whose labels are printable and hold no dot, and behind it nothing but an OPT record of
 * version 0 (RFC 6891). -ENOTSUP: another message; somebody else may understand it. -EBADMSG:
 * shorter than a header, or a response.
 */
int dnsmsg_parse(struct str msg, struct dns_question *ret);

/* What a message of any kind asks, for counting: the type of its first question; 0: none to be
 * read. */
uint16_t dnsmsg_type(struct str msg);
/* "A", "SRV", ...; "unknown" for what has no name here, so the words are bounded. */
const char *dnsmsg_type_text(uint16_t type);

struct dns_answer {
	struct str cname; /* the name that has the addresses, as text; n == 0: the one asked for */
	const struct weft_addr *addrs; /* all of the family that is asked for */
	size_t n;
	uint32_t ttl_s;
};

/* The answer to query, of which q was parsed, in cap bytes; authoritative, NOERROR. Addresses that
 * do not fit are left out and TC is set (RFC 2181 9). Length; 0: cap is below what header and
 * question need, or cname is no name. */
size_t dnsmsg_answer(uint8_t *buf, size_t cap, struct str query, const struct dns_question *q,
		     const struct dns_answer *a);
/* A reply without records to any message that has a header. Length; 0: there is nothing to reply
 * to, or cap is too small. */
size_t dnsmsg_refuse(uint8_t *buf, size_t cap, struct str query, enum dns_rcode rcode);

/* Is reply one to query? Id, QR and opcode agree, and so does the question if reply has any. */
bool dnsmsg_is_reply(struct str query, struct str reply);
