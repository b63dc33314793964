// SPDX-License-Identifier: Apache-2.0
/*
 * weft-bench-load: client and server of the benchmark. A client command measures one thing in
 * one window and appends one line of JSON: the tags it was given and the values it found.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"
#include "load.h"

static const char usage_text[] =
	"usage: weft-bench-load COMMAND [OPTION...]\n"
	"  server    --port N\n"
	"  bulk      bytes of --streams N, --size N each write, --down: to the client\n"
	"  pingpong  messages of --size N there and back; --rate N a second in all, else as fast\n"
	"            as they are answered\n"
	"  connect   connections with a message of --size N there and back, --streams at a time\n"
	"            (connect: --rate N a second in all, too)\n"
	"  hold      memory of the mesh for --steps N,N,... idle connections\n"
	"  rest      CPU of the mesh with --streams N idle connections, after --warmup\n"
	"  keep      --streams N connections to each of several --to, until the end of stdin;\n"
	"            a line on stdout when they stand\n"
	"  request   HTTP/1.1 GETs over --streams N connections, --rate N a second in all\n"
	"  http      --tool wrk|h2load --url URL --streams N [--inner N]\n"
	"  pss       memory of the mesh (proportional set size, KB) and of its BPF maps\n"
	"  value     --key KEY --value NUMBER: a line for what was found in another way\n"
	"  note      a line of tags without values\n"
	"  machine   what the machine is\n"
	"clients: --to ADDRESS:PORT --seconds S --warmup S --pids PID,... --role NAME=PID...\n"
	"         --tag KEY=VALUE... --out FILE\n";

static const struct {
	const char *name;
	int (*run)(const struct load_opts *o, json_t *values);
	bool connects;
} commands[] = {
	{ "bulk", run_bulk, true },       { "pingpong", run_pingpong, true },
	{ "connect", run_connect, true }, { "hold", run_hold, true },
	{ "rest", run_rest, true },       { "keep", run_keep, true },
	{ "request", run_request, true }, { "http", run_http, true },
	{ "pss", run_pss, false },        { "machine", run_machine, false },
	{ "value", run_value, false },    { "note", run_note, false },
};

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "weft-bench-load: %s: %s\n", what, value);
	return -1;
}

static int address_parse(struct load_opts *o, const char *text)
{
	struct load_addr *to = &o->target[o->n_targets];
	struct sockaddr_in *a4 = (struct sockaddr_in *)&to->to;
	struct sockaddr_in6 *a6 = (struct sockaddr_in6 *)&to->to;
	char host[64];
	const char *colon = strrchr(text, ':');
	uint16_t port;

	if (o->n_targets == LOAD_TARGETS_MAX)
		return bad("too many", "--to");
	if (!colon || str_to_u16(str_of(colon + 1), &port) < 0 ||
	    str_copy(host, sizeof(host), (struct str){ text, (size_t)(colon - text) }) < 0)
		return bad("--to wants ADDRESS:PORT", text);
	if (inet_pton(AF_INET, host, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET;
		a4->sin_port = htons(port);
		to->to_n = sizeof(*a4);
		o->n_targets++;
		return 0;
	}
	if (inet_pton(AF_INET6, host, &a6->sin6_addr) != 1)
		return bad("--to wants ADDRESS:PORT", text);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	to->to_n = sizeof(*a6);
	o->n_targets++;
	return 0;
}

static int list_parse(struct load_opts *o, const char *name, const char *value)
{
	struct str rest = str_of(value);
	uint32_t v;

	while (rest.n > 0) {
		if (str_to_u32(str_cut(&rest, ','), &v) < 0)
			return bad(name, value);
		if (name[2] == 'p' && o->n_pids < LOAD_PIDS_MAX)
			o->pids[o->n_pids++] = (pid_t)v;
		else if (name[2] == 's' && o->n_steps < LOAD_STEPS_MAX)
			o->steps[o->n_steps++] = v;
	}
	return 0;
}

static int role_parse(struct load_opts *o, const char *text)
{
	struct load_role *role = &o->roles[o->n_roles];
	const char *eq = strchr(text, '=');
	uint32_t pid;

	if (o->n_roles == LOAD_ROLES_MAX || !eq || str_to_u32(str_of(eq + 1), &pid) < 0 ||
	    str_copy(role->name, sizeof(role->name), (struct str){ text, (size_t)(eq - text) }) < 0)
		return bad("--role wants NAME=PID", text);
	role->pid = (pid_t)pid;
	o->n_roles++;
	return 0;
}

static int tag_parse(struct load_opts *o, const char *text)
{
	const char *eq = strchr(text, '=');
	char key[64];
	uint32_t v;

	if (!eq || str_copy(key, sizeof(key), (struct str){ text, (size_t)(eq - text) }) < 0)
		return bad("--tag wants KEY=VALUE", text);
	if (str_to_u32(str_of(eq + 1), &v) == 0)
		json_object_set_new(o->record, key, json_integer(v));
	else
		json_object_set_new(o->record, key, json_string(eq + 1));
	return 0;
}

static int number_parse(struct load_opts *o, const char *name, const char *value)
{
	uint64_t bytes = 0;
	char *end;
	double v = strtod(value, &end);

	if (strcmp(name, "--size") == 0) {
		if (str_to_bytes(str_of(value), &bytes) < 0 || bytes == 0 || bytes > LOAD_BUF)
			return bad(name, value);
		o->size = (uint32_t)bytes;
		return 0;
	}
	if (end == value || *end || !(v >= 0) || v > 1e9)
		return bad(name, value);
	if (strcmp(name, "--seconds") == 0)
		o->seconds = v;
	else if (strcmp(name, "--warmup") == 0)
		o->warmup = v;
	else if (strcmp(name, "--rate") == 0)
		o->rate = v;
	else if (strcmp(name, "--value") == 0)
		o->value = v;
	else if (strcmp(name, "--inner") == 0)
		o->inner = (unsigned int)v;
	else if (strcmp(name, "--port") == 0)
		o->port = (uint16_t)v;
	else if (strcmp(name, "--streams") == 0)
		o->streams = v < 1 ? 1 : (unsigned int)v;
	else
		return bad("no such option", name);
	return 0;
}

static int option_parse(struct load_opts *o, const char *name, const char *value)
{
	if (strcmp(name, "--to") == 0)
		return address_parse(o, value);
	if (strcmp(name, "--pids") == 0 || strcmp(name, "--steps") == 0)
		return list_parse(o, name, value);
	if (strcmp(name, "--tag") == 0)
		return tag_parse(o, value);
	if (strcmp(name, "--role") == 0)
		return role_parse(o, value);
	if (strcmp(name, "--url") == 0)
		o->url = value;
	else if (strcmp(name, "--tool") == 0)
		o->tool = value;
	else if (strcmp(name, "--out") == 0)
		o->out = value;
	else if (strcmp(name, "--key") == 0)
		o->key = value;
	else
		return number_parse(o, name, value);
	return 0;
}

static int options_parse(struct load_opts *o, int argc, char **argv)
{
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--down") == 0) {
			o->down = true;
			continue;
		}
		if (!argv[i + 1])
			return bad("a value is missing", argv[i]);
		if (option_parse(o, argv[i], argv[i + 1]) < 0)
			return -1;
		i++;
	}
	return 0;
}

static int record_write(const struct load_opts *o, json_t *values)
{
	FILE *f = o->out ? fopen(o->out, "ae") : stdout;
	char *text = NULL;
	int r = -1;

	json_object_set(o->record, "values", values);
	text = json_dumps(o->record, JSON_COMPACT | JSON_REAL_PRECISION(9));
	if (f && text)
		r = fprintf(f, "%s\n", text) < 0 ? -1 : 0;
	free(text);
	if (f && fflush(f) != 0)
		r = -1;
	if (o->out && f)
		fclose(f);
	return r;
}

static int client_run(struct load_opts *o, const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		json_t *values;
		int r;

		if (strcmp(commands[i].name, name) != 0)
			continue;
		if (commands[i].connects && o->n_targets == 0)
			return bad("missing", "--to");
		values = json_object();
		r = commands[i].run(o, values);
		if (r == 0)
			r = record_write(o, values);
		json_decref(values);
		return r;
	}
	fputs(usage_text, stderr);
	return -1;
}

int main(int argc, char **argv)
{
	struct load_opts o = {
		.seconds = 2, .warmup = 0.3, .streams = 1, .size = 65536, .inner = 10, .port = 9000
	};
	struct rlimit files;
	int r;

	if (argc < 2) {
		fputs(usage_text, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	o.record = json_object();
	if (options_parse(&o, argc, argv) < 0)
		return 2;
	r = strcmp(argv[1], "server") == 0 ? run_server(&o) : client_run(&o, argv[1]);
	json_decref(o.record);
	return r == 0 ? 0 : 1;
}
