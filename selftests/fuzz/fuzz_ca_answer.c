// SPDX-License-Identifier: Apache-2.0
/*
 * What a CA answers. First byte even: the message is the input. Odd: each further byte is one
 * certificate of a message, good ones among them, so that what comes behind the decoder is
 * reached. An identity is accepted only if it is the one that was asked for.
 */
#include <string.h>

#include "base/bug.h"
#include "base/own.h"
#include "codec/pb.h"
#include "ident/answer.h"
#include "unit/tls_pki.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define URI "spiffe://td/ns/n/sa/a"

static struct pki_ca root, other;
static struct pki_leaf leaf, late, stranger;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	pki_ca_init(&root, "root");
	pki_ca_init(&other, "other");
	pki_leaf_init(&leaf, &root, &(struct pki_opts){ .uri = URI });
	pki_leaf_init(&late, &root,
		      &(struct pki_opts){ .uri = URI, .from_s = -7200, .until_s = -3600 });
	pki_leaf_init(&stranger, &root, &(struct pki_opts){ .uri = "spiffe://td/ns/n/sa/b" });
	return 0;
}

static void ask(struct str message, const struct answer_to *to)
{
	struct source_cert c = { 0 };
	struct errbuf err = { 0 };

	if (answer_read(message, to, &err, &c) < 0) {
		BUG_ON(c.id || !err.text[0]);
		return;
	}
	BUG_ON(strcmp(tls_identity_uri(c.id), to->uri) != 0);
	BUG_ON(c.begin_ms >= c.end_ms || !c.digest || !c.roots);
	tls_identity_put(&c.id);
}

static void chains(const uint8_t *data, size_t size, const struct answer_to *to)
{
	const char *const texts[] = { leaf.chain_pem, root.pem,		  late.chain_pem,
				      other.pem,      stranger.chain_pem, "" };
	struct pb_writer w = { 0 };
	struct str message;

	for (size_t i = 0; i < size && i < 20; i++)
		pb_put_text(&w, 1, texts[data[i] % ARRAY_LEN(texts)]);
	if (pb_written(&w, &message) == 0)
		ask(message, to);
	pb_writer_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct answer_to to = { .uri = URI, .key_pem = leaf.key_pem };

	if (size == 0)
		return 0;
	if (data[0] & 2)
		to.key_pem = data[0] & 4 ? late.key_pem : stranger.key_pem;
	if (data[0] & 1)
		chains(data + 1, size - 1, &to);
	else
		ask((struct str){ (const char *)data + 1, size - 1 }, &to);
	return 0;
}
