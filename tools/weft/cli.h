/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What one call of `weft` was asked to do. Filled by main.c from the command table, handed to
 * the command's function; the texts point into argv.
 */
#include <stdbool.h>
#include <stddef.h>

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_UNREACHABLE = 3 };

#define CLI_ARGS_MAX 4
#define CLI_NODES_MAX 64

struct cli {
	const char *socket; /* --socket or WEFT_SOCKET; NULL: default */
	const char *nodes[CLI_NODES_MAX]; /* --node; only `ca init` takes several */
	size_t n_nodes;
	bool json;
	bool watch, follow;
	bool help;
	bool pre; /* --pre */
	const char *pod, *netns, *uid, *dir, *trust_domain, *mesh;
	const char *args[CLI_ARGS_MAX]; /* what stands behind the command's words */
	size_t n_args;
};

/* A command's function gives an exit code. */
typedef int (*cli_fn)(const struct cli *c);

struct cmd {
	const char *name; /* one or two words */
	const char *args; /* as the usage line shows them */
	const char *opts; /* options besides the global ones: words with blanks around them */
	const char *help;
	const char *detail; /* more lines for `weft help CMD`; may be NULL */
	size_t min_args, max_args;
	cli_fn fn;
	int (*raw)(int argc, char **argv); /* instead of fn: reads its own arguments */
};

/* Ends with a name of NULL. */
const struct cmd *cmd_table(void);
const struct cmd *cmd_find(const char *word1, const char *word2);

struct opt {
	const char *name; /* with dashes */
	char letter;   /* 0: none */
	const char *arg;  /* NULL: takes none */
	const char *values; /* that completion offers */
	const char *help;
	bool global;
};
const struct opt *opt_table(void);
bool opt_allowed(const struct opt *o, const struct cmd *cmd);

int cmd_status(const struct cli *c);
int cmd_pods(const struct cli *c);
int cmd_pod_enrol(const struct cli *c);
int cmd_pod_unenrol(const struct cli *c);
int cmd_workloads(const struct cli *c);
int cmd_services(const struct cli *c);
int cmd_policies(const struct cli *c);
int cmd_why(const struct cli *c);
int cmd_dns(const struct cli *c);
int cmd_policy_test(const struct cli *c);
int cmd_connections(const struct cli *c);
int cmd_drops(const struct cli *c);
int cmd_certs(const struct cli *c);
int cmd_bpf(const struct cli *c);
int cmd_maps_check(const struct cli *c);
int cmd_check(const struct cli *c);
int cmd_log_level(const struct cli *c);
int cmd_reload(const struct cli *c);
int cmd_stop(const struct cli *c);
int cmd_ca_init(const struct cli *c);
int cmd_ca_revoke(const struct cli *c);
int cmd_ca_revoked(const struct cli *c);
int cmd_completion(const struct cli *c);
int cmd_version(const struct cli *c);
int cmd_help(const struct cli *c);
