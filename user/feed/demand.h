/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Parts of the mesh that are fetched when they are needed: who asks (a worker, for a connection
 * that waits), what was asked for under which name, and what became of it. Several who ask for
 * one name share one request. xds.c sends the requests and hears the answers; what is known at
 * all is in the model, never here.
 *
 * A name is what istiod calls it: "network/address", "namespace/hostname", or a workload's uid.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/str.h"

struct demand;
struct demand_ask; /* of one who asks */
struct loop;

#define DEMAND_NAME_MAX 512

/* control: the loop of the control thread, on which everything here runs but what ends in _any.
 * 0 or -ENOMEM. */
int demand_new(struct loop *control, struct demand **ret);
/* After the loops of all who ask have ended. */
void demand_free(struct demand **d);

struct demand_question {
	const char *name; /* copied */
	const struct weft_addr *addr; /* that the name is of; NULL: it is not an address */
	bool hurry; /* not worth waiting for while there is no control plane */
};

/*
 * From the thread of loop, on which fn is called once, at the earliest in its next turn:
 *	0           istiod has told something by this name, and it is in force
 *	-ENOENT     there is no such thing
 *	-EBADMSG    what was told is refused
 *	-ETIMEDOUT  no answer for DEMAND_WAIT_NS
 *	-ENOTCONN   no control plane, and it was in a hurry
 *	-ENOBUFS    too many names
 *	-EIO        what was told cannot be applied
 *	-ECANCELED  the daemon ends
 * An answer counts for DEMAND_KEEP_NS more: whoever asks meanwhile gets the same. *ret is for
 * demand_cancel() and ends with fn. 0 or -errno.
 */
int demand_ask_any(struct demand *d, struct loop *loop, const struct demand_question *q,
		   void (*fn)(void *arg, int r), void *arg, struct demand_ask **ret);
/* On the loop that asked: fn will not be called. Safe on NULL. */
void demand_cancel(struct demand_ask **a);

#define DEMAND_WAIT_NS (5 * 1000000000ull)
#define DEMAND_KEEP_NS (5 * 1000000000ull)
#define DEMAND_NAMES_MAX 4096 /* under way or remembered */

struct demand_stats {
	uint64_t asked; /* names sent to istiod */
	uint64_t waited, waited_ns; /* those who asked, and how long they did, in sum */
	uint64_t found, absent, refused, timeout, other; /* how that ended */
	size_t waiting; /* names without an answer */
	size_t outside; /* addresses that are known to be nobody's */
};
void demand_stats(const struct demand *d, struct demand_stats *ret);

/* Whoever keeps the kernel's tables: an address is nobody's from now on, or is not known to be. */
void demand_on_outside(struct demand *d, void (*fn)(void *arg, const struct weft_addr *a, bool on),
		       void *arg);

/* ---- for the client of the control plane ---- */

struct demand_ops {
	/* n names, to subscribe to or not to any more. 0 or -errno: later, with all names. */
	int (*send)(void *arg, const char *const *name, size_t n, bool subscribe);
	/* Is something held under this very name, and so subscribed to? */
	bool (*held)(void *arg, struct str name);
	bool (*connected)(void *arg); /* does it answer at all? */
};
void demand_attach(struct demand *d, const struct demand_ops *ops, void *arg);
void demand_detach(struct demand *d); /* all who wait get -ECANCELED */
/* A stream is there; fn gets the names that wait, which are sent with its first request. */
void demand_stream_begin(struct demand *d, void (*fn)(void *arg, const char *name), void *arg);
void demand_stream_end(struct demand *d);
/* Does anybody wait for this name? */
bool demand_waits(const struct demand *d, struct str name);
/* A complete message has said this about name: 0, -ENOENT or -EBADMSG. */
void demand_heard(struct demand *d, const char *name, int result);
/* What was heard so far is in force; r below 0: it is not, and will not be soon. */
void demand_settle(struct demand *d, int r);
