// SPDX-License-Identifier: Apache-2.0
/*
 * weft ca init|revoke|revoked: the root and the node intermediates of a mesh without another CA, and
 * what they take back. Works on files only, so that the root key can stay on a machine that runs no
 * daemon.
 */
#include <jansson.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/errbuf.h"
#include "base/own.h"
#include "base/str.h"
#include "client.h"
#include "ident/ca.h"
#include "ident/ca_revoke.h"

#define CA_DIR_DEFAULT "/etc/weft/ca"
#define DAY_S (24u * 3600)
#define ROOT_LIFE_S (3650ull * DAY_S)
#define NODE_LIFE_S (365ull * DAY_S)

static int complain(const struct errbuf *err)
{
	fprintf(stderr, "weft: %s\n", err->text[0] ? err->text : "the certificates cannot be made or read");
	return EXIT_FAILED;
}

static void print_text(const struct cli *c, const char *dir, bool kept)
{
	printf("%s/root-cert.pem: %s\n", dir, kept ? "kept" : "new root");
	for (size_t i = 0; i < c->n_nodes; i++)
		printf("%s/%s-cert.pem: intermediate of node %s\n", dir, c->nodes[i], c->nodes[i]);
}

static void print_made(const struct cli *c, const char *dir, bool kept)
{
	_json_ json_t *reply = NULL;
	json_t *nodes = json_array();

	for (size_t i = 0; i < c->n_nodes; i++)
		json_array_append_new(nodes, json_string(c->nodes[i]));
	reply = json_pack("{s:b, s:s, s:b, s:o}", "ok", 1, "dir", dir, "root_kept", (int)kept,
			  "nodes", nodes);
	print_json(reply);
}

int cmd_ca_init(const struct cli *c)
{
	const char *dir = c->dir ? c->dir : CA_DIR_DEFAULT;
	const char *domain = c->trust_domain ? c->trust_domain : "cluster.local";
	_free_ char *root = str_printf("%s/root-cert.pem", dir);
	struct errbuf err = { 0 };
	bool kept;

	if (!root)
		return complain(&err);
	kept = access(root, F_OK) == 0;
	/* Kept when it is there: nodes are added to a mesh one by one. */
	if (ca_init_root(dir, domain, ROOT_LIFE_S, true, &err) < 0)
		return complain(&err);
	for (size_t i = 0; i < c->n_nodes; i++)
		if (ca_init_node(dir, c->nodes[i], NODE_LIFE_S, &err) < 0)
			return complain(&err);
	if (c->json)
		print_made(c, dir, kept);
	else
		print_text(c, dir, kept);
	return EXIT_DONE;
}

static json_t *revoked_json(const struct ca_revoked *r)
{
	return json_pack("{s:s, s:s, s:I, s:I}", "issuer", r->issuer, "serial", r->serial,
			 "revoked_s", (json_int_t)r->revoked_s, "next_update_s",
			 (json_int_t)r->next_update_s);
}

int cmd_ca_revoke(const struct cli *c)
{
	const char *dir = c->dir ? c->dir : CA_DIR_DEFAULT;
	struct ca_revoked r = { 0 };
	struct errbuf err = { 0 };
	_json_ json_t *reply = NULL;
	bool was = false;

	if (c->n_nodes > 1) {
		fprintf(stderr, "weft: a certificate has one issuer: one --node\n");
		return EXIT_USAGE;
	}
	if (ca_revoke(dir, c->n_nodes ? c->nodes[0] : NULL, c->args[0], &err, &r, &was) < 0)
		return complain(&err);
	if (!c->json) {
		printf("%s/" CA_CRL_NAME ": %s of %s %s\n", dir, r.serial, r.issuer,
		       was ? "was revoked before" : "is revoked");
		return EXIT_DONE;
	}
	reply = revoked_json(&r);
	if (reply)
		json_object_set_new(reply, "was_revoked", json_boolean(was));
	print_json(reply);
	return EXIT_DONE;
}

static void revoked_print(const struct ca_revoked *all, size_t n)
{
	char when[32];
	struct tm tm;

	if (n == 0)
		printf("nothing is revoked\n");
	else
		printf("%-20s  %-20s  SERIAL\n", "REVOKED", "ISSUER");
	for (size_t i = 0; i < n; i++) {
		time_t t = (time_t)all[i].revoked_s;

		gmtime_r(&t, &tm);
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
		printf("%-20s  %-20s  %s\n", when, all[i].issuer, all[i].serial);
	}
}

int cmd_ca_revoked(const struct cli *c)
{
	const char *dir = c->dir ? c->dir : CA_DIR_DEFAULT;
	_free_ struct ca_revoked *all = NULL;
	_json_ json_t *list = json_array();
	struct errbuf err = { 0 };
	size_t n = 0;

	if (ca_revoked_list(dir, &err, &all, &n) < 0)
		return complain(&err);
	if (!c->json) {
		revoked_print(all, n);
		return EXIT_DONE;
	}
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, revoked_json(&all[i]));
	print_json(list);
	return EXIT_DONE;
}
