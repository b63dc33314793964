// SPDX-License-Identifier: Apache-2.0
/*
 * Fetching one identity. CA: a fresh key and certificate each time; the intermediate is read
 * again when its file has changed, so that its renewal needs no restart. Files: whatever lies
 * there now, after checking that it is for the id that was asked for.
 * Owned by ident/store, control thread.
 */
#define LOG_SCOPE "ident"
#include "ident/source.h"

#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/hmap.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "codec/spiffe.h"
#include "ident/ca.h"
#include "ident/istio.h"
#include "io/file.h"
#include "tls/handshake.h"

#define PEM_BYTES_MAX (256 * 1024)
#define WATCH_EVENTS \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | \
	 IN_ONLYDIR)

struct source {
	enum ident_source kind;
	char *dir, *node;
	uint64_t ttl_s;
	struct istio_ca *istio;
	struct ca *ca;
	char *ca_file;      /* the intermediate, to see that it changed */
	struct stat ca_seen; /* as it was before the CA was opened */
	int inotify_fd, watch; /* -1 */
};

static void own_secret(char **z)
{
	if (*z)
		explicit_bzero(*z, strlen(*z));
	free(*z);
	*z = NULL;
}

static void own_source(struct source **s)
{
	source_free(s);
}

#define _secret_ cleanup_with(own_secret)
#define _source_ cleanup_with(own_source)

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* An intermediate that cannot be read leaves the opened one in use while it lives. */
static int ca_refresh(struct source *s, struct errbuf *err)
{
	struct ca *fresh = NULL;
	struct stat st = { 0 };
	int r;

	if (stat(s->ca_file, &st) < 0)
		st = (struct stat){ 0 };
	if (s->ca && same_file(&st, &s->ca_seen))
		return 0;
	r = ca_open(s->dir, s->node, err, &fresh);
	if (r < 0)
		return r;
	ca_free(&s->ca);
	s->ca = fresh;
	s->ca_seen = st;
	return 0;
}

static int open_ca(struct source *s, const struct ident_opts *o, struct errbuf *err)
{
	int r;

	if (!o->ca_dir || !o->node || o->ttl_s == 0)
		return errbuf_set(err, -EINVAL,
				  "the CA needs a folder, a node and a life of its "
				  "certificates above 0");
	r = ca_check_node(o->node, err);
	if (r < 0)
		return r;
	s->dir = str_dup(str_of(o->ca_dir));
	s->node = str_dup(str_of(o->node));
	s->ca_file = str_printf("%s/%s-cert.pem", o->ca_dir, o->node);
	s->ttl_s = o->ttl_s;
	if (!s->dir || !s->node || !s->ca_file)
		return -ENOMEM;
	return ca_refresh(s, err);
}

static int watch_dir(struct source *s)
{
	s->watch = inotify_add_watch(s->inotify_fd, s->dir, WATCH_EVENTS);
	return s->watch < 0 ? -errno : 0;
}

static int open_files(struct source *s, const struct ident_opts *o, struct errbuf *err)
{
	int r;

	if (!o->files_dir)
		return errbuf_set(err, -EINVAL, "certificates from files need their folder");
	s->dir = str_dup(str_of(o->files_dir));
	if (!s->dir)
		return -ENOMEM;
	s->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->inotify_fd < 0)
		return errbuf_set(err, -errno, "cannot watch %s: %s", s->dir, strerror(errno));
	r = watch_dir(s);
	if (r < 0)
		return errbuf_set(err, r, "cannot watch %s: %s", s->dir, strerror(-r));
	return 0;
}

static int open_istio(struct source *s, struct loop *loop, const struct ident_opts *o,
		      struct errbuf *err)
{
	if (!o->istio)
		return errbuf_set(err, -EINVAL, "certificates from istiod need its address");
	return istio_ca_new(loop, o->istio, o->ttl_s, &s->istio);
}

int source_new(struct loop *loop, const struct ident_opts *o, struct errbuf *err,
	       struct source **ret)
{
	_source_ struct source *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->kind = o->source;
	s->inotify_fd = s->watch = -1;
	if (s->kind == IDENT_ISTIO)
		r = open_istio(s, loop, o, err);
	else
		r = s->kind == IDENT_CA ? open_ca(s, o, err) : open_files(s, o, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

void source_free(struct source **sp)
{
	struct source *s = *sp;

	if (!s)
		return;
	own_close(&s->inotify_fd);
	istio_ca_free(&s->istio);
	ca_free(&s->ca);
	free(s->ca_file);
	free(s->dir);
	free(s->node);
	free(s);
	*sp = NULL;
}

static int64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int fetch_ca(struct source *s, const char *uri, struct errbuf *err, struct source_cert *ret)
{
	_free_ char *chain = NULL;
	_secret_ char *key = NULL;
	struct source_cert c = { 0 };
	int64_t now_ms = wall_ms();
	struct errbuf stale = { 0 };
	int r = ca_refresh(s, &stale);

	if (r < 0 && !s->ca)
		return errbuf_set(err, r, "%s", stale.text);
	if (r < 0)
		log_warn("%s; going on with the intermediate of before, ignoring", stale.text);
	r = ca_issue(s->ca, uri, s->ttl_s, err, &chain, &key);
	if (r < 0)
		return r;
	r = tls_identity_new(str_of(chain), str_of(key), str_of(ca_root_pem(s->ca)), err, &c.id);
	if (r < 0)
		return r;
	/* notBefore lies in the past because of clock skew; the life begins now. */
	c.begin_ms = now_ms;
	c.end_ms = (int64_t)tls_identity_not_after(c.id) * 1000;
	c.cut_short = c.end_ms / 1000 < now_ms / 1000 + (int64_t)s->ttl_s;
	c.digest = hash_str(str_of(chain));
	c.roots = hash_str(str_of(ca_root_pem(s->ca)));
	*ret = c;
	return 0;
}

static int read_part(const struct source *s, const struct spiffe *id, const char *what,
		     struct errbuf *err, char **ret)
{
	_free_ char *path = str_printf("%s/%.*s.%.*s.%s.pem", s->dir, STR_FMT(id->ns),
				       STR_FMT(id->sa), what);

	return path ? file_read_text(path, PEM_BYTES_MAX, err, ret) : -ENOMEM;
}

static int read_roots(const struct source *s, struct errbuf *err, char **ret)
{
	_free_ char *path = str_printf("%s/root-cert.pem", s->dir);

	return path ? file_read_text(path, PEM_BYTES_MAX, err, ret) : -ENOMEM;
}

static void own_identity(struct tls_identity **id)
{
	if (*id)
		tls_identity_put(id);
}

static int fetch_files(struct source *s, const char *uri, struct errbuf *err, struct source_cert *ret)
{
	cleanup_with(own_identity) struct tls_identity *id = NULL;
	_free_ char *chain = NULL, *roots = NULL;
	_secret_ char *key = NULL;
	struct errbuf why = { 0 };
	struct spiffe name;
	int r = spiffe_parse(str_of(uri), &name);

	if (r < 0)
		return errbuf_set(err, r, "\"%s\" is not a SPIFFE id of a workload", uri);
	r = read_part(s, &name, "cert", err, &chain);
	if (r == 0)
		r = read_part(s, &name, "key", err, &key);
	if (r == 0)
		r = read_roots(s, err, &roots);
	if (r < 0)
		return r;
	r = tls_identity_new(str_of(chain), str_of(key), str_of(roots), &why, &id);
	if (r < 0)
		return errbuf_set(err, r, "%s/%.*s.%.*s.{cert,key}.pem: %s", s->dir, STR_FMT(name.ns),
				  STR_FMT(name.sa), why.text[0] ? why.text : strerror(-r));
	if (strcmp(tls_identity_uri(id), uri) != 0)
		return errbuf_set(err, -EINVAL, "%s/%.*s.%.*s.cert.pem is for \"%s\", not for %s",
				  s->dir, STR_FMT(name.ns), STR_FMT(name.sa), tls_identity_uri(id),
				  uri);
	if (tls_identity_not_after(id) <= clock_wall_s())
		return errbuf_set(err, -EKEYEXPIRED, "%s/%.*s.%.*s.cert.pem has expired", s->dir,
				  STR_FMT(name.ns), STR_FMT(name.sa));
	*ret = (struct source_cert){
		.begin_ms = (int64_t)tls_identity_not_before(id) * 1000,
		.end_ms = (int64_t)tls_identity_not_after(id) * 1000,
		.digest = hash_str(str_of(chain)) ^ hash_str(str_of(roots)) * 3 ^
			  hash_str(str_of(key)) * 5,
		.roots = hash_str(str_of(roots)),
	};
	ret->id = TAKE_PTR(id);
	return 0;
}

struct istio_ca *source_istio(const struct source *s)
{
	return s->istio;
}

int source_fetch(struct source *s, const char *uri, struct errbuf *err, struct source_cert *ret)
{
	if (s->kind == IDENT_ISTIO)
		return -EOPNOTSUPP;
	return s->kind == IDENT_CA ? fetch_ca(s, uri, err, ret) : fetch_files(s, uri, err, ret);
}

int source_watch_fd(const struct source *s)
{
	return s->inotify_fd;
}

bool source_watch_read(struct source *s)
{
	_Alignas(struct inotify_event) char buf[4096];
	bool any = false;
	ssize_t n;

	while ((n = read(s->inotify_fd, buf, sizeof(buf))) > 0) {
		any = true;
		for (char *p = buf; p < buf + n;) {
			const struct inotify_event *e = (const struct inotify_event *)p;

			/* A folder that was renamed away is not the folder of that path any more. */
			if (e->wd == s->watch && (e->mask & IN_MOVE_SELF))
				inotify_rm_watch(s->inotify_fd, s->watch);
			if (e->wd == s->watch && (e->mask & (IN_IGNORED | IN_MOVE_SELF)))
				s->watch = -1;
			p += sizeof(*e) + e->len;
		}
	}
	return any;
}

bool source_watch_renew(struct source *s)
{
	if (s->inotify_fd < 0 || s->watch >= 0)
		return false;
	return watch_dir(s) == 0;
}
