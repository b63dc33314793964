/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Descriptors that logs are written to. Whoever reads them may stop reading, and the disk may be
 * full: a log must make nobody wait, and the line after a cut one begins a line.
 */
#include <stddef.h>
#include <sys/types.h>

/* A descriptor of what fd is open for, close-on-exec, which the caller closes; -errno. Writing to it
 * does not wait for the reader of a pipe or terminal, while fd, which others may share, is left as
 * it is. (A pipe of another user that may not be opened again does wait.) */
int sink_dup(int fd);

/* Like write(2), but -errno, and never waits for the reader of a socket. */
ssize_t sink_write(int fd, const char *p, size_t n);

/* Does what is written at once, if it is at most PIPE_BUF long, stay in one piece (a pipe)? */
int sink_is_pipe(int fd);
