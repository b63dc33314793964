// SPDX-License-Identifier: Apache-2.0
/*
 * A request line of the control socket -> JSON object with "cmd". Pure function, fuzzed;
 * used by the server in ctl.c.
 */
#include "admin/ctl.h"

#include <errno.h>

/* Control characters of a stranger do not go into logs and terminals. */
static void sanitize(char *z)
{
	for (; *z; z++)
		if ((unsigned char)*z < 0x20 || (unsigned char)*z > 0x7e)
			*z = '?';
}

int ctl_request_parse(struct str line, struct errbuf *err, json_t **ret, const char **ret_cmd)
{
	const char *cmd;
	json_error_t je;
	json_t *j;

	if (line.n > CTL_REQUEST_MAX)
		return errbuf_set(err, -EINVAL, "the request is longer than %u bytes",
				  CTL_REQUEST_MAX);
	line = str_trim(line);
	if (line.n == 0)
		return errbuf_set(err, -EINVAL, "the request is empty");
	j = json_loadb(line.p, line.n, JSON_REJECT_DUPLICATES, &je);
	if (!j) {
		sanitize(je.text);
		return errbuf_set(err, -EINVAL, "the request is not JSON: %s (column %d)", je.text,
				  je.column);
	}
	cmd = json_is_object(j) ? json_string_value(json_object_get(j, "cmd")) : NULL;
	if (!cmd || !*cmd) {
		json_decref(j);
		return errbuf_set(err, -EINVAL,
				  "the request has no \"cmd\": {\"cmd\": \"status\"} is one");
	}
	*ret = j;
	*ret_cmd = cmd;
	return 0;
}
