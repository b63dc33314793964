// SPDX-License-Identifier: Apache-2.0
/* weft dns: how a name is answered to a pod. One reply as a few lines. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "out.h"

static void put_list(const char *head, const json_t *list)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		printf("  %-6s", i ? "" : head);
		out_safe(stdout, json_string_value(one));
		printf("\n");
	}
}

static void tell(const json_t *j, const char *pod)
{
	const char *service = get_text(j, "service"), *alias = get_text(j, "alias");

	out_safe(stdout, get_text(j, "name"));
	printf(" from ");
	out_safe(stdout, pod);
	if (!service[0]) {
		printf(": no name of the mesh, its nameserver is asked\n");
	} else {
		printf(": service ");
		out_safe(stdout, service);
		printf(get_true(j, "wildcard") ? ", by a wildcard\n" : "\n");
		if (alias[0]) {
			printf("  CNAME ");
			out_safe(stdout, alias);
			printf("\n");
		}
		put_list("A", json_object_get(j, "a"));
		put_list("AAAA", json_object_get(j, "aaaa"));
		printf("  TTL   %.0f s\n", get_num(j, "ttl_s"));
	}
	if (strcmp(get_text(j, "capture"), "none") == 0)
		printf("But weftd does not answer names in this pod: all are asked at its nameserver.\n");
	else if (json_array_size(json_object_get(j, "nameservers")))
		printf("What is not the mesh's goes to whom the pod asks, so far:\n");
	put_list("", json_object_get(j, "nameservers"));
}

int cmd_dns(const struct cli *c)
{
	cleanup_with(targets_fini) struct targets ts = { 0 };
	const char *slash = c->pod ? strchr(c->pod, '/') : NULL;
	json_t *reply;
	bool done;
	int r;

	if (!slash || slash == c->pod || !slash[1]) {
		fprintf(stderr, "weft: whose question? --pod NAMESPACE/NAME\n");
		return EXIT_USAGE;
	}
	r = client_act(c,
		       json_pack("{s:s, s:s, s:s%, s:s}", "cmd", "dns", "name", c->args[0],
				 "namespace", c->pod, (size_t)(slash - c->pod), "pod", slash + 1),
		       &ts, &done);
	if (r != EXIT_DONE)
		return r;
	reply = ts.v.n ? ts.v.p[0].reply : NULL;
	if (!reply)
		return EXIT_FAILED;
	if (!done)
		tell(reply, c->pod);
	return strcmp(get_text(reply, "answered_by"), "weftd") == 0 ? EXIT_DONE : EXIT_FAILED;
}
