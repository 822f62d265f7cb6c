/* SPDX-License-Identifier: MIT */
/* Faults: a numbered list from the configuration, each begun, most of them ended. */
#include "../../src/base/mutant.h"
#include "../../src/stores/redis/redis_scripts.h"
#include "sim.h"

#include <inttypes.h>
#include <string.h>

#define KEY_MAX 64

void sim_nemesis_plan(sim *s)
{
    for (int i = 0; i < s->config.fault_count; i++) {
        sim_fault *fault = &s->config.faults[i];
        s->fault_rng[i] = sim_rng_make(s->config.seed, (unsigned)i, SIM_RNG_FAULT);
        if (fault->target >= s->config.clients) fault->skipped = true;
        if (fault->at_us >= s->config.heal_ms * 1000) fault->skipped = true;
        if (!fault->skipped) sim_at(s, fault->at_us * SIM_US, SIM_EV_FAULT, i, 0);
    }
}

static void touch_all(sim *s, int64_t until)
{
    for (int i = 0; i < s->config.clients; i++) sim_touch(s, i, until);
}

static void hold(sim_conn *conn, bool up, bool down, int64_t until)
{
    if (up && conn->hold_up < until) conn->hold_up = until;
    if (down && conn->hold_down < until) conn->hold_down = until;
}

/* ---- The network of one client: connections are numbered like clients -------------------- */

static void slow(sim *s, const sim_fault *f, int64_t until)
{
    s->conns[f->target].slow_until = until;
    s->conns[f->target].slow_by = f->value % (s->config.ttl_ms * 1000) * SIM_US;
}

static void cut(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_conn_reset(s, f->target);
}

static void fall_silent(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    s->conns[f->target].dead = true;
}

static void lose_pushes(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    s->conns[f->target].lossy = true;
}

static void keep_pushes(sim *s, const sim_fault *f)
{
    s->conns[f->target].lossy = false;
}

static void stuff(sim *s, const sim_fault *f, int64_t until)
{
    sim_conn *conn = &s->conns[f->target];
    conn->stuffed_until = until;
    conn->stuffed_room = (int)(f->value / 2 % 3);
    conn->stuffed_half = f->value & 1;
}

static void unstuff(sim *s, const sim_fault *f)
{
    s->conns[f->target].stuffed_until = 0;
    if (s->clients[f->target].alive) sim_link_flush(s, &s->clients[f->target]);
}

static void hold_replies(sim *s, const sim_fault *f, int64_t until)
{
    hold(&s->conns[f->target], false, true, until);
}

static void hold_requests(sim *s, const sim_fault *f, int64_t until)
{
    hold(&s->conns[f->target], true, false, until);
}

static void partition(sim *s, const sim_fault *f, int64_t until)
{
    hold(&s->conns[f->target], true, true, until);
}

/* ---- A client ------------------------------------------------------------------------------ */

static void crash_client(sim *s, const sim_fault *f, int64_t until)
{
    if (f->value & 1) s->conns[f->target].dead = true; /* the machine closes nothing */
    sim_client_crash(s, &s->clients[f->target], until);
}

static void close_client(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_client_close(s, &s->clients[f->target]);
    sim_client_after_event(s, &s->clients[f->target]);
}

static void pause_client(sim *s, const sim_fault *f, int64_t until)
{
    sim_client *client = &s->clients[f->target];
    if (!client->alive || client->paused_until >= until) return;
    sim_touch(s, f->target, until);
    client->paused_until = until;
    if (PAWL_MUTANT(clock_stops_in_suspend)) sim_clock_step(&client->clock, s->t, s->t - until);
    /* Bytes that came meanwhile are read in the order in which the loop finds the sockets. */
    s->conns[f->target].resume_skew = (f->value & 1) * 50 * SIM_US;
}

/* ---- Other hands at the store -----------------------------------------------------------------
 */

static void evict(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_rng *rng = &s->fault_rng[f - s->config.faults];
    if (!s->server.model.count) return;
    if (s->config.watch && f->value & 16) { /* before the holder can have it tracked again */
        s->server.delete_behind_renewal = true;
        return;
    }
    int number = (int)sim_below(rng, (int64_t)s->server.model.count);
    model_lock *lock = &s->server.model.locks[number];
    int name = 0;
    for (int i = 0; i < s->config.names; i++)
        if (strstr(lock->key, sim_names[i])) name = i;
    if (f->value & 1) sim_tracked_delete(s, lock, name);
    if (f->value & 2) lock->recorded = false;
    if (f->value & 2) seen_record_lost(s, name);
    if (f->value & 4) lock->place_count = 0;
    if (f->value & 8) lock->waiter_count = 0;
    seen_queue_lost(s, name);
    SIM_REACHED(s, state_lost);
}

/* The name's key. Before another program changes it, the checkers are told. */
static int prepare_by_hand(sim *s, const sim_fault *f, char ret_key[KEY_MAX])
{
    int name = (int)(f->value % s->config.names);
    s->server.model.now_us = sim_server_now_us(s);
    seen_tampered(s, name);
    s->seen.asker = s->seen.unheard = s->seen.speaker = SEEN_NOBODY;
    return snprintf(ret_key, KEY_MAX, "%s%s", PAWL__REDIS_PREFIX_DEFAULT, sim_names[name]);
}

static void take_as_foreigner(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    char key[KEY_MAX], value[24];
    int len = prepare_by_hand(s, f, key);
    sim_message *m = sim_message_new(s, SIM_WORD_COMMAND);
    snprintf(value, sizeof value, "%" PRId64, f->for_us / 1000 + 1);
    pawl__redis_bytes argv[] = {{"SET", 3}, {key, (size_t)len},     {"foreign", 7},
                                {"PX", 2},  {value, strlen(value)}, {"NX", 2}};
    sim_tracked_before(s);
    model_redis_command(&s->server.model, sim_server_now_us(s), argv, 6, &m->reply);
    sim_tracked_after(s, NULL);
    if (m->reply.value.type == PAWL__REDIS_STATUS) SIM_REACHED(s, foreign_holder);
    /* It came before the waiters: that is allowed, because it is not pawl. */
    sim_message_free(s, m);
}

/* One of those who hold; false: nobody of ours. */
static bool choose_holder(const sim *s, const sim_fault *f, const model_lock *lock,
                          model_hold *ret_hold)
{
    size_t at = 0;
    model_hold hold;
    bool found = false;
    if (!lock->recorded) return false;
    for (int64_t i = f->value / 7 % 4; i >= 0; i--) {
        if (!model_next_hold(lock, s->server.model.now_us / 1000, &at, &hold)) break;
        if (sim_token_number(s, hold.token) < 0) return false;
        *ret_hold = hold;
        found = true;
    }
    return found;
}

/* `pawl break` is a client like the others. */
static pawl__redis_script script_of_break(const sim *s)
{
    char run[MODEL_RUN_MAX];
    bool strict = s->config.guard == PAWL__REDIS_GUARD_ON;
    if (s->config.guard == PAWL__REDIS_GUARD_OFF) return PAWL__REDIS_BREAK;
    snprintf(run, sizeof run, "run%d", s->server.run);
    return model_guard_is_active(&s->server.model, run, strict) ? PAWL__REDIS_BREAK_GUARDED
                                                                : PAWL__REDIS_BREAK;
}

static void break_by_hand(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    char key[KEY_MAX];
    int len = prepare_by_hand(s, f, key);
    const model_lock *lock = model_redis_find(&s->server.model, key, (size_t)len);
    model_hold hold;
    if (!lock || !choose_holder(s, f, lock, &hold)) return;
    int token = sim_token_number(s, hold.token);
    if (lock->several) SIM_REACHED(s, reader_broken);
    sim_message *m = sim_message_new(s, SIM_WORD_COMMAND);
    pawl__redis_space space = s->clients[0].space;
    pawl_request request = {.verb = PAWL_VERB_BREAK,
                            .fence = hold.fence,
                            .name = sim_names[f->value % s->config.names]};
    request.name_len = strlen(request.name);
    pawl__redis_call call;
    (void)pawl__redis_encode(&space, &request, &call);
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX], sha = {NULL, 40};
    pawl__redis_script script = script_of_break(s);
    sha.data = pawl__redis_scripts[script].sha1;
    size_t argc = pawl__redis_call_argv(&call, sha, true, argv);
    seen_broken(s, (int)(f->value % s->config.names));
    s->server.model.scripts_known |= 1u << script;
    s->t++; /* what the break grants comes after it */
    if (!lock->several && strcmp(lock->rec_token, lock->token) != 0) token = SEEN_NOBODY;
    sim_tracked_before(s);
    model_redis_command(&s->server.model, sim_server_now_us(s), argv, argc, &m->reply);
    sim_tracked_after(s, NULL);
    if (model_reply_says(&m->reply) == PAWL__REDIS_SAYS_RELEASED) seen_cut_off(s, token);
    SIM_REACHED(s, broken_by_hand);
    sim_message_free(s, m);
}

/* ---- Clocks -------------------------------------------------------------------------------- */

/* Timers follow their clock. */
static void arm_anew(sim *s)
{
    for (int i = 0; i < s->config.clients; i++) {
        sim_client *client = &s->clients[i];
        client->link.armed_at = PAWL__NEVER;
        client->timer_at = -1;
        sim_link_arm(s, client);
        sim_client_after_event(s, client);
    }
}

static int64_t step_of(const sim *s, const sim_fault *f)
{
    return f->value % (s->config.ttl_ms * 3000) * SIM_US;
}

static void set_client_rate(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_clock_set_rate(&s->clients[f->target].clock, s->t, f->value % 18001 - 9000);
    if (PAWL_MUTANT(clock_of_the_wall))
        sim_clock_step(&s->clients[f->target].clock, s->t, -f->for_us * SIM_US);
    arm_anew(s);
}

/* NTP slews by up to 8.3 %. */
static void set_server_rate(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_clock_set_rate(&s->server.wall, s->t, f->value % 90001 - 9000);
    arm_anew(s);
}

static void drift(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_clock_set_rate(&s->clients[f->target].clock, s->t, -(f->value % 500000));
    s->seen.drifted = true;
    arm_anew(s);
}

static void step_forward(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    seen_broken(s, -1);
    sim_clock_step(&s->server.wall, s->t, step_of(s, f));
    seen_stepped(s, step_of(s, f));
    arm_anew(s);
}

static void step_back(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    seen_places_over(s);
    s->seen.went_back = true;
    sim_clock_step(&s->server.wall, s->t, -step_of(s, f));
    arm_anew(s);
}

/* ---- The server ---------------------------------------------------------------------------- */

static void pause_server(sim *s, const sim_fault *f, int64_t until)
{
    (void)f;
    s->server.paused_until = until;
}

static void slow_server(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    s->server.slow_by = f->value % (s->config.ttl_ms * 20) * SIM_US;
}

static void hurry_server(sim *s, const sim_fault *f)
{
    (void)f;
    s->server.slow_by = 0;
}

static void flush_scripts(sim *s, const sim_fault *f, int64_t until)
{
    (void)f;
    (void)until;
    s->server.model.scripts_known = 0;
}

/* Once more, on the same connections. */
static void flush_scripts_again(sim *s, const sim_fault *f)
{
    flush_scripts(s, f, s->t);
}

/* The other algorithms would stay on a replica for ever. */
static void switch_over(sim *s, const sim_fault *f, int64_t until)
{
    (void)f;
    (void)until;
    if (s->config.algorithm == SIM_PAWL) sim_server_switch_over(s);
}

static void fill(sim *s, const sim_fault *f, int64_t until)
{
    (void)f;
    (void)until;
    s->server.model.refusal = MODEL_FULL;
}

static void refuse_writes(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    s->server.model.refusal = f->value & 1 ? MODEL_MISCONF : MODEL_READONLY;
}

static void load(sim *s, const sim_fault *f, int64_t until)
{
    (void)f;
    (void)until;
    s->server.model.refusal = MODEL_LOADING;
}

static void serve_again(sim *s, const sim_fault *f)
{
    (void)f;
    s->server.model.refusal = MODEL_WELL;
}

static void crash_server(sim *s, const sim_fault *f, int64_t until)
{
    sim_server_crash(s, f->kind, until);
}

/* The replica's clock is its own. */
static void fail_over(sim *s, const sim_fault *f, int64_t until)
{
    (void)until;
    sim_server_crash(s, f->kind, s->t + f->for_us % (s->config.ttl_ms * 100) * SIM_US);
    seen_places_over(s);
    s->seen.went_back = true;
    int64_t skew = f->value % (s->config.ttl_ms * 1000) - s->config.ttl_ms * 500;
    sim_clock_step(&s->server.wall, s->t, skew * SIM_US);
}

/* ---- The table: one entry for each fault of config.h ---------------------------------------- */

/* Who is excused from what is promised to live clients, and until when. */
typedef enum excuse {
    NOBODY = 0, /* or the fault itself says so */
    ONE_NOW,    /* its client, from now on anew */
    ONE_LATER,  /* its client, until the slow messages have arrived, too */
    ALL_NOW,
    ALL_UNTIL /* everybody, until the fault is over */
} excuse;

static const struct strike {
    void (*begin)(sim *s, const sim_fault *f, int64_t until);
    excuse excused;
    void (*end)(sim *s, const sim_fault *f); /* NULL: it ends by itself */
    bool end_excuses_all;                    /* otherwise its client only */
} strikes[SIM_FAULT_KINDS] = {
    [SIM_FAULT_SLOW] = {slow, ONE_LATER, NULL, false},
    [SIM_FAULT_CUT] = {cut, ONE_LATER, NULL, false},
    [SIM_FAULT_DEAD] = {fall_silent, ONE_LATER, NULL, false},
    [SIM_FAULT_PUSHES_LOST] = {lose_pushes, ONE_LATER, keep_pushes, false},
    [SIM_FAULT_STUFFED] = {stuff, ONE_LATER, unstuff, false},
    [SIM_FAULT_HOLD_REPLIES] = {hold_replies, ONE_LATER, NULL, false},
    [SIM_FAULT_HOLD_REQUESTS] = {hold_requests, ONE_LATER, NULL, false},
    [SIM_FAULT_PARTITION] = {partition, ONE_LATER, NULL, false},
    [SIM_FAULT_CRASH] = {crash_client, ONE_NOW, NULL, false},
    [SIM_FAULT_PAUSE] = {pause_client, NOBODY, NULL, false},
    [SIM_FAULT_CLOSE] = {close_client, ONE_NOW, NULL, false},
    [SIM_FAULT_CLIENT_RATE] = {set_client_rate, ALL_NOW, NULL, false},
    [SIM_FAULT_SERVER_RATE] = {set_server_rate, ALL_NOW, NULL, false},
    [SIM_FAULT_DRIFT] = {drift, ALL_NOW, NULL, false},
    [SIM_FAULT_CLOCK_FORWARD] = {step_forward, ALL_NOW, NULL, false},
    [SIM_FAULT_CLOCK_BACK] = {step_back, ALL_NOW, NULL, false},
    [SIM_FAULT_SERVER_PAUSE] = {pause_server, ALL_UNTIL, NULL, true},
    [SIM_FAULT_SERVER_SLOW] = {slow_server, ALL_UNTIL, hurry_server, true},
    [SIM_FAULT_RESTART] = {crash_server, ALL_UNTIL, NULL, false},
    [SIM_FAULT_SCRIPT_FLUSH] = {flush_scripts, ALL_UNTIL, flush_scripts_again, true},
    [SIM_FAULT_SWITCHOVER] = {switch_over, ALL_UNTIL, NULL, false},
    [SIM_FAULT_FULL] = {fill, ALL_UNTIL, serve_again, true},
    [SIM_FAULT_MISCONF] = {refuse_writes, ALL_UNTIL, serve_again, true},
    [SIM_FAULT_LOADING] = {load, ALL_UNTIL, serve_again, true},
    [SIM_FAULT_LOSE_TAIL] = {crash_server, ALL_UNTIL, NULL, false},
    [SIM_FAULT_LOSE_ALL] = {crash_server, ALL_UNTIL, NULL, false},
    [SIM_FAULT_FAILOVER] = {fail_over, ALL_UNTIL, NULL, false},
    [SIM_FAULT_FOREIGN] = {take_as_foreigner, NOBODY, NULL, false},
    [SIM_FAULT_BREAK] = {break_by_hand, NOBODY, NULL, false},
    [SIM_FAULT_EVICT] = {evict, NOBODY, NULL, false},
};

static void excuse_them(sim *s, const sim_fault *f, excuse excused, int64_t until)
{
    if (excused == ONE_NOW) sim_touch(s, f->target, s->t);
    if (excused == ONE_LATER) sim_touch(s, f->target, until + 2 * SIM_MS * s->config.ttl_ms);
    if (excused == ALL_NOW) touch_all(s, s->t);
    if (excused == ALL_UNTIL) touch_all(s, until);
}

void sim_fault_begin(sim *s, int number)
{
    const sim_fault *f = &s->config.faults[number];
    int64_t until = s->t + f->for_us * SIM_US;
    int64_t heal_at = s->config.heal_ms * SIM_MS;
    if (until > heal_at) until = heal_at;
    SIM_NOTE(s, -2, "%s, client %d, for %.3f ms, value %" PRId64, sim_fault_words[f->kind],
             f->target, (double)(until - s->t) / 1e6, f->value);
    excuse_them(s, f, strikes[f->kind].excused, until);
    strikes[f->kind].begin(s, f, until);
    sim_at(s, until, SIM_EV_FAULT_END, number, 0);
}

void sim_fault_end(sim *s, int number)
{
    const sim_fault *f = &s->config.faults[number];
    const struct strike *strike = &strikes[f->kind];
    if (strike->end) strike->end(s, f);
    excuse_them(s, f, strike->end_excuses_all ? ALL_NOW : ONE_NOW, s->t);
}

void sim_heal(sim *s)
{
    touch_all(s, s->t);
    s->server.model.refusal = MODEL_WELL;
    s->server.slow_by = 0;
    s->server.paused_until = 0;
    s->server.delete_behind_renewal = false;
    for (int i = 0; i < s->config.clients; i++) {
        sim_conn *conn = &s->conns[i];
        conn->lossy = false;
        conn->stuffed_until = 0;
        if (s->clients[i].alive) sim_link_flush(s, &s->clients[i]);
        conn->slow_until = 0;
        conn->hold_up = conn->hold_down = 0;
        if (conn->dead && conn->state == SIM_OPEN) /* now the other end learns of it */
            sim_at(s, s->t, SIM_EV_CLOSED, i, conn->epoch);
    }
}
