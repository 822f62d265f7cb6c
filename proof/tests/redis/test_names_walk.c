/* SPDX-License-Identifier: MIT */
/*
 * Calls that are about more than one holder or one name, beside the memory model: several names
 * that are taken or given back in one call, values that are published, and who is told of them.
 * Three clients ask about four names, alone and together; both must answer and tell the same, the
 * same clients. No lease ends here (test_many_walk.c has those): values and watches do, by a clock
 * of the server that stands still but for the steps that the walk draws.
 *
 * Each planted mistake, a line of a script that reads otherwise, must be found.
 */
#define _GNU_SOURCE
#include "clock_stage.h"

#include "../support/beside_model.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CLIENTS = 3, NAMES = 4, STEPS = 150, SEEDS = 20, NEWS_MAX = 64 };

#define MS INT64_C(1000000)

#define LONG_MS  PAWL_TTL_MAX_MS
#define INBOXES  "pawl:inbox:c0 pawl:inbox:c1 pawl:inbox:c2 pawl:inbox:test"
#define INBOX_AT (sizeof("pawl:inbox:c") - 1) /* where a channel has the client's digit */

typedef struct news {
    pawl_push_kind kind;
    int who;
    char name;
    char token[PAWL_TOKEN_LEN + 1];
    uint64_t fence; /* of a grant */
    bool waiting;
} news;

typedef struct box {
    news items[NEWS_MAX];
    int count;
} box;

/* What a client has at a name. */
typedef struct asker {
    char token[PAWL_TOKEN_LEN + 1];
    pawl_request wish; /* a token asks for the same as long as it lives */
    uint64_t published;
} asker;

typedef struct walk {
    rig *rig;
    redisContext *ears;
    pawl__memory *memory;
    uint64_t random, seed;
    int step;
    int64_t now; /* the server's clock and the model's, in ns */
    pawl__redis_space spaces[CLIENTS];
    asker askers[CLIENTS][NAMES];
    fence_pairs fences[NAMES];
    box real, modelled;
    const pawl_info *real_row;
    char value[24];
    char complaint[200]; /* the first thing in which the two differ; "": none */
} walk;

static const char names[NAMES][2] = {"a", "b", "c", "d"};
static const char labels[CLIENTS][2] = {"0", "1", "2"};
static const int clients[CLIENTS] = {0, 1, 2}; /* their addresses for the model */

static uint64_t draw(walk *w, uint64_t below)
{
    return draw_below(&w->random, below);
}

#define AGREE(w, condition) complain_unless(w, condition, #condition)

static void complain_unless(walk *w, bool agrees, const char *what)
{
    if (agrees || *w->complaint) return;
    snprintf(w->complaint, sizeof(w->complaint), "seed %" PRIu64 ", step %d: %s", w->seed, w->step,
             what);
}

/* ---- Time ------------------------------------------------------------------------------- */

static void set_clock(walk *w)
{
    atomic_store(&server_clock->ahead_ns, w->now - atomic_load(&server_clock->since_ns));
    while (llabs(server_ms(w->rig) - w->now / MS) > 1) {
    }
}

/* The clock makes steps of tens, and what ends does so 6 ms behind one: never near a request. */
static int64_t draw_span(walk *w)
{
    return 6 + 30 * (1 + (int64_t)draw(w, 4));
}

static void let_time_pass(walk *w)
{
    uint64_t kind = draw(w, 6);
    if (kind < 3) return; /* two grants at one instant have different fences, too */
    w->now += kind < 5 ? 2000 : 10 * MS * (1 + (int64_t)draw(w, 5));
    set_clock(w);
}

/* ---- What is told ------------------------------------------------------------------------- */

static void put_news(box *to, int who, const pawl_push *push)
{
    assert_true(to->count < NEWS_MAX);
    news *n = &to->items[to->count++];
    *n = (news){.kind = push->kind,
                .who = who,
                .name = push->name[0],
                .fence = push->kind == PAWL_PUSH_GRANT ? push->fence : 0,
                .waiting = push->waiting};
    if (push->token) memcpy(n->token, push->token, PAWL_TOKEN_LEN + 1);
}

static void on_push(void *ctx, void *whom, const pawl_push *push)
{
    put_news(&((walk *)ctx)->modelled, *(const int *)whom, push);
}

static void listen_to_inboxes(walk *w)
{
    redisReply *reply = redisCommand(w->ears, "SUBSCRIBE " INBOXES);
    for (int i = 0; i <= CLIENTS; i++) {
        if (i > 0) assert_int_equal(redisGetReply(w->ears, (void **)&reply), REDIS_OK);
        assert_non_null(reply);
        freeReplyObject(reply);
    }
}

/* What comes before the marker that is sent now. */
static void hear_all(walk *w)
{
    rig_must(w->rig, "PUBLISH pawl:inbox:test %s", "r pawl:marker");
    for (bool is_marker = false; !is_marker;) {
        redisReply *message;
        pawl_token token;
        uint16_t slots[PAWL_CAPACITY_MAX];
        pawl_push push;
        assert_int_equal(redisGetReply(w->ears, (void **)&message), REDIS_OK);
        const char *channel = message->element[1]->str;
        const redisReply *text = message->element[2];
        assert_true(pawl__redis_decode_push(
            &w->spaces[0], (pawl__redis_bytes){text->str, text->len}, &token, slots, &push));
        is_marker = strcmp(channel, "pawl:inbox:test") == 0;
        if (!is_marker) put_news(&w->real, channel[INBOX_AT] - '0', &push);
        freeReplyObject(message);
    }
}

/* Grants of a name in their order, all else in any. */
static int by_kind_and_whom(const void *a, const void *b)
{
    const news *x = a, *y = b;
    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    if (x->name != y->name) return x->name - y->name;
    if (x->fence != y->fence) return x->fence < y->fence ? -1 : 1;
    if (x->who != y->who) return x->who - y->who;
    return strcmp(x->token, y->token);
}

static bool same_fence(walk *w, int name, uint64_t real, uint64_t modelled)
{
    return fences_agree(&w->fences[name], real, modelled);
}

static void same_news(walk *w)
{
    AGREE(w, w->real.count == w->modelled.count);
    qsort(w->real.items, (size_t)w->real.count, sizeof(news), by_kind_and_whom);
    qsort(w->modelled.items, (size_t)w->modelled.count, sizeof(news), by_kind_and_whom);
    for (int i = 0; i < w->real.count && i < w->modelled.count; i++) {
        const news *a = &w->real.items[i], *b = &w->modelled.items[i];
        AGREE(w, a->kind == b->kind && a->who == b->who && a->name == b->name);
        AGREE(w, strcmp(a->token, b->token) == 0 && a->waiting == b->waiting);
        if (!*w->complaint && a->kind == PAWL_PUSH_GRANT)
            AGREE(w, same_fence(w, a->name - 'a', a->fence, b->fence));
    }
    w->real.count = w->modelled.count = 0;
}

/* ---- Asking both -------------------------------------------------------------------------- */

static void on_row(void *ctx, const pawl_info *info)
{
    walk *w = ctx;
    const pawl_info *real = w->real_row;
    AGREE(w, real->held == info->held && real->holder_count == info->holder_count);
    AGREE(w, real->waiter_count == info->waiter_count);
    for (size_t i = 0; !*w->complaint && i < info->holder_count; i++) {
        const pawl_holder_info *a = &real->holders[i], *b = &info->holders[i];
        AGREE(w, a->mode == b->mode && strcmp(a->owner, b->owner) == 0);
        AGREE(w, same_fence(w, info->name[0] - 'a', a->fence, b->fence));
    }
    for (size_t i = 0; !*w->complaint && i < info->waiter_count; i++)
        AGREE(w, strcmp(real->waiters[i].owner, info->waiters[i].owner) == 0);
}

static pawl_reply model(walk *w, int who, const pawl_request *request)
{
    pawl_reply reply;
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    pawl__memory_time time = {.now = w->now, .wall_us = 1}; /* its fences grow by ones */
    pawl__memory_apply(w->memory, &time, (void *)&clients[who], request, &out, &reply);
    return reply;
}

static void same_reply(walk *w, const pawl_request *request, const pawl_reply *real,
                       const pawl_reply *modelled)
{
    AGREE(w, real->outcome == modelled->outcome && real->err == modelled->err);
    if (*w->complaint) return;
    AGREE(w, real->waiting == modelled->waiting && real->position == modelled->position);
    if (real->outcome == PAWL_GRANTED || real->outcome == PAWL_CONFIRMED)
        AGREE(w, same_fence(w, request->name[0] - 'a', real->fence, modelled->fence));
}

static const answer *ask_real(walk *w, int who, const pawl_request *request)
{
    w->rig->space = w->spaces[who];
    const answer *a = rig_ask(w->rig, request);
    assert_int_equal(a->verdict, PAWL__REDIS_DECODED);
    return a;
}

static void ask_alone(walk *w, int who, const pawl_request *request)
{
    pawl_reply modelled = model(w, who, request);
    same_reply(w, request, &ask_real(w, who, request)->reply, &modelled);
}

static redisReply *call_together(walk *w, int who, const pawl_request *const *requests,
                                 size_t count)
{
    static pawl__redis_together_call call;
    const char *texts[PAWL__REDIS_TOGETHER_ARGV_MAX];
    size_t lens[PAWL__REDIS_TOGETHER_ARGV_MAX];
    pawl__redis_encode_together(&w->spaces[who], requests, count, &call);
    const char *sha1 = w->rig->sha1s[call.script];
    call.argv[0] = (pawl__redis_bytes){"EVALSHA", 7};
    call.argv[1] = (pawl__redis_bytes){sha1, strlen(sha1)};
    for (size_t i = 0; i < call.argc; i++) {
        texts[i] = call.argv[i].data;
        lens[i] = call.argv[i].len;
    }
    redisReply *reply = redisCommandArgv(w->rig->admin, (int)call.argc, texts, lens);
    assert_non_null(reply);
    if (reply->type != REDIS_REPLY_STRING) fail_msg("together: %s", reply->str);
    return reply;
}

/* One after the other for the model; and what the call could not do is asked for alone. */
static void ask_together(walk *w, int who, const pawl_request *requests, size_t count)
{
    const pawl_request *list[NAMES];
    pawl__redis_bytes answers[PAWL__REDIS_TOGETHER_MAX];
    for (size_t i = 0; i < count; i++) list[i] = &requests[i];
    redisReply *reply = call_together(w, who, list, count);
    assert_true(
        pawl__redis_split_together((pawl__redis_bytes){reply->str, reply->len}, count, answers));
    for (size_t i = 0; i < count; i++) {
        char text[PAWL_MESSAGE_MAX], message[PAWL_MESSAGE_MAX];
        uint16_t slots[PAWL_CAPACITY_MAX];
        pawl_reply real;
        if (answers[i].data[0] == '-') {
            ask_alone(w, who, &requests[i]);
            continue;
        }
        snprintf(text, sizeof(text), "%.*s", (int)answers[i].len, answers[i].data);
        pawl__redis_value value = {.type = PAWL__REDIS_STRING, .text = {text, answers[i].len}};
        assert_int_equal(
            pawl__redis_decode(&w->spaces[who], &requests[i], "", &value, &real, message, slots),
            PAWL__REDIS_DECODED);
        pawl_reply modelled = model(w, who, &requests[i]);
        same_reply(w, &requests[i], &real, &modelled);
    }
    freeReplyObject(reply);
}

/* ---- Looking ------------------------------------------------------------------------------ */

static void same_value(walk *w, int who, const pawl_request *request)
{
    pawl__redis_value room[8];
    size_t used = 0;
    pawl_value real;
    pawl__redis_value value = value_of(ask_real(w, who, request)->raw, room, &used, 8);
    assert_true(pawl__redis_decode_value(&value, &real));
    pawl_reply modelled = model(w, who, request);
    const pawl_value *other = modelled.value;
    AGREE(w, (real.fence != 0) == (other->fence != 0));
    if (*w->complaint || !real.fence) return;
    AGREE(w, real.len == other->len && memcmp(real.bytes, other->bytes, real.len) == 0);
    AGREE(w, strcmp(real.owner, other->owner) == 0);
    AGREE(w, same_fence(w, request->name[0] - 'a', real.fence, other->fence));
}

static void look_at_all(walk *w)
{
    for (int i = 0; i < NAMES; i++) {
        pawl_request look = ask_inspect(names[i], NULL), read = ask_read(names[i], 0);
        w->real_row = &ask_real(w, 0, &look)->info;
        (void)model(w, 0, &look);
        same_value(w, 0, &read);
    }
}

/* ---- Steps -------------------------------------------------------------------------------- */

static void new_token(walk *w, int who, int name)
{
    asker *a = &w->askers[who][name];
    memcpy(a->token, fresh_token(), PAWL_TOKEN_LEN + 1);
    a->published = 0;
    a->wish = draw_wish(&w->random, name == NAMES - 1);
    if (draw(w, 2)) a->wish = (pawl_request){.mode = PAWL_MODE_EXCLUSIVE};
}

static pawl_request request_of(walk *w, int who, int name, pawl_verb verb)
{
    return (pawl_request){.verb = verb,
                          .name = names[name],
                          .name_len = 1,
                          .token = w->askers[who][name].token,
                          .owner = labels[who],
                          .ttl_ms = LONG_MS};
}

/* Some names, in order; only what is wished exclusively can be asked for together. */
static void several(walk *w, int who, pawl_verb verb)
{
    pawl_request requests[NAMES];
    size_t count = 0;
    for (int i = 0; i < NAMES; i++) {
        bool may = verb == PAWL_VERB_RELEASE || w->askers[who][i].wish.mode == PAWL_MODE_EXCLUSIVE;
        if (!may || draw(w, 4) == 0) continue;
        requests[count] = request_of(w, who, i, verb);
        requests[count++].flags = PAWL_ASK_TOGETHER;
    }
    if (count < 2) return;
    ask_together(w, who, requests, count);
    for (int i = 0; verb == PAWL_VERB_RELEASE && i < NAMES; i++)
        if (draw(w, 2)) {
            pawl_request rest = request_of(w, who, i, PAWL_VERB_RELEASE);
            ask_alone(w, who, &rest);
            new_token(w, who, i);
        }
}

static void one(walk *w, int who, pawl_verb verb)
{
    int name = (int)draw(w, NAMES);
    asker *a = &w->askers[who][name];
    pawl_request request = request_of(w, who, name, verb);
    if (verb == PAWL_VERB_ACQUIRE) {
        request.mode = a->wish.mode;
        request.capacity = a->wish.capacity;
        request.units = a->wish.units;
        if (draw(w, 4)) request.flags = PAWL_ASK_QUEUE;
    }
    ask_alone(w, who, &request);
}

/* Now and then with the number of the one before, or with an older one: it comes late. */
static void publish(walk *w, int who)
{
    int name = (int)draw(w, NAMES);
    asker *a = &w->askers[who][name];
    pawl_request request = request_of(w, who, name, PAWL_VERB_PUBLISH);
    snprintf(w->value, sizeof(w->value), "%d", w->step);
    request.value = w->value;
    request.value_len = strlen(w->value);
    request.keep_ms = draw_span(w);
    if (a->published == 0 || draw(w, 3)) a->published++;
    request.publication = a->published > 1 && draw(w, 6) == 0 ? a->published - 1 : a->published;
    ask_alone(w, who, &request);
}

static void watch(walk *w, int who)
{
    pawl_request request = ask_read(names[draw(w, NAMES)], draw_span(w));
    same_value(w, who, &request);
}

static void take_step(walk *w)
{
    int who = (int)draw(w, CLIENTS);
    uint64_t kind = draw(w, 16);
    let_time_pass(w);
    if (kind < 3)
        several(w, who, PAWL_VERB_ACQUIRE);
    else if (kind < 6)
        several(w, who, PAWL_VERB_RELEASE);
    else if (kind < 8)
        one(w, who, PAWL_VERB_ACQUIRE);
    else if (kind == 8)
        one(w, who, PAWL_VERB_RENEW);
    else if (kind < 13)
        publish(w, who);
    else
        watch(w, who);
    hear_all(w);
    same_news(w);
    if (w->step % 3 == 0) look_at_all(w);
}

/* ---- Walks -------------------------------------------------------------------------------- */

static walk the_walk; /* one at a time: it is large */

/* What the two differed in, or "". */
static const char *take_walk(rig *r, uint64_t seed)
{
    static int64_t now;
    walk *w = &the_walk;
    if (!now) now = atomic_load(&server_clock->since_ns);
    *w = (walk){.rig = r, .seed = seed, .random = seed, .now = now};
    set_clock(w); /* from the first step on both have the same time */
    rig_must(r, "FLUSHALL");
    w->ears = rig_connect(r);
    listen_to_inboxes(w);
    w->memory = pawl__memory_new(seed, 0);
    for (int i = 0; i < CLIENTS; i++) {
        char id[3] = {'c', labels[i][0]};
        assert_true(pawl__redis_space_init(&w->spaces[i], "pawl:", id, "redis://test"));
        for (int k = 0; k < NAMES; k++) new_token(w, i, k);
    }
    for (w->step = 0; w->step < STEPS && !*w->complaint; w->step++) take_step(w);
    pawl__memory_free(w->memory);
    redisFree(w->ears);
    now = w->now + 1000 * MS;
    return w->complaint;
}

static void both_say_the_same(void **state)
{
    const char *seeds = getenv("PAWL_SEEDS"); /* FIRST-LAST, for a longer walk */
    uint64_t first = 1, last = SEEDS;
    if (seeds) assert_int_equal(sscanf(seeds, "%" SCNu64 "-%" SCNu64, &first, &last), 2);
    for (uint64_t seed = first; seed <= last; seed++) {
        const char *complaint = take_walk(*state, seed);
        if (*complaint) fail_msg("%s", complaint);
    }
}

/* ---- Planted mistakes --------------------------------------------------------------------- */

typedef struct mistake {
    pawl__redis_script script;
    const char *what, *from, *to;
} mistake;

static const mistake mistakes[] = {
    {PAWL__REDIS_ACQUIRE_TOGETHER, "a fence that was given before is given again",
     "then grows = false end", "then grows = true end"},
    {PAWL__REDIS_ACQUIRE_TOGETHER, "each record names the first token", "before .. token .. behind",
     "before .. ARGV[3] .. behind"},
    {PAWL__REDIS_ACQUIRE_TOGETHER, "each lock has the first token", "'SET', KEYS[i], token,",
     "'SET', KEYS[i], ARGV[3],"},
    {PAWL__REDIS_ACQUIRE_TOGETHER, "only the first name need be free", "unpack(KEYS, 1, 2 * count)",
     "KEYS[1]"},
    {PAWL__REDIS_ACQUIRE_TOGETHER, "who wants to be told is queued", "ttl, who, '0'} end)",
     "ttl, who} end)"},
    {PAWL__REDIS_ACQUIRE_TOGETHER, "what failed is called busy", "then said = '-' end",
     "then said = '2 0 ' end"},
    {PAWL__REDIS_RELEASE_TOGETHER, "only the last one need be mine", "is_mine = is_mine and ",
     "is_mine = "},
    {PAWL__REDIS_RELEASE_TOGETHER, "only the first queue is looked at",
     "unpack(KEYS, count + 1, 2 * count)", "KEYS[count + 1]"},
    {PAWL__REDIS_RELEASE_TOGETHER, "only the first is given back", "unpack(KEYS, 1, count)",
     "KEYS[1]"},
    {PAWL__REDIS_PUBLISH, "who watched before is told", "if till - now_ms > 0 then",
     "if true then"},
    {PAWL__REDIS_PUBLISH, "only the first is told", "'n ' .. KEYS[1])", "'n ' .. KEYS[1]) break"},
    {PAWL__REDIS_PUBLISH, "nobody is told", "redis.pcall('PUBLISH', inbox, 'n ' .. KEYS[1])", ""},
    {PAWL__REDIS_PUBLISH, "what comes late replaces the value", "then return answer end",
     "then end"},
    {PAWL__REDIS_PUBLISH, "its number is forgotten", ".. '+' .. ARGV[4]", ""},
    {PAWL__REDIS_PUBLISH, "watches end with the value", "life = math.max(life, till - now_ms)", ""},
    {PAWL__REDIS_READ, "who watches anew is told twice", " and inbox ~= ARGV[1]", ""},
    {PAWL__REDIS_READ, "who watches anew is the only one",
     "lines[#lines + 1] = till .. ' ' .. inbox .. '\\n'", ""},
    {PAWL__REDIS_READ, "the value ends with the latest watch",
     "math.max(redis.call('PTTL', KEYS[5]), tonumber(ARGV[2]))", "tonumber(ARGV[2])"},
    {PAWL__REDIS_READ, "a value that has ended is told", "if not till or till - now_ms <= 0 then",
     "if not till then"},
};

/* The script with the first `from` replaced. */
static char *body_with(const mistake *m)
{
    const char *body = pawl__redis_scripts[m->script].body, *at = strstr(body, m->from);
    char *text = NULL;
    if (!at) fail_msg("%s: there is no \"%s\" any more", m->what, m->from);
    assert_true(asprintf(&text, "%.*s%s%s", (int)(at - body), body, m->to, at + strlen(m->from)) >
                0);
    return text;
}

static void each_mistake_is_found(void **state)
{
    rig *r = *state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        const mistake *m = &mistakes[i];
        char *body = body_with(m), sha1[41];
        const char *complaint = "";
        snprintf(sha1, sizeof(sha1), "%s", rig_text(r, "SCRIPT LOAD %s", body));
        r->sha1s[m->script] = sha1;
        for (uint64_t seed = 1; !*complaint && seed <= SEEDS; seed++)
            complaint = take_walk(r, seed);
        r->sha1s[m->script] = pawl__redis_scripts[m->script].sha1;
        free(body);
        if (!*complaint) fail_msg("not found in %d walks: %s", SEEDS, m->what);
        print_message("%s: %s\n", m->what, complaint);
    }
}

static int begin(void **state)
{
    struct timespec real;
    if (clock_group_begin(state)) return -1;
    rig_unsubscribe(*state); /* nobody would read what it hears */
    clock_gettime(CLOCK_REALTIME, &real);
    atomic_store(&server_clock->since_ns, real.tv_sec * 1000 * MS + real.tv_nsec / MS * MS);
    atomic_store(&server_clock->faster_permille, -1000); /* it stands still */
    return 0;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(both_say_the_same),
        cmocka_unit_test(each_mistake_is_found),
    };
    return rig_run("redis and the model of several names and of values", cases, begin,
                   clock_group_end);
}
