// SPDX-License-Identifier: Apache-2.0
/*
 * codec/yaml: events of libyaml -> tree. Used by feed/ (mesh file), daemon/ (configuration)
 * and the CLI. The tree owns everything; a node is one allocation with its key and text.
 *
 * What YAML can do and a configuration does not need (tags, merge keys, keys that are not
 * text, several documents) is an error with its place rather than a surprise. Depth, nodes,
 * anchors and bytes are limited, so that a small hostile file cannot become a large tree.
 * Recursion over a tree is bounded by DEPTH_MAX.
 */
#include "codec/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <yaml.h>

#include "base/own.h"
#include "base/vec.h"

#define INPUT_MAX (64u << 20)
#define TEXT_MAX (128u << 20) /* keys and text of all nodes, copies by aliases included */
#define NODES_MAX 4000000u
#define DEPTH_MAX 64
#define ANCHORS_MAX 1024u
#define SORT_ABOVE 16 /* smaller maps are checked for duplicate keys by comparing all pairs */

struct anchor {
	char *name;
	struct yaml *node;
};

struct open_node {
	struct yaml *node;
	size_t cap; /* of node->child */
};

/* Everything that must go away when parsing ends, well or not. */
struct builder {
	yaml_parser_t parser;
	const char *path;
	struct errbuf *err;
	struct yaml *root;
	struct open_node open[DEPTH_MAX];
	size_t depth;
	yaml_event_t key; /* scalar waiting for its value */
	bool have_key, documents;
	bool many; /* the root is the list of all documents */
	size_t nodes, text_bytes;
	VEC(struct anchor) anchors;
};

static void anchors_forget(struct builder *b)
{
	vec_for_each(a, &b->anchors)
		free(a->name);
	vec_fini(&b->anchors);
}

static void builder_fini(struct builder *b)
{
	anchors_forget(b);
	if (b->have_key)
		yaml_event_delete(&b->key);
	yaml_free(&b->root);
	yaml_parser_delete(&b->parser);
}
#define _builder_ cleanup_with(builder_fini)

static void event_fini(yaml_event_t *ev)
{
	yaml_event_delete(ev);
}
#define _event_ cleanup_with(event_fini)

static int fail_at(struct builder *b, const yaml_mark_t *at, const char *what)
{
	return errbuf_set(b->err, -EINVAL, "%s:%zu:%zu: %s", b->path, at->line + 1, at->column + 1,
			  what);
}

static int fail_memory(struct builder *b)
{
	return errbuf_set(b->err, -ENOMEM, "%s: out of memory", b->path);
}

void yaml_free(struct yaml **y_p)
{
	struct yaml *y = *y_p;

	if (!y)
		return;
	for (size_t i = 0; i < y->n; i++)
		yaml_free(&y->child[i]);
	free(y->child);
	free(y);
	*y_p = NULL;
}

const struct yaml *yaml_get(const struct yaml *map, const char *key)
{
	struct str want = str_of(key);

	if (!map || map->kind != YAML_MAP)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		if (str_eq(map->child[i]->key, want))
			return map->child[i];
	return NULL;
}

/* ---- nodes ---- */

static struct str store(char **at, struct str s)
{
	struct str copy = { *at, s.n };

	if (s.n)
		memcpy(*at, s.p, s.n);
	(*at)[s.n] = '\0';
	*at += s.n + 1;
	return copy;
}

static int node_new(struct builder *b, const struct yaml *like, const yaml_mark_t *at,
		    struct yaml **ret)
{
	size_t bytes = like->key.n + like->text.n;
	struct yaml *y;
	char *tail;

	if (++b->nodes > NODES_MAX)
		return fail_at(b, at, "too many values");
	if (bytes > TEXT_MAX - b->text_bytes)
		return fail_at(b, at, "too much text");
	b->text_bytes += bytes;
	y = malloc(sizeof(*y) + bytes + 2);
	if (!y)
		return fail_memory(b);
	tail = (char *)(y + 1);
	*y = (struct yaml){
		.kind = like->kind,
		.quoted = like->quoted,
		.line = (int)at->line + 1,
		.column = (int)at->column + 1,
		.key = store(&tail, like->key),
		.text = store(&tail, like->text),
	};
	*ret = y;
	return 0;
}

static int child_add(struct builder *b, struct yaml *parent, size_t *cap, struct yaml *y)
{
	if (vec_grow((void **)&parent->child, cap, parent->n + 1, sizeof(struct yaml *)) < 0)
		return fail_memory(b);
	parent->child[parent->n++] = y;
	return 0;
}

/* Makes a node of this kind and hangs it where the document is now. */
static int node_place(struct builder *b, const struct yaml *like, const yaml_mark_t *at,
		      struct yaml **ret)
{
	struct open_node *in = b->depth ? &b->open[b->depth - 1] : NULL;
	struct yaml named = *like, *y = NULL;
	int r;

	named.key = (struct str){ 0 };
	if (b->have_key) {
		named.key = (struct str){ (char *)b->key.data.scalar.value,
					  b->key.data.scalar.length };
		at = &b->key.start_mark;
	}
	r = node_new(b, &named, at, &y);
	if (r == 0 && in)
		r = child_add(b, in->node, &in->cap, y);
	if (r < 0) {
		yaml_free(&y);
		return r;
	}
	if (!in)
		b->root = y;
	if (b->have_key) {
		yaml_event_delete(&b->key);
		b->have_key = false;
	}
	*ret = y;
	return 0;
}

/* ---- anchors ---- */

static int anchor_set(struct builder *b, const yaml_char_t *name, const yaml_mark_t *at,
		      struct yaml *node)
{
	struct str want = str_of((const char *)name);
	struct anchor a = { .node = node };

	if (!name)
		return 0;
	vec_for_each(old, &b->anchors) {
		if (str_eq(str_of(old->name), want)) {
			old->node = node; /* YAML: the latest one counts */
			return 0;
		}
	}
	if (b->anchors.n >= ANCHORS_MAX)
		return fail_at(b, at, "too many anchors");
	a.name = str_dup(want);
	if (!a.name || vec_push(&b->anchors, a) < 0) {
		free(a.name);
		return fail_memory(b);
	}
	return 0;
}

/* Copies the children of from; depth counts the levels above them. */
static int children_copy(struct builder *b, const struct yaml *from, struct yaml *to, size_t depth,
			 const yaml_mark_t *at)
{
	size_t cap = 0;

	if (from->n && depth >= DEPTH_MAX)
		return fail_at(b, at, "nested too deeply");
	for (size_t i = 0; i < from->n; i++) {
		const struct yaml *child = from->child[i];
		yaml_mark_t origin = { .line = (size_t)child->line - 1,
				       .column = (size_t)child->column - 1 };
		struct yaml *copy = NULL;
		int r = node_new(b, child, &origin, &copy);

		if (r == 0)
			r = child_add(b, to, &cap, copy);
		if (r < 0) {
			yaml_free(&copy);
			return r;
		}
		r = children_copy(b, child, copy, depth + 1, at);
		if (r < 0)
			return r;
	}
	return 0;
}

static int on_alias(struct builder *b, const yaml_event_t *ev)
{
	struct str want = str_of((const char *)ev->data.alias.anchor);
	const yaml_mark_t *at = &ev->start_mark;
	struct yaml *y, *from = NULL;
	int r;

	vec_for_each(a, &b->anchors)
		if (str_eq(str_of(a->name), want))
			from = a->node;
	if (!from)
		return fail_at(b, at, "alias without anchor");
	for (size_t i = 0; i < b->depth; i++)
		if (b->open[i].node == from)
			return fail_at(b, at, "alias of something it is part of");
	r = node_place(b, from, at, &y);
	return r < 0 ? r : children_copy(b, from, y, b->depth + 1, at);
}

/* ---- events ---- */

static bool awaits_key(const struct builder *b)
{
	return b->depth && b->open[b->depth - 1].node->kind == YAML_MAP && !b->have_key;
}

static bool is_null_word(struct str s)
{
	return s.n == 0 || str_eq(s, STR("~")) || str_eq(s, STR("null")) ||
	       str_eq(s, STR("Null")) || str_eq(s, STR("NULL"));
}

/* Only !!str ("this is text") has a meaning here. */
static int tag_check(struct builder *b, const yaml_event_t *ev, const yaml_char_t *tag)
{
	if (!tag ||
	    (ev->type == YAML_SCALAR_EVENT && str_eq(str_of((const char *)tag), STR(YAML_STR_TAG))))
		return 0;
	return fail_at(b, &ev->start_mark, "tags are not supported");
}

/* Takes the event over on success. */
static int on_key(struct builder *b, yaml_event_t *ev)
{
	const yaml_mark_t *at = &ev->start_mark;
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct str text = { (char *)ev->data.scalar.value, ev->data.scalar.length };

	if (ev->data.scalar.anchor)
		return fail_at(b, at, "anchors on keys are not supported");
	if (plain && text.n == 0)
		return fail_at(b, at, "a key is missing before ':'");
	if (plain && str_eq(text, STR("<<")))
		return fail_at(b, at, "merge keys (<<) are not supported");
	b->key = *ev;
	b->have_key = true;
	*ev = (yaml_event_t){ 0 };
	return 0;
}

static int on_scalar(struct builder *b, yaml_event_t *ev)
{
	struct yaml like = { .kind = YAML_SCALAR }, *y;
	int r = tag_check(b, ev, ev->data.scalar.tag);

	if (r < 0)
		return r;
	like.text = (struct str){ (char *)ev->data.scalar.value, ev->data.scalar.length };
	if (memchr(like.text.p, '\0', like.text.n))
		return fail_at(b, &ev->start_mark, "NUL characters are not allowed");
	if (awaits_key(b))
		return on_key(b, ev);
	/* plain_implicit is off if a tag says that plain text is text. */
	like.quoted = ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
		      !ev->data.scalar.plain_implicit;
	if (!like.quoted && is_null_word(like.text))
		like.kind = YAML_NULL;
	r = node_place(b, &like, &ev->start_mark, &y);
	return r < 0 ? r : anchor_set(b, ev->data.scalar.anchor, &ev->start_mark, y);
}

static int on_container(struct builder *b, const yaml_event_t *ev, enum yaml_kind kind,
			const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct yaml like = { .kind = kind }, *y;
	const yaml_mark_t *at = &ev->start_mark;
	int r = tag_check(b, ev, tag);

	if (r < 0)
		return r;
	if (awaits_key(b))
		return fail_at(b, at, "a key must be text, not a list or map");
	if (b->depth >= DEPTH_MAX)
		return fail_at(b, at, "nested too deeply");
	r = node_place(b, &like, at, &y);
	if (r < 0)
		return r;
	b->open[b->depth++] = (struct open_node){ .node = y };
	return anchor_set(b, anchor, at, y);
}

/* ---- duplicate keys ---- */

static int by_key_then_place(const void *pa, const void *pb)
{
	const struct yaml *a = *(struct yaml *const *)pa, *b = *(struct yaml *const *)pb;
	size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int d = memcmp(a->key.p, b->key.p, n);

	if (d == 0)
		d = (a->key.n > b->key.n) - (a->key.n < b->key.n);
	if (d == 0)
		d = (a->line > b->line) - (a->line < b->line);
	return d ? d : (a->column > b->column) - (a->column < b->column);
}

static int fail_duplicate(struct builder *b, const struct yaml *first, const struct yaml *again)
{
	int shown = again->key.n < 128 ? (int)again->key.n : 128;

	return errbuf_set(b->err, -EINVAL, "%s:%d:%d: key \"%.*s\" is there twice (first in line %d)",
			  b->path, again->line, again->column, shown, again->key.p, first->line);
}

static int check_sorted(struct builder *b, const struct yaml *map)
{
	_free_ struct yaml **sorted = malloc(map->n * sizeof(*sorted));

	if (!sorted)
		return fail_memory(b);
	memcpy(sorted, map->child, map->n * sizeof(*sorted));
	qsort(sorted, map->n, sizeof(*sorted), by_key_then_place);
	for (size_t i = 1; i < map->n; i++)
		if (str_eq(sorted[i - 1]->key, sorted[i]->key))
			return fail_duplicate(b, sorted[i - 1], sorted[i]);
	return 0;
}

static int check_keys(struct builder *b, const struct yaml *map)
{
	if (map->n > SORT_ABOVE)
		return check_sorted(b, map);
	for (size_t i = 1; i < map->n; i++)
		for (size_t k = 0; k < i; k++)
			if (str_eq(map->child[k]->key, map->child[i]->key))
				return fail_duplicate(b, map->child[k], map->child[i]);
	return 0;
}

/* ---- parsing ---- */

static int on_document(struct builder *b, const yaml_event_t *ev)
{
	if (b->documents && !b->many)
		return fail_at(b, &ev->start_mark, "only one document is allowed");
	b->documents = true;
	anchors_forget(b);
	return 0;
}

static int on_event(struct builder *b, yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_DOCUMENT_START_EVENT:
		return on_document(b, ev);
	case YAML_SCALAR_EVENT:
		return on_scalar(b, ev);
	case YAML_ALIAS_EVENT:
		if (awaits_key(b))
			return fail_at(b, &ev->start_mark, "an alias cannot be a key");
		return on_alias(b, ev);
	case YAML_MAPPING_START_EVENT:
		return on_container(b, ev, YAML_MAP, ev->data.mapping_start.anchor,
				    ev->data.mapping_start.tag);
	case YAML_SEQUENCE_START_EVENT:
		return on_container(b, ev, YAML_LIST, ev->data.sequence_start.anchor,
				    ev->data.sequence_start.tag);
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		return check_keys(b, b->open[b->depth].node);
	case YAML_SEQUENCE_END_EVENT:
		b->depth--;
		return 0;
	default:
		return 0;
	}
}

/* Bytes that are not text have an offset, no line. */
static int fail_reader(struct builder *b, struct str text)
{
	size_t end = b->parser.problem_offset, line_at = 0;
	yaml_mark_t at = { 0 };

	for (size_t i = 0; i < end && i < text.n; i++) {
		if (text.p[i] == '\n') {
			at.line++;
			line_at = i + 1;
		}
	}
	at.column = end > line_at ? end - line_at : 0;
	return fail_at(b, &at, b->parser.problem ? b->parser.problem : "not UTF-8 text");
}

static int fail_parser(struct builder *b, struct str text)
{
	const yaml_parser_t *p = &b->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return fail_memory(b);
	if (p->error == YAML_READER_ERROR)
		return fail_reader(b, text);
	return fail_at(b, &p->problem_mark, p->problem ? p->problem : "not YAML");
}

static int build(struct builder *b, struct str text)
{
	for (bool more = true; more;) {
		_event_ yaml_event_t ev = { 0 };
		int r;

		if (!yaml_parser_parse(&b->parser, &ev))
			return fail_parser(b, text);
		more = ev.type != YAML_STREAM_END_EVENT;
		r = on_event(b, &ev);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse(struct str text, const char *path, bool many, struct errbuf *err,
		 struct yaml **ret)
{
	_builder_ struct builder b = { .path = path, .err = err, .many = many };
	struct yaml none = { .kind = many ? YAML_LIST : YAML_NULL };
	yaml_mark_t start = { 0 };
	int r;

	if (text.n > INPUT_MAX)
		return errbuf_set(err, -EINVAL, "%s:1:1: larger than %u MiB", path, INPUT_MAX >> 20);
	if (!yaml_parser_initialize(&b.parser))
		return fail_memory(&b);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)(text.p ? text.p : ""),
				     text.n);
	if (many) {
		r = node_new(&b, &none, &start, &b.root);
		if (r < 0)
			return r;
		b.open[b.depth++] = (struct open_node){ .node = b.root };
	}
	r = build(&b, text);
	if (r == 0 && !b.root)
		r = node_new(&b, &none, &start, &b.root);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(b.root);
	return 0;
}

int yaml_parse(struct str text, const char *path, struct errbuf *err, struct yaml **ret)
{
	return parse(text, path, false, err, ret);
}

int yaml_parse_all(struct str text, const char *path, struct errbuf *err, struct yaml **ret)
{
	return parse(text, path, true, err, ret);
}

/* Reads all, up to one byte more than is allowed. */
static int read_all(int fd, char **ret, size_t *ret_n)
{
	_free_ char *p = NULL;
	size_t n = 0, cap = 0;
	ssize_t k;

	do {
		if (vec_grow((void **)&p, &cap, n + 65536, 1) < 0)
			return -ENOMEM;
		k = read(fd, p + n, cap - n);
		if (k < 0 && errno != EINTR)
			return -errno;
		if (k > 0)
			n += (size_t)k;
	} while (k != 0 && n <= INPUT_MAX);
	*ret = TAKE_PTR(p);
	*ret_n = n;
	return 0;
}

int yaml_read_file(const char *path, struct errbuf *err, struct yaml **ret)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	_free_ char *p = NULL;
	size_t n = 0;
	int r = fd < 0 ? -errno : read_all(fd, &p, &n);

	if (r < 0)
		return errbuf_set(err, r, "%s: %s", path, strerrordesc_np(-r));
	return yaml_parse((struct str){ p, n }, path, err, ret);
}
