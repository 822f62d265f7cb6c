/* SPDX-License-Identifier: MIT */
/*
 * The kinds of lock at the store, judged after each command from what it has then, and from a
 * table of its own: no reader beside a writer, no update beside an update, no slot twice, no
 * more permits than there are; each holder's lease ends when its own requests say, and the lock
 * key with the last of them; nobody who fits is left waiting; an upgrade goes before all.
 */
#include "check.h"

#include <inttypes.h>

char check_letter(pawl_mode mode)
{
    static const char letters[] = {[PAWL_MODE_EXCLUSIVE] = 'x',
                                   [PAWL_MODE_SHARED] = 's',
                                   [PAWL_MODE_UPDATE] = 'u',
                                   [PAWL_MODE_PERMIT] = 'p'};
    return letters[mode];
}

bool check_excludes(char one, char other)
{
    if (one == 'p' || other == 'p') return one != other;
    if (one == 's' && other == 's') return false;
    return !((one == 's' && other == 'u') || (one == 'u' && other == 's'));
}

/* ---- What a request is for ----------------------------------------------------- */

static int64_t number_of(pawl__redis_bytes arg)
{
    int64_t number = 0;
    for (size_t i = 0; i < arg.len; i++) number = number * 10 + (arg.data[i] - '0');
    return number;
}

const pawl__redis_bytes *check_args(const sim_message *m)
{
    return &m->argv[3 + (m->argv[2].data[0] - '0')];
}

bool check_asks_only(const sim_message *m)
{
    if (m->verb != PAWL_VERB_ACQUIRE || m->argc < 4) return false;
    size_t count = m->argc - (size_t)(check_args(m) - m->argv);
    return count == 4 || count == 7;
}

void check_asked(sim *s, const sim_message *m)
{
    const pawl__redis_bytes *args = check_args(m);
    size_t count = m->argc - (size_t)(args - m->argv);
    seen_token *token = &s->seen.tokens[m->token];
    if (m->verb != PAWL_VERB_ACQUIRE) return;
    bool many = count >= 6; /* token, ttl, who, mode, units, capacity */
    token->mode = many ? args[3].data[0] : 'x';
    token->units = many ? (int)number_of(args[4]) : 0;
    token->capacity = many ? (int)number_of(args[5]) : 0;
}

/* ---- Who holds at the store ------------------------------------------------------ */

typedef struct count {
    int writers, readers, updaters, permits;
    uint32_t slots;
    int64_t latest_ms;
} count;

static void check_slots(sim *s, int name, const model_lock *lock, const model_hold *hold,
                        count *all)
{
    if (hold->slots & all->slots)
        sim_fail(s, "slots", "\"%s\": a permit has two holders", sim_names[name]);
    if (hold->slots >> lock->group.capacity)
        sim_fail(s, "slots", "\"%s\": a permit beyond the capacity", sim_names[name]);
    all->slots |= hold->slots;
}

static void count_hold(sim *s, int name, const model_lock *lock, const model_hold *hold, count *all)
{
    all->writers += hold->mode == 'x';
    all->readers += hold->mode == 's';
    all->updaters += hold->mode == 'u';
    all->permits += hold->mode == 'p';
    if (hold->mode == 'p') check_slots(s, name, lock, hold, all);
    if (hold->until_ms > all->latest_ms) all->latest_ms = hold->until_ms;
}

static void check_beside(sim *s, int name, const count *all)
{
    int others = all->readers + all->updaters + all->permits;
    if (all->writers && others)
        sim_fail(s, "beside", "\"%s\": %d beside a writer", sim_names[name], others);
    if (all->updaters > 1)
        sim_fail(s, "beside", "\"%s\": %d in mode update", sim_names[name], all->updaters);
    if (all->permits && all->readers + all->updaters)
        sim_fail(s, "beside", "\"%s\": a lock and a semaphore", sim_names[name]);
}

/* The renewal of one holder does not extend the lease of another. */
static void check_own_end(sim *s, const model_hold *hold, int number)
{
    seen_token *token = &s->seen.tokens[number];
    /* A store that went back to an older state knows older requests only. */
    bool older = token->said_at <= s->seen.names[token->name].broken_at;
    if ((number == s->seen.speaker || older) && hold->until_ms > token->own_till_ms)
        token->own_till_ms = hold->until_ms;
    if (hold->until_ms > token->own_till_ms && !s->seen.names[token->name].tampered)
        sim_fail(s, "prolonged", "token %d (client %d) holds for longer than it ever asked", number,
                 token->client);
}

static void look_at(sim *s, int number, const model_hold *hold)
{
    seen_name *name = &s->seen.names[number];
    int who = sim_token_number(s, hold->token);
    if (who < 0) return;
    seen_token *token = &s->seen.tokens[who];
    if (name->holder_count < SEEN_HOLDERS_MAX) name->holders[name->holder_count++] = who;
    token->look = name->look;
    token->store_mode = hold->mode;
    token->store_till_ms = hold->until_ms;
    token->store_slots = hold->slots;
    check_own_end(s, hold, who);
}

/* Others wait for these holders: from now on the store may tell them. */
static void note_awaited(sim *s, const seen_name *name, const model_lock *lock)
{
    bool several = lock->held && lock->several;
    bool queue = (int64_t)lock->place_count > (several ? lock->group.many : 0);
    if (!queue && !(several && lock->group.upgrade)) return;
    for (size_t i = 0; i < name->holder_count; i++) s->seen.tokens[name->holders[i]].awaited = true;
}

void check_look(sim *s, int number, const model_lock *lock)
{
    seen_name *name = &s->seen.names[number];
    int64_t now_ms = sim_server_now_us(s) / 1000;
    model_hold hold;
    count all = {0};
    size_t at = 0, known = 0;
    name->look++;
    name->holder_count = 0;
    while (model_next_hold(lock, now_ms, &at, &hold)) {
        count_hold(s, number, lock, &hold, &all);
        look_at(s, number, &hold);
        known++;
    }
    note_awaited(s, name, lock);
    bool several = lock->held && lock->several;
    name->closed = several && (int64_t)known < lock->group.many;
    name->tampered = false;
    check_beside(s, number, &all);
    if (several && known && !name->closed && lock->held_until != all.latest_ms)
        sim_fail(s, "marker",
                 "\"%s\": the lock key ends %" PRId64 " ms after the last of its holders",
                 sim_names[number], lock->held_until - all.latest_ms);
    if (all.readers > 1 && name->holder_count > 1) SIM_REACHED(s, let_in_together);
}

/* Rule 11: the lowest that are free. */
void check_slots_drawn(sim *s, const model_lock *lock, int number, const model_hold *hold)
{
    uint32_t taken = 0;
    model_hold other;
    size_t at = 0;
    if (hold->mode != 'p') return;
    SIM_REACHED(s, permits);
    if (hold->slots & (hold->slots - 1)) SIM_REACHED(s, several_permits);
    if (s->seen.names[number].queue_lost_at) return; /* some permits may stay taken by nobody */
    while (model_next_hold(lock, sim_server_now_us(s) / 1000, &at, &other)) taken |= other.slots;
    uint32_t highest = hold->slots;
    while (highest & (highest - 1)) highest &= highest - 1;
    if (~taken & (highest - 1))
        sim_fail(s, "slots", "\"%s\": a permit was granted although a lower one is free",
                 sim_names[number]);
}

/* ---- Who waits --------------------------------------------------------------------- */

void check_no_upgrade_waits(sim *s, int number, int token)
{
    const seen_name *name = &s->seen.names[number];
    if (name->tampered) return;
    for (size_t i = 0; i < name->holder_count; i++) {
        int who = name->holders[i];
        const seen_token *holder = &s->seen.tokens[who];
        if (who == token || holder->upgrade_till_ms <= sim_server_now_us(s) / 1000) continue;
        if (holder->store_till_ms <= sim_server_now_us(s) / 1000) continue;
        if (s->seen.speaker == who) continue;                    /* it may end just now */
        if (holder->change_seen_at <= name->broken_at) continue; /* and it is forgotten */
        sim_fail(s, "overtaken", "token %d came in although token %d waits to be upgraded", token,
                 who);
    }
}

static bool stands(const sim *s, int token)
{
    return s->seen.tokens[token].till_ms > sim_server_now_us(s) / 1000;
}

/*
 * The first in the queue; -1 if that is unknown. The store may have removed a place that ran out or
 * not, so both arrivals of its waiter count.
 */
static int head_of(const sim *s, const seen_name *name)
{
    int head = -1;
    for (size_t i = 0; i < name->waiting_count; i++) {
        int token = name->waiting[i];
        if (!stands(s, token)) continue;
        if (head < 0 || s->seen.tokens[token].arrived_at < s->seen.tokens[head].arrived_at)
            head = token;
    }
    for (size_t i = 0; i < name->waiting_count; i++) {
        int token = name->waiting[i];
        if (token == head || !stands(s, token)) continue;
        if (s->seen.tokens[token].first_at <= s->seen.tokens[head].arrived_at) return -1;
    }
    return head;
}

static int count_bits(uint32_t bits)
{
    int n = 0;
    for (; bits; bits &= bits - 1) n++;
    return n;
}

static bool would_fit(const sim *s, const model_lock *lock, const seen_token *waiter)
{
    model_hold hold;
    size_t at = 0;
    uint32_t slots = 0;
    while (model_next_hold(lock, sim_server_now_us(s) / 1000, &at, &hold)) {
        if (check_excludes(hold.mode, waiter->mode)) return false;
        slots |= hold.slots;
    }
    return waiter->mode != 'p' || waiter->capacity - count_bits(slots) >= waiter->units;
}

/* Law 7: no wake-up is lost. Each request for a name serves its queue. */
void check_woken(sim *s, int number, const model_lock *lock)
{
    const seen_name *name = &s->seen.names[number];
    int64_t unsure_ms = s->config.ttl_ms * (s->config.mixed_ttl ? 4 : 1);
    if (name->queue_lost_at && s->t < name->queue_lost_at + unsure_ms * SIM_MS) return;
    int head = head_of(s, name);
    if (head < 0 || name->closed || s->seen.went_back) return;
    const seen_token *waiter = &s->seen.tokens[head];
    if (waiter->mode == 'p' && name->queue_lost_at) return; /* see check_slots_drawn */
    if (!seen_is_there(s, head, waiter->asked_at)) return;
    for (size_t i = 0; i < name->holder_count; i++)
        if (s->seen.tokens[name->holders[i]].upgrade_till_ms) return; /* that goes first */
    if (lock->held && !lock->several && sim_token_number(s, lock->token) < 0) return;
    if (!would_fit(s, lock, waiter)) return;
    sim_fail(s, "woken", "\"%s\": token %d (client %d, %c) fits, and was left waiting",
             sim_names[number], head, waiter->client, waiter->mode);
}
