/* SPDX-License-Identifier: MIT */
/*
 * The steps of a request: look at the item, decide, change it if nobody else did meanwhile, and
 * look again if somebody did. Why in this order is in memcached_store.h.
 */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 50                  /* looks of one request */
#define SLOW_NS    INT64_C(1000000000) /* an answer: the server may have stood still */
#define KEEP_S     60                  /* a free item, for its fence */
#define FENCE_MAX  (UINT64_C(1) << 53)

static pawl__memcached_op *of_look(pawl__memcached_pending *pending)
{
    return pawl__container(pending, pawl__memcached_op, look);
}

static pawl__memcached_op *of_write(pawl__memcached_pending *pending)
{
    return pawl__container(pending, pawl__memcached_op, write);
}

static pawl__memcached_op *of_guard(pawl__memcached_pending *pending)
{
    return pawl__container(pending, pawl__memcached_op, guard);
}

static bool is_guarded(const pawl_store *store, const pawl__memcached_op *op)
{
    return store->config.guard && op->verb == PAWL_VERB_ACQUIRE;
}

static void look_at_guard(pawl_store *store, pawl__memcached_op *op,
                          void (*answered)(pawl_store *, pawl__memcached_pending *,
                                           const pawl__memcached_answer *))
{
    char command[PAWL__MEMCACHED_KEY_MAX + 16];
    pawl__memcached_key key;
    pawl__memcached_guard_key(store, &key);
    snprintf(command, sizeof command, "mg %s v t", key.text);
    op->guard.answered = answered;
    pawl__memcached_send_or_break(store, &op->guard, command, NULL, 0);
}

/* ---- Answers ------------------------------------------------------------------------------- */

static void say(pawl_store *store, pawl__memcached_op *op, pawl_outcome outcome)
{
    pawl_reply reply = {.id = op->id, .outcome = outcome, .position = -1, .holder_ms = -1};
    if (outcome == PAWL_GRANTED || outcome == PAWL_CONFIRMED) reply.fence = op->fence;
    pawl__memcached_answer_op(store, op, &reply);
}

/* The lock cannot be granted now. */
static void wait_or_be_busy(pawl_store *store, pawl__memcached_op *op)
{
    const pawl__memcached_item *item = &op->item;
    pawl_reply reply = {.id = op->id, .outcome = PAWL_BUSY, .position = -1};
    bool held = item->state == PAWL__MEMCACHED_HELD || item->state == PAWL__MEMCACHED_FOREIGN;
    reply.holder_ms = held ? item->left_ms : op->guard_left_ms;
    if (!(op->flags & PAWL_ASK_QUEUE)) {
        (void)pawl__memcached_unwatch(store, op->name, op->name_len, op->token);
        reply.message = item->state == PAWL__MEMCACHED_HELD ? item->owner
                        : item->state == PAWL__MEMCACHED_FOREIGN
                            ? "somebody who is not pawl"
                            : "nobody: the server may have forgotten locks, and grants none until "
                              "their ttls are over (guard_ms)";
    } else if (pawl__memcached_watch(store, op, !held)) {
        reply.outcome = PAWL_QUEUED;
        reply.fence = item->fence;
    } else {
        pawl__memcached_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
        return;
    }
    pawl__memcached_answer_op(store, op, &reply);
}

/* The server could not read or change the item: the fault is not ours. */
static void trouble(pawl_store *store, pawl__memcached_op *op, const pawl__memcached_answer *answer)
{
    char what[PAWL_MESSAGE_MAX];
    if (answer->code != PAWL__MEMCACHED_SERVER_ERROR) {
        pawl__memcached_not_understood(store, answer); /* which answers it */
        return;
    }
    bool full = strstr(answer->text, "memory") != NULL;
    snprintf(what, sizeof what, "%s: the server refused: %.120s", store->config.where,
             answer->text);
    pawl__line_mend(what);
    pawl__memcached_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED,
                            full ? PAWL_ERR_STORE_FULL : PAWL_ERR_STORE_BUSY, what);
}

static void show(pawl_store *store, pawl__memcached_op *op)
{
    const pawl__memcached_item *item = &op->item;
    bool held = item->state == PAWL__MEMCACHED_HELD || item->state == PAWL__MEMCACHED_FOREIGN;
    pawl_holder_info holder = {.owner = item->owner,
                               .remaining_ms = item->left_ms,
                               .fence = item->fence,
                               .mine = held && op->token[0] && strcmp(op->token, item->token) == 0};
    pawl_info info = {.size = sizeof info,
                      .name = op->name,
                      .name_len = op->name_len,
                      .held = held,
                      .foreign = item->state == PAWL__MEMCACHED_FOREIGN,
                      .mine = holder.mine,
                      .owner = item->owner,
                      .remaining_ms = held ? item->left_ms : 0,
                      .fence = item->fence,
                      .holder_count = held,
                      .holders = held ? &holder : NULL,
                      .holders_shown = held};
    store->host->row(store->host, op->id, &info);
    say(store, op, PAWL_REPORTED);
}

/* ---- Changing ------------------------------------------------------------------------------ */

static void finish_change(pawl_store *store, pawl__memcached_op *op)
{
    if (op->change == PAWL__MEMCACHED_AGAIN || op->slow) {
        if (op->rounds < ROUNDS_MAX)
            pawl__memcached_look(store, op);
        else
            pawl__memcached_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED,
                                    PAWL_ERR_STORE_BUSY, NULL);
        return;
    }
    switch (op->verb) {
    case PAWL_VERB_ACQUIRE:
        (void)pawl__memcached_unwatch(store, op->name, op->name_len, op->token);
        say(store, op, PAWL_GRANTED);
        return;
    case PAWL_VERB_RENEW:
        say(store, op, PAWL_CONFIRMED);
        return;
    default: /* RELEASE, BREAK */
        say(store, op, PAWL_RELEASED);
        return;
    }
}

static void write_item(pawl_store *store, pawl__memcached_op *op, bool held);

/* After the grant: if the guard was not there all the time, the grant is given up, untold. */
static void on_guard_behind(pawl_store *store, pawl__memcached_pending *pending,
                            const pawl__memcached_answer *answer)
{
    pawl__memcached_op *op = of_guard(pending);
    op->guard_left_ms = pawl__memcached_guard_left_ms(store, answer);
    if (op->change == PAWL__MEMCACHED_REFUSED) {
        pawl__memcached_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED,
                                PAWL_ERR_STORE_FULL, op->said);
    } else if (op->change == PAWL__MEMCACHED_DONE && op->guard_left_ms > 0) {
        op->undoing = true;
        write_item(store, op, false);
    } else {
        finish_change(store, op);
    }
}

/* What the server said to the change. */
static void note_change(pawl_store *store, pawl__memcached_op *op,
                        const pawl__memcached_answer *answer, int64_t sent_at)
{
    bool gives = op->verb == PAWL_VERB_ACQUIRE || op->verb == PAWL_VERB_RENEW;
    op->slow = false;
    if (answer->code == PAWL__MEMCACHED_HD) {
        op->change = PAWL__MEMCACHED_DONE;
        op->done = true;
        op->item.cas = answer->cas;
        op->slow = gives && store->host->now() - sent_at > SLOW_NS;
    } else if (answer->code == PAWL__MEMCACHED_SERVER_ERROR) {
        op->change = PAWL__MEMCACHED_REFUSED; /* and the item may be gone */
        op->wrote = op->ours || op->done;
        snprintf(op->said, sizeof op->said, "%s: the server refused: %.100s", store->config.where,
                 answer->text);
        pawl__line_mend(op->said);
    } else {
        op->change = PAWL__MEMCACHED_AGAIN;
        op->wrote = op->done;
    }
}

static void on_change(pawl_store *store, pawl__memcached_pending *pending,
                      const pawl__memcached_answer *answer)
{
    pawl__memcached_op *op = of_write(pending);
    switch (answer->code) {
    case PAWL__MEMCACHED_HD:
        if (!answer->has_cas) {
            pawl__memcached_not_understood(store, answer);
            return;
        }
        break;
    case PAWL__MEMCACHED_NS:
    case PAWL__MEMCACHED_EX:
    case PAWL__MEMCACHED_NF:
    case PAWL__MEMCACHED_SERVER_ERROR:
        break;
    default:
        pawl__memcached_not_understood(store, answer);
        return;
    }
    if (op->undoing) {
        op->item.state = PAWL__MEMCACHED_FREE;
        op->wrote = answer->code == PAWL__MEMCACHED_SERVER_ERROR;
        wait_or_be_busy(store, op);
        return;
    }
    note_change(store, op, answer, pending->sent_at);
    if (pawl__link_linked(&op->guard.in_order)) return; /* the answer about the guard comes next */
    if (op->change == PAWL__MEMCACHED_REFUSED)
        trouble(store, op, answer);
    else
        finish_change(store, op);
}

static int64_t seconds_for(const pawl__memcached_op *op, bool held)
{
    return held ? (op->ttl_ms + 999) / 1000 + PAWL__MEMCACHED_EXTRA_S : KEEP_S;
}

/* One command, which the server carries out only if the item has not changed since our look. */
static void write_item(pawl_store *store, pawl__memcached_op *op, bool held)
{
    char command[PAWL__MEMCACHED_KEY_MAX + 100], value[PAWL__MEMCACHED_TEXT_MAX], condition[32];
    size_t len = pawl__memcached_item_write(value, op->fence, held ? op->token : NULL, op->name,
                                            op->name_len, op->owner);
    if (op->item.state == PAWL__MEMCACHED_ABSENT && !op->undoing)
        snprintf(condition, sizeof condition, "ME");
    else
        snprintf(condition, sizeof condition, "C%" PRIu64, op->item.cas);
    snprintf(command, sizeof command, "ms %s %zu T%" PRId64 " c %s", op->key.text, len,
             seconds_for(op, held), condition);
    op->wrote = true;
    op->write.answered = on_change;
    pawl__memcached_send_or_break(store, &op->write, command, value, len);
    if (held && is_guarded(store, op)) look_at_guard(store, op, on_guard_behind);
}

/* ---- Deciding ------------------------------------------------------------------------------ */

static bool is_mine(const pawl__memcached_op *op)
{
    return op->item.state == PAWL__MEMCACHED_HELD && strcmp(op->item.token, op->token) == 0;
}

static void acquire(pawl_store *store, pawl__memcached_op *op)
{
    op->ours = is_mine(op);
    if (op->ours) {
        op->fence = op->item.fence;
        write_item(store, op, true);
        return;
    }
    bool is_free =
        op->item.state == PAWL__MEMCACHED_ABSENT || op->item.state == PAWL__MEMCACHED_FREE;
    if (!is_free || op->guard_left_ms > 0) {
        wait_or_be_busy(store, op);
        return;
    }
    uint64_t clock = (uint64_t)pawl__memcached_server_us(store);
    op->fence = op->item.fence + 1 > clock ? op->item.fence + 1 : clock;
    if (op->fence < FENCE_MAX)
        write_item(store, op, true);
    else
        pawl__memcached_fail_op(store, op, PAWL_FAILED, PAWL_ERR_CORRUPT, NULL);
}

static void decide(pawl_store *store, pawl__memcached_op *op)
{
    op->fence = op->verb == PAWL_VERB_BREAK ? op->fence : op->item.fence;
    switch (op->verb) {
    case PAWL_VERB_ACQUIRE:
        acquire(store, op);
        return;
    case PAWL_VERB_RENEW:
        op->ours = is_mine(op);
        if (op->ours)
            write_item(store, op, true);
        else
            say(store, op, PAWL_NOT_OWNER);
        return;
    case PAWL_VERB_RELEASE: {
        bool waited = pawl__memcached_unwatch(store, op->name, op->name_len, op->token);
        op->ours = is_mine(op);
        if (op->ours)
            write_item(store, op, false);
        else if (op->done) /* by us, and then it was looked at again */
            say(store, op, PAWL_RELEASED);
        else
            say(store, op, waited ? PAWL_LEFT : PAWL_NOT_OWNER);
        return;
    }
    case PAWL_VERB_BREAK:
        if (op->item.state == PAWL__MEMCACHED_HELD && op->item.fence == op->fence)
            write_item(store, op, false);
        else
            say(store, op, PAWL_NOT_OWNER);
        return;
    default: /* INSPECT */
        show(store, op);
        return;
    }
}

static void on_look(pawl_store *store, pawl__memcached_pending *pending,
                    const pawl__memcached_answer *answer)
{
    pawl__memcached_op *op = of_look(pending);
    bool numbered = answer->code != PAWL__MEMCACHED_VA || answer->has_cas;
    if (!pawl__memcached_item_read(answer, op->name, op->name_len, &op->item) || !numbered)
        trouble(store, op, answer);
    else if (op->item.state == PAWL__MEMCACHED_OTHER)
        pawl__memcached_fail_op(store, op, PAWL_FAILED, PAWL_ERR_UNSUPPORTED,
                                "another lock has the same key by chance: choose another name");
    else
        decide(store, op);
}

static void on_guard_before(pawl_store *store, pawl__memcached_pending *pending,
                            const pawl__memcached_answer *answer)
{
    of_guard(pending)->guard_left_ms = pawl__memcached_guard_left_ms(store, answer);
}

void pawl__memcached_look(pawl_store *store, pawl__memcached_op *op)
{
    char command[PAWL__MEMCACHED_KEY_MAX + 16];
    op->started = true;
    op->slow = false;
    op->rounds++;
    if (op->verb == PAWL_VERB_ACQUIRE) pawl__memcached_clock_refresh(store);
    if (is_guarded(store, op)) look_at_guard(store, op, on_guard_before);
    snprintf(command, sizeof command, "mg %s v c t", op->key.text);
    op->look.answered = on_look;
    pawl__memcached_send_or_break(store, &op->look, command, NULL, 0);
}
