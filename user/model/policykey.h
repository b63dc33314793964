/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * By what the rules of policies are found. A rule that can only hold for one principal is filed
 * under this principal, so that a connection looks only at rules that may hold for it; what
 * fits no kind is filed under KEY_ANY and looked at by every connection of its scope. The
 * policy room asks with the same hashes; a hit says "may hold", the rule itself decides.
 *
 * Kinds that narrow little can have long lists. There, rules with the same guard, one of their
 * clauses, are a group: a directory names the first rule of each, and where its guard does not
 * hold, none of them does. So of 100,000 rules that all exclude the same callers, a connection
 * of such a caller looks at one.
 */
#include "base/hmap.h"
#include "model/types.h"

enum policy_key {
	KEY_NAME,  /* the policy itself, by its key */
	KEY_BOUND, /* all policies of a scope */
	KEY_ALLOW, /* those of them that allow, and decide */
	KEY_DRY_RUN, /* those that would, were they no dry run */
	KEY_DIRECTORY, /* the first rule of each group of a list */
	KEY_ANY,
	KEY_PRINCIPAL,
	KEY_SERVICE_ACCOUNT,
	KEY_NAMESPACE,
	KEY_SOURCE, /* as many as there are widths, see key_source() */
	KEY_PORT = KEY_SOURCE + 4,
	KEY_KINDS,
};
#define KEY_SOURCE_WIDTHS 4

/* ns NULL: the whole mesh. */
uint64_t key_hash(const char *ns, enum policy_action action, enum policy_key kind, uint64_t value);

static inline uint64_t key_text(struct str s)
{
	return hash_str(s);
}

static inline uint64_t key_pair(struct str ns, struct str name)
{
	return hash_str(ns) * 31 + hash_str(name);
}

static inline uint64_t key_port(uint16_t port)
{
	return hash_bytes(&port, sizeof(port));
}

/* The range of this width (0 is the widest: /8 of IPv4, /32 of IPv6) that has the address. */
uint64_t key_source(const struct weft_addr *a, size_t width);

/* A rule in the list of its policy: it cannot hold for a connection that has not this key. */
struct filed_rule {
	/* guard: hash of a clause under a key that nobody outside knows, so that two clauses do
	 * not share one; 0 none. */
	uint64_t value, guard;
	uint32_t rule; /* index; the list is in this order */
	uint8_t kind;  /* enum policy_key */
	uint8_t clause; /* with guard: which of the rule's */
};

/* Where the rules of a group are, and where the groups of a list. */
uint64_t key_group(const char *ns, enum policy_action action, const struct filed_rule *f);
uint64_t key_directory(const char *ns, enum policy_action action, enum policy_key kind,
		       uint64_t value);

/* The keys under which a rule is to be filed; none if it can never hold. More than max: the
 * rest is not written, the number is right. */
struct rule_key {
	enum policy_key kind;
	uint64_t value;
};
size_t rule_keys(const struct rule *rule, struct rule_key *ret, size_t max);
/* Sets p->filed, if it is not set: before p is seen by others. -ENOMEM. */
int policy_file(struct policy *p);
