/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * state.json: what stands, for commands that run later. {name, complete, weftd, file,
 * nodes[{name, ips[]}], pods[{namespace, name, node, ips[], enrol, app}], vips{hostname: n}}
 */
#include <jansson.h>
#include <stdbool.h>

#include "base/errbuf.h"

struct lab_env;
struct lab_spec;

/* weftd NULL: a lab without daemons. */
int state_write(const struct lab_env *e, const struct lab_spec *s, const char *weftd,
		bool complete, struct errbuf *err);
/* New reference; NULL with the sentence when there is no lab. */
json_t *state_read(const struct lab_env *e, struct errbuf *err);

/* Borrowed from the state; NULL with the sentence. pod is NAME or NAMESPACE/NAME. */
const json_t *state_node(const json_t *state, const char *name, struct errbuf *err);
const json_t *state_pod(const json_t *state, const char *pod, struct errbuf *err);
const char *state_text(const json_t *object, const char *key); /* "" if absent */
