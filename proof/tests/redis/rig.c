/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VALUES_MAX 8192

static redisReply *last_reply;

static redisReply *keep(redisReply *reply)
{
    if (last_reply) freeReplyObject(last_reply);
    last_reply = reply;
    return reply;
}

redisContext *rig_connect(const rig *r)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    redisContext *c = redisConnectUnix(redis_server_socket(r->server));
    if (!c) abort();
    if (c->err) fail_msg("cannot connect: %s", c->errstr);
    redisSetTimeout(c, patience);
    fcntl(c->fd, F_SETFD, FD_CLOEXEC); /* a second server must not inherit it */
    return c;
}

rig *rig_new(const char *const *arguments)
{
    rig *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->server = redis_server_start(arguments);
    r->admin = rig_connect(r);
    assert_true(pawl__redis_space_init(&r->space, "pawl:", "me", "redis://test"));
    for (int i = 0; i < PAWL__REDIS_SCRIPTS; i++) {
        const char *sha1 = rig_text(r, "SCRIPT LOAD %s", pawl__redis_scripts[i].body);
        assert_string_equal(sha1, pawl__redis_scripts[i].sha1); /* the generator's SHA1 */
        r->sha1s[i] = pawl__redis_scripts[i].sha1;
    }
    rig_listen(r);
    return r;
}

void rig_free(rig *r)
{
    keep(NULL);
    rig_unsubscribe(r);
    if (r->admin) redisFree(r->admin);
    redis_server_stop(r->server);
    free(r);
}

void rig_listen(rig *r)
{
    if (r->ears) return;
    r->ears = rig_connect(r);
    redisReply *reply = redisCommand(r->ears, "SUBSCRIBE %s pawl:inbox:test", r->space.inbox);
    assert_non_null(reply);
    freeReplyObject(reply);
    assert_int_equal(redisGetReply(r->ears, (void **)&reply), REDIS_OK); /* of the second one */
    freeReplyObject(reply);
}

void rig_unsubscribe(rig *r)
{
    redisReply *reply = NULL;
    static const char unsubscribe[] = "UNSUBSCRIBE\r\n";
    if (!r->ears) return;
    /* The answer comes after the unread messages: from then on we are not subscribed. */
    (void)send(r->ears->fd, unsubscribe, sizeof(unsubscribe) - 1, MSG_NOSIGNAL);
    do {
        if (reply) freeReplyObject(reply);
        reply = NULL;
        if (redisGetReply(r->ears, (void **)&reply) != REDIS_OK) break;
    } while (strcmp(reply->element[0]->str, "unsubscribe") != 0 || reply->element[2]->integer > 0);
    if (reply) freeReplyObject(reply);
    redisFree(r->ears);
    r->ears = NULL;
}

static redisReply *run(rig *r, const char *format, va_list args)
{
    redisReply *reply = redisvCommand(r->admin, format, args);
    if (!reply) fail_msg("%s: %s", format, r->admin->errstr);
    return keep(reply);
}

redisReply *rig_do(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run(r, format, args);
    va_end(args);
    return reply;
}

void rig_must(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run(r, format, args);
    va_end(args);
    if (reply->type == REDIS_REPLY_ERROR) fail_msg("%s: %s", format, reply->str);
}

int64_t rig_int(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run(r, format, args);
    va_end(args);
    if (reply->type != REDIS_REPLY_INTEGER) fail_msg("%s: no integer", format);
    return reply->integer;
}

const char *rig_text(rig *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = run(r, format, args);
    va_end(args);
    if (reply->type == REDIS_REPLY_ERROR) fail_msg("%s: %s", format, reply->str);
    return reply->str ? reply->str : "";
}

/* ---- Scripts ------------------------------------------------------------------------------ */

pawl__redis_value value_of(const redisReply *reply, pawl__redis_value *room, size_t *used,
                           size_t room_count)
{
    static const pawl__redis_type types[] = {
        [REDIS_REPLY_STRING] = PAWL__REDIS_STRING,   [REDIS_REPLY_ARRAY] = PAWL__REDIS_ARRAY,
        [REDIS_REPLY_INTEGER] = PAWL__REDIS_INTEGER, [REDIS_REPLY_NIL] = PAWL__REDIS_NIL,
        [REDIS_REPLY_STATUS] = PAWL__REDIS_STATUS,   [REDIS_REPLY_ERROR] = PAWL__REDIS_ERROR};
    pawl__redis_value value = {.type = types[reply->type], .integer = reply->integer};
    if (reply->str) value.text = (pawl__redis_bytes){.data = reply->str, .len = reply->len};
    if (reply->type != REDIS_REPLY_ARRAY) return value;
    pawl__redis_value *items = room + *used;
    *used += reply->elements;
    assert_true(*used <= room_count);
    for (size_t i = 0; i < reply->elements; i++)
        items[i] = value_of(reply->element[i], room, used, room_count);
    value.items = items;
    value.count = reply->elements;
    return value;
}

static redisReply *call_script(rig *r, const pawl__redis_call *call)
{
    const char *sha1 = r->sha1s[call->script];
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX];
    const char *texts[PAWL__REDIS_ARGV_MAX];
    size_t lens[PAWL__REDIS_ARGV_MAX];
    size_t argc = pawl__redis_call_argv(call, (pawl__redis_bytes){sha1, strlen(sha1)}, true, argv);
    for (size_t i = 0; i < argc; i++) {
        texts[i] = argv[i].data;
        lens[i] = argv[i].len;
    }
    redisReply *reply = redisCommandArgv(r->admin, (int)argc, texts, lens);
    if (!reply) fail_msg("EVALSHA: %s", r->admin->errstr);
    return reply;
}

const answer *rig_ask(rig *r, const pawl_request *request)
{
    static answer a;
    static pawl__redis_value values[VALUES_MAX];
    pawl_request full = *request;
    pawl__redis_call call;
    size_t used = 0;
    if (!full.owner) full.owner = "somebody";
    assert_true(pawl__redis_encode(&r->space, &full, &call));
    a.raw = keep(call_script(r, &call));
    pawl__redis_value value = value_of(a.raw, values, &used, VALUES_MAX);
    a.verdict = pawl__redis_decode(&r->space, &full, pawl__redis_scripts[call.script].body, &value,
                                   &a.reply, a.message, a.slots);
    bool reports = a.verdict == PAWL__REDIS_DECODED && a.reply.outcome == PAWL_REPORTED;
    if (reports && full.verb != PAWL_VERB_READ)
        assert_true(pawl__redis_decode_info(&full, &value, &a.rows, &a.info));
    return &a;
}

const answer *rig_expect(rig *r, pawl_request request, pawl_outcome outcome)
{
    const answer *a = rig_ask(r, &request);
    if (a->verdict != PAWL__REDIS_DECODED || a->reply.outcome != outcome)
        fail_msg("verb %d on \"%s\": outcome %d (%s), expected %d", (int)request.verb, request.name,
                 (int)a->reply.outcome, a->message, (int)outcome);
    return a;
}

/* Everything in the database as one text, but ttls: to see that nothing has changed. */
static char *snapshot(rig *r)
{
    static const char script[] =
        "local all = redis.call('KEYS', '*') table.sort(all) local text = '' "
        "for _, key in ipairs(all) do text = text .. key .. redis.call('DUMP', key) end "
        "return redis.sha1hex(text)";
    return strdup(rig_text(r, "EVAL %s 0", script));
}

void rig_refused(rig *r, pawl_request request, pawl_err err, const char *word)
{
    char *before = snapshot(r);
    const answer *a = rig_ask(r, &request);
    if (a->reply.outcome != PAWL_FAILED || a->reply.err != err || !strstr(a->message, word))
        fail_msg("verb %d: outcome %d, %s: %s; expected %s and \"%s\"", (int)request.verb,
                 (int)a->reply.outcome, pawl_err_name(a->reply.err), a->message, pawl_err_name(err),
                 word);
    char *after = snapshot(r);
    assert_string_equal(before, after);
    free(before);
    free(after);
}

/* ---- Inboxes --------------------------------------------------------------------------------- */

const pawl_push *rig_hear(rig *r)
{
    static redisReply *message;
    static pawl_token token;
    static uint16_t slots[PAWL_CAPACITY_MAX];
    static pawl_push push;
    if (message) freeReplyObject(message);
    message = NULL;
    if (redisGetReply(r->ears, (void **)&message) != REDIS_OK)
        fail_msg("no message came: %s", r->ears->errstr);
    assert_int_equal(message->elements, 3); /* message, channel, payload */
    const redisReply *payload = message->element[2];
    if (!pawl__redis_decode_push(&r->space, (pawl__redis_bytes){payload->str, payload->len}, &token,
                                 slots, &push))
        fail_msg("not a push: %s", payload->str);
    return &push;
}

void rig_hear_nothing(rig *r)
{
    rig_must(r, "PUBLISH pawl:inbox:test %s", "r pawl:marker");
    const pawl_push *push = rig_hear(r);
    if (push->name_len != 6 || memcmp(push->name, "marker", 6) != 0)
        fail_msg("an unexpected message of kind %d about %s", (int)push->kind, push->name);
}

/* Redis counts the subcommands apart since 7.0: "cmdstat_pubsub|numsub:calls=1". */
int64_t rig_calls(rig *r, const char *command)
{
    char key[64];
    int64_t total = 0;
    size_t len = (size_t)snprintf(key, sizeof(key), "cmdstat_%s", command);
    const char *at = rig_text(r, "INFO commandstats");
    while ((at = strstr(at, key)) != NULL) {
        at += len;
        const char *calls = *at == ':' || *at == '|' ? strstr(at, ":calls=") : NULL;
        if (calls) total += strtoll(calls + strlen(":calls="), NULL, 10);
    }
    return total;
}

int rig_run_cases(const char *name, const struct CMUnitTest *cases, size_t count,
                  CMFixtureFunction group_begin, CMFixtureFunction group_end)
{
    const char *only = getenv("PAWL_ONLY");
    if (only) cmocka_set_test_filter(only);
    if (!redis_server_exists()) {
        puts("SKIP: there is no redis-server on this machine");
        return 77;
    }
    check_cases_run_here();
    return _cmocka_run_group_tests(name, cases, count, group_begin, group_end);
}

int rig_group_begin(void **state)
{
    *state = rig_new(NULL);
    return 0;
}

int rig_group_end(void **state)
{
    rig_free(*state);
    return 0;
}
