/* SPDX-License-Identifier: MIT */
/* A doubly linked intrusive list: a node knows its neighbours, a list is a ring with a head. */
#ifndef PAWL_BASE_LIST_H
#define PAWL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct pawl__link {
    struct pawl__link *prev, *next;
} pawl__link;

/* The object around an embedded member. */
#define pawl__container(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void pawl__list_init(pawl__link *head)
{
    head->prev = head->next = head;
}

static inline bool pawl__list_empty(const pawl__link *head)
{
    return head->next == head;
}

/* A node outside any list points at itself or is zeroed. */
static inline bool pawl__link_linked(const pawl__link *node)
{
    return node->next && node->next != node;
}

static inline void pawl__list_append(pawl__link *head, pawl__link *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void pawl__list_prepend(pawl__link *head, pawl__link *node)
{
    pawl__list_append(head->next, node);
}

static inline void pawl__list_remove(pawl__link *node)
{
    if (!pawl__link_linked(node)) return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = node;
}

static inline pawl__link *pawl__list_first(const pawl__link *head)
{
    return pawl__list_empty(head) ? NULL : head->next;
}

#endif
