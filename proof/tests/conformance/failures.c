/* SPDX-License-Identifier: MIT */
/*
 * Every allocation, and every system call, of a store fails: the first, the second, ... until
 * none is left to fail; once each, and then it and all that follow.
 *
 *     failures KIND MODULE memory|calls|signals
 *
 * Whatever fails: each request is answered once, honestly and in time; nobody gets the lock
 * while another has been granted it; nothing leaks (ASan) and nothing hangs; and when
 * everything works again the store does, too, with a larger fence.
 */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/failing.h"
#include "../support/redis_server.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_NS    INT64_C(200000000) /* how long a request may take while things fail */
#define LINK_NS      INT64_C(5000000)   /* for a link that may not come up */
#define AWAY_MS      3
#define ALARM_S      60 /* longer is hanging */
#define FAILURES_MAX 20000
#define FIRST        32 /* of which none is left out */
#define RECOVER_EACH 64

/* libevent's heap of timers has room for so many at first. */
#define HEAP_FIRST     8
#define BYSTANDERS_MAX (2 * HEAP_FIRST)

/* What fails now. */
static failing_what what;
static bool for_ever;
static unsigned n, reached;
static const char *scene;

static void on_alarm(int number)
{
    char line[200];
    int len = snprintf(line, sizeof line, "it hangs: %s, failure %u%s: %s\n", scene, n,
                       for_ever ? " and all behind it" : "", failing_victim());
    (void)number;
    (void)!write(STDERR_FILENO, line, (size_t)len);
    abort();
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL_TEST("%s, failure %u%s (%s): not so: %s", scene, n, for_ever ? " and on" : "",    \
                      failing_victim(), #condition);                                               \
    } while (0)

static void begin_to_fail(void)
{
    alarm(ALARM_S);
    failing_arm(what, n, for_ever);
}

static void end_failing(void)
{
    unsigned count = failing_disarm();
    if (count > reached) reached = count;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static uint64_t submit_soon(client *c, pawl_request request)
{
    request.answer_by = world_now() + ANSWER_NS;
    return client_submit(c, &request);
}

/*
 * Everything works again, but a link that has broken may not have said so yet, and takes with it
 * what was asked meanwhile: asked anew until it has come up. *ret_unsure: an earlier time it may
 * have been done.
 */
static pawl_outcome ask_plainly(client *c, pawl_request request, bool *ret_unsure)
{
    const seen_reply *answer;
    *ret_unsure = false;
    for (int64_t until = world_now() + SOON_NS;;) {
        client_await_link(c, true);
        answer = client_ask(c, &request);
        if (!answer->reply.err || world_now() >= until) break;
        *ret_unsure |= answer->reply.outcome == PAWL_UNKNOWN;
        world_for(client_world(c), 1);
    }
    if (answer->reply.err)
        FAIL_TEST("%s, failure %u (%s): %s", scene, n, failing_victim(), answer->text);
    return answer->reply.outcome;
}

/* Whatever became of it: found out by token, and undone (law 4). */
static void undo(client *c, const char *name, const char *token, bool granted)
{
    bool unsure;
    pawl_outcome outcome = ask_plainly(c, ask_release(name, token), &unsure);
    if (granted) EXPECT(outcome == PAWL_RELEASED || (unsure && outcome == PAWL_NOT_OWNER));
    EXPECT(outcome == PAWL_RELEASED || outcome == PAWL_LEFT || outcome == PAWL_NOT_OWNER);
}

/* The store works: the lock is to be had, with a fence that has grown (law 3). */
static void check_works(client *c, const char *name)
{
    static uint64_t last;
    const char *token = fresh_token();
    const seen_reply *answer = acquire_soon(c, name, token, LONG_MS);
    EXPECT(answer->reply.fence > last);
    last = answer->reply.fence;
    undo(c, name, token, true);
}

static bool link_is_up(const client *c)
{
    size_t count = client_link_count(c);
    return count > 0 && client_link(c, count - 1)->up;
}

/* When something has failed the link may not come up, or not even say so: the store refuses. */
static void give_link_time(client *c)
{
    for (int64_t begun = world_now(); !client_link_count(c); world_for(client_world(c), 1)) {
        int64_t waited = world_now() - begun;
        if (*failing_victim() && waited > LINK_NS) return;
        EXPECT(waited < SOON_NS);
    }
}

/* It comes up when everything works again; that takes its time, so not each is waited for. */
static bool is_to_recover(const client *c)
{
    return link_is_up(c) || n <= FIRST || n % RECOVER_EACH == 0;
}

/* ---- Scenes: what fails between begin_to_fail and end_failing --------------------- */

/* From open on: everything once. */
static void open_and_ask(stage *s, client *witness)
{
    const char *token = fresh_token(), *waiter = fresh_token(), *other = fresh_token();
    const char *name = lock_name(s, "f");
    char message[PAWL_MESSAGE_MAX];
    int err;
    begin_to_fail();
    client *c = client_try(s->world, &s->address, "victim", &err, message);
    if (!c) {
        end_failing();
        EXPECT(err < 0 && message[0] && !strchr(message, '\n'));
        return;
    }
    give_link_time(c);
    uint64_t acquire = submit_soon(c, ask_acquire(name, token, LONG_MS));
    (void)submit_soon(c, ask_queue(name, waiter, LONG_MS));
    (void)submit_soon(c, ask_renew(name, token, LONG_MS));
    (void)submit_soon(c, ask_inspect(name, token));
    (void)submit_soon(c, ask_list(name));
    (void)submit_soon(c, ask_doctor());
    (void)submit_soon(c, ask_break("nobody's", 1));
    client_flush(c);
    client_await_all(c);
    end_failing();

    bool granted = client_answer(c, acquire)->reply.outcome == PAWL_GRANTED;
    bool unsure;
    pawl_outcome others = ask_plainly(witness, ask_acquire(name, other, LONG_MS), &unsure);
    EXPECT(others == PAWL_BUSY || (others == PAWL_GRANTED && !granted));
    if (others == PAWL_BUSY || is_to_recover(c)) { /* somebody has it: perhaps we */
        undo(c, name, waiter, false);
        undo(c, name, token, granted);
    }
    undo(witness, name, other, others == PAWL_GRANTED);
    client_close(c);
    check_works(witness, name);
}

/* Handed off: the release fails, or the push, or nothing. */
static void hand_off(stage *s, client *witness)
{
    const char *token = fresh_token(), *heirs = fresh_token(), *name = lock_name(s, "h");
    client *holder = join(s, "holder"), *heir = join(s, "heir");
    expect(holder, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(heir, ask_queue(name, heirs, LONG_MS), PAWL_QUEUED);
    begin_to_fail();
    uint64_t renewal = submit_soon(holder, ask_renew(name, token, LONG_MS));
    uint64_t release = submit_soon(holder, ask_release(name, token));
    client_flush(holder);
    client_await_all(holder);
    uint64_t refresh = submit_soon(heir, ask_queue(name, heirs, LONG_MS));
    client_flush(heir);
    client_await_all(heir);
    end_failing();

    pawl_outcome released = client_answer(holder, release)->reply.outcome;
    pawl_outcome refreshed = client_answer(heir, refresh)->reply.outcome;
    EXPECT(client_answer(holder, renewal)->reply.outcome != PAWL_NOT_OWNER);
    EXPECT(released != PAWL_NOT_OWNER && released != PAWL_LEFT);
    if (refreshed == PAWL_GRANTED) EXPECT(released == PAWL_RELEASED || released == PAWL_UNKNOWN);
    undo(holder, name, token, false);
    (void)acquire_soon(heir, name, heirs, LONG_MS); /* nobody else can have it */
    undo(heir, name, heirs, true);
    client_close(holder);
    client_close(heir);
    check_works(witness, name);
}

/* The loop is away while things fail: what is asked meanwhile meets news that it has not heard. */
static void heed_late(stage *s, client *witness)
{
    const char *name = lock_name(s, "a"), *tokens[] = {fresh_token(), fresh_token()};
    uint64_t asked[2];
    client *c = join(s, "victim");
    begin_to_fail();
    for (int i = 0; i < 2; i++) {
        asked[i] = submit_soon(c, ask_acquire(name, tokens[i], LONG_MS));
        client_flush(c);
        poll(NULL, 0, AWAY_MS);
    }
    client_await_all(c);
    end_failing();

    bool granted[2];
    for (int i = 0; i < 2; i++)
        granted[i] = client_answer(c, asked[i])->reply.outcome == PAWL_GRANTED;
    EXPECT(!granted[0] || !granted[1]);
    for (int i = 0; i < 2; i++) undo(c, name, tokens[i], granted[i]);
    client_close(c);
    check_works(witness, name);
}

/* A waiter gives up: whatever comes of that, it neither gets the lock nor keeps others from it. */
static void leave(stage *s, client *witness)
{
    const char *token = fresh_token(), *leavers = fresh_token(), *name = lock_name(s, "l");
    client *holder = join(s, "holder"), *leaver = join(s, "leaver");
    expect(holder, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    begin_to_fail();
    uint64_t queue = submit_soon(leaver, ask_queue(name, leavers, LONG_MS));
    client_flush(leaver);
    client_await_all(leaver);
    uint64_t departure = submit_soon(leaver, ask_release(name, leavers));
    client_flush(leaver);
    client_await_all(leaver);
    end_failing();

    pawl_outcome queued = client_answer(leaver, queue)->reply.outcome;
    pawl_outcome left = client_answer(leaver, departure)->reply.outcome;
    EXPECT(queued == PAWL_QUEUED || queued == PAWL_FAILED || queued == PAWL_UNKNOWN);
    EXPECT(left != PAWL_RELEASED);
    if (left == PAWL_LEFT) EXPECT(queued == PAWL_QUEUED || queued == PAWL_UNKNOWN);
    undo(leaver, name, leavers, false);
    undo(holder, name, token, true);
    client_close(holder);
    client_close(leaver);
    check_works(witness, name);
}

static bool is_value(const seen_reply *answer, const char *text)
{
    const pawl_value *value = answer->reply.value;
    return value && value->len == strlen(text) && memcmp(value->bytes, text, value->len) == 0;
}

/* What was published is there as a whole, or not at all; and what the store confirms is there. */
static void publish_it(stage *s, client *witness)
{
    const char *token = fresh_token(), *name = lock_name(s, "p");
    client *holder = join(s, "holder"), *reader = join(s, "reader");
    expect(holder, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(holder, ask_publish(name, token, "before"), PAWL_CONFIRMED);
    begin_to_fail();
    uint64_t publication = submit_soon(holder, ask_publish(name, token, "behind"));
    client_flush(holder);
    client_await_all(holder);
    uint64_t reading = submit_soon(reader, ask_read(name, LONG_MS));
    client_flush(reader);
    client_await_all(reader);
    end_failing();

    pawl_outcome published = client_answer(holder, publication)->reply.outcome;
    const seen_reply *read = client_answer(reader, reading);
    bool was_there = is_value(read, "behind");
    EXPECT(published == PAWL_CONFIRMED || published == PAWL_FAILED || published == PAWL_UNKNOWN);
    EXPECT(read->reply.outcome == PAWL_REPORTED || read->reply.err);
    if (read->reply.outcome == PAWL_REPORTED) EXPECT(was_there || is_value(read, "before"));
    if (read->reply.outcome == PAWL_REPORTED && published == PAWL_CONFIRMED) EXPECT(was_there);
    const seen_reply *now = expect(witness, ask_read(name, 0), PAWL_REPORTED);
    bool is_there = is_value(now, "behind");
    EXPECT(is_there || is_value(now, "before"));
    if (published != PAWL_UNKNOWN) EXPECT(is_there == (published == PAWL_CONFIRMED));
    if (was_there) EXPECT(is_there && published != PAWL_FAILED);
    undo(holder, name, token, false);
    client_close(holder);
    client_close(reader);
    check_works(witness, name);
}

/* Nothing that fails in close may leak, or disturb others. */
static void close_it(stage *s, client *witness)
{
    const char *token = fresh_token(), *name = lock_name(s, "c");
    client *c = join(s, "victim");
    expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    pawl_request release = ask_release(name, token);
    begin_to_fail();
    (void)client_submit(c, &release);
    client_flush(c);
    client_abandon(c);
    end_failing();
    undo(witness, name, token, false);
    check_works(witness, name);
}

/* ---- Each failure ----------------------------------------------------------------- */

typedef void (*scene_fn)(stage *s, client *witness);

#define SAMPLED "publishing" /* on its way a request meets what the other scenes have met */

/*
 * Each; but far behind only each eighth of those that take long: of "from here on", with
 * a sanitizer, and of a scene that brings little that is new. PAWL_ALL_FAILURES in the environment:
 * really each.
 */
static unsigned step(const stage *s)
{
    const char *flavour = getenv("PAWL_TEST_FLAVOUR");
    bool sanitized = flavour && strcmp(flavour, "plain") != 0;
    bool sampled = strcmp(scene, SAMPLED) == 0;
    if (getenv("PAWL_ALL_FAILURES")) return 1;
    if (n <= FIRST / (s->kind->is_slow ? 4 : 1) / (sampled ? 4 : 1)) return 1;
    unsigned far = for_ever || sanitized || sampled ? 8 : 1;
    return s->kind->is_slow ? 4 * far : far;
}

static void on_bystander(evutil_socket_t fd, short events, void *arg)
{
    (void)fd, (void)events, (void)arg;
}

/* Whether the loop needed memory for it. */
static bool add_bystander(stage *s, struct event *timer)
{
    static const struct timeval day = {.tv_sec = 86400};
    evtimer_assign(timer, world_base(s->world), on_bystander, NULL);
    failing_arm(FAILING_MEMORY, UINT_MAX, false);
    CHECK(evtimer_add(timer, &day) == 0);
    return failing_disarm() > 0;
}

/*
 * Other people's timers, so many that the loop has no room for another one without memory.
 * Its room is doubled when it is full: then it is half full.
 */
static size_t crowd_loop(stage *s, struct event timers[BYSTANDERS_MAX])
{
    size_t count = 0, in_heap = HEAP_FIRST + 1;
    while (!add_bystander(s, &timers[count++])) CHECK(count < HEAP_FIRST + 1);
    for (; in_heap < 2 * HEAP_FIRST; in_heap++) CHECK(!add_bystander(s, &timers[count++]));
    return count;
}

/* In a world of its own, so that its loop has no memory left from an earlier one. */
static void play_alone(stage *s, scene_fn play)
{
    struct event bystanders[BYSTANDERS_MAX];
    s->number++; /* names of its own */
    s->world = world_new();
    client *witness = join(s, "witness");
    size_t count = crowd_loop(s, bystanders);
    play(s, witness);
    while (count > 0) evtimer_del(&bystanders[--count]);
    client_close(witness);
    world_free(s->world);
    s->world = NULL;
}

static void fail_each(stage *s, const char *title, scene_fn play)
{
    unsigned count = 0;
    scene = title;
    for (n = 1;; n += step(s)) {
        EXPECT(n < FAILURES_MAX);
        reached = 0;
        play_alone(s, play);
        if (reached < n) break; /* none was left to fail */
        count++;
    }
    alarm(0);
    printf("# %s: %u failures%s\n", title, count, for_ever ? ", each with all behind it" : "");
}

static void each_fails(void **state, bool all_behind, const char *title, scene_fn play)
{
    (void)failing_disarm(); /* a case that failed has left it armed */
    for_ever = all_behind;
    fail_each(*state, title, play);
}

static void opening_each_fails_once(void **state)
{
    each_fails(state, false, "opening and asking", open_and_ask);
}

static void opening_all_fail_from_one_on(void **state)
{
    each_fails(state, true, "opening and asking", open_and_ask);
}

static void handing_off_each_fails_once(void **state)
{
    each_fails(state, false, "handing off", hand_off);
}

static void handing_off_all_fail_from_one_on(void **state)
{
    each_fails(state, true, "handing off", hand_off);
}

static void heeding_late_each_fails_once(void **state)
{
    each_fails(state, false, "heeding late", heed_late);
}

static void leaving_each_fails_once(void **state)
{
    each_fails(state, false, "leaving", leave);
}

static void heeding_late_all_fail_from_one_on(void **state)
{
    each_fails(state, true, "heeding late", heed_late);
}

static void leaving_all_fail_from_one_on(void **state)
{
    each_fails(state, true, "leaving", leave);
}

static void publishing_each_fails_once(void **state)
{
    each_fails(state, false, SAMPLED, publish_it);
}

static void closing_each_fails_once(void **state)
{
    each_fails(state, false, "closing", close_it);
}

static void closing_all_fail_from_one_on(void **state)
{
    each_fails(state, true, "closing", close_it);
}

static const struct {
    const char *name;
    failing_what what;
} kinds_of_failure[] = {
    {"memory", FAILING_MEMORY}, {"calls", FAILING_CALLS}, {"signals", FAILING_SIGNALS}};

static failing_what what_named(const char *name)
{
    for (size_t i = 0; i < sizeof kinds_of_failure / sizeof kinds_of_failure[0]; i++)
        if (strcmp(kinds_of_failure[i].name, name) == 0) return kinds_of_failure[i].what;
    FAIL_TEST("no kind of failure: %s", name);
}

int main(int argc, char **argv)
{
    static stage the_stage;
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(opening_each_fails_once),
        cmocka_unit_test(handing_off_each_fails_once),
        cmocka_unit_test(heeding_late_each_fails_once),
        cmocka_unit_test(leaving_each_fails_once),
        cmocka_unit_test(publishing_each_fails_once),
        cmocka_unit_test(closing_each_fails_once),
        cmocka_unit_test(opening_all_fail_from_one_on),
        cmocka_unit_test(handing_off_all_fail_from_one_on),
        cmocka_unit_test(heeding_late_all_fail_from_one_on),
        cmocka_unit_test(leaving_all_fail_from_one_on),
        cmocka_unit_test(closing_all_fail_from_one_on),
    };
    if (argc < 4) return 64;
    what = what_named(argv[3]);
    stage_choose(&the_stage, argv[1], argv[2]);
    signal(SIGALRM, on_alarm);
    if (argc > 4) cmocka_set_test_filter(argv[4]);
    /* There is no signal that interrupts every call from now on. */
    size_t count = sizeof cases / sizeof cases[0];
    if (what == FAILING_SIGNALS) count = (count + 1) / 2; /* the first ones */
    return _cmocka_run_group_tests("failures", cases, count, stage_begin, stage_end);
}
