// SPDX-License-Identifier: Apache-2.0
/*
 * The file of revocation lists (revoke.h). Owned by ident/store; workers take references of the
 * lists under a mutex, once per handshake.
 */
#define LOG_SCOPE "ident"
#include "ident/revoke.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/str.h"
#include "io/file.h"
#include "io/loop.h"
#include "tls/crl.h"

#define LOOK_NS NS_PER_S

struct revoke {
	struct loop *loop;
	char *path;
	void (*on_change)(void *arg);
	void *arg;
	struct timer look;
	struct file_identity seen; /* at the last attempt */
	pthread_mutex_t lock;	   /* guards crl, the pointer */
	struct tls_crl *crl;
	struct revoke_status status;
};

static void own_revoke(struct revoke **r)
{
	revoke_stop(r);
}

static void publish(struct revoke *r, struct tls_crl *crl)
{
	struct tls_crl *old;

	pthread_mutex_lock(&r->lock);
	old = r->crl;
	r->crl = crl;
	pthread_mutex_unlock(&r->lock);
	tls_crl_put(&old);
	r->status.applied++;
	r->status.lists = tls_crl_lists(crl);
	r->status.entries = tls_crl_entries(crl);
	r->status.next_update_s = tls_crl_next_update(crl);
	r->status.error[0] = '\0';
	log_info("%s: %llu revocation lists, %llu revoked certificates%s", r->path,
		 (unsigned long long)r->status.lists, (unsigned long long)r->status.entries,
		 r->status.next_update_s && r->status.next_update_s < clock_wall_s()
			 ? "; a list is past its time, it still counts" : "");
}

static int read_lists(struct revoke *r, struct errbuf *err)
{
	struct errbuf why = { 0 };
	_free_ char *text = NULL;
	struct tls_crl *crl = NULL;
	size_t n = 0;
	int e = file_read(r->path, err, &r->seen, &text, &n);

	if (e < 0)
		return e;
	e = tls_crl_new((struct str){ text, n }, &why, &crl);
	if (e < 0)
		return errbuf_set(err, e, "%s: %.400s", r->path,
				  why.text[0] ? why.text : log_strerror(e));
	publish(r, crl);
	return 0;
}

static void on_look(void *arg)
{
	struct revoke *r = arg;
	struct file_identity now = file_identify(r->path);
	struct errbuf err = { 0 };

	timer_set(r->loop, &r->look, LOOK_NS, on_look, r);
	if (file_identity_eq(&now, &r->seen))
		return;
	if (read_lists(r, &err) == 0) {
		r->on_change(r->arg);
		return;
	}
	r->status.rejected++;
	snprintf(r->status.error, sizeof(r->status.error), "%.255s", err.text);
	log_error("%s; the %llu revoked certificates of before stay revoked", err.text,
		  (unsigned long long)r->status.entries);
}

int revoke_start(struct loop *loop, const char *path, void (*on_change)(void *arg), void *arg,
		 struct errbuf *err, struct revoke **ret)
{
	cleanup_with(own_revoke) struct revoke *r = calloc(1, sizeof(*r));
	int e;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	r->loop = loop;
	r->on_change = on_change;
	r->arg = arg;
	r->path = str_dup(str_of(path));
	if (!r->path)
		return -ENOMEM;
	e = read_lists(r, err);
	if (e == -ENOENT)
		log_warn("%s: there is no such file yet; until it is there nothing is revoked", path);
	else if (e < 0)
		return e;
	timer_set(loop, &r->look, LOOK_NS, on_look, r);
	*ret = TAKE_PTR(r);
	return 0;
}

void revoke_stop(struct revoke **rp)
{
	struct revoke *r = TAKE_PTR(*rp);

	if (!r)
		return;
	timer_cancel(&r->look);
	tls_crl_put(&r->crl);
	pthread_mutex_destroy(&r->lock);
	free(r->path);
	free(r);
}

struct tls_crl *revoke_crl_any(struct revoke *r)
{
	struct tls_crl *crl;

	if (!r)
		return NULL;
	pthread_mutex_lock(&r->lock);
	crl = tls_crl_get(r->crl);
	pthread_mutex_unlock(&r->lock);
	return crl;
}

void revoke_status(const struct revoke *r, struct revoke_status *ret)
{
	*ret = r ? r->status : (struct revoke_status){ 0 };
}
