/* SPDX-License-Identifier: MIT */
/* Threads of a program: they think, want, hold and release; some give up, some hold too long. */
#include "sim.h"

#include <inttypes.h>
#include <string.h>

#define BEATS  32 /* of a ttl: the instants at which a chorus moves */
#define CANCEL 4  /* at each so many beats it cancels what it has wanted */

static sim_client *client_of(sim *s, const sim_caller *caller)
{
    return &s->clients[caller->client];
}

static int64_t beat_of(const sim *s)
{
    return s->config.ttl_ms * SIM_MS / BEATS;
}

static void tick_at(sim *s, sim_caller *caller, int64_t at)
{
    if (s->config.chorus) at = (at + beat_of(s) - 1) / beat_of(s) * beat_of(s);
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

static void ended(sim *s, sim_client *client)
{
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++) {
        s->callers[i].state = SIM_CALLER_IDLE;
        s->callers[i].generation++;
        sim_value_ended(&s->callers[i]);
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
    if (s->config.chorus && kind >= 1) return 0; /* as for several names: without a wait */
    if (!s->config.impatient || kind >= 2) return PAWL__NEVER;
    return kind == 0 ? 0 : now + span + 1;
}

/* Mostly the kind that the name has. */
static void draw_kind(sim *s, sim_caller *caller)
{
    static const uint8_t modes[] = {PAWL_MODE_SHARED,    PAWL_MODE_SHARED,    PAWL_MODE_SHARED,
                                    PAWL_MODE_SHARED,    PAWL_MODE_SHARED,    PAWL_MODE_UPDATE,
                                    PAWL_MODE_UPDATE,    PAWL_MODE_EXCLUSIVE, PAWL_MODE_EXCLUSIVE,
                                    PAWL_MODE_EXCLUSIVE, PAWL_MODE_UPDATE};
    sim_rng *rng = &caller->random;
    int capacity = sim_capacity_of(s, caller->name);
    bool errs = s->config.mistaken && sim_chance(rng, s->config.mistaken);
    caller->slots = 0;
    caller->changes_left = 0;
    caller->upgrading = false;
    caller->believed = PAWL_MODE_EXCLUSIVE;
    if (errs) capacity = capacity ? (int)sim_below(rng, 2) * (capacity + 1) : 3;
    if (capacity) {
        int64_t most = sim_chance(rng, 300) ? capacity : 1;
        caller->want.mode = PAWL_MODE_PERMIT;
        caller->waiting.units = (uint16_t)(1 + sim_below(rng, most));
        caller->waiting.capacity = (uint16_t)capacity;
    } else if (s->config.crowd) {
        caller->want.mode = caller->client == 0 ? PAWL_MODE_EXCLUSIVE : PAWL_MODE_SHARED;
    } else if (s->config.modes) {
        caller->want.mode = modes[sim_below(rng, sizeof modes)];
        caller->changes_left = (int)sim_below(rng, 3);
    }
    caller->believed = (pawl_mode)caller->want.mode;
}

static void want(sim *s, sim_caller *caller)
{
    sim_client *client = client_of(s, caller);
    sim_rng *rng = &caller->random;
    int64_t now = sim_client_now(s, client);
    sim_value_look(s, caller);
    caller->name = (int)sim_below(rng, s->config.names);
    if (s->config.chorus) caller->name = caller->number % s->config.names; /* one for each */
    caller->want = (pawl__want){.name = sim_names[caller->name],
                                .name_len = (uint16_t)strlen(sim_names[caller->name]),
                                .ttl_ms = (int32_t)draw_ttl(s, rng),
                                .waiting = &caller->waiting};
    caller->waiting = (pawl__waiting){.wait_until = draw_patience(s, caller, now)};
    draw_kind(s, caller);
    bool retains = sim_chance(rng, 600);
    int64_t retain_ms = sim_below(rng, s->config.ttl_ms * 2) + 1;
    if (s->config.retain && retains) caller->want.retain_ms = (int32_t)retain_ms;
    caller->will_detach = s->config.detach && sim_chance(rng, 50);
    if (caller->will_detach) caller->want.flags = PAWL_ASK_DETACHED;
    bool cancels = sim_chance(rng, 150);
    int64_t cancel_at = s->t + sim_below(rng, s->config.ttl_ms * 1000) * SIM_US;
    if (s->config.chorus) { /* with the next beat: together */
        cancels = s->t / beat_of(s) % CANCEL == 0;
        cancel_at = s->t + SIM_US;
    }

    caller->state = SIM_CALLER_WAITING;
    caller->began = s->t;
    caller->token = -1;
    caller->was_leaving = caller->await_store = false;
    seen_wanted(s, caller);
    SIM_NOTE(s, caller->client, "caller %d wants \"%s\" (%c, ttl %" PRId32 " ms, %s)",
             caller->number, sim_names[caller->name], check_letter(caller->believed),
             caller->want.ttl_ms,
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
                         .ends_lease = caller->spoke,
                         .await_store = caller->await_store};
    sim_client_step(s, client_of(s, caller), &event);
    /* Not told yet, so a request is under way. */
    if (caller->state == SIM_CALLER_RELEASING) caller->was_leaving = true;
}

/* ---- Another mode -------------------------------------------------------------- */

static pawl_mode draw_change(sim_caller *caller)
{
    int64_t kind = sim_below(&caller->random, 10);
    switch (caller->believed) {
    case PAWL_MODE_EXCLUSIVE:
        return kind < 5 ? PAWL_MODE_UPDATE : PAWL_MODE_SHARED;
    case PAWL_MODE_UPDATE:
        return kind < 7 ? PAWL_MODE_EXCLUSIVE : PAWL_MODE_SHARED;
    case PAWL_MODE_SHARED: /* not possible */
        return kind < 8 ? PAWL_MODE_SHARED : PAWL_MODE_EXCLUSIVE;
    case PAWL_MODE_PERMIT:
    case PAWL_MODE_FORCE_INT:
        break;
    }
    return caller->believed;
}

static int64_t hold_for(const sim *s, sim_caller *caller)
{
    int64_t hold_us = sim_below(&caller->random, s->config.hold_max_us + 1);
    if (s->phase != SIM_FAULTS && hold_us > s->config.ttl_ms * 250) /* calm: bounded holds */
        hold_us = s->config.ttl_ms * 250;
    return hold_us * SIM_US;
}

/* An upgrade waits for readers: some wait for ever, some are told to, some go on to do something
 * else meanwhile. */
static void change(sim *s, sim_caller *caller)
{
    sim_client *client = client_of(s, caller);
    caller->changes_left--;
    if (!caller->upgrading) seen_changing(s, caller);
    caller->changes_to = draw_change(caller);
    bool upgrades = caller->changes_to == PAWL_MODE_EXCLUSIVE;
    caller->upgrading = upgrades && caller->believed == PAWL_MODE_UPDATE;
    caller->upgrade =
        (pawl__waiting){.wait_until = draw_patience(s, caller, sim_client_now(s, client))};
    SIM_NOTE(s, caller->client, "caller %d has %c, wants %c", caller->number,
             check_letter(caller->believed), check_letter(caller->changes_to));
    bool goes_on = sim_chance(&caller->random, 400);
    int64_t at = s->t + hold_for(s, caller);
    pawl__event event = {.kind = PAWL__EV_CHANGE,
                         .want = &caller->want,
                         .mode = caller->changes_to,
                         .waiting = &caller->upgrade};
    sim_client_step(s, client, &event);
    if (caller->seen.changing && goes_on) tick_at(s, caller, at);
}

/* It waits no longer for its upgrade: it cancels it, downgrades, or releases all. */
static void give_up_upgrade(sim *s, sim_caller *caller)
{
    int64_t kind = sim_below(&caller->random, 3);
    SIM_REACHED(s, upgrade_given_up);
    if (kind == 0) {
        give_back(s, caller);
        return;
    }
    pawl__event event = {.kind = PAWL__EV_CANCEL, .want = &caller->want};
    if (kind == 1) {
        SIM_NOTE(s, caller->client, "caller %d gives up its upgrade", caller->number);
    } else {
        SIM_NOTE(s, caller->client, "caller %d is content with s", caller->number);
        caller->changes_to = PAWL_MODE_SHARED;
        event.kind = PAWL__EV_CHANGE;
        event.mode = PAWL_MODE_SHARED;
        event.waiting = &caller->upgrade;
    }
    sim_client_step(s, client_of(s, caller), &event);
}

static void changed(sim *s, sim_caller *caller, pawl_err err, uint64_t fence)
{
    bool was_upgrading = caller->upgrading;
    SIM_NOTE(s, caller->client, "caller %d: change to %c: %s", caller->number,
             check_letter(caller->changes_to), err ? pawl_err_name(err) : "PAWL_OK");
    if (err == PAWL_ERR_MODE) SIM_REACHED(s, change_refused);
    if (!err && was_upgrading && caller->changes_to == PAWL_MODE_EXCLUSIVE)
        SIM_REACHED(s, upgraded);
    if (!err && pawl_mode_is_downgrade(caller->believed, caller->changes_to))
        SIM_REACHED(s, downgraded);
    caller->upgrading = false;
    seen_changed(s, caller, err, fence);
    if (caller->state != SIM_CALLER_HOLDING) return;
    sim_value_speak_again(s, caller);
    tick_at(s, caller, s->t + hold_for(s, caller));
}

static void hold_on(sim *s, sim_caller *caller)
{
    if (caller->upgrading)
        give_up_upgrade(s, caller);
    else if (caller->changes_left > 0 && s->phase < SIM_DRAINING)
        change(s, caller);
    else
        give_back(s, caller);
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
        hold_on(s, caller);
        return;
    case SIM_CALLER_LOST:
        give_back(s, caller);
        return;
    case SIM_CALLER_RELEASING:
        return;
    }
}

/* ---- What they are told ----------------------------------------------------- */

static void granted(sim *s, sim_caller *caller, const sim_grant *grant)
{
    int64_t deadline = grant->deadline;
    SIM_REACHED(s, granted);
    if (caller->began == s->t && s->config.algorithm == SIM_PAWL) SIM_REACHED(s, from_cache);
    SIM_NOTE(s, caller->client, "caller %d HOLDS \"%s\", token %d, fence %" PRIu64 ", for %.3f ms",
             caller->number, sim_names[caller->name], grant->token, grant->fence,
             deadline == PAWL__NEVER ? 0
                                     : (double)(deadline - client_of(s, caller)->seen_now) / 1e6);
    if (grant->slots) SIM_NOTE(s, caller->client, "its permits are %" PRIx32, grant->slots);
    if (caller->want.flags & PAWL_ASK_DETACHED) s->seen.tokens[grant->token].detached = true;
    caller->state = SIM_CALLER_HOLDING;
    caller->granted_at = s->t;
    caller->slots = grant->slots;
    seen_granted(s, caller, grant->fence, grant->token, deadline);
    sim_value_granted(s, caller, grant->text);
    tick_at(s, caller, s->t + hold_for(s, caller));
}

static void refused(sim *s, sim_caller *caller, pawl_err err)
{
    if (err == PAWL_ERR_TIMEOUT) SIM_REACHED(s, timed_out);
    if (err == PAWL_ERR_BUSY) SIM_REACHED(s, busy);
    if (err == PAWL_ERR_UNAVAILABLE) SIM_REACHED(s, unreachable);
    if (err == PAWL_ERR_KIND) SIM_REACHED(s, kind_refused);
    if (err == PAWL_ERR_CAPACITY) SIM_REACHED(s, capacity_refused);
    SIM_NOTE(s, caller->client, "caller %d is refused: %s", caller->number, pawl_err_name(err));
    seen_refused(s, caller, err);
    think(s, caller);
}

static void extended(sim *s, sim_caller *caller, int64_t deadline)
{
    SIM_NOTE(s, caller->client, "caller %d: renewed, for %.3f ms", caller->number,
             (double)(deadline - client_of(s, caller)->seen_now) / 1e6);
    seen_extended(s, caller, deadline);
    sim_value_speak_again(s, caller);
}

static void lost(sim *s, sim_caller *caller, pawl_err err)
{
    SIM_NOTE(s, caller->client, "caller %d LOST \"%s\": %s", caller->number,
             sim_names[caller->name], pawl_err_name(err));
    caller->state = SIM_CALLER_LOST;
    seen_lost(s, caller, err);
    tick_at(s, caller, s->t + sim_below(&caller->random, s->config.think_max_us + 1) * SIM_US);
}

static void released(sim *s, sim_caller *caller, pawl_err err)
{
    if (client_of(s, caller)->closing && !caller->seen.releasing) SIM_REACHED(s, closed_holding);
    SIM_NOTE(s, caller->client, "caller %d is told: released, %s", caller->number,
             err ? pawl_err_name(err) : "PAWL_OK");
    seen_released(s, caller, err);
    think(s, caller);
}

void sim_callers_init(sim *s)
{
    static const sim_told told = {.granted = granted,
                                  .refused = refused,
                                  .changed = changed,
                                  .extended = extended,
                                  .lost = lost,
                                  .released = released,
                                  .answered = sim_value_answered,
                                  .ended = ended};
    s->told = &told;
}
