/* SPDX-License-Identifier: MIT */
/* Threads of a program: think, want, hold, give back; some give up, some overrun. */
#include "checks/check.h"

#include <inttypes.h>
#include <string.h>

static sim_client *client_of(sim *s, const sim_caller *caller)
{
    return &s->clients[caller->client];
}

static void tick_at(sim *s, sim_caller *caller, int64_t at)
{
    sim_at(s, at, SIM_EV_CALLER, caller->number, ++caller->generation);
}

static void think(sim *s, sim_caller *caller)
{
    caller->state = SIM_CALLER_IDLE;
    if (s->phase >= SIM_DRAINING) return;
    tick_at(s, caller, s->t + sim_below(&caller->random, s->config.think_max_us + 1) * SIM_US);
}

void sim_callers_boot(sim *s, sim_client *client)
{
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++) {
        sim_caller *caller = &s->callers[i];
        if (client->incarnation == 1) {
            caller->number = i;
            caller->client = client->number;
            caller->random = sim_rng_make(s->config.seed, (unsigned)i, SIM_RNG_CALLER);
        }
        memset(&caller->want, 0, sizeof caller->want);
        think(s, caller);
    }
}

void sim_callers_die(sim *s, sim_client *client)
{
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++) {
        s->callers[i].state = SIM_CALLER_IDLE;
        s->callers[i].generation++;
        seen_died(s, &s->callers[i]);
    }
}

/* ---- Wanting ---------------------------------------------------------------- */

static int64_t draw_ttl(sim *s, sim_rng *rng)
{
    static const int factors[] = {1, 1, 2, 4};
    int64_t ttl_ms = s->config.ttl_ms;
    int64_t factor = factors[sim_below(rng, 4)];
    return s->config.mixed_ttl ? ttl_ms * factor : ttl_ms;
}

static int64_t draw_patience(sim *s, sim_caller *caller, int64_t now)
{
    sim_rng *rng = &caller->random;
    int64_t kind = sim_below(rng, 4);
    int64_t span = sim_below(rng, s->config.ttl_ms * 2000 + 1) * SIM_US;
    if (!s->config.impatient || kind >= 2) return PAWL__NEVER;
    return kind == 0 ? 0 : now + span + 1;
}

static void want(sim *s, sim_caller *caller)
{
    sim_client *client = client_of(s, caller);
    sim_rng *rng = &caller->random;
    int64_t now = sim_client_now(s, client);
    caller->name = (int)sim_below(rng, s->config.names);
    caller->want = (pawl__want){.name = sim_names[caller->name],
                                .name_len = (uint16_t)strlen(sim_names[caller->name]),
                                .ttl_ms = (int32_t)draw_ttl(s, rng),
                                .waiting = &caller->waiting};
    caller->waiting = (pawl__waiting){.wait_until = draw_patience(s, caller, now)};
    bool retains = sim_chance(rng, 600);
    int64_t retain_ms = sim_below(rng, s->config.ttl_ms * 2) + 1;
    if (s->config.retain && retains) caller->want.retain_ms = (int32_t)retain_ms;
    caller->will_detach = s->config.detach && sim_chance(rng, 50);
    if (caller->will_detach) caller->want.flags = PAWL_ASK_DETACHED;
    bool cancels = sim_chance(rng, 150);
    int64_t cancel_at = s->t + sim_below(rng, s->config.ttl_ms * 1000) * SIM_US;

    caller->state = SIM_CALLER_WAITING;
    caller->began = s->t;
    caller->token = -1;
    caller->was_leaving = caller->await_store = false;
    seen_wanted(s, caller);
    SIM_NOTE(s, caller->client, "caller %d wants \"%s\" (ttl %" PRId32 " ms, %s)", caller->number,
             sim_names[caller->name], caller->want.ttl_ms,
             caller->waiting.wait_until == 0             ? "does not wait"
             : caller->waiting.wait_until == PAWL__NEVER ? "waits"
                                                         : "waits for a while");
    if (s->config.impatient && cancels) tick_at(s, caller, cancel_at);
    if (s->config.algorithm != SIM_PAWL) {
        sim_plain_want(s, caller);
        return;
    }
    pawl__event event = {.kind = PAWL__EV_WANT, .want = &caller->want};
    sim_client_step(s, client, &event);
}

static void cancel(sim *s, sim_caller *caller)
{
    if (s->config.algorithm != SIM_PAWL) return;
    SIM_REACHED(s, cancelled_in_queue);
    SIM_NOTE(s, caller->client, "caller %d cancels", caller->number);
    pawl__event event = {.kind = PAWL__EV_CANCEL, .want = &caller->want};
    sim_client_step(s, client_of(s, caller), &event);
}

/* ---- Giving back ------------------------------------------------------------ */

static void give_back(sim *s, sim_caller *caller)
{
    bool detach = caller->will_detach && caller->state == SIM_CALLER_HOLDING;
    caller->await_store = sim_chance(&caller->random, 500) && !detach;
    caller->was_leaving = false;
    caller->state = SIM_CALLER_RELEASING;
    seen_releasing(s, caller);
    SIM_NOTE(s, caller->client, "caller %d %s", caller->number, detach ? "detaches" : "releases");
    if (s->config.algorithm != SIM_PAWL) {
        sim_plain_release(s, caller);
        return;
    }
    if (detach) SIM_REACHED(s, detached);
    pawl__event event = {.kind = detach ? PAWL__EV_DETACH : PAWL__EV_RELEASE,
                         .want = &caller->want,
                         .await_store = caller->await_store};
    sim_client_step(s, client_of(s, caller), &event);
    /* Still not told: so the store is being asked. */
    if (caller->state == SIM_CALLER_RELEASING) caller->was_leaving = true;
}

void sim_caller_tick(sim *s, sim_caller *caller)
{
    sim_client *client = client_of(s, caller);
    if (!client->alive || client->closing) return;
    switch (caller->state) {
    case SIM_CALLER_IDLE:
        if (s->phase < SIM_DRAINING) want(s, caller);
        return;
    case SIM_CALLER_WAITING:
        if (s->config.algorithm == SIM_PAWL)
            cancel(s, caller);
        else
            sim_plain_tick(s, caller);
        return;
    case SIM_CALLER_HOLDING:
    case SIM_CALLER_LOST:
        give_back(s, caller);
        return;
    case SIM_CALLER_RELEASING:
        return;
    }
}

/* ---- What they are told ----------------------------------------------------- */

void sim_caller_granted(sim *s, sim_caller *caller, uint64_t fence, int token, int64_t deadline)
{
    SIM_REACHED(s, granted);
    if (caller->began == s->t && s->config.algorithm == SIM_PAWL) SIM_REACHED(s, from_cache);
    SIM_NOTE(s, caller->client, "caller %d HOLDS \"%s\", token %d, fence %" PRIu64 ", for %.3f ms",
             caller->number, sim_names[caller->name], token, fence,
             deadline == PAWL__NEVER ? 0
                                     : (double)(deadline - client_of(s, caller)->seen_now) / 1e6);
    if (caller->want.flags & PAWL_ASK_DETACHED) s->seen.tokens[token].detached = true;
    caller->state = SIM_CALLER_HOLDING;
    caller->granted_at = s->t;
    seen_granted(s, caller, fence, token, deadline);
    int64_t hold_us = sim_below(&caller->random, s->config.hold_max_us + 1);
    if (s->phase != SIM_FAULTS && hold_us > s->config.ttl_ms * 250) /* calm: bounded holds */
        hold_us = s->config.ttl_ms * 250;
    tick_at(s, caller, s->t + hold_us * SIM_US);
}

void sim_caller_refused(sim *s, sim_caller *caller, pawl_err err)
{
    if (err == PAWL_ERR_TIMEOUT) SIM_REACHED(s, timed_out);
    if (err == PAWL_ERR_BUSY) SIM_REACHED(s, busy);
    if (err == PAWL_ERR_UNAVAILABLE) SIM_REACHED(s, unreachable);
    SIM_NOTE(s, caller->client, "caller %d is refused: %s", caller->number, pawl_err_name(err));
    seen_refused(s, caller, err);
    think(s, caller);
}

void sim_caller_extended(sim *s, sim_caller *caller, int64_t deadline)
{
    SIM_NOTE(s, caller->client, "caller %d: renewed, for %.3f ms", caller->number,
             (double)(deadline - client_of(s, caller)->seen_now) / 1e6);
    seen_extended(s, caller, deadline);
}

void sim_caller_lost(sim *s, sim_caller *caller, pawl_err err)
{
    SIM_NOTE(s, caller->client, "caller %d LOST \"%s\": %s", caller->number,
             sim_names[caller->name], pawl_err_name(err));
    caller->state = SIM_CALLER_LOST;
    seen_lost(s, caller, err);
    tick_at(s, caller, s->t + sim_below(&caller->random, s->config.think_max_us + 1) * SIM_US);
}

void sim_caller_released(sim *s, sim_caller *caller, pawl_err err)
{
    if (client_of(s, caller)->closing && !caller->seen.releasing) SIM_REACHED(s, closed_holding);
    SIM_NOTE(s, caller->client, "caller %d is told: released, %s", caller->number,
             err ? pawl_err_name(err) : "PAWL_OK");
    seen_released(s, caller, err);
    think(s, caller);
}
