/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR asks what of this server's set-up endangers locks; redis_findings.c says what the answers
 * mean. INFO, CONFIG and SLOWLOG may be denied: then that is a note, and what they would have told
 * is not checked. A key is written and deleted, because a server may look well and yet refuse
 * writes.
 *
 *   TIME, one after the other   how long an answer takes, and the first reading of the clock
 *   all other questions         at once; SCAN as long as there is more, PTTL for each of its keys
 *   a pause, TIME               the last reading of the clock
 */
#define _GNU_SOURCE
#include "redis_exam.h"
#include "redis_scripts.h"

#include "../../base/instant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMES_MS      300    /* how long the server is asked for its time */
#define KEYS_MS       1000   /* how long keys are looked at */
#define KEYS_MAX      100000 /* and how many */
#define CLOCK_SPAN_MS 50     /* between the two readings of the clock, at least */
#define TRIAL_LIFE_MS "1000" /* of the key that is written: it is deleted at once */

typedef pawl__redis_exam exam;
typedef pawl__redis_question question;

typedef struct step {
    pawl__redis_pending pending;
    exam *exam;
    question which;
    int64_t sent;
    char key[]; /* of PTTL */
} step;

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static int64_t now_of(const exam *e)
{
    return e->operation.store->host->now();
}

/* ---- Asking --------------------------------------------------------------------------- */

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value);

static void drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, step, pending));
}

static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    exam *e = pawl__container(pending, step, pending)->exam;
    (void)store, (void)maybe_done;
    drop(pending);
    e->operation.due--;
    pawl__redis_operation_end(&e->operation, PAWL_FAILED, err, message);
    pawl__redis_operation_free_if_over(&e->operation);
}

/* key: what the step is about, kept with it; NULL for most. */
static bool ask_about(exam *e, question which, const pawl__redis_bytes *argv, size_t argc,
                      const pawl__redis_bytes *key)
{
    int64_t timeout = pawl__ms_to_ns(PAWL__REDIS_STEP_TIMEOUT_MS);
    size_t len = key ? key->len : 0;
    step *s = malloc(sizeof *s + len + 1);
    if (!s) return false;
    *s = (step){.pending = {.answer_by = pawl__instant_add(now_of(e), timeout),
                            .answered = answered,
                            .unanswered = unanswered,
                            .drop = drop},
                .exam = e,
                .which = which,
                .sent = now_of(e)};
    if (key) memcpy(s->key, key->data, len);
    s->key[len] = '\0';
    if (!pawl__redis_send(e->operation.store, argv, argc, &s->pending)) {
        free(s);
        return false;
    }
    e->operation.due++;
    return true;
}

static bool ask(exam *e, question which, const pawl__redis_bytes *argv, size_t argc)
{
    return ask_about(e, which, argv, argc, NULL);
}

static bool ask_time(exam *e)
{
    const pawl__redis_bytes words[] = {text("TIME")};
    return ask(e, PAWL__REDIS_ASK_TIME, words, 1);
}

static bool ask_settings(exam *e)
{
    for (int which = 0; which < PAWL__REDIS_QUESTIONS; which++) {
        const char *setting = pawl__redis_askings[which].setting;
        if (!setting) continue;
        const pawl__redis_bytes words[] = {text("CONFIG"), text("GET"), text(setting)};
        if (!ask(e, (question)which, words, 3)) return false;
    }
    return true;
}

static bool ask_slowlog(exam *e)
{
    char count[16];
    snprintf(count, sizeof count, "%d", PAWL__REDIS_SLOW_LINES);
    const pawl__redis_bytes words[] = {text("SLOWLOG"), text("GET"), text(count)};
    return ask(e, PAWL__REDIS_ASK_SLOWLOG, words, 3);
}

/* The probe's script, which the server knows, because the link came up through it; and SET and
 * DEL of the record key of its lock: no lock key, so that no list shows it. */
static bool ask_for_rights(exam *e)
{
    pawl__redis_probe probe;
    pawl__redis_probe_encode(&e->operation.store->space,
                             pawl__redis_scripts[PAWL__REDIS_PROBE].sha1, true, "h", &probe);
    pawl__redis_bytes key = probe.argv[3 + PAWL__REDIS_KEY_RECORD];
    const pawl__redis_bytes set[] = {text("SET"), key, text("doctor"), text("PX"),
                                     text(TRIAL_LIFE_MS)};
    const pawl__redis_bytes del[] = {text("DEL"), key};
    return ask(e, PAWL__REDIS_ASK_PROBE, probe.argv, probe.argc) &&
           ask(e, PAWL__REDIS_ASK_WRITE, set, sizeof set / sizeof set[0]) &&
           ask(e, PAWL__REDIS_ASK_ERASE, del, 2);
}

static bool ask_keys(exam *e)
{
    char glob[PAWL__REDIS_GLOB_MAX + 1];
    pawl__redis_glob(&e->operation.store->space, "", 0, glob);
    const pawl__redis_bytes words[] = {text("SCAN"), text(e->cursor), text("MATCH"),
                                       text(glob),   text("COUNT"),   text(PAWL__REDIS_SCAN_COUNT)};
    return ask(e, PAWL__REDIS_ASK_KEYS, words, sizeof words / sizeof words[0]);
}

static bool ask_the_rest(exam *e)
{
    const pawl__redis_bytes info[] = {text("INFO")};
    e->keys_until = pawl__instant_add(now_of(e), pawl__ms_to_ns(KEYS_MS));
    return ask(e, PAWL__REDIS_ASK_INFO, info, 1) && ask_settings(e) && ask_slowlog(e) &&
           ask_for_rights(e) && ask_keys(e);
}

/* ---- Answers -------------------------------------------------------------------------- */

static void take_time(exam *e, const pawl__redis_value *value, int64_t sent)
{
    pawl__redis_clock_reading *to = e->is_last_time ? &e->last : &e->first;
    pawl__redis_clock_reading reading = {.sent = sent, .got = now_of(e)};
    if (!pawl__redis_clock_take(value, &reading.server_us)) return;
    if (!to->server_us) *to = reading;
    if (!e->wall_us) e->wall_us = pawl__redis_wall_us();
    if (!e->is_last_time && e->answer_count < PAWL__REDIS_TIMES_MAX)
        e->answers_ns[e->answer_count++] = reading.got - sent;
}

/* {key, value} */
static void take_setting(const pawl__redis_value *value, char *ret_setting, size_t room)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2) return;
    if (value->items[1].type != PAWL__REDIS_STRING) return;
    snprintf(ret_setting, room, "%s", value->items[1].text.data);
}

static void take_probe(exam *e, const pawl__redis_value *value)
{
    char missing[PAWL_MESSAGE_MAX / 2] = "";
    size_t n = 0;
    if (value->type != PAWL__REDIS_ARRAY) return;
    for (size_t i = 1; i < value->count && n < sizeof missing; i++)
        if (value->items[i].type == PAWL__REDIS_STRING)
            n += (size_t)snprintf(missing + n, sizeof missing - n, " +%s",
                                  value->items[i].text.data);
    e->missing = strdup(missing);
}

/* {id, time, microseconds, {command, argument, ...}, ...}, of which the arguments may be secret */
static void take_slow_command(exam *e, const pawl__redis_value *line)
{
    if (line->type != PAWL__REDIS_ARRAY || line->count < 4) return;
    const pawl__redis_value *took = &line->items[2], *words = &line->items[3];
    if (took->type != PAWL__REDIS_INTEGER || words->type != PAWL__REDIS_ARRAY) return;
    if (words->count == 0 || words->items[0].type != PAWL__REDIS_STRING) return;
    const char *command = words->items[0].text.data;
    e->slow_count++;
    if (strncasecmp(command, "EVAL", 4) == 0 || strncasecmp(command, "FCALL", 5) == 0)
        e->slow_scripts++;
    if (took->integer <= e->slowest_us) return;
    e->slowest_us = took->integer;
    snprintf(e->slowest, sizeof e->slowest, "%s", command);
}

static void take_slowlog(exam *e, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_ARRAY) return;
    e->slow_known = true;
    for (size_t i = 0; i < value->count; i++) take_slow_command(e, &value->items[i]);
}

/* The guard's record stays for good. */
static bool is_guard(const exam *e, pawl__redis_bytes key)
{
    char room[PAWL__REDIS_GUARD_KEY_MAX + 1];
    pawl__redis_bytes guard = pawl__redis_guard_key(&e->operation.store->space, room);
    return key.len == guard.len && memcmp(key.data, guard.data, key.len) == 0;
}

/* {cursor, {key, ...}} */
static void take_keys(exam *e, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2 ||
        value->items[0].type != PAWL__REDIS_STRING || value->items[1].type != PAWL__REDIS_ARRAY ||
        value->items[0].text.len >= sizeof e->cursor)
        return;
    const pawl__redis_value *keys = &value->items[1];
    e->keys_known = true;
    memcpy(e->cursor, value->items[0].text.data, value->items[0].text.len + 1);
    for (size_t i = 0; i < keys->count; i++) {
        if (keys->items[i].type != PAWL__REDIS_STRING) continue;
        const pawl__redis_bytes words[] = {text("PTTL"), keys->items[i].text};
        if (is_guard(e, words[1])) continue;
        if (!ask_about(e, PAWL__REDIS_ASK_TTL, words, 2, &words[1])) e->incomplete = true;
    }
    if (strcmp(e->cursor, "0") == 0) return;
    e->keys_cut = e->key_count >= KEYS_MAX || now_of(e) >= e->keys_until;
    if (!e->keys_cut && !ask_keys(e)) e->incomplete = true;
}

static void take_ttl(exam *e, const char *key, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_INTEGER || value->integer == -2) return; /* gone meanwhile */
    e->key_count++;
    if (value->integer != -1) return;
    if (e->endless_count++ == 0) snprintf(e->endless, sizeof e->endless, "%s", key);
}

static void take_answer(exam *e, const step *s, const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX];
    if (value->type == PAWL__REDIS_ERROR) {
        (void)pawl__redis_explain(&e->operation.store->space, pawl__redis_askings[s->which].command,
                                  NULL, NULL, value->text, message);
        if (!e->denied[s->which]) e->denied[s->which] = strdup(message);
        return;
    }
    switch (s->which) {
    case PAWL__REDIS_ASK_TIME:
        take_time(e, value, s->sent);
        return;
    case PAWL__REDIS_ASK_INFO:
        if (value->type == PAWL__REDIS_STRING) e->info = strdup(value->text.data);
        return;
    case PAWL__REDIS_ASK_FSYNC:
    case PAWL__REDIS_ASK_MIN_REPLICAS:
    case PAWL__REDIS_ASK_OUTPUT_LIMIT:
    case PAWL__REDIS_ASK_TIMEOUT:
    case PAWL__REDIS_ASK_KEEPALIVE:
        take_setting(value, e->settings[s->which], sizeof e->settings[s->which]);
        return;
    case PAWL__REDIS_ASK_SLOWLOG:
        take_slowlog(e, value);
        return;
    case PAWL__REDIS_ASK_PROBE:
        take_probe(e, value);
        return;
    case PAWL__REDIS_ASK_WRITE:
        e->written = value->type == PAWL__REDIS_STATUS;
        return;
    case PAWL__REDIS_ASK_KEYS:
        take_keys(e, value);
        return;
    case PAWL__REDIS_ASK_TTL:
        take_ttl(e, s->key, value);
        return;
    case PAWL__REDIS_ASK_ERASE:
    case PAWL__REDIS_QUESTIONS:
        return;
    }
}

/* ---- What comes next ------------------------------------------------------------------ */

static void conclude(exam *e)
{
    pawl__redis_examine(e);
    pawl__redis_operation_end(&e->operation, PAWL_REPORTED, PAWL_OK, NULL);
}

static void read_the_clock_again(exam *e)
{
    e->is_last_time = true;
    if (ask_time(e)) {
        e->operation.store->wire->flush(e->operation.store);
        return;
    }
    e->incomplete = true;
    conclude(e);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
    exam *e = arg;
    (void)fd, (void)what;
    read_the_clock_again(e);
    pawl__redis_operation_free_if_over(&e->operation);
}

/* Two readings that are close together tell little about the rate of a clock. */
static void pause_and_read(exam *e)
{
    int64_t until = pawl__instant_add(e->first.got, pawl__ms_to_ns(CLOCK_SPAN_MS));
    int64_t left_ms = pawl__ms_until(now_of(e), until);
    struct timeval delay = {.tv_usec = (left_ms > 0 ? left_ms : 0) * 1000};
    if (!e->first.server_us) { /* TIME was denied */
        conclude(e);
        return;
    }
    evtimer_assign(&e->pause, e->operation.store->host->base, on_pause_over, e);
    if (evtimer_add(&e->pause, &delay) < 0) read_the_clock_again(e);
}

static bool wants_more_times(const exam *e)
{
    if (e->answer_count == 0 || e->answer_count >= PAWL__REDIS_TIMES_MAX) return false;
    return now_of(e) - e->first.sent < pawl__ms_to_ns(TIMES_MS);
}

static void go_on(exam *e, question answered_last)
{
    if (e->is_last_time) {
        conclude(e);
    } else if (answered_last != PAWL__REDIS_ASK_TIME) {
        pause_and_read(e);
    } else if (!wants_more_times(e) || !ask_time(e)) {
        if (!ask_the_rest(e)) e->incomplete = true;
        if (e->operation.due == 0) conclude(e);
    }
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    step *s = pawl__container(pending, step, pending);
    exam *e = s->exam;
    question which = s->which;
    (void)store;
    if (!e->operation.over) take_answer(e, s, value);
    free(s);
    e->operation.due--;
    if (e->operation.due == 0 && !e->operation.over) go_on(e, which);
    pawl__redis_operation_free_if_over(&e->operation);
}

static void release(pawl__redis_operation *operation)
{
    exam *e = pawl__container(operation, exam, operation);
    if (event_initialized(&e->pause)) evtimer_del(&e->pause);
    for (int i = 0; i < PAWL__REDIS_QUESTIONS; i++) free(e->denied[i]);
    free(e->info);
    free(e->missing);
    free(e);
}

bool pawl__redis_doctor(pawl_store *store, const pawl_request *request)
{
    exam *e = calloc(1, sizeof *e);
    if (!e) return false;
    memcpy(e->cursor, "0", 2);
    e->operation.store = store;
    if (!ask_time(e)) {
        free(e);
        return false;
    }
    pawl__redis_watch_try(store, request); /* answered before the findings are made */
    pawl__redis_operation_begin(&e->operation, store, request, release);
    return true;
}
