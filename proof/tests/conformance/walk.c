/* SPDX-License-Identifier: MIT */
/*
 * Random walks over a store, judged by the contract:
 *
 *     walk KIND MODULE|- [--seed N] [--seeds N] [--steps N] [--seconds N] [--lie NAME]
 *     walk KIND MODULE|- --lies       each lie must be found
 *
 * The seed decides each step; the steps lean towards the instants at which something
 * runs out. A violation prints the steps since its name was last at rest.
 */
#define _GNU_SOURCE
#include "walk.h"

#include "../support/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS          INT64_C(1000000)
#define PUSH_NS     (2000 * MS) /* a push comes within this, on a busy machine too */
#define KEEP_MS     3600000     /* longer than a walk */
#define HINTS_LOST  3           /* in one walk: that is no accident any more */
#define NEAR_NS     (150 * MS)  /* a boundary that is waited for */
#define LIE_SEEDS   40          /* in which a lie must be found */
#define REDIS_GRAIN (2 * MS) /* it counts in milliseconds, and reads its clock before it begins */
#define END_NS      (6000 * MS) /* an end that is waited for where leases linger */

typedef struct walk {
    stage *stage;
    const walk_lie *lie;
    uint64_t seed;
    unsigned step;
    int64_t zero;
    client *clients[WALK_CLIENTS];
    size_t heard[WALK_CLIENTS]; /* pushes */
    size_t yields[WALK_CLIENTS][WALK_NAMES][CONTRACT_TOKENS];
    walk_name names[WALK_NAMES];
    char *story[WALK_NAMES]; /* the timeline since the name was at rest */
    size_t story_size[WALK_NAMES];
    FILE *timeline[WALK_NAMES];
    int hints_lost;
    bool failed;
} walk;

/* What all walks have reached: printed, and it shows that they did something. */
static struct {
    uint64_t steps, asks, seeds;
    uint64_t outcomes[PAWL_UNKNOWN + 1];
    uint64_t together; /* requests under way at the same time */
    uint64_t unclear;  /* after which more than one story was left */
    uint64_t pushes, hints_lost, closes;
    int stories;
    bool queueless; /* then nothing is handed on or told, and time leaves less open */
} total;

static bool quiet; /* while lies are told */

/* ---- Drawing -------------------------------------------------------------------------- */

/* Each step has dice of its own: what a step decides does not hang on those before it. */
static dice dice_for(const walk *w, unsigned step)
{
    dice d = {.state = w->seed * UINT64_C(0x9e3779b97f4a7c15) + step};
    d.state = pawl__random_next(&d.state);
    return d;
}

/* ---- The timeline --------------------------------------------------------------------- */

static void timeline_begin(walk *w, int name)
{
    if (w->timeline[name]) fclose(w->timeline[name]);
    free(w->story[name]);
    w->timeline[name] = open_memstream(&w->story[name], &w->story_size[name]);
    CHECK(w->timeline[name] != NULL);
}

static FILE *line(walk *w, int name, int64_t at)
{
    fprintf(w->timeline[name], "%11.3f ms  step %-4u ", (double)(at - w->zero) / MS, w->step);
    return w->timeline[name];
}

static void violation(walk *w, int name, const char *what)
{
    if (w->failed) return;
    w->failed = true;
    if (quiet) return;
    fflush(w->timeline[name]);
    printf("VIOLATION: %s: %s\n%s  before that the store could be:\n", w->names[name].text, what,
           w->story[name]);
    contract_print(&w->names[name].contract, stdout, w->zero);
    printf("  again: walk %s MODULE --seed %" PRIu64 " --seeds 1 --steps %u\n",
           w->stage->kind->name, w->seed, w->step + 1);
}

static void write_ask(walk *w, int name, const contract_ask *ask)
{
    static const char *const verbs[PAWL_VERB_COUNT] = {"ACQUIRE", "RENEW", "RELEASE", "INSPECT",
                                                       "LIST",    "BREAK", "DOCTOR",  "CHANGE",
                                                       "PUBLISH", "READ"};
    const pawl_reply *reply = &ask->reply;
    FILE *out = line(w, name, ask->sent_at);
    fprintf(out, "c%d %s", ask->client, verbs[ask->verb]);
    if (ask->token >= 0) fprintf(out, " %s", contract_label(ask->token));
    if (ask->ttl_ms) fprintf(out, " ttl %d", (int)ask->ttl_ms);
    if (ask->flags & PAWL_ASK_QUEUE) fputs(" queue", out);
    if (ask->flags & PAWL_ASK_DETACHED) fputs(" detached", out);
    if (ask->fence) fprintf(out, " fence %" PRIu64, ask->fence);
    if (ask->value) fprintf(out, " value %d", ask->value);
    if (ask->value_fence) fprintf(out, " of fence %" PRIu64, ask->value_fence);
    fprintf(out, " -> %.3f ms %s", (double)(ask->answered_at - w->zero) / MS,
            outcome_name(reply->outcome));
    if (reply->fence) fprintf(out, " fence %" PRIu64, reply->fence);
    if (reply->waiting) fputs(" waiting", out);
    if (reply->outcome == PAWL_QUEUED) fprintf(out, " position %d", (int)reply->position);
    if (reply->outcome == PAWL_QUEUED || reply->outcome == PAWL_BUSY)
        fprintf(out, " holder_ms %d", (int)reply->holder_ms);
    if (reply->err) fprintf(out, " %s", pawl_err_name(reply->err));
    if (ask->row && ask->row->held)
        fprintf(out, ": %s holds for %d ms, fence %" PRIu64, ask->row->owner,
                (int)ask->row->remaining_ms, ask->row->fence);
    if (ask->row && !ask->row->held) fprintf(out, ": free, fence %" PRIu64, ask->row->fence);
    for (size_t i = 0; ask->row && i < ask->row->waiters_shown; i++)
        fprintf(out, ", %s waits", ask->row->waiters[i].owner);
    fputc('\n', out);
}

/* ---- Pushes --------------------------------------------------------------------------- */

static int name_of(const walk *w, const char *text)
{
    for (int i = 0; i < WALK_NAMES; i++)
        if (strcmp(w->names[i].text, text) == 0) return i;
    return -1;
}

static int token_of(const walk_name *name, const char *text)
{
    for (int i = 0; i < CONTRACT_TOKENS; i++)
        if (strcmp(name->tokens[i], text) == 0) return i;
    return -1;
}

static void hear(walk *w, int from, const seen_push *seen)
{
    static const char *const kinds[] = {"GRANT", "YIELD", "RECHECK"};
    int name = name_of(w, seen->name);
    int token = name >= 0 && seen->push.token ? token_of(&w->names[name], seen->token) : -1;
    pawl_push push = seen->push;
    total.pushes++;
    if (w->lie && w->lie->push && !w->lie->push(&push)) return;
    if (name < 0 || (push.kind != PAWL_PUSH_RECHECK && token < 0)) {
        violation(w, 0, "a push about nobody");
        return;
    }
    fprintf(line(w, name, seen->at), "c%d hears %s %s fence %" PRIu64 "%s\n", from,
            kinds[push.kind], token < 0 ? "" : contract_label(token), push.fence,
            push.waiting ? " waiting" : "");
    if (contract_asks_to_yield(&push)) w->yields[from][name][token]++;
    if (!contract_heard(&w->names[name].contract, from, token, &push, seen->at))
        violation(w, name, "a push of a grant that was not made");
}

static void hear_all(walk *w)
{
    const seen_push *seen;
    for (int i = 0; i < WALK_CLIENTS; i++)
        while (w->clients[i] && (seen = client_push(w->clients[i], w->heard[i]))) {
            w->heard[i]++;
            hear(w, i, seen);
        }
}

/* Runs the loop up to the instant; the last part in small turns. */
static void pass_until(walk *w, int64_t instant)
{
    for (int64_t left; !w->failed && (left = instant - host_now()) > 0;) {
        test_loop_for(w->stage->loop, left > 3 * MS ? left / MS - 2 : 0);
        hear_all(w);
    }
}

/* ---- Asking --------------------------------------------------------------------------- */

static pawl_request request_of(walk_name *name, const contract_ask *ask)
{
    snprintf(name->value_text, sizeof(name->value_text), "%d", ask->value);
    return (pawl_request){.verb = ask->verb,
                          .flags = ask->flags,
                          .name = name->text,
                          .name_len = strlen(name->text),
                          .token = ask->token >= 0 ? name->tokens[ask->token] : NULL,
                          .owner = ask->token >= 0 ? contract_label(ask->token) : "nobody",
                          .ttl_ms = ask->ttl_ms,
                          .fence = ask->fence,
                          .value = name->value_text,
                          .value_len = strlen(name->value_text),
                          .keep_ms = KEEP_MS,
                          .publication = ask->number};
}

pawl_outcome walk_ask_unseen(walk_name *name, const walk_ask *ask)
{
    pawl_request request = request_of(name, &ask->seen);
    return client_ask(ask->client, &request)->reply.outcome;
}

static uint64_t submit(walk *w, walk_ask *ask)
{
    walk_ask sent = *ask;
    walk_name *name = &w->names[ask->name];
    if (w->lie && w->lie->before) w->lie->before(name, &sent);
    pawl_request request = request_of(name, &sent.seen);
    return client_submit(ask->client, &request);
}

/* What the lies are made from. */
static void remember(walk_name *name, const walk_ask *ask)
{
    pawl_outcome outcome = ask->seen.reply.outcome;
    int token = ask->seen.token;
    if (ask->seen.verb == PAWL_VERB_PUBLISH) {
        if (outcome != PAWL_CONFIRMED) return;
        name->value_before = name->value;
        name->value = ask->seen.value;
        return;
    }
    if (token >= 0 && outcome != PAWL_REPORTED) name->waits[token] = outcome == PAWL_QUEUED;
    if (outcome == PAWL_QUEUED) name->queued[token] = *ask;
    if (outcome != PAWL_GRANTED || ask->seen.reply.fence == name->fence) return;
    name->fence_before = name->fence;
    name->fence = ask->seen.reply.fence;
}

static void receive(walk *w, walk_ask *ask, uint64_t id, pawl_info *row)
{
    const seen_reply *answer = client_await(ask->client, id);
    walk_name *name = &w->names[ask->name];
    const pawl_info *said = client_row(ask->client, id, 0);
    ask->seen.reply = answer->reply;
    ask->seen.sent_at = answer->sent_at;
    ask->seen.answered_at = answer->answered_at;
    ask->seen.row = NULL;
    if (answer->reply.value && answer->reply.value->fence) {
        ask->seen.value = atoi(answer->reply.value->bytes);
        ask->seen.value_fence = answer->reply.value->fence;
    }
    if (said) {
        *row = *said;
        if (w->lie && w->lie->row) w->lie->row(row);
        ask->seen.row = row;
    }
    if (w->lie && w->lie->after) w->lie->after(name, ask);
    remember(name, ask);
    total.asks++;
    total.outcomes[ask->seen.reply.outcome]++;
}

static int64_t wall_minus_ours(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec - host_now();
}

static void note_rest(walk *w, int name)
{
    contract *c = &w->names[name].contract;
    if (c->count > 1) total.unclear++;
    if (c->most > total.stories) total.stories = c->most;
    if (!contract_at_rest(c) || c->count > 1) return;
    timeline_begin(w, name);
    fprintf(line(w, name, host_now()), "at rest, largest fence %" PRIu64 "\n", contract_fence(c));
}

static void ask_together(walk *w, walk_ask *asks, int count);

/* Rule 7: a hint may be lost. Then who missed it finds the same by asking. */
static void miss_hint(walk *w, int name, walk_ask *ask, const char *what)
{
    fprintf(line(w, name, host_now()), "c%d misses a push: %s\n", ask->seen.client, what);
    total.hints_lost++;
    if (++w->hints_lost == HINTS_LOST)
        violation(w, name, what);
    else
        ask_together(w, ask, 1);
}

static void await_grant(walk *w, int name)
{
    const contract *c = &w->names[name].contract;
    int from, token;
    int64_t until = host_now() + (quiet ? PUSH_NS / 10 : PUSH_NS);
    while (!w->failed && contract_owes_grant(c, &from, &token)) {
        pass_until(w, host_now() + MS / 10);
        if (host_now() < until) continue;
        walk_ask ask = {.client = w->clients[from],
                        .name = name,
                        .seen = {.verb = PAWL_VERB_ACQUIRE,
                                 .flags = PAWL_ASK_QUEUE | detached_for_good(w->stage, token),
                                 .client = from,
                                 .token = token,
                                 .ttl_ms = LONG_MS}};
        miss_hint(w, name, &ask, "the new holder was not told");
        return;
    }
}

static void await_yield(walk *w, int name, const size_t *heard_before, int from, int token)
{
    bool may_be_late = w->stage->kind->looks_for_waiters;
    int64_t until = host_now() + (quiet || may_be_late ? PUSH_NS / 10 : PUSH_NS);
    while (!w->failed && w->yields[from][name][token] == *heard_before) {
        pass_until(w, host_now() + MS / 10);
        if (host_now() < until) continue;
        if (may_be_late) return;
        walk_ask ask = {
            .client = w->clients[from],
            .name = name,
            .seen = {.verb = PAWL_VERB_RENEW, .client = from, .token = token, .ttl_ms = LONG_MS}};
        miss_hint(w, name, &ask, "the holder was not asked to yield");
        return;
    }
}

/* All at once, about one name. */
static void ask_together(walk *w, walk_ask *asks, int count)
{
    int name = asks[0].name, from, token;
    contract *c = &w->names[name].contract;
    uint64_t ids[CONTRACT_TOGETHER_MAX];
    pawl_info rows[CONTRACT_TOGETHER_MAX];
    contract_ask seen[CONTRACT_TOGETHER_MAX];
    size_t yields[WALK_CLIENTS][CONTRACT_TOKENS];
    for (int i = 0; i < WALK_CLIENTS; i++) memcpy(yields[i], w->yields[i][name], sizeof(yields[i]));
    for (int i = 0; i < count; i++) ids[i] = submit(w, &asks[i]);
    for (int i = 0; i < count; i++) client_flush(asks[i].client);
    for (int i = 0; i < count; i++) receive(w, &asks[i], ids[i], &rows[i]);
    for (int i = 0; i < count; i++) {
        seen[i] = asks[i].seen;
        write_ask(w, name, &seen[i]);
    }
    if (count > 1) total.together += (uint64_t)count;
    c->wall_ns = wall_minus_ours();
    if (!contract_answered(c, seen, count)) {
        violation(w, name,
                  count > 1 ? "no order of these requests gives these answers"
                            : "the contract allows no such answer");
        return;
    }
    bool owes_yield = contract_owes_yield(c, &from, &token);
    hear_all(w);
    if (owes_yield) await_yield(w, name, &yields[from][token], from, token);
    await_grant(w, name);
    if (!w->failed) note_rest(w, name);
}

static bool has(walk *w, store_trait trait)
{
    return has_trait(w->clients[0], trait);
}

/* Every name, in one LIST. */
static void list(walk *w, int from)
{
    if (!has(w, TRAIT_LIST)) return;
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "walk %" PRIu64 "/", w->seed);
    pawl_request request = ask_list(prefix);
    const seen_reply *answer = client_ask(w->clients[from], &request);
    uint64_t id = answer->reply.id;
    size_t known = 0;
    for (int i = 0; i < WALK_NAMES; i++) {
        const pawl_info *said = client_row_named(w->clients[from], id, w->names[i].text);
        contract_ask seen = {.verb = PAWL_VERB_LIST,
                             .client = from,
                             .token = -1,
                             .sent_at = answer->sent_at,
                             .answered_at = answer->answered_at,
                             .reply = answer->reply,
                             .row = said};
        known += said != NULL;
        write_ask(w, i, &seen);
        if (!contract_answered(&w->names[i].contract, &seen, 1))
            violation(w, i, "the list says what the contract does not allow");
    }
    if (client_row_count(w->clients[from], id) != known)
        violation(w, 0, "the list has names that nobody asked for");
    total.asks++;
    total.outcomes[answer->reply.outcome]++;
}

/* ---- Steps ---------------------------------------------------------------------------- */

static void write_everywhere(walk *w, const char *text, int who)
{
    for (int i = 0; i < WALK_NAMES; i++) fprintf(line(w, i, host_now()), "c%d %s\n", who, text);
}

static void close_client(walk *w, int who)
{
    hear_all(w);
    if (!w->clients[who]) return;
    write_everywhere(w, "closes", who);
    range when = {.lo = host_now()};
    client_close(w->clients[who]);
    when.hi = host_now();
    w->clients[who] = NULL;
    for (int i = 0; i < WALK_NAMES; i++) contract_closed(&w->names[i].contract, who, when);
    total.closes++;
}

static void open_client(walk *w, int who)
{
    char owner[16];
    snprintf(owner, sizeof(owner), "c%d", who);
    w->clients[who] = client_up(w->stage->loop, &w->stage->address, owner);
    w->heard[who] = 0;
    write_everywhere(w, "opens", who);
}

/* To just before, at or after the next instant at which something may run out. */
static void go_to_boundary(walk *w, dice *d)
{
    static const int64_t offsets[] = {-2 * MS, -MS / 5, 0, MS / 20, MS / 2, 2 * MS};
    int64_t offset = offsets[below(d, 6)], next = 0, now = host_now();
    for (int i = 0; i < WALK_NAMES; i++) {
        int64_t at = contract_boundary(&w->names[i].contract, now);
        if (at && (!next || at < next)) next = at;
    }
    if (next && next - now < NEAR_NS) pass_until(w, next + offset);
}

/* Where it is not known when a lease ends: to where it surely has. */
static void go_to_end(walk *w, int name)
{
    int64_t end = contract_end(&w->names[name].contract);
    if (end && end - host_now() < END_NS) pass_until(w, end + MS);
}

static pawl_verb draw_verb(walk *w, dice *d)
{
    static const struct {
        int below;
        pawl_verb verb;
    } shares[] = {{50, PAWL_VERB_ACQUIRE}, {62, PAWL_VERB_RENEW}, {78, PAWL_VERB_RELEASE},
                  {86, PAWL_VERB_INSPECT}, {91, PAWL_VERB_BREAK}, {96, PAWL_VERB_PUBLISH},
                  {100, PAWL_VERB_READ}};
    int n = below(d, 100), i = 0;
    while (n >= shares[i].below) i++;
    if (shares[i].verb >= PAWL_VERB_PUBLISH && !has(w, TRAIT_VALUES)) return PAWL_VERB_INSPECT;
    return shares[i].verb;
}

/* Where a request has several steps, a lease that ends between two of them tells the model nothing
 * that it could judge: so most leases outlive a request there, also on a busy machine. */
#define OF_STEPS 8

static int64_t draw_ttl(const walk *w, dice *d)
{
    static const int64_t ttls[] = {10, 12,  15,      20,      30,      40,
                                   60, 100, LONG_MS, LONG_MS, LONG_MS, LONG_MS};
    int64_t ttl_ms = ttls[below(d, sizeof(ttls) / sizeof(ttls[0]))];
    return ttl_ms < LONG_MS && w->stage->kind->in_steps ? OF_STEPS * ttl_ms : ttl_ms;
}

static walk_ask draw_ask(walk *w, dice *d, int name)
{
    const contract *c = &w->names[name].contract;
    pawl_verb verb = draw_verb(w, d);
    int token = below(d, CONTRACT_TOKENS), who = below(d, 5), stranger = below(d, WALK_CLIENTS);
    bool of_holder = below(d, 100) < 60, queue = below(d, 100) < 75, detached = below(d, 100) < 15;
    int64_t ttl_ms = draw_ttl(w, d);
    int fence_off = below(d, 4) - 2;

    if (of_holder && verb != PAWL_VERB_ACQUIRE && contract_holder(c) >= 0)
        token = contract_holder(c);
    bool own = who || w->stage->kind->in_session; /* nobody else may keep it there */
    if (w->stage->kind->in_session) detached = detached_for_good(w->stage, token) != 0;
    int from = own ? token % WALK_CLIENTS : stranger;
    walk_ask ask = {.client = w->clients[from],
                    .name = name,
                    .seen = {.verb = verb, .client = from, .token = token}};
    if (verb == PAWL_VERB_ACQUIRE)
        ask.seen.flags = (queue ? PAWL_ASK_QUEUE : 0) | (detached ? PAWL_ASK_DETACHED : 0);
    if (verb == PAWL_VERB_ACQUIRE || verb == PAWL_VERB_RENEW) ask.seen.ttl_ms = ttl_ms;
    if (verb == PAWL_VERB_PUBLISH) {
        int count = ++w->names[name].published;
        ask.seen.value = count;
        ask.seen.number = (uint64_t)(count % 2 ? count : count - 1); /* half come late, or again */
    }
    if (verb == PAWL_VERB_READ) ask.seen.token = -1;
    if (verb == PAWL_VERB_BREAK) {
        ask.seen.token = -1;
        ask.seen.fence = contract_fence(c) + (fence_off == 1 ? 1 : fence_off == -1 ? -1 : 0);
    }
    return ask;
}

static void step_asks(walk *w, dice *d)
{
    walk_ask asks[CONTRACT_TOGETHER_MAX];
    int n = below(d, 100), name = below(d, WALK_NAMES);
    int count = n < 70 ? 1 : n < 90 ? 2 : CONTRACT_TOGETHER_MAX;
    if (below(d, 100) < 30) go_to_boundary(w, d);
    for (int i = 0; i < count; i++) {
        asks[i] = draw_ask(w, d, name);
        if (!w->stage->kind->in_steps) continue;
        if (w->stage->kind->in_session && asks[i].client != asks[0].client) count = i;
        asks[i].client = asks[0].client; /* whose requests come one after the other */
        asks[i].seen.client = asks[0].seen.client;
    }
    if (!w->failed) ask_together(w, asks, count);
}

static void step_closes(walk *w, dice *d, bool all)
{
    int one = below(d, WALK_CLIENTS), pause = below(d, 3) * 5;
    for (int i = 0; i < WALK_CLIENTS; i++)
        if (all || i == one) close_client(w, i);
    if (pause) test_loop_for(w->stage->loop, pause);
    for (int i = 0; i < WALK_CLIENTS; i++)
        if (!w->clients[i]) open_client(w, i);
}

static void take_step(walk *w)
{
    dice d = dice_for(w, w->step);
    int n = below(&d, 100);
    /* The memory store lives as long as one of its clients. */
    bool keeps = w->stage->kind != &kind_memory;
    if (n < 1 && client_caps(w->clients[0])->linger_ms) {
        go_to_end(w, below(&d, WALK_NAMES));
    } else if (n < 8) {
        go_to_boundary(w, &d);
    } else if (n < 12) {
        pass_until(w, host_now() + below(&d, 15) * MS);
    } else if (n < 17) {
        list(w, below(&d, WALK_CLIENTS));
    } else if (n < 21) {
        step_closes(w, &d, keeps && below(&d, 4) == 0);
    } else {
        step_asks(w, &d);
    }
    hear_all(w);
    total.steps++;
}

/* ---- One walk ------------------------------------------------------------------------- */

static void begin(walk *w)
{
    w->zero = host_now();
    for (int i = 0; i < WALK_NAMES; i++) {
        walk_name *name = &w->names[i];
        snprintf(name->text, sizeof(name->text), "walk %" PRIu64 "/%c", w->seed, 'a' + i);
        for (int k = 0; k < CONTRACT_TOKENS; k++)
            snprintf(name->tokens[k], sizeof(name->tokens[k]), "%016" PRIx64 "%016x%08x", w->seed,
                     (unsigned)i, (unsigned)k);
        timeline_begin(w, i);
    }
    for (int i = 0; i < WALK_CLIENTS; i++) open_client(w, i);
    const pawl_caps *caps = client_caps(w->clients[0]);
    /* A wall clock may be slewed during a walk; a clock of whole seconds is behind. */
    contract_store store = {.grain_ns = w->stage->kind == &kind_redis ? REDIS_GRAIN : 0,
                            .fence_us = caps->linger_ms ? 4000000 : 1000000,
                            .linger_ns = caps->linger_ms * MS,
                            .in_steps = w->stage->kind->in_steps,
                            .instant_release = caps->instant_release || w->stage->kind->in_session,
                            .queues = caps->fair,
                            .all_hear = w->stage->kind->all_hear,
                            .leaves = w->stage->kind->leaves_on_close};
    if (w->stage->kind->counts_fences) store.fence_us = INT64_MAX / 4; /* no clock is in them */
    total.queueless = !store.queues;
    for (int i = 0; i < WALK_NAMES; i++) contract_init(&w->names[i].contract, store);
}

/* Everything is looked at once more, then let go by every token; then nothing is left. */
static void come_to_rest(walk *w)
{
    list(w, 0);
    for (int name = 0; name < WALK_NAMES && !w->failed; name++) {
        walk_ask ask = {.client = w->clients[0], .name = name};
        ask.seen.token = -1;
        ask.seen.verb = PAWL_VERB_INSPECT;
        ask_together(w, &ask, 1);
        ask.seen.verb = PAWL_VERB_RELEASE;
        for (int token = 0; token < CONTRACT_TOKENS && !w->failed; token++) {
            ask.seen.token = token;
            ask_together(w, &ask, 1);
        }
        if (!w->failed && !contract_at_rest(&w->names[name].contract))
            violation(w, name, "something is left when all have let go");
    }
    if (!w->failed) list(w, 0);
}

static void end(walk *w)
{
    for (int i = 0; i < WALK_CLIENTS; i++) client_close(w->clients[i]);
    for (int i = 0; i < WALK_NAMES; i++) {
        contract_free(&w->names[i].contract);
        fclose(w->timeline[i]);
        free(w->story[i]);
    }
    free(w);
}

/* False: the contract was broken. */
static bool walk_once(stage *s, uint64_t seed, unsigned steps, const walk_lie *lie)
{
    walk *w = calloc(1, sizeof(*w));
    CHECK(w != NULL);
    w->stage = s;
    w->seed = seed;
    w->lie = lie;
    begin(w);
    for (w->step = 0; w->step < steps && !w->failed; w->step++) take_step(w);
    if (!w->failed) come_to_rest(w);
    bool kept = !w->failed;
    end(w);
    total.seeds++;
    return kept;
}

/* ---- The program ---------------------------------------------------------------------- */

/* Walks in which something never happened would show nothing about it. */
static bool was_no_idle_walk(void)
{
    static const pawl_outcome wanted[] = {PAWL_GRANTED,   PAWL_QUEUED,   PAWL_BUSY,
                                          PAWL_CONFIRMED, PAWL_RELEASED, PAWL_LEFT,
                                          PAWL_NOT_OWNER, PAWL_REPORTED};
    bool all = total.closes && total.together;
    if (!total.queueless) all = all && total.unclear && total.pushes;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        printf("%s%s %" PRIu64, i ? ", " : "  ", outcome_name(wanted[i]),
               total.outcomes[wanted[i]]);
        all = all && total.outcomes[wanted[i]];
    }
    printf("\n  pushes %" PRIu64 ", missed %" PRIu64 ", closes %" PRIu64 ", together %" PRIu64
           ", unclear %" PRIu64 ", stories at most %d\n",
           total.pushes, total.hints_lost, total.closes, total.together, total.unclear,
           total.stories);
    if (!all) puts("too idle: something never happened");
    return all;
}

static bool walk_many(stage *s, const walk_options *o)
{
    int64_t until = host_now() + (int64_t)o->seconds * 1000 * MS;
    bool kept = true;
    for (uint64_t seed = o->seed; kept; seed++) {
        if (o->seconds ? host_now() > until : seed >= o->seed + o->seeds) break;
        kept = walk_once(s, seed, (unsigned)o->steps, o->lie);
    }
    printf("walk %s: %" PRIu64 " seeds from %" PRIu64 ", %" PRIu64 " steps, %" PRIu64
           " requests: %s\n",
           s->kind->name, total.seeds, o->seed, total.steps, total.asks,
           kept ? "the contract was kept" : "VIOLATION");
    return kept && (o->seeds == 1 || was_no_idle_walk());
}

/* Each must be found. */
static bool tell_lies(stage *s, const walk_options *o)
{
    bool all = true;
    quiet = true;
    for (size_t i = 0; i < walk_lie_count; i++) {
        uint64_t seed = o->seed;
        while (seed < o->seed + LIE_SEEDS && walk_once(s, seed, (unsigned)o->steps, &walk_lies[i]))
            seed++;
        bool found = seed < o->seed + LIE_SEEDS;
        printf("%s %-34s seed %" PRIu64 "  %s\n", found ? "found " : "MISSED", walk_lies[i].name,
               seed, walk_lies[i].what);
        fflush(stdout);
        all = all && found;
    }
    return all;
}

int main(int argc, char **argv)
{
    static stage the_stage;
    stage *s = &the_stage;
    void *state;
    if (argc < 3) return 64;
    walk_options o = {.seed = 1, .seeds = 6, .steps = 100};
    walk_read_options(&o, argc, argv);
    stage_choose(s, argv[1], argv[2]);
    stage_begin(&state);
    s->loop = test_loop_new();
    bool good = o.lies ? tell_lies(s, &o) : walk_many(s, &o);
    test_loop_free(s->loop);
    stage_end(&state);
    return good ? 0 : 1;
}
