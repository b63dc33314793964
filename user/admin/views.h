/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rows of the model and of the certificates as JSON, as docs/control.md lists them; the same
 * for the control socket and for the admin port. Words are those of ztunnel's config dump:
 * protocol HBONE|TCP, status Healthy|Unhealthy, scope Global|Namespace|WorkloadSelector, action
 * Allow|Deny. Each gives a new array, or NULL when out of memory. Control thread; the
 * snapshot must stay valid during the call, nothing of it is kept.
 */
#include <jansson.h>

struct snap;
struct ident_store;

json_t *view_workloads(const struct snap *s);
json_t *view_services(const struct snap *s);
json_t *view_policies(const struct snap *s);
/* Policies that workloads name and nobody has: [{policy, count, workloads[] (a few)}]. */
json_t *view_missing_policies(const struct snap *s);
json_t *view_certs(struct ident_store *s);
/* A JSON string; bytes that are not UTF-8 become '?', NULL becomes "". */
json_t *view_text(const char *s);
