/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The kernel's record layer (CONFIG_TLS) for a session of tls/record: takes one direction's
 * state in mid-stream and lets the socket seal or open records from there on. Used by the probe
 * of `weft check`, the tests and the cost measurement; tunnels do not use it, see
 * docs/decisions/0018-ktls.md. No state; any thread.
 *
 * Not what tls/record does: before Linux 6.14 a direction given to the kernel has one key for
 * ever. A KeyUpdate of the peer makes what follows unreadable (-EBADMSG), one of our own cannot be
 * followed by a new key (-EBUSY), so such a session has to end instead.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tls/record.h"

/*
 * Gives one direction of an established TCP socket to the kernel; d stays the caller's. For rx
 * the next byte that the kernel has received must be the first of record d->seq. A second call
 * for the same direction is the step behind a KeyUpdate: -EBUSY before Linux 6.14. -ENOENT: no
 * kTLS in this kernel; -ENOTSUP: not for this suite; -EBUSY also in the middle of a
 * post-handshake message, -ENOTCONN, or what setsockopt(2) says.
 */
int ktls_start(int fd, const struct record_dir *d, bool tx);

/* One record of another type than data (an alert, a KeyUpdate), or an error. */
ssize_t ktls_send(int fd, const void *p, size_t n, enum record_type type);
/* Plaintext of one type; at most what one record holds if that is not data. 0 at the end. */
ssize_t ktls_recv(int fd, void *p, size_t n, enum record_type *ret_type);

/* Really tries: a connection of loopback, both directions, one record each way. 0, or -errno
 * as ktls_start(). */
int ktls_probe(uint16_t suite);
