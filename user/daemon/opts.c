// SPDX-License-Identifier: Apache-2.0
/*
 * The table of options and the reading of its three sources. Used by daemon/main.c before any
 * thread starts; struct opts owns the values. To add a key: a member in opts.h, a row here, a
 * line in docs/configuration.md.
 */
#include "daemon/opts.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "codec/yaml.h"
#include "daemon/optkey.h"
#include "daemon/ztenv.h"
#include "ident/ca.h"
#include "io/tcp.h"

#define DAY_S 86400u

static const char *const guard_words[] = { "auto", "xdp", "tcx", "off", NULL };
static const char *const same_node_words[] = { "direct", "mtls", NULL };
static const char *const certificates_words[] = { "ca", "files", "istio", NULL };
static const char *const aead_words[] = { "auto", "ipsec-mb", "openssl", NULL };
static const char *const confine_words[] = { "on", "off", NULL };
/* As istio says it, too: of each pair the second is off. */
static const char *const switch_words[] = { "on", "off", "true", "false", NULL };
static const char *const format_words[] = { "text", "json", NULL };
static const char *const level_words[] = { "error", "warn", "info", "debug", NULL };
_Static_assert(ARRAY_LEN(guard_words) == OPTS_GUARD_MAX + 1, "name every guard");
_Static_assert(ARRAY_LEN(same_node_words) == OPTS_SAME_NODE_MAX + 1, "name every mode");
_Static_assert(ARRAY_LEN(certificates_words) == OPTS_CERTS_MAX + 1, "name every source");
_Static_assert(ARRAY_LEN(aead_words) == OPTS_AEAD_MAX + 1, "name every engine");
_Static_assert(ARRAY_LEN(switch_words) == OPTS_SWITCH_MAX + 1, "name every word");
_Static_assert(ARRAY_LEN(confine_words) == OPTS_CONFINE_MAX + 1, "name both");
_Static_assert(ARRAY_LEN(format_words) == OPTS_FORMAT_MAX + 1, "name every format");
_Static_assert(ARRAY_LEN(level_words) == LOG_LEVEL_MAX + 1, "name every level");

#define AT(member) .at = offsetof(struct opts, member)

/* clang-format off */
static const struct optkey keys[] = {
	{ "node", KEY_TEXT, AT(node), .check = ca_check_node, .env = { "NODE_NAME" },
	  .help = "name of this node in the mesh; default: host name" },
	{ "mesh_file", KEY_TEXT, AT(mesh_file), .def = "/etc/weft/mesh.yaml",
	  .env = { "LOCAL_XDS_PATH" },
	  .help = "workloads, services, policies; not read when xds_address is set" },
	{ "xds_address", KEY_TEXT_OR_NONE, AT(xds_address), .def = "", .check = optcheck_server,
	  .env = { "XDS_ADDRESS" },
	  .help = "istiod, host:port: the mesh comes from there; empty: from mesh_file" },
	{ "xds_root_ca", KEY_PEM, AT(xds_root_ca), .def = OPTS_ISTIO_ROOT,
	  .env = { "XDS_ROOT_CA" }, .help = "PEM file, PEM text or SYSTEM, to check istiod against" },
	{ "xds_alt_hostname", KEY_TEXT_OR_NONE, AT(xds_alt_hostname), .def = "",
	  .env = { "ALT_XDS_HOSTNAME" }, .help = "another name istiod's certificate may have" },
	{ "xds_on_demand", KEY_WORD, AT(xds_on_demand), .def = "off", .words = switch_words,
	  .env = { "XDS_ON_DEMAND" },
	  .help = "istiod is asked for an address when it is needed; with dns: off only" },
	{ "ca_address", KEY_TEXT_OR_NONE, AT(ca_address), .def = "", .check = optcheck_server,
	  .env = { "CA_ADDRESS" },
	  .help = "with certificates: istio, host:port; empty: xds_address" },
	{ "ca_root_ca", KEY_PEM, AT(ca_root_ca), .def = OPTS_ISTIO_ROOT, .env = { "CA_ROOT_CA" },
	  .help = "as xds_root_ca, for ca_address" },
	{ "ca_alt_hostname", KEY_TEXT_OR_NONE, AT(ca_alt_hostname), .def = "",
	  .env = { "ALT_CA_HOSTNAME" }, .help = "another name the CA's certificate may have" },
	{ "auth_token", KEY_TEXT_OR_NONE, AT(auth_token),
	  .def = "/var/run/secrets/tokens/istio-token", .env = { "AUTH_TOKEN" },
	  .secret = true,
	  .help = "for istiod and CA: path of a file, or the token itself; empty: none" },
	{ "network", KEY_TEXT_OR_NONE, AT(network), .def = "",
	  .env = { "ISTIO_META_NETWORK", "NETWORK" },
	  .help = "of this node, where a mesh has several" },
	{ "pod_name", KEY_TEXT_OR_NONE, AT(pod_name), .def = "", .env = { "POD_NAME" },
	  .help = "the pod that weftd runs in, for istiod" },
	{ "pod_namespace", KEY_TEXT_OR_NONE, AT(pod_namespace), .def = "",
	  .env = { "POD_NAMESPACE" }, .help = "of that pod" },
	{ "service_account", KEY_TEXT_OR_NONE, AT(service_account), .def = "",
	  .env = { "SERVICE_ACCOUNT" }, .help = "of that pod" },
	{ "instance_ip", KEY_TEXT_OR_NONE, AT(instance_ip), .def = "", .env = { "INSTANCE_IP" },
	  .help = "of that pod" },
	{ "run_dir", KEY_PATH, AT(run_dir), .def = "/run/weft", .check = optcheck_run_dir,
	  .help = "control socket and enrolment state" },
	{ "zds", KEY_TEXT_OR_NONE, AT(zds), .def = "", .check = optcheck_zds, .env = { "INPOD_UDS" },
	  .help = "socket of istio-cni's node agent, whose pods are served; empty: none" },
	{ "pin_dir", KEY_PATH, AT(pin_dir),
	  .help = "pinned programs and maps; default: /sys/fs/bpf/weft/NODE" },
	{ "cgroup", KEY_PATH, AT(cgroup), .check = optcheck_cgroup,
	  .help = "where the connect hooks are attached; default: the cgroup2 mount" },
	{ "workers", KEY_NUMBER, AT(workers), .min = 1, .max = 256,
	  .help = "relay threads; default: number of CPUs" },
	{ "uplink", KEY_TEXT, AT(uplink), .check = optcheck_uplink,
	  .help = "guarded interface, or none; default: that of the default route" },
	{ "uplink_guard", KEY_WORD, AT(uplink_guard), .def = "auto", .words = guard_words,
	  .help = "how packets that claim a local pod's address are dropped" },
	{ "same_node", KEY_WORD, AT(same_node), .def = "direct", .words = same_node_words,
	  .help = "path between pods of this node" },
	{ "mesh_addresses", KEY_NUMBER, AT(mesh_addresses), .def = "262144", .min = 1024,
	  .max = 4194304,
	  .help = "addresses of workloads and services that the kernel's tables have room for" },
	{ "tunnel_connections", KEY_NUMBER, AT(tunnel_connections), .def = "0", .max = 1000000000,
	  .help = "connections that a tunnel carries before another takes over; 0: no limit" },
	{ "certificates", KEY_WORD, AT(certificates), .words = certificates_words,
	  .help = "embedded CA, files somebody else renews, or from istiod (or istio-csr); "
		  "default: istio with xds_address, else ca" },
	{ "certificates_dir", KEY_TEXT, AT(certificates_dir), .def = "/etc/weft/ca",
	  .help = "of the CA, or of the files" },
	{ "ca_crl", KEY_TEXT_OR_NONE, AT(ca_crl), .def = "", .check = optcheck_ca_crl,
	  .env = { "CRL_PATH" },
	  .help = "file of revocation lists (PEM or DER), read again on change; empty: none" },
	{ "certificate_ttl", KEY_DURATION, AT(certificate_ttl_ns), .def = "24h",
	  .min = 2, .max = 365 * DAY_S, .env = { "SECRET_TTL" },
	  .help = "life of an issued certificate" },
	{ "trust_domain", KEY_TEXT, AT(trust_domain), .def = "cluster.local",
	  .check = ca_check_trust_domain, .env = { "TRUST_DOMAIN" }, .help = "of this mesh" },
	{ "cluster", KEY_TEXT, AT(cluster), .def = "Kubernetes", .check = optcheck_cluster,
	  .env = { "ISTIO_META_CLUSTER_ID", "CLUSTER_ID" },
	  .help = "name of this one: for istiod, and for labels where the mesh file gives none" },
	{ "dns", KEY_WORD, AT(dns), .def = "on", .words = switch_words,
	  .env = { "ISTIO_META_DNS_CAPTURE" },
	  .help = "weftd answers pods the names of the mesh's services" },
	{ "preferred_service_namespace", KEY_TEXT_OR_NONE, AT(preferred_ns), .def = "",
	  .env = { "PREFERED_SERVICE_NAMESPACE" },
	  .help = "of several services with one name, pods of other namespaces mean the one here" },
	{ "cluster_domain", KEY_TEXT, AT(cluster_domain), .def = "cluster.local",
	  .check = optcheck_domain, .env = { "CLUSTER_DOMAIN" },
	  .help = "what names of services end with in this cluster" },
	{ "metrics_port", KEY_PORT, AT(metrics_port), .def = "15020",
	  .help = "/metrics and /stats/prometheus" },
	{ "ready_port", KEY_PORT, AT(ready_port), .def = "15021", .help = "/healthz/ready" },
	{ "admin_port", KEY_PORT, AT(admin_port), .def = "15000", .help = "on localhost" },
	{ "access_log", KEY_TEXT, AT(access_log), .def = "-", .check = optcheck_access_log,
	  .help = "- (stderr), a path, or off" },
	{ "access_log_format", KEY_WORD, AT(access_log_format), .def = "text",
	  .words = format_words, .help = "of the access log" },
	{ "log_format", KEY_WORD, AT(log_format), .def = "text", .words = format_words,
	  .help = "of the log" },
	{ "log_level", KEY_WORD, AT(log_level), .def = "info", .words = level_words,
	  .help = "of the log" },
	{ "local_congestion", KEY_TEXT_OR_NONE, AT(local_congestion), .def = "reno",
	  .check = optcheck_congestion,
	  .help = "congestion control of legs that stay on the node; empty: the system's" },
	{ "aead", KEY_WORD, AT(aead), .def = "auto", .words = aead_words,
	  .help = "what seals and opens TLS records; auto: the fastest that is there" },
	{ "confine", KEY_WORD, AT(confine), .def = "on", .words = confine_words,
	  .help = "weftd gives up rights and system calls that it does not need while it runs" },
	{ "tunnel_ping", KEY_DURATION, AT(tunnel_ping_ns), .def = "10s", .min = 1, .max = DAY_S,
	  .help = "a silent tunnel is pinged after this, and given up after three times this" },
	{ "keepalive", KEY_DURATION, AT(keepalive_ns), .def = "3m", .min = 1,
	  .max = TCP_KEEPALIVE_MAX_S, .env = { "KEEPALIVE_TIME" },
	  .help = "a silent peer's TCP is probed after this, and given up after ten times this" },
	{ "drain", KEY_DURATION, AT(drain_ns), .def = "5s", .max = DAY_S,
	  .env = { "CONNECTION_TERMINATION_DEADLINE" },
	  .help = "what relayed connections get to end by themselves at SIGTERM; 0: nothing" },
};
/* clang-format on */
_Static_assert(ARRAY_LEN(keys) == OPTS_KEYS, "OPTS_KEYS counts the table");

static void own_opts(struct opts *o)
{
	opts_fini(o);
}

void opts_fini(struct opts *o)
{
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		if (optkey_is_text(&keys[i]))
			own_free(optkey_text(&keys[i], o));
		own_free(&o->source[i]);
	}
	*o = (struct opts){ 0 };
}

/* Sets key i from a source; the sentence in err names both. */
static int set_from(struct opts *o, size_t i, struct str text, const char *source, struct errbuf *err)
{
	struct errbuf why = { 0 };
	char *copy;
	int r = optkey_set(&keys[i], o, text, &why);

	if (r < 0)
		return errbuf_set(err, r, "%s: %s %s", source, keys[i].name,
				  why.text[0] ? why.text : strerror(-r));
	copy = str_dup(str_of(source));
	if (!copy)
		return -ENOMEM;
	free(o->source[i]);
	o->source[i] = copy;
	return 0;
}

/* Index of a key, with '-' and '_' as one if loose; -1 if there is none. */
static int key_find(struct str name, bool loose)
{
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		const char *k = keys[i].name;
		size_t n = 0;

		while (n < name.n && k[n] &&
		       (k[n] == name.p[n] || (loose && k[n] == '_' && name.p[n] == '-')))
			n++;
		if (n == name.n && !k[n])
			return (int)i;
	}
	return -1;
}

static int read_entry(struct opts *o, const char *path, const struct yaml *y, struct errbuf *err)
{
	_free_ char *source = str_printf("%s:%d", path, y->line);
	int i = key_find(y->key, false);

	if (!source)
		return -ENOMEM;
	if (i < 0)
		return errbuf_set(err, -EINVAL, "%s: there is no key \"%.*s\"", source,
				  STR_FMT(y->key));
	if (y->kind == YAML_NULL)
		return errbuf_set(err, -EINVAL, "%s: %s has no value", source, keys[i].name);
	if (y->kind != YAML_SCALAR)
		return errbuf_set(err, -EINVAL, "%s: %s must be one value, not a list or a map",
				  source, keys[i].name);
	return set_from(o, (size_t)i, y->text, source, err);
}

static void own_yaml(struct yaml **y)
{
	if (*y)
		yaml_free(y);
}

static int read_file(struct opts *o, const char *path, bool required, struct errbuf *err)
{
	cleanup_with(own_yaml) struct yaml *y = NULL;
	int r = 0;

	if (!required && access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = yaml_read_file(path, err, &y);
	if (r < 0)
		return r;
	if (y->kind == YAML_NULL)
		return 0;
	if (y->kind != YAML_MAP)
		return errbuf_set(err, -EINVAL, "%s:%d: must be lines of \"key: value\"", path,
				  y->line);
	for (size_t i = 0; r == 0 && i < y->n; i++)
		r = read_entry(o, path, y->child[i], err);
	return r;
}

static int read_variable(struct opts *o, size_t i, const char *name, struct errbuf *err)
{
	const char *value = getenv(name);
	int r = value ? set_from(o, i, str_of(value), name, err) : 0;

	return r < 0 ? r : value != NULL;
}

/* The key's own variable, or one of the names that ztunnel has for it. */
static int read_variables(struct opts *o, size_t i, struct errbuf *err)
{
	char name[64];
	size_t n = (size_t)snprintf(name, sizeof(name), "WEFT_%s", keys[i].name);
	int r;

	for (size_t k = 0; k < n; k++)
		if (name[k] >= 'a' && name[k] <= 'z')
			name[k] = (char)(name[k] - 'a' + 'A');
	r = read_variable(o, i, name, err);
	for (size_t k = 0; r == 0 && k < ARRAY_LEN(keys[i].env) && keys[i].env[k]; k++)
		r = read_variable(o, i, keys[i].env[k], err);
	if (r == 0) {
		char text[ZTENV_TEXT_MAX];
		const char *from;

		r = ztenv_value(keys[i].name, text, &from, err);
		if (r > 0)
			r = set_from(o, i, str_of(text), from, err);
	}
	return r < 0 ? r : 0;
}

bool opts_reads(const char *name)
{
	for (size_t i = 0; i < OPTS_KEYS; i++)
		for (size_t k = 0; k < ARRAY_LEN(keys[i].env) && keys[i].env[k]; k++)
			if (strcmp(keys[i].env[k], name) == 0)
				return true;
	return false;
}

static int read_environment(struct opts *o, struct errbuf *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < OPTS_KEYS; i++)
		r = read_variables(o, i, err);
	return r;
}

/* Flags wait until file and environment are read, because --config comes with them. */
struct flags {
	const char *config;
	bool check, help, version;
	struct str value[OPTS_KEYS]; /* p == NULL: not given */
};

static int flag_plain(struct flags *f, const char *arg)
{
	if (strcmp(arg, "--check") == 0)
		f->check = true;
	else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
		f->help = true;
	else if (strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0)
		f->version = true;
	else
		return -ENOENT;
	return 0;
}

/* One flag at argv[*at]; moves *at to its last word. */
static int flag_read(struct flags *f, int argc, char **argv, int *at, struct errbuf *err)
{
	const char *arg = argv[*at];
	struct str rest = str_of(arg), name;
	int i = -1;

	if (flag_plain(f, arg) == 0)
		return 0;
	if (strncmp(arg, "--", 2) != 0)
		return errbuf_set(err, -EINVAL, "\"%s\" is no option; weftd --help lists them", arg);
	name = str_cut(&rest, '=');
	name.p += 2;
	name.n -= 2;
	if (!str_eq(name, STR("config"))) {
		i = key_find(name, true);
		if (i < 0)
			return errbuf_set(err, -EINVAL,
					  "there is no option --%.*s; weftd --help lists them",
					  STR_FMT(name));
	}
	if (!rest.p) {
		if (*at + 1 >= argc)
			return errbuf_set(err, -EINVAL, "--%.*s needs a value", STR_FMT(name));
		rest = str_of(argv[++*at]);
	}
	if (i < 0)
		f->config = rest.p;
	else
		f->value[i] = rest;
	return 0;
}

static int read_flags(int argc, char **argv, struct flags *ret, struct errbuf *err)
{
	for (int at = 1; at < argc; at++) {
		int r = flag_read(ret, argc, argv, &at, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int apply_flags(struct opts *o, const struct flags *f, struct errbuf *err)
{
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		char name[64];
		int r;

		if (!f->value[i].p)
			continue;
		snprintf(name, sizeof(name), "--%s", keys[i].name);
		for (char *c = name; *c; c++)
			if (*c == '_')
				*c = '-';
		r = set_from(o, i, f->value[i], name, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static char *computed(const struct opts *o, const char *key)
{
	if (strcmp(key, "node") == 0)
		return default_node();
	if (strcmp(key, "workers") == 0)
		return default_workers();
	if (strcmp(key, "certificates") == 0)
		return str_dup(o->xds_address[0] ? STR("istio") : STR("ca"));
	if (strcmp(key, "pin_dir") == 0)
		return default_pin_dir(o->node);
	if (strcmp(key, "cgroup") == 0) {
		_fclose_ FILE *mounts = fopen("/proc/self/mounts", "re");

		return default_cgroup(mounts);
	}
	_fclose_ FILE *four = fopen("/proc/net/route", "re");
	_fclose_ FILE *six = fopen("/proc/net/ipv6_route", "re");
	char *dev = default_uplink(four, six);

	return dev ? dev : str_dup(STR("none"));
}

/* Only what no source gave; node is before pin_dir in the table, xds_address before certificates. */
static int fill_defaults(struct opts *o, struct errbuf *err)
{
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		_free_ char *text = NULL;
		int r;

		if (o->source[i])
			continue;
		text = keys[i].def ? str_dup(str_of(keys[i].def)) : computed(o, keys[i].name);
		if (!text && strcmp(keys[i].name, "cgroup") == 0)
			return errbuf_set(err, -ENOENT,
					  "there is no cgroup2 mount in "
					  "/proc/self/mounts: mount one, or name "
					  "a folder by cgroup");
		if (!text)
			return -ENOMEM;
		r = set_from(o, i, str_of(text), "default", err);
		if (r < 0)
			return r;
	}
	return 0;
}

static const char *source_of(const struct opts *o, const void *member)
{
	size_t at = (size_t)((const char *)member - (const char *)o);

	for (size_t i = 0; i < OPTS_KEYS; i++)
		if (keys[i].at == at)
			return o->source[i];
	return "?";
}

static int check_ports(const struct opts *o, struct errbuf *err)
{
	const struct {
		const char *name;
		const uint16_t *port;
	} ports[] = {
		{ "metrics_port", &o->metrics_port },
		{ "ready_port", &o->ready_port },
		{ "admin_port", &o->admin_port },
	};

	for (size_t i = 0; i < ARRAY_LEN(ports); i++) {
		for (size_t k = i + 1; k < ARRAY_LEN(ports); k++) {
			/* The one that somebody wrote comes first. */
			size_t a = strcmp(source_of(o, ports[k].port), "default") == 0 ? i : k;
			size_t b = a == i ? k : i;

			if (*ports[i].port == 0 || *ports[i].port != *ports[k].port)
				continue;
			return errbuf_set(err, -EINVAL, "%s: %s and %s (%s) are both %u",
					  source_of(o, ports[a].port), ports[a].name, ports[b].name,
					  source_of(o, ports[b].port), *ports[i].port);
		}
	}
	return 0;
}

static int check_istio(const struct opts *o, struct errbuf *err)
{
	if (o->certificates == OPTS_CERTS_ISTIO && !o->xds_address[0] && !o->ca_address[0])
		return errbuf_set(err, -EINVAL,
				  "%s: certificates from istio need its address: set "
				  "ca_address or xds_address",
				  source_of(o, &o->certificates));
	if (!opts_is_on(o->xds_on_demand))
		return 0;
	if (!o->xds_address[0])
		return errbuf_set(err, -EINVAL, "%s: xds_on_demand needs xds_address",
				  source_of(o, &o->xds_on_demand));
	/* A name leads to an address only where all names are known. */
	if (opts_is_on(o->dns))
		return errbuf_set(err, -EINVAL, "%s: xds_on_demand needs dns: off (%s)",
				  source_of(o, &o->xds_on_demand), source_of(o, &o->dns));
	return 0;
}

int opts_parse(int argc, char **argv, struct opts *ret, struct errbuf *err)
{
	cleanup_with(own_opts) struct opts o = { 0 };
	struct flags f = { 0 };
	int r = read_flags(argc, argv, &f, err);

	if (r < 0)
		return r;
	if (f.help || f.version) {
		*ret = (struct opts){ .action = f.help ? OPTS_HELP : OPTS_VERSION };
		return 0;
	}
	r = read_file(&o, f.config ? f.config : OPTS_FILE_DEFAULT, f.config, err);
	if (r == 0)
		r = read_environment(&o, err);
	if (r == 0)
		r = apply_flags(&o, &f, err);
	if (r == 0)
		r = fill_defaults(&o, err);
	if (r == 0)
		r = check_ports(&o, err);
	if (r == 0)
		r = check_istio(&o, err);
	if (r < 0)
		return r;
	o.action = f.check ? OPTS_CHECK : OPTS_RUN;
	*ret = o;
	o = (struct opts){ 0 };
	return 0;
}

void opts_print(const struct opts *o, FILE *f)
{
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		fprintf(f, "%s: ", keys[i].name);
		optkey_print(&keys[i], o, f);
		fprintf(f, " # %s\n", o->source[i] ? o->source[i] : "?");
	}
}

void opts_help(FILE *f)
{
	fprintf(f,
		"Usage: weftd [--config FILE] [--check] [--KEY VALUE]...\n"
		"The dataplane of a service mesh on one node.\n\n"
		"  --config FILE  read FILE (default %s, may be absent)\n"
		"  --check        check the configuration, print the effective values, exit\n"
		"  --help         this text\n"
		"  --version      version of the program\n\n"
		"Keys of the file; each is a flag as well, and WEFT_KEY in the environment:\n",
		OPTS_FILE_DEFAULT);
	for (size_t i = 0; i < OPTS_KEYS; i++) {
		char domain[160] = "";

		fprintf(f, "  %-18s %s", keys[i].name, keys[i].help);
		if (keys[i].kind == KEY_WORD)
			fprintf(f, " (%s)", optkey_domain(&keys[i], domain, sizeof(domain)));
		if (keys[i].def)
			fprintf(f, "; default: %s", keys[i].def[0] ? keys[i].def : "none");
		fputc('\n', f);
	}
}
