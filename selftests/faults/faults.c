// SPDX-License-Identifier: Apache-2.0
/*
 * Linked into $(O)/faults/weftd and into nothing else: calls that may fail do fail, at random
 * but repeatably. The linker leads the calls of weftd's own objects here (--wrap), see
 * selftests/build.mk.
 *
 * Off at first. SIGUSR1 switches it on, SIGUSR2 off. Environment: WEFT_FAULTS_SEED, WEFT_FAULTS_EVERY
 * (one of so many calls fails, 100), WEFT_FAULTS_REPORT (a file that has how many did, one 64-bit
 * number per kind in the order of enum kind).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { MEMORY, SOCKET, ACCEPT, CONNECT, SEND, RECEIVE, EPOLL, MAPS, PIPE, KINDS };

static struct {
	_Atomic bool on;
	uint64_t seed, every;
	_Atomic uint64_t calls;
	_Atomic uint64_t *report, spare[KINDS];
} faults;

static void on_signal(int number)
{
	faults.on = number == SIGUSR1;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && text[0] ? strtoull(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void faults_init(void)
{
	const struct sigaction on = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	const char *path = getenv("WEFT_FAULTS_REPORT");
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	void *p = MAP_FAILED;

	faults.seed = number_of("WEFT_FAULTS_SEED", 1);
	faults.every = number_of("WEFT_FAULTS_EVERY", 100);
	faults.report = faults.spare;
	if (fd >= 0 && ftruncate(fd, sizeof(faults.spare)) == 0)
		p = mmap(NULL, sizeof(faults.spare), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		faults.report = p;
	if (fd >= 0)
		close(fd);
	sigaction(SIGUSR1, &on, NULL);
	sigaction(SIGUSR2, &on, NULL);
}

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* Shall this call fail? Then it has set errno. */
static bool fails(enum kind kind, int error)
{
	if (!faults.on || mix(faults.seed ^ faults.calls++) % faults.every)
		return false;
	faults.report[kind]++;
	errno = error;
	return true;
}

#define WRAP(type, name, args, call, kind, error, result) \
	type __real_##name args;                          \
	type __wrap_##name args;                          \
	type __wrap_##name args                           \
	{                                                 \
		return fails(kind, error) ? result : __real_##name call; \
	}

/* clang-format off */
WRAP(void *, malloc, (size_t n), (n), MEMORY, ENOMEM, NULL)
WRAP(void *, calloc, (size_t n, size_t m), (n, m), MEMORY, ENOMEM, NULL)
WRAP(void *, realloc, (void *p, size_t n), (p, n), MEMORY, ENOMEM, NULL)
WRAP(char *, strdup, (const char *s), (s), MEMORY, ENOMEM, NULL)
WRAP(int, socket, (int f, int t, int p), (f, t, p), SOCKET, EMFILE, -1)
WRAP(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int fl), (fd, a, n, fl), ACCEPT, EMFILE, -1)
WRAP(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), CONNECT, EADDRNOTAVAIL, -1)
WRAP(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f), SEND, EINTR, -1)
WRAP(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), SEND, EINTR, -1)
WRAP(ssize_t, recv, (int fd, void *p, size_t n, int f), (fd, p, n, f), RECEIVE, EINTR, -1)
WRAP(ssize_t, readv, (int fd, const struct iovec *v, int n), (fd, v, n), RECEIVE, EINTR, -1)
WRAP(int, epoll_ctl, (int fd, int op, int to, struct epoll_event *e), (fd, op, to, e), EPOLL, ENOSPC, -1)
WRAP(int, bpf_map_update_elem, (int fd, const void *k, const void *v, uint64_t f), (fd, k, v, f), MAPS, ENOMEM, -ENOMEM)
WRAP(int, pipe2, (int fds[2], int f), (fds, f), PIPE, EMFILE, -1)
/* clang-format on */
