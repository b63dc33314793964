// SPDX-License-Identifier: Apache-2.0
/* Defaults of the configuration that depend on the machine. No state; used by opts.c. */
#include "daemon/optkey.h"

#include <limits.h>
#include <mntent.h>
#include <string.h>

#include "weft/pin.h"

#include "base/own.h"

#define WORKERS_MAX 256
#define RTF_UP_FLAG 0x1u /* as in /proc/net/route */
#define RTF_REJECT_FLAG 0x200u

char *default_node(void)
{
	char name[HOST_NAME_MAX + 1];

	if (gethostname(name, sizeof(name)) < 0)
		return NULL;
	name[sizeof(name) - 1] = '\0';
	return str_dup(str_of(name));
}

char *default_workers(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return str_printf("%ld", n < 1 ? 1 : n > WORKERS_MAX ? (long)WORKERS_MAX : n);
}

char *default_pin_dir(const char *node)
{
	return str_printf("%s/%s", WEFT_PIN_ROOT, node);
}

/* The first one: on hybrid hosts that is /sys/fs/cgroup/unified. */
char *default_cgroup(FILE *proc_mounts)
{
	char text[4096];
	struct mntent m;

	while (proc_mounts && getmntent_r(proc_mounts, &m, text, sizeof(text)))
		if (strcmp(m.mnt_type, "cgroup2") == 0)
			return str_dup(str_of(m.mnt_dir));
	return NULL;
}

static char *route_v4(FILE *f)
{
	char line[256], dev[32];
	unsigned dest, gateway, flags, mask;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s %x %x %x %*s %*s %*s %x", dev, &dest, &gateway, &flags,
			   &mask) == 5 &&
		    dest == 0 && mask == 0 && (flags & RTF_UP_FLAG) && !(flags & RTF_REJECT_FLAG))
			return str_dup(str_of(dev));
	}
	return NULL;
}

/* dest len source len next-hop metric refcount use flags device */
static char *route_v6(FILE *f)
{
	char line[256], dest[40], dev[32];
	unsigned len, flags;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%39s %x %*s %*s %*s %*s %*s %*s %x %31s", dest, &len, &flags,
			   dev) == 4 &&
		    len == 0 && strspn(dest, "0") == strlen(dest) && (flags & RTF_UP_FLAG) &&
		    !(flags & RTF_REJECT_FLAG) && strcmp(dev, "lo") != 0)
			return str_dup(str_of(dev));
	}
	return NULL;
}

char *default_uplink(FILE *proc_net_route, FILE *proc_net_ipv6_route)
{
	char *dev = route_v4(proc_net_route);

	return dev ? dev : route_v6(proc_net_ipv6_route);
}
