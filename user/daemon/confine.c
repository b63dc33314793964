// SPDX-License-Identifier: Apache-2.0
/*
 * weftd reads bytes of strangers with the rights of root; whoever takes it over by them shall find
 * as little as possible: no program to start, no file system to mount, no process to look into, no
 * kernel to load modules into. What stays is what pods need while weftd runs, see
 * docs/threat-model.md and decision 0029.
 */
#include "daemon/confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/log.h"
#include "base/own.h"

#if defined(__x86_64__)
#define THIS_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define THIS_ARCH AUDIT_ARCH_RISCV64
#endif

/* A P-256 key takes below 1 KiB of it; beyond, OpenSSL uses ordinary memory. */
#define KEY_MEMORY (1u << 20)

static void no_memory_in_cores(void)
{
	const struct rlimit none = { 0, 0 };
	_close_ int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

	/* Also what gcore(1) of root goes by. */
	if (fd < 0 || write(fd, "0", 1) != 1)
		log_warn("coredump_filter: %s; a dump by root would hold keys", log_strerror(-errno));
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}

void confine_secrets(void)
{
	int r;

	no_memory_in_cores();
	r = CRYPTO_secure_malloc_init(KEY_MEMORY, 32);
	if (r != 1)
		log_warn("private keys are in memory that may be swapped: %s",
			 r == 2 ? "it cannot be locked" : "no secure memory");
}

/* Of those that root has. */
static const unsigned int caps_kept[] = {
	CAP_BPF,	  /* maps, links of pods that come and go */
	CAP_PERFMON,	  /* iterators over sockets */
	CAP_NET_ADMIN,	  /* clients' addresses, marks, routes, guards */
	CAP_SYS_ADMIN,	  /* setns(2) into pods */
	CAP_SYS_PTRACE,	  /* /proc/PID/ns/net of a pod's process */
	CAP_DAC_OVERRIDE, /* certificates and logs in folders of other users */
	CAP_NET_BIND_SERVICE, /* metrics_port and the like */
};

static bool cap_is_kept(unsigned int cap)
{
	for (size_t i = 0; i < ARRAY_LEN(caps_kept); i++) {
		if (caps_kept[i] == cap)
			return true;
	}
	return false;
}

static int drop_capabilities(void)
{
	const capng_type_t all = CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE |
				 CAPNG_BOUNDING_SET | CAPNG_AMBIENT;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
		if (!cap_is_kept(cap))
			capng_update(CAPNG_DROP, all, cap);
	}
	return capng_apply(CAPNG_SELECT_ALL) < 0 ? -EPERM : 0;
}

#ifdef THIS_ARCH
/*
 * Made by watching weftd through all scenarios, and what glibc and OpenSSL may use instead. Not
 * here on purpose: execve, fork, ptrace, mount, unshare, modules, keys, io_uring, userfaultfd,
 * process_vm_*, perf_event_open, chmod and chown by path, setuid and the like.
 */
static const int allowed[] = {
	/* sockets */
	__NR_accept, __NR_accept4, __NR_bind, __NR_connect, __NR_getpeername, __NR_getsockname,
	__NR_getsockopt, __NR_listen, __NR_recvfrom, __NR_recvmmsg, __NR_recvmsg, __NR_sendmmsg,
	__NR_sendmsg, __NR_sendto, __NR_setsockopt, __NR_shutdown, __NR_socketpair,
	/* bytes and waiting */
	__NR_read, __NR_readv, __NR_pread64, __NR_write, __NR_writev, __NR_pwrite64, __NR_splice,
	__NR_pipe2, __NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_pwait, __NR_ppoll,
	__NR_pselect6, __NR_eventfd2, __NR_timerfd_create, __NR_timerfd_settime, __NR_signalfd4,
	/* files */
	__NR_openat, __NR_close, __NR_dup, __NR_dup3, __NR_fcntl, __NR_fstat, __NR_newfstatat,
	__NR_statx, __NR_statfs, __NR_fstatfs, __NR_faccessat, __NR_faccessat2, __NR_readlinkat,
	__NR_getdents64, __NR_lseek, __NR_mkdirat, __NR_unlinkat, __NR_renameat2, __NR_linkat,
	__NR_fchmod, __NR_fsync, __NR_fdatasync, __NR_ftruncate, __NR_flock, __NR_ioctl,
	__NR_inotify_init1, __NR_inotify_add_watch, __NR_inotify_rm_watch, __NR_memfd_create,
	__NR_getcwd, __NR_umask,
	/* memory and threads; mmap, mprotect and clone are looked at more closely */
	__NR_brk, __NR_munmap, __NR_mremap, __NR_madvise, __NR_mlock, __NR_munlock, __NR_futex,
	__NR_set_robust_list, __NR_membarrier, __NR_sched_yield, __NR_sched_getaffinity,
	__NR_sched_setaffinity, __NR_getcpu, __NR_exit, __NR_exit_group,
#ifdef __NR_rseq
	__NR_rseq,
#endif
	/* time, signals, who am I */
	__NR_clock_gettime, __NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep,
	__NR_gettimeofday, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn,
	__NR_rt_sigtimedwait, __NR_sigaltstack, __NR_restart_syscall, __NR_tgkill, __NR_getpid,
	__NR_gettid, __NR_getppid, __NR_getuid, __NR_geteuid, __NR_getgid, __NR_getegid,
	__NR_getrandom, __NR_getrusage, __NR_getrlimit, __NR_prlimit64, __NR_sysinfo, __NR_uname,
	/* the reasons that it is root */
	__NR_bpf,
#ifdef __x86_64__
	__NR_open, __NR_stat, __NR_lstat, __NR_access, __NR_readlink, __NR_mkdir, __NR_rmdir,
	__NR_unlink, __NR_rename, __NR_link, __NR_pipe, __NR_poll, __NR_select, __NR_epoll_wait,
	__NR_epoll_create, __NR_eventfd, __NR_dup2, __NR_getdents, __NR_time, __NR_arch_prctl,
#else
	__NR_renameat,
#endif
};

#define MORE_MAX 80 /* instructions besides two for each of allowed[] */

struct filter {
	struct sock_filter code[2 * ARRAY_LEN(allowed) + MORE_MAX];
	unsigned short n;
};

static void put(struct filter *f, uint16_t op, uint8_t jt, uint8_t jf, uint32_t k)
{
	f->code[f->n++] = (struct sock_filter){ op, jt, jf, k };
}

static void load(struct filter *f, size_t at)
{
	put(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)at);
}

static void ret(struct filter *f, uint32_t action)
{
	put(f, BPF_RET | BPF_K, 0, 0, action);
}

/* Low half of an argument, on machines of either order. */
static size_t arg_at(int n)
{
	size_t low = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 4;

	return offsetof(struct seccomp_data, args) + (size_t)n * sizeof(uint64_t) + low;
}

/* The call nr is allowed if its argument has all bits of must and none of never. */
static void allow_bits(struct filter *f, int nr, int arg, uint32_t must, uint32_t never)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 5, (uint32_t)nr);
	load(f, arg_at(arg));
	put(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, must | never);
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, must);
	ret(f, SECCOMP_RET_ALLOW);
	ret(f, SECCOMP_RET_ERRNO | EPERM);
}

/* The call nr is allowed if its argument is one of these. */
static void allow_values(struct filter *f, int nr, int arg, const uint32_t *values, uint8_t n)
{
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)(n + 3), (uint32_t)nr);
	load(f, arg_at(arg));
	for (uint8_t i = 0; i < n; i++)
		put(f, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)(n - i), 0, values[i]);
	ret(f, SECCOMP_RET_ERRNO | EPERM);
	ret(f, SECCOMP_RET_ALLOW);
}

static void build(struct filter *f)
{
	static const uint32_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
	static const uint32_t options[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE,
					    PR_CAPBSET_READ, PR_SET_VMA };

	load(f, offsetof(struct seccomp_data, arch));
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, THIS_ARCH);
	ret(f, SECCOMP_RET_KILL_PROCESS);
	/* Calls of x32 have bit 30 and are none of these. */
	load(f, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, (uint32_t)allowed[i]);
		ret(f, SECCOMP_RET_ALLOW);
	}
	/* No new code, no child processes, no other kind of namespace. */
	allow_bits(f, __NR_mmap, 2, 0, PROT_EXEC);
	allow_bits(f, __NR_mprotect, 2, 0, PROT_EXEC);
	allow_bits(f, __NR_clone, 0, CLONE_THREAD | CLONE_VM,
		   CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID);
	allow_values(f, __NR_setns, 1, (const uint32_t[]){ CLONE_NEWNET }, 1);
	allow_values(f, __NR_socket, 0, families, ARRAY_LEN(families));
	allow_values(f, __NR_prctl, 0, options, ARRAY_LEN(options));
	/* Its flags are in memory; glibc goes on with clone. */
	put(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_clone3);
	ret(f, SECCOMP_RET_ERRNO | ENOSYS);
	ret(f, SECCOMP_RET_ERRNO | EPERM);
}

static int filter_calls(void)
{
	struct filter f = { .n = 0 };
	struct sock_fprog prog = { .filter = f.code };

	build(&f);
	prog.len = f.n;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0 ? -errno : 0;
}
#else
static int filter_calls(void)
{
	log_warn("no list of system calls for this processor: they are not restricted");
	return 0;
}
#endif

int confine_process(struct errbuf *err)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return errbuf_set(err, -errno, "no_new_privs: %s", log_strerror(-errno));
	r = drop_capabilities();
	if (r < 0)
		return errbuf_set(err, r, "confine: cannot drop capabilities; confine: off if the "
					  "container's runtime forbids it");
	r = filter_calls();
	if (r < 0)
		return errbuf_set(err, r, "confine: seccomp: %s; confine: off goes without",
				  log_strerror(r));
	return 0;
}
