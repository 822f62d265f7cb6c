/* SPDX-License-Identifier: MIT */
/*
 * What the worker tells other clients, and where they tell it something: letters and the inbox.
 *
 * Making a socket in a directory costs as much as a grant, so the inbox waits until somebody could
 * write to us: before we stand in a queue, or a moment after our first request, when we may hold
 * something. What was written to us before that is found out when the inbox is there: we look once
 * at each lease that was granted until then.
 */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include "../../base/instant.h"
#include "../../base/modes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LATE_TRIES 500                      /* a second; then the receiver is stuck */
#define CHECK_NS   (1000 * PAWL__NS_PER_MS) /* is our inbox still there? */
#define REAP_MAX   8 /* hand-overs to clients that are gone, one after the other */

/* ---- Letters that wait ----------------------------------------------------------- */

static void keep_for_later(pawl__worker *worker, const pawl__mail *mail)
{
    pawl__late_mail *late = worker->late_count < PAWL__LATE_MAX ? malloc(sizeof(*late)) : NULL;
    if (!late) return; /* a hint may be lost (law 7) */
    late->mail = *mail;
    late->tries_left = LATE_TRIES;
    pawl__list_append(&worker->late, &late->link);
    worker->late_count++;
}

static void drop_late(pawl__worker *worker, pawl__late_mail *late)
{
    pawl__list_remove(&late->link);
    free(late);
    worker->late_count--;
}

void pawl__sqlite_send_late_mail(pawl__worker *worker)
{
    pawl__link *next;
    for (pawl__link *at = worker->late.next; at != &worker->late; at = next) {
        next = at->next;
        pawl__late_mail *late = pawl__container(at, pawl__late_mail, link);
        pawl__post_result result =
            pawl__sqlite_inbox_post(&worker->db.inbox, late->mail.to, &late->mail.letter);
        if (result != PAWL__POST_FULL || --late->tries_left == 0) drop_late(worker, late);
    }
}

/* ---- Sending ----------------------------------------------------------------------- */

static void post_push(pawl_store *store, const pawl__letter *letter)
{
    pawl__note *note = pawl__sqlite_note_new(PAWL__NOTE_PUSH, 0);
    if (!note) return; /* a hint may be lost (law 7) */
    note->u.letter = *letter;
    pawl__sqlite_post(store, note);
}

/* Whether it is a grant whose receiver is gone: each waiter in a queue had an inbox. */
static bool deliver(pawl_store *store, const pawl__mail *mail)
{
    pawl__worker *worker = &store->worker;
    if (strcmp(mail->to, store->client_id) == 0) {
        post_push(store, &mail->letter);
        return false;
    }
    if (!pawl__sqlite_db_need_inbox(&worker->db)) return false;
    pawl__post_result result = pawl__sqlite_inbox_post(&worker->db.inbox, mail->to, &mail->letter);
    if (result == PAWL__POST_FULL) keep_for_later(worker, mail);
    return result == PAWL__POST_GONE && mail->letter.kind == PAWL_PUSH_GRANT;
}

bool pawl__sqlite_send_outbox(pawl_store *store, pawl__letter *ret_gone)
{
    pawl__outbox *outbox = &store->worker.outbox;
    bool found = false;
    for (size_t i = 0; i < outbox->count; i++) {
        if (!deliver(store, &outbox->mails[i]) || found) continue;
        *ret_gone = outbox->mails[i].letter;
        found = true;
    }
    outbox->count = 0;
    return found;
}

/* The receiver of the lock is gone: checks whether it is dead, and hands the lock on. */
static void reap_once(pawl_store *store, const pawl__letter *letter)
{
    pawl__worker *worker = &store->worker;
    pawl__name name = {letter->name, letter->name_len};
    worker->db.busy_until = pawl__sqlite_clock_local() + PAWL__RETRY_FIRST_NS;
    if (pawl__sqlite_begin_write(&worker->db) != SQLITE_OK) return;
    if (pawl__lease_reap(&worker->db, name, &worker->outbox) == SQLITE_OK &&
        pawl__sqlite_commit(&worker->db) == SQLITE_OK) {
        return;
    }
    pawl__sqlite_rollback(&worker->db);
    worker->outbox.count = 0;
}

void pawl__sqlite_reap(pawl_store *store, pawl__letter *gone)
{
    for (int i = 0; i < REAP_MAX; i++) {
        reap_once(store, gone);
        if (!pawl__sqlite_send_outbox(store, gone)) return;
    }
}

/* ---- Leases without an inbox --------------------------------------------------------- */

typedef struct unheard {
    pawl__entry entry;
    char token[PAWL_TOKEN_LEN + 1];
    size_t name_len;
    char name[]; /* not terminated */
} unheard;

static void add_unheard(pawl__table *table, const pawl_request *request)
{
    if (pawl__table_find(table, request->token, PAWL_TOKEN_LEN)) return;
    unheard *lease = malloc(sizeof(*lease) + request->name_len);
    if (!lease) return; /* the news come with its renewal */
    memcpy(lease->token, request->token, sizeof(lease->token));
    lease->name_len = request->name_len;
    memcpy(lease->name, request->name, request->name_len);
    if (!pawl__table_add(table, &lease->entry, lease->token, PAWL_TOKEN_LEN)) free(lease);
}

static void remove_unheard(pawl__table *table, pawl__entry *entry)
{
    if (!entry) return;
    pawl__table_remove(table, entry);
    free(pawl__container(entry, unheard, entry));
}

void pawl__sqlite_note_lease(pawl_store *store, const pawl__task *task)
{
    pawl__table *table = &store->worker.unheard;
    const pawl_request *request = &task->request;
    if (!store->worker.inbox_unbound || !request->token) return;
    bool has_lease = task->answer.outcome == PAWL_GRANTED || task->answer.outcome == PAWL_CONFIRMED;
    if (has_lease) add_unheard(table, request);
    if (request->verb != PAWL_VERB_RELEASE) return;
    remove_unheard(table, pawl__table_find(table, request->token, PAWL_TOKEN_LEN));
}

static void drop_unheard(pawl__table *table)
{
    for (size_t i = 0; i < table->bucket_count; i++) {
        while (table->buckets[i]) remove_unheard(table, table->buckets[i]);
    }
    pawl__table_done(table);
}

void pawl__sqlite_drop_letters(pawl__worker *worker)
{
    pawl__link *at;
    while ((at = pawl__list_first(&worker->late))) {
        drop_late(worker, pawl__container(at, pawl__late_mail, link));
    }
    drop_unheard(&worker->unheard);
}

/* Whether another holder waits to be upgraded. */
static bool is_upgrade_awaited(pawl__sqlite_db *db, pawl__name name, const char *token)
{
    pawl__hold_row strong;
    int64_t now = pawl__sqlite_clock_now(&db->clock);
    return pawl__hold_strong(db, name, &strong) == SQLITE_OK && strong.upgrade_until > now &&
           pawl__hold_is_live(db, &strong, now) && strcmp(strong.owner.token, token) != 0;
}

/* Whether somebody waits, and the first does not fit beside us. */
static bool is_in_the_way(pawl__sqlite_db *db, pawl__name name, pawl_mode mode)
{
    pawl__wait_row waiter = {.seq = 0};
    do {
        if (pawl__wait_first(db, name, waiter.seq, &waiter) != SQLITE_OK || !waiter.found)
            return false;
    } while (!pawl__wait_is_live(db, &waiter, pawl__sqlite_clock_now(&db->clock)));
    return !pawl__mode_fits(waiter.mode, mode);
}

/* Tells ourselves what a letter would have told us. */
static void look_at(pawl_store *store, const unheard *lease)
{
    pawl__sqlite_db *db = &store->worker.db;
    pawl__name name = {lease->name, lease->name_len};
    pawl__hold_row holder;
    pawl__letter letter;
    if (pawl__holder_of(db, name, lease->token, &holder) != SQLITE_OK) return;
    bool ours = holder.found;
    if (ours && !is_in_the_way(db, name, holder.mode) &&
        !is_upgrade_awaited(db, name, lease->token))
        return;
    pawl__letter_write(&letter, ours ? PAWL_PUSH_YIELD : PAWL_PUSH_RECHECK, name.text, name.len,
                       ours ? lease->token : NULL, ours ? holder.fence : 0, ours);
    post_push(store, &letter);
}

/* Whoever changes something from here on finds the inbox; what was changed before is seen. */
static void look_at_all(pawl_store *store)
{
    pawl__sqlite_db *db = &store->worker.db;
    const pawl__table *table = &store->worker.unheard;
    if (table->count == 0) return;
    bool begins = sqlite3_get_autocommit(db->handle) != 0;
    if (begins && pawl__sqlite_begin_read(db) != SQLITE_OK) return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        for (pawl__entry *at = table->buckets[i]; at; at = at->next) {
            look_at(store, pawl__container(at, unheard, entry));
        }
    }
    if (begins) pawl__sqlite_rollback(db);
}

/* ---- The inbox ----------------------------------------------------------------------- */

static void warn(pawl_store *store, const char *what, const char *path)
{
    pawl__note *note = pawl__sqlite_note_new(PAWL__NOTE_WARN, 0);
    if (!note) return;
    pawl__sqlite_say(note->u.fault.message, "%s: %s: %s", path, what, strerror(errno));
    pawl__sqlite_post(store, note);
}

static void bind_inbox(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    pawl__sqlite_db *db = &worker->db;
    pawl__note *note = pawl__sqlite_note_new(PAWL__NOTE_INBOX, 0);
    if (!note) return; /* tried again later */
    if (pawl__sqlite_db_need_inbox(db)) {
        note->inbox_fd = pawl__sqlite_inbox_bind(&db->inbox, store->client_id, &db->identity);
    }
    if (note->inbox_fd < 0) warn(store, "no inbox can be made, waiters will poll", db->path);
    worker->checked_at = pawl__sqlite_clock_local();
    pawl__sqlite_post(store, note);
}

void pawl__sqlite_expect_letters(pawl_store *store)
{
    store->worker.inbox_unbound = !store->worker.db.looks_only;
    store->worker.unbound_until = PAWL__NEVER;
}

void pawl__sqlite_need_inbox(pawl_store *store)
{
    if (!store->worker.inbox_unbound) return;
    store->worker.inbox_unbound = false;
    bind_inbox(store);
    look_at_all(store);
    drop_unheard(&store->worker.unheard);
    if (store->worker.db.inbox.dir_fd >= 0) pawl__sqlite_inbox_sweep(&store->worker.db.inbox);
}

bool pawl__sqlite_is_inbox_due(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    if (!worker->inbox_unbound) return false;
    int64_t now = pawl__sqlite_clock_local();
    if (worker->unbound_until == PAWL__NEVER) worker->unbound_until = now + PAWL__UNBOUND_NS;
    return now >= worker->unbound_until;
}

void pawl__sqlite_check_inbox(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    if (worker->inbox_unbound || worker->db.inbox.dir_fd < 0) return;
    int64_t now = pawl__sqlite_clock_local();
    if (now - worker->checked_at < CHECK_NS) return;
    worker->checked_at = now;
    if (!pawl__sqlite_inbox_is_bound(&worker->db.inbox, store->client_id)) bind_inbox(store);
}
