/* SPDX-License-Identifier: MIT */
/*
 * A space is what the clients of one memory:NAME share: the model, the mutex
 * around it, and the clients' letter boxes.
 */
#ifndef PAWL_STORES_MEMORY_SPACE_H
#define PAWL_STORES_MEMORY_SPACE_H

#include "../../base/list.h"
#include "memory_model.h"

#include <pthread.h>

#define PAWL__MEMORY_SPACE_NAME_MAX 255

typedef struct pawl__space {
    pthread_mutex_t mutex; /* guards the model and the boxes */
    pawl__memory *model;
    pawl__link in_registry;
    unsigned users; /* under the registry's mutex */
    char name[PAWL__MEMORY_SPACE_NAME_MAX + 1];
} pawl__space;

/* The space of that name, made if there is none. NULL when out of memory. */
pawl__space *pawl__space_open(const char *name);

/* A space that nobody uses and that holds no detached lease is freed. */
void pawl__space_close(pawl__space *space);

#endif
