/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ids of named things: the same name gets the same id as long as the process lives, no id is
 * given to two names. Ids may be adopted by address: the first name that comes with that
 * address takes it. Not thread safe; model owns one table per kind.
 */
#include "base/hmap.h"
#include "base/ip.h"

struct ids {
	struct hmap by_name, adopted;
	struct hmap taken; /* adopted ids that have a name, until the end of adoption */
	uint32_t last; /* highest id given or adopted so far */
	uint64_t round; /* of ids_forget() */
};

void ids_fini(struct ids *t);
/* The same address again replaces its id; -EINVAL for id 0. */
int ids_adopt(struct ids *t, const struct weft_ep *ep, uint32_t id);
/* addrs are {address, port} pairs under which an id may have been adopted. A name that has no id yet is not
 * remembered: names are many, and known elsewhere as long as they are in use; ids_keep() says when one is not in
 * use any more. -ENOSPC when the numbers are used up. */
int ids_lend(struct ids *t, struct str name, const struct weft_addr *addrs, size_t n_addrs,
	     uint16_t port, uint32_t *ret);
/* This name has this id, if it comes again. Out of memory: it gets another one then. */
void ids_keep(struct ids *t, struct str name, uint32_t id);
/* Adopted ids nobody took are not offered any more. */
void ids_adoption_end(struct ids *t);
/* Called after each publish: names that were neither kept nor asked for since the last call are dropped when
 * there are very many, so that pods that come and go do not fill the memory. Their ids are not given again. */
void ids_forget(struct ids *t);
