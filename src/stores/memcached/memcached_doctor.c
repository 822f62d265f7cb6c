/* SPDX-License-Identifier: MIT */
/* DOCTOR: what in the server's state and settings endangers locks. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YOUNG_S      600
#define CLOCK_FAR_MS 4000 /* it counts whole seconds, and the network's delay comes on top */
#define SLOW_MS      1000

typedef struct visit {
    pawl__memcached_pending stats, settings;
    pawl__memcached_facts facts;
    uint64_t id;
    int64_t sent_at;
} visit;

typedef struct ward {
    pawl_store *store;
    const visit *visit;
} ward;

static void find(const ward *w, pawl_severity severity, const char *topic, const char *text,
                 const char *advice)
{
    pawl_finding finding = {.size = sizeof finding,
                            .severity = severity,
                            .topic = topic,
                            .text = text,
                            .advice = advice};
    w->store->host->finding(w->store->host, w->visit->id, &finding);
}

/* ---- Findings ------------------------------------------------------------------------------ */

static void tell_server(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    snprintf(text, sizeof text, "memcached %.30s, up for %" PRId64 " s", w->visit->facts.version,
             w->visit->facts.uptime_s);
    pawl__line_mend(text);
    find(w, PAWL_SEVERITY_OK, "server", text, "");
}

static void tell_what_it_is(const ward *w)
{
    find(w, PAWL_SEVERITY_WARNING, "memory",
         "memcached keeps locks in memory alone: a restart or a flush forgets all of them, and "
         "fences are best effort",
         "let resources check fences, or use redis:// or postgres://");
}

static void look_at_eviction(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    const pawl__memcached_facts *f = &w->visit->facts;
    if (!f->evicts) {
        find(w, PAWL_SEVERITY_OK, "eviction",
             "the server refuses when it is full, and throws no lock away", "");
        return;
    }
    snprintf(text, sizeof text,
             "the server throws away what it likes when its %" PRIu64
             " MB are full, a held lock too: then two hold it (%" PRIu64 " MB used, %" PRIu64
             " evictions so far)",
             f->limit_bytes >> 20, f->bytes >> 20, f->evictions);
    find(w, f->evictions ? PAWL_SEVERITY_ERROR : PAWL_SEVERITY_WARNING, "eviction", text,
         "start a memcached for locks alone, with -M");
}

static void look_at_guard(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    if (!w->store->config.guard) {
        find(w, PAWL_SEVERITY_WARNING, "guard",
             "guard=off: after a restart or a flush what is still held is granted again",
             "leave guard=off out of the URL");
        return;
    }
    snprintf(text, sizeof text,
             "a server that may have forgotten locks grants none for %" PRId64 " ms",
             w->store->config.guard_ms);
    find(w, PAWL_SEVERITY_OK, "guard", text, "");
}

static void look_at_past(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    const pawl__memcached_facts *f = &w->visit->facts;
    if (f->uptime_s < YOUNG_S)
        find(w, PAWL_SEVERITY_NOTE, "restart",
             "the server was started a short time ago: what was locked before is forgotten", "");
    if (!f->flushes) return;
    snprintf(text, sizeof text,
             "somebody has flushed the server %" PRIu64 " times since its start, and all locks "
             "with it",
             f->flushes);
    find(w, PAWL_SEVERITY_WARNING, "flush", text,
         "start a memcached for locks alone, and with -F, which refuses flush_all");
}

static void look_at_clock(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t apart_ms = w->visit->facts.time_s * 1000 - pawl__memcached_wall_us() / 1000;
    int64_t far = apart_ms < 0 ? -apart_ms : apart_ms;
    if (far <= CLOCK_FAR_MS) {
        find(w, PAWL_SEVERITY_OK, "clock", "the server's clock agrees with this machine's", "");
        return;
    }
    snprintf(text, sizeof text, "the server's clock is %" PRId64 " s %s this machine's", far / 1000,
             apart_ms < 0 ? "behind" : "ahead of");
    find(w, PAWL_SEVERITY_WARNING, "clock", text,
         "let both follow NTP: fences must not go back when the server is started again");
}

static void look_at_speed(const ward *w)
{
    char text[PAWL_MESSAGE_MAX];
    int64_t took_ms = (w->store->host->now() - w->visit->sent_at) / PAWL__NS_PER_MS;
    snprintf(text, sizeof text, "two questions took %" PRId64 " ms", took_ms);
    find(w, took_ms >= SLOW_MS ? PAWL_SEVERITY_WARNING : PAWL_SEVERITY_OK, "latency", text,
         took_ms >= SLOW_MS ? "a ttl should be many times that" : "");
}

static void tell_all(const ward *w)
{
    tell_server(w);
    tell_what_it_is(w);
    look_at_eviction(w);
    look_at_guard(w);
    look_at_past(w);
    look_at_clock(w);
    look_at_speed(w);
    find(w, PAWL_SEVERITY_NOTE, "push",
         "nobody is told of its turn: who waits looks 2 to 40 times a second, and there is no "
         "order",
         "");
}

/* ---- The questions ------------------------------------------------------------------------- */

static void end(pawl_store *store, pawl_outcome outcome, pawl_err err, const char *message)
{
    visit *v = store->visit;
    pawl_reply reply = {.id = v->id,
                        .outcome = outcome,
                        .position = -1,
                        .holder_ms = -1,
                        .err = err,
                        .message = message};
    store->visit = NULL;
    store->visit_by = PAWL__NEVER;
    store->host->reply(store->host, &reply);
    free(v);
}

static void on_stats(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer)
{
    visit *v = pawl__container(pending, visit, stats);
    if (answer->code == PAWL__MEMCACHED_STAT)
        pawl__memcached_note_fact(&v->facts, answer->text);
    else if (answer->code != PAWL__MEMCACHED_END)
        pawl__memcached_not_understood(store, answer);
}

static void on_settings(pawl_store *store, pawl__memcached_pending *pending,
                        const pawl__memcached_answer *answer)
{
    visit *v = pawl__container(pending, visit, settings);
    if (answer->code == PAWL__MEMCACHED_STAT) {
        pawl__memcached_note_fact(&v->facts, answer->text);
    } else if (answer->code == PAWL__MEMCACHED_END) {
        tell_all(&(ward){store, v});
        end(store, PAWL_REPORTED, PAWL_OK, NULL);
    } else {
        pawl__memcached_not_understood(store, answer);
    }
}

bool pawl__memcached_doctor(pawl_store *store, const pawl_request *request)
{
    visit *v = store->visit ? NULL : calloc(1, sizeof *v);
    if (!v) return false;
    v->id = request->id;
    v->sent_at = store->host->now();
    v->stats.answered = on_stats;
    v->settings.answered = on_settings;
    store->visit = v;
    store->visit_by = request->answer_by;
    pawl__answers_arm(&store->answers, store->visit_by);
    pawl__memcached_send_or_break(store, &v->stats, "stats", NULL, 0);
    pawl__memcached_send_or_break(store, &v->settings, "stats settings", NULL, 0);
    return true;
}

void pawl__memcached_doctor_lost(pawl_store *store)
{
    if (store->visit) end(store, PAWL_FAILED, store->link.err, store->link.message);
}

void pawl__memcached_doctor_done(pawl_store *store)
{
    free(store->visit);
    store->visit = NULL;
    store->visit_by = PAWL__NEVER;
}
