/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR: what in the servers' set-up endangers locks. Four letter words are mostly forbidden, so
 * it does with what the protocol tells: one more session, of the longest time-out that can be asked
 * for, shows the server's bound, and /zookeeper/config names the members.
 */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOW_MS      1000
#define SKEW_NOTE_MS 1000
#define YOUNG        INT64_C(1000) /* zxids */
#define USUAL_TICKS  20            /* of the longest session, by default */

typedef struct visit {
    pawl_store *store;
    uint64_t id;
    int64_t sent_at;
    int written_ms;
    pawl__zk_asker asker;
    pawl__zk_handle probe;
    int longest_ms;    /* 0: not known yet */
    bool is_read;      /* what is asked in our session */
    int members;       /* -1: unknown */
    struct event turn; /* the probe is closed by it, not in its own callback */
} visit;

static void find(const visit *v, pawl_severity severity, const char *topic, const char *text,
                 const char *advice)
{
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = text,
                            .advice = advice};
    v->store->host->finding(v->store->host, v->id, &finding);
}

/* ---- Findings ------------------------------------------------------------------------------ */

static void look_at_session(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    int lease_ms = v->store->session_ms / 4 * 3;
    bool is_short = lease_ms < PAWL_TTL_DEFAULT_MS;
    snprintf(text, sizeof text,
             "the session lasts %d ms: locks with a ttl of up to %d ms end with it%s",
             v->store->session_ms, lease_ms,
             is_short ? ", and those of pawl's default of 30 s end by their ttl alone" : "");
    find(v, is_short ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "session", text,
         is_short ? "ask for a longer one by session_timeout_ms, or raise maxSessionTimeout, or "
                    "give locks a shorter ttl"
                  : "");
}

static void look_at_bounds(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    int asked = v->store->config.session_ms, got = v->store->session_ms;
    snprintf(
        text, sizeof text,
        "the server allows sessions of at most %d ms%s; with ZooKeeper's usual bounds its tick "
        "has %d ms, and the shortest session two of them",
        v->longest_ms,
        got < asked   ? ", less than was asked for"
        : got > asked ? ", and of more than was asked for"
                      : "",
        v->longest_ms / USUAL_TICKS);
    find(v, got == asked ? PAWL_SEVERITY_OK : PAWL_SEVERITY_NOTE, "bounds", text,
         got == asked ? "" : "tickTime, minSessionTimeout and maxSessionTimeout are in zoo.cfg");
}

static void look_at_members(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    bool weak = v->members < 3 || v->members % 2 == 0;
    if (v->members < 1) {
        find(v, PAWL_SEVERITY_WARNING, "members",
             "the server tells of no other members: it is one alone, or may not be asked",
             "three servers survive the loss of one; one alone survives none");
        return;
    }
    snprintf(text, sizeof text, "the ensemble has %d member%s", v->members,
             v->members == 1 ? "" : "s");
    find(v,
         v->members < 3 ? PAWL_SEVERITY_WARNING
         : weak         ? PAWL_SEVERITY_NOTE
                        : PAWL_SEVERITY_OK,
         "members", text,
         v->members < 3 ? "three members survive the loss of one; fewer survive none"
         : weak         ? "an even number survives no more losses than one member less"
                        : "");
}

static void look_at_clock(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t off = pawl__zk_time_ms(v->store) - pawl__zk_wall_us() / 1000;
    int64_t away = off < 0 ? -off : off;
    snprintf(text, sizeof text, "the leader's clock and this machine's are %" PRId64 " ms apart",
             away);
    find(v, away > SKEW_NOTE_MS ? PAWL_SEVERITY_NOTE : PAWL_SEVERITY_OK, "clock", text,
         away > SKEW_NOTE_MS ? "let the servers' clocks be kept together: leases end by the "
                               "leader's, and another server may become the leader"
                             : "");
    if (v->store->leader.epoch > 1) return;
    find(v, PAWL_SEVERITY_NOTE, "fence",
         "the ensemble is young, or one server alone: fences are its transaction numbers, so those "
         "of an ensemble that it replaces may be larger",
         "if there was one before, let resources forget its fences");
}

static void look_at_speed(const visit *v)
{
    char text[PAWL_MESSAGE_MAX];
    bool slow = v->written_ms >= SLOW_MS;
    snprintf(text, sizeof text, "a write and a read took %d ms", v->written_ms);
    find(v, slow ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "latency", text,
         slow ? "a ttl should be many times that" : "");
}

/* ---- The end -------------------------------------------------------------------------------- */

static void free_visit(visit *v)
{
    v->store->visit = NULL;
    v->store->visit_by = PAWL__NEVER;
    pawl__zk_asker_end(&v->asker);
    pawl__zk_handle_done(&v->probe);
    event_del(&v->turn);
    free(v);
}

static void end(visit *v, pawl_outcome outcome, pawl_err err, const char *message)
{
    pawl_host *host = v->store->host;
    pawl_reply reply = {.id = v->id, .outcome = outcome, .err = err, .message = message};
    reply.position = reply.holder_ms = -1;
    free_visit(v);
    host->reply(host, &reply);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    visit *v = arg;
    (void)fd, (void)what;
    if (!v->is_read || !v->longest_ms) return;
    look_at_session(v);
    look_at_bounds(v);
    look_at_members(v);
    look_at_clock(v);
    look_at_speed(v);
    end(v, PAWL_REPORTED, PAWL_OK, NULL);
}

/* ---- The questions ------------------------------------------------------------------------- */

/* A session of its own, whose time-out only shows what the server makes of it. */
static void on_probed(pawl__zk_handle *handle, int rc)
{
    visit *v = pawl__container(handle, visit, probe);
    (void)rc;
    if (!pawl__zk_is_connected(handle)) return;
    v->longest_ms = zoo_recv_timeout(handle->zh);
    event_active(&v->turn, EV_TIMEOUT, 0);
}

static int count_members(const char *text, size_t len)
{
    int count = 0;
    for (size_t i = 0; i + 7 < len; i++)
        if ((i == 0 || text[i - 1] == '\n') && memcmp(text + i, "server.", 7) == 0) count++;
    return count;
}

static void on_config(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    visit *v = pawl__container(call->asker, visit, asker);
    v->members = answer->rc == ZOK ? count_members(answer->data, answer->data_len) : -1;
    v->written_ms = (int)((call->store->host->now() - v->sent_at) / PAWL__NS_PER_MS);
    v->is_read = true;
    event_active(&v->turn, EV_TIMEOUT, 0);
}

static void on_written(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    (void)call, (void)answer;
}

bool pawl__zk_doctor(pawl_store *store, const pawl_request *request)
{
    visit *v = store->visit ? NULL : calloc(1, sizeof *v);
    if (!v) return false;
    v->store = store;
    v->id = request->id;
    v->sent_at = store->host->now();
    store->visit = v;
    store->visit_by = request->answer_by;
    pawl__zk_asker_init(&v->asker);
    event_assign(&v->turn, store->host->base, -1, 0, on_turn, v);
    v->probe.changed = on_probed;
    if (!pawl__zk_handle_init(&v->probe, store->host->base) ||
        !pawl__zk_handle_open(&v->probe, store->link.addresses, PAWL__ZK_SESSION_MAX_MS, "")) {
        free_visit(v);
        return false;
    }
    pawl__timer_set(&v->probe.timer, 0); /* not from here: it may call the host */
    pawl__answers_arm(&store->answers, store->visit_by);
    pawl__zk_look_at_clock(store, &v->asker, 0, on_written);
    pawl__zk_ask(store, &v->asker,
                 &(pawl__zk_question){.kind = PAWL__ZK_GET, .path = ZOO_CONFIG_NODE}, 0, on_config);
    return true;
}

void pawl__zk_doctor_lost(pawl_store *store)
{
    if (store->visit) end(store->visit, PAWL_FAILED, store->link.err, store->link.message);
}

void pawl__zk_doctor_done(pawl_store *store)
{
    if (store->visit) free_visit(store->visit);
}
