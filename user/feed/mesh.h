/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Inside of the feed room: the tables of the mesh file's parts, as elements of lists. */
#include "feed/decode.h"

#define MESH_WORKLOADS_MAX 2000000
#define MESH_SERVICES_MAX 500000
#define MESH_POLICIES_MAX 100000
#define MESH_ITEMS_MAX 65536 /* of any list inside of them */

extern const struct field workload_labels; /* into a struct workload */
/* A struct string_match: "x", "x*", "*x" or "*"; principals besides not with "spiffe://". */
int read_text_match(struct decode *d, const struct at *at, const struct yaml *y,
		    const struct field *f, void *obj);
int read_principal_match(struct decode *d, const struct at *at, const struct yaml *y,
			 const struct field *f, void *obj);
extern const struct field mesh_workload, mesh_service, mesh_policy;

/* waypoint: text, or ztunnel's {destination, hboneMtlsPort}; stored as text. */
int read_waypoint(struct decode *d, const struct at *at, const struct yaml *y,
		  const struct field *f, void *obj);
