// SPDX-License-Identifier: Apache-2.0
/*
 * Start-up touches far more code than running does: self-tests of the crypto library for every
 * CPU generation, BPF object loading, parsers. Those pages are clean and stay in the page
 * cache; letting go of our mapping of them once makes the daemon's resident size that of what
 * it uses; the same after a mesh was applied. Control thread.
 */
#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/daemon.h"

static int drop_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)arg;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
		uintptr_t from, to;

		if (ph->p_type != PT_LOAD || (ph->p_flags & PF_W))
			continue;
		from = (info->dlpi_addr + ph->p_vaddr) & ~(page - 1);
		to = (info->dlpi_addr + ph->p_vaddr + ph->p_memsz + page - 1) & ~(page - 1);
		madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

static void on_trim(void *arg)
{
	(void)arg;
	dl_iterate_phdr(drop_segments, NULL);
	malloc_trim(0);
}

/* Ten seconds on: pods have their certificates by then. */
void daemon_trim_later(struct daemon *d)
{
	timer_set(d->loop, &d->trim, 10 * NS_PER_S, on_trim, d);
}
