// SPDX-License-Identifier: Apache-2.0
/*
 * Lab file (YAML) -> struct lab_spec. Every error names file, line and key; an unknown key is
 * an error, so that a typo does not silently make another lab. Used by the lab commands; one
 * thread.
 */
#include <ctype.h>
#include <string.h>

#include "base/own.h"
#include "base/vec.h"
#include "codec/yaml.h"
#include "lab_json.h"
#include "lab_spec.h"

struct reader {
	const char *path;
	struct errbuf *err;
	struct lab_spec *spec;
};

__attribute__((format(printf, 4, 5))) static int reader_fail(struct reader *rd,
							     const struct yaml *y,
							     const char *key, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return errbuf_set(rd->err, -EINVAL, "%s:%d: %s: %s", rd->path, y ? y->line : 1, key, what);
}

/* keys: space separated names with a space at both ends. */
static int keys_check(struct reader *rd, const struct yaml *map, const char *what, const char *keys)
{
	if (map->kind != YAML_MAP)
		return reader_fail(rd, map, what, "must be a map");
	for (size_t i = 0; i < map->n; i++) {
		_free_ char *key = str_dup(map->child[i]->key);
		_free_ char *word = key ? str_printf(" %s ", key) : NULL;

		if (!word)
			return -ENOMEM;
		if (!strstr(keys, word))
			return reader_fail(rd, map->child[i], key, "unknown key; known are:%s",
					   keys);
	}
	return 0;
}

/* Names become parts of interface, cgroup and file names and of DNS names. */
static bool name_is_good(struct str s)
{
	if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!islower(c) && !isdigit(c) && c != '-')
			return false;
	}
	return true;
}

static int text_read(struct reader *rd, const struct yaml *map, const char *key, const char *dflt,
		     char **ret)
{
	const struct yaml *y = yaml_get(map, key);

	if (!y && !dflt)
		return 0;
	if (y && y->kind != YAML_SCALAR)
		return reader_fail(rd, y, key, "must be text");
	*ret = str_dup(y ? y->text : str_of(dflt));
	return *ret ? 0 : -ENOMEM;
}

static int name_read(struct reader *rd, const struct yaml *map, const char *key, const char *dflt,
		     char **ret)
{
	const struct yaml *y = yaml_get(map, key);

	if (!y && !dflt)
		return reader_fail(rd, map, key, "is missing");
	if (y && (y->kind != YAML_SCALAR || !name_is_good(y->text)))
		return reader_fail(rd, y, key,
				   "must be a name of a-z, 0-9 and '-', 63 characters at most");
	return text_read(rd, map, key, dflt, ret);
}

static int number_read(struct reader *rd, const struct yaml *map, const char *key, uint32_t min,
		       uint32_t max, uint32_t *ret)
{
	const struct yaml *y = yaml_get(map, key);
	uint32_t v;

	if (!y)
		return 0;
	if (y->kind != YAML_SCALAR || str_to_u32(y->text, &v) < 0 || v < min || v > max)
		return reader_fail(rd, y, key, "must be a number from %u to %u", min, max);
	*ret = v;
	return 0;
}

static int bool_read(struct reader *rd, const struct yaml *map, const char *key, bool *ret)
{
	const struct yaml *y = yaml_get(map, key);

	if (y && (y->kind != YAML_SCALAR || str_to_bool(y->text, ret) < 0))
		return reader_fail(rd, y, key, "must be true or false");
	return 0;
}

static int tree_read(struct reader *rd, const struct yaml *map, const char *key,
		     enum yaml_kind kind, json_t **ret)
{
	const struct yaml *y = yaml_get(map, key);

	if (!y || y->kind == YAML_NULL)
		return 0;
	if (y->kind != kind)
		return reader_fail(rd, y, key, "must be a %s", kind == YAML_MAP ? "map" : "list");
	*ret = json_from_yaml(y);
	return *ret ? 0 : -ENOMEM;
}

/* A map of texts: the text as it stands, so that `version: 1` compares with `version: "1"`. */
static int labels_read(struct reader *rd, const struct yaml *map, const char *key, json_t **ret)
{
	const struct yaml *y = yaml_get(map, key);
	_json_ json_t *j = json_object();

	if (!j)
		return -ENOMEM;
	if (y && y->kind != YAML_MAP && y->kind != YAML_NULL)
		return reader_fail(rd, y, key, "must be a map");
	for (size_t i = 0; y && i < y->n; i++) {
		_free_ char *name = str_dup(y->child[i]->key);

		if (y->child[i]->kind != YAML_SCALAR)
			return reader_fail(rd, y->child[i], key, "values must be text");
		if (!name || json_object_set_new(j, name,
						 json_stringn(y->child[i]->text.p,
							      y->child[i]->text.n)) < 0)
			return -ENOMEM;
	}
	*ret = TAKE_PTR(j);
	return 0;
}

static int ports_read(struct reader *rd, const struct yaml *map, json_t **ret)
{
	const struct yaml *y = yaml_get(map, "ports");
	_json_ json_t *j = json_object();

	if (!j)
		return -ENOMEM;
	if (!y || y->kind != YAML_MAP || y->n == 0)
		return reader_fail(rd, y ? y : map, "ports", "must be a map like {80: 8080}");
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *c = y->child[i];
		_free_ char *key = str_dup(c->key);
		uint16_t from, to;

		if (c->kind != YAML_SCALAR || str_to_u16(c->key, &from) < 0 || from == 0 ||
		    str_to_u16(c->text, &to) < 0 || to == 0)
			return reader_fail(rd, c, "ports", "must be a map like {80: 8080}");
		if (!key || json_object_set_new(j, key, json_integer(to)) < 0)
			return -ENOMEM;
	}
	*ret = TAKE_PTR(j);
	return 0;
}

/* A list is an argument vector, a text goes to the shell. */
static int command_read(struct reader *rd, const struct yaml *map, json_t **ret)
{
	const struct yaml *y = yaml_get(map, "command");
	_json_ json_t *argv = json_array();

	if (!argv)
		return -ENOMEM;
	if (!y || y->kind == YAML_NULL)
		return 0;
	if (y->kind == YAML_SCALAR) {
		*ret = json_pack("[s, s, s%]", "/bin/sh", "-c", y->text.p, y->text.n);
		return *ret ? 0 : -ENOMEM;
	}
	for (size_t i = 0; i < y->n; i++) {
		const struct yaml *c = y->child[i];

		if (y->kind != YAML_LIST || c->kind != YAML_SCALAR)
			break;
		if (json_array_append_new(argv, json_stringn(c->text.p, c->text.n)) < 0)
			return -ENOMEM;
	}
	if (y->n == 0 || json_array_size(argv) != y->n)
		return reader_fail(rd, y, "command", "must be a text or a list of texts");
	*ret = TAKE_PTR(argv);
	return 0;
}

static int pod_node_read(struct reader *rd, const struct yaml *y, struct lab_pod *p)
{
	const struct yaml *node = yaml_get(y, "node");

	if (!node || node->kind != YAML_SCALAR)
		return reader_fail(rd, node ? node : y, "node", "must name one of the nodes");
	for (size_t i = 0; i < rd->spec->nodes.n; i++) {
		if (str_eq(str_of(rd->spec->nodes.p[i].name), node->text)) {
			p->node = (unsigned int)i;
			return 0;
		}
	}
	return reader_fail(rd, node, "node", "there is no node \"%s\"", node->text.p);
}

static int pod_start_read(struct reader *rd, const struct yaml *y, struct lab_pod *p)
{
	const struct yaml *start = yaml_get(y, "start");

	if (!start)
		return 0;
	p->start_before = start->kind == YAML_SCALAR && str_eq(start->text, STR("before"));
	if (!p->start_before && !(start->kind == YAML_SCALAR && str_eq(start->text, STR("after"))))
		return reader_fail(rd, start, "start", "must be \"before\" or \"after\"");
	return 0;
}

static int pod_names_read(struct reader *rd, const struct yaml *y, struct lab_pod *p)
{
	int r = name_read(rd, y, "namespace", "default", &p->ns);

	if (r == 0)
		r = name_read(rd, y, "name", NULL, &p->name);
	if (r == 0)
		r = name_read(rd, y, "serviceAccount", "default", &p->service_account);
	if (r == 0)
		r = text_read(rd, y, "app", p->name, &p->app);
	if (r == 0)
		r = text_read(rd, y, "revision", "latest", &p->revision);
	if (r == 0)
		r = text_read(rd, y, "protocol", NULL, &p->protocol);
	if (r == 0 && lab_spec_pod(rd->spec, str_of(p->ns), str_of(p->name)))
		r = reader_fail(rd, y, "name", "there is a pod %s/%s already", p->ns, p->name);
	return r;
}

static int pod_fields_read(struct reader *rd, const struct yaml *y, struct lab_pod *p)
{
	uint32_t weight = 0;
	int r = pod_names_read(rd, y, p);

	if (r == 0)
		r = pod_node_read(rd, y, p);
	if (r == 0)
		r = bool_read(rd, y, "enrol", &p->enrol);
	if (r == 0)
		r = pod_start_read(rd, y, p);
	if (r == 0)
		r = number_read(rd, y, "weight", 0, 1000000, &weight);
	if (r == 0)
		r = labels_read(rd, y, "labels", &p->labels);
	if (r == 0)
		r = command_read(rd, y, &p->command);
	if (r == 0)
		r = tree_read(rd, y, "policies", YAML_LIST, &p->policies);
	if (r == 0)
		r = tree_read(rd, y, "mesh", YAML_MAP, &p->mesh);
	p->weight = weight;
	return r;
}

/* The pod is in the list before it is filled: lab_spec_fini frees it when a field is wrong. */
static int pod_read(struct reader *rd, const struct yaml *y)
{
	struct lab_pod pod = { .enrol = true };
	int r = keys_check(rd, y, "pods",
			   " namespace name serviceAccount node labels command app revision enrol"
			   " protocol start weight policies mesh ");

	if (r == 0) {
		r = pod_fields_read(rd, y, &pod);
		if (vec_push(&rd->spec->pods, pod) < 0)
			return -ENOMEM;
	}
	return r;
}

static int service_weights_check(struct reader *rd, const struct yaml *y, struct lab_service *s)
{
	const struct yaml *weights = yaml_get(y, "weights");

	for (size_t i = 0; weights && i < weights->n; i++) {
		const struct yaml *c = weights->child[i];
		uint32_t n;

		if (!lab_spec_pod(rd->spec, str_of(s->ns), c->key))
			return reader_fail(rd, c, "weights", "there is no pod %s/%.*s", s->ns,
					   STR_FMT(c->key));
		if (c->kind != YAML_SCALAR || str_to_u32(c->text, &n) < 0)
			return reader_fail(rd, c, "weights", "must be numbers");
	}
	return 0;
}

static int service_fields_read(struct reader *rd, const struct yaml *y, struct lab_service *s)
{
	int r = name_read(rd, y, "namespace", "default", &s->ns);

	if (r == 0)
		r = name_read(rd, y, "name", NULL, &s->name);
	if (r == 0)
		r = bool_read(rd, y, "headless", &s->headless);
	if (r == 0)
		r = ports_read(rd, y, &s->ports);
	if (r == 0)
		r = labels_read(rd, y, "selector", &s->selector);
	if (r == 0)
		r = tree_read(rd, y, "weights", YAML_MAP, &s->weights);
	if (r == 0)
		r = service_weights_check(rd, y, s);
	if (r == 0)
		r = tree_read(rd, y, "mesh", YAML_MAP, &s->mesh);
	if (r < 0)
		return r;
	s->hostname = str_printf("%s.%s." LAB_DOMAIN, s->name, s->ns);
	if (!s->hostname)
		return -ENOMEM;
	lab_for_each(const struct lab_service, other, &rd->spec->services) {
		if (strcmp(other->hostname, s->hostname) == 0)
			return reader_fail(rd, y, "name", "there is a service %s/%s already",
					   s->ns, s->name);
	}
	return 0;
}

static int service_read(struct reader *rd, const struct yaml *y)
{
	struct lab_service service = { 0 };
	int r = keys_check(rd, y, "services",
			   " namespace name ports selector weights headless mesh ");

	if (r == 0) {
		r = service_fields_read(rd, y, &service);
		if (vec_push(&rd->spec->services, service) < 0)
			return -ENOMEM;
	}
	return r;
}

static int node_read(struct reader *rd, const struct yaml *y)
{
	struct lab_node node = { 0 };

	if (y->kind != YAML_SCALAR || !name_is_good(y->text))
		return reader_fail(rd, y, "nodes", "must be names of a-z, 0-9 and '-'");
	if (str_eq(y->text, STR("fabric")) || rd->spec->nodes.n == LAB_MAX_NODES)
		return reader_fail(rd, y, "nodes", "\"fabric\" is taken, and %d is the limit",
				   LAB_MAX_NODES);
	lab_for_each(const struct lab_node, n, &rd->spec->nodes) {
		if (str_eq(str_of(n->name), y->text))
			return reader_fail(rd, y, "nodes", "\"%s\" is there twice", n->name);
	}
	node.name = str_dup(y->text);
	return node.name ? vec_push(&rd->spec->nodes, node) : -ENOMEM;
}

static int list_read(struct reader *rd, const struct yaml *root, const char *key,
		     int (*read)(struct reader *rd, const struct yaml *y))
{
	const struct yaml *y = yaml_get(root, key);
	int r = 0;

	if (!y || y->kind == YAML_NULL)
		return 0;
	if (y->kind != YAML_LIST)
		return reader_fail(rd, y, key, "must be a list");
	for (size_t i = 0; i < y->n && r == 0; i++)
		r = read(rd, y->child[i]);
	return r;
}

/* "weft-<node>" and "weft-<namespace>-<pod>" are network namespaces in one folder. */
static int netns_names_check(struct reader *rd, const struct yaml *root)
{
	lab_for_each(const struct lab_pod, p, &rd->spec->pods) {
		_free_ char *name = str_printf("%s-%s", p->ns, p->name);

		if (!name)
			return -ENOMEM;
		lab_for_each(const struct lab_node, n, &rd->spec->nodes) {
			if (strcmp(n->name, name) == 0)
				return reader_fail(rd, yaml_get(root, "nodes"), "nodes",
						   "\"%s\" is taken by pod %s/%s", name, p->ns,
						   p->name);
		}
		for (const struct lab_pod *q = rd->spec->pods.p; q < p; q++) {
			_free_ char *other = str_printf("%s-%s", q->ns, q->name);

			if (other && strcmp(other, name) == 0)
				return reader_fail(rd, yaml_get(root, "pods"), "pods",
						   "%s/%s and %s/%s would share a name", p->ns,
						   p->name, q->ns, q->name);
		}
	}
	return 0;
}

static int spec_read(struct reader *rd, const struct yaml *root)
{
	struct lab_spec *s = rd->spec;
	int r = keys_check(rd, root, "lab",
			   " nodes pods services policies workloads mtu congestion weftd ");

	if (r == 0)
		r = number_read(rd, root, "mtu", 1280, 65535, &s->mtu);
	if (r == 0)
		r = text_read(rd, root, "congestion", "reno", &s->congestion);
	if (r == 0)
		r = list_read(rd, root, "nodes", node_read);
	if (r == 0 && s->nodes.n == 0)
		r = reader_fail(rd, root, "nodes", "must be a list of at least one name");
	if (r == 0)
		r = list_read(rd, root, "pods", pod_read);
	if (r == 0)
		r = list_read(rd, root, "services", service_read);
	if (r == 0)
		r = tree_read(rd, root, "policies", YAML_LIST, &s->policies);
	if (r == 0)
		r = tree_read(rd, root, "workloads", YAML_LIST, &s->workloads);
	if (r == 0)
		r = tree_read(rd, root, "weftd", YAML_MAP, &s->weftd);
	return r == 0 ? netns_names_check(rd, root) : r;
}

static int spec_from_tree(const struct yaml *root, const char *path, struct errbuf *err,
			  struct lab_spec *ret)
{
	struct lab_spec s = { .mtu = 1500 };
	struct reader rd = { .path = path, .err = err, .spec = &s };
	int r = spec_read(&rd, root);

	if (r < 0) {
		lab_spec_fini(&s);
		return errbuf_set(err, r, "%s: %s", path, strerror(-r));
	}
	*ret = s;
	return 0;
}

int lab_spec_parse(struct str text, const char *path, struct errbuf *err, struct lab_spec *ret)
{
	struct yaml *root = NULL;
	int r = yaml_parse(text, path, err, &root);

	if (r < 0)
		return r;
	r = spec_from_tree(root, path, err, ret);
	yaml_free(&root);
	return r;
}

int lab_spec_read(const char *path, struct errbuf *err, struct lab_spec *ret)
{
	struct yaml *root = NULL;
	int r = yaml_read_file(path, err, &root);

	if (r < 0)
		return r;
	r = spec_from_tree(root, path, err, ret);
	yaml_free(&root);
	return r;
}
