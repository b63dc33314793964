/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files that a lab is run by, made from its description. */
#include <jansson.h>

#include "base/errbuf.h"

struct lab_env;
struct lab_spec;
struct lab_node;

/* New references; NULL: no memory. */
json_t *gen_mesh(const struct lab_spec *s);
json_t *gen_weftd(const struct lab_env *e, const struct lab_spec *s, const struct lab_node *n);

/* DIR/mesh.yaml, by rename. */
int gen_mesh_write(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err);
/* DIR/etc/{hosts.<namespace>, resolv.conf}, in place: they are bind mounted. */
int gen_etc_write(const struct lab_env *e, const struct lab_spec *s, struct errbuf *err);
