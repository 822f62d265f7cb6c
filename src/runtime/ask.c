/* SPDX-License-Identifier: MIT */
/* Tells the engine what callers have asked; the engine ignores what comes too late. */
#include "acquisition.h"

#include "../base/modes.h"

/* Read with the mutex held, used without it. */
typedef struct change {
    pawl_mode mode;
    pawl__waiting *waiting; /* of an upgrade, also if a downgrade came after it; else NULL */
} change;

static change change_of(const pawl__acquisition *a)
{
    pawl__completion *completion = pawl__acquisition_find_open(a, PAWL__CALL_CHANGED);
    return (change){(pawl_mode)a->change_to, completion ? &completion->waiting : NULL};
}

/* How a release is meant; read with the mutex held, used without it. */
typedef struct end {
    bool await_store, ends_lease;
} end;

static void feed(pawl__acquisition *a, pawl__event_kind kind, end how)
{
    pawl__event event = {.kind = kind,
                         .want = &a->want,
                         .await_store = how.await_store,
                         .ends_lease = how.ends_lease};
    pawl__pump_feed(pawl__acquisition_lock(a)->home->pump, &event);
}

static void feed_change(pawl__acquisition *a, const change *wanted)
{
    pawl__event event = {.kind = PAWL__EV_CHANGE,
                         .want = &a->want,
                         .mode = wanted->mode,
                         .waiting = wanted->waiting};
    pawl__pump_feed(pawl__acquisition_lock(a)->home->pump, &event);
}

/* Tells one request of an acquisition that the engine knows. Mutex not held. */
static void tell(pawl__acquisition *a, unsigned wish, end how, const change *wanted)
{
    switch (wish) {
    case PAWL__ASK_WANT:
        feed(a, PAWL__EV_WANT, (end){0});
        return;
    case PAWL__ASK_CHANGE:
        feed_change(a, wanted);
        return;
    case PAWL__ASK_CANCEL:
        feed(a, PAWL__EV_CANCEL, (end){0});
        return;
    case PAWL__ASK_LEND:
        pawl__retention_arm(a);
        return;
    }
    pawl__retention_disarm(a);
    if (a->was_retained) a->want.retain_ms = (int32_t)pawl__retention_left_ms(a);
    feed(a, wish == PAWL__ASK_RELEASE ? PAWL__EV_RELEASE : PAWL__EV_DETACH, how);
}

/*
 * The mutex is released while the engine works. Each request may end the acquisition, and other
 * threads may free its handle meanwhile: `telling` keeps it until all is told.
 */
static void tell_all_of(pawl__acquisitions *home, pawl__acquisition *a)
{
    pawl__list_remove(&a->in_asked);
    unsigned asked = a->asked;
    end how = {a->await_store, a->ends_lease};
    change wanted = change_of(a);
    a->asked = 0;
    a->telling = true;
    bool several = pawl__lock_is_several(pawl__acquisition_lock(a));
    bool is_part = pawl__lock_is_part(pawl__acquisition_lock(a));
    for (; several && asked; asked &= asked - 1) pawl__several_tell(a, asked & -asked);
    for (; asked && a->known; asked &= asked - 1) { /* else it has ended meanwhile */
        if (asked & -asked & (PAWL__ASK_RELEASE | PAWL__ASK_DETACH)) pawl__readers_recall(a);
        pthread_mutex_unlock(&home->gate->mutex);
        home->pump->together = is_part;
        tell(a, asked & -asked, how, &wanted);
        home->pump->together = false;
        pthread_mutex_lock(&home->gate->mutex);
    }
    a->telling = false;
    pawl__acquisition_free_unused(a);
}

/* Whether the first who holds a name in this mode only retained it, and now has given it back. */
static bool recall_first(pawl__acquisitions *home, const pawl__acquisition *for_whom,
                         pawl_mode mode)
{
    const pawl__want *wanted = &for_whom->want;
    pawl__want *want =
        pawl__engine_holder(home->pump->engine, wanted->name, wanted->name_len, mode);
    if (!want || want == wanted) return false;
    pawl__acquisition *holder = pawl__container(want, pawl__acquisition, want);
    pawl__retention_refuse(holder);
    if (!holder->was_retained || !holder->asked) return false;
    tell_all_of(home, holder);
    return true;
}

/*
 * If another handle of this client wants a retained lease, or the name in a mode that has no room
 * beside it, the lease first goes back to the engine: so even a caller that does not wait can get
 * it.
 */
static void recall_for(pawl__acquisitions *home, const pawl__acquisition *a, pawl_mode wanted)
{
    static const pawl_mode modes[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_UPDATE, PAWL_MODE_SHARED};
    if (!home->has_retained || !home->pump->engine) return;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        while (!pawl__mode_fits(wanted, modes[i]) && recall_first(home, a, modes[i])) {
        }
}

void pawl__acquisitions_tell(pawl__acquisitions *home)
{
    for (pawl__link *first; (first = pawl__list_first(&home->asked));) {
        pawl__acquisition *a = pawl__container(first, pawl__acquisition, in_asked);
        bool several = pawl__lock_is_several(pawl__acquisition_lock(a));
        if (a->asked & PAWL__ASK_WANT && !several) recall_for(home, a, (pawl_mode)a->want.mode);
        if (a->asked & PAWL__ASK_CHANGE) recall_for(home, a, (pawl_mode)a->change_to);
        tell_all_of(home, a);
    }
}
