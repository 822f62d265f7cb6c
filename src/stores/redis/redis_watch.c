/* SPDX-License-Identifier: MIT */
#include "redis_watch.h"
#include "redis_link.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

/* ---- Asking --------------------------------------------------------------------------------- */

typedef enum question { SWITCH_ON, NEXT_READ_COUNTS, READ_KEY, READ_TIME } question;

typedef struct step {
    pawl__redis_pending pending;
    question which;
    int64_t sent;
    size_t name_len; /* READ_KEY: whose key */
    char token[PAWL_TOKEN_LEN + 1];
    char name[]; /* NUL-terminated */
} step;

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value);

/* The next connection starts with nothing known. */
static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    (void)store, (void)maybe_done, (void)err, (void)message;
    free(pawl__container(pending, step, pending));
}

static void drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, step, pending));
}

/* If it cannot be sent, the lease is not watched. `of`: the request whose lease it is about. */
static bool ask(pawl_store *store, question which, const pawl__redis_bytes *argv, size_t argc,
                const pawl_request *of)
{
    size_t len = which == READ_KEY ? of->name_len : 0;
    step *s = malloc(sizeof *s + len + 1);
    if (!s) return false;
    *s = (step){.pending = {.answer_by = of->answer_by,
                            .answered = answered,
                            .unanswered = unanswered,
                            .drop = drop},
                .which = which,
                .sent = store->host->now(),
                .name_len = len};
    memcpy(s->name, of->name, len);
    s->name[len] = '\0';
    if (which == READ_KEY) snprintf(s->token, sizeof s->token, "%s", of->token);
    if (pawl__redis_send(store, argv, argc, &s->pending)) return true;
    free(s);
    return false;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static void give_up(pawl_store *store, const char *why)
{
    pawl__redis_watching *watch = &store->watch;
    char message[PAWL_MESSAGE_MAX];
    bool is_news = watch->usable;
    if (!is_news) return; /* the first reason counts */
    watch->usable = false;
    snprintf(watch->why, sizeof watch->why, "%s", why);
    pawl__line_mend(watch->why); /* it may quote the server */
    if (store->config.watch != PAWL__REDIS_WATCH_ON) return;
    snprintf(message, sizeof message,
             "%.200s: watch=on, and locks cannot be watched: %.200s; a lock that somebody deletes "
             "is noticed at its next renewal",
             store->space.where, watch->why);
    store->host->warn(store->host, message);
}

/* Only a lock that one client holds alone: the key of several changes whenever one comes or goes.
 */
static bool is_to_be_watched(const pawl_store *store, const pawl_request *request,
                             pawl_outcome outcome)
{
    if (!store->watch.usable || store->link.broken) return false;
    if (request->mode != PAWL_MODE_EXCLUSIVE) return false;
    if (outcome == PAWL_CONFIRMED) return request->verb == PAWL_VERB_RENEW;
    return outcome == PAWL_GRANTED && store->config.watch == PAWL__REDIS_WATCH_ON;
}

static bool is_too_often(pawl_store *store)
{
    pawl__redis_watching *watch = &store->watch;
    int64_t now = store->host->now();
    if (now - watch->second >= pawl__ms_to_ns(1000)) {
        watch->second = now;
        watch->count = 0;
    }
    return ++watch->count > PAWL__REDIS_WATCHED_PER_S;
}

static bool switch_on(pawl_store *store, const pawl_request *request)
{
    static const char *const on[] = {"CLIENT", "TRACKING", "ON", "OPTIN", "NOLOOP"};
    pawl__redis_bytes argv[5];
    for (size_t i = 0; i < 5; i++) argv[i] = text(on[i]);
    size_t argc = PAWL_MUTANT(own_changes_are_news) ? 4 : 5;
    if (!store->watch.tracking) store->watch.tracking = ask(store, SWITCH_ON, argv, argc, request);
    return store->watch.tracking;
}

static bool let_next_read_count(pawl_store *store, const pawl_request *request)
{
    const pawl__redis_bytes caching[] = {text("CLIENT"), text("CACHING"), text("YES")};
    return ask(store, NEXT_READ_COUNTS, caching, 3, request);
}

/*
 * The server stops tracking a key at each change, also at our own, so this is sent again after each
 * renewal. If the key changed before it is read, its value shows it.
 */
static void watch_key(pawl_store *store, const pawl_request *request)
{
    char room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    pawl__redis_bytes keys[PAWL__REDIS_KEYS];
    pawl__redis_keys(&store->space, request->name, request->name_len, room, keys);
    if (!switch_on(store, request)) return;
    const pawl__redis_bytes get[] = {text("GET"), keys[PAWL__REDIS_KEY_LOCK]};
    if (PAWL_MUTANT(key_untracked) || let_next_read_count(store, request))
        (void)ask(store, READ_KEY, get, 2, request);
}

void pawl__redis_watch_try(pawl_store *store, const pawl_request *request)
{
    if (store->watch.usable && switch_on(store, request)) (void)let_next_read_count(store, request);
}

static void request_answered(pawl_store *store, const pawl_request *request, pawl_outcome outcome)
{
    if (request->verb == PAWL_VERB_RENEW && outcome == PAWL_NOT_OWNER) store->watch.alarms = 0;
    if (is_to_be_watched(store, request, outcome) && !is_too_often(store))
        watch_key(store, request);
}

static void alarm_about(pawl_store *store, const char *name, size_t len)
{
    pawl_push push = {.kind = PAWL_PUSH_RECHECK, .name = name, .name_len = len};
    if (++store->watch.alarms >= PAWL__REDIS_ALARMS_MAX)
        give_up(store, "the server tells again and again of keys that have not changed");
    store->host->push(store->host, &push);
}

static bool is_key(const step *s, const pawl__redis_value *value)
{
    return value->type == PAWL__REDIS_STRING && strcmp(value->text.data, s->token) == 0;
}

void pawl__redis_watch_heard(pawl_store *store, const pawl__redis_value *push)
{
    const size_t prefix_len = store->space.prefix_len;
    if (PAWL_MUTANT(invalidation_unread)) return;
    if (push->count != 2 || store->link.state != PAWL__REDIS_LINK_UP) return;
    const pawl__redis_value *keys = &push->items[1];
    if (keys->type == PAWL__REDIS_NIL) { /* FLUSHALL, FLUSHDB of whatever database */
        if (!pawl__redis_guard_is_off(store)) pawl__redis_ask_guard(store, false, 0);
        alarm_about(store, "", 0);
        return;
    }
    if (keys->type != PAWL__REDIS_ARRAY) return;
    for (size_t i = 0; i < keys->count; i++) {
        pawl__redis_bytes key = keys->items[i].text;
        if (keys->items[i].type != PAWL__REDIS_STRING || key.len <= prefix_len) continue;
        if (key.len - prefix_len > PAWL_NAME_MAX) continue;
        if (memcmp(key.data, store->space.prefix, prefix_len) != 0) continue;
        alarm_about(store, key.data + prefix_len, key.len - prefix_len);
    }
}

/* ---- The clock ------------------------------------------------------------------------------ */

static void ask_time(pawl_store *store, const pawl_request *request)
{
    const pawl__redis_bytes argv[] = {text("TIME")};
    pawl__redis_watching *watch = &store->watch;
    if (request->verb != PAWL_VERB_RENEW || store->config.watch == PAWL__REDIS_WATCH_OFF) return;
    int64_t age = store->host->now() - watch->clock.got;
    if (watch->asking_time || age < pawl__ms_to_ns(PAWL__REDIS_CLOCK_PAUSE_MS)) return;
    watch->asking_time = ask(store, READ_TIME, argv, 1, request);
}

int64_t pawl__redis_clock_step(const pawl__redis_clock_reading *from,
                               const pawl__redis_clock_reading *to)
{
    if (!from->server_us || !to->server_us) return 0;
    int64_t least_us = (to->sent - from->got) / PAWL__NS_PER_US;
    int64_t most_us = (to->got - from->sent) / PAWL__NS_PER_US;
    int64_t went_us = to->server_us - from->server_us, off_us = 0;
    if (went_us < least_us) off_us = went_us - least_us;
    if (went_us > most_us) off_us = went_us - most_us;
    int64_t allowed_us = most_us / PAWL__REDIS_CLOCK_RATE_OFF;
    return off_us > allowed_us || off_us < -allowed_us ? off_us : 0;
}

static void tell_step(pawl_store *store, int64_t step_us)
{
    char message[PAWL_MESSAGE_MAX];
    bool forward = step_us > 0;
    int64_t step_ms = (forward ? step_us : -step_us) / 1000;
    store->watch.step_us = step_us;
    snprintf(message, sizeof message,
             "%.200s: the server's clock was set %s by %" PRId64 ".%03d s: %s", store->space.where,
             forward ? "forward" : "back", step_ms / 1000, (int)(step_ms % 1000),
             forward ? "leases may have ended before their time; each is asked about"
                     : "leases that are not given back end later");
    store->host->warn(store->host, message);
    if (!forward || PAWL_MUTANT(step_asks_nobody)) return;
    pawl_push push = {.kind = PAWL_PUSH_RECHECK, .name = ""};
    store->host->push(store->host, &push);
}

bool pawl__redis_clock_take(const pawl__redis_value *value, int64_t *ret_us)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2) return false;
    for (int i = 0; i < 2; i++)
        if (value->items[i].type != PAWL__REDIS_STRING || value->items[i].text.len > 12)
            return false;
    *ret_us = strtoll(value->items[0].text.data, NULL, 10) * 1000000 +
              strtoll(value->items[1].text.data, NULL, 10);
    return true;
}

static void compare_clocks(pawl_store *store, int64_t sent, const pawl__redis_value *value)
{
    pawl__redis_watching *watch = &store->watch;
    pawl__redis_clock_reading reading = {.sent = sent, .got = store->host->now()};
    watch->asking_time = false;
    if (PAWL_MUTANT(time_as_of_answer)) reading.sent = reading.got;
    if (!pawl__redis_clock_take(value, &reading.server_us))
        return; /* denied: the probe has named the missing rule */
    int64_t step_us = pawl__redis_clock_step(&watch->clock, &reading);
    watch->clock = reading;
    if (step_us && !PAWL_MUTANT(step_unseen)) tell_step(store, step_us);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    step *s = pawl__container(pending, step, pending);
    bool is_refused = value->type == PAWL__REDIS_ERROR && s->which != READ_TIME;
    if (is_refused) give_up(store, value->text.data);
    switch (s->which) {
    case SWITCH_ON:
    case NEXT_READ_COUNTS:
        break;
    case READ_KEY: /* it changed in between */
        if (!is_refused && store->watch.usable && !is_key(s, value) &&
            !PAWL_MUTANT(key_not_compared))
            alarm_about(store, s->name, s->name_len);
        break;
    case READ_TIME:
        compare_clocks(store, s->sent, value);
        break;
    }
    free(s);
}

/* ---- The beginning -------------------------------------------------------------------------- */

/*
 * Before 6.2 a server told a client of changes by its own scripts, in spite of NOLOOP: each renewal
 * would cause the next one.
 */
void pawl__redis_watch_begin(pawl_store *store, const char *version)
{
    int major = 0, minor = 0;
    store->watch = (pawl__redis_watching){.usable = store->config.watch != PAWL__REDIS_WATCH_OFF};
    if (!store->watch.usable) return;
    store->watch.asking = ask_time;
    store->watch.answered = request_answered;
    if (sscanf(version, "%4d.%4d", &major, &minor) < 2)
        give_up(store, "the server does not say its version");
    else if (major < 6 || (major == 6 && minor < 2))
        give_up(store, "the server is older than 6.2");
}
