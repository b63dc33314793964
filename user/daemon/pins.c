// SPDX-License-Identifier: Apache-2.0
/*
 * Looks every few seconds whether the pins are still there, without which pods are open as soon as
 * this daemon ends, and says it as long as they are not. Control thread.
 */
#define LOG_SCOPE "daemon"
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "kern/kern.h"

#define LOOK_NS (5 * NS_PER_S)

static void on_look(void *arg)
{
	struct daemon *d = arg;
	struct errbuf now = { 0 };
	int r = kern_pins_keep(d->kern, &now);

	if (r < 0 && strcmp(now.text, d->pins_error.text) != 0)
		log_error("%s", now.text);
	if (r > 0)
		log_warn("pins in %s were gone and are there again", kern_pin_dir(d->kern));
	d->pins_error = now;
	timer_set(d->loop, &d->pins, LOOK_NS, on_look, d);
}

void daemon_pins_watch(struct daemon *d)
{
	timer_set(d->loop, &d->pins, LOOK_NS, on_look, d);
}
