/* SPDX-License-Identifier: MIT */
/* Faults: a numbered list from the configuration, each begun, most of them ended. */
#include "../../src/base/mutant.h"
#include "checks/check.h"

#include <inttypes.h>
#include <string.h>

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

/* From now until then the client is excused from what is promised to live ones. */
static void touch(sim *s, int client, int64_t until)
{
    if (s->clients[client].touched_at < until) s->clients[client].touched_at = until;
}

static void touch_all(sim *s, int64_t until)
{
    for (int i = 0; i < s->config.clients; i++) touch(s, i, until);
}

static void hold(sim_conn *conn, bool up, bool down, int64_t until)
{
    if (up && conn->hold_up < until) conn->hold_up = until;
    if (down && conn->hold_down < until) conn->hold_down = until;
}

static void on_network(sim *s, const sim_fault *f, int64_t until)
{
    sim_conn *conn = &s->conns[f->target];
    touch(s, f->target, until + 2 * SIM_MS * s->config.ttl_ms); /* slow ones arrive later still */
    switch ((int)f->kind) {
    case SIM_FAULT_SLOW:
        conn->slow_until = until;
        conn->slow_by = f->value % (s->config.ttl_ms * 1000) * SIM_US;
        break;
    case SIM_FAULT_CUT:
        sim_conn_reset(s, f->target);
        break;
    case SIM_FAULT_DEAD:
        conn->dead = true;
        break;
    case SIM_FAULT_PUSHES_LOST:
        conn->lossy = true;
        break;
    case SIM_FAULT_STUFFED:
        conn->stuffed_until = until;
        conn->stuffed_room = (int)(f->value / 2 % 3);
        conn->stuffed_half = f->value & 1;
        break;
    case SIM_FAULT_HOLD_REPLIES:
        hold(conn, false, true, until);
        break;
    case SIM_FAULT_HOLD_REQUESTS:
        hold(conn, true, false, until);
        break;
    case SIM_FAULT_PARTITION:
        hold(conn, true, true, until);
        break;
    }
}

static void pause_client(sim *s, const sim_fault *f, int64_t until)
{
    sim_client *client = &s->clients[f->target];
    if (!client->alive || client->paused_until >= until) return;
    touch(s, f->target, until);
    client->paused_until = until;
    if (PAWL_MUTANT(clock_stops_in_suspend)) sim_clock_step(&client->clock, s->t, s->t - until);
    /* What came meanwhile is read in the order in which the loop finds its sockets. */
    s->conns[f->target].resume_skew = (f->value & 1) * 50 * SIM_US;
}

static void evict(sim *s, const sim_fault *f, sim_rng *rng)
{
    if (!s->server.model.count) return;
    int number = (int)sim_below(rng, (int64_t)s->server.model.count);
    model_lock *lock = &s->server.model.locks[number];
    int name = 0;
    for (int i = 0; i < s->config.names; i++)
        if (strstr(lock->key, sim_names[i])) name = i;
    if (f->value & 1) lock->held = false;
    if (f->value & 1) seen_broken(s, name);
    if (f->value & 2) lock->recorded = false;
    if (f->value & 2) seen_record_lost(s, name);
    if (f->value & 4) lock->place_count = 0;
    if (f->value & 8) lock->waiter_count = 0;
    seen_queue_lost(s, name);
    SIM_REACHED(s, state_lost);
}

static void by_hand(sim *s, const sim_fault *f)
{
    char key[64], value[24];
    sim_message *m = sim_message_new(s, SIM_WORD_COMMAND);
    int len = snprintf(key, sizeof key, "%s%s", PAWL__REDIS_PREFIX_DEFAULT,
                       sim_names[f->value % s->config.names]);
    s->server.model.now_us = sim_server_now_us(s);
    const model_lock *lock = model_redis_find(&s->server.model, key, (size_t)len);
    seen_tampered(s, (int)(f->value % s->config.names));
    s->seen.asker = s->seen.unheard = SEEN_NOBODY;
    if (f->kind == SIM_FAULT_FOREIGN) {
        snprintf(value, sizeof value, "%" PRId64, f->for_us / 1000 + 1);
        pawl__redis_bytes argv[] = {{"SET", 3}, {key, (size_t)len},     {"foreign", 7},
                                    {"PX", 2},  {value, strlen(value)}, {"NX", 2}};
        model_redis_command(&s->server.model, sim_server_now_us(s), argv, 6, &m->reply);
        if (m->reply.value.type == PAWL__REDIS_STATUS) SIM_REACHED(s, foreign_holder);
        /* It has barged in before whoever waited: so be it, it is not pawl. */
    } else if (lock && lock->recorded && sim_token_number(s, lock->token) >= 0) {
        pawl__redis_space space = s->clients[0].space;
        pawl_request request = {.verb = PAWL_VERB_BREAK,
                                .fence = lock->fence,
                                .name = sim_names[f->value % s->config.names]};
        request.name_len = strlen(request.name);
        pawl__redis_call call;
        (void)pawl__redis_encode(&space, &request, &call);
        pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX], sha = {NULL, 40};
        sha.data = sim_break_sha1();
        size_t argc = pawl__redis_call_argv(&call, sha, true, argv);
        seen_broken(s, (int)(f->value % s->config.names));
        s->server.model.scripts_known |= 1u << PAWL__REDIS_BREAK;
        s->t++; /* what the break grants comes after it */
        model_redis_command(&s->server.model, sim_server_now_us(s), argv, argc, &m->reply);
        SIM_REACHED(s, broken_by_hand);
    }
    sim_message_free(s, m);
}

static void on_clock(sim *s, const sim_fault *f)
{
    int64_t step = f->value % (s->config.ttl_ms * 3000) * SIM_US;
    sim_clock *wall = &s->server.wall;
    touch_all(s, s->t);
    switch ((int)f->kind) {
    case SIM_FAULT_CLIENT_RATE:
        sim_clock_set_rate(&s->clients[f->target].clock, s->t, f->value % 18001 - 9000);
        if (PAWL_MUTANT(clock_of_the_wall))
            sim_clock_step(&s->clients[f->target].clock, s->t, -f->for_us * SIM_US);
        break;
    case SIM_FAULT_SERVER_RATE: /* NTP slews by up to 8.3 % */
        sim_clock_set_rate(wall, s->t, f->value % 90001 - 9000);
        break;
    case SIM_FAULT_DRIFT:
        sim_clock_set_rate(&s->clients[f->target].clock, s->t, -(f->value % 500000));
        s->seen.drifted = true;
        break;
    case SIM_FAULT_CLOCK_FORWARD:
        seen_broken(s, -1);
        sim_clock_step(wall, s->t, step);
        break;
    case SIM_FAULT_CLOCK_BACK:
        seen_places_over(s);
        s->seen.went_back = true;
        sim_clock_step(wall, s->t, -step);
        break;
    }
    for (int i = 0; i < s->config.clients; i++) { /* timers follow their clock */
        sim_client *client = &s->clients[i];
        client->link.armed_at = PAWL__NEVER;
        client->timer_at = -1;
        sim_link_arm(s, client);
        sim_client_settle(s, client);
    }
}

static void on_server(sim *s, const sim_fault *f, int64_t until)
{
    sim_server *server = &s->server;
    touch_all(s, until);
    switch ((int)f->kind) {
    case SIM_FAULT_SERVER_PAUSE:
        server->paused_until = until;
        break;
    case SIM_FAULT_SERVER_SLOW:
        server->slow_by = f->value % (s->config.ttl_ms * 20) * SIM_US;
        break;
    case SIM_FAULT_SCRIPT_FLUSH:
        server->model.scripts_known = 0;
        break;
    case SIM_FAULT_SWITCHOVER: /* the other algorithms never leave a replica */
        if (s->config.algorithm == SIM_PAWL) sim_server_switch_over(s);
        break;
    case SIM_FAULT_FULL:
        server->model.refusal = MODEL_FULL;
        break;
    case SIM_FAULT_MISCONF:
        server->model.refusal = f->value & 1 ? MODEL_MISCONF : MODEL_READONLY;
        break;
    case SIM_FAULT_LOADING:
        server->model.refusal = MODEL_LOADING;
        break;
    case SIM_FAULT_FAILOVER: { /* the replica's clock is its own */
        sim_server_crash(s, f->kind, s->t + f->for_us % (s->config.ttl_ms * 100) * SIM_US);
        seen_places_over(s);
        s->seen.went_back = true;
        int64_t skew = f->value % (s->config.ttl_ms * 1000) - s->config.ttl_ms * 500;
        sim_clock_step(&server->wall, s->t, skew * SIM_US);
        break;
    }
    default:
        sim_server_crash(s, f->kind, until);
    }
}

void sim_fault_begin(sim *s, int number)
{
    const sim_fault *f = &s->config.faults[number];
    int64_t until = s->t + f->for_us * SIM_US;
    int64_t heal_at = s->config.heal_ms * SIM_MS;
    if (until > heal_at) until = heal_at;
    SIM_NOTE(s, -2, "%s, client %d, for %.3f ms, value %" PRId64, sim_fault_words[f->kind],
             f->target, (double)(until - s->t) / 1e6, f->value);
    switch (f->kind) {
    case SIM_FAULT_SLOW:
    case SIM_FAULT_CUT:
    case SIM_FAULT_DEAD:
    case SIM_FAULT_HOLD_REPLIES:
    case SIM_FAULT_HOLD_REQUESTS:
    case SIM_FAULT_PARTITION:
    case SIM_FAULT_PUSHES_LOST:
    case SIM_FAULT_STUFFED:
        on_network(s, f, until);
        break;
    case SIM_FAULT_CRASH:
        touch(s, f->target, s->t);
        if (f->value & 1) s->conns[f->target].dead = true; /* such a machine says no goodbye */
        sim_client_crash(s, &s->clients[f->target], until);
        break;
    case SIM_FAULT_PAUSE:
        pause_client(s, f, until);
        break;
    case SIM_FAULT_CLOSE:
        touch(s, f->target, s->t);
        sim_client_close(s, &s->clients[f->target]);
        sim_client_settle(s, &s->clients[f->target]);
        break;
    case SIM_FAULT_CLIENT_RATE:
    case SIM_FAULT_SERVER_RATE:
    case SIM_FAULT_DRIFT:
    case SIM_FAULT_CLOCK_FORWARD:
    case SIM_FAULT_CLOCK_BACK:
        on_clock(s, f);
        break;
    case SIM_FAULT_SERVER_PAUSE:
    case SIM_FAULT_SERVER_SLOW:
    case SIM_FAULT_RESTART:
    case SIM_FAULT_SCRIPT_FLUSH:
    case SIM_FAULT_SWITCHOVER:
    case SIM_FAULT_FULL:
    case SIM_FAULT_MISCONF:
    case SIM_FAULT_LOADING:
    case SIM_FAULT_LOSE_TAIL:
    case SIM_FAULT_LOSE_ALL:
    case SIM_FAULT_FAILOVER:
        on_server(s, f, until);
        break;
    case SIM_FAULT_FOREIGN:
    case SIM_FAULT_BREAK:
        by_hand(s, f);
        break;
    case SIM_FAULT_EVICT:
        evict(s, f, &s->fault_rng[number]);
        break;
    case SIM_FAULT_KINDS:
        break;
    }
    sim_at(s, until, SIM_EV_FAULT_END, number, 0);
}

void sim_fault_end(sim *s, int number)
{
    const sim_fault *f = &s->config.faults[number];
    switch ((int)f->kind) {
    case SIM_FAULT_FULL:
    case SIM_FAULT_MISCONF:
    case SIM_FAULT_LOADING:
        s->server.model.refusal = MODEL_WELL;
        touch_all(s, s->t);
        break;
    case SIM_FAULT_SCRIPT_FLUSH: /* once more, on the same connections */
        s->server.model.scripts_known = 0;
        touch_all(s, s->t);
        break;
    case SIM_FAULT_SERVER_SLOW:
        s->server.slow_by = 0;
        touch_all(s, s->t);
        break;
    case SIM_FAULT_SERVER_PAUSE:
        touch_all(s, s->t);
        break;
    case SIM_FAULT_STUFFED:
        s->conns[f->target].stuffed_until = 0;
        if (s->clients[f->target].alive) sim_link_flush(s, &s->clients[f->target]);
        touch(s, f->target, s->t);
        break;
    case SIM_FAULT_PUSHES_LOST:
        s->conns[f->target].lossy = false;
        touch(s, f->target, s->t);
        break;
    default:
        touch(s, f->target, s->t);
    }
}

void sim_heal(sim *s)
{
    touch_all(s, s->t);
    s->server.model.refusal = MODEL_WELL;
    s->server.slow_by = 0;
    s->server.paused_until = 0;
    for (int i = 0; i < SIM_CLIENTS_MAX; i++) {
        sim_conn *conn = &s->conns[i];
        conn->lossy = false;
        conn->stuffed_until = 0;
        if (s->clients[i].alive) sim_link_flush(s, &s->clients[i]);
        conn->slow_until = 0;
        conn->hold_up = conn->hold_down = 0;
        if (conn->dead && conn->state == SIM_OPEN) /* at last somebody says so */
            sim_at(s, s->t, SIM_EV_CLOSED, i, conn->epoch);
    }
}
