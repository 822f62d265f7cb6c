/* SPDX-License-Identifier: MIT */
/* The host of an engine: what src/runtime is in the library, on simulated time. */
#include "sim.h"

#include "../../src/base/mutant.h"
#include "../../src/engine/lease.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_AT_START (INT64_C(1000) * 1000 * SIM_MS) /* instants far from zero */
#define CLOSE_MS       1000                            /* how long a close waits for the store */

typedef struct drawer {
    sim *s;
    int client;
} drawer;

static drawer drawers[SIM_CLIENTS_MAX]; /* outlive the engines; one run at a time */

static void draw_token(void *ctx, char *ret_text)
{
    drawer *d = ctx;
    (void)sim_token_draw(d->s, d->client, ret_text);
    if (PAWL_MUTANT(token_of_client))
        snprintf(ret_text, PAWL_TOKEN_LEN + 1, "%032x%08x", d->s->clients[d->client].incarnation,
                 (unsigned)d->client);
    if (PAWL_MUTANT(token_of_everybody)) snprintf(ret_text, PAWL_TOKEN_LEN + 1, "%040x", 0u);
}

/* For the timeline. */
static void show_move(void *ctx, const char *name, pawl_lease_state from, pawl_lease_state to)
{
    const drawer *d = ctx;
    SIM_NOTE(d->s, d->client, "%s: the lease was %s, is %s", name, pawl_lease_state_name(from),
             pawl_lease_state_name(to));
}

/* ---- Birth and death -------------------------------------------------------- */

static pawl__engine *make_engine(sim *s, sim_client *client)
{
    unsigned life = (unsigned)client->number * 1000 + client->incarnation;
    sim_rng rng = sim_rng_make(s->config.seed, life, SIM_RNG_ENGINE);
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    opts.owner = client->owner;
    opts.unreachable_ms = SIM_UNREACHABLE_MS;
    opts.seed = rng.state;
    drawers[client->number] = (drawer){.s = s, .client = client->number};
    opts.draw_token = draw_token;
    opts.draw_ctx = &drawers[client->number];
    if (s->trace) opts.moved = show_move;
    opts.moved_ctx = &drawers[client->number];
    if (sim_chance(&rng, 500)) {
        opts.share_count_max = (uint32_t)sim_below(&rng, 4);
        opts.share_ms_max = sim_below(&rng, 5);
    }
    pawl__engine *engine = pawl__engine_new(&opts);
    if (!engine) abort();
    return engine;
}

static void first_boot(sim *s, sim_client *client)
{
    sim_rng rng = sim_rng_make(s->config.seed, (unsigned)client->number, SIM_RNG_CLOCK);
    client->clock.reads = CLOCK_AT_START + sim_below(&rng, SIM_MS * 1000);
    client->clock.rate_ppm = sim_between(&rng, -9000, 9000);
    client->touched_at = SEEN_LONG_AGO;
    snprintf(client->owner, sizeof client->owner, "client-%d", client->number);
}

void sim_client_boot(sim *s, sim_client *client)
{
    if (client->incarnation == 0) first_boot(s, client);
    client->sim = s;
    client->incarnation++;
    client->alive = true;
    client->closing = false;
    client->paused_until = 0;
    client->timer_at = PAWL__NEVER;
    snprintf(client->id, sizeof client->id, "%030x%02x", client->incarnation,
             (unsigned)client->number);
    (void)pawl__redis_space_init(&client->space, PAWL__REDIS_PREFIX_DEFAULT, client->id, "model");
    if (s->config.algorithm == SIM_PAWL) client->engine = make_engine(s, client);
    sim_link_start(s, client, sim_client_step);
}

static void end_program(sim *s, sim_client *client, int64_t back_at)
{
    s->told->ended(s, client);
    client->engine = pawl__engine_free(client->engine);
    client->alive = false;
    client->closing = false;
    client->timer_generation++;
    sim_link_end(s, client);
    sim_at(s, back_at, SIM_EV_BOOT, client->number, client->incarnation);
}

void sim_client_crash(sim *s, sim_client *client, int64_t back_at)
{
    if (!client->alive) return;
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++)
        if (s->callers[i].state == SIM_CALLER_HOLDING) SIM_REACHED(s, crashed_holding);
    end_program(s, client, back_at);
}

void sim_client_close(sim *s, sim_client *client)
{
    if (!client->alive || client->closing || s->config.algorithm != SIM_PAWL) return;
    client->closing = true;
    client->close_by = sim_client_now(s, client) + CLOSE_MS * SIM_MS;
    sim_at(s, sim_clock_when(&client->clock, client->close_by), SIM_EV_ENGINE_TIMER, client->number,
           client->timer_generation);
    pawl__event event = {.kind = PAWL__EV_CLOSE};
    sim_client_step(s, client, &event);
}

/* ---- Actions ---------------------------------------------------------------- */

static sim_caller *caller_of(pawl__want *want)
{
    return pawl__container(want, sim_caller, want);
}

static void note_loss(sim *s, const pawl__event *event)
{
    bool said = event->kind == PAWL__EV_REPLY && event->reply->outcome == PAWL_NOT_OWNER;
    if (said)
        SIM_REACHED(s, lost_by_store);
    else
        SIM_REACHED(s, lost_at_deadline);
}

static void grant(sim *s, const pawl__action *a)
{
    sim_grant given = {a->fence, a->token, sim_token_number(s, a->token), a->deadline, 0};
    for (size_t i = 0; i < a->slot_count; i++)
        given.slots |= UINT32_C(1) << (a->slots[i] % MODEL_CAPACITY_MAX);
    s->told->granted(s, caller_of(a->want), &given);
}

static void act(sim *s, sim_client *client, const pawl__event *event, const pawl__action *a)
{
    sim_mix(s, (uint64_t)a->kind << 60 ^ (uint64_t)a->deadline ^ a->fence << 8 ^ (uint64_t)a->err);
    switch (a->kind) {
    case PAWL__ACT_SEND:
        sim_link_submit(s, client, &a->request);
        return;
    case PAWL__ACT_GRANTED:
        grant(s, a);
        return;
    case PAWL__ACT_REFUSED:
        s->told->refused(s, caller_of(a->want), a->err);
        return;
    case PAWL__ACT_EXTENDED:
        SIM_REACHED(s, renewed);
        if (a->after_doubt) SIM_REACHED(s, recovered);
        s->told->extended(s, caller_of(a->want), a->deadline);
        return;
    case PAWL__ACT_DOUBT:
        SIM_REACHED(s, doubted);
        return;
    case PAWL__ACT_YIELD:
        SIM_REACHED(s, yielded);
        seen_yielded(s, caller_of(a->want));
        return;
    case PAWL__ACT_LOST:
        note_loss(s, event);
        s->told->lost(s, caller_of(a->want), a->err);
        return;
    case PAWL__ACT_RELEASED:
        s->told->released(s, caller_of(a->want), a->err);
        return;
    case PAWL__ACT_CHANGED:
        s->told->changed(s, caller_of(a->want), a->err, a->fence);
        return;
    }
}

static void note_odd_leases(sim *s, const pawl__event *event)
{
    if (event->kind != PAWL__EV_PUSH || event->push->kind != PAWL_PUSH_GRANT) return;
    int token = sim_token_number(s, event->push->token);
    if (token >= 0 && !s->seen.tokens[token].grants) SIM_REACHED(s, late_grant_after_cancel);
}

void sim_client_step(sim *s, sim_client *client, const pawl__event *event)
{
    if (!client->alive || s->failed) return;
    pawl__action action;
    pawl__engine_step(client->engine, sim_client_now(s, client), event);
    while (pawl__engine_next(client->engine, &action)) act(s, client, event, &action);
    sim_link_flush_soon(s, client);
    note_odd_leases(s, event);
    seen_step(s, client);
}

/* ---- Between two events of the program -------------------------------------- */

static void arm(sim *s, sim_client *client)
{
    int64_t at = sim_clock_when(&client->clock, pawl__engine_deadline(client->engine));
    if (at == client->timer_at) return;
    client->timer_at = at;
    client->timer_generation++;
    if (at != PAWL__NEVER)
        sim_at(s, at > s->t ? at : s->t, SIM_EV_ENGINE_TIMER, client->number,
               client->timer_generation);
}

void sim_client_after_event(sim *s, sim_client *client)
{
    if (!client->alive || s->failed) return;
    sim_link_turn(s, client);
    if (!client->alive || !client->engine || s->failed) return;
    if (client->closing &&
        (!pawl__engine_busy(client->engine) || client->seen_now >= client->close_by)) {
        SIM_NOTE(s, client->number, "closed");
        end_program(s, client, s->t + SIM_MS * s->config.ttl_ms / 10);
        return;
    }
    arm(s, client);
}
