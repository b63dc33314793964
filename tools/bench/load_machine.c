// SPDX-License-Identifier: Apache-2.0
/* What the machine is, for the head of a report. */
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "base/str.h"
#include "load.h"

/* Value of the first "key : value" line of a file; "" if there is none. */
static void file_value(const char *path, const char *key, char *buf, size_t cap)
{
	_fclose_ FILE *f = fopen(path, "re");
	char line[4096];

	buf[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		struct str rest = str_of(line);

		if (!str_eq(str_trim(str_cut(&rest, ':')), str_of(key)))
			continue;
		str_copy(buf, cap, str_trim(rest));
		return;
	}
}

static void hypervisor_note(json_t *values)
{
	char flags[4096];

	file_value("/proc/cpuinfo", "flags", flags, sizeof(flags));
	json_object_set_new(values, "virtual", json_boolean(strstr(flags, " hypervisor") != NULL));
	json_object_set_new(values, "vaes", json_boolean(strstr(flags, " vaes") != NULL));
}

int run_machine(const struct load_opts *o, json_t *values)
{
	struct utsname u = { 0 };
	struct sysinfo si = { 0 };
	char text[256];
	time_t now = time(NULL);
	struct tm tm;

	(void)o;
	uname(&u);
	sysinfo(&si);
	file_value("/proc/cpuinfo", "model name", text, sizeof(text));
	json_object_set_new(values, "cpu", json_string(text[0] ? text : u.machine));
	json_object_set_new(values, "cpus", json_integer(sysconf(_SC_NPROCESSORS_ONLN)));
	json_object_set_new(values, "memory_mb",
			    json_integer((json_int_t)(si.totalram * si.mem_unit / 1000000)));
	json_object_set_new(values, "kernel", json_string(u.release));
	json_object_set_new(values, "arch", json_string(u.machine));
	json_object_set_new(values, "load", json_real((double)si.loads[0] / (1 << SI_LOAD_SHIFT)));
	hypervisor_note(values);
	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_object_set_new(values, "date", json_string(text));
	return 0;
}
