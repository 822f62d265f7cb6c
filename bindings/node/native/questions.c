/* SPDX-License-Identifier: MIT */
/*
 * Questions that wait for the store's answer: each on a thread of Node's pool, as long as the store
 * takes to answer. Who waits for a lock is none of them.
 */
#include "addon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSPECT, LIST, BREAK, RENEW, RELEASE, CHECK, LOOK, LEFT, LEADER };

/* A holder or a waiter. */
typedef struct person {
    char owner[PAWL_OWNER_MAX + 1];
    int64_t ms; /* until its lease ends; or for how long it has waited */
    uint64_t fence;
    int mode;
    uint32_t units;
} person;

/* A pawl_info, and what it points to. */
typedef struct report {
    struct report *next;
    pawl_info info;
    char *name;
    char owner[PAWL_OWNER_MAX + 1];
    person *holders, *waiters;
} report;

typedef struct question {
    client *client;
    napi_async_work work;
    napi_ref answer; /* called with the code and the answer */
    int kind, err;
    char *name, *token;
    size_t name_len;
    uint64_t fence;
    int64_t wait_ms, ttl_ms, remaining_ms; /* ttl_ms: of LOOK the period, of LEFT the count */
    report *first, **last;
    pawl_once_info once;
    uint32_t left;
    leader_copy leader;
} question;

/* ---- On a thread of the pool -------------------------------------------------------------------
 */

static person *copy_holders(const pawl_info *info)
{
    person *people = calloc(info->holders_shown + 1, sizeof *people);
    for (size_t i = 0; people && i < info->holders_shown; i++) {
        const pawl_holder_info *from = &info->holders[i];
        people[i] = (person){.ms = from->remaining_ms,
                             .fence = from->fence,
                             .mode = from->mode,
                             .units = from->units};
        snprintf(people[i].owner, sizeof people[i].owner, "%s", from->owner);
    }
    return people;
}

static person *copy_waiters(const pawl_info *info)
{
    person *people = calloc(info->waiters_shown + 1, sizeof *people);
    for (size_t i = 0; people && i < info->waiters_shown; i++) {
        const pawl_waiter_info *from = &info->waiters[i];
        people[i] = (person){.ms = from->age_ms, .mode = from->mode, .units = from->units};
        snprintf(people[i].owner, sizeof people[i].owner, "%s", from->owner);
    }
    return people;
}

static void free_report(report *r)
{
    free(r->name);
    free(r->holders);
    free(r->waiters);
    free(r);
}

static bool on_info(const pawl_info *info, void *userdata)
{
    question *q = userdata;
    report *r = calloc(1, sizeof *r);
    if (r) {
        r->info = *info;
        r->name = malloc(info->name_len + 1);
        r->holders = copy_holders(info);
        r->waiters = copy_waiters(info);
        snprintf(r->owner, sizeof r->owner, "%s", info->owner);
    }
    if (!r || !r->name || !r->holders || !r->waiters) {
        if (r) free_report(r);
        q->err = PAWL_ERR_NO_MEMORY;
        return false;
    }
    memcpy(r->name, info->name, info->name_len);
    *q->last = r;
    q->last = &r->next;
    return true;
}

static int look(question *q)
{
    pawl_once *once;
    pawl_once_opts opts;
    pawl_once_opts_init(&opts);
    opts.every_ms = q->ttl_ms;
    int err = pawl_once_new(q->client->pawl, q->name, q->name_len, &opts, &once);
    if (err) return err;
    err = pawl_once_look(once, q->wait_ms);
    pawl_once_last(once, &q->once);
    pawl_once_free(once);
    return err;
}

static int ask_left(question *q)
{
    pawl_latch *latch;
    pawl_latch_opts opts;
    pawl_latch_opts_init(&opts);
    opts.count = (uint32_t)q->ttl_ms;
    int err = pawl_latch_new(q->client->pawl, q->name, q->name_len, &opts, &latch);
    if (err) return err;
    err = pawl_latch_look(latch, q->wait_ms);
    q->left = pawl_latch_left(latch);
    pawl_latch_free(latch);
    return err;
}

static int ask(question *q)
{
    pawl_client *pawl = q->client->pawl;
    uint64_t fence;
    switch (q->kind) {
    case INSPECT:
        return pawl_inspect(pawl, q->name, q->name_len, q->wait_ms, on_info, q);
    case LIST:
        return pawl_list(pawl, q->name, q->name_len, q->wait_ms, on_info, q);
    case BREAK:
        return pawl_break(pawl, q->name, q->name_len, q->fence, q->wait_ms);
    case RENEW:
        fence = 0;
        int err =
            pawl_token_renew(pawl, q->name, q->name_len, q->token, q->ttl_ms, q->wait_ms, &fence);
        q->fence = fence;
        return err;
    case RELEASE:
        return pawl_token_release(pawl, q->name, q->name_len, q->token, q->wait_ms);
    case LOOK:
        return look(q);
    case LEFT:
        return ask_left(q);
    case LEADER:
        return pawl_election_leader(pawl, q->name, q->name_len, q->wait_ms, copy_leader,
                                    &q->leader);
    case CHECK:
        return pawl_token_check(pawl, q->name, q->name_len, q->token, q->wait_ms, &q->remaining_ms);
    }
    return PAWL_ERR_ARGUMENT;
}

static void execute(napi_env env, void *data)
{
    (void)env;
    question *q = data;
    int err = ask(q);
    if (err) q->err = err;
}

/* ---- The answer
 * ----------------------------------------------------------------------------------- */

static napi_value make_people(napi_env env, const person *people, size_t count, const char *ms)
{
    napi_value list, object;
    napi_create_array_with_length(env, count, &list);
    for (uint32_t i = 0; i < count; i++) {
        napi_create_object(env, &object);
        set(env, object, "owner", make_text(env, people[i].owner, NAPI_AUTO_LENGTH));
        set(env, object, ms, make_int(env, people[i].ms));
        set(env, object, "fence", make_bigint(env, people[i].fence));
        set(env, object, "mode", make_int(env, people[i].mode));
        set(env, object, "units", make_int(env, people[i].units));
        napi_set_element(env, list, i, object);
    }
    return list;
}

static napi_value make_report(napi_env env, const report *r)
{
    const pawl_info *info = &r->info;
    napi_value object;
    napi_create_object(env, &object);
    set(env, object, "name", make_text(env, r->name, info->name_len));
    set(env, object, "held", make_bool(env, info->held));
    set(env, object, "foreign", make_bool(env, info->foreign));
    set(env, object, "owner", make_text(env, r->owner, NAPI_AUTO_LENGTH));
    set(env, object, "remaining", make_int(env, info->remaining_ms));
    set(env, object, "fence", make_bigint(env, info->fence));
    set(env, object, "mode", make_int(env, info->mode));
    set(env, object, "capacity", make_int(env, info->capacity));
    set(env, object, "holderCount", make_int(env, (int64_t)info->holder_count));
    set(env, object, "waiterCount", make_int(env, (int64_t)info->waiter_count));
    set(env, object, "holders", make_people(env, r->holders, info->holders_shown, "remaining"));
    set(env, object, "waiters", make_people(env, r->waiters, info->waiters_shown, "waited"));
    return object;
}

static napi_value make_answer(napi_env env, const question *q)
{
    napi_value list;
    switch (q->kind) {
    case RENEW:
        return make_bigint(env, q->fence);
    case CHECK:
        return make_int(env, q->remaining_ms);
    case LOOK:
        return make_once_info(env, &q->once);
    case LEFT:
        return make_int(env, q->left);
    case LEADER:
        return make_leader(env, &q->leader);
    }
    napi_create_array(env, &list);
    uint32_t i = 0;
    for (const report *r = q->first; r; r = r->next)
        napi_set_element(env, list, i++, make_report(env, r));
    return list;
}

static void free_question(question *q)
{
    for (report *r = q->first, *next; r; r = next) {
        next = r->next;
        free_report(r);
    }
    free(q->name);
    free(q->token);
    client_unref(q->client);
    free(q);
}

static void complete(napi_env env, napi_status status, void *data)
{
    (void)status;
    question *q = data;
    napi_value argv[] = {make_int(env, q->err), make_answer(env, q)}, call, receiver, thrown;
    napi_ref answer = q->answer;
    napi_delete_async_work(env, q->work);
    free_question(q);
    napi_get_reference_value(env, answer, &call);
    napi_get_global(env, &receiver);
    napi_status called = napi_make_callback(env, NULL, receiver, call, 2, argv, NULL);
    napi_delete_reference(env, answer);
    if (called != napi_pending_exception) return;
    napi_get_and_clear_last_exception(env, &thrown);
    napi_fatal_exception(env, thrown);
}

/* (client, kind, name, wait, token, ttl or number, fence, answer) */
static napi_value js_ask(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    question *q = c ? calloc(1, sizeof *q) : NULL;
    if (!q) return make_int(env, PAWL_ERR_NO_MEMORY);
    size_t token_len;
    q->client = c;
    c->refs++;
    q->last = &q->first;
    q->kind = (int)int_at(&a, 1);
    q->name = text_at(&a, 2, &q->name_len);
    q->wait_ms = int_at(&a, 3);
    q->token = text_at(&a, 4, &token_len);
    q->ttl_ms = int_at(&a, 5);
    q->fence = bigint_at(&a, 6);
    bool needs_token = q->kind >= RENEW && q->kind <= CHECK;
    if (!q->name || (needs_token && (!q->token || strlen(q->token) != token_len))) {
        free_question(q);
        return make_int(env, PAWL_ERR_ARGUMENT);
    }
    napi_create_reference(env, a.at[7], 1, &q->answer);
    napi_value name = make_text(env, "pawl question", NAPI_AUTO_LENGTH);
    napi_create_async_work(env, NULL, name, execute, complete, q, &q->work);
    napi_queue_async_work(env, q->work);
    return make_int(env, 0);
}

void export_questions(napi_env env, napi_value exports)
{
    static const char *const names[] = {"INSPECT", "LIST", "BREAK", "RENEW", "RELEASE",
                                        "CHECK",   "LOOK", "LEFT",  "LEADER"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++)
        set(env, exports, names[i], make_int(env, i));
    export_function(env, exports, "ask", js_ask);
}
