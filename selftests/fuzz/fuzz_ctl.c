// SPDX-License-Identifier: Apache-2.0
/* Any bytes as a request line of the control socket: an object with "cmd", or a sentence. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "admin/ctl.h"
#include "base/bug.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = { (const char *)data, size };
	struct errbuf err = { 0 };
	const char *cmd = NULL;
	json_t *j = NULL;
	int r = ctl_request_parse(line, &err, &j, &cmd);

	if (r < 0) {
		BUG_ON(r != -EINVAL || !err.text[0] || j || cmd);
		return 0;
	}
	BUG_ON(!json_is_object(j) || !cmd || !*cmd);
	BUG_ON(json_object_get(j, "cmd") == NULL);
	json_decref(j);
	return 0;
}
