/* SPDX-License-Identifier: MIT */
/* ACQUIRE, RENEW, RELEASE and BREAK, each inside one transaction; see sqlite_turn.h. */
#define _GNU_SOURCE
#include "sqlite_broken.h"
#include "sqlite_turn.h"

#include "../../base/capacity.h"

#include <string.h>

/* ---- ACQUIRE -------------------------------------------------------------------------- */

/* *ret_capacity: of the semaphore that the name is, 0 if it is a lock; false: it is nothing. */
static int find_kind(const pawl__turn *t, pawl__group *g, bool *ret_found, uint32_t *ret_capacity)
{
    pawl__hold_row holder = {.found = false};
    int rc = SQLITE_OK;
    *ret_found = g->lock.held && !g->lock.many;
    *ret_capacity = 0;
    if (*ret_found) return SQLITE_OK;
    if (g->lock.many) rc = pawl__hold_first_end(t->db, t->name, &holder);
    if (rc == SQLITE_OK && !holder.found) rc = pawl__queue_first(t, g);
    *ret_found = rc == SQLITE_OK && (holder.found || g->first.found);
    if (*ret_found) *ret_capacity = holder.found ? holder.capacity : g->first.capacity;
    return rc;
}

/* A name is of one kind while anything of it lives (rule 9). */
static int check_kind(const pawl__turn *t, pawl__group *g, pawl_err *ret_err, char *ret_message)
{
    const pawl_request *r = t->request;
    bool asks_permit = r->mode == PAWL_MODE_PERMIT, found;
    uint32_t capacity;
    *ret_err = PAWL_ERR_UNITS;
    if (asks_permit && !pawl__permits_fit(r->units, r->capacity)) return SQLITE_OK;
    int rc = find_kind(t, g, &found, &capacity);
    *ret_err = PAWL_OK;
    if (rc != SQLITE_OK || !found) return rc;
    if (asks_permit != (capacity != 0)) *ret_err = PAWL_ERR_KIND;
    if (asks_permit && capacity != 0 && capacity != r->capacity) {
        *ret_err = PAWL_ERR_CAPACITY;
        (void)pawl__capacity_message(capacity, r->capacity, ret_message);
    }
    return rc;
}

/* Dead holders and waiters do not decide which kind the name is. */
static int check_kind_of_living(const pawl__turn *t, pawl__group *g, pawl_err *ret_err,
                                char *ret_message)
{
    int rc = check_kind(t, g, ret_err, ret_message);
    bool may_be_dead = *ret_err == PAWL_ERR_KIND || *ret_err == PAWL_ERR_CAPACITY;
    if (rc != SQLITE_OK || !may_be_dead || !g->lock.many) return rc;
    rc = pawl__group_drop_dead(t, g);
    if (rc == SQLITE_OK) rc = pawl__group_let_in(t, g);
    return rc == SQLITE_OK ? check_kind(t, g, ret_err, ret_message) : rc;
}

static int write_again(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder)
{
    if (g->lock.many) return pawl__hold_put(t->db, t->name, holder);
    g->lock.owner = holder->owner;
    g->lock.expires_at = holder->expires_at;
    return pawl__lock_put(t->db, t->name, &g->lock);
}

/* Rule 3: the token holds already. The same fence, a full ttl. */
static int grant_again(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder,
                       pawl__answer *ret_answer)
{
    pawl__hold_row other;
    pawl__fill_asker(t, &holder->owner);
    pawl__extend(t, holder);
    int rc = write_again(t, g, holder);
    if (rc == SQLITE_OK) rc = pawl__answer_held(t, g, holder, PAWL_GRANTED, ret_answer);
    if (rc != SQLITE_OK || holder->upgrade_until == 0) return rc;
    /* It waits to be upgraded, and goes on watching. */
    rc = pawl__group_latest_but(t, g, holder->owner.token, &other);
    if (rc == SQLITE_OK && other.found) ret_answer->watch = pawl__mark_of(&other);
    return rc;
}

/* Rule 3: who holds less than it asks for has to change it, or release. */
static bool covers(const pawl__hold_row *holder, const pawl_request *r)
{
    uint32_t asked = r->mode == PAWL_MODE_PERMIT ? r->units : 0;
    return pawl_mode_covers(holder->mode, r->mode) && holder->units >= asked;
}

static int grant_new(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer)
{
    const pawl_request *r = t->request;
    bool is_permit = r->mode == PAWL_MODE_PERMIT, adds_row = g->lock.fence == 0;
    pawl__hold_row me = {.found = true,
                         .mode = r->mode,
                         .units = is_permit ? r->units : 0,
                         .capacity = is_permit ? r->capacity : 0,
                         .expires_at = pawl__expiry(t, pawl__ms_to_ns(r->ttl_ms))};
    pawl__fill_asker(t, &me.owner);
    int rc = pawl__group_grant(t, g, &me);
    if (rc == SQLITE_OK && adds_row) rc = pawl__sweep_old_rows(t);
    return rc == SQLITE_OK ? pawl__answer_held(t, g, &me, PAWL_GRANTED, ret_answer) : rc;
}

/* Without PAWL_ASK_QUEUE the store forgets who asks. */
static int refuse(const pawl__turn *t, pawl__group *g, const pawl__wait_row *place,
                  pawl__answer *ret_answer)
{
    int rc = pawl__answer_busy(t, g, ret_answer);
    if (rc != SQLITE_OK || !place->found) return rc;
    rc = pawl__queue_leave(t, g, place);
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc; /* those behind it may fit */
}

/* It does not hold. */
static int come_in(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer)
{
    const pawl_request *r = t->request;
    bool is_permit = r->mode == PAWL_MODE_PERMIT, awaited = true, fits = false;
    pawl__wish wish = {r->mode, is_permit ? r->units : 0, is_permit ? r->capacity : 0};
    pawl__hold_row in_way;
    pawl__wait_row place = {.found = false};
    int rc = SQLITE_OK;
    bool is_alone = g->lock.held && !g->lock.many; /* then nobody fits, and no question is needed */
    if (!is_alone) rc = pawl__group_is_awaited(t, g, NULL, &awaited);
    if (rc == SQLITE_OK && !is_alone && !awaited)
        rc = pawl__group_fits(t, g, &wish, &fits, &in_way);
    if (rc != SQLITE_OK) return rc;
    if (fits) return grant_new(t, g, ret_answer);
    if (is_alone || g->first.found) rc = pawl__wait_of(t->db, t->name, r->token, &place);
    if (rc != SQLITE_OK) return rc;
    if (r->flags & PAWL_ASK_QUEUE) return pawl__queue_enter(t, g, &place, ret_answer);
    return refuse(t, g, &place, ret_answer);
}

static int acquire(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__group g;
    pawl__hold_row holder;
    pawl_err err = PAWL_OK;
    char message[PAWL__CAPACITY_MESSAGE_MAX] = "";
    int rc = pawl__group_begin(t, &g);
    if (rc == SQLITE_OK) rc = check_kind_of_living(t, &g, &err, message);
    if (rc == SQLITE_OK) rc = pawl__group_holder(t, &g, t->request->token, &holder);
    if (rc != SQLITE_OK) return rc;
    if (err == PAWL_OK && holder.found && !covers(&holder, t->request)) err = PAWL_ERR_MODE;
    if (err != PAWL_OK) {
        pawl__answer_failed(err, ret_answer);
        if (err == PAWL_ERR_CAPACITY) pawl__sqlite_say(ret_answer->fault.message, "%s", message);
    } else
        rc = holder.found ? grant_again(t, &g, &holder, ret_answer) : come_in(t, &g, ret_answer);
    return rc == SQLITE_OK ? pawl__group_finish(t, &g) : rc;
}

/* ---- RENEW, RELEASE, BREAK -------------------------------------------------------------- */

static int renew(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__group g;
    pawl__hold_row holder;
    int rc = pawl__group_begin(t, &g);
    if (rc == SQLITE_OK) rc = pawl__group_holder(t, &g, t->request->token, &holder);
    if (rc != SQLITE_OK) return rc;
    if (holder.found) {
        pawl__extend(t, &holder);
        rc = g.lock.many ? pawl__hold_extend(t->db, t->name, &holder)
                         : pawl__lock_extend(t->db, t->name, holder.expires_at, holder.owner.live);
        g.lock.expires_at = holder.expires_at;
        g.lock.owner.live = holder.owner.live;
        if (rc == SQLITE_OK) rc = pawl__answer_held(t, &g, &holder, PAWL_CONFIRMED, ret_answer);
    } else {
        rc = pawl__answer_not_owner(t, ret_answer); /* never re-created (law 5) */
    }
    return rc == SQLITE_OK ? pawl__group_finish(t, &g) : rc;
}

static int give_back(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder)
{
    int rc = pawl__group_drop(t, g, holder, false);
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc;
}

static int leave(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer)
{
    pawl__wait_row place;
    int rc = pawl__wait_of(t->db, t->name, t->request->token, &place);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = place.found ? PAWL_LEFT : PAWL_NOT_OWNER;
    if (!place.found) return SQLITE_OK;
    rc = pawl__queue_leave(t, g, &place);
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc;
}

static int release(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__group g;
    pawl__hold_row holder;
    int rc = pawl__group_begin(t, &g);
    if (rc == SQLITE_OK) rc = pawl__group_holder(t, &g, t->request->token, &holder);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = PAWL_RELEASED;
    rc = holder.found ? give_back(t, &g, &holder) : leave(t, &g, ret_answer);
    return rc == SQLITE_OK ? pawl__group_finish(t, &g) : rc;
}

/* A dead holder counts as one whose lease has run out. */
static int find_by_fence(const pawl__turn *t, const pawl__group *g, uint64_t fence,
                         pawl__hold_row *ret_row)
{
    int rc = SQLITE_OK;
    *ret_row = pawl__holder_of_lock(&g->lock);
    if (g->lock.many && fence <= PAWL__SQLITE_FENCE_MAX)
        rc = pawl__hold_before(t->db, t->name, fence + 1, ret_row);
    ret_row->found = ret_row->fence == fence && pawl__hold_is_live(t->db, ret_row, t->now);
    return rc;
}

static int break_lock(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__group g;
    pawl__hold_row holder;
    int rc = pawl__group_begin(t, &g);
    if (rc == SQLITE_OK) rc = find_by_fence(t, &g, t->request->fence, &holder);
    if (rc != SQLITE_OK) return rc;
    ret_answer->outcome = holder.found ? PAWL_RELEASED : PAWL_NOT_OWNER;
    if (holder.found) {
        /* The holder asks at once, and so learns it before its next renewal. */
        pawl__turn_tell(t, holder.owner.client, PAWL_PUSH_RECHECK, NULL, 0, NULL);
        rc = pawl__break_add(t->db, t->name, &holder, t->request->owner, t->now);
        if (rc == SQLITE_OK) rc = give_back(t, &g, &holder);
    }
    return rc == SQLITE_OK ? pawl__group_finish(t, &g) : rc;
}

/* ---- The interface ------------------------------------------------------------------------ */

int pawl__lease_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, pawl__answer *ret_answer)
{
    pawl__turn t = {
        .db = db,
        .request = request,
        .client_id = client_id,
        .outbox = outbox,
        .name = {request->name, request->name_len},
        .now = pawl__sqlite_clock_now(&db->clock),
    };
    pawl__answer_done(ret_answer);
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
    case PAWL_VERB_CHANGE:
        return pawl__lease_change(&t, ret_answer);
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_PUBLISH: /* sqlite_value.c */
    case PAWL_VERB_READ:
        break;
    }
    return SQLITE_MISUSE;
}

int pawl__lease_reap(pawl__sqlite_db *db, pawl__name name, pawl__outbox *outbox)
{
    pawl__turn t = {
        .db = db, .outbox = outbox, .name = name, .now = pawl__sqlite_clock_now(&db->clock)};
    pawl__group g;
    int rc = pawl__group_begin(&t, &g);
    if (rc == SQLITE_OK) rc = pawl__group_drop_dead(&t, &g);
    if (rc == SQLITE_OK) rc = pawl__group_let_in(&t, &g);
    return rc == SQLITE_OK ? pawl__group_finish(&t, &g) : rc;
}
