/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The subcommands of `weft lab`; each gives the exit code. */
#include <stdbool.h>

#include "base/errbuf.h"

struct lab_env;

struct lab_args {
	const char *weftd; /* --weftd */
	bool json, no_weftd, follow;
	int argc; /* what is behind the subcommand and its options */
	char **argv;
};

/* 0 or -errno with the sentence in err. */
int lab_cmd_up(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_down(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_status(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_exec(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_logs(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_kill(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_start(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_stop(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_mesh(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_apply(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
int lab_cmd_default(struct lab_env *e, const struct lab_args *a, struct errbuf *err);
