// SPDX-License-Identifier: Apache-2.0
/* The table and its three uses, see ztenv.h. Used by daemon/opts.c and daemon/main.c. */
#include "daemon/ztenv.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"

#define INPOD_UDS_DEFAULT "/var/run/ztunnel/ztunnel.sock"

enum what {
	TRANSLATED, /* ztenv_value() */
	ONLY,     /* weftd does what this value asks for, and nothing else */
	NOTHING,    /* has no counterpart; why says what is instead */
};

static const struct row {
	const char *name;
	enum what what;
	const char *value; /* ONLY */
	const char *why;   /* ONLY, NOTHING: what holds instead */
} rows[] = {
	{ "INPOD_ENABLED", TRANSLATED, NULL, NULL },
	{ "RUST_LOG", TRANSLATED, NULL, NULL },
	{ "LOG_FORMAT", TRANSLATED, NULL, NULL },
	{ "ZTUNNEL_WORKER_THREADS", TRANSLATED, NULL, NULL },
	{ "TERMINATION_GRACE_PERIOD_SECONDS", TRANSLATED, NULL, NULL },
	{ "PROXY_MODE", ONLY, "shared", "pods come by ZDS or are enrolled" },
	{ "ENABLE_PROXY", ONLY, "true", "connections are always served" },
	{ "PACKET_MARK", ONLY, "1337", "istio-cni's rules know this one only" },
	{ "IPV6_ENABLED", ONLY, "true", "a pod has what its addresses say" },
	{ "INPOD_PORT_REUSE", ONLY, "true", "a ztunnel may listen beside" },
	{ "ENABLE_ORIG_SRC", ONLY, "true", "applications always see who called" },
	{ "KEEPALIVE_ENABLED", ONLY, "true", "see the key keepalive" },
	{ "UNSTABLE_ENABLE_SOCKS5", ONLY, "false", "there is no SOCKS" },
	{ "LOCALHOST_APP_TUNNEL", ONLY, "true", "such tunnels are on loopback" },
	{ "ENABLE_RESPONSE_BAGGAGE", ONLY, "true", "it is always sent" },
	{ "TLS12_ENABLED", ONLY, "false", "TLS 1.3 only" },
	{ "COMPLIANCE_POLICY", ONLY, "", "key exchange is OpenSSL's choice" },
	{ "FAKE_CA", ONLY, "false", "see the key certificates" },
	{ "AUTHZ_POLICY_INFO_LOGGING", ONLY, "false", "`weft why` and `weft drops` tell" },
	{ "LOCAL_XDS", ONLY, "", "LOCAL_XDS_PATH names a file" },
	{ "PROXY_WORKLOAD_INFO", ONLY, "", "there is no dedicated mode" },
	{ "PROXY_CONFIG", ONLY, "", "the keys of weft.yaml" },
	{ "KEEPALIVE_INTERVAL", NOTHING, NULL, "the key keepalive" },
	{ "KEEPALIVE_RETRIES", NOTHING, NULL, "the key keepalive" },
	{ "USER_TIMEOUT_ENABLED", NOTHING, NULL, "always, from the key keepalive" },
	{ "POOL_MAX_STREAMS_PER_CONNECTION", NOTHING, NULL, "100, and what the peer allows" },
	{ "POOL_UNUSED_RELEASE_TIMEOUT", NOTHING, NULL, "5m" },
	{ "HTTP2_STREAM_WINDOW_SIZE", NOTHING, NULL, "windows grow with what is read" },
	{ "HTTP2_CONNECTION_WINDOW_SIZE", NOTHING, NULL, "windows grow with what is read" },
	{ "HTTP2_FRAME_SIZE", NOTHING, NULL, "as the peer allows" },
	{ "ZTUNNEL_CPU_LIMIT", NOTHING, NULL, "the key workers" },
	{ "ZTUNNEL_RESOURCE_CPU_LIMIT", NOTHING, NULL, "the key workers" },
	{ "ZTUNNEL_RESOURCE_CPU_REQUEST", NOTHING, NULL, "the key workers" },
};

/* Of these, names that are in no list are said. Kubernetes makes others for services. */
static const char *const prefixes[] = {
	"INPOD_", "XDS_",       "CA_",    "ALT_",     "LOCAL_XDS", "POOL_",
	"HTTP2_", "KEEPALIVE_", "PROXY_", "ZTUNNEL_", "UNSTABLE_", "ENABLE_",
};
static const char *const free_form[] = { "XDS_HEADER_", "CA_HEADER_", NULL };

static bool starts_with_any(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n && list[i]; i++)
		if (strncmp(name, list[i], strlen(list[i])) == 0)
			return true;
	return false;
}

static const struct row *row_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

/* ---- translations: 1 with buf, 0 nothing to say, -EINVAL ---- */

static int number(const char *text, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return text[0] < '0' || text[0] > '9' || *end || errno || *ret > 1000000 ? -EINVAL : 0;
}

static int socket_of(const char *text, char *buf)
{
	bool yes = false;

	if (str_to_bool(str_of(text), &yes) < 0)
		return -EINVAL;
	if (yes)
		snprintf(buf, ZTENV_TEXT_MAX, "%s", INPOD_UDS_DEFAULT);
	return yes;
}

/* Of "info,ztunnel::proxy=debug" the part without a target: parts of weftd have no levels. */
static int level_of(const char *text, char *buf)
{
	static const char *const from[] = { "trace", "debug", "info", "warn", "error", "off" };
	static const char *const to[] = { "debug", "debug", "info", "warn", "error", "error" };
	struct str rest = str_of(text);

	while (rest.p && rest.n) {
		struct str one = str_trim(str_cut(&rest, ','));

		for (size_t i = 0; i < ARRAY_LEN(from); i++) {
			if (!str_eq(one, str_of(from[i])))
				continue;
			snprintf(buf, ZTENV_TEXT_MAX, "%s", to[i]);
			return 1;
		}
	}
	return 0;
}

static int format_of(const char *text, char *buf)
{
	bool json = strcmp(text, "json") == 0;

	if (!json && strcmp(text, "plain") != 0)
		return -EINVAL;
	snprintf(buf, ZTENV_TEXT_MAX, "%s", json ? "json" : "text");
	return 1;
}

/* A number, a share of the processors, or 0 for all of them. */
static int workers_of(const char *text, char *buf)
{
	unsigned long cpus = (unsigned long)sysconf(_SC_NPROCESSORS_ONLN), n;
	char digits[16];
	size_t len = strlen(text);
	bool share = len && text[len - 1] == '%';

	if (str_copy(digits, sizeof(digits), (struct str){ text, len - share }) < 0 ||
	    number(digits, &n) < 0)
		return -EINVAL;
	if (share)
		n = (cpus * n + 99) / 100;
	else if (!n)
		n = cpus;
	snprintf(buf, ZTENV_TEXT_MAX, "%lu", n < 1 ? 1 : n > 256 ? 256 : n);
	return 1;
}

/* As ztunnel does it: some seconds before Kubernetes kills. */
static int drain_of(const char *text, char *buf)
{
	unsigned long s;

	if (number(text, &s) < 0)
		return -EINVAL;
	s = s > 10 ? s - 5 : s > 1 ? s - 1 : 1;
	snprintf(buf, ZTENV_TEXT_MAX, "%lus", s < 86400 ? s : 86400);
	return 1;
}

static const struct translation {
	const char *key, *name;
	int (*fn)(const char *text, char *buf);
} translations[] = {
	{ "zds", "INPOD_ENABLED", socket_of },
	{ "log_level", "RUST_LOG", level_of },
	{ "log_format", "LOG_FORMAT", format_of },
	{ "access_log_format", "LOG_FORMAT", format_of },
	{ "workers", "ZTUNNEL_WORKER_THREADS", workers_of },
	{ "drain", "TERMINATION_GRACE_PERIOD_SECONDS", drain_of },
};

int ztenv_value(const char *key, char buf[ZTENV_TEXT_MAX], const char **ret_name, struct errbuf *err)
{
	for (size_t i = 0; i < ARRAY_LEN(translations); i++) {
		const struct translation *t = &translations[i];
		const char *text = strcmp(t->key, key) == 0 ? getenv(t->name) : NULL;
		int r = text ? t->fn(text, buf) : 0;

		if (r < 0)
			return errbuf_set(err, r, "%s: \"%.60s\" is none of its values", t->name,
					  text);
		if (r > 0) {
			*ret_name = t->name;
			return 1;
		}
	}
	return 0;
}

/* ---- what is not done ---- */

static void say(char *buf, size_t cap, const char *name, const char *value, const char *why)
{
	size_t n = strlen(buf);

	if (n < cap)
		snprintf(buf + n, cap - n, "%s%s%s%.40s%s%s%s", n ? ", " : "", name, value ? "=" : "",
			 value ? value : "", why ? " (" : "", why ? why : "", why ? ")" : "");
}

static bool is_of_service(const char *name)
{
	return strstr(name, "_SERVICE_") || strstr(name, "_PORT");
}

static void look_at(const char *name, const char *value, bool (*is_key)(const char *name),
		    struct ztenv_report *ret)
{
	const struct row *row = row_of(name);

	if (row && row->what == ONLY && value[0] && strcmp(value, row->value) != 0)
		say(ret->other, sizeof(ret->other), name, value, row->why);
	if (row && row->what == NOTHING)
		say(ret->other, sizeof(ret->other), name, value, row->why);
	if (row || is_key(name) || is_of_service(name) ||
	    starts_with_any(name, free_form, ARRAY_LEN(free_form)))
		return;
	if (starts_with_any(name, prefixes, ARRAY_LEN(prefixes)))
		say(ret->unknown, sizeof(ret->unknown), name, NULL, NULL);
}

void ztenv_look(char *const *env, bool (*is_key)(const char *name), struct ztenv_report *ret)
{
	ret->unknown[0] = ret->other[0] = '\0';
	for (; *env; env++) {
		const char *eq = strchr(*env, '=');
		char name[128];

		if (!eq || str_copy(name, sizeof(name), (struct str){ *env, (size_t)(eq - *env) }) < 0)
			continue;
		look_at(name, eq + 1, is_key, ret);
	}
}
