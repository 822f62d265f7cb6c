/* SPDX-License-Identifier: MIT */
/* The scripts where they come to lib_many: lib_enter.lua, change.lua, and parts of the others. */
#include "model_many.h"

#include "../../src/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t ttl_of(const model_call *c)
{
    return strtoll(c->arg[1], NULL, 10);
}

static void add_slots(model_reply *reply, uint32_t slots)
{
    char text[100] = "";
    size_t len = 0;
    for (int i = 0; slots >> i; i++)
        if (slots >> i & 1)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s%d", len ? "," : "", i);
    if (slots) model_add_text(reply, text);
}

static void say_granted(many *m, const char *token, uint64_t fence, uint32_t slots)
{
    if (!many_finish(m)) return;
    model_says(m->c->reply, PAWL__REDIS_SAYS_GRANTED);
    model_add_int(m->c->reply, (int64_t)fence);
    model_add_int(m->c->reply, many_is_awaited(m, token));
    add_slots(m->c->reply, slots);
}

/* ---- lib_enter.lua ---------------------------------------------------------------- */

/* Of the name; -1: unknown. */
static int capacity_of_name(const many *m)
{
    const model_lock *lock = m->lock;
    if (m->has_group) return m->group.capacity;
    if (lock->held && m->recorded && strcmp(m->rec_token, lock->token) == 0) return 0;
    if (m->waiting <= 0 || (size_t)m->group.many >= lock->place_count) return -1;
    const model_waiter *first = model_waiter_find(lock, lock->places[m->group.many].token);
    return first ? first->capacity : -1;
}

static void say_kind(many *m, int kind, int wanted)
{
    char text[48];
    if (!many_finish(m)) return;
    bool other = (kind == 0) != (wanted == 0);
    snprintf(text, sizeof text, "%s %d %d", other ? "PAWLKIND" : "PAWLCAPACITY", kind, wanted);
    model_say_error(m->c->reply, text);
}

static void confirm_exclusive(many *m, const char *token, int64_t ttl_ms)
{
    if (!many_may_write(m, false)) return;
    m->lock->held_until = m->c->now_ms + ttl_ms;
    m->lock->record_until = model_record_until(m->c, ttl_ms, m->c->last);
    many_note(m, token, MODEL_EXTENDED);
    say_granted(m, token, m->c->last, 0);
}

static void take_at_once(many *m, const many_asker *as)
{
    uint32_t slots = 0;
    if (as->mode == 'x') {
        many_write_exclusive(m, as->token, as->ttl_ms, many_next_fence(m),
                             &(model_waiter){.who = as->who});
    } else {
        model_waiter holder = many_let_in(m, as->token, as);
        slots = holder.slots;
        if (!many_write_holder(m, as->token, &holder, m->c->now_ms + as->ttl_ms)) m->group.many--;
    }
    many_note(m, as->token, MODEL_TAKEN);
    say_granted(m, as->token, m->c->last, slots);
}

static void say_busy(many *m)
{
    int64_t ends_in = many_holder_ms(m);
    if (!many_finish(m)) return;
    bool holds =
        m->recorded &&
        ((m->lock->held && !m->lock->several && strcmp(m->lock->token, m->rec_token) == 0) ||
         many_holder(m, m->rec_token));
    model_says(m->c->reply, PAWL__REDIS_SAYS_BUSY);
    model_add_int(m->c->reply, ends_in);
    model_add_text(m->c->reply, holds ? m->rec_who.owner : "");
}

/* The end of the queue. */
static void queue_up(many *m, const many_asker *as)
{
    model_lock *lock = m->lock;
    int64_t score = m->waiting > 0 ? lock->places[lock->place_count - 1].score + 1 : 1;
    if (!many_may_write(m, true)) return;
    model_place_add(lock, as->token, score);
    bool is_first = !many_is_awaited(m, "-");
    m->waiting++;
    if (is_first) many_ask_to_yield(m, as->mode);
}

static void write_waiter(many *m, const many_asker *as, int64_t since_ms)
{
    if (!many_may_write(m, true)) return;
    model_waiter *entry = model_waiter_put(m->lock, as->token, false);
    entry->mode = as->mode;
    entry->units = as->units;
    entry->capacity = as->capacity;
    entry->till_ms = m->c->now_ms + model_place_ms(as->ttl_ms);
    entry->ttl_ms = as->ttl_ms;
    entry->since_ms = since_ms;
    entry->who = as->who;
}

/* Among the holders, without its record: it stays there until its lease ends. */
static bool stands(const many *m, const many_asker *as)
{
    int64_t rank = model_place_rank(m->lock, as->token);
    return rank >= 0 && rank < m->group.many;
}

static void say_queued(many *m, int64_t position, int64_t ends_in)
{
    if (!many_finish(m)) return;
    model_says(m->c->reply, PAWL__REDIS_SAYS_QUEUED);
    model_add_int(m->c->reply, position);
    model_add_int(m->c->reply, ends_in);
    model_add_int(m->c->reply, (int64_t)m->c->last);
}

static void wait_in_queue(many *m, const many_asker *as, const model_waiter *waiter,
                          int64_t position)
{
    model_lock *lock = m->lock;
    int64_t ends_in = many_holder_ms(m), since_ms = m->c->now_ms;
    if (position < 0 && stands(m, as)) {
        say_queued(m, m->waiting, ends_in);
        return;
    }
    if (waiter && position >= 0) {
        if (!many_may_write(m, false)) return;
        int64_t life = many_life_of_hash(m);
        lock->places_until = lock->waiters_until =
            m->c->now_ms + (life > as->ttl_ms ? life : as->ttl_ms);
        since_ms = waiter->since_ms;
        position -= m->group.many;
    } else {
        position = m->waiting;
        queue_up(m, as);
    }
    write_waiter(m, as, since_ms);
    if (!m->refused) many_keep_keys(m, as->ttl_ms);
    say_queued(m, position, ends_in);
}

/* Rule 3: who holds less than it asks for has to change it, or release. */
static bool covers(const model_waiter *holder, const many_asker *as)
{
    bool same = as->mode == holder->mode || (as->mode == 's' && holder->mode == 'u');
    return same && as->units <= holder->units;
}

/* It holds already, or has waited until its turn just now. True: that is the answer. */
static bool holds_already(many *m, const many_asker *as)
{
    model_waiter *holder = many_holder(m, as->token);
    if (holder && !covers(holder, as)) {
        char text[16];
        if (!many_finish(m)) return true;
        snprintf(text, sizeof text, "PAWLMODE %c%c", holder->mode, as->mode);
        model_say_error(m->c->reply, text);
        return true;
    }
    if (holder) {
        uint64_t fence = holder->fence;
        uint32_t slots = holder->slots;
        many_extend(m, as->token, holder, as->ttl_ms, &as->who);
        say_granted(m, as->token, fence, slots);
        return true;
    }
    if (!m->lock->held || m->lock->several || strcmp(m->lock->token, as->token) != 0) return false;
    confirm_exclusive(m, as->token, as->ttl_ms);
    return true;
}

static bool may_come_in(const many *m, const many_asker *as)
{
    bool blocked = m->blocked && !(as->mode == 's' && PAWL_MUTANT(reader_passes_writer));
    return !blocked && !many_is_full(m) && many_fits(m, as->mode, as->units);
}

static void enter(many *m, const many_asker *as, bool asks_only)
{
    many_part_expired(m);
    many_serve(m, as);
    if (m->asker_granted) {
        say_granted(m, as->token, m->asker_fence, m->asker_slots);
        return;
    }
    int kind = capacity_of_name(m);
    if (kind >= 0 && kind != as->capacity && !PAWL_MUTANT(kinds_are_mixed)) {
        say_kind(m, kind, as->capacity);
        return;
    }
    if (holds_already(m, as)) return;
    const model_waiter *waiter = model_waiter_find(m->lock, as->token);
    int64_t position = waiter ? model_place_rank(m->lock, as->token) : -1;
    if (asks_only && position >= 0) {
        if (many_may_write(m, false)) model_take_out(m->lock, as->token);
        m->waiting--;
        many_serve(m, NULL);
    } else if (position < 0 && may_come_in(m, as) && (as->mode != 'p' || !stands(m, as))) {
        take_at_once(m, as);
        return;
    }
    if (asks_only)
        say_busy(m);
    else
        wait_in_queue(m, as, waiter, position);
}

void model_enter(model_call *c, char mode, int units, int capacity, bool asks_only)
{
    many m = many_begin(c);
    const many_asker as = {c->arg[0], ttl_of(c), mode, units, capacity, model_who_of(c->arg[2])};
    enter(&m, &as, asks_only);
    free(m.news);
}

/* ---- renew.lua, release.lua, break.lua ----------------------------------------------- */

void model_renew_among(model_call *c)
{
    many m = many_begin(c);
    model_who who = model_who_of(c->arg[2]);
    many_part_expired(&m);
    many_serve(&m, NULL);
    model_waiter *holder = many_holder(&m, c->arg[0]);
    if (!holder && m.has_group && m.group.capacity == 0 && PAWL_MUTANT(reader_renewal_recreates)) {
        const many_asker as = {c->arg[0], ttl_of(c), 's', 0, 0, who};
        model_waiter newcomer = many_let_in(&m, c->arg[0], &as);
        many_write_holder(&m, c->arg[0], &newcomer, c->now_ms);
        holder = many_holder(&m, c->arg[0]);
    }
    uint64_t fence = holder ? holder->fence : 0;
    bool held = holder != NULL;
    if (holder) many_extend(&m, c->arg[0], holder, ttl_of(c), &who);
    if (!many_finish(&m)) return;
    model_says(c->reply, held ? PAWL__REDIS_SAYS_CONFIRMED : PAWL__REDIS_SAYS_NOT_OWNER);
    if (!held) return;
    model_add_int(c->reply, (int64_t)fence);
    model_add_int(c->reply, many_is_awaited(&m, c->arg[0]));
}

/* Planted bugs: another holder, and all instead of one. */
static void part_wrongly(many *m)
{
    bool strangers = PAWL_MUTANT(readers_release_without_compare);
    while (m->group.many > 0 && (strangers || PAWL_MUTANT(reader_releases_all))) {
        many_part(m, m->lock->places[0].token);
        if (strangers) return;
    }
}

bool model_part_and_serve(model_call *c, bool *ret_refused)
{
    many m = many_begin(c);
    many_part_expired(&m);
    bool held = many_holder(&m, c->arg[0]) != NULL;
    if (held) many_part(&m, c->arg[0]);
    if (held || PAWL_MUTANT(readers_release_without_compare)) part_wrongly(&m);
    if (m.has_group && m.group.many == 0 && !m.lost) many_dissolve(&m);
    many_serve(&m, NULL);
    *ret_refused = !many_finish(&m);
    return held && !*ret_refused;
}

bool model_serve_queue(model_call *c)
{
    bool refused;
    if (!model_may_write(c->redis, false, c->reply)) return false;
    c->lock->held = false;
    (void)model_part_and_serve(c, &refused);
    return !refused;
}

static const model_waiter *holder_of_fence(const many *m, uint64_t fence)
{
    for (int64_t i = 0; i < m->group.many; i++) {
        const model_waiter *holder = model_holder_find(m->lock, m->lock->places[i].token);
        if (holder && holder->fence == fence) return holder;
    }
    return NULL;
}

void model_break_among(model_call *c)
{
    many m = many_begin(c);
    many_part_expired(&m);
    const model_waiter *found = holder_of_fence(&m, strtoull(c->arg[0], NULL, 10));
    if (found) {
        model_waiter holder = *found;
        many_part(&m, holder.token);
        if (m.group.many == 0) many_dissolve(&m);
        many_tell(&m, holder.who.inbox, 'r', holder.token);
    }
    many_serve(&m, NULL);
    if (!many_finish(&m)) return;
    model_who none = {"-", ""};
    if (found && !c->lock->held) model_write_record(c, "-", 0, model_draw(c), &none);
    model_says(c->reply, found ? PAWL__REDIS_SAYS_RELEASED : PAWL__REDIS_SAYS_NOT_OWNER);
}

/* ---- change.lua ------------------------------------------------------------------------ */

typedef struct change {
    many m;
    model_call *c;
    const char *token;
    char from, to;
    int64_t ttl_ms, number;
    bool asks_only;
    model_who who;
    model_waiter holder; /* a copy, as it is to be */
} change;

static bool is_allowed(char from, char to)
{
    if (from == to || (from == 'u' && to == 'x')) return true;
    return (to == 's' && from != 'p') || (to == 'u' && from == 'x');
}

/* False: the token holds nothing. */
static bool find_holder(change *ch)
{
    many *m = &ch->m;
    const model_lock *lock = m->lock;
    const model_waiter *found = many_holder(m, ch->token);
    if (found) {
        ch->holder = *found;
        return true;
    }
    if (!lock->held || lock->several || strcmp(lock->token, ch->token) != 0) return false;
    bool is_its = m->recorded && strcmp(m->rec_token, ch->token) == 0;
    ch->holder = (model_waiter){.mode = 'x',
                                .fence = is_its ? ch->c->last : many_next_fence(m),
                                .change = is_its ? lock->rec_change : 0,
                                .published = is_its ? lock->rec_published : 0};
    if (is_its) return true;
    m->has_latest = true;
    model_copy_text(m->latest, sizeof m->latest, ch->token);
    m->latest_who = ch->who;
    return true;
}

static void change_done(change *ch)
{
    say_granted(&ch->m, ch->token, ch->holder.fence, ch->holder.slots);
}

/* Every answer but the refusals extends, as a renewal does. */
static void extend(change *ch, bool allowed)
{
    many *m = &ch->m;
    if (ch->from != 'x') {
        many_extend(m, ch->token, &ch->holder, ch->ttl_ms, &ch->who);
        return;
    }
    if (!many_may_write(m, false)) return;
    m->lock->held_until = ch->c->now_ms + ch->ttl_ms;
    if (ch->to == 'x' || !allowed) {
        many_write_exclusive(m, ch->token, ch->ttl_ms, ch->c->last, &ch->holder);
        many_note(m, ch->token, MODEL_EXTENDED);
    } else {
        many_found(m, 0);
        m->group.many = 1;
    }
}

static void upgrade(change *ch)
{
    many *m = &ch->m;
    bool alone = m->group.many == 1 && !ch->c->guarded;
    if (alone || PAWL_MUTANT(upgrade_beside_reader)) {
        many_finish_upgrade(m, ch->c->now_ms + ch->ttl_ms, true);
        ch->holder.fence = m->lock->fence;
        change_done(ch);
        return;
    }
    bool was_awaited = many_is_awaited(m, "-");
    m->group.upgrade = ch->asks_only ? 0 : ch->c->now_ms + model_place_ms(ch->ttl_ms);
    if (ch->asks_only)
        many_serve(m, NULL);
    else if (!was_awaited)
        many_ask_to_yield(m, 'U');
    int64_t ends_in = many_holder_ms(m);
    if (!many_finish(m)) return;
    model_says(ch->c->reply, ch->asks_only ? PAWL__REDIS_SAYS_BUSY : PAWL__REDIS_SAYS_QUEUED);
    if (!ch->asks_only) model_add_int(ch->c->reply, 0);
    model_add_int(ch->c->reply, ends_in);
    if (ch->asks_only)
        model_add_text(ch->c->reply, "");
    else
        model_add_int(ch->c->reply, (int64_t)ch->c->last);
}

static void keep_or_downgrade(change *ch)
{
    many *m = &ch->m;
    if (ch->from != 'x' || ch->to != 'x') {
        if (ch->from == 'u') {
            model_copy_text(m->group.updater, sizeof m->group.updater, "-");
            m->group.upgrade = 0;
        }
        if (ch->to == 'u') model_copy_text(m->group.updater, sizeof m->group.updater, ch->token);
        ch->holder.mode = ch->to;
        many_write_holder(m, ch->token, &ch->holder, ch->c->now_ms + ch->ttl_ms);
        if (ch->from == 'x') many_note(m, ch->token, MODEL_EXTENDED);
        if (!PAWL_MUTANT(downgrade_wakes_nobody)) many_serve(m, NULL);
    }
    change_done(ch);
}

static void run_change(change *ch)
{
    many *m = &ch->m;
    many_part_expired(m);
    many_serve(m, NULL);
    bool late = find_holder(ch) && ch->number < ch->holder.change;
    if (!ch->holder.mode || (late && !PAWL_MUTANT(late_change_done))) {
        if (many_finish(m)) model_says(ch->c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
        return;
    }
    ch->from = ch->holder.mode;
    bool allowed = is_allowed(ch->from, ch->to);
    if (allowed) ch->holder.change = ch->number;
    ch->holder.who = ch->who;
    extend(ch, allowed);
    if (!allowed) {
        char text[] = {'P', 'A', 'W', 'L', 'M', 'O', 'D', 'E', ' ', ch->from, ch->to, '\0'};
        if (many_finish(m)) model_say_error(ch->c->reply, text);
        return;
    }
    if (ch->from == 'u' && ch->to == 'x')
        upgrade(ch);
    else
        keep_or_downgrade(ch);
}

void model_change(model_call *c)
{
    change ch = {.m = many_begin(c),
                 .c = c,
                 .token = c->arg[0],
                 .to = c->arg[3][0],
                 .ttl_ms = ttl_of(c),
                 .number = strtoll(c->arg[4], NULL, 10),
                 .asks_only = c->arg[5][0],
                 .who = model_who_of(c->arg[2])};
    run_change(&ch);
    free(ch.m.news);
}
