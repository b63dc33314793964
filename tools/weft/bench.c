// SPDX-License-Identifier: Apache-2.0
/*
 * weft bench: starts the benchmark of the source tree, makes its reports and compares two of
 * them. Exit codes as of all commands; `compare` gives 1 when something got worse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "bench.h"
#include "cli.h"

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "weft bench: %s%s%s\n", what, why[0] ? ": " : "", why);
	return EXIT_FAILED;
}

/* The scripts live in the source tree: next to the build folder that this program is in, or
 * where we stand. */
static char *script_find(char *build, size_t cap)
{
	static const char script[] = "tools/bench/run.sh";
	ssize_t n = readlink("/proc/self/exe", build, cap - 1);
	char *slash = NULL, *path;

	if (n > 0) {
		build[n] = '\0';
		slash = strrchr(build, '/');
	}
	if (slash)
		*slash = '\0';
	path = slash ? str_printf("%s/../%s", build, script) : NULL;
	if (path && access(path, X_OK) == 0)
		return path;
	free(path);
	return access(script, X_OK) == 0 ? str_dup(str_of(script)) : NULL;
}

static int bench_run_script(int argc, char **argv)
{
	char build[4096];
	_free_ char *path = script_find(build, sizeof(build));
	_free_ char **args = calloc((size_t)argc + 1, sizeof(*args));

	if (!path)
		return fail("tools/bench/run.sh is not here",
			    "run it in the source tree, or O=build build/weft bench");
	if (!args)
		return fail("out of memory", "");
	setenv("O", build, 0);
	args[0] = path;
	for (int i = 1; i < argc; i++)
		args[i] = argv[i];
	execv(path, args);
	return fail(path, strerror(errno));
}

static int report_files(const struct bench_run *run, const char *dir)
{
	static const struct {
		const char *name;
		int (*write)(const struct bench_run *run, const char *path);
	} files[] = {
		{ "results.json", bench_write_json },
		{ "results.csv", bench_write_csv },
		{ "report.html", bench_write_html },
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		_free_ char *path = str_printf("%s/%s", dir, files[i].name);
		int r = path ? files[i].write(run, path) : -ENOMEM;

		if (r < 0)
			return fail(path ? path : files[i].name, strerror(-r));
	}
	printf("\n%s/report.html, results.json, results.csv, raw.jsonl\n", dir);
	return EXIT_DONE;
}

static int bench_report(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "--all") == 0;
	struct bench_run run = { 0 };
	struct errbuf err = { 0 };
	int r;

	if (argc != 2 + all) {
		fprintf(stderr, "usage: weft bench report [--all] OUT\n");
		return EXIT_USAGE;
	}
	if (bench_load(argv[1 + all], &err, &run) < 0)
		return fail(err.text, "");
	bench_print(&run, all, stdout);
	r = report_files(&run, argv[1 + all]);
	bench_fini(&run);
	return r;
}

static int bench_compare_files(int argc, char **argv)
{
	struct bench_run before = { 0 }, after = { 0 };
	struct errbuf err = { 0 };
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: weft bench compare OLD NEW\n");
		return EXIT_USAGE;
	}
	if (bench_load(argv[1], &err, &before) < 0)
		return fail(err.text, "");
	if (bench_load(argv[2], &err, &after) < 0) {
		bench_fini(&before);
		return fail(err.text, "");
	}
	r = bench_compare(&before, &after, stdout);
	bench_fini(&before);
	bench_fini(&after);
	return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cmd_bench(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "report") == 0)
		return bench_report(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "compare") == 0)
		return bench_compare_files(argc - 1, argv + 1);
	return bench_run_script(argc, argv);
}
