/* SPDX-License-Identifier: MIT */
/* What every step of a request needs: letters, who lives, the asker. */
#define _GNU_SOURCE
#include "sqlite_turn.h"

#include <stdlib.h>
#include <string.h>

#define OUTBOX_FIRST 64

/* ---- Letters --------------------------------------------------------------------- */

pawl__mail *pawl__outbox_add(pawl__outbox *outbox)
{
    if (outbox->count == PAWL__OUTBOX_MAX) return NULL;
    if (outbox->count == outbox->room) {
        size_t room = outbox->room ? outbox->room * 2 : OUTBOX_FIRST;
        pawl__mail *mails = realloc(outbox->mails, room * sizeof(*mails));
        if (!mails) return NULL;
        outbox->mails = mails;
        outbox->room = room;
    }
    return &outbox->mails[outbox->count++];
}

void pawl__turn_tell(const pawl__turn *t, const char *client, pawl_push_kind kind,
                     const char *token, uint64_t fence, const pawl__slots *slots)
{
    pawl__mail *mail = pawl__outbox_add(t->outbox);
    if (!mail) return; /* a hint may be lost (law 7) */
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): each owner has a client */
    memcpy(mail->to, client, sizeof(mail->to));
    pawl__letter_write(&mail->letter, kind, t->name.text, t->name.len, token, fence,
                       kind == PAWL_PUSH_YIELD);
    if (slots) mail->letter.slots = *slots;
}

void pawl__turn_recheck(const pawl__turn *t, const pawl__owner *owner)
{
    if (pawl__is_asker(t, owner->token)) return; /* it learns all of it by its answer */
    pawl__turn_tell(t, owner->client, PAWL_PUSH_RECHECK, NULL, 0, NULL);
}

/* ---- Leases that stand ------------------------------------------------------------- */

bool pawl__lock_is_live(pawl__sqlite_db *db, const pawl__lock_row *lock, int64_t now)
{
    return lock->held && !lock->many && !db->all_ended && now < lock->expires_at &&
           !pawl__sqlite_db_is_dead(db, lock->owner.live);
}

bool pawl__hold_is_live(pawl__sqlite_db *db, const pawl__hold_row *holder, int64_t now)
{
    return holder->found && !db->all_ended && now < holder->expires_at &&
           !pawl__sqlite_db_is_dead(db, holder->owner.live);
}

bool pawl__wait_is_live(pawl__sqlite_db *db, const pawl__wait_row *waiter, int64_t now)
{
    return !db->all_ended && now < waiter->until_at &&
           !pawl__sqlite_db_is_dead(db, waiter->owner.live);
}

/* ---- The asker --------------------------------------------------------------------- */

void pawl__fill_asker(const pawl__turn *t, pawl__owner *ret_owner)
{
    bool detached = t->request->flags & PAWL_ASK_DETACHED;
    pawl__text_put(t->request->token, ret_owner->token, sizeof(ret_owner->token));
    pawl__text_put(t->client_id, ret_owner->client, sizeof(ret_owner->client));
    pawl__text_put(t->request->owner, ret_owner->label, sizeof(ret_owner->label));
    ret_owner->live = detached ? PAWL__LIVE_DETACHED : t->db->live.offset;
    ret_owner->pid = t->db->pid;
    ret_owner->pid_ns = t->db->pid_ns;
}

void pawl__extend(const pawl__turn *t, pawl__hold_row *holder)
{
    /* Our own lease that lost its tie (sqlite_live.h) is tied again; nobody else's is. */
    if (holder->owner.live == PAWL__LIVE_UNKNOWN && strcmp(holder->owner.client, t->client_id) == 0)
        holder->owner.live = t->db->live.offset;
    holder->expires_at = pawl__expiry(t, pawl__ms_to_ns(t->request->ttl_ms));
    pawl__sqlite_host_lease(t->db, holder->owner.live, holder->expires_at);
}
