/* SPDX-License-Identifier: MIT */
/*
 * The link on a scripted wire and a clock that the test moves: what no real server does on
 * demand, to the millisecond.
 */
#include "stores/redis/redis_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define MS INT64_C(1000000)

typedef struct stage {
    pawl_store store;
    pawl_host host;
    int64_t timers[PAWL__REDIS_TIMERS]; /* delay in us, as it was last set */
    bool turn_due, resolving, open;
    uint64_t sent[PAWL__REDIS_SIDES], left[PAWL__REDIS_SIDES];
    pawl_reply reply;
    int replies, ups;
} stage;

static int64_t now = 1000 * MS;

static int64_t read_clock(void)
{
    return now;
}

static stage *stage_of(const pawl_store *store)
{
    return store->io;
}

static int resolve(pawl_store *store)
{
    stage_of(store)->resolving = true;
    return 0;
}

static int connect_side(pawl_store *store, size_t address, pawl__redis_side side)
{
    (void)address;
    stage_of(store)->open = true;
    stage_of(store)->sent[side] = stage_of(store)->left[side] = 0;
    return 0;
}

static bool is_connected(const pawl_store *store, pawl__redis_side side)
{
    (void)side;
    return stage_of(store)->open;
}

static bool append(pawl_store *store, pawl__redis_side side, const pawl__redis_bytes *argv,
                   size_t argc, uint64_t *ret_end)
{
    (void)argv, (void)argc;
    *ret_end = ++stage_of(store)->sent[side];
    return stage_of(store)->open;
}

static void flush(pawl_store *store, pawl__redis_side side)
{
    stage_of(store)->left[side] = stage_of(store)->sent[side];
}

static uint64_t written(const pawl_store *store, pawl__redis_side side)
{
    return stage_of(store)->left[side];
}

static void close_all(pawl_store *store)
{
    stage_of(store)->open = false;
}

static void set_timer(pawl_store *store, pawl__redis_timer timer, int64_t delay_us)
{
    stage_of(store)->timers[timer] = delay_us;
}

static void turn_soon(pawl_store *store)
{
    stage_of(store)->turn_due = true;
}

static const pawl__redis_wire wire = {resolve, connect_side, is_connected, append,   flush,
                                      written, close_all,    set_timer,    turn_soon};

static void host_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    (void)err, (void)message;
    s->ups += up;
}

static void host_reply(pawl_host *host, const pawl_reply *reply)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    s->reply = *reply;
    s->replies++;
}

static void begin(stage *s)
{
    *s = (stage){.host = {.client_id = "0123456789abcdef0123456789abcdef",
                          .owner = "me",
                          .now = read_clock,
                          .link = host_link,
                          .reply = host_reply}};
    s->store.wire = &wire;
    s->store.io = s;
    s->store.host = &s->host;
    s->store.config.connect_timeout_ms = 1000;
    assert_true(pawl__redis_space_init(&s->store.space, "pawl:", s->host.client_id, "here"));
    assert_true(pawl__redis_requests_init(&s->store));
    pawl__redis_link_init(&s->store, 7);
}

static void end(stage *s)
{
    pawl__redis_requests_done(&s->store);
}

static void turn(stage *s)
{
    while (s->turn_due || s->resolving) {
        if (s->resolving) {
            s->resolving = false;
            pawl__redis_found(&s->store, 1, NULL);
        }
        s->turn_due = false;
        pawl__redis_turn(&s->store);
    }
}

static void hear(stage *s, pawl__redis_side side, pawl__redis_value value)
{
    if (pawl__redis_heard(&s->store, side, &value)) pawl__redis_settled(&s->store);
}

static pawl__redis_value string(const char *text)
{
    return (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {text, strlen(text)}};
}

static pawl__redis_value error(const char *text)
{
    return (pawl__redis_value){.type = PAWL__REDIS_ERROR, .text = {text, strlen(text)}};
}

/* The next attempt, which succeeds. */
static void come_up(stage *s)
{
    pawl__redis_value ok = {.type = PAWL__REDIS_STATUS, .text = {"OK", 2}};
    pawl__redis_value role[] = {string("master")};
    pawl__redis_value bound[] = {string("subscribe"), string("inbox"), string("1")};
    pawl__redis_value one[] = {{.type = PAWL__REDIS_INTEGER, .integer = 1}};
    int ups = s->ups;
    pawl__redis_timer_due(&s->store, PAWL__REDIS_TIMER_LINK);
    turn(s);
    hear(s, PAWL__REDIS_COMMANDS,
         (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = role, .count = 1});
    hear(s, PAWL__REDIS_COMMANDS, ok);
    hear(s, PAWL__REDIS_INBOX, ok);
    hear(s, PAWL__REDIS_INBOX,
         (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = bound, .count = 3});
    hear(s, PAWL__REDIS_COMMANDS,
         (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = one, .count = 1});
    pawl__redis_value word[] = {string("message"), string("inbox"), string(s->store.link.word)};
    hear(s, PAWL__REDIS_INBOX,
         (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = word, .count = 3});
    assert_int_equal(s->ups, ups + 1);
}

static int64_t pause_after_a_cut(stage *s)
{
    pawl__redis_link_break(&s->store, PAWL_ERR_UNAVAILABLE, "cut");
    turn(s);
    return s->timers[PAWL__REDIS_TIMER_LINK] / 1000;
}

/* ---- Cases ---------------------------------------------------------------------------- */

static void the_pause_grows_and_is_short_again_after_a_good_time(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    int64_t pause = 0;
    for (int i = 0; i < 10; i++) { /* nobody listens */
        pawl__redis_timer_due(&s.store, PAWL__REDIS_TIMER_LINK);
        turn(&s);
        pause = pause_after_a_cut(&s);
    }
    assert_true(pause >= PAWL__REDIS_BACKOFF_MAX_MS * 3 / 4);
    for (int i = 0; i < 3; i++) { /* it was up for long enough: the next cut is a first one */
        come_up(&s);
        now += PAWL__REDIS_BACKOFF_MAX_MS * MS;
        assert_true(pause_after_a_cut(&s) <= PAWL__REDIS_BACKOFF_MIN_MS * 5 / 4);
    }
    come_up(&s); /* not for long: a server that accepts and dies is not asked without pause */
    (void)pause_after_a_cut(&s);
    come_up(&s);
    assert_true(pause_after_a_cut(&s) >= PAWL__REDIS_BACKOFF_MIN_MS * 4 * 3 / 4);
    end(&s);
}

/* Law 4: an error that nobody has thought of may come from the middle of a script. */
static void an_error_that_is_not_known_is_no_proof_that_nothing_was_done(void **state)
{
    static const struct {
        const char *text;
        pawl_outcome outcome;
    } errors[] = {{"ERR something that nobody has thought of", PAWL_UNKNOWN},
                  {"OOM command not allowed when used memory > 'maxmemory'.", PAWL_FAILED},
                  {"", PAWL_UNKNOWN}};
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW, PAWL_VERB_RELEASE};
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
            pawl_request request = {.id = 1 + i * 3 + v,
                                    .verb = verbs[v],
                                    .name = "x",
                                    .name_len = 1,
                                    .token = "0123456789012345678901234567890123456789",
                                    .ttl_ms = 1000,
                                    .answer_by = now + 1000 * MS};
            pawl__redis_ask(&s.store, &request);
            hear(&s, PAWL__REDIS_COMMANDS, error(errors[i].text));
            assert_int_equal(s.reply.id, request.id);
            assert_int_equal(s.reply.outcome, errors[i].outcome);
        }
    }
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_pause_grows_and_is_short_again_after_a_good_time),
        cmocka_unit_test(an_error_that_is_not_known_is_no_proof_that_nothing_was_done),
    };
    return cmocka_run_group_tests_name("the link on a scripted wire", cases, NULL, NULL);
}
