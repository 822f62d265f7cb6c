/* SPDX-License-Identifier: MIT */
/* Keeps what the checkers remember up to date, and asks the checkers. */
#include "check.h"

#include "../../../src/engine/lease.h"

#include <string.h>

static int name_of_key(const sim *s, const char *key)
{
    const char *name = key + strlen(PAWL__REDIS_PREFIX_DEFAULT);
    for (int i = 0; i < s->config.names; i++)
        if (strcmp(name, sim_names[i]) == 0) return i;
    return 0;
}

/* ---- The queue as the store should keep it ---------------------------------- */

static void leave_queue(seen_name *name, int token)
{
    for (size_t i = 0; i < name->waiting_count; i++)
        if (name->waiting[i] == token) name->waiting[i] = name->waiting[--name->waiting_count];
}

static bool is_in_queue(const seen_name *name, int token)
{
    for (size_t i = 0; i < name->waiting_count; i++)
        if (name->waiting[i] == token) return true;
    return false;
}

/* The store may not have removed a place that ran out: both arrivals of its waiter count. */
static void join_queue(sim *s, seen_name *name, seen_token *token, int number, int64_t now_ms)
{
    bool stands = is_in_queue(name, number);
    if (stands && token->till_ms > now_ms) {
        if (token->passed_over) SIM_REACHED(s, place_regained);
        return;
    }
    if (!stands) {
        if (name->waiting_count == SEEN_WAITING_MAX) name->waiting_count--;
        name->waiting[name->waiting_count++] = number;
    }
    token->arrived_at = s->t;
    if (token->first_at == SEEN_LONG_AGO) token->first_at = s->t;
}

/* Behind a foreign holder all kinds may queue; the first grant decides which kind the name has. */
static void leave_for_another_kind(const sim *s, seen_name *name, int capacity)
{
    for (size_t i = 0; i < name->waiting_count;) {
        if (s->seen.tokens[name->waiting[i]].capacity != capacity)
            leave_queue(name, name->waiting[i]);
        else
            i++;
    }
}

static void got_its_turn(sim *s, int number, int token)
{
    seen_name *name = &s->seen.names[number];
    check_turn(s, number, token);
    leave_queue(name, token);
    leave_for_another_kind(s, name, s->seen.tokens[token].capacity);
    for (size_t i = 0; i < name->waiting_count; i++) {
        seen_token *other = &s->seen.tokens[name->waiting[i]];
        int64_t first_at = s->seen.tokens[token].first_at;
        if (first_at != SEEN_LONG_AGO && other->arrived_at >= first_at) continue;
        if (other->till_ms <= sim_server_now_us(s) / 1000) continue;
        other->passed_over = true;
        SIM_REACHED(s, passed_over);
    }
}

/* What ran out is gone at the store as well if anybody came upon it. */
static void upgrades_over(sim *s)
{
    int64_t now_ms = sim_server_now_us(s) / 1000;
    for (size_t i = 0; i < s->seen.token_count; i++) {
        seen_token *token = &s->seen.tokens[i];
        if (token->upgrade_till_ms <= now_ms || token->store_till_ms <= now_ms)
            token->upgrade_till_ms = 0;
    }
}

void seen_places_over(sim *s)
{
    upgrades_over(s);
    check_values_lost(s, -1); /* what ran out may be valid again, or is gone */
    for (int n = 0; n < s->config.names; n++) {
        seen_name *name = &s->seen.names[n];
        for (size_t i = 0; i < name->waiting_count;) {
            int token = name->waiting[i];
            if (s->seen.tokens[token].till_ms <= sim_server_now_us(s) / 1000)
                leave_queue(name, token);
            else
                i++;
        }
    }
}

void seen_queue_lost(sim *s, int name)
{
    check_numbers_lost(s);
    for (int i = 0; i < s->config.names; i++)
        if (name < 0 || name == i) s->seen.names[i].waiting_count = 0;
    for (int i = 0; i < s->config.names; i++)
        if (name < 0 || name == i) s->seen.names[i].queue_lost_at = s->t;
    seen_tampered(s, name);
}

void seen_tampered(sim *s, int name)
{
    for (size_t i = 0; i < s->seen.token_count; i++) { /* nobody looked at the queue then */
        seen_token *token = &s->seen.tokens[i];
        token->awaited |= name < 0 || token->name == name;
    }
    for (int i = 0; i < s->config.names; i++)
        if (name < 0 || name == i) s->seen.names[i].tampered = true;
}

void seen_published(sim *s, const char *payload, int heard)
{
    char word[PAWL_TOKEN_LEN + 1];
    bool grant = sscanf(payload, "g %*s %*s %40s", word) == 1 ||
                 sscanf(payload, "p %*s %*s %*s %40s", word) == 1;
    if (!grant) return;
    s->seen.unheard = heard ? SEEN_NOBODY : sim_token_number(s, word);
}

/*
 * A hand-off goes to a waiter whose place has not run out and who hears of it, and lasts as long as
 * the place: so a waiter that froze blocks nobody for longer.
 */
static void check_choice(sim *s, int token, int64_t held_until)
{
    const seen_token *chosen = &s->seen.tokens[token];
    if (token == s->seen.asker) return;
    if (s->seen.asker != SEEN_NOBODY) SIM_REACHED(s, promoted_by_refresh);
    if (token == s->seen.unheard)
        sim_fail(s, "fifo", "token %d (client %d) was handed the lock, and nobody heard of it",
                 token, chosen->client);
    /* A store that went back to an older state has an older end of the place. */
    bool current = chosen->asked_at > s->seen.names[chosen->name].broken_at;
    if (current && chosen->till_ms <= sim_server_now_us(s) / 1000)
        sim_fail(s, "fifo", "token %d (client %d) was handed the lock, its place had run out",
                 token, chosen->client);
    if (current && held_until > chosen->till_ms)
        sim_fail(s, "frozen", "token %d (client %d) was handed the lock for longer than its place",
                 token, chosen->client);
}

/* Law 5: a lease that is confirmed was there all the time. */
static void check_not_revived(sim *s, int number, int token)
{
    const seen_name *name = &s->seen.names[number];
    const seen_token *holder = &s->seen.tokens[token];
    if (name->tampered) return;
    bool held = holder->look == name->look && holder->look;
    if (held && sim_server_now_us(s) / 1000 <= holder->store_till_ms) return;
    sim_fail(s, "revived", "token %d (client %d) was confirmed, but did not hold \"%s\"", token,
             s->seen.tokens[token].client, sim_names[number]);
}

/* ---- The store -------------------------------------------------------------- */

/* When the promise to its client began: a hand-off promises no more than the place did (rule 8). */
static void note_promise(sim *s, seen_token *holder, int token, const model_hold *hold,
                         model_news news)
{
    if (news == MODEL_UPGRADED && token != s->seen.speaker) return;
    bool handed = news == MODEL_TAKEN && token != s->seen.asker;
    holder->held_at = handed ? holder->asked_at : s->t;
    if (!handed) return;
    /* A place that came back with an older state of the store ends as that state says. */
    const seen_name *name = &s->seen.names[holder->name];
    bool older = name->queue_lost_at && holder->asked_at <= name->queue_lost_at;
    holder->own_till_ms = older ? hold->until_ms : holder->till_ms;
}

static void check_fence_held(sim *s, const model_lock *lock, int name, const model_hold *hold,
                             const seen_token *holder, bool is_new)
{
    seen_name *of = &s->seen.names[name];
    if (is_new) {
        check_fence_drawn(s, hold->fence, name, true);
        return;
    }
    /* Not the latest one: drawn now, or the store went back to a state that has an older one. */
    if (!lock->several && hold->fence != of->last_fence)
        check_fence_drawn(s, hold->fence, name, false);
    if (lock->several && (of->record_lost || hold->fence != holder->fence)) {
        of->record_lost = false;
        of->last_fence = hold->fence;
        check_fences_excused(s, name);
    }
}

void seen_held(sim *s, const model_lock *lock, const model_hold *hold, model_news news)
{
    int token = sim_token_number(s, hold->token), name = name_of_key(s, lock->key);
    if (token < 0) return;
    seen_token *holder = &s->seen.tokens[token];
    bool is_new = news != MODEL_EXTENDED;
    holder->name = name;
    note_promise(s, holder, token, hold, news);
    check_fence_held(s, lock, name, hold, holder, is_new);
    if (is_new) check_early_grant(s, token);
    if (is_new) holder->granted = hold->fence;
    if (is_new) holder->cut_off_at = 0; /* it queued again, and that is another grant */
    holder->fence = hold->fence;
    holder->excuses = s->seen.names[name].excuses;
    holder->confirms++;
    if (news == MODEL_UPGRADED) {
        holder->upgrade_till_ms = 0;
        return;
    }
    if (news == MODEL_EXTENDED) {
        check_not_revived(s, name, token);
        return;
    }
    /* A lease of its own, though a late request may have made it: it has its own numbers. */
    holder->change_seen = holder->counted = 0;
    holder->upgrade_till_ms = 0;
    check_choice(s, token, hold->until_ms);
    check_no_upgrade_waits(s, name, token);
    check_slots_drawn(s, lock, name, hold);
    got_its_turn(s, name, token);
}

/* It is told to wait, and is still among the holders, without its record: it has no place yet. */
static bool has_no_place(sim *s, const sim_message *m)
{
    const pawl__redis_bytes *key = &m->argv[3], *word = &check_args(m)[0];
    const model_lock *lock = model_redis_find(&s->server.model, key->data, key->len);
    char token[PAWL_TOKEN_LEN + 1] = "";
    if (word->len < sizeof token) memcpy(token, word->data, word->len);
    return lock && !model_waiter_find(lock, token);
}

static void executed_ask(sim *s, const sim_message *m, int name)
{
    seen_token *token = &s->seen.tokens[m->token];
    seen_name *queue = &s->seen.names[name];
    int says = model_reply_says(&m->reply);
    token->name = name;
    if (token->left_epoch == m->epoch && says != PAWL__REDIS_SAYS_BUSY)
        sim_fail(s, "order", "token %d (client %d): an ask was executed behind its release",
                 m->token, token->client);
    if (says == PAWL__REDIS_SAYS_QUEUED && !has_no_place(s, m)) {
        int64_t ttl_ms = 0;
        const pawl__redis_bytes *arg = &check_args(m)[1];
        for (size_t i = 0; i < arg->len; i++) ttl_ms = ttl_ms * 10 + (arg->data[i] - '0');
        int64_t now_ms = sim_server_now_us(s) / 1000;
        join_queue(s, queue, token, m->token, now_ms);
        token->asked_at = s->t;
        token->till_ms = now_ms + model_place_ms(ttl_ms);
        return;
    }
    leave_queue(queue, m->token);
}

/* A waiter that leaves is out of the queue before the same command hands the lock on. */
void seen_arrived(sim *s, const sim_message *m)
{
    s->seen.asker = m->verb == PAWL_VERB_ACQUIRE ? m->token : SEEN_NOBODY;
    s->seen.speaker = m->token;
    s->seen.asks_only = check_asks_only(m);
    if (m->token >= 0) check_asked(s, m);
    s->seen.unheard = SEEN_NOBODY;
    s->seen.withdrew = false;
    if (m->verb != PAWL_VERB_RELEASE || m->token < 0) return;
    int name = s->seen.tokens[m->token].name;
    s->seen.withdrew = name >= 0 && is_in_queue(&s->seen.names[name], m->token);
    if (name >= 0) leave_queue(&s->seen.names[name], m->token);
}

/* The server did not even begin. */
static void put_back(sim *s, int token)
{
    seen_name *name = &s->seen.names[s->seen.tokens[token].name];
    if (name->waiting_count < SEEN_WAITING_MAX) name->waiting[name->waiting_count++] = token;
}

/* What the store has now. */
static void look(sim *s, const pawl__redis_bytes *key, int name, bool guarded)
{
    const model_lock *lock = model_redis_find(&s->server.model, key->data, key->len);
    if (lock) check_keys(s, lock);
    if (lock) check_look(s, name, lock);
    if (lock && !guarded) check_woken(s, name, lock);
    check_truth(s, name);
}

/*
 * Behind the renewal of a lock that one client holds alone its key is watched; a change of the mode
 * ends that, and the renewal of one of several holders has not begun it.
 */
static void note_renewed(sim *s, const sim_message *m, int says)
{
    seen_token *token = &s->seen.tokens[m->token];
    const pawl__redis_bytes *key = &m->argv[3];
    if (m->verb == PAWL_VERB_CHANGE) token->renewed_at = 0;
    if (m->verb != PAWL_VERB_RENEW || says != PAWL__REDIS_SAYS_CONFIRMED) return;
    if (token->by_late_request) return;
    const model_lock *lock = model_redis_find(&s->server.model, key->data, key->len);
    token->renewed_at = lock && !lock->several ? s->t : 0;
}

static void note_executed(sim *s, const sim_message *m, int says, int name)
{
    seen_token *token = &s->seen.tokens[m->token];
    if (m->verb == PAWL_VERB_ACQUIRE || m->verb == PAWL_VERB_RENEW || m->verb == PAWL_VERB_CHANGE) {
        token->by_late_request = s->conns[m->conn].epoch != m->epoch;
        token->said_at = s->t;
    }
    note_renewed(s, m, says);
    if (m->verb == PAWL_VERB_ACQUIRE) executed_ask(s, m, name);
    if (m->verb == PAWL_VERB_CHANGE) check_change_executed(s, m, says);
    if (m->verb != PAWL_VERB_RELEASE) return;
    token->left_epoch = m->epoch;
    token->left_at = s->t;
    token->upgrade_till_ms = 0;
    if (says == PAWL__REDIS_SAYS_RELEASED) token->released = true;
}

void seen_executed(sim *s, const sim_message *m)
{
    const pawl__redis_value *value = &m->reply.value;
    int says = model_reply_says(&m->reply);
    if (s->seen.withdrew && says < 0) put_back(s, m->token);
    if (m->token < 0 || m->argc < 4) return;
    if (m->verb == PAWL_VERB_PUBLISH) return; /* it hands on nothing (rule 12) */
    /* A script that refuses by itself has served the queue. */
    bool said_no = value->type == PAWL__REDIS_ERROR && strncmp(value->text.data, "PAWL", 4) == 0;
    if (says < 0 && !said_no) return;
    int name = name_of_key(s, m->argv[3].data);
    if (says >= 0) note_executed(s, m, says, name);
    look(s, &m->argv[3], name, m->guarded);
}

void seen_broken(sim *s, int name)
{
    for (int i = 0; i < s->config.names; i++) {
        if (name >= 0 && name != i) continue;
        s->seen.names[i].broken_at = s->t;
        s->seen.names[i].broken_fence = s->seen.names[i].last_fence;
        s->seen.names[i].unguarded_at = s->t;
        s->seen.names[i].unguarded_fence = s->seen.names[i].last_fence;
    }
}

void seen_record_lost(sim *s, int name)
{
    check_values_lost(s, name);
    for (int i = 0; i < s->config.names; i++)
        if (name < 0 || name == i) s->seen.names[i].record_lost = true;
}

/* ---- Clients ---------------------------------------------------------------- */

/* Law 8: no client asks the store without a pause. */
static void check_pace(sim *s, const sim_client *client, const pawl_request *request, int number)
{
    seen_token *token = &s->seen.tokens[number];
    if (client->seen_now - token->window_at > request->ttl_ms * SIM_MS) {
        token->window_at = client->seen_now;
        token->asks = 0;
    }
    if (++token->asks > 40 + request->ttl_ms / 4)
        sim_fail(s, "storm", "client %d sends %d requests for one token within a ttl",
                 client->number, token->asks);
}

/* A request that failed is tried again after a twelfth of the ttl, unless there is news. */
static void check_pause(sim *s, const sim_client *client, const pawl_request *request, int number)
{
    const seen_token *token = &s->seen.tokens[number];
    if (!token->failed_at || token->failed_verb != (int)request->verb) return;
    bool another = request->verb == PAWL_VERB_CHANGE && request->change != token->failed_change;
    if (another || client->up_at >= token->failed_at) return;
    if (s->seen.pushed_at[client->number] >= token->failed_at) return;
    int64_t pause = request->ttl_ms * SIM_MS / 12, most = 2000 * SIM_MS;
    if (s->t - token->failed_at < (pause < most ? pause : most) / 2)
        sim_fail(s, "storm", "client %d tries again %.3f ms after a failure", client->number,
                 (double)(s->t - token->failed_at) / 1e6);
}

void seen_sent(sim *s, const sim_client *client, const pawl_request *request)
{
    int number = sim_token_number(s, request->token);
    if (number < 0) return;
    bool releases = request->verb == PAWL_VERB_RELEASE;
    if (releases && client->closing && s->seen.tokens[number].detached &&
        !s->seen.tokens[number].given_up && !s->seen.tokens[number].release_at)
        sim_fail(s, "truth", "client %d releases at its close what it was to leave behind",
                 client->number);
    if (releases && !s->seen.tokens[number].release_at) s->seen.tokens[number].release_at = s->t;
    check_pause(s, client, request, number);
    check_pace(s, client, request, number);
    s->seen.tokens[number].sent_change = request->change;
}

void seen_pushed(sim *s, int client)
{
    s->seen.pushed_at[client] = s->t;
}

void seen_cut_off(sim *s, int number)
{
    if (number >= 0) s->seen.tokens[number].cut_off_at = s->t;
}

void seen_answered(sim *s, int number, pawl_verb verb, const pawl_reply *reply)
{
    if (number >= 0 && (reply->outcome == PAWL_FAILED || reply->outcome == PAWL_UNKNOWN)) {
        s->seen.tokens[number].failed_at = s->t;
        s->seen.tokens[number].failed_verb = verb;
        s->seen.tokens[number].failed_change = s->seen.tokens[number].sent_change;
    }
    if (number >= 0 && verb == PAWL_VERB_ACQUIRE && reply->outcome == PAWL_QUEUED)
        s->seen.tokens[number].floor = reply->fence;
}

/* ---- Callers ---------------------------------------------------------------- */

void seen_wanted(sim *s, sim_caller *caller)
{
    const seen_name *name = &s->seen.names[caller->name];
    caller->seen = (seen_want){.open = true,
                               .asked_at = sim_client_now(s, &s->clients[caller->client]),
                               .floor = {0, SEEN_NOBODY},
                               .excuses = name->excuses};
    char mode = check_letter((pawl_mode)caller->want.mode);
    for (int i = 0; i < 4; i++)
        if (check_excludes(mode, check_letter((pawl_mode)i)) &&
            name->told[i].fence > caller->seen.floor.fence)
            caller->seen.floor = name->told[i];
    memcpy(caller->seen.floor_slots, name->told_slots, sizeof name->told_slots);
    s->seen.wants++;
}

static void must(sim *s, const sim_caller *caller, bool holds, const char *what)
{
    if (!holds) sim_fail(s, "completion", "caller %d: %s", caller->number, what);
}

void seen_granted(sim *s, sim_caller *caller, uint64_t fence, int token, int64_t deadline)
{
    must(s, caller, caller->seen.open, "granted, but nothing was wanted");
    must(s, caller, !caller->seen.granted, "granted twice");
    caller->seen.granted = true;
    caller->fence = fence;
    caller->token = token;
    caller->deadline = deadline;
    must(s, caller,
         sim_clock_read(&s->clients[caller->client].clock, s->t) < deadline ||
             s->config.algorithm != SIM_PAWL,
         "granted after its deadline (a dead grant)");
    if (s->config.algorithm == SIM_PAWL && token >= 0) {
        check_fence_told(s, caller);
        check_margin(s, caller);
        check_announced(s, caller);
        if (fence <= s->seen.tokens[token].floor) /* law 5 */
            sim_fail(s, "fence",
                     "caller %d is told of a grant that was over when its client "
                     "last asked",
                     caller->number);
        if (s->seen.tokens[token].grants++ > 0)
            check_passing(s, caller);
        else
            s->seen.tokens[token].told_at = s->t;
    }
    check_waited(s, caller);
    s->totals.grants++;
    s->totals.operations++;
}

void seen_extended(sim *s, sim_caller *caller, int64_t deadline)
{
    must(s, caller, caller->seen.granted && !caller->seen.lost && !caller->seen.releasing,
         "extended, but not holding");
    caller->deadline = deadline;
    seen_token *token = &s->seen.tokens[caller->token];
    if (deadline != token->extended_to) token->extensions++;
    token->extended_to = deadline;
    must(s, caller, token->extensions <= token->confirms,
         "extended more often than the store confirmed");
    check_margin(s, caller);
    check_announced(s, caller);
}

void seen_refused(sim *s, sim_caller *caller, pawl_err err)
{
    must(s, caller, caller->seen.open, "refused, but nothing was wanted");
    must(s, caller, !caller->seen.granted, "refused after a grant");
    must(s, caller, err != PAWL_OK, "refused without a reason");
    caller->seen.open = false;
    s->totals.operations++;
    const sim_client *client = &s->clients[caller->client];
    int64_t until = caller->waiting.wait_until;
    if (err == PAWL_ERR_TIMEOUT)
        must(s, caller, until != 0 && until != PAWL__NEVER && client->seen_now >= until,
             "timed out before its time");
    if (err == PAWL_ERR_INTERNAL || err == PAWL_ERR_PROTOCOL)
        sim_fail(s, "completion", "caller %d: refused with %s", caller->number, pawl_err_name(err));
}

void seen_lost(sim *s, sim_caller *caller, pawl_err err)
{
    must(s, caller, caller->seen.granted, "lost what it never had");
    must(s, caller, !caller->seen.lost, "told of a loss twice");
    /* A deadline that has passed counts before the release that notices it. */
    must(s, caller, !caller->seen.releasing || !caller->was_leaving, "lost what it had given back");
    caller->seen.lost = true;
    if (caller->token >= 0) s->seen.tokens[caller->token].given_up = true;
    check_steady(s, caller, err);
}

void seen_yielded(sim *s, sim_caller *caller)
{
    must(s, caller, caller->seen.granted && !caller->seen.lost, "told to yield what it has not");
    seen_token *token = &s->seen.tokens[caller->token];
    if (!token->awaited)
        sim_fail(s, "early-yield", "client %d tells its caller to yield, and nobody waits",
                 caller->client);
    if (token->yield_at < 0) token->yield_at = s->clients[caller->client].seen_now;
}

void seen_releasing(sim *s, sim_caller *caller)
{
    (void)s;
    caller->seen.releasing = true;
}

/* Law 4: one of released, lost, unknown; and the store agrees. */
static void check_release(sim *s, const sim_caller *caller, pawl_err err)
{
    if (!caller->await_store || !caller->was_leaving || caller->token < 0) return;
    bool released = s->seen.tokens[caller->token].released;
    if (err == PAWL_OK && !released)
        sim_fail(s, "truth", "caller %d: told that it released, the store never said so",
                 caller->number);
    if (err == PAWL_ERR_LOST && released && !caller->seen.lost)
        sim_fail(s, "truth", "caller %d: told that it was lost before, but its release was done",
                 caller->number);
}

void seen_released(sim *s, sim_caller *caller, pawl_err err)
{
    must(s, caller, caller->seen.open && caller->seen.granted, "released, but never granted");
    must(s, caller, caller->seen.releasing || s->clients[caller->client].closing,
         "released without having asked");
    caller->seen.open = false;
    s->totals.operations++;
    if (s->config.algorithm == SIM_PAWL) check_release(s, caller, err);
}

void seen_died(sim *s, sim_caller *caller)
{
    (void)s;
    caller->seen = (seen_want){0};
}

/* ---- After every step ------------------------------------------------------- */

/* Law 2: a caller whose deadline has passed has been told, if its program runs at all. */
static void check_told_of_loss(sim *s, const sim_caller *caller)
{
    if (caller->state != SIM_CALLER_HOLDING || !caller->seen.open) return;
    if (caller->deadline <= s->clients[caller->client].seen_now)
        sim_fail(s, "completion", "caller %d: its deadline has passed, it was not told",
                 caller->number);
}

/* Law 6: no call takes longer than its caller allowed, or than its client lives. */
static void check_in_time(sim *s, const sim_caller *caller)
{
    const sim_client *client = &s->clients[caller->client];
    if (caller->state != SIM_CALLER_WAITING || !caller->seen.open) return;
    if (client->closing)
        sim_fail(s, "completion", "caller %d: still waits after close", caller->number);
    int64_t until = caller->waiting.wait_until;
    if (until == 0) until = caller->seen.asked_at + SIM_UNREACHABLE_MS * SIM_MS;
    if (until != PAWL__NEVER && client->seen_now > until)
        sim_fail(s, "completion", "caller %d: still waits after its time-out", caller->number);
}

/* A break is told at once, not with the next renewal, if nothing is in the way. */
static void check_told_of_break(sim *s, const sim_caller *caller)
{
    if (caller->state != SIM_CALLER_HOLDING || caller->token < 0) return;
    int64_t since = s->seen.tokens[caller->token].cut_off_at;
    int64_t bound = 12 * s->config.delay_max_us * SIM_US + 2 * SIM_MS;
    if (!since || s->t <= since + bound || !seen_is_calm(s, caller->client, since)) return;
    if (s->config.tail_per_thousand || s->server.slow_by || !s->server.up) return;
    sim_fail(s, "broken", "caller %d was not told that its lock was broken %.3f ms ago",
             caller->number, (double)(s->t - since) / 1e6);
}

static void check_engine(sim *s, const sim_client *client)
{
    const char *broken = pawl__engine_check(client->engine);
    if (broken) sim_fail(s, "engine", "client %d: %s", client->number, broken);
}

/* An engine that was just told the time must ask for a later one: else its host spins. */
void seen_time_told(sim *s, const sim_client *client)
{
    if (!client->alive || pawl__engine_deadline(client->engine) > client->seen_now) return;
    sim_fail(s, "engine", "client %d: told the time, the engine wants it again", client->number);
}

void seen_step(sim *s, sim_client *client)
{
    if (!client->alive) return;
    bool engine = s->config.algorithm == SIM_PAWL;
    if (engine) check_engine(s, client);
    if (engine) check_step(s, client);
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++) {
        const sim_caller *caller = &s->callers[i];
        if (engine) check_in_time(s, caller);
        if (engine) check_told_of_loss(s, caller);
        if (engine) check_told_of_break(s, caller);
        if (engine) check_upgrade_in_time(s, caller);
        if (!seen_is_live(s, caller)) continue;
        check_overlap(s, caller);
        if (engine) check_truth(s, caller->name);
    }
    if (!engine || s->failed) return;
    check_forgotten(s, client);
    check_hoarding(s, client);
    check_believed(s, client);
    if (s->totals.events % 8 == 0) check_orphans(s, client);
}

void seen_end(sim *s)
{
    check_starved(s);
    if (s->config.algorithm != SIM_PAWL) return;
    check_nothing_left(s);
    check_cost(s);
}
