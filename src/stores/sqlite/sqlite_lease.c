/* SPDX-License-Identifier: MIT */
/*
 * Each function below runs inside one BEGIN IMMEDIATE transaction: nobody else
 * writes meanwhile, so "read, decide in C, write" is atomic, and `now`, read
 * after the transaction began, only grows from one transaction to the next.
 *
 * A lease stands while its row has a token, its expiry has not come and its
 * holder's byte of the live file is taken. A place in the queue stands likewise.
 * What does not stand is cleared by whoever comes across it.
 *
 * Who watches whom. A waiter is told in the answer who stands directly before
 * it, and watches for that process's death (sqlite_watch.c). In a FIFO queue the
 * one before me is also the one who holds the lock before me, so the watch stays right
 * when the queue moves on. Only if my predecessor leaves the queue without having had
 * the lock must I be told: its successor gets a RECHECK.
 */
#define _GNU_SOURCE
#include "sqlite_lease.h"
#include "sqlite_broken.h"

#include "../../base/instant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEAD_DROP_MAX 1000                      /* dead waiters cleared by one request */
#define QUEUE_MAX     100000                    /* waiters of one name: positions are counted */
#define OLD_KEEP_NS   (60000 * PAWL__NS_PER_MS) /* a free lock's row serves `show` for a minute */
#define OLD_SWEEP_MAX 4 /* rows cleared per row added: the table shrinks faster than it grows */

/* The request and what all steps of it need. */
typedef struct turn {
    pawl__sqlite_db *db;
    const pawl_request *request;
    const char *client_id;
    pawl__outbox *outbox;
    pawl__name name;
    int64_t now;
} turn;

/* ---- Small parts --------------------------------------------------------------- */

bool pawl__lock_is_live(pawl__sqlite_db *db, const pawl__lock_row *lock, int64_t now)
{
    return lock->held && !db->all_ended && now < lock->expires_at &&
           !pawl__sqlite_db_is_dead(db, lock->owner.live);
}

bool pawl__wait_is_live(pawl__sqlite_db *db, const pawl__wait_row *waiter, int64_t now)
{
    return !db->all_ended && now < waiter->until_at &&
           !pawl__sqlite_db_is_dead(db, waiter->owner.live);
}

static bool same_token(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0; /* the whole token (law 5) */
}

pawl__mail *pawl__outbox_add(pawl__outbox *outbox)
{
    if (outbox->count == PAWL__OUTBOX_MAX) return NULL;
    if (!outbox->mails) outbox->mails = malloc(PAWL__OUTBOX_MAX * sizeof(pawl__mail));
    return outbox->mails ? &outbox->mails[outbox->count++] : NULL;
}

static void send_letter(const turn *t, const char *to, pawl_push_kind kind, const char *token,
                        uint64_t fence, bool waiting)
{
    pawl__mail *mail = pawl__outbox_add(t->outbox);
    if (!mail) return;
    snprintf(mail->to, sizeof(mail->to), "%s", to);
    pawl__letter_write(&mail->letter, kind, t->name.text, t->name.len, token, fence, waiting);
}

/* Ourselves, as we stand in rows. */
static void fill_requester(const turn *t, pawl__owner *ret_owner)
{
    memset(ret_owner, 0, sizeof(*ret_owner));
    snprintf(ret_owner->token, sizeof(ret_owner->token), "%s", t->request->token);
    snprintf(ret_owner->client, sizeof(ret_owner->client), "%s", t->client_id);
    snprintf(ret_owner->label, sizeof(ret_owner->label), "%s",
             t->request->owner ? t->request->owner : "");
    ret_owner->live = t->db->live.offset;
    ret_owner->pid = t->db->pid;
    ret_owner->pid_ns = t->db->pid_ns;
}

static int64_t own_live(const turn *t)
{
    return t->request->flags & PAWL_ASK_DETACHED ? PAWL__LIVE_DETACHED : t->db->live.offset;
}

static int64_t expiry(const turn *t, int64_t ttl_ns)
{
    return pawl__instant_add(t->now, ttl_ns);
}

/* ---- The queue ----------------------------------------------------------------- */

/*
 * The first waiter behind `after` whose place stands; those that do not are
 * deleted. A stopped process that missed its refresh still lives: who watches it
 * must learn that the watch is void.
 */
static int next_waiter(const turn *t, int64_t after, pawl__wait_row *ret_waiter)
{
    bool dropped_living = false;
    int rc = SQLITE_OK;
    for (int i = 0; i < DEAD_DROP_MAX; i++) {
        rc = pawl__wait_first(t->db, t->name, after, ret_waiter);
        if (rc != SQLITE_OK || !ret_waiter->found) return rc;
        if (pawl__wait_is_live(t->db, ret_waiter, t->now)) {
            if (dropped_living) {
                send_letter(t, ret_waiter->owner.client, PAWL_PUSH_RECHECK, NULL, 0, false);
            }
            return SQLITE_OK;
        }
        if (!pawl__sqlite_db_is_dead(t->db, ret_waiter->owner.live)) dropped_living = true;
        rc = pawl__wait_drop(t->db, t->name, ret_waiter->seq);
        if (rc != SQLITE_OK) return rc;
    }
    ret_waiter->found = false;
    return rc;
}

static int anybody_waits(const turn *t, bool *ret_waiting)
{
    pawl__wait_row first;
    int rc = next_waiter(t, 0, &first);
    *ret_waiting = first.found;
    return rc;
}

/* A waiter goes without having had its turn: its successor's watch is void. */
static int leave_queue(const turn *t, const pawl__wait_row *waiter)
{
    pawl__wait_row successor = {.found = false};
    int rc = pawl__wait_drop(t->db, t->name, waiter->seq);
    if (rc == SQLITE_OK) rc = pawl__wait_first(t->db, t->name, waiter->seq, &successor);
    if (rc == SQLITE_OK && successor.found) {
        send_letter(t, successor.owner.client, PAWL_PUSH_RECHECK, NULL, 0, false);
    }
    return rc;
}

/* ---- Granting ------------------------------------------------------------------ */

/* Makes `owner` the holder until then, with a new fence, in this very transaction (law 3). */
static int grant(const turn *t, pawl__lock_row *lock, const pawl__owner *owner, int64_t live,
                 int64_t until)
{
    const pawl__sqlite_host_row *host = &t->db->host;
    uint64_t last = lock->fence > host->fence_floor ? lock->fence : host->fence_floor;
    uint64_t wall_us = (uint64_t)pawl__sqlite_clock_wall_us();
    uint64_t fence = last + 1 > wall_us ? last + 1 : wall_us;
    if (fence > PAWL__SQLITE_FENCE_MAX) return SQLITE_CORRUPT; /* no clock shows it before 2255 */
    if (fence >= host->fence_ceiling) {
        t->db->fence_wanted = fence;
        return PAWL__SQLITE_NEEDS_CEILING;
    }

    lock->held = true;
    lock->owner = *owner;
    lock->owner.live = live;
    lock->fence = fence;
    lock->expires_at = until;
    pawl__sqlite_host_lease(t->db, live, lock->expires_at);
    return pawl__lock_put(t->db, t->name, lock);
}

/*
 * The hand-off: the waiter becomes the holder, and is told. That does not extend: the lease ends
 * when the place would have, until its client renews it (rule 8).
 */
static int promote(const turn *t, pawl__lock_row *lock, const pawl__wait_row *waiter)
{
    bool waiting;
    int64_t live = waiter->detached ? PAWL__LIVE_DETACHED : waiter->owner.live;
    int rc = grant(t, lock, &waiter->owner, live, waiter->until_at);
    if (rc == SQLITE_OK) rc = pawl__wait_drop(t->db, t->name, waiter->seq);
    if (rc == SQLITE_OK) rc = anybody_waits(t, &waiting);
    if (rc != SQLITE_OK) return rc;
    send_letter(t, waiter->owner.client, PAWL_PUSH_GRANT, waiter->owner.token, lock->fence,
                waiting);
    return SQLITE_OK;
}

/* Nobody holds any more: the next waiter gets it, or it is free. */
static int hand_off(const turn *t, pawl__lock_row *lock)
{
    pawl__wait_row next;
    int rc = next_waiter(t, 0, &next);
    if (rc != SQLITE_OK) return rc;
    if (next.found) return promote(t, lock, &next);
    lock->held = false;
    return pawl__lock_free_row(t->db, t->name, t->now);
}

/* Law 7: whoever finds a lease that does not stand any more hands the lock on. */
static int hand_on(const turn *t, pawl__lock_row *lock)
{
    return lock->held ? hand_off(t, lock) : SQLITE_OK;
}

/* ---- Rows that nobody asks for any more ---------------------------------------- */

static int delete_row(const turn *t, const pawl__lock_row *lock)
{
    sqlite3_stmt *st = pawl__sqlite_use_named(t->db, PAWL__ST_LOCK_DELETE, t->name);
    int rc = st ? pawl__sqlite_run(st) : pawl__sqlite_error_of(t->db);
    if (rc != SQLITE_OK || lock->fence <= t->db->host.fence_floor) return rc;
    /* What the row remembered goes into the floor (law 3). */
    st = pawl__sqlite_use(t->db, PAWL__ST_HOST_FLOOR);
    if (!st) return pawl__sqlite_error_of(t->db);
    sqlite3_bind_int64(st, 1, (int64_t)lock->fence);
    rc = pawl__sqlite_run(st);
    if (rc == SQLITE_OK) t->db->host.fence_floor = lock->fence;
    return rc;
}

/* Expired long ago: its holder and its waiters crashed, or it is free. */
static int clear_old_row(const turn *t)
{
    pawl__lock_row lock;
    int rc = pawl__lock_get(t->db, t->name, &lock);
    if (rc != SQLITE_OK) return rc;
    bool was_free = !lock.held;
    rc = hand_off(t, &lock);
    if (rc != SQLITE_OK || lock.held || !was_free) return rc;
    return delete_row(t, &lock);
}

static int sweep_old_rows(const turn *t)
{
    char names[OLD_SWEEP_MAX][PAWL_NAME_MAX];
    size_t lens[OLD_SWEEP_MAX], count = 0;

    sqlite3_stmt *st = pawl__sqlite_use(t->db, PAWL__ST_LOCK_OLD);
    if (!st) return pawl__sqlite_error_of(t->db);
    sqlite3_bind_int64(st, 1, t->now - OLD_KEEP_NS);
    sqlite3_bind_int(st, 2, OLD_SWEEP_MAX);
    while (count < OLD_SWEEP_MAX && sqlite3_step(st) == SQLITE_ROW) {
        int len = sqlite3_column_bytes(st, 0);
        if (len <= 0 || len > PAWL_NAME_MAX) continue;
        memcpy(names[count], sqlite3_column_blob(st, 0), (size_t)len);
        lens[count++] = (size_t)len;
    }
    int rc = sqlite3_reset(st);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        turn other = *t;
        other.name = (pawl__name){names[i], lens[i]};
        rc = clear_old_row(&other);
    }
    return rc;
}

/* ---- ACQUIRE ------------------------------------------------------------------- */

static int answer_granted(const turn *t, const pawl__lock_row *lock, pawl__answer *ret_answer)
{
    ret_answer->outcome = PAWL_GRANTED;
    ret_answer->fence = lock->fence;
    return anybody_waits(t, &ret_answer->waiting);
}

/* Rule 3: the token holds already. The same fence, a full ttl. */
static int grant_again(const turn *t, pawl__lock_row *lock, pawl__answer *ret_answer)
{
    fill_requester(t, &lock->owner);
    lock->owner.live = own_live(t);
    lock->expires_at = expiry(t, pawl__ms_to_ns(t->request->ttl_ms));
    pawl__sqlite_host_lease(t->db, lock->owner.live, lock->expires_at);
    int rc = pawl__lock_put(t->db, t->name, lock);
    return rc == SQLITE_OK ? answer_granted(t, lock, ret_answer) : rc;
}

static int grant_new(const turn *t, pawl__lock_row *lock, const pawl__wait_row *my_place,
                     pawl__answer *ret_answer)
{
    pawl__owner me;
    bool adds_row = lock->fence == 0;
    fill_requester(t, &me);
    int64_t until = expiry(t, pawl__ms_to_ns(t->request->ttl_ms));
    int rc = grant(t, lock, &me, own_live(t), until);
    if (rc == SQLITE_OK && adds_row) rc = sweep_old_rows(t);
    if (rc == SQLITE_OK && my_place->found) rc = pawl__wait_drop(t->db, t->name, my_place->seq);
    return rc == SQLITE_OK ? answer_granted(t, lock, ret_answer) : rc;
}

/* Who stands before my place: the last waiter there that lives, or the holder. */
static int find_predecessor(const turn *t, const pawl__lock_row *lock, int64_t seq,
                            pawl__answer *ret_answer, bool *ret_first)
{
    pawl__wait_row before;
    for (int i = 0; i < DEAD_DROP_MAX; i++) {
        int rc = pawl__wait_before(t->db, t->name, seq, &before);
        if (rc != SQLITE_OK) return rc;
        if (!before.found || pawl__wait_is_live(t->db, &before, t->now)) break;
        rc = pawl__wait_drop(t->db, t->name, before.seq);
        if (rc != SQLITE_OK) return rc;
    }
    const pawl__owner *owner = before.found ? &before.owner : &lock->owner;
    ret_answer->watch_live = owner->live;
    ret_answer->watch_pid = owner->pid;
    ret_answer->watch_pid_ns = owner->pid_ns;
    *ret_first = !before.found;
    return SQLITE_OK;
}

static int turn_away(const turn *t, const pawl__wait_row *place, pawl__answer *ret_answer)
{
    ret_answer->outcome = PAWL_FAILED;
    ret_answer->fault.err = PAWL_ERR_STORE_FULL;
    pawl__sqlite_say(ret_answer->fault.message, "%d wait for this name already", QUEUE_MAX);
    return pawl__wait_drop(t->db, t->name, place->seq);
}

static int enqueue(const turn *t, const pawl__lock_row *lock, pawl__answer *ret_answer)
{
    pawl__wait_row place;
    bool is_first;
    int rc = pawl__wait_of(t->db, t->name, t->request->token, &place);
    if (rc != SQLITE_OK) return rc;

    bool is_new = !place.found;
    fill_requester(t, &place.owner);
    place.ttl_ns = pawl__ms_to_ns(t->request->ttl_ms);
    place.until_at = expiry(t, pawl_place_span(place.ttl_ns));
    place.detached = (t->request->flags & PAWL_ASK_DETACHED) != 0;
    if (is_new) place.since_at = t->now;
    rc = is_new ? pawl__wait_add(t->db, t->name, &place)
                : pawl__wait_refresh(t->db, t->name, &place);
    if (rc == SQLITE_OK) rc = find_predecessor(t, lock, place.seq, ret_answer, &is_first);
    if (rc == SQLITE_OK) rc = pawl__wait_rank(t->db, t->name, place.seq, &ret_answer->position);
    if (rc != SQLITE_OK) return rc;

    if (is_new && ret_answer->position >= QUEUE_MAX) return turn_away(t, &place, ret_answer);
    if (is_new && is_first) {
        send_letter(t, lock->owner.client, PAWL_PUSH_YIELD, lock->owner.token, lock->fence, true);
    }
    ret_answer->outcome = PAWL_QUEUED;
    ret_answer->fence = lock->fence;
    ret_answer->holder_ms = pawl__ms_until(t->now, lock->expires_at);
    return SQLITE_OK;
}

/* Without PAWL_ASK_QUEUE the store forgets who asks. */
static int refuse(const turn *t, const pawl__lock_row *lock, pawl__answer *ret_answer)
{
    pawl__wait_row place;
    int rc = pawl__wait_of(t->db, t->name, t->request->token, &place);
    if (rc == SQLITE_OK && place.found) rc = leave_queue(t, &place);
    ret_answer->outcome = PAWL_BUSY;
    ret_answer->holder_ms = pawl__ms_until(t->now, lock->expires_at);
    snprintf(ret_answer->fault.message, sizeof(ret_answer->fault.message), "%s", lock->owner.label);
    return rc;
}

static int acquire(const turn *t, pawl__answer *ret_answer)
{
    pawl__lock_row lock;
    pawl__wait_row first;
    int rc = pawl__lock_get(t->db, t->name, &lock);
    if (rc != SQLITE_OK) return rc;

    bool held = pawl__lock_is_live(t->db, &lock, t->now);
    if (held && same_token(lock.owner.token, t->request->token)) {
        return grant_again(t, &lock, ret_answer);
    }
    if (!held) {
        rc = next_waiter(t, 0, &first);
        if (rc != SQLITE_OK) return rc;
        /* No barging past a waiter that lives (law 7). */
        if (!first.found || same_token(first.owner.token, t->request->token)) {
            return grant_new(t, &lock, &first, ret_answer);
        }
        rc = promote(t, &lock, &first);
        if (rc != SQLITE_OK) return rc;
    }
    if (t->request->flags & PAWL_ASK_QUEUE) return enqueue(t, &lock, ret_answer);
    return refuse(t, &lock, ret_answer);
}

/* ---- RENEW, RELEASE, BREAK ----------------------------------------------------- */

/* Rule 13: the answer names who broke it, if somebody did. */
static int answer_not_owner(const turn *t, pawl__answer *ret_answer)
{
    pawl__broken_row note;
    ret_answer->outcome = PAWL_NOT_OWNER;
    int rc = pawl__broken_of(t->db, t->name, t->request->token, t->now, &note);
    snprintf(ret_answer->fault.message, sizeof(ret_answer->fault.message), "%s", note.by);
    return rc;
}

static int renew(const turn *t, pawl__answer *ret_answer)
{
    pawl__lock_row lock;
    int rc = pawl__lock_get(t->db, t->name, &lock);
    if (rc != SQLITE_OK) return rc;
    if (!pawl__lock_is_live(t->db, &lock, t->now)) {
        rc = answer_not_owner(t, ret_answer); /* never re-created (law 5) */
        return rc == SQLITE_OK ? hand_on(t, &lock) : rc;
    }
    if (!same_token(lock.owner.token, t->request->token)) return answer_not_owner(t, ret_answer);
    /* Our own lease that lost its tie (sqlite_live.h) is tied again; nobody else's is. */
    int64_t live = lock.owner.live;
    if (live == PAWL__LIVE_UNKNOWN && strcmp(lock.owner.client, t->client_id) == 0) {
        live = t->db->live.offset;
    }
    int64_t until = expiry(t, pawl__ms_to_ns(t->request->ttl_ms));
    pawl__sqlite_host_lease(t->db, live, until);
    rc = pawl__lock_extend(t->db, t->name, until, live);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = PAWL_CONFIRMED;
    ret_answer->fence = lock.fence;
    return anybody_waits(t, &ret_answer->waiting);
}

static int release(const turn *t, pawl__answer *ret_answer)
{
    pawl__lock_row lock;
    pawl__wait_row place;
    int rc = pawl__lock_get(t->db, t->name, &lock);
    if (rc != SQLITE_OK) return rc;

    bool live = pawl__lock_is_live(t->db, &lock, t->now);
    if (lock.held && same_token(lock.owner.token, t->request->token)) {
        ret_answer->outcome = live ? PAWL_RELEASED : PAWL_NOT_OWNER;
        return hand_off(t, &lock);
    }
    rc = pawl__wait_of(t->db, t->name, t->request->token, &place);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = place.found ? PAWL_LEFT : PAWL_NOT_OWNER;
    if (place.found) rc = leave_queue(t, &place);
    return rc == SQLITE_OK && !live ? hand_on(t, &lock) : rc;
}

static int break_lock(const turn *t, pawl__answer *ret_answer)
{
    pawl__lock_row lock;
    int rc = pawl__lock_get(t->db, t->name, &lock);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = PAWL_NOT_OWNER;
    if (!pawl__lock_is_live(t->db, &lock, t->now)) return hand_on(t, &lock);
    if (lock.fence != t->request->fence) return SQLITE_OK;
    ret_answer->outcome = PAWL_RELEASED;
    rc = pawl__broken_add(t->db, t->name, &lock, t->request->owner, t->now);
    if (rc != SQLITE_OK) return rc;
    /* The holder asks, and learns it before its next renewal. */
    send_letter(t, lock.owner.client, PAWL_PUSH_RECHECK, NULL, 0, false);
    return hand_off(t, &lock);
}

/* ---- The interface ------------------------------------------------------------- */

int pawl__lease_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, pawl__answer *ret_answer)
{
    turn t = {
        .db = db,
        .request = request,
        .client_id = client_id,
        .outbox = outbox,
        .name = {request->name, request->name_len},
        .now = pawl__sqlite_clock_now(&db->clock),
    };
    memset(ret_answer, 0, sizeof(*ret_answer));
    ret_answer->position = ret_answer->holder_ms = -1;
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
        return acquire(&t, ret_answer);
    case PAWL_VERB_RENEW:
        return renew(&t, ret_answer);
    case PAWL_VERB_RELEASE:
        return release(&t, ret_answer);
    case PAWL_VERB_BREAK:
        return break_lock(&t, ret_answer);
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_CHANGE:
    case PAWL_VERB_PUBLISH: /* sqlite_value.c */
    case PAWL_VERB_READ:
        break;
    }
    return SQLITE_MISUSE;
}

int pawl__lease_reap(pawl__sqlite_db *db, pawl__name name, pawl__outbox *outbox)
{
    turn t = {.db = db, .outbox = outbox, .name = name, .now = pawl__sqlite_clock_now(&db->clock)};
    pawl__lock_row lock;
    int rc = pawl__lock_get(db, name, &lock);
    if (rc != SQLITE_OK || !lock.held) return rc;
    return pawl__lock_is_live(db, &lock, t.now) ? SQLITE_OK : hand_off(&t, &lock);
}
