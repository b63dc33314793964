/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a lab file asks for, with the addresses that were allocated for it. Read by
 * lab_parse.c, used by everything else of the lab; plain data, one thread.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errbuf.h"
#include "base/str.h"
#include "weft/addr.h"

#define LAB_MAX_PER_NODE 250 /* pods of a node: the last byte of their IPv4 address */
#define LAB_MAX_NODES 250
#define LAB_DOMAIN "svc.cluster.local"

struct lab_node {
	char *name;
	unsigned int index; /* 1.. */
	struct weft_addr v4, v6;
};

struct lab_pod {
	char *ns, *name, *service_account, *app, *revision;
	char *protocol;	     /* as in the mesh file; NULL: from enrol */
	unsigned int node;   /* index into lab_spec.nodes.p */
	unsigned int slot;   /* 1.. on its node */
	unsigned int weight; /* 0: not said */
	bool enrol, start_before;
	json_t *labels;	  /* object of strings */
	json_t *command;  /* array of strings, NULL: none */
	json_t *policies; /* array of strings, NULL: none */
	json_t *mesh;	  /* object merged into the workload, NULL: none */
	struct weft_addr v4, v6;
};

struct lab_service {
	char *ns, *name, *hostname;
	bool headless;
	json_t *ports;	  /* object "80" -> 8080 */
	json_t *selector; /* object of strings */
	json_t *weights;  /* object pod name -> number, NULL: none */
	json_t *mesh;	  /* object merged into the service, NULL: none */
	unsigned int number; /* VIP: 10.96.0.0 + number; 0: none */
	struct weft_addr v4, v6;
};

struct lab_spec {
	struct lab_nodes {
		struct lab_node *p;
		size_t n, cap;
	} nodes;
	struct lab_pods {
		struct lab_pod *p;
		size_t n, cap;
	} pods;
	struct lab_services {
		struct lab_service *p;
		size_t n, cap;
	} services;
	uint32_t mtu;
	char *congestion;
	json_t *policies;  /* array, as they go into the mesh file */
	json_t *workloads; /* array: more workloads for the mesh file, without pods */
	json_t *weftd;	   /* object: keys for weftd.yaml */
};

/* Over nodes, pods or services; type says whether they may be changed. */
#define lab_for_each(type, pos, list) \
	for (type *pos = (list)->p; pos && pos < (list)->p + (list)->n; pos++)

/* Reads text; errors say "path:line: key: what". */
int lab_spec_parse(struct str text, const char *path, struct errbuf *err, struct lab_spec *ret);
int lab_spec_read(const char *path, struct errbuf *err, struct lab_spec *ret);
void lab_spec_fini(struct lab_spec *s);
/* Gives every service a VIP; those in vips (hostname -> number, may be NULL) keep theirs. */
int lab_spec_allocate(struct lab_spec *s, const json_t *vips, struct errbuf *err);

bool lab_service_selects(const struct lab_service *svc, const struct lab_pod *pod);
const struct lab_pod *lab_spec_pod(const struct lab_spec *s, struct str ns, struct str name);

/* The lab that `weft lab up` makes without a file; lab_default.c. */
extern const char lab_default_yaml[];
