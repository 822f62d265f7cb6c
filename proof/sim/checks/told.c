/* SPDX-License-Identifier: MIT */
/*
 * What must follow from what the store has told: nothing is granted while the restart guard is
 * active, what it does not cover was announced, and a step of the server's clock that can be seen
 * is told. How the checkers hear of it is in news.c.
 */
#include "check.h"

#include <inttypes.h>

/* ---- The restart guard ------------------------------------------------------------------ */

/* With guard=on another run of the server grants nothing for a span, whatever it knows. */
void check_early_grant(sim *s, int token)
{
    bool steady = !(s->config.fault_mask & 1u << SIM_FAULT_CLOCK_FORWARD);
    int64_t span = sim_guard_ms(&s->config) * SIM_MS;
    if (s->config.guard != PAWL__REDIS_GUARD_ON || s->server.run == 0 || !steady) return;
    if (s->t < s->server.began_at + span - span / 10) /* its clock may run faster */
        sim_fail(s, "guarded", "token %d is granted %.3f ms after the server began another run",
                 token, (double)(s->t - s->server.began_at) / 1e6);
}

/*
 * What its client believes to have is covered by the guard's span, or was announced before. A
 * server that lost the announcement hears it again before it confirms anything. What it has not
 * confirmed is a lease of the run before, which its client may still pass on among its own callers.
 */
void check_announced(sim *s, const sim_caller *caller)
{
    const model_guard_record *record = &s->server.model.guard;
    bool steady = !(s->config.fault_mask & 1u << SIM_FAULT_CLOCK_FORWARD) && !s->seen.drifted &&
                  !s->seen.went_back && s->conns[caller->client].run == s->server.run;
    if (s->config.guard != PAWL__REDIS_GUARD_AUTO || !steady || record->was_refused) return;
    if (s->seen.tokens[caller->token].said_at < s->server.began_at) return;
    int64_t end = sim_clock_when(&s->clients[caller->client].clock, caller->deadline);
    int64_t end_ms = sim_clock_read(&s->server.wall, end) / SIM_MS;
    int64_t span_ms = sim_guard_ms(&s->config), now_ms = sim_server_now_us(s) / 1000;
    if (end_ms <= now_ms + span_ms) return;
    if (record->far_ms < end_ms && record->till_ms < end_ms)
        sim_fail(s, "unannounced", "caller %d: a lease of %" PRId64 " ms, the guard lasts for %d",
                 caller->number, end_ms - now_ms, (int)span_ms);
}

/* ---- Steps of the server's clock ----------------------------------------------------------- */

/* What a client must see of a step, between two readings on one connection. */
static int64_t least_visible(const sim *s, int64_t span)
{
    int64_t trips = 8 * s->config.delay_max_us * SIM_US;
    if (s->config.tail_per_thousand) trips += 4 * s->config.ttl_ms * SIM_MS;
    return span / 4 + trips + SIM_MS;
}

/* What a fault has touched since its latest reading may not see the step. */
void seen_stepped(sim *s, int64_t by)
{
    for (int i = 0; i < sim_session_count(s); i++) {
        sim_session *session = &s->sessions[i];
        if (!session->alive || !session->time_read_at) continue;
        session->stepped_by += by;
        session->stepped_at = s->t;
        if (s->clients[session->conn].touched_before >= session->time_read_at)
            session->time_read_at = 0;
    }
}

/* The step itself is the latest fault that has touched it. */
static bool sees_step(const sim *s, const sim_session *session)
{
    const sim_client *c = &s->clients[session->conn];
    const sim_conn *conn = &s->conns[session->conn];
    if (!session->time_read_at || conn->epoch != session->epoch || conn->dead) return false;
    if (!c->alive || c->closing || c->paused_until > s->t || !c->link.up) return false;
    if (c->touched_at > session->stepped_at || s->server.slow_by) return false;
    return session->stepped_by > least_visible(s, s->t - session->time_read_at);
}

void seen_time_read(sim *s, sim_session *session)
{
    if (session->stepped_by && sees_step(s, session)) s->clients[session->conn].step_due = s->t;
    session->time_read_at = s->t;
    session->stepped_by = 0;
}

void check_step(sim *s, sim_client *client)
{
    int64_t due = client->step_due;
    int64_t bound = 4 * s->config.delay_max_us * SIM_US + SIM_MS;
    if (!due || s->config.tail_per_thousand) return;
    if (!seen_is_calm(s, client->number, due) || !s->server.up) {
        client->step_due = 0;
        return;
    }
    if (s->t > due + bound)
        sim_fail(s, "stepped", "client %d was not told that the server's clock was set forward",
                 client->number);
}
