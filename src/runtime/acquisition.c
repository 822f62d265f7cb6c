/* SPDX-License-Identifier: MIT */
/* The life of an acquisition, and who waits for its ends. */
#include "acquisition.h"

#include <stdlib.h>

void pawl__acquisitions_init(pawl__acquisitions *home, pawl__gate *gate, pawl__calls *calls,
                             pawl__trace *trace, pawl__pump *pump, pawl__messages *messages)
{
    *home = (pawl__acquisitions){.gate = gate,
                                 .calls = calls,
                                 .trace = trace,
                                 .pump = pump,
                                 .messages = messages,
                                 .refs = 1};
    pawl__list_init(&home->all);
    pawl__list_init(&home->asked);
}

static pawl__acquisition *allocate_round(pawl_lock *lock)
{
    pawl__round *round =
        calloc(1, sizeof *round + lock->extras->several->count * sizeof(pawl__part));
    if (!round) return NULL;
    round->spare.lock = lock;
    /* cppcheck-suppress memleak ; it is freed by the acquisition inside it */
    return &round->spare.acquisition;
}

static pawl__acquisition *allocate(pawl_lock *lock)
{
    if (pawl__lock_is_several(lock)) return allocate_round(lock);
    if (!lock->first_in_use) {
        lock->first_in_use = true;
        return &lock->first;
    }
    pawl__spare_acquisition *spare = malloc(sizeof *spare);
    if (!spare) return NULL;
    spare->lock = lock;
    return &spare->acquisition;
}

pawl__acquisition *pawl__acquisition_new(pawl_lock *lock)
{
    const pawl__want *terms = &lock->first.want;
    pawl__acquisition *a = allocate(lock);
    if (!a) return NULL;
    *a = (pawl__acquisition){.is_spare = a != &lock->first,
                             .want = {.name = terms->name,
                                      .name_len = terms->name_len,
                                      .owner = terms->owner,
                                      .ttl_ms = terms->ttl_ms,
                                      .retain_ms = lock->extras ? lock->extras->retain_ms : 0,
                                      .mode = terms->mode,
                                      .flags = terms->flags}};
    lock->refs++;
    pawl__list_append(&lock->home->all, &a->in_all);
    return a;
}

static void deallocate(pawl_lock *lock, pawl__acquisition *a)
{
    if (a == &lock->first)
        lock->first_in_use = false;
    else
        free(pawl__container(a, pawl__spare_acquisition, acquisition));
}

/* Completions are left only in the child of a fork (law 9), where a waiter's stack may be gone. */
static void free_completions(pawl__acquisition *a)
{
    if (a->on_stack) return;
    for (pawl__completion *completion = a->completions, *next; completion; completion = next) {
        next = completion->next;
        free(completion);
    }
}

/* Leaves the readers that share its lease (readers.c). */
static void leave_readers(pawl__acquisition *a)
{
    if (!a->reading) return;
    if (a->reading->stays == a) a->reading->stays = NULL;
    if (--a->reading->refs == 0) free(a->reading);
    a->reading = NULL;
}

void pawl__acquisition_free_unused(pawl__acquisition *a)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (a->known || a->calls || lock->acquisition == a) return;
    if (a->running || a->telling) return; /* this is called again afterwards */
    pawl__list_remove(&a->in_all);
    pawl__list_remove(&a->in_asked);
    pawl__list_remove(&a->in_calls); /* it is still in if its news was taken back */
    free_completions(a);
    leave_readers(a);
    deallocate(lock, a);
    pawl__lock_put(lock);
}

void pawl__extras_free(pawl__extras *extras)
{
    if (!extras) return;
    pawl_metrics_free(extras->metrics);
    free(extras->event_message);
    free((void *)extras->slots);
    free(extras->several);
    free(extras);
}

/* A part outlives its handle as long as the engine knows an acquisition of it. */
static void put_parts(const pawl__several *several)
{
    for (size_t i = 0; i < several->count; i++) {
        several->parts[i]->extras->whole = NULL;
        pawl__lock_put(several->parts[i]);
    }
}

void pawl__lock_put(pawl_lock *lock)
{
    if (--lock->refs > 0) return;
    if (lock->extras && lock->extras->several) put_parts(lock->extras->several);
    lock->home->refs--; /* not the last one: the caller has another */
    pawl__extras_free(lock->extras);
    free(lock);
}

void pawl__acquisition_ask(pawl__acquisition *a, uint8_t what)
{
    a->asked |= what;
    if (!pawl__link_linked(&a->in_asked))
        pawl__list_append(&pawl__acquisition_lock(a)->home->asked, &a->in_asked);
}

int64_t pawl__wait_until(int64_t wait_ms)
{
    if (wait_ms == PAWL_WAIT_FOREVER) return PAWL__NEVER;
    if (wait_ms == 0) return 0;
    return pawl__instant_add(pawl__now(), pawl__ms_to_ns(wait_ms));
}

pawl__completion *pawl__complete_by_callback(pawl_done_fn done, void *userdata)
{
    pawl__completion *completion = calloc(1, sizeof *completion);
    if (completion) completion->done = done;
    if (completion) completion->userdata = userdata;
    return completion;
}

/* ---- Who waits for an end -------------------------------------------------------- */

void pawl__acquisition_add_completion(pawl__acquisition *a, pawl__completion *completion,
                                      uint8_t call)
{
    pawl__completion **end = &a->completions;
    while (*end) end = &(*end)->next; /* they are told in this order */
    completion->call = call;
    completion->next = NULL;
    *end = completion;
    if (completion->waiter) a->on_stack = true;
}

static bool any_on_stack(const pawl__acquisition *a)
{
    const pawl__completion *completion = a->completions;
    while (completion && !completion->waiter) completion = completion->next;
    return completion;
}

void pawl__acquisition_remove_completion(pawl__acquisition *a, const pawl__completion *completion)
{
    pawl__completion **at = &a->completions;
    while (*at && *at != completion) at = &(*at)->next;
    if (*at) *at = completion->next;
    if (completion->waiter) a->on_stack = any_on_stack(a);
}

void pawl__acquisition_call_later(pawl__acquisition *a, pawl__completion *completion)
{
    completion->waiter = NULL;
    a->on_stack = any_on_stack(a);
}

static pawl__completion *find(const pawl__acquisition *a, uint8_t call, bool over)
{
    pawl__completion *completion = a->completions;
    while (completion && (completion->call != call || completion->over != over))
        completion = completion->next;
    return completion;
}

pawl__completion *pawl__acquisition_take_over(pawl__acquisition *a, uint8_t call)
{
    pawl__completion *completion = find(a, call, true);
    if (completion) pawl__acquisition_remove_completion(a, completion);
    return completion;
}

bool pawl__acquisition_has_over(const pawl__acquisition *a, uint8_t call)
{
    return find(a, call, true);
}

pawl__completion *pawl__acquisition_find_open(const pawl__acquisition *a, uint8_t call)
{
    return find(a, call, false);
}

void pawl__acquisition_cancel_grant(pawl__acquisition *a)
{
    for (pawl__completion *untold = a->completions; untold; untold = untold->next)
        if (untold->over && untold->call == PAWL__CALL_ACQUIRED && !untold->err)
            untold->err = PAWL_ERR_CANCELED;
}
