// SPDX-License-Identifier: Apache-2.0
/*
 * The commands and options of weft, once: usage, help and completion are made from these
 * tables. Read only.
 */
#include <string.h>

#include "base/own.h"
#include "bench.h"
#include "cli.h"
#include "lab.h"

static const struct cmd commands[] = {
	{ .name = "status", .help = "whether the daemon is well, in one page", .fn = cmd_status },
	{ .name = "pods", .help = "pods of this node that are enrolled", .fn = cmd_pods },
	{ .name = "pod enrol",
	  .args = "NAMESPACE/NAME --netns PATH",
	  .opts = " --netns --uid ",
	  .help = "take a running pod into the mesh",
	  .min_args = 1,
	  .max_args = 1,
	  .detail = "The pod is not restarted; connections that are open already stay as they "
		    "are.",
	  .fn = cmd_pod_enrol },
	{ .name = "pod unenrol",
	  .args = "NAMESPACE/NAME",
	  .help = "let a pod leave the mesh",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_pod_unenrol },
	{ .name = "workloads", .help = "workloads of the whole mesh", .fn = cmd_workloads },
	{ .name = "services", .help = "services, their ports and endpoints", .fn = cmd_services },
	{ .name = "policies", .help = "authorization policies", .fn = cmd_policies },
	{ .name = "why",
	  .args = "SOURCE DESTINATION[:PORT] [--mesh FILE]",
	  .opts = " --mesh --trust-domain ",
	  .help = "why a connection is allowed or denied, and which way it takes",
	  .detail = "SOURCE is a pod NAMESPACE/NAME, a uid, an address, or outside: somebody whom "
		    "the mesh does not know. DESTINATION is a pod, an address, or a service by "
		    "hostname, NAME.NAMESPACE or VIP; a bare NAME is looked for in the namespace of "
		    "the source. In a lab the node of the source is asked.\n"
		    "With --mesh nobody is asked: FILE is all there is to know, needs no daemon and "
		    "no root, and a workload with protocol HBONE counts as enrolled.\n"
		    "Exit codes: 0 allowed, 1 denied (also if only some of the ways are), 2 wrong "
		    "usage or an unknown name, 3 the daemon cannot be reached.",
	  .min_args = 2,
	  .max_args = 2,
	  .fn = cmd_why },
	{ .name = "dns",
	  .args = "NAME --pod NAMESPACE/NAME",
	  .opts = " --pod ",
	  .help = "how a name is answered to a pod, and by whom",
	  .detail = "The pod must be enrolled on the node that is asked. Exit codes: 0 weftd answers it, "
		    "1 the nameserver of the pod does, 2 wrong usage, 3 the daemon cannot be reached.",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_dns },
	{ .name = "policy test",
	  .args = "FILE [--mesh FILE]",
	  .opts = " --mesh --trust-domain ",
	  .help = "check a table of connections that must be allowed or denied",
	  .detail = "FILE is a YAML list of {from, to, port, expect: allow|deny, policy, name}; from "
		    "and to are written as for `weft why`, port may stand in to; policy is the one "
		    "that must decide, \"\" for none; policy and name may be left out. With "
		    "--mesh no daemon is needed, so that it can run before a change is applied.\n"
		    "Exit codes: 0 all passed, 1 some failed, 2 wrong usage or a broken file, 3 the "
		    "daemon cannot be reached.",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_policy_test },
	{ .name = "connections",
	  .args = "[-w] [--pod NAMESPACE/NAME]",
	  .opts = " --watch --pod ",
	  .help = "open connections: peer, identity, path, bytes",
	  .detail = "With -w a live screen sorted by rate, until q or Ctrl-C; when the output is "
		    "no terminal, a table every second.\n"
		    "SENT and RECEIVED are seen from the pod. PATH: direct (same node, decided in "
		    "the kernel, no proxy), hbone (mutual TLS tunnel), plain (from outside the "
		    "mesh), passthrough (to outside the mesh).",
	  .fn = cmd_connections },
	{ .name = "drops",
	  .args = "[-f]",
	  .opts = " --follow ",
	  .help = "what was refused or cut, and why",
	  .detail = "With -f a line for each refusal from now on, until Ctrl-C: time, node if there are "
		    "several, source, destination, address, reason, deciding policy with the index "
		    "of its rule, and where it was refused. With -o json one object per line.",
	  .fn = cmd_drops },
	{ .name = "certs", .help = "certificates of this node's identities", .fn = cmd_certs },
	{ .name = "bpf",
	  .help = "BPF programs, where they are attached, and maps",
	  .detail = "EACH is the mean time of a run; the kernel measures it only while "
		    "`sysctl kernel.bpf_stats_enabled=1` is set.",
	  .fn = cmd_bpf },
	{ .name = "maps check",
	  .help = "whether the kernel's tables have what the mesh asks for",
	  .detail = "weftd makes all entries anew from the mesh and compares them with what the kernel "
		    "has: addresses, ranges, services and their slots, pods, and each cached verdict "
		    "with what the policies say. A difference is a bug: report it. A new mesh "
		    "version, or a restart of weftd, writes the tables again.\n"
		    "Exit codes: 0 all the same, 1 differences, 3 the daemon cannot be reached.",
	  .fn = cmd_maps_check },
	{ .name = "check",
	  .args = "[--pre]",
	  .opts = " --pre ",
	  .help = "whether this node can carry the mesh, and what to do if not",
	  .detail = "Kernel features are tried, in a namespace that is gone afterwards, not told "
		    "from the version. ok: as it should be; fallback: works in another way, the "
		    "line says what is lost; optional: not needed; warn: somebody should look; "
		    "FAIL: Weft does not work here. With --pre only what can be known before "
		    "weftd is installed. Exit code 1 if anything fails. Needs root.",
	  .fn = cmd_check },
	{ .name = "log level",
	  .args = "error|warn|info|debug",
	  .help = "change the log level",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_log_level },
	{ .name = "reload",
	  .help = "read the mesh file again",
	  .fn = cmd_reload,
	  .detail = "It is read by itself when it changes; this also tells what is wrong with "
		    "it." },
	{ .name = "stop", .help = "end the daemon; relayed connections are reset", .fn = cmd_stop },
	{ .name = "ca init",
	  .args = "[--dir DIR] [--trust-domain NAME] [--node NAME]...",
	  .opts = " --dir --trust-domain ",
	  .fn = cmd_ca_init,
	  .help = "make the mesh's root and the nodes' intermediates",
	  .detail = "A root that is there already is kept, so nodes can be added one by one. "
		    "DIR is /etc/weft/ca unless it is given. No daemon is needed." },
	{ .name = "ca revoke",
	  .args = "CERTIFICATE|SERIAL [--node NAME] [--dir DIR]",
	  .opts = " --dir ",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_ca_revoke,
	  .help = "put a certificate on the revocation list of its issuer",
	  .detail = "The list is DIR/crl.pem; weftd reads it where its configuration says so (ca_crl). "
		    "CERTIFICATE is a file; a SERIAL, as `weft certs -o json` shows it or 0x and "
		    "hexadecimal, needs the node that issued it, or root for the intermediate of a "
		    "node. The issuer's key must be in DIR. Tunnels of a revoked certificate are closed "
		    "within a second; a pod of this node gets another certificate." },
	{ .name = "ca revoked",
	  .args = "[--dir DIR]",
	  .opts = " --dir ",
	  .fn = cmd_ca_revoked,
	  .help = "what the revocation lists of the mesh's CA hold" },
	{ .name = "lab",
	  .args = "...",
	  .help = "several nodes on this machine, for trying out",
	  .raw = cmd_lab },
	{ .name = "demo", .args = "...", .help = "a lab with traffic, to look at", .raw = cmd_demo },
	{ .name = "bench",
	  .args = "[OPTION...]|report OUT|compare OLD NEW",
	  .help = "measure the mesh against plain TCP and sidecars",
	  .detail = "Works in the source tree, as root, on a machine that does nothing else. "
		    "`weft bench --help` lists modes, figures and options.",
	  .raw = cmd_bench },
	{ .name = "completion",
	  .args = "bash",
	  .help = "print the completion script",
	  .min_args = 1,
	  .max_args = 1,
	  .fn = cmd_completion },
	{ .name = "version", .help = "print the version", .fn = cmd_version },
	{ .name = "help",
	  .args = "[COMMAND]",
	  .help = "this text, or about one command",
	  .max_args = 2,
	  .fn = cmd_help },
	{ 0 },
};

static const struct opt options[] = {
	{ "--output", 'o', "text|json", "text json", "answer for people or for programs", true },
	{ "--node", 0, "NAME", NULL, "a node of the lab on this machine", true },
	{ "--socket", 0, "PATH", NULL, "control socket (or WEFT_SOCKET)", true },
	{ "--help", 'h', NULL, NULL, "about the command", true },
	{ "--watch", 'w', NULL, NULL, "live", false },
	{ "--follow", 'f', NULL, NULL, "what comes from now on", false },
	{ "--pod", 0, "NAMESPACE/NAME", NULL, "only this pod", false },
	{ "--netns", 0, "PATH", NULL, "the pod's network namespace", false },
	{ "--uid", 0, "TEXT", NULL, "the pod's uid", false },
	{ "--dir", 0, "DIR", NULL, "where the files are", false },
	{ "--trust-domain", 0, "NAME", NULL, "of the mesh (cluster.local)", false },
	{ "--mesh", 0, "PATH", NULL, "a mesh file instead of a daemon", false },
	{ "--pre", 0, NULL, NULL, "before weftd is installed", false },
	{ 0 },
};

const struct cmd *cmd_table(void)
{
	return commands;
}

const struct opt *opt_table(void)
{
	return options;
}

const struct cmd *cmd_find(const char *word1, const char *word2)
{
	for (const struct cmd *c = commands; c->name; c++) {
		size_t n = strlen(word1);

		if (strncmp(c->name, word1, n) != 0)
			continue;
		if (c->name[n] == '\0')
			return c;
		if (c->name[n] == ' ' && word2 && strcmp(c->name + n + 1, word2) == 0)
			return c;
	}
	return NULL;
}

bool opt_allowed(const struct opt *o, const struct cmd *cmd)
{
	const char *at;

	if (o->global)
		return true;
	at = cmd->opts ? strstr(cmd->opts, o->name) : NULL;
	return at && at[-1] == ' ' && at[strlen(o->name)] == ' ';
}
