// SPDX-License-Identifier: Apache-2.0
/* What is asked of the text of single keys, by the table in opts.c. No state. */
#include <errno.h>
#include <linux/magic.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include "daemon/optkey.h"
#include "h2/grpc.h"

int optcheck_uplink(const char *text, struct errbuf *err)
{
	if (strlen(text) >= IFNAMSIZ || strchr(text, '/') || strchr(text, ' '))
		return errbuf_set(err, -EINVAL, "\"%s\" is no name of an interface", text);
	return 0;
}

int optcheck_run_dir(const char *text, struct errbuf *err)
{
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/weftd.sock");

	if (strlen(text) > max)
		return errbuf_set(err, -EINVAL,
				  "\"%s\" is longer than %zu characters, the path of "
				  "the control socket in it would not fit",
				  text, max);
	return 0;
}

int optcheck_zds(const char *text, struct errbuf *err)
{
	if (text[0] && text[0] != '/')
		return errbuf_set(err, -EINVAL, "\"%s\" is not an absolute path", text);
	if (strlen(text) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return errbuf_set(err, -EINVAL, "\"%s\" is too long for the path of a socket", text);
	return 0;
}

int optcheck_cgroup(const char *text, struct errbuf *err)
{
	struct statfs fs;
	struct stat st;

	if (stat(text, &st) < 0)
		return errbuf_set(err, -EINVAL, "\"%s\": %s", text, strerror(errno));
	if (!S_ISDIR(st.st_mode) || statfs(text, &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return errbuf_set(err, -EINVAL, "\"%s\" is not a folder of a cgroup2 mount", text);
	return 0;
}

int optcheck_ca_crl(const char *text, struct errbuf *err)
{
	if (text[0] == '\0' || text[0] == '/')
		return 0;
	return errbuf_set(err, -EINVAL, "\"%s\" is not an absolute path", text);
}

int optcheck_access_log(const char *text, struct errbuf *err)
{
	if (strcmp(text, "-") == 0 || strcmp(text, "off") == 0 || text[0] == '/')
		return 0;
	return errbuf_set(err, -EINVAL, "\"%s\" is not -, off or an absolute path", text);
}

int optcheck_congestion(const char *text, struct errbuf *err)
{
	if (strlen(text) > 15 || text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
		return errbuf_set(err, -EINVAL, "\"%s\" is no name of a congestion control", text);
	return 0;
}

int optcheck_server(const char *text, struct errbuf *err)
{
	struct grpc_server server;

	return text[0] ? grpc_server_parse(text, OPTS_ISTIOD_PORT, err, &server) : 0;
}

/* It becomes a header of HTTP. */
int optcheck_cluster(const char *text, struct errbuf *err)
{
	for (const char *c = text; *c; c++)
		if ((unsigned char)*c >= 0x7f)
			return errbuf_set(err, -EINVAL, "\"%s\" is not plain ASCII", text);
	return 0;
}

/* As it is compared with names in questions. */
int optcheck_domain(const char *text, struct errbuf *err)
{
	size_t label = 0;

	for (const char *c = text;; c++) {
		if (*c && *c != '.') {
			label++;
			if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-", *c) && label <= 63)
				continue;
		} else if (label) {
			label = 0;
			if (*c)
				continue;
			return 0;
		}
		return errbuf_set(err, -EINVAL, "\"%s\" is no name of a domain in lower case", text);
	}
}
