/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What weftd takes away from itself. Used by main.c and wire.c; no state but that of the process.
 */
#include "base/errbuf.h"

/* Memory stays out of core dumps, and private keys in locked memory, from the next key on. Before
 * anything reads one. Never fails: what the machine refuses is logged. */
void confine_secrets(void);

/* Capabilities that are not needed any more, new privileges, and system calls that nobody here
 * makes. For the calling thread and all that it starts later, so before there are others; after
 * the kernel side is loaded. 0, or -errno with the sentence in err. */
int confine_process(struct errbuf *err);
