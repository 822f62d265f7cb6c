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

#define ANSWER_NS       INT64_C(200000000) /* how long a request may take while things fail */
#define LINK_NS         INT64_C(5000000)   /* for a link that may not come up */
#define AWAY_MS         3
#define FENCES_APART_US 3000000
#define LEASE_OVER_NS   (LONG_MS * INT64_C(1000000) + SOON_NS)
#define ASK_AGAIN_MS    5
#define ALARM_S         150 /* longer is hanging */
#define FAILURES_MAX    20000
#define FIRST           32 /* of which none is left out */
#define RECOVER_EACH    64
#define FOR_EVER_CASES  5 /* the last ones: from one failure on everything fails */

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
    request.answer_by = host_now() + ANSWER_NS;
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
    for (int64_t until = host_now() + SOON_NS;;) {
        client_await_link(c, true);
        answer = client_ask(c, &request);
        if (!answer->reply.err || host_now() >= until) break;
        *ret_unsure |= answer->reply.outcome == PAWL_UNKNOWN;
        test_loop_for(client_loop(c), 1);
    }
    if (answer->reply.err)
        FAIL_TEST("%s, failure %u (%s): %s", scene, n, failing_victim(), answer->text);
    return answer->reply.outcome;
}

/* Done or not: the token finds out, and it is undone (law 4). */
static void undo(client *c, const char *name, const char *token, bool granted)
{
    bool unsure;
    pawl_outcome outcome = ask_plainly(c, ask_release(name, token), &unsure);
    if (granted) EXPECT(outcome == PAWL_RELEASED || (unsure && outcome == PAWL_NOT_OWNER));
    EXPECT(outcome == PAWL_RELEASED || outcome == PAWL_LEFT || outcome == PAWL_NOT_OWNER);
}

/*
 * Nobody is in its way but a request that a slow server does after it was undone: then until the
 * lease of that ends.
 */
static const seen_reply *ask_until_granted(client *c, pawl_request request)
{
    bool unsure;
    int64_t until = host_now() + LEASE_OVER_NS;
    while (ask_plainly(c, request, &unsure) != PAWL_GRANTED) {
        EXPECT(host_now() < until);
        test_loop_for(client_loop(c), ASK_AGAIN_MS);
    }
    return client_ask(c, &request); /* the same again: it holds */
}

/* The store works: the lock is to be had, with a fence that has grown (law 3). */
static void check_works(client *c, const char *name)
{
    static uint64_t last;
    const char *token = fresh_token();
    const seen_reply *answer = ask_until_granted(c, ask_queue(name, token, LONG_MS));
    /* A fence of another name may be smaller by so much, if the clock counts whole seconds. */
    uint64_t apart = client_caps(c)->linger_ms ? FENCES_APART_US : 0;
    EXPECT(answer->reply.fence + apart > last);
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
    for (int64_t begun = host_now(); !client_link_count(c); test_loop_for(client_loop(c), 1)) {
        int64_t waited = host_now() - begun;
        if (*failing_victim() && waited > LINK_NS) return;
        EXPECT(waited < SOON_NS);
    }
}

/* It comes up when everything works again; that takes its time, so not each is waited for. */
static bool is_to_recover(const client *c)
{
    return link_is_up(c) || n <= FIRST || n % RECOVER_EACH == 0;
}

/* A slow server may do later what was asked on a connection that has broken since, and then only
 * its client can undo it (law 4); what has FAILED is never done. */
static bool may_be_done(client *c, uint64_t request)
{
    return client_answer(c, request)->reply.outcome != PAWL_FAILED;
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
    client *c = client_try(s->loop, &s->address, "victim", &err, message);
    if (!c) {
        end_failing();
        EXPECT(err < 0 && message[0] && !strchr(message, '\n'));
        return;
    }
    give_link_time(c);
    uint64_t acquire = submit_soon(c, ask_acquire(name, token, LONG_MS));
    uint64_t queue = submit_soon(c, ask_queue(name, waiter, LONG_MS));
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
    bool may_have_it = may_be_done(c, acquire) || may_be_done(c, queue);
    EXPECT(others == PAWL_GRANTED ? !granted : others == PAWL_BUSY && may_have_it);
    if (may_have_it || is_to_recover(c)) {
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
    (void)ask_until_granted(heir, ask_queue(name, heirs, LONG_MS)); /* nobody else can have it */
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

/* A published value is there as a whole or not at all; if the store confirmed it, it is there. */
static void publish_it(stage *s, client *witness)
{
    const char *token = fresh_token(), *name = lock_name(s, "p");
    if (!client_caps(witness)->values) return;
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

static bool has_modes(client *witness, unsigned modes)
{
    return (client_caps(witness)->modes & modes) == modes;
}

/* It becomes a writer, and then a reader: others come in when it says so, and not before. */
static void change_it(stage *s, client *witness)
{
    const pawl_mode reads = PAWL_MODE_SHARED, updates = PAWL_MODE_UPDATE;
    const char *token = fresh_token(), *other = fresh_token(), *name = lock_name(s, "m");
    if (!has_modes(witness, 1u << reads | 1u << updates)) return;
    client *c = join(s, "victim");
    expect(c, ask_mode(name, token, updates, LONG_MS, 0), PAWL_GRANTED);
    begin_to_fail();
    uint64_t up = submit_soon(c, ask_change(name, token, PAWL_MODE_EXCLUSIVE, 1, LONG_MS, 0));
    client_flush(c);
    client_await_all(c);
    uint64_t down = submit_soon(c, ask_change(name, token, reads, 2, LONG_MS, 0));
    client_flush(c);
    client_await_all(c);
    end_failing();

    pawl_outcome upgraded = client_answer(c, up)->reply.outcome;
    pawl_outcome downgraded = client_answer(c, down)->reply.outcome;
    EXPECT(upgraded == PAWL_GRANTED || upgraded == PAWL_FAILED || upgraded == PAWL_UNKNOWN);
    EXPECT(downgraded == PAWL_GRANTED || downgraded == PAWL_FAILED || downgraded == PAWL_UNKNOWN);
    bool unsure;
    pawl_outcome came = ask_plainly(witness, ask_mode(name, other, reads, LONG_MS, 0), &unsure);
    EXPECT(came == PAWL_GRANTED || came == PAWL_BUSY);
    if (downgraded == PAWL_GRANTED || upgraded == PAWL_FAILED) EXPECT(came == PAWL_GRANTED);
    if (upgraded == PAWL_GRANTED && downgraded == PAWL_FAILED) EXPECT(came == PAWL_BUSY);
    undo(witness, name, other, came == PAWL_GRANTED);
    undo(c, name, token, true);
    client_close(c);
    check_works(witness, name);
}

/* A writer goes, and two readers come in together. */
static void let_in(stage *s, client *witness)
{
    const pawl_mode reads = PAWL_MODE_SHARED;
    const char *token = fresh_token(), *name = lock_name(s, "r");
    if (!has_modes(witness, 1u << reads)) return;
    client *writer = join(s, "writer"), *readers = join(s, "readers");
    pawl_request asks[2];
    uint64_t refresh[2];
    expect(writer, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < 2; i++) {
        asks[i] = ask_mode(name, fresh_token(), reads, LONG_MS, PAWL_ASK_QUEUE);
        expect(readers, asks[i], PAWL_QUEUED);
    }
    begin_to_fail();
    uint64_t release = submit_soon(writer, ask_release(name, token));
    client_flush(writer);
    client_await_all(writer);
    for (int i = 0; i < 2; i++) refresh[i] = submit_soon(readers, asks[i]);
    client_flush(readers);
    client_await_all(readers);
    end_failing();

    pawl_outcome released = client_answer(writer, release)->reply.outcome;
    EXPECT(released == PAWL_RELEASED || released == PAWL_FAILED || released == PAWL_UNKNOWN);
    for (int i = 0; i < 2; i++) {
        pawl_outcome refreshed = client_answer(readers, refresh[i])->reply.outcome;
        if (refreshed == PAWL_GRANTED) EXPECT(released != PAWL_FAILED);
        if (refreshed == PAWL_QUEUED) EXPECT(released != PAWL_RELEASED);
    }
    undo(writer, name, token, false);
    for (int i = 0; i < 2; i++) (void)ask_until_granted(readers, asks[i]);
    bool unsure;
    pawl_request writes = ask_acquire(name, fresh_token(), LONG_MS);
    EXPECT(ask_plainly(witness, writes, &unsure) == PAWL_BUSY);
    for (int i = 0; i < 2; i++) undo(readers, name, asks[i].token, true);
    client_close(writer);
    client_close(readers);
    check_works(witness, name);
}

/* All permits are taken and given back, and one who waits gets one: none is lost, none is given
 * twice. */
static void take_permits(stage *s, client *witness)
{
    const char *token = fresh_token(), *name = lock_name(s, "s");
    if (!has_modes(witness, 1u << PAWL_MODE_PERMIT)) return;
    pawl_request waits = ask_permits(name, fresh_token(), 1, 2, LONG_MS, PAWL_ASK_QUEUE);
    pawl_request second = ask_permits(name, fresh_token(), 1, 2, LONG_MS, 0);
    pawl_request third = ask_permits(name, fresh_token(), 1, 2, LONG_MS, 0);
    client *c = join(s, "victim"), *heir = join(s, "heir");
    begin_to_fail();
    uint64_t take = submit_soon(c, ask_permits(name, token, 2, 2, LONG_MS, 0));
    client_flush(c);
    client_await_all(c);
    uint64_t waiting = submit_soon(heir, waits);
    client_flush(heir);
    client_await_all(heir);
    uint64_t release = submit_soon(c, ask_release(name, token));
    client_flush(c);
    client_await_all(c);
    end_failing();

    pawl_outcome took = client_answer(c, take)->reply.outcome;
    pawl_outcome waited = client_answer(heir, waiting)->reply.outcome;
    pawl_outcome released = client_answer(c, release)->reply.outcome;
    EXPECT(took == PAWL_GRANTED || took == PAWL_FAILED || took == PAWL_UNKNOWN);
    if (took == PAWL_GRANTED) EXPECT(waited != PAWL_GRANTED && released != PAWL_NOT_OWNER);
    if (took == PAWL_FAILED) EXPECT(waited != PAWL_QUEUED && released != PAWL_RELEASED);
    undo(c, name, token, false);
    const seen_reply *first = ask_until_granted(heir, waits);
    EXPECT(first->reply.slot_count == 1 && first->slots[0] == 0);
    first = ask_until_granted(witness, second);
    EXPECT(first->reply.slot_count == 1 && first->slots[0] == 1);
    bool unsure;
    EXPECT(ask_plainly(witness, third, &unsure) == PAWL_BUSY);
    undo(witness, name, second.token, true);
    undo(heir, name, waits.token, true);
    client_close(c);
    client_close(heir);
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

/* Scenes whose requests meet on their way what those of the other scenes have met. */
static const char *const sampled_scenes[] = {"publishing", "changing", "letting in", "permits"};

static bool is_sampled(void)
{
    for (size_t i = 0; i < sizeof sampled_scenes / sizeof sampled_scenes[0]; i++)
        if (strcmp(scene, sampled_scenes[i]) == 0) return true;
    return false;
}

/*
 * Each; but far behind only some of those that take long: of "from here on", with
 * a sanitizer, and of a scene that brings little that is new. PAWL_ALL_FAILURES in the environment:
 * really each.
 */
static unsigned step(const stage *s)
{
    const char *flavour = getenv("PAWL_TEST_FLAVOUR");
    bool sanitized = flavour && strcmp(flavour, "plain") != 0;
    bool sampled = is_sampled();
    if (getenv("PAWL_ALL_FAILURES")) return 1;
    if (n <= FIRST / (s->kind->is_slow ? 4 : 1) / (sampled ? 4 : 1)) return 1;
    unsigned far = sampled ? 16 : for_ever || sanitized ? 8 : 1;
    if (s->kind->stride && what == FAILING_MEMORY) far = s->kind->stride;
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
    evtimer_assign(timer, test_loop_base(s->loop), on_bystander, NULL);
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

/* With a loop of its own, which has no memory left from an earlier one. */
static void play_alone(stage *s, scene_fn play)
{
    struct event bystanders[BYSTANDERS_MAX];
    s->number++; /* names of its own */
    s->loop = test_loop_new();
    client *witness = join(s, "witness");
    size_t count = crowd_loop(s, bystanders);
    play(s, witness);
    while (count > 0) evtimer_del(&bystanders[--count]);
    client_close(witness);
    test_loop_free(s->loop);
    s->loop = NULL;
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
    each_fails(state, false, "publishing", publish_it);
}

static void changing_each_fails_once(void **state)
{
    each_fails(state, false, "changing", change_it);
}

static void letting_in_each_fails_once(void **state)
{
    each_fails(state, false, "letting in", let_in);
}

static void permits_each_fails_once(void **state)
{
    each_fails(state, false, "permits", take_permits);
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
        cmocka_unit_test(changing_each_fails_once),
        cmocka_unit_test(letting_in_each_fails_once),
        cmocka_unit_test(permits_each_fails_once),
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
    /* libmariadb 3.3 crashes in mysql_close, and elsewhere, if it gets no memory. So does libcurl
     * 7.88 now and then: it looks for a connection in a table that has no rows. */
    if (strcmp(argv[1], "mariadb") == 0) failing_spare_library("libmariadb");
    if (strcmp(argv[1], "etcd") == 0) failing_spare_library("libcurl");
    signal(SIGALRM, on_alarm);
    if (argc > 4) cmocka_set_test_filter(argv[4]);
    /* There is no signal that interrupts every call from now on. */
    size_t count = sizeof cases / sizeof cases[0];
    if (what == FAILING_SIGNALS) count -= FOR_EVER_CASES;
    return _cmocka_run_group_tests("failures", cases, count, stage_begin, stage_end);
}
