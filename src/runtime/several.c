/* SPDX-License-Identifier: MIT */
/*
 * Handles on several names: all of them or none.
 *
 * Such a handle has a part for each name: an ordinary handle that the user never releases. The
 * engine does not know its own acquisition, a round: what is asked of the round is asked of the
 * parts, and their results decide its result. Its word (held.h) has the earliest of their
 * deadlines.
 *
 * First all names are asked for at once, without a wait: if all are free, that is one flush (on
 * Redis one call, see PAWL_ASK_TOGETHER), and nobody has waited. Otherwise all that was granted
 * after the first busy name is given back. Then the rest is asked for one by one, in byte order of
 * the names, each in its queue. So a handle that waits for a name holds only smaller names (larger
 * ones are being given back in any case). Of all handles that wait, the one that waits for the
 * largest name therefore waits for a handle that does not wait: no deadlock. The first step is done
 * once for each acquisition, and after it every handle only goes forward: no livelock.
 *
 * If a part is lost before all are held, the round begins again, in order, within the same wait.
 * After that its loss is the loss of the whole, and the other parts are given back.
 *
 * Locking: mutex held. The loop owner asks the parts, and tells the engine right afterwards.
 */
#include "acquisition.h"

#include <stdio.h>

static pawl__round *round_of(const pawl__acquisition *a)
{
    const pawl__spare_acquisition *spare =
        pawl__container(a, const pawl__spare_acquisition, acquisition);
    return (pawl__round *)pawl__container(spare, const pawl__round, spare);
}

static pawl_lock *lock_of(const pawl__round *round)
{
    return round->spare.lock;
}

static const pawl__several *several_of(const pawl__round *round)
{
    return lock_of(round)->extras->several;
}

static void ends(pawl__round *round)
{
    pawl__acquisition *a = &round->spare.acquisition;
    a->known = false;
    pawl__list_remove(&a->in_asked);
    pawl__acquisition_free_unused(a);
}

/* ---- Giving back ----------------------------------------------------------------------------- */

static void on_released(pawl__completion *completion, int err)
{
    pawl__part *part = pawl__container(completion, pawl__part, released);
    pawl__round *round = part->round;
    part->let_go = NULL;
    if (err && round->release_err != PAWL_ERR_LOST) round->release_err = (int16_t)err;
    if (--round->releasing > 0) return;
    pawl__end_release(lock_of(round)->home, &round->spare.acquisition, round->release_err);
    ends(round);
}

static void give_back_part(pawl__round *round, size_t at, pawl_trace_kind how, bool await)
{
    pawl__part *part = &round->parts[at];
    pawl__acquisition *a;
    int err = pawl__acquisition_take_back(several_of(round)->parts[at], how, &a);
    if (err == PAWL_ERR_LOST) round->release_err = PAWL_ERR_LOST;
    if (!a) return;
    if (await && !err) {
        part->released = (pawl__completion){.on_end = on_released};
        part->let_go = a;
        a->await_store = true;
        round->releasing++;
        pawl__acquisition_add_completion(a, &part->released, PAWL__CALL_RELEASED);
    }
    bool detaches = how == PAWL_TRACE_DETACHED && !err;
    pawl__acquisition_ask(a, detaches ? PAWL__ASK_DETACH : PAWL__ASK_RELEASE);
}

static void give_back(pawl__round *round, size_t from)
{
    for (size_t i = from; i < several_of(round)->count; i++)
        give_back_part(round, i, PAWL_TRACE_RELEASED, false);
}

/* All were held, or were lost, and the caller has released. */
static void give_back_all(pawl__round *round, pawl_trace_kind how)
{
    bool await = round->spare.acquisition.await_store;
    for (size_t i = 0; i < several_of(round)->count; i++) give_back_part(round, i, how, await);
    if (round->releasing > 0) return;
    pawl__end_release(lock_of(round)->home, &round->spare.acquisition, round->release_err);
    ends(round);
}

/* ---- Acquiring ------------------------------------------------------------------------------- */

static void refuse(pawl__round *round)
{
    pawl_lock *lock = lock_of(round);
    pawl__acquisition *a = &round->spare.acquisition;
    give_back(round, 0);
    a->let_go = true;
    if (lock->acquisition == a) {
        lock->acquisition = NULL;
        lock->state = PAWL__LOCK_IDLE;
    }
    pawl__end_acquire(lock->home, a, round->err, NULL);
    ends(round);
}

/* Copies what the handle tells about the first name that its caller gave. */
static void copy_first(pawl_lock *lock)
{
    const pawl__several *several = lock->extras->several;
    const pawl_lock *first = several->parts[several->at[0]];
    pawl__token_show_same(&lock->token, &first->token);
    for (size_t i = 0; i < lock->extras->units; i++)
        atomic_store(&lock->extras->slots[i], atomic_load(&first->extras->slots[i]));
    atomic_store(&lock->fence, atomic_load(&first->fence));
    atomic_store(&lock->mode, atomic_load(&first->mode));
}

static void grant(pawl__round *round, int64_t deadline)
{
    pawl_lock *lock = lock_of(round);
    pawl__acquisition *a = &round->spare.acquisition;
    if (a->abandoned) {
        refuse(round); /* pawl__end_acquire knows the error */
        return;
    }
    copy_first(lock);
    for (size_t i = 0; i < several_of(round)->count; i++) {
        const pawl__acquisition *of_part = several_of(round)->parts[i]->acquisition;
        a->wanted |= of_part->wanted;
        a->waited |= of_part->waited;
        round->parts[i].in_doubt = false; /* nobody was told of it */
    }
    round->release_err = PAWL_OK;
    pawl__held_begin(&lock->held, deadline);
    lock->state = PAWL__LOCK_HELD;
    pawl__end_acquire(lock->home, a, PAWL_OK, NULL);
}

/* How many parts are held, from the first one on. */
static size_t count_held(const pawl__several *several)
{
    size_t n = 0;
    while (n < several->count && several->parts[n]->state == PAWL__LOCK_HELD) n++;
    return n;
}

/* 0: one of them is over, even if this was not told yet. */
static int64_t earliest(const pawl__several *several)
{
    int64_t deadline = INT64_MAX;
    for (size_t i = 0; i < several->count; i++) {
        int64_t of_part = pawl__held_deadline(&several->parts[i]->held);
        if (of_part < deadline) deadline = of_part;
    }
    return deadline;
}

static void on_acquired(pawl__completion *completion, int err);

/* only_tries: it does not wait for the lock, and for the store no longer than the whole. */
static int ask_part(pawl__round *round, size_t at, bool only_tries)
{
    pawl_lock *lock = several_of(round)->parts[at];
    pawl__part *part = &round->parts[at];
    part->round = round;
    part->acquired =
        (pawl__completion){.on_end = on_acquired, .waiting = {.only_tries = only_tries}};
    part->in_doubt = false;
    int err = pawl__acquisition_begin(lock, round->wait_until, &part->acquired);
    part->err = (int16_t)err;
    if (err) return err;
    part->asked = lock->acquisition;
    round->asked++;
    return PAWL_OK;
}

static void begin_anew(pawl__round *round)
{
    round->anew = false;
    round->in_queue = -1;
    give_back(round, 0);
}

/* Decides what comes next when no part is being asked for. */
static void decide(pawl__round *round)
{
    const pawl__several *several = several_of(round);
    if (!round->err && lock_of(round)->home->gate->closing) round->err = PAWL_ERR_CLOSED;
    if (!round->err && round->anew) begin_anew(round);
    size_t held = count_held(several);
    int64_t deadline = held == several->count ? earliest(several) : 0;
    if (!round->err && deadline > 0) {
        grant(round, deadline);
        return;
    }
    if (held == several->count && !round->err) { /* one of them is over already */
        begin_anew(round);
        held = 0;
    }
    give_back(round, held);
    if (!round->err && (round->in_queue == (int)held || round->wait_until == 0))
        round->err = round->parts[held].err ? round->parts[held].err : (int16_t)PAWL_ERR_BUSY;
    if (!round->err) {
        round->in_queue = (int16_t)held;
        round->err = (int16_t)ask_part(round, held, false);
    }
    if (round->err) refuse(round);
}

static void on_acquired(pawl__completion *completion, int err)
{
    pawl__part *part = pawl__container(completion, pawl__part, acquired);
    part->asked = NULL;
    part->err = (int16_t)err;
    if (--part->round->asked == 0) decide(part->round);
}

static void begin(pawl__round *round)
{
    const pawl__completion *completion =
        pawl__acquisition_find_open(&round->spare.acquisition, PAWL__CALL_ACQUIRED);
    round->wait_until = completion->waiting.wait_until;
    round->in_queue = -1;
    for (size_t i = 0; i < several_of(round)->count && !round->err; i++)
        round->err = (int16_t)ask_part(round, i, true);
    if (round->asked == 0) decide(round);
}

/* Cancels what is being asked for; its end calls decide(). */
static void interrupt(pawl__round *round)
{
    for (size_t i = 0; i < several_of(round)->count; i++)
        if (round->parts[i].asked) pawl__acquisition_ask(round->parts[i].asked, PAWL__ASK_CANCEL);
}

void pawl__several_tell(pawl__acquisition *a, unsigned wish)
{
    pawl__round *round = round_of(a);
    if (!a->known) return;
    switch (wish) {
    case PAWL__ASK_WANT:
        begin(round);
        return;
    case PAWL__ASK_ANEW:
        if (round->anew) interrupt(round); /* else it has begun again already */
        return;
    case PAWL__ASK_CANCEL:
        if (round->asked > 0) round->err = PAWL_ERR_CANCELED;
        interrupt(round);
        return;
    case PAWL__ASK_RELEASE:
        give_back_all(round, PAWL_TRACE_RELEASED);
        return;
    case PAWL__ASK_DETACH:
        give_back_all(round, PAWL_TRACE_DETACHED);
        return;
    }
}

/* ---- What becomes of a part ------------------------------------------------------------------ */

static pawl__acquisition *acquisition_of_whole(const pawl_lock *part)
{
    return part->extras->whole->acquisition;
}

static bool whole_is_held(const pawl_lock *part)
{
    const pawl_lock *whole = part->extras->whole;
    return whole->acquisition && whole->state == PAWL__LOCK_HELD && !whole->acquisition->let_go;
}

static pawl__part *part_in_round(const pawl_lock *part)
{
    const pawl__several *several = part->extras->whole->extras->several;
    size_t at = 0;
    while (several->parts[at] != part) at++;
    return &round_of(acquisition_of_whole(part))->parts[at];
}

static void say_which(const pawl_lock *part, const char *message, char *ret_line)
{
    snprintf(ret_line, PAWL_MESSAGE_MAX, "%.200s: %.300s", part->name, message);
}

void pawl__several_part_lost(const pawl_lock *part, pawl_err err, const char *message)
{
    pawl_lock *whole = part->extras->whole;
    pawl__acquisition *a = whole->acquisition;
    if (a && whole->state == PAWL__LOCK_ACQUIRING) {
        round_of(a)->anew = true;
        pawl__acquisition_ask(a, PAWL__ASK_ANEW);
    }
    if (!whole_is_held(part)) return;
    char line[PAWL_MESSAGE_MAX];
    say_which(part, message, line);
    pawl__lose(a, err, line);
    pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
}

static bool any_in_doubt(const pawl__round *round)
{
    for (size_t i = 0; i < several_of(round)->count; i++)
        if (round->parts[i].in_doubt) return true;
    return false;
}

static void doubt_is_over(pawl__acquisition *a)
{
    bool untold = a->calls & PAWL__CALL_DOUBT;
    a->calls &= (uint8_t)~PAWL__CALL_DOUBT;
    if (!untold) pawl__acquisition_call(a, PAWL__CALL_HELD);
}

void pawl__several_part_extended(const pawl_lock *part, bool after_doubt)
{
    if (!whole_is_held(part)) return;
    pawl_lock *whole = part->extras->whole;
    pawl__acquisition *a = whole->acquisition;
    int64_t deadline = earliest(whole->extras->several);
    if (deadline > 0 && !pawl__held_extend(&whole->held, deadline)) { /* law 2 */
        pawl__lose(a, PAWL_ERR_LOST, "the renewal was confirmed after the deadline");
        pawl__acquisition_ask(a, PAWL__ASK_RELEASE);
        return;
    }
    pawl__part *in_round = part_in_round(part);
    if (!after_doubt || !in_round->in_doubt) return;
    in_round->in_doubt = false;
    if (!any_in_doubt(round_of(a))) doubt_is_over(a);
}

void pawl__several_part_in_doubt(const pawl_lock *part, pawl_err err, const char *message)
{
    pawl__acquisition *a = acquisition_of_whole(part);
    if (!a) return;
    /* The round may have asked for no part yet; then this lease belongs to the round before it. */
    bool first = !any_in_doubt(round_of(a));
    part_in_round(part)->in_doubt = true;
    if (!first || !whole_is_held(part)) return;
    char line[PAWL_MESSAGE_MAX];
    say_which(part, message, line);
    pawl__keep_event(a, err, line);
    a->calls &= (uint8_t)~PAWL__CALL_HELD;
    pawl__acquisition_call(a, PAWL__CALL_DOUBT);
}

void pawl__several_part_wanted(const pawl_lock *part)
{
    if (!whole_is_held(part)) return;
    acquisition_of_whole(part)->wanted = true;
    pawl__acquisition_call(acquisition_of_whole(part), PAWL__CALL_YIELD);
}

/* ---- The end of all -------------------------------------------------------------------------- */

static void disband(pawl__round *round)
{
    for (size_t i = 0; i < several_of(round)->count; i++) {
        pawl__part *part = &round->parts[i];
        if (part->asked) pawl__acquisition_remove_completion(part->asked, &part->acquired);
        if (part->let_go) pawl__acquisition_remove_completion(part->let_go, &part->released);
        part->asked = part->let_go = NULL;
    }
}

void pawl__several_disband_all(pawl__acquisitions *home)
{
    for (pawl__link *l = home->all.next; l != &home->all; l = l->next) {
        pawl__acquisition *a = pawl__acquisition_of(l);
        if (pawl__lock_is_several(pawl__acquisition_lock(a))) disband(round_of(a));
    }
}
