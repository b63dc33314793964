// SPDX-License-Identifier: Apache-2.0
/*
 * Files of the CA on disk. Used by ca.c only; owns nothing beyond a call. Any thread; two
 * processes are kept apart by flock on the folder.
 */
#include "ident/keydir.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/rand.h"

#define KEYDIR_FILE_MAX (256 * 1024)

static int check_private(const struct stat *st, const char *what, mode_t want, struct errbuf *err)
{
	if (st->st_uid != geteuid())
		return errbuf_set(err, -EPERM, "%s belongs to user %u, not to user %u", what,
				  (unsigned)st->st_uid, (unsigned)geteuid());
	if (st->st_mode & 077)
		return errbuf_set(err, -EPERM,
				  "%s has mode %04o, others may reach the key; after making sure "
				  "that nobody copied it: chmod %04o %s",
				  what, (unsigned)(st->st_mode & 07777), (unsigned)want, what);
	return 0;
}

int keydir_open(const char *dir, bool create, struct errbuf *err)
{
	_close_ int fd = -1;
	struct stat st;
	int r;

	if (create && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return errbuf_set(err, -errno, "%s: cannot make the folder: %s", dir,
				  strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errbuf_set(err, -errno, "%s: %s", dir, strerror(errno));
	if (fstat(fd, &st) < 0)
		return errbuf_set(err, -errno, "%s: %s", dir, strerror(errno));
	r = check_private(&st, dir, 0700, err);
	if (r < 0)
		return r;
	/* Writers hold it for milliseconds; readers share, and so never see half a pair. */
	if (flock(fd, create ? LOCK_EX : LOCK_SH) < 0)
		return errbuf_set(err, -errno, "%s: cannot lock: %s", dir, strerror(errno));
	return TAKE_FD(fd);
}

bool keydir_has(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int read_all(int fd, char *buf, size_t n)
{
	size_t at = 0;

	while (at < n) {
		ssize_t got = read(fd, buf + at, n - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -EIO;
		at += (size_t)got;
	}
	return 0;
}

int keydir_read(int dirfd, const char *dir, const char *name, struct errbuf *err, char **ret,
		size_t *ret_n)
{
	_close_ int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	_free_ char *buf = NULL;
	char what[512];
	struct stat st;
	int r;

	snprintf(what, sizeof(what), "%s/%s", dir, name);
	if (fd < 0)
		return errbuf_set(err, -errno, "%s: %s", what, strerror(errno));
	if (fstat(fd, &st) < 0)
		return errbuf_set(err, -errno, "%s: %s", what, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > KEYDIR_FILE_MAX)
		return errbuf_set(err, -EINVAL, "%s is not a file of at most %u bytes", what,
				  KEYDIR_FILE_MAX);
	r = check_private(&st, what, 0600, err);
	if (r < 0)
		return r;
	buf = calloc(1, (size_t)st.st_size + 1);
	if (!buf)
		return -ENOMEM;
	r = read_all(fd, buf, (size_t)st.st_size);
	if (r < 0) {
		explicit_bzero(buf, (size_t)st.st_size);
		return errbuf_set(err, r, "%s: %s", what, strerror(-r));
	}
	*ret_n = (size_t)st.st_size;
	*ret = TAKE_PTR(buf);
	return 0;
}

static int write_synced(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		p += put;
		n -= (size_t)put;
	}
	/* umask can only narrow the mode of open(2); a 0400 would surprise the next writer. */
	if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int keydir_write(int dirfd, const char *dir, const char *name, const void *p, size_t n,
		 struct errbuf *err)
{
	_close_ int fd = -1;
	char temp[300];
	uint64_t salt;
	int r;

	rand_secure(&salt, sizeof(salt));
	snprintf(temp, sizeof(temp), ".%.200s.%016llx", name, (unsigned long long)salt);
	fd = openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errbuf_set(err, -errno, "%s/%s: cannot write: %s", dir, name, strerror(errno));
	r = write_synced(fd, p, n);
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return errbuf_set(err, r, "%s/%s: cannot write: %s", dir, name, strerror(-r));
	}
	if (fsync(dirfd) < 0)
		return errbuf_set(err, -errno, "%s: cannot sync: %s", dir, strerror(errno));
	return 0;
}
