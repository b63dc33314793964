// SPDX-License-Identifier: Apache-2.0
/*
 * Reads a whole file (file.h), bounded. Used by the feeds, and for certificates, keys, tokens and
 * revocation lists.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"

static uint64_t timespec_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * NS_PER_S + (uint64_t)ts->tv_nsec;
}

static struct file_identity identity_of(const struct stat *st)
{
	return (struct file_identity){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_ns = timespec_ns(&st->st_mtim),
		.ctime_ns = timespec_ns(&st->st_ctim),
	};
}

struct file_identity file_identify(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct file_identity){ .r = -errno };
	return identity_of(&st);
}

bool file_identity_eq(const struct file_identity *a, const struct file_identity *b)
{
	return a->r == b->r && a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* Until the end or until the buffer is full; the number of bytes or -errno. */
static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t k = read(fd, buf + n, cap - n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -errno;
		if (k == 0)
			break;
		n += (size_t)k;
	}
	return (ssize_t)n;
}

int file_read(const char *path, struct errbuf *err, struct file_identity *ret_id, char **ret,
	      size_t *ret_n)
{
	/* Non-blocking, so that a pipe of that name does not stop the daemon. */
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		*ret_id = (struct file_identity){ .r = r };
		return errbuf_set(err, r, "%s: %s", path, log_strerror(r));
	}
	*ret_id = identity_of(&st);
	if (!S_ISREG(st.st_mode))
		return errbuf_set(err, -EINVAL, "%s: is not a file", path);
	if (st.st_size > (off_t)FILE_BYTES_MAX)
		return errbuf_set(err, -EFBIG, "%s: is larger than %u MiB", path,
				  FILE_BYTES_MAX >> 20);
	/* One byte more than it has: a file that grew is not taken for whole. */
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return errbuf_set(err, -ENOMEM, "%s: out of memory", path);
	n = read_all(fd, text, (size_t)st.st_size + 1);
	if (n < 0)
		return errbuf_set(err, (int)n, "%s: %s", path, log_strerror((int)n));
	if (n != (ssize_t)st.st_size)
		return errbuf_set(err, -EAGAIN, "%s: changed while it was read", path);
	*ret = TAKE_PTR(text);
	*ret_n = (size_t)n;
	return 0;
}

int file_read_text(const char *path, size_t max, struct errbuf *err, char **ret)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return errbuf_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > max)
		return errbuf_set(err, -EINVAL, "%s is not a file of at most %zu bytes", path, max);
	text = calloc(1, (size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	n = read_all(fd, text, (size_t)st.st_size);
	if (n < 0) {
		explicit_bzero(text, (size_t)st.st_size);
		return errbuf_set(err, (int)n, "%s: %s", path, strerror((int)-n));
	}
	*ret = TAKE_PTR(text);
	return 0;
}
