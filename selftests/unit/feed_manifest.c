// SPDX-License-Identifier: Apache-2.0
/* Kubernetes objects in the mesh file: what they become, whom they bind, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "feed/file.h"
#include "io/file.h"

#define _input_ cleanup_with(model_input_fini)

struct text {
	char s[4096];
	size_t n;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	t->n += (size_t)vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
	va_end(ap);
	assert_true(t->n < sizeof(t->s));
}

static void add_strings(struct text *t, const char *name, const struct string_match *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = m[i].text ? m[i].text : "";

		switch (m[i].kind) {
		case MATCH_EXACT: add(t, "%s=%s ", name, text); break;
		case MATCH_PREFIX: add(t, "%s=%s* ", name, text); break;
		case MATCH_SUFFIX: add(t, "%s=*%s ", name, text); break;
		case MATCH_PRESENCE: add(t, "%s=* ", name); break;
		}
	}
}

static void add_prefixes(struct text *t, const char *name, const struct ip_prefix *p, size_t n)
{
	char buf[IP_TEXT_MAX];

	for (size_t i = 0; i < n; i++)
		add(t, "%s=%s ", name, ip_format_prefix(buf, &p[i]));
}

static void add_match(struct text *t, const struct match *m)
{
	add(t, "{");
	add_strings(t, "principal", m->principals, m->n_principals);
	add_strings(t, "!principal", m->not_principals, m->n_not_principals);
	add_strings(t, "ns", m->namespaces, m->n_namespaces);
	add_strings(t, "!ns", m->not_namespaces, m->n_not_namespaces);
	for (size_t i = 0; i < m->n_service_accounts; i++)
		add(t, "sa=%s/%s ", m->service_accounts[i].ns, m->service_accounts[i].sa);
	for (size_t i = 0; i < m->n_not_service_accounts; i++)
		add(t, "!sa=%s/%s ", m->not_service_accounts[i].ns, m->not_service_accounts[i].sa);
	add_prefixes(t, "src", m->source_ips, m->n_source_ips);
	add_prefixes(t, "!src", m->not_source_ips, m->n_not_source_ips);
	add_prefixes(t, "dst", m->destination_ips, m->n_destination_ips);
	add_prefixes(t, "!dst", m->not_destination_ips, m->n_not_destination_ips);
	for (size_t i = 0; i < m->n_destination_ports; i++)
		add(t, "port=%u ", m->destination_ports[i]);
	for (size_t i = 0; i < m->n_not_destination_ports; i++)
		add(t, "!port=%u ", m->not_destination_ports[i]);
	if (t->s[t->n - 1] == ' ')
		t->n--;
	add(t, "}");
}

/* "ns/name Scope Action [[{...} {...}] [{...}]] ..." */
static void add_policy(struct text *t, const struct policy *p)
{
	static const char *const scopes[] = { "Global", "Namespace", "Workload" };
	static const char *const actions[] = { "Allow", "Deny", "None" };

	add(t, "%s/%s %s %s%s", p->ns, p->name, scopes[p->scope], actions[p->action],
	    p->dry_run ? " dry" : "");
	for (size_t i = 0; i < p->n_rules; i++) {
		add(t, " [");
		for (size_t k = 0; k < p->rules[i].n_clauses; k++) {
			add(t, "[");
			for (size_t j = 0; j < p->rules[i].clauses[k].n_matches; j++)
				add_match(t, &p->rules[i].clauses[k].matches[j]);
			add(t, "]");
		}
		add(t, "]");
	}
	for (size_t i = 0; i < p->n_warnings; i++)
		add(t, " warning");
	add(t, "\n");
}

static void decode(const char *text, struct model_input *ret)
{
	struct errbuf err = { 0 };

	if (feed_file_decode(str_of(text), "mesh.yaml", &err, ret) < 0)
		fail_msg("%s", err.text);
}

#define OBJECT(kind, meta, spec) \
	"{apiVersion: security.istio.io/v1, kind: " kind ", metadata: {" meta "}, spec: " spec "}"
#define AUTHZ(spec) OBJECT("AuthorizationPolicy", "name: p, namespace: a", spec)

static const struct {
	const char *object, *want;
} authz_rows[] = {
	/* what is not said */
	{ AUTHZ("{}"), "a/p Namespace Allow\n" },
	{ "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, "
	  "metadata: {name: p, namespace: a}}", "a/p Namespace Allow\n" },
	{ AUTHZ("{rules: [{}]}"), "a/p Namespace Allow []\n" },
	{ AUTHZ("{action: DENY, rules: []}"), "a/p Namespace Deny\n" },
	/* scope */
	{ OBJECT("AuthorizationPolicy", "name: p, namespace: istio-system", "{}"),
	  "istio-system/p Global Allow\n" },
	{ AUTHZ("{selector: {matchLabels: {app: x}}}"), "a/p Workload Allow\n" },
	{ AUTHZ("{selector: {}}"), "a/p Namespace Allow\n" },
	{ AUTHZ("{selector: {matchLabels: {}}}"), "a/p Namespace Allow\n" },
	/* each field */
	{ AUTHZ("{rules: [{from: [{source: {principals: ['td/ns/b/sa/c', 'td/*', '*/c', '*'], "
		"notPrincipals: [x]}}]}]}"),
	  "a/p Namespace Allow [[{principal=td/ns/b/sa/c principal=td/* principal=*/c "
	  "principal=* !principal=x}]]\n" },
	{ AUTHZ("{rules: [{from: [{source: {namespaces: [b], notNamespaces: ['c*']}}]}]}"),
	  "a/p Namespace Allow [[{ns=b !ns=c*}]]\n" },
	{ AUTHZ("{rules: [{from: [{source: {serviceAccounts: [s, b/t], "
		"notServiceAccounts: [u]}}]}]}"),
	  "a/p Namespace Allow [[{sa=a/s sa=b/t !sa=a/u}]]\n" },
	{ AUTHZ("{rules: [{from: [{source: {ipBlocks: [10.0.0.0/8, 1.2.3.4, 'fd00::/16'], "
		"notIpBlocks: [10.1.1.1]}}]}]}"),
	  "a/p Namespace Allow [[{src=10.0.0.0/8 src=1.2.3.4/32 src=fd00::/16 "
	  "!src=10.1.1.1/32}]]\n" },
	{ AUTHZ("{rules: [{to: [{operation: {ports: ['80', \"81\"], notPorts: [82]}}]}]}"),
	  "a/p Namespace Allow [[{port=80 port=81 !port=82}]]\n" },
	/* or, and: entries of a list, lists of a rule, conditions */
	{ AUTHZ("{rules: [{from: [{source: {namespaces: [b]}}, {source: {namespaces: [c]}}], "
		"to: [{operation: {ports: ['80']}}]}, {from: [{source: {namespaces: [d]}}]}]}"),
	  "a/p Namespace Allow [[{port=80}][{ns=b}{ns=c}]] [[{ns=d}]]\n" },
	{ AUTHZ("{rules: [{when: [{key: source.ip, values: [10.0.0.1], notValues: [10.0.0.2]}, "
		"{key: source.namespace, values: [b]}, {key: source.principal, notValues: ['*']}, "
		"{key: destination.ip, values: [10.0.0.3]}, "
		"{key: destination.port, notValues: ['90']}]}]}"),
	  "a/p Namespace Allow [[{src=10.0.0.1/32 !src=10.0.0.2/32}][{ns=b}][{!principal=*}]"
	  "[{dst=10.0.0.3/32}][{!port=90}]]\n" },
	/* what needs HTTP */
	{ AUTHZ("{rules: [{to: [{operation: {methods: [GET]}}]}, {}]}"),
	  "a/p Namespace Allow [[{}]] [] warning\n" },
	{ AUTHZ("{rules: [{from: [{source: {namespaces: [b], requestPrincipals: ['*']}}]}]}"),
	  "a/p Namespace Allow [[{}]] warning\n" },
	{ AUTHZ("{rules: [{when: [{key: 'request.headers[x]', values: [y]}]}]}"),
	  "a/p Namespace Allow [[{}]] warning\n" },
	{ AUTHZ("{action: DENY, rules: [{from: [{source: {namespaces: [b], remoteIpBlocks: "
		"[10.0.0.1]}}], to: [{operation: {ports: ['80'], paths: [/x]}}]}]}"),
	  "a/p Namespace Deny [[{port=80}][{ns=b}]] warning\n" },
	{ AUTHZ("{action: DENY, rules: [{from: [{source: {namespaces: [b]}}], "
		"to: [{operation: {methods: [GET]}}]}]}"),
	  "a/p Namespace Deny [[{}][{ns=b}]] warning\n" },
	{ AUTHZ("{action: DENY, rules: [{from: [{source: {namespaces: [b]}}], "
		"when: [{key: source.trustDomain, values: [td]}]}]}"),
	  "a/p Namespace Deny [[{ns=b}][{}]] warning\n" },
	{ AUTHZ("{rules: [{to: [{operation: {methods: [], ports: ['80']}}]}]}"),
	  "a/p Namespace Allow [[{port=80}]]\n" },
	/* what is not for us */
	{ AUTHZ("{targetRefs: [{kind: Service, group: '', name: x}]}"),
	  "a/p Namespace None warning\n" },
	{ AUTHZ("{targetRef: {kind: Gateway, name: x}, rules: [{}]}"),
	  "a/p Namespace None warning\n" },
	{ AUTHZ("{action: CUSTOM, provider: {name: x}, rules: [{}]}"),
	  "a/p Namespace None warning\n" },
	{ AUTHZ("{action: AUDIT, selector: {matchLabels: {app: x}}}"),
	  "a/p Workload None warning\n" },
	/* dry run */
	{ OBJECT("AuthorizationPolicy", "name: p, namespace: a, annotations: "
		 "{istio.io/dry-run: 'true', other: x}", "{action: DENY, rules: [{}]}"),
	  "a/p Namespace Deny dry []\n" },
	{ OBJECT("AuthorizationPolicy", "name: p, namespace: a, annotations: "
		 "{istio.io/dry-run: 'F'}", "{action: DENY, rules: [{}]}"),
	  "a/p Namespace Deny []\n" },
	/* what kubectl adds */
	{ "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, "
	  "namespace: a, uid: u, generation: 3, labels: {a: b}, managedFields: [{x: [1]}]}, "
	  "spec: {}, status: {conditions: []}}", "a/p Namespace Allow\n" },
};

static void an_authorization_policy_becomes_what_istiod_makes_of_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(authz_rows); i++) {
		_free_ char *text = str_printf("manifests:\n- %s\n", authz_rows[i].object);
		_input_ struct model_input in = { 0 };
		struct text got = { 0 };

		decode(text, &in);
		assert_int_equal(in.n_policies, 1);
		add_policy(&got, in.policy[0]);
		if (strcmp(got.s, authz_rows[i].want) != 0)
			fail_msg("row %zu: got  %swant %s", i, got.s, authz_rows[i].want);
	}
}

#define PODS                                                                            \
	"workloads:\n"                                                                  \
	"- {name: web, namespace: a, labels: {app: web, tier: front}}\n"                \
	"- {name: db, namespace: a, labels: {app: db}, authorizationPolicies: [x/y]}\n" \
	"- {name: bare, namespace: a}\n"                                                \
	"- {name: web, namespace: b, labels: {app: web}}\n"

/* The policies that each workload names, "a/web: ..., a/db: ...". */
static void add_named(struct text *t, const struct model_input *in)
{
	for (size_t i = 0; i < in->n_workloads; i++) {
		const struct workload *w = in->workload[i];

		add(t, "%s/%s:", w->ns, w->name);
		for (size_t k = 0; k < w->n_policies; k++)
			add(t, " %s", w->policies[k]);
		add(t, "\n");
	}
}

static void a_selector_binds_the_pods_that_have_all_its_labels(void **state)
{
	_input_ struct model_input in = { 0 };
	struct text got = { 0 };

	(void)state;
	decode(PODS "manifests:\n"
	       "- " OBJECT("AuthorizationPolicy", "name: one, namespace: a",
			   "{selector: {matchLabels: {app: web}}}") "\n"
	       "- " OBJECT("AuthorizationPolicy", "name: two, namespace: a",
			   "{selector: {matchLabels: {app: web, tier: front}}}") "\n"
	       "- " OBJECT("AuthorizationPolicy", "name: none, namespace: a",
			   "{selector: {matchLabels: {app: web, tier: back}}}") "\n"
	       "- " OBJECT("AuthorizationPolicy", "name: all, namespace: istio-system",
			   "{selector: {matchLabels: {app: web}}}") "\n"
	       "- " OBJECT("AuthorizationPolicy", "name: last, namespace: zz",
			   "{selector: {matchLabels: {app: web}}}") "\n", &in);
	add_named(&got, &in);
	assert_string_equal(got.s, "a/web: a/one a/two istio-system/all\n"
				   "a/db: x/y\n"
				   "a/bare:\n"
				   "b/web: istio-system/all\n");
}

static void the_root_namespace_may_have_another_name(void **state)
{
	_input_ struct model_input in = { 0 };
	struct text got = { 0 };

	(void)state;
	decode("manifests: [" AUTHZ("{}") ", "
	       OBJECT("PeerAuthentication", "name: d, namespace: a", "{mtls: {mode: STRICT}}") "]\n"
	       "rootNamespace: a\n" PODS, &in);
	add_policy(&got, in.policy[0]);
	add_policy(&got, in.policy[1]);
	add_named(&got, &in);
	assert_string_equal(got.s, "a/p Global Allow\n"
				   "a/istio_converted_static_strict Workload Deny [[{!principal=*}]]\n"
				   "a/web: a/istio_converted_static_strict\n"
				   "a/db: x/y a/istio_converted_static_strict\n"
				   "a/bare: a/istio_converted_static_strict\n"
				   "b/web: a/istio_converted_static_strict\n");
}

#define PEER(name, ns, spec) "- " OBJECT("PeerAuthentication", "name: " name ", namespace: " ns, spec) "\n"
#define MESH(mode) PEER("default", "istio-system", "{mtls: {mode: " mode "}}")
#define NS(mode) PEER("default", "a", "{mtls: {mode: " mode "}}")
#define WEB(more) PEER("w", "a", "{selector: {matchLabels: {app: web}}" more "}")
#define STATIC "istio-system/istio_converted_static_strict Workload Deny [[{!principal=*}]]\n"
#define IS_STRICT " istio-system/istio_converted_static_strict"
#define PORTS " a/converted_peer_authentication_w"
#define PORTS_POLICY "a/converted_peer_authentication_w Workload Deny"

/* For a/web, a/db and b/web, and the policies that there are. */
static const struct {
	const char *objects, *web, *db, *other, *policies;
} peer_rows[] = {
	{ MESH("STRICT"), IS_STRICT, IS_STRICT, IS_STRICT, STATIC },
	{ MESH("PERMISSIVE"), "", "", "", STATIC },
	{ MESH("DISABLE"), "", "", "", STATIC },
	{ PEER("default", "istio-system", "{}"), "", "", "", STATIC },
	{ NS("STRICT"), IS_STRICT, IS_STRICT, "", STATIC },
	{ MESH("STRICT") NS("PERMISSIVE"), "", "", IS_STRICT, STATIC },
	{ MESH("STRICT") NS("UNSET"), IS_STRICT, IS_STRICT, IS_STRICT, STATIC },
	{ WEB(", mtls: {mode: STRICT}"), IS_STRICT, "", "", STATIC },
	{ NS("STRICT") WEB(", mtls: {mode: PERMISSIVE}"), "", IS_STRICT, "", STATIC },
	{ NS("STRICT") WEB(", mtls: {mode: DISABLE}"), "", IS_STRICT, "", STATIC },
	{ NS("STRICT") WEB(""), IS_STRICT, IS_STRICT, "", STATIC },
	/* ports */
	{ WEB(", mtls: {mode: STRICT}, portLevelMtls: {'80': {mode: PERMISSIVE}, "
	      "81: {mode: DISABLE}, 82: {mode: STRICT}, 83: {}}"), PORTS, "", "",
	  STATIC PORTS_POLICY " [[{!principal=*}][{!port=80}][{!port=81}]]\n" },
	{ WEB(", mtls: {mode: STRICT}, portLevelMtls: {80: {mode: STRICT}}"), IS_STRICT, "", "",
	  STATIC },
	{ WEB(", mtls: {mode: PERMISSIVE}, portLevelMtls: {80: {mode: STRICT}, "
	      "81: {mode: STRICT}, 82: {mode: PERMISSIVE}}"), PORTS, "", "",
	  STATIC PORTS_POLICY " [[{!principal=* port=80}]] [[{!principal=* port=81}]]\n" },
	{ WEB(", portLevelMtls: {80: {mode: STRICT}}"), PORTS, "", "",
	  STATIC PORTS_POLICY " [[{!principal=* port=80}]]\n" },
	{ NS("STRICT") WEB(", portLevelMtls: {80: {mode: PERMISSIVE}}"), PORTS, IS_STRICT, "",
	  STATIC PORTS_POLICY " [[{!principal=*}][{!port=80}]]\n" },
	{ MESH("STRICT") WEB(", portLevelMtls: {80: {mode: PERMISSIVE}}"), PORTS, IS_STRICT,
	  IS_STRICT, STATIC PORTS_POLICY " [[{!principal=*}][{!port=80}]]\n" },
	{ MESH("STRICT") WEB(", portLevelMtls: {80: {mode: STRICT}}"), IS_STRICT, IS_STRICT,
	  IS_STRICT, STATIC },
	/* the workload says PERMISSIVE below a strict mesh, and one port STRICT again */
	{ MESH("STRICT") WEB(", mtls: {mode: PERMISSIVE}, portLevelMtls: {80: {mode: STRICT}}"),
	  PORTS, IS_STRICT, IS_STRICT, STATIC PORTS_POLICY " [[{!principal=* port=80}]]\n" },
	{ MESH("STRICT") NS("UNSET") WEB(", portLevelMtls: {80: {mode: PERMISSIVE}}"), PORTS,
	  IS_STRICT, IS_STRICT, STATIC PORTS_POLICY " [[{!principal=*}][{!port=80}]]\n" },
	/* a selector in the root namespace */
	{ PEER("w", "istio-system", "{selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}"),
	  "", "", "", STATIC "istio-system/converted_peer_authentication_w Workload None warning\n" },
};

static void a_peer_authentication_is_strict_where_it_says_so(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(peer_rows); i++) {
		_free_ char *text = str_printf("%smanifests:\n%s", PODS, peer_rows[i].objects);
		_free_ char *want = str_printf("a/web:%s\na/db: x/y%s\na/bare:%s\nb/web:%s\n%s",
					       peer_rows[i].web, peer_rows[i].db, peer_rows[i].db, peer_rows[i].other,
					       peer_rows[i].policies);
		_input_ struct model_input in = { 0 };
		struct text got = { 0 };

		decode(text, &in);
		add_named(&got, &in);
		for (size_t k = 0; k < in.n_policies; k++)
			add_policy(&got, in.policy[k]);
		if (strcmp(got.s, want) != 0)
			fail_msg("row %zu: got\n%swant\n%s", i, got.s, want);
	}
}

static void the_oldest_peer_authentication_of_a_level_counts(void **state)
{
	static const char *const objects[] = {
		PEER("x", "a, creationTimestamp: '2024-02-01T00:00:00Z'", "{mtls: {mode: STRICT}}"),
		PEER("y", "a, creationTimestamp: '2023-02-01T00:00:00Z'", "{mtls: {mode: PERMISSIVE}}"),
	};

	(void)state;
	for (int order = 0; order < 2; order++) {
		_free_ char *text = str_printf("%smanifests:\n%s%s", PODS, objects[order],
					       objects[!order]);
		_input_ struct model_input in = { 0 };

		decode(text, &in);
		assert_int_equal(in.workload[0]->n_policies, 0);
	}
}

static void lists_and_documents_are_read_as_kubectl_writes_them(void **state)
{
	static const char *const files[] = {
		PODS "---\n" AUTHZ("{}") "\n---\n" OBJECT("PeerAuthentication", "name: d, namespace: a",
							  "{}") "\n",
		"---\n" AUTHZ("{}") "\n---\n" PODS "---\n---\n"
		OBJECT("PeerAuthentication", "name: d, namespace: a", "{}") "\n---\n",
		PODS "---\napiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n- "
		AUTHZ("{}") "\n- " OBJECT("PeerAuthentication", "name: d, namespace: a", "{}") "\n",
		PODS "manifests:\n- {apiVersion: v1, kind: List, items: [" AUTHZ("{}") "]}\n- "
		OBJECT("PeerAuthentication", "name: d, namespace: a", "{}") "\n",
		PODS "manifests: {apiVersion: v1, kind: List, items: [" AUTHZ("{}") ", "
		OBJECT("PeerAuthentication", "name: d, namespace: a", "{}") "]}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_input_ struct model_input in = { 0 };

		decode(files[i], &in);
		assert_int_equal(in.n_workloads, 4);
		assert_int_equal(in.n_policies, 2);
	}
}

static const struct {
	const char *yaml, *error;
} mistakes[] = {
	{ "---\n{apiVersion: v1, kind: Service, metadata: {}}", "mesh.yaml:2: Service of v1 is not" },
	{ "---\n{apiVersion: security.istio.io/v2, kind: AuthorizationPolicy}", "is not read here" },
	{ "{kind: AuthorizationPolicy}", "'apiVersion' is missing" },
	{ "manifests: [{apiVersion: v1}]", "mesh.yaml:1: manifests[0]: 'kind' is missing" },
	{ "manifests: [5]", "manifests[0]: must be a Kubernetes object" },
	{ "manifests:", "manifests" },
	{ "workloads: []\n---\nservices: []", "mesh.yaml:3: a second mesh in one file" },
	{ "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, spec: {}}",
	  "'metadata' is missing" },
	{ OBJECT("AuthorizationPolicy", "name: p", "{}"), "metadata: 'namespace' is missing" },
	{ OBJECT("AuthorizationPolicy", "namespace: p", "{}"), "metadata: 'name' is missing" },
	{ OBJECT("AuthorizationPolicy", "name: p, namespace: a/b", "{}"), "metadata.namespace" },
	{ "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: p, "
	  "namespace: a}, rules: []}", "unknown key 'rules'" },
	{ OBJECT("AuthorizationPolicy", "name: p, namespace: a, annotations: {istio.io/dry-run: maybe}",
		 "{}"), "is not true or false" },
	{ AUTHZ("{action: BLOCK}"), "spec.action: 'BLOCK' is not one of" },
	{ AUTHZ("{rule: []}"), "unknown key 'rule'" },
	{ AUTHZ("{rules: }"), "must be a list" },
	{ AUTHZ("{selector: }"), "must be a map" },
	{ AUTHZ("{selector: {matchExpressions: []}}"), "unknown key 'matchExpressions'" },
	{ AUTHZ("{rules: [{from: [{}]}]}"), "spec.rules[0].from[0]: 'source' is missing" },
	{ AUTHZ("{rules: [{from: [{source: {}}]}]}"), "has no condition" },
	{ AUTHZ("{rules: [{from: }]}"), "must be a list" },
	{ AUTHZ("{rules: [{form: []}]}"), "unknown key 'form'" },
	{ AUTHZ("{rules: [{from: [{source: {principal: [x]}}]}]}"), "unknown key 'principal'" },
	{ AUTHZ("{rules: [{from: [{source: {principals: [{Exact: x}]}}]}]}"), "single value" },
	{ AUTHZ("{rules: [{from: [{source: {principals: ['a*b']}}]}]}"), "one '*'" },
	{ AUTHZ("{rules: [{from: [{source: {principals: ['spiffe://x']}}]}]}"), "spiffe://" },
	{ AUTHZ("{rules: [{from: [{source: {principals: }}]}]}"), "must be a list" },
	{ AUTHZ("{rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}"), "10.0.0.0/33" },
	{ AUTHZ("{rules: [{from: [{source: {serviceAccounts: [a/b/c]}}]}]}"), "'b/c' must not contain" },
	{ AUTHZ("{rules: [{from: [{source: {serviceAccounts: ['']}}]}]}"), "must not be empty" },
	{ AUTHZ("{rules: [{to: [{operation: {ports: ['70000']}}]}]}"),
	  "spec.rules[0].to[0].operation.ports[0]: '70000' is not a number" },
	{ AUTHZ("{rules: [{to: [{operation: {methods: GET}}]}]}"), "methods: must be a list" },
	{ AUTHZ("{rules: [{when: [{values: [x]}]}]}"), "'key' is missing" },
	{ AUTHZ("{rules: [{when: [{key: source.ip}]}]}"), "neither 'values' nor 'notValues'" },
	{ AUTHZ("{rules: [{when: [{key: source.ip, values: []}]}]}"), "neither 'values'" },
	{ AUTHZ("{rules: [{when: [{key: source.ip, values: [x]}]}]}"), "when[0].values[0]" },
	{ AUTHZ("{rules: [{when: [{key: source.ip, value: [x]}]}]}"), "unknown key 'value'" },
	{ OBJECT("PeerAuthentication", "name: p, namespace: a", "{mtls: {mode: strictly}}"),
	  "spec.mtls.mode" },
	{ OBJECT("PeerAuthentication", "name: p, namespace: a",
		 "{portLevelMtls: {80: {mode: STRICT}}}"), "needs a 'selector'" },
	{ OBJECT("PeerAuthentication", "name: p, namespace: a",
		 "{selector: {matchLabels: {a: b}}, portLevelMtls: {0: {mode: STRICT}}}"),
	  "is not a port" },
	{ "workloads: [{name: x, namespace: a, labels: [x]}]", "labels: must be a map" },
};

static void what_cannot_be_read_exactly_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		_input_ struct model_input in = { 0 };
		struct errbuf err = { 0 };
		int r = feed_file_decode(str_of(mistakes[i].yaml), "mesh.yaml", &err, &in);

		if (r != -EINVAL || !strstr(err.text, mistakes[i].error))
			fail_msg("row %zu: got %d '%s', want '%s'", i, r, err.text, mistakes[i].error);
		assert_null(in.policy);
	}
}

static void warnings_say_what_is_not_carried_out(void **state)
{
	_input_ struct model_input in = { 0 };

	(void)state;
	decode("manifests: [" AUTHZ("{action: DENY, rules: [{}, {to: [{operation: {methods: [GET], "
				    "paths: [/a]}}]}]}") "]", &in);
	assert_int_equal(in.policy[0]->n_warnings, 1);
	assert_non_null(strstr(in.policy[0]->warnings[0], "rules[1] has NO EFFECT"));
	assert_non_null(strstr(in.policy[0]->warnings[0], "(methods, paths)"));
}

/* The second example of docs/mesh-file.md. */
static void the_documented_example_means_what_is_said_there(void **state)
{
	_input_ struct model_input in = { 0 };
	struct file_identity id;
	struct errbuf err = { 0 };
	struct text got = { 0 };
	_free_ char *doc = NULL;
	char *begin, *end;
	size_t n = 0;

	(void)state;
	if (file_read("docs/mesh-file.md", &err, &id, &doc, &n) < 0)
		fail_msg("run from the top of the source tree: %s", err.text);
	doc[n - 1] = '\0';
	begin = strstr(doc, "```yaml\nrootNamespace");
	assert_non_null(begin);
	begin += 8;
	end = strstr(begin, "```");
	assert_non_null(end);
	*end = '\0';
	decode(begin, &in);
	for (size_t i = 0; i < in.n_policies; i++)
		add_policy(&got, in.policy[i]);
	add_named(&got, &in);
	assert_string_equal(got.s,
		"shop/db-clients Workload Allow [[{port=5432}][{sa=shop/web sa=batch/nightly}"
		"{principal=cluster.local/ns/admin/sa/* !ns=admin-test}][{!src=10.0.66.0/24}]]\n"
		"shop/no-deletes Namespace Deny [[{}]] warning\n" STATIC
		"shop/converted_peer_authentication_metrics-in-plain Workload Deny "
		"[[{!principal=*}][{!port=9090}]]\n"
		"shop/web-5c4b: shop/converted_peer_authentication_metrics-in-plain\n"
		"shop/db-0: shop/db-clients istio-system/istio_converted_static_strict\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_authorization_policy_becomes_what_istiod_makes_of_it),
		cmocka_unit_test(a_selector_binds_the_pods_that_have_all_its_labels),
		cmocka_unit_test(the_root_namespace_may_have_another_name),
		cmocka_unit_test(a_peer_authentication_is_strict_where_it_says_so),
		cmocka_unit_test(the_oldest_peer_authentication_of_a_level_counts),
		cmocka_unit_test(lists_and_documents_are_read_as_kubectl_writes_them),
		cmocka_unit_test(what_cannot_be_read_exactly_is_refused),
		cmocka_unit_test(the_documented_example_means_what_is_said_there),
		cmocka_unit_test(warnings_say_what_is_not_carried_out),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
