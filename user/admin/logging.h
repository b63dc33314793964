/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The query of /logging on the admin port. */
#include "base/errbuf.h"
#include "base/log.h"

/*
 * What ztunnel's tools send: "level=debug", "level=dns:debug,xds:warn", "level=info,dns=debug",
 * "reset" (everything is as at the start, before "level" counts); "" changes nothing. A level may
 * also be "warning", "off" and "critical" (error here) or "trace" (debug); of a component
 * "ztunnel::dns" the last part counts. All or nothing: -EINVAL with the sentence. Control thread.
 */
int logging_apply(const char *query, enum log_level at_start, struct errbuf *err);
