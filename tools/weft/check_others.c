// SPDX-License-Identifier: Apache-2.0
/*
 * weft check: who else decides about the connections of this node? BPF programs on the hooks that
 * Weft uses, and rules of netfilter that redirect for a mesh. Rules are read by the programs
 * that wrote them (nft, iptables-legacy-save); where there is none, there are no rules of theirs.
 */
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "check.h"
#include "daemon/opts.h"
#include "kern/foreign.h"

struct others {
	struct check *c;
	size_t n;
};

static void on_program(void *arg, const struct foreign *f)
{
	struct others *o = arg;

	o->n++;
	if (strncmp(f->hook, "connect", strlen("connect")) == 0)
		check_line(o->c, f->hook, CHECK_WARN,
			   "program %s (id %u) decides here as well: if it rewrites destinations of "
			   "pods (Cilium: socketLB.hostNamespaceOnly=true ends that), services are "
			   "resolved before Weft sees them", f->name, f->id);
	else if (strcmp(f->hook, "xdp") == 0 || strcmp(f->hook, "tcx ingress") == 0)
		check_line(o->c, f->hook, CHECK_WARN,
			   "program %s (id %u) is on the uplink: if it redirects packets, the guard "
			   "does not see them", f->name, f->id);
	else
		check_line(o->c, f->hook, CHECK_OK, "program %s (id %u) is there too", f->name,
			   f->id);
}

/* A rule of a mesh that redirects: its chain, or one of the ports that it redirects to. */
static bool is_mesh_rule(const char *line)
{
	static const char *const ports[] = { "15001", "15006", "15008", "15053" };

	if (strstr(line, "ISTIO_") || strstr(line, "KUMA_") || strstr(line, "PROXY_INIT_"))
		return true;
	if (!strstr(line, "redirect") && !strstr(line, "REDIRECT") && !strstr(line, "TPROXY") &&
	    !strstr(line, "tproxy"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ports); i++)
		if (strstr(line, ports[i]))
			return true;
	return false;
}

/* Output of a program, or NULL when there is no such program. */
static FILE *program_open(char *const *argv, pid_t *ret_pid)
{
	int fds[2];
	FILE *f;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return NULL;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		int null = open("/dev/null", O_WRONLY);

		if (dup2(fds[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0)
			execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	f = *ret_pid > 0 ? fdopen(fds[0], "r") : NULL;
	if (!f)
		close(fds[0]);
	return f;
}

static void rules_of(struct others *o, char *const *argv)
{
	char *line = NULL, found[128] = "";
	size_t cap = 0, n = 0;
	int status = 0;
	pid_t pid = -1;
	FILE *f = program_open(argv, &pid);

	while (f && getline(&line, &cap, f) >= 0) {
		if (!is_mesh_rule(line))
			continue;
		if (n++ == 0)
			snprintf(found, sizeof(found), "%.*s", 120, str_trim(str_of(line)).p);
	}
	free(line);
	if (f)
		fclose(f);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (n == 0)
		return;
	found[strcspn(found, "\n")] = '\0';
	o->n++;
	check_line(o->c, argv[0], CHECK_WARN,
		   "%zu rules of another mesh redirect connections (%s): take its sidecar, CNI "
		   "plugin or ztunnel off this node first", n, found);
}

void check_others(struct check *c)
{
	char *nft[] = { (char *)"nft", (char *)"list", (char *)"ruleset", NULL };
	char *v4[] = { (char *)"iptables-legacy-save", NULL };
	char *v6[] = { (char *)"ip6tables-legacy-save", NULL };
	char *argv[] = { (char *)"weftd", NULL };
	struct others o = { .c = c };
	struct opts opts = { 0 };

	c->group = "others";
	if (opts_parse(1, argv, &opts, NULL) == 0) {
		foreign_each(opts.cgroup, if_nametoindex(opts.uplink), on_program, &o);
		opts_fini(&opts);
	}
	rules_of(&o, nft);
	rules_of(&o, v4);
	rules_of(&o, v6);
	if (o.n == 0)
		check_line(c, "none", CHECK_OK, "nobody else steers connections of this node");
}
