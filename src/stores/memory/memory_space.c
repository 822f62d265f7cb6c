/* SPDX-License-Identifier: MIT */
/*
 * The spaces of this process. In the child of a fork the registry starts empty
 * (law 9): the parent's locks are not the child's, and the parent's mutexes may
 * have been locked by threads that the child does not have. What the child
 * inherited stays where it is, unreachable and untouched.
 */
#define _GNU_SOURCE
#include "memory_space.h"

#include "memory_clock.h"

#include <stdlib.h>
#include <string.h>

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pawl__link registry = {&registry, &registry};
static uint64_t fence_floor; /* of spaces that are gone: a fence outlives them */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void begin_child(void)
{
    registry_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    pawl__list_init(&registry);
}

static void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, begin_child);
}

static pawl__space *space_find(const char *name)
{
    for (pawl__link *l = registry.next; l != &registry; l = l->next) {
        pawl__space *space = pawl__container(l, pawl__space, in_registry);
        if (strcmp(space->name, name) == 0) return space;
    }
    return NULL;
}

static pawl__space *space_new(const char *name)
{
    pawl__space *space = calloc(1, sizeof(*space));
    if (!space) return NULL;
    space->model = pawl__memory_new(pawl__memory_wall_us(), fence_floor);
    if (!space->model) {
        free(space);
        return NULL;
    }
    memcpy(space->name, name, strlen(name) + 1);
    pthread_mutex_init(&space->mutex, NULL);
    pawl__list_append(&registry, &space->in_registry);
    return space;
}

pawl__space *pawl__space_open(const char *name)
{
    pthread_once(&once, watch_fork);
    pthread_mutex_lock(&registry_mutex);
    pawl__space *space = space_find(name);
    if (!space) space = space_new(name);
    if (space) space->users++;
    pthread_mutex_unlock(&registry_mutex);
    return space;
}

static void space_free(pawl__space *space)
{
    uint64_t last = pawl__memory_last_fence(space->model);
    if (last > fence_floor) fence_floor = last;
    pawl__list_remove(&space->in_registry);
    pawl__memory_free(space->model);
    pthread_mutex_destroy(&space->mutex);
    free(space);
}

void pawl__space_close(pawl__space *space)
{
    pthread_mutex_lock(&registry_mutex);
    if (--space->users == 0 && pawl__memory_count(space->model) == 0) space_free(space);
    pthread_mutex_unlock(&registry_mutex);
}
