// SPDX-License-Identifier: Apache-2.0
/*
 * weft ca init: the root and the node intermediates of a mesh without another CA. Works on
 * files only, so that the root key can stay on a machine that runs no daemon.
 */
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "base/errbuf.h"
#include "base/own.h"
#include "base/str.h"
#include "client.h"
#include "ident/ca.h"

#define CA_DIR_DEFAULT "/etc/weft/ca"
#define DAY_S (24u * 3600)
#define ROOT_LIFE_S (3650ull * DAY_S)
#define NODE_LIFE_S (365ull * DAY_S)

static int complain(const struct errbuf *err)
{
	fprintf(stderr, "weft: %s\n", err->text[0] ? err->text : "cannot make the certificates");
	return EXIT_FAILED;
}

static void print_text(const struct cli *c, const char *dir, bool kept)
{
	printf("%s/root-cert.pem: %s\n", dir, kept ? "kept" : "new root");
	for (size_t i = 0; i < c->n_nodes; i++)
		printf("%s/%s-cert.pem: intermediate of node %s\n", dir, c->nodes[i], c->nodes[i]);
}

static void print_json(const struct cli *c, const char *dir, bool kept)
{
	_json_ json_t *reply = NULL;
	json_t *nodes = json_array();

	for (size_t i = 0; i < c->n_nodes; i++)
		json_array_append_new(nodes, json_string(c->nodes[i]));
	reply = json_pack("{s:b, s:s, s:b, s:o}", "ok", 1, "dir", dir, "root_kept", (int)kept,
			  "nodes", nodes);
	if (reply && json_dumpf(reply, stdout, JSON_INDENT(2)) == 0)
		putchar('\n');
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
		print_json(c, dir, kept);
	else
		print_text(c, dir, kept);
	return EXIT_DONE;
}
