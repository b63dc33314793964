/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Intrusive doubly linked list; a node that is in no list points to itself. */
#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void list_add(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

/* Safe on a node that is in no list. */
static inline void list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)
#define list_first(head, type, member) \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_for_each(pos, head) for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
/* The current node may be deleted in the body; others may not. */
#define list_for_each_safe(pos, head)                                            \
	for (struct list *pos = (head)->next, *pos##_n = pos->next; pos != (head); \
	     pos = pos##_n, pos##_n = pos->next)
