/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Options of weftd, docs/configuration.md in code: one table (opts.c) gives each key its type,
 * limits, default and help; file, environment and flags all go through it. Flags win over the
 * environment, that over the file, that over the default.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/errbuf.h"
#include "base/log.h"

#define OPTS_FILE_DEFAULT "/etc/weft/weft.yaml"
#define OPTS_ISTIO_ROOT "/var/run/secrets/istio/root-cert.pem"
#define OPTS_ISTIOD_PORT 15012

/* What the command line asks for. */
enum opts_action { OPTS_RUN, OPTS_CHECK, OPTS_HELP, OPTS_VERSION };

enum opts_guard { OPTS_GUARD_AUTO, OPTS_GUARD_XDP, OPTS_GUARD_TCX, OPTS_GUARD_OFF, OPTS_GUARD_MAX };
enum opts_same_node { OPTS_DIRECT, OPTS_MTLS, OPTS_SAME_NODE_MAX };
enum opts_certificates { OPTS_CERTS_CA, OPTS_CERTS_FILES, OPTS_CERTS_ISTIO, OPTS_CERTS_MAX };
enum opts_aead { OPTS_AEAD_AUTO, OPTS_AEAD_IPSEC_MB, OPTS_AEAD_OPENSSL, OPTS_AEAD_MAX };
enum opts_confine { OPTS_CONFINE_ON, OPTS_CONFINE_OFF, OPTS_CONFINE_MAX };
/* As it was written; see opts_is_on(). */
enum opts_switch { OPTS_SWITCH_ON, OPTS_SWITCH_OFF, OPTS_SWITCH_TRUE, OPTS_SWITCH_FALSE, OPTS_SWITCH_MAX };
enum opts_format { OPTS_TEXT, OPTS_JSON, OPTS_FORMAT_MAX };

static inline bool opts_is_on(unsigned word)
{
	return word == OPTS_SWITCH_ON || word == OPTS_SWITCH_TRUE;
}

#define OPTS_KEYS 47

/* Effective values. Text is never NULL after opts_parse() and owned by the struct. */
struct opts {
	enum opts_action action;

	char *node;
	char *mesh_file;
	char *run_dir;
	char *zds; /* istio-cni's socket, or "": off */
	char *pin_dir; /* WEFT_PIN_ROOT/<node> unless given */
	char *cgroup; /* a folder on cgroup2, exists */
	char *uplink; /* interface name or "none" */
	char *certificates_dir;
	char *ca_crl; /* absolute path, or "": no revocation lists */
	char *trust_domain;
	char *cluster;
	char *preferred_ns; /* "": none */
	char *cluster_domain; /* lower case, without dots around it */
	char *access_log; /* "-", "off" or a path */
	char *local_congestion; /* "": the system's */
	char *xds_address; /* "": the mesh file */
	char *xds_root_ca, *ca_root_ca; /* path, PEM text or "SYSTEM" */
	char *xds_alt_hostname, *ca_alt_hostname; /* "": none */
	char *ca_address; /* "": that of xds */
	char *auth_token; /* path or the token; "": none */
	char *network, *pod_name, *pod_namespace, *service_account, *instance_ip;

	uint32_t workers;
	uint32_t mesh_addresses;
	uint32_t tunnel_connections; /* 0: no limit */
	uint32_t uplink_guard; /* enum opts_guard */
	uint32_t same_node; /* enum opts_same_node */
	uint32_t certificates; /* enum opts_certificates */
	uint32_t aead; /* enum opts_aead */
	uint32_t confine; /* enum opts_confine */
	uint32_t dns, xds_on_demand; /* enum opts_switch */
	uint32_t access_log_format, log_format; /* enum opts_format */
	uint32_t log_level; /* enum log_level */
	uint64_t certificate_ttl_ns;
	uint64_t tunnel_ping_ns, keepalive_ns;
	uint64_t drain_ns; /* 0: relayed connections are reset at once */
	uint16_t metrics_port, ready_port, admin_port; /* 0: off */

	/* Where each value is from, in the table's order: "default", "file:line", "WEFT_X", "--x". */
	char *source[OPTS_KEYS];
};

/* Reads file, environment and flags and checks it all. *ret is untouched on failure (-EINVAL
 * and the like, err says file, line and key). With OPTS_HELP and OPTS_VERSION nothing but
 * action is filled. */
int opts_parse(int argc, char **argv, struct opts *ret, struct errbuf *err);
void opts_fini(struct opts *o);
/* Is this variable one of ztunnel's that a key reads as it is? */
bool opts_reads(const char *name);
/* The effective values as a weft.yaml, each with its source as a comment. */
void opts_print(const struct opts *o, FILE *f);
void opts_help(FILE *f);
