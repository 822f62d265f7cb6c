/* SPDX-License-Identifier: MIT */
/* Checks at each step, when no thread can run, and at the end. */
#include "run.h"

#include <stdio.h>
#include <string.h>

#define RELEASE_MAX_NS (5 * MS)   /* the longest that a release may stay here, nobody being busy */
#define UNTOLD_MAX_NS  (600 * MS) /* and that a loss may be seen by the clock and told by nobody */

static bool is_held(int handle)
{
    const handle_state *h = &R->handles[handle];
    if (!h->lock || h->freed) return false;
    S->quiet++;
    bool held = pawl_lock_is_held(h->lock);
    S->quiet--;
    return held;
}

/*
 * What was seen to end is held again by a new acquisition only, and none has begun: nobody is in a
 * call, and none has returned since. (A loan goes on by itself.)
 */
static void check_not_revived(int handle, bool held)
{
    handle_state *h = &R->handles[handle];
    if (R->program->handle[handle].retain_ms || h->users > 0 || h->callback_on) return;
    if (held && h->life == LIFE_ENDED)
        fail("revived", "handle %d is held again after it was seen to end", handle);
    if (held) h->life = LIFE_HELD;
    if (!held && h->life == LIFE_HELD) h->life = LIFE_ENDED;
}

static pawl_mode mode_of(int handle)
{
    S->quiet++;
    pawl_mode mode = pawl_lock_mode(R->handles[handle].lock);
    S->quiet--;
    return mode;
}

static bool have_a_name_in_common(int one, int other)
{
    for (int name = 0; name < 2; name++)
        if (handle_has_name(R->program, one, name) && handle_has_name(R->program, other, name))
            return true;
    return false;
}

static unsigned slots_of(int handle)
{
    uint16_t slots[PERMITS];
    unsigned bits = 0;
    S->quiet++;
    size_t count = pawl_lock_slots(R->handles[handle].lock, slots, PERMITS);
    S->quiet--;
    for (size_t i = 0; i < count && i < PERMITS; i++) bits |= 1u << slots[i];
    return bits;
}

/* Readers beside readers, and beside one that may write later; permits beside other permits. */
static bool may_hold_together(int one, int other)
{
    pawl_mode a = mode_of(one), b = mode_of(other);
    if (a == PAWL_MODE_PERMIT) return !(slots_of(one) & slots_of(other));
    if (a == PAWL_MODE_SHARED) return b == PAWL_MODE_SHARED || b == PAWL_MODE_UPDATE;
    return a == PAWL_MODE_UPDATE && b == PAWL_MODE_SHARED;
}

/* A fence is there as soon as a lock is, and grows from writer to writer. */
static void check_fence(int handle)
{
    uint64_t *latest = &R->fences[R->program->handle[handle].name];
    S->quiet++;
    uint64_t fence = pawl_lock_fence(R->handles[handle].lock);
    S->quiet--;
    if (fence == 0) fail("fence", "handle %d is held, and shows no fence", handle);
    if (mode_of(handle) != PAWL_MODE_EXCLUSIVE) return;
    if (fence < *latest) fail("fence", "handle %d is held, and shows an older fence", handle);
    *latest = fence;
}

/* All clients are on one space of the memory store. */
void check_exclusion(void)
{
    if (!R->exclusive || S->in_child) return;
    int holders[HANDLES_MAX], count = 0;
    for (int i = 0; i < R->program->handles; i++) {
        bool held = is_held(i);
        check_not_revived(i, held);
        if (!held) continue;
        check_fence(i);
        for (int k = 0; k < count; k++)
            if (have_a_name_in_common(holders[k], i) && !may_hold_together(holders[k], i))
                fail("exclusion", "handles %d and %d hold the same name", holders[k], i);
        holders[count++] = i;
    }
}

void check_exclusion_beside(const pawl_lock *lock, int name)
{
    S->quiet++;
    bool held = R->exclusive && pawl_lock_is_held(lock);
    S->quiet--;
    for (int i = 0; held && i < R->program->handles; i++)
        if (handle_has_name(R->program, i, name) && is_held(i))
            fail("exclusion", "handle %d and the work under a lock hold the same name", i);
}

/* Each acquisition that ended well counts once, and each release, also after a loss. */
void check_depth(int handle)
{
    const handle_state *h = &R->handles[handle];
    if (!R->program->handle[handle].reentrant || h->freed || h->users > 0 || h->callback_on) return;
    if (h->starting > 0 || h->miscounted || R->clients[R->program->handle[handle].client].closing)
        return;
    bool held = is_held(handle);
    if (h->depth < 0) fail("depth", "handle %d was released more often than acquired", handle);
    if (held && h->depth == 0) fail("depth", "handle %d is held, and all was given back", handle);
    if (!held && h->depth > 0 && R->steady)
        fail("depth", "handle %d is not held, and %d have not given it back", handle, h->depth);
}

void check_meant(int handle, const handle_state *before)
{
    const handle_state *h = &R->handles[handle];
    if (before->users == 1 && h->users == 1 && h->calls == before->calls && !before->callback_on)
        fail("canceled", "a call on handle %d was canceled, and nobody had asked for it", handle);
}

void check_step(void)
{
    bool now = S->plan.strategy >= STRATEGY_REPLAY || S->steps % 8 == 0;
    if (R->program && R->program->watched && now) check_exclusion();
}

/* ---- Releases that have returned
 * ---------------------------------------------------------------------------- */

/* Only if nobody but the store can take the lease: one handle of the name, and nothing retained. */
static bool goes_to_store(int handle)
{
    const program *p = R->program;
    int client = p->handle[handle].client;
    if (!p->client[client].spied || p->handle[handle].several) return false;
    for (int i = 0; i < p->handles; i++)
        if (i != handle && p->handle[i].client == client &&
            handle_has_name(p, i, p->handle[handle].name))
            return false;
    return !R->clients[client].closing && !p->habits.link_down && !p->habits.lost &&
           !p->habits.late;
}

static bool was_seen(const char *token)
{
    for (int i = 0; i < OWED_MAX; i++)
        if (!R->owed[i].used && strcmp(R->owed[i].token, token) == 0) return true;
    return false;
}

void owe_release(int handle, const pawl_token *token)
{
    if (!goes_to_store(handle) || was_seen(token->text)) return;
    for (int i = 0; i < OWED_MAX; i++) {
        if (R->owed[i].used || R->owed[i].token[0]) continue;
        R->owed[i] = (owed){.used = true, .since = S->now};
        memcpy(R->owed[i].token, token->text, sizeof R->owed[i].token);
        return;
    }
}

/* The store was told; also before the call has returned. */
void run_saw_release(const char *token)
{
    owed *room = NULL;
    for (int i = 0; i < OWED_MAX; i++) {
        if (strcmp(R->owed[i].token, token) == 0) {
            R->owed[i].used = false;
            return;
        }
        if (!room && !R->owed[i].token[0]) room = &R->owed[i];
    }
    if (room) snprintf(room->token, sizeof room->token, "%s", token);
}

static uint64_t digest(const char *token)
{
    uint64_t sum = UINT64_C(1469598103934665603);
    for (const char *p = token; *p; p++) sum = (sum ^ (unsigned char)*p) * UINT64_C(1099511628211);
    return sum;
}

bool run_knows_token(const char *token)
{
    for (int i = 0; i < R->token_count; i++)
        if (R->tokens[i] == digest(token)) return true;
    return R->token_count == TOKENS_MAX;
}

void run_saw_token(const char *token)
{
    if (!run_knows_token(token)) R->tokens[R->token_count++] = digest(token);
}

void check_caches(const char *when)
{
    for (int i = 0; i < R->program->handles; i++) {
        const handle_state *h = &R->handles[i];
        if (!h->lock || h->freed || h->users > 0 || !h->retained[0]) continue;
        int client = R->program->handle[i].client;
        bool alone = R->program->client[client].callbacks == PAWL_CALLBACKS_WAIT;
        if (alone && !R->exiting) continue; /* it has no thread that would look */
        if (goes_to_store(i) && !was_seen(h->retained))
            fail("release lost", "what handle %d had in its cache outlives %s", i, when);
    }
}

/*
 * What a handle has given back has no events but its loss. Only where callbacks run in a call of
 * the program: another thread may be about to tell one that was due before.
 */
void check_event(int handle, pawl_event_kind kind)
{
    const handle_state *h = &R->handles[handle];
    int client = R->program->handle[handle].client;
    uint32_t since = R->clients[client].dispatching[S->current];
    if (kind != PAWL_EVENT_LOST && h->ended_at && since && h->ended_at <= since)
        fail("event after end", "handle %d was given back, and an event of it is told", handle);
}

void check_owed_none(const char *when)
{
    for (int i = 0; i < OWED_MAX; i++)
        if (R->owed[i].used)
            fail("release lost", "a release had returned, and the store has not heard of it %s",
                 when);
}

/* The one that would see to it may be the one that stands still: a client without a thread. */
bool run_stands_still(void)
{
    for (int i = 0; i < THREADS_MAX; i++)
        if (S->threads[i].in_handler) return true;
    return false;
}

/* It was acquired, nobody has given it back, and there is a thread that tells its loss. */
static bool is_to_be_told(int handle)
{
    const handle_state *h = &R->handles[handle];
    const client_state *c = &R->clients[R->program->handle[handle].client];
    bool tells =
        R->program->client[R->program->handle[handle].client].callbacks == PAWL_CALLBACKS_THREAD;
    return h->lock && !h->freed && tells && R->program->handle[handle].events && !c->closing &&
           c->callbacks == 0 && h->sure > 0 && h->sure == h->changes && h->lost == h->lost_before;
}

static void check_told(int64_t until)
{
    for (int i = 0; i < R->program->handles && !S->in_child; i++) {
        handle_state *h = &R->handles[i];
        if (!is_to_be_told(i) || is_held(i)) {
            h->gone_since = 0;
            continue;
        }
        if (!h->gone_since) h->gone_since = S->now;
        if (until != NEVER && until - h->gone_since > UNTOLD_MAX_NS)
            fail("loss untold",
                 "handle %d has not been held for %lld ms, and its owner was not told", i,
                 (long long)((S->now - h->gone_since) / MS));
    }
}

/* There is a thread that tells its losses, and nobody who ends them. */
static bool is_told_of_losses(int handle)
{
    const handle_state *h = &R->handles[handle];
    int client = R->program->handle[handle].client;
    return R->program->client[client].callbacks == PAWL_CALLBACKS_THREAD &&
           R->program->handle[handle].events && !R->program->handle[handle].reentrant &&
           !R->clients[client].closing && !h->freed;
}

/* So much time must pass in which somebody could run: the clock alone tells nobody anything. */
static void wait_for_told(const handle_state *h)
{
    int64_t until = S->now + UNTOLD_MAX_NS, jumps = S->jumps, jumped = 0;
    do {
        jumped = S->jumps - jumps;
        sched_wait("waits for a loss to be told", h, run_never, NULL, until + jumped);
    } while (S->jumps - jumps != jumped);
}

void check_losses_told(void)
{
    for (int i = 0; i < R->program->handles; i++) {
        const handle_state *h = &R->handles[i];
        if (!is_told_of_losses(i) || h->lost >= h->found_lost) continue;
        wait_for_told(h);
        if (is_told_of_losses(i) && h->lost < h->found_lost)
            fail("loss untold", "of handle %d %d releases found a loss, and %d were told", i,
                 h->found_lost, h->lost);
    }
}

/* Who waits for a name holds only those that come before it: two handles could wait in a circle. */
static void check_prefix(int handle)
{
    const handle_state *h = &R->handles[handle];
    if (!R->program->handle[handle].several || !h->lock || h->freed) return;
    bool held[2] = {false, false}; /* by name */
    S->quiet++;
    for (size_t i = 0; i < 2; i++) {
        const pawl_lock *part = pawl_lock_part(h->lock, i);
        held[pawl_lock_name(part)[0] == 'b'] = pawl_lock_is_held(part);
    }
    S->quiet--;
    if (held[1] && !held[0])
        fail("prefix", "handle %d waits for the name a, and holds the name b meanwhile", handle);
}

/* Who has all names has each of them. */
static void check_whole(int handle)
{
    const handle_state *h = &R->handles[handle];
    if (!R->program->handle[handle].several || !is_held(handle)) return;
    S->quiet++;
    for (size_t i = 0; i < 2; i++)
        if (!pawl_lock_is_held(pawl_lock_part(h->lock, i)))
            fail("whole", "handle %d is held, and not all of its names are", handle);
    S->quiet--;
}

/* No thread can run, and the clock is about to go on until then. */
void check_idle(int64_t until)
{
    check_told(until);
    if (run_stands_still()) return;
    for (int i = 0; !S->in_child && i < R->program->handles; i++) {
        if (R->timely) check_prefix(i);
        check_whole(i);
    }
    for (int i = 0; i < OWED_MAX; i++)
        if (R->owed[i].used && until - R->owed[i].since > RELEASE_MAX_NS)
            fail("release late",
                 "a release returned %lld us ago, everybody sleeps, and the store has "
                 "not heard of it",
                 (long long)((S->now - R->owed[i].since) / US));
}

/* ---- The trace ----------------------------------------------------------------------------- */

/* Each wait and each hold that begins, ends once. */
void check_account(int client, const pawl_trace *event)
{
    client_state *c = &R->clients[client];
    switch (event->kind) {
    case PAWL_TRACE_ACQUIRING:
        c->waits++;
        break;
    case PAWL_TRACE_ACQUIRED:
        c->waits--;
        c->holds++;
        break;
    case PAWL_TRACE_REFUSED:
        c->waits--;
        break;
    case PAWL_TRACE_RECALLED:
        c->holds += event->held;
        break;
    case PAWL_TRACE_RELEASED:
    case PAWL_TRACE_DETACHED:
    case PAWL_TRACE_RETAINED:
    case PAWL_TRACE_LOST:
        c->holds--;
        break;
    case PAWL_TRACE_GUARD:
        if (!event->span_ns && !c->guarded)
            fail("trace", "client %d is told of the end of a guard that it has not heard of",
                 client);
        c->guarded = event->span_ns > 0;
        break;
    default:
        break;
    }
    c->told++;
    if (event->dropped && c->told < PAWL_TRACE_WAITING_MAX)
        fail("trace", "client %d has dropped events, and few wait", client);
    if (c->told < PAWL_TRACE_WAITING_MAX && (c->waits < 0 || c->holds < 0))
        fail("trace", "what client %d tells to end has not begun: %s", client,
             pawl_trace_kind_name(event->kind));
}

void check_traced(int client)
{
    const client_state *c = &R->clients[client];
    if (S->in_child || !R->program->client[client].traced) return;
    if (c->told >= PAWL_TRACE_WAITING_MAX) return; /* perhaps the end was dropped */
    if (c->waits || c->holds)
        fail("trace", "client %d is closed, and %d waits and %d holds have no end", client,
             c->waits, c->holds);
}

void handle_callback_begins(handle_state *h)
{
    h->callback_on = S->current + 1;
    h->callback_count++;
    sched_point("is in a callback", h, true);
}

void handle_callback_ends(handle_state *h)
{
    sched_point("leaves a callback", h, true);
    h->callback_on = 0;
}

/* ---- The end ------------------------------------------------------------------------------ */

static void check_records(void)
{
    for (int i = 0; i < R->record_count; i++) {
        const record *r = &R->records[i];
        if (r->started && r->times != 1)
            fail("never told", "%s of handle %d was completed %d times", op_name(r->kind),
                 r->handle, r->times);
    }
}

static void check_threads(void)
{
    for (int i = 0; i < S->count; i++) {
        const thread *t = &S->threads[i];
        if (!t->is_users && t->state == THREAD_LIVES)
            fail("thread left", "the thread %s runs although every client was closed", t->name);
        if (!t->is_users && t->state == THREAD_ENDED)
            fail("thread left", "nobody has joined the thread %s", t->name);
    }
}

void check_nothing_left(void)
{
    check_records();
    check_started();
    check_threads();
    files_check_leaks();
    loop_check_leaks();
    memory_check_leaks();
}
