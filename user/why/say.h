/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The parts of a story as sentences for people: no line breaks, no full stop at the end, as
 * long as WHY_TEXT_MAX at most. Each writes to buf[WHY_TEXT_MAX] and gives buf.
 */
#include "why/why.h"

#define WHY_TEXT_MAX 512

/* Where the connection goes, and who decides about it. */
const char *why_say_path(char *buf, const struct why_story *story, const struct why_route *r);
/* What the verdict of this route rests on. */
const char *why_say_verdict(char *buf, const struct why_story *story, const struct why_route *r);
/* What ruled a match of p out: the way to the field, what it wants, what there was. */
const char *why_say_miss(char *buf, const struct why_story *story, const struct why_route *r,
			 const struct why_policy *p, const struct explain_miss *m);
/* One of many: why this endpoint is not chosen; "" when it is. */
const char *why_say_left_out(enum lb_state state);
/* "shop/web" of a pod, its uid if it has no name. */
const char *why_say_workload(char *buf, const struct workload *w);
