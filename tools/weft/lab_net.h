/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The network of a lab: fabric, nodes and pods as network namespaces, and their end. */
#include "base/errbuf.h"

struct lab_env;
struct lab_spec;

int net_build(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err);
/* Removes every namespace /var/run/netns/NAME-* and kills what still runs in one; gives how
 * many there were. */
int net_remove(const struct lab_env *e);
