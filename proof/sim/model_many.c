/* SPDX-License-Identifier: MIT */
/* lib_many.lua in C, statement by statement. A script sends its pushes at its end. */
#include "model_many.h"

#include "../../src/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

many many_begin(model_call *c)
{
    model_lock *lock = c->lock;
    many m = {.c = c, .lock = lock};
    m.has_group = lock->held && lock->several;
    if (m.has_group) m.group = lock->group;
    m.waiting = (int64_t)lock->place_count - m.group.many;
    m.recorded = lock->recorded;
    model_copy_text(m.rec_token, sizeof m.rec_token, lock->rec_token);
    m.rec_who = lock->rec_who;
    return m;
}

bool many_may_write(many *m, bool needs_memory)
{
    if (!m->refused) m->refused = !model_may_write(m->c->redis, needs_memory, m->c->reply);
    return !m->refused;
}

/* ---- Who holds ---------------------------------------------------------------- */

model_waiter *many_holder(many *m, const char *token)
{
    if (!m->has_group || m->lost) return NULL;
    model_waiter *holder = model_holder_find(m->lock, token);
    if (!holder) return NULL;
    int64_t rank = model_place_rank(m->lock, token);
    if ((rank >= 0 && rank < m->group.many) || PAWL_MUTANT(record_is_holder)) return holder;
    if (many_may_write(m, false)) (void)model_holder_remove(m->lock, token);
    return NULL;
}

/* False: its record was evicted, so its slots are unknown. */
static bool free_slots(many *m, const char *token)
{
    const model_waiter *holder = model_holder_find(m->lock, token);
    if (holder) m->group.slots &= ~holder->slots;
    return holder != NULL;
}

/* The permits are those that the holders' records say, if all are there. */
static void recount(many *m)
{
    uint32_t taken = 0;
    bool all = m->group.many <= m->group.capacity && m->group.many <= (int64_t)m->lock->place_count;
    for (int64_t i = 0; all && i < m->group.many; i++) {
        const model_waiter *holder = model_holder_find(m->lock, m->lock->places[i].token);
        if (!holder) return;
        taken |= holder->slots;
    }
    if (all) m->group.slots = taken;
}

void many_part(many *m, const char *token)
{
    char copy[MODEL_TEXT_MAX]; /* it may be part of what is removed */
    model_copy_text(copy, sizeof copy, token);
    if (!many_may_write(m, false)) return;
    if (strcmp(copy, m->group.updater) == 0) {
        model_copy_text(m->group.updater, sizeof m->group.updater, "-");
        m->group.upgrade = 0;
    }
    bool known = !m->has_group || m->group.capacity == 0 || free_slots(m, copy);
    model_holder_remove(m->lock, copy);
    model_place_remove(m->lock, copy);
    m->group.many--;
    m->changed = true;
    if (!known && m->group.many > 0) recount(m);
}

void many_dissolve(many *m)
{
    if (!many_may_write(m, false)) return;
    m->lock->held = false;
    m->has_group = m->changed = false;
}

/* What is left of a group that is gone comes before all waiters. */
static void sweep(many *m)
{
    while (!m->refused && m->waiting > 0 && m->lock->places[0].score < 0) {
        many_part(m, m->lock->places[0].token);
        m->waiting--;
    }
    m->group.many = 0;
    m->changed = false;
}

/* A bug may count them until all have run out. */
static int64_t rank_of_next_end(const many *m)
{
    return PAWL_MUTANT(dead_reader_counts) ? 0 : m->group.many - 1;
}

static void part_one_expired(many *m, const char *token)
{
    if (!PAWL_MUTANT(permits_leak)) {
        many_part(m, token);
        return;
    }
    uint32_t slots = m->group.slots;
    many_part(m, token);
    m->group.slots = slots;
}

/* The planted bug takes a waiter that is away for dead. */
static void part_cut(many *m)
{
    if (!PAWL_MUTANT(cut_reader_is_gone)) return;
    for (int64_t i = m->group.many - 1; i >= 0; i--) {
        const model_waiter *holder = many_holder(m, m->lock->places[i].token);
        if (holder && model_is_away(m->c, holder->who.inbox)) many_part(m, holder->token);
    }
}

void many_part_expired(many *m)
{
    if (!m->has_group) {
        sweep(m);
        return;
    }
    part_cut(m);
    while (m->group.many > 0 && !m->refused) {
        int64_t rank = rank_of_next_end(m);
        bool there = rank < (int64_t)m->lock->place_count && m->lock->places[rank].score < 0;
        if (!there) {
            m->lost = true;
            m->waiting += m->group.many;
            m->group.many = 0;
            return;
        }
        if (-m->lock->places[rank].score > m->c->now_ms) return;
        part_one_expired(m, m->lock->places[rank].token);
    }
    many_dissolve(m);
}

void many_found(many *m, int capacity)
{
    m->has_group = true;
    m->group = (model_group){.many = 0, .capacity = capacity, .updater = "-"};
}

bool many_write_holder(many *m, const char *token, const model_waiter *holder, int64_t till_ms)
{
    model_waiter copy = *holder;
    if (!many_may_write(m, true)) return true;
    bool is_new = model_place_rank(m->lock, token) < 0;
    model_place_add(m->lock, token, -till_ms);
    model_waiter *entry = model_waiter_put(m->lock, token, true);
    memcpy(copy.token, entry->token, sizeof copy.token);
    copy.holds = true;
    *entry = copy;
    m->changed = true;
    return is_new;
}

/* ---- Who may come in ----------------------------------------------------------- */

static int count_free(const many *m)
{
    int free = 0;
    for (int i = 0; i < m->group.capacity; i++) free += !(m->group.slots >> i & 1);
    return free;
}

bool many_fits(const many *m, char mode, int units)
{
    if (m->c->guarded) return false;
    if (m->lost || (m->lock->held && !m->has_group)) return false;
    if (mode == 'x' || m->group.many == 0) return m->group.many == 0;
    if (mode == 's') return m->group.capacity == 0;
    if (mode == 'u')
        return m->group.capacity == 0 &&
               (strcmp(m->group.updater, "-") == 0 || PAWL_MUTANT(two_updaters));
    return m->group.capacity > 0 && count_free(m) >= units;
}

bool many_is_full(const many *m)
{
    return m->group.many >= PAWL__REDIS_HOLDERS_MAX;
}

uint64_t many_next_fence(many *m)
{
    return m->c->last = model_draw(m->c);
}

static uint32_t take_slots(many *m, int units)
{
    uint32_t taken = 0;
    bool from_top = PAWL_MUTANT(highest_slot_first);
    for (int i = 0; i < m->group.capacity && units > 0; i++) {
        uint32_t slot = UINT32_C(1) << (from_top ? m->group.capacity - 1 - i : i);
        if (m->group.slots & slot && !PAWL_MUTANT(slot_given_twice)) continue;
        taken |= slot;
        units--;
    }
    m->group.slots |= taken;
    return taken;
}

model_waiter many_let_in(many *m, const char *token, const many_asker *as)
{
    if (!m->has_group) many_found(m, as->capacity);
    model_waiter holder = {.mode = as->mode, .units = as->units, .who = as->who};
    if (as->mode == 'p') holder.slots = take_slots(m, as->units);
    if (as->mode == 'u') model_copy_text(m->group.updater, sizeof m->group.updater, token);
    m->group.many++;
    m->has_latest = true;
    model_copy_text(m->latest, sizeof m->latest, token);
    m->latest_who = as->who;
    bool draws = m->c->last == 0 || as->mode != 's' || !PAWL_MUTANT(reader_draws_no_fence);
    holder.fence = draws ? many_next_fence(m) : m->c->last;
    return holder;
}

void many_write_exclusive(many *m, const char *token, int64_t ttl_ms, uint64_t fence,
                          const model_waiter *holder)
{
    if (!many_may_write(m, true)) return;
    model_write_grant(m->c, token, ttl_ms, fence, &holder->who);
    m->lock->rec_change = holder->change;
    m->lock->rec_published = holder->published;
    m->recorded = m->blocked = true;
    model_copy_text(m->rec_token, sizeof m->rec_token, token);
    m->rec_who = m->lock->rec_who;
    m->has_latest = false;
}

/* ---- News ------------------------------------------------------------------------ */

static many_news *add_news(many *m)
{
    if (m->news_count == m->news_room) {
        m->news_room = m->news_room ? m->news_room * 2 : 8;
        m->news = realloc(m->news, m->news_room * sizeof *m->news);
        if (!m->news) abort();
    }
    many_news *news = &m->news[m->news_count++];
    *news = (many_news){0};
    return news;
}

void many_tell(many *m, const char *inbox, char letter, const char *token)
{
    many_news *news = add_news(m);
    model_copy_text(news->inbox, sizeof news->inbox, inbox);
    news->letter = letter;
    model_copy_text(news->token, sizeof news->token, token);
}

void many_note(many *m, const char *token, model_news what)
{
    for (size_t i = 0; i < m->news_count; i++) { /* one push for each token is enough */
        many_news *before = &m->news[i];
        if (!before->took || strcmp(before->token, token) != 0) continue;
        if (what == MODEL_EXTENDED) return;
        before->took = false;
    }
    many_news *news = add_news(m);
    news->took = true;
    news->what = what;
    model_copy_text(news->token, sizeof news->token, token);
}

static void tell_grant(many *m, const char *token, const char *inbox, uint32_t slots,
                       model_news what)
{
    many_tell(m, inbox, slots ? 'p' : 'g', token);
    many_news *news = &m->news[m->news_count - 1];
    news->took = true;
    news->what = what;
    news->hold.fence = m->c->last;
    news->hold.slots = slots;
}

static void list_slots(uint32_t slots, char *text, size_t room)
{
    size_t len = 0;
    for (int i = 0; slots >> i; i++) {
        if (!(slots >> i & 1)) continue;
        len += (size_t)snprintf(text + len, room - len, "%s%d", len ? "," : "", i);
    }
}

static void publish(const many *m, const many_news *news)
{
    char payload[MODEL_TEXT_MAX + PAWL__REDIS_KEY_MAX + 160], slots[100] = "";
    const char *key = m->lock->key;
    uint64_t fence = news->hold.fence;
    list_slots(news->hold.slots, slots, sizeof slots);
    int flag = m->waiting > 0;
    if (news->letter == 'g')
        snprintf(payload, sizeof payload, "g %" PRIu64 " %d %s %s", fence, flag, news->token, key);
    else if (news->letter == 'p')
        snprintf(payload, sizeof payload, "p %" PRIu64 " %d %s %s %s", fence, flag, slots,
                 news->token, key);
    else if (news->letter == 'y')
        snprintf(payload, sizeof payload, "y %s %s", news->token, key);
    else
        snprintf(payload, sizeof payload, "r %s", key);
    m->c->redis->publish(m->c->redis->ctx, news->inbox, payload);
}

static void tell_checkers(const many *m, const many_news *news)
{
    const model_lock *lock = m->lock;
    const model_waiter *holder = lock->several ? model_holder_find(lock, news->token) : NULL;
    if (!m->c->redis->held) return;
    if (!lock->several) {
        model_tell_held(m->c, news->what);
        return;
    }
    int64_t rank = model_place_rank(lock, news->token);
    if (!holder || rank < 0) return;
    model_hold hold = {holder->token, holder->mode, holder->fence, -lock->places[rank].score,
                       holder->slots};
    m->c->redis->held(m->c->redis->ctx, lock, &hold, news->what);
}

/* ---- The queue --------------------------------------------------------------------- */

bool many_finish_upgrade(many *m, int64_t till_ms, bool is_asker)
{
    char token[MODEL_TEXT_MAX];
    model_copy_text(token, sizeof token, m->group.updater);
    const model_waiter *found = many_holder(m, token);
    if (!found) return false;
    model_waiter holder = *found;
    many_part(m, token);
    m->has_group = m->changed = false;
    uint64_t fence = PAWL_MUTANT(upgrade_draws_no_fence) ? holder.fence : many_next_fence(m);
    many_write_exclusive(m, token, till_ms - m->c->now_ms, fence, &holder);
    if (is_asker)
        many_note(m, token, MODEL_UPGRADED);
    else
        tell_grant(m, token, holder.who.inbox, 0, MODEL_UPGRADED);
    return true;
}

typedef struct admitted {
    char token[MODEL_TEXT_MAX];
    model_waiter holder;
    int64_t till_ms;
} admitted;

/* A waiter that was granted keeps its entry until all are granted. */
typedef struct turn {
    many *m;
    const many_asker *asker;
    admitted *in;
    size_t in_count, in_room;
    size_t away, skipped, granted;
} turn;

static void keep_for_later(turn *t, const char *token, const model_waiter *holder, int64_t till_ms)
{
    if (t->in_count == t->in_room) {
        t->in_room = t->in_room ? t->in_room * 2 : 4;
        t->in = realloc(t->in, t->in_room * sizeof *t->in);
        if (!t->in) abort();
    }
    admitted *one = &t->in[t->in_count++];
    model_copy_text(one->token, sizeof one->token, token);
    one->holder = *holder;
    one->till_ms = till_ms;
}

static void write_admitted(turn *t)
{
    many *m = t->m;
    if (t->in_count && many_may_write(m, false)) {
        for (size_t i = 0; i < t->in_count; i++) model_waiter_remove(m->lock, t->in[i].token);
        for (size_t i = 0; i < t->in_count; i++)
            many_write_holder(m, t->in[i].token, &t->in[i].holder, t->in[i].till_ms);
    }
    free(t->in);
    t->in = NULL;
}

/* A hand-off does not extend: its lease ends with its place. The asker gets a whole ttl. */
static void admit(turn *t, const char *token, const model_waiter *waiter, bool is_asker)
{
    many *m = t->m;
    int64_t now_ms = m->c->now_ms;
    int64_t till_ms = is_asker ? now_ms + t->asker->ttl_ms : waiter->till_ms;
    if (PAWL_MUTANT(entry_extends)) till_ms = now_ms + waiter->ttl_ms;
    many_asker as = {token,         waiter->ttl_ms,   waiter->mode,
                     waiter->units, waiter->capacity, is_asker ? t->asker->who : waiter->who};
    uint32_t slots = 0;
    m->waiting--;
    if (as.mode == 'x') {
        if (!many_may_write(m, false)) return;
        model_take_out(m->lock, token);
        many_write_exclusive(m, token, till_ms - now_ms, many_next_fence(m),
                             &(model_waiter){.who = as.who});
    } else {
        model_waiter holder = many_let_in(m, token, &as);
        slots = holder.slots;
        keep_for_later(t, token, &holder, till_ms);
    }
    if (!is_asker) {
        tell_grant(m, token, as.who.inbox, slots, MODEL_TAKEN);
        return;
    }
    many_note(m, token, MODEL_TAKEN);
    m->asker_granted = true;
    m->asker_fence = m->c->last;
    m->asker_slots = slots;
}

static void throw_out(turn *t, const char *token)
{
    if (many_may_write(t->m, false)) model_take_out(t->m->lock, token);
    t->m->waiting--;
    t->skipped++;
}

static void pass_over(turn *t)
{
    t->away++;
    t->skipped++;
}

/* The first that has not been looked at. */
static void serve_next(turn *t)
{
    many *m = t->m;
    char token[MODEL_TEXT_MAX];
    size_t rank = (size_t)m->group.many + t->away;
    if (rank >= m->lock->place_count) {
        m->blocked = true;
        return;
    }
    model_copy_text(token, sizeof token, m->lock->places[rank].token);
    bool asks = t->asker && strcmp(token, t->asker->token) == 0;
    const model_waiter *found = model_waiter_find(m->lock, token);
    model_waiter waiter = {0};
    if (found) waiter = *found;
    if (found && asks) { /* the request says it, whatever the record says */
        waiter.mode = t->asker->mode;
        waiter.units = t->asker->units;
        waiter.capacity = t->asker->capacity;
    }
    bool stands = found && (waiter.till_ms > m->c->now_ms || PAWL_MUTANT(handoff_to_expired));
    if (!stands || (m->has_group && waiter.capacity != m->group.capacity)) {
        throw_out(t, token);
    } else if (!many_fits(m, waiter.mode, waiter.units)) {
        if (waiter.mode == 'p' && PAWL_MUTANT(small_ones_pass))
            pass_over(t);
        else
            m->blocked = true;
    } else if (asks) {
        admit(t, token, &waiter, true);
    } else if (model_is_away(m->c, waiter.who.inbox)) {
        pass_over(t);
    } else {
        admit(t, token, &waiter, false);
        t->granted++;
    }
}

/* An upgrade that waits goes before all. True: nobody else may come in now. */
static bool serve_upgrade(many *m)
{
    if (!m->has_group || !m->group.upgrade || m->lost) return false;
    if (m->group.upgrade <= m->c->now_ms) {
        m->group.upgrade = 0;
        m->changed = true;
        return false;
    }
    if (m->group.many > 1 && PAWL_MUTANT(upgrade_stops_nobody)) return false;
    m->blocked = true;
    if (m->group.many == 1) many_finish_upgrade(m, -m->lock->places[0].score, false);
    return m->lock->held || m->refused; /* else its record was lost: now the queue is served */
}

void many_serve(many *m, const many_asker *asker)
{
    turn t = {.m = m, .asker = asker};
    if (m->c->guarded) {
        m->blocked = true;
        return;
    }
    if (serve_upgrade(m)) return;
    m->blocked = m->lost || (m->lock->held && !m->has_group);
    while (m->waiting > (int64_t)t.away && !m->blocked && !m->refused) {
        serve_next(&t);
        if (t.skipped >= PAWL__REDIS_SKIP_MAX || t.granted >= PAWL__REDIS_GRANTS_MAX ||
            many_is_full(m) || (t.granted && PAWL_MUTANT(one_reader_woken)))
            m->blocked = true;
    }
    write_admitted(&t);
    if (t.away < PAWL__REDIS_SKIP_MAX || !many_may_write(m, false)) return;
    for (size_t i = 0; i < t.away; i++)
        model_take_out(m->lock, m->lock->places[m->group.many].token);
    m->waiting -= (int64_t)t.away;
}

bool many_is_awaited(const many *m, const char *token)
{
    if (m->waiting > 0) return true;
    return m->has_group && m->group.upgrade > 0 && strcmp(m->group.updater, token) != 0;
}

static void ask_holder(many *m, const char *token, char mode)
{
    const model_waiter *holder = model_holder_find(m->lock, token);
    if (!holder || (mode == 'U' && strcmp(token, m->group.updater) == 0)) return;
    many_tell(m, holder->who.inbox, 'y', token);
}

void many_ask_to_yield(many *m, char mode)
{
    if (m->lock->held && !m->has_group) {
        if (m->recorded && strcmp(m->rec_token, m->lock->token) == 0)
            many_tell(m, m->rec_who.inbox, 'y', m->lock->token);
        return;
    }
    if (m->group.many == 0) return;
    if (mode == 'u') {
        ask_holder(m, m->group.updater, mode);
        return;
    }
    for (int64_t i = 0; i < m->group.many && i < PAWL__REDIS_TOLD_MAX; i++)
        ask_holder(m, m->lock->places[i].token, mode);
}

int64_t many_holder_ms(const many *m)
{
    if (m->group.many > 0) return -m->lock->places[m->group.many - 1].score - m->c->now_ms;
    return m->lock->held ? model_remaining(m->c, m->lock->held_until) : 0;
}

/* ---- The end ------------------------------------------------------------------------- */

static void prolong_all(many *m, int64_t till_ms)
{
    for (int64_t i = 0; PAWL_MUTANT(renewal_prolongs_others) && i < m->group.many; i++)
        if (-m->lock->places[i].score < till_ms) m->lock->places[i].score = -till_ms;
}

void many_extend(many *m, const char *token, model_waiter *holder, int64_t ttl_ms,
                 const model_who *who)
{
    if (!many_may_write(m, false)) return;
    m->lock->held_until = m->c->now_ms + ttl_ms;
    holder->who = *who;
    uint64_t fence = holder->fence;
    many_write_holder(m, token, holder, m->c->now_ms + ttl_ms);
    prolong_all(m, m->c->now_ms + ttl_ms);
    many_note(m, token, MODEL_EXTENDED);
    if (m->recorded) return;
    if (m->c->last < fence) m->c->last = fence;
    m->has_latest = true;
    model_copy_text(m->latest, sizeof m->latest, token);
    m->latest_who = *who;
}

int64_t many_life_of_hash(const many *m)
{
    return m->lock->waiter_count ? model_remaining(m->c, m->lock->waiters_until) : -2;
}

void many_keep_keys(many *m, int64_t ttl_ms)
{
    const model_lock *lock = m->lock;
    int64_t places = lock->place_count ? model_remaining(m->c, lock->places_until) : -2;
    if (places >= ttl_ms && many_life_of_hash(m) >= ttl_ms) return;
    m->lock->places_until = m->lock->waiters_until = m->c->now_ms + (ttl_ms * 4 + 2) / 3;
}

static void write_group(many *m)
{
    model_lock *lock = m->lock;
    size_t last = PAWL_MUTANT(marker_ends_first) ? (size_t)m->group.many - 1 : 0;
    int64_t till_ms = -lock->places[last].score;
    int64_t ttl_ms = till_ms - m->c->now_ms;
    if (!many_may_write(m, true)) return;
    lock->held = lock->several = true;
    lock->group = m->group;
    model_copy_text(lock->token, sizeof lock->token, PAWL__REDIS_MANY);
    lock->held_until = till_ms;
    many_keep_keys(m, ttl_ms);
    if (m->has_latest)
        model_write_record(m->c, m->latest, ttl_ms, m->c->last, &m->latest_who);
    else if (lock->recorded)
        lock->record_until = model_record_until(m->c, ttl_ms, m->c->last);
}

bool many_finish(many *m)
{
    if (!m->refused && m->has_group && m->changed && !m->lost) write_group(m);
    for (size_t i = 0; i < m->news_count && !m->refused; i++) {
        if (m->news[i].inbox[0]) publish(m, &m->news[i]);
        if (m->news[i].took) tell_checkers(m, &m->news[i]);
    }
    free(m->news);
    m->news = NULL;
    m->news_count = m->news_room = 0;
    return !m->refused;
}
