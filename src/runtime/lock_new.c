/* SPDX-License-Identifier: MIT */
/* Makes lock handles: on one name, or on several. */
#define _GNU_SOURCE /* strnlen */
#include "client.h"
#include "options.h"
#include "visit.h"

#include <stdlib.h>
#include <string.h>

static bool name_ok(const char *name, size_t name_len)
{
    return name && name_len >= 1 && name_len <= PAWL_NAME_MAX && !memchr(name, 0, name_len);
}

static void count_in(pawl_lock *lock, pawl_metrics *metrics)
{
    lock->extras->metrics = pawl__metrics_hold(metrics);
    lock->extras->counts = pawl__metrics_class(metrics, lock->name);
}

/* Registers the handle with its client; mutex held. */
static int join_client(pawl_client *c, pawl_lock *lock)
{
    if (c->gate.closing) return PAWL_ERR_CLOSED;
    int err = lock->extras && lock->extras->on_event ? pawl__calls_need(&c->calls) : PAWL_OK;
    if (err) return err;
    lock->home = &c->acquisitions;
    lock->refs = 1;
    c->acquisitions.refs++;
    if (pawl__lock_retains(lock)) c->acquisitions.has_retained = true;
    if (lock->extras && (lock->extras->on_event || lock->extras->retains))
        c->gate.hears_at_once = true;
    if (pawl__lock_is_traced(lock) && c->trace.metrics) count_in(lock, c->trace.metrics);
    return PAWL_OK;
}

/* false: out of memory. */
static bool add_permits(pawl__extras *extras, const pawl_lock_opts *opts)
{
    extras->units = (uint16_t)opts->units;
    extras->capacity = (uint16_t)opts->capacity;
    extras->slots = calloc(opts->units, sizeof extras->slots[0]);
    return extras->slots;
}

/* false: out of memory. */
static bool add_extras(pawl_lock *lock, const pawl_lock_opts *opts, bool traced, bool several)
{
    bool permits = opts->mode == PAWL_MODE_PERMIT;
    bool reentrant = opts->flags & PAWL_LOCK_REENTRANT;
    bool needed = opts->on_event || opts->retain_ms || permits || traced || reentrant || several;
    if (!needed) return true;
    lock->extras = calloc(1, sizeof *lock->extras);
    if (!lock->extras) return false;
    if (permits && !add_permits(lock->extras, opts)) return false;
    lock->extras->on_event = opts->on_event;
    lock->extras->event_userdata = opts->event_userdata;
    lock->extras->retain_ms = (int32_t)opts->retain_ms;
    lock->extras->retains = opts->retain_ms > 0 && opts->mode == PAWL_MODE_EXCLUSIVE;
    lock->extras->traced = traced;
    lock->extras->reentrant = reentrant;
    return true;
}

/* Frees a handle that has not joined. NULL is allowed. */
static void unmake(pawl_lock *lock)
{
    if (!lock) return;
    pawl__extras_free(lock->extras);
    free(lock);
}

/* several: the handle is on several names, or is a part of such a handle. NULL: out of memory. */
static pawl_lock *make(const char *name, size_t name_len, const pawl_lock_opts *opts, bool traced,
                       bool several)
{
    size_t owner_size = opts->owner ? strlen(opts->owner) + 1 : 0;
    pawl_lock *lock = calloc(1, sizeof *lock + name_len + 1 + owner_size);
    if (!lock) return NULL;
    memcpy(lock->name, name, name_len);
    char *owner = lock->name + name_len + 1;
    if (opts->owner) memcpy(owner, opts->owner, owner_size);
    lock->first.want =
        (pawl__want){.name = lock->name,
                     .name_len = (uint16_t)name_len,
                     .owner = opts->owner ? owner : NULL,
                     .ttl_ms = (int32_t)opts->ttl_ms,
                     .mode = (uint8_t)opts->mode,
                     .flags = opts->flags & PAWL_LOCK_DETACHED ? PAWL_ASK_DETACHED : 0};
    atomic_store(&lock->mode, (uint8_t)opts->mode);
    if (add_extras(lock, opts, traced, several)) return lock;
    unmake(lock);
    return NULL;
}

/* Joins the handle to its client, or frees it. */
static int join(pawl_client *c, pawl_lock *lock)
{
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (!err) {
        err = join_client(c, lock);
        pawl__leave(&visit);
    }
    if (err) unmake(lock);
    return err;
}

int pawl_lock_new(pawl_client *c, const char *name, size_t name_len, const pawl_lock_opts *given,
                  pawl_lock **ret_lock)
{
    if (!c || !ret_lock) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED; /* before anything else is read */
    if (!name_ok(name, name_len)) return PAWL_ERR_NAME;
    pawl_lock_opts opts;
    int err = pawl__lock_opts_take(given, &opts);
    if (err) return err;
    pawl_lock *lock = make(name, name_len, &opts, pawl__holds_are_traced(&c->trace), false);
    if (!lock) return PAWL_ERR_NO_MEMORY;
    err = join(c, lock);
    if (!err) *ret_lock = lock;
    return err;
}

/* ---- On several names ------------------------------------------------------------------------ */

/* Insertion sort, because there are few. false: a name comes twice. */
static bool sort(const char *const *names, size_t count, uint8_t *ret_order)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            int order = strcmp(names[ret_order[at - 1]], names[i]); /* by bytes, unsigned */
            if (order == 0) return false;
            if (order < 0) break;
            ret_order[at] = ret_order[at - 1];
        }
        ret_order[at] = (uint8_t)i;
    }
    return true;
}

static int check_names(const char *const *names, size_t count, uint8_t *ret_order)
{
    if (!names) return PAWL_ERR_ARGUMENT;
    if (count < 1 || count > PAWL_NAMES_MAX) return PAWL_ERR_NAMES;
    for (size_t i = 0; i < count; i++)
        if (!names[i] || !name_ok(names[i], strnlen(names[i], PAWL_NAME_MAX + 1)))
            return PAWL_ERR_NAME;
    return sort(names, count, ret_order) ? PAWL_OK : PAWL_ERR_NAMES;
}

static void unmake_whole(pawl_lock *lock)
{
    pawl__several *several = lock->extras->several;
    for (size_t i = 0; several && i < several->count; i++) unmake(several->parts[i]);
    unmake(lock);
}

/* The whole handle tells the events of a part, and counts inner acquisitions. */
static pawl_lock *make_part(pawl_lock *whole, const char *name, const pawl_lock_opts *opts,
                            bool traced)
{
    pawl_lock_opts of_part = *opts;
    of_part.on_event = NULL;
    of_part.flags &= ~PAWL_LOCK_REENTRANT;
    pawl_lock *part = make(name, strlen(name), &of_part, traced, true);
    if (part) part->extras->whole = whole;
    return part;
}

/* NULL: out of memory. */
static pawl_lock *make_whole(const char *const *names, size_t count, const uint8_t *order,
                             const pawl_lock_opts *opts, bool traced)
{
    pawl_lock *whole = make(names[0], strlen(names[0]), opts, false, true);
    if (!whole) return NULL;
    whole->extras->retains = false; /* the engine keeps the leases of its parts */
    pawl__several *several = whole->extras->several = calloc(1, sizeof *several);
    for (; several && several->count < count; several->count++) {
        size_t given = order[several->count];
        pawl_lock *part = make_part(whole, names[given], opts, traced);
        if (!part) break;
        several->at[given] = (uint8_t)several->count;
        several->parts[several->count] = part;
    }
    if (several && several->count == count) return whole;
    unmake_whole(whole);
    return NULL;
}

static int join_whole(pawl_client *c, pawl_lock *whole)
{
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    err = join_client(c, whole);
    const pawl__several *several = whole->extras->several;
    for (size_t i = 0; !err && i < several->count; i++)
        (void)join_client(c, several->parts[i]); /* cannot fail: it is open and has its thread */
    pawl__leave(&visit);
    return err;
}

int pawl_lock_new_all(pawl_client *c, const char *const *names, size_t count,
                      const pawl_lock_opts *given, pawl_lock **ret_lock)
{
    if (!c || !ret_lock) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
    uint8_t order[PAWL_NAMES_MAX];
    int err = check_names(names, count, order);
    if (err) return err;
    if (count == 1) return pawl_lock_new(c, names[0], strlen(names[0]), given, ret_lock);
    pawl_lock_opts opts;
    err = pawl__lock_opts_take(given, &opts);
    if (err) return err;
    bool traced = pawl__holds_are_traced(&c->trace);
    pawl_lock *whole = make_whole(names, count, order, &opts, traced);
    if (!whole) return PAWL_ERR_NO_MEMORY;
    err = join_whole(c, whole);
    if (err)
        unmake_whole(whole);
    else
        *ret_lock = whole;
    return err;
}

size_t pawl_lock_count(const pawl_lock *lock)
{
    if (!lock) return 0;
    return pawl__lock_is_several(lock) ? lock->extras->several->count : 1;
}

const pawl_lock *pawl_lock_part(const pawl_lock *lock, size_t at)
{
    if (at >= pawl_lock_count(lock)) return NULL;
    if (!pawl__lock_is_several(lock)) return lock;
    const pawl__several *several = lock->extras->several;
    return several->parts[several->at[at]];
}
