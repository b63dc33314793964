// SPDX-License-Identifier: Apache-2.0
/* Any text gives a sound tree or an error with a sentence. */
#include "base/bug.h"
#include "codec/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_node(const struct yaml *y, const struct yaml *parent, int depth)
{
	BUG_ON(depth > 64 || y->line < 1 || y->column < 1);
	BUG_ON(y->text.p[y->text.n] != '\0' || strlen(y->text.p) != y->text.n);
	BUG_ON(y->key.p[y->key.n] != '\0' || strlen(y->key.p) != y->key.n);
	BUG_ON((y->kind == YAML_NULL || y->kind == YAML_SCALAR) && y->n != 0);
	BUG_ON((y->kind == YAML_MAP || y->kind == YAML_LIST) && y->text.n != 0);
	BUG_ON(parent && parent->kind == YAML_MAP && yaml_get(parent, y->key.p) != y);
	for (size_t i = 0; i < y->n; i++)
		check_node(y->child[i], y, depth + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct errbuf err = { 0 };
	struct yaml *y = NULL;
	int r = yaml_parse((struct str){ (const char *)data, n }, "fuzz", &err, &y);

	BUG_ON((r < 0) != (y == NULL) || (r < 0) != (err.text[0] != '\0'));
	if (y)
		check_node(y, NULL, 0);
	yaml_free(&y);
	return 0;
}
