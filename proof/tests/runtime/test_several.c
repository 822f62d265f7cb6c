/* SPDX-License-Identifier: MIT */
/*
 * Goal: a handle on several names has all of them or none, whoever takes them in whatever order;
 * one budget, one deadline, one loss. Threads under a chosen schedule are in proof/tests/threads.
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT    3
#define SHORT_MS 600
#define LONG_MS  60000

/* A client with a handle on three names, given as last, first, middle; and another client. */
typedef struct rig {
    pawl_client *client, *other;
    char first[64], middle[64], last[64];
    const char *names[COUNT];
    pawl_lock *all, *rival; /* the other's, of the middle name */
    record events;
} rig;

static pawl_lock *all_of(pawl_client *client, const char *const *names, size_t count,
                         const pawl_lock_opts *opts)
{
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new_all(client, names, count, opts, &lock), PAWL_OK);
    return lock;
}

static void name_them(rig *r)
{
    const char *base = stage_name();
    snprintf(r->first, sizeof r->first, "%s-1", base);
    snprintf(r->middle, sizeof r->middle, "%s-2", base);
    snprintf(r->last, sizeof r->last, "%s-3", base);
    r->names[0] = r->last;
    r->names[1] = r->first;
    r->names[2] = r->middle;
}

static void rig_begin(rig *r, int64_t ttl_ms, unsigned flags, const pawl_open_opts *open_opts)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    record_init(&r->events);
    opts.ttl_ms = ttl_ms;
    opts.flags = flags;
    opts.on_event = record_event;
    opts.event_userdata = &r->events;
    name_them(r);
    r->client = stage_client(open_opts);
    r->other = stage_client(NULL);
    r->all = all_of(r->client, r->names, COUNT, &opts);
    r->rival = lock_new(r->other, r->middle, LONG_MS);
}

static void rig_end(rig *r)
{
    pawl_lock_free(r->all);
    pawl_lock_free(r->rival);
    pawl_client_close(r->client);
    pawl_client_close(r->other);
}

static bool held(rig *r, const char *name)
{
    return stage_view(r->other, name).held;
}

static void await_all_free(rig *r)
{
    for (int i = 0; i < COUNT; i++) stage_await_free(r->other, r->names[i]);
}

/* ---- All or none ----------------------------------------------------------------------------- */

static void it_has_all_of_them_with_a_fence_each(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    assert_int_equal(pawl_lock_count(r.all), COUNT);
    assert_true(pawl_lock_fence(r.all) == 0 && !pawl_lock_is_held(r.all));
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(r.all));
    for (size_t i = 0; i < COUNT; i++) {
        const pawl_lock *part = pawl_lock_part(r.all, i);
        pawl_token token;
        assert_string_equal(pawl_lock_name(part), r.names[i]);
        assert_true(pawl_lock_fence(part) == stage_view(r.other, r.names[i]).fence);
        assert_true(pawl_lock_remaining_ms(part) >= pawl_lock_remaining_ms(r.all));
        pawl_lock_token(part, &token);
        CHECK_ERR(pawl_token_check(r.other, r.names[i], strlen(r.names[i]), token.text, PATIENCE_MS,
                                   NULL),
                  PAWL_OK);
    }
    pawl_token whole, first;
    pawl_lock_token(r.all, &whole);
    pawl_lock_token(pawl_lock_part(r.all, 0), &first);
    assert_string_equal(whole.text, first.text);
    assert_true(pawl_lock_fence(r.all) == pawl_lock_fence(pawl_lock_part(r.all, 0)));
    assert_null(pawl_lock_part(r.all, COUNT));
    CHECK_ERR(pawl_lock_acquire(r.rival, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < COUNT; i++) assert_false(held(&r, r.names[i]));
    CHECK_ERR(pawl_lock_release(r.all), PAWL_ERR_NOT_HELD);
    rig_end(&r);
}

static void one_that_is_busy_leaves_none(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, 0), PAWL_ERR_BUSY);
    assert_false(pawl_lock_is_held(r.all));
    stage_await_free(r.other, r.first);
    stage_await_free(r.other, r.last);
    int64_t began = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(r.all, ANSWERED_MS), PAWL_ERR_TIMEOUT);
    assert_true(stage_now_ms() - began >= ANSWERED_MS); /* one budget, and all of it */
    stage_await_free(r.other, r.first);
    stage_await_free(r.other, r.last);
    CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    rig_end(&r);
}

/* Names are taken in byte order: while it waits for the middle one it has only the first. */
static void who_waits_has_only_what_comes_before(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.all, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, 0), PAWL_ERR_STATE);
    stage_await_waiters(r.other, r.middle, 1);
    stage_await_free(r.other, r.last);
    assert_true(held(&r, r.first));
    assert_false(pawl_lock_is_held(r.all));
    CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_OK);
    for (int i = 0; i < COUNT; i++) assert_true(held(&r, r.names[i]));
    assert_true(pawl_lock_is_held(r.all));
    rig_end(&r);
}

/* Law 2: the first name was granted well before the others, so its lease ends first. */
static void the_earliest_deadline_is_that_of_all(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.all, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    stage_await_waiters(r.other, r.middle, 1);
    assert_true(held(&r, r.first));
    int64_t left_ms = pawl_lock_remaining_ms(r.rival);
    while (pawl_lock_remaining_ms(r.rival) > left_ms - 200) sched_yield();
    CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_OK);
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (size_t i = 0; i < COUNT; i++) {
        int64_t of_part = pawl_lock_remaining_ms(pawl_lock_part(r.all, i));
        if (of_part < least_ms) least_ms = of_part;
        if (of_part > most_ms) most_ms = of_part;
    }
    assert_true(most_ms - least_ms > 100);
    assert_in_range(pawl_lock_remaining_ms(r.all), 1, least_ms);
    rig_end(&r);
}

static void a_cancel_gives_back_what_was_taken(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_cancel(r.all), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.all, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    stage_await_waiters(r.other, r.middle, 1);
    CHECK_ERR(pawl_lock_cancel(r.all), PAWL_OK);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_ERR_CANCELED);
    stage_await_waiters(r.other, r.middle, 0);
    CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
    await_all_free(&r);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_cancel(r.all), PAWL_ERR_STATE);
    rig_end(&r);
}

static void the_ends_are_told_to_callbacks(void **state)
{
    (void)state;
    rig r;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_WAIT;
    rig_begin(&r, LONG_MS, 0, &opts);
    for (int i = 0; i < 2; i++) {
        CHECK_ERR(pawl_lock_acquire_start(r.all, PATIENCE_MS, record_done, &r.events), PAWL_OK);
        while (record_dones(&r.events) < 2 * i + 1) pawl_client_wait(r.client, -1, PATIENCE_MS);
        CHECK_ERR(r.events.done_err, PAWL_OK);
        CHECK_ERR(pawl_lock_release_start(r.all, record_done, &r.events), PAWL_OK);
        while (record_dones(&r.events) < 2 * i + 2) pawl_client_wait(r.client, -1, PATIENCE_MS);
        CHECK_ERR(r.events.done_err, PAWL_OK);
    }
    await_all_free(&r);
    rig_end(&r);
}

/* ---- Loss ------------------------------------------------------------------------------------ */

static void break_name(rig *r, const char *name)
{
    uint64_t fence = stage_view(r->other, name).fence;
    CHECK_ERR(pawl_break(r->other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
}

static void break_middle(rig *r)
{
    break_name(r, r->middle);
}

static void the_loss_of_one_is_the_loss_of_all(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, SHORT_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    break_middle(&r);
    record_await_event(&r.events, PAWL_EVENT_LOST, 1);
    assert_non_null(strstr(r.events.message, r.middle)); /* it says which */
    assert_false(pawl_lock_is_held(r.all));
    CHECK_ERR(pawl_lock_acquire(r.all, 0), PAWL_ERR_LOST);
    await_all_free(&r); /* before anybody has released */
    CHECK_ERR(pawl_lock_release(r.all), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(r.all));
    assert_int_equal(record_events(&r.events, PAWL_EVENT_LOST), 1);
    rig_end(&r);
}

/* Whichever of them the store says was lost, also if another one's answer comes after it. */
static void a_release_that_waits_hears_of_the_loss_of_any(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
        break_name(&r, r.names[i]);
        CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_ERR_LOST);
    }
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_OK); /* not what was before */
    rig_end(&r);
}

/* Lost before all were held: nobody hears of it, and the wait goes on. */
static void what_is_lost_on_the_way_is_taken_again(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, SHORT_MS, 0, NULL);
    pawl_lock *last = lock_new(r.other, r.last, LONG_MS);
    CHECK_ERR(pawl_lock_acquire(last, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.all, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    stage_await_waiters(r.other, r.last, 1);
    uint64_t fence = stage_view(r.other, r.middle).fence;
    break_middle(&r);
    while (stage_view(r.other, r.middle).fence <= fence || !held(&r, r.middle)) stage_pass(5);
    stage_await_waiters(r.other, r.last, 1);
    CHECK_ERR(pawl_lock_release(last), PAWL_OK);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_OK);
    assert_true(pawl_lock_is_held(r.all));
    assert_int_equal(record_events(&r.events, PAWL_EVENT_LOST), 0);
    pawl_lock_free(last);
    rig_end(&r);
}

static void a_yield_of_one_is_told(void **state)
{
    (void)state;
    rig r;
    record done;
    record_init(&done);
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.rival, PAWL_WAIT_FOREVER, record_done, &done), PAWL_OK);
    record_await_event(&r.events, PAWL_EVENT_YIELD, 1);
    CHECK_ERR(pawl_lock_release(r.all), PAWL_OK);
    record_await_done(&done, 1);
    CHECK_ERR(done.done_err, PAWL_OK);
    rig_end(&r);
}

/* All are renewed: it outlives its ttl. */
static void all_are_renewed(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, SHORT_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    stage_pass(2 * SHORT_MS);
    assert_true(pawl_lock_is_held(r.all));
    for (int i = 0; i < COUNT; i++) assert_true(held(&r, r.names[i]));
    CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_OK);
    rig_end(&r);
}

/* ---- Ends of the handle, the client and the process ------------------------------------------ */

/* All are held, or the rival has the middle one and they wait. */
static void rig_begin_started(rig *r, bool waiting)
{
    rig_begin(r, LONG_MS, 0, NULL);
    if (waiting) CHECK_ERR(pawl_lock_acquire(r->rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r->all, PAWL_WAIT_FOREVER, record_done, &r->events), PAWL_OK);
    if (waiting)
        stage_await_waiters(r->other, r->middle, 1);
    else
        record_await_done(&r->events, 1);
}

static void freeing_gives_all_back(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    r.all = pawl_lock_free(r.all);
    await_all_free(&r);
    r.all = all_of(r.client, r.names, COUNT, NULL);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(r.all, PAWL_WAIT_FOREVER, record_done, &r.events), PAWL_OK);
    stage_await_waiters(r.other, r.middle, 1);
    r.all = pawl_lock_free(r.all);
    record_await_done(&r.events, 1);
    CHECK_ERR(r.events.done_err, PAWL_ERR_CANCELED);
    stage_await_free(r.other, r.first);
    rig_end(&r);
}

static void a_close_gives_all_back(void **state)
{
    (void)state;
    for (int waiting = 0; waiting < 2; waiting++) {
        rig r;
        rig_begin_started(&r, waiting);
        r.client = pawl_client_close(r.client);
        CHECK_ERR(r.events.done_err, waiting ? PAWL_ERR_CLOSED : PAWL_OK);
        assert_int_equal(record_dones(&r.events), 1);
        assert_false(pawl_lock_is_held(r.all));
        CHECK_ERR(pawl_lock_release(r.all), PAWL_ERR_CLOSED);
        stage_await_free(r.other, r.first);
        stage_await_free(r.other, r.last);
        rig_end(&r);
    }
}

static void a_child_of_a_fork_frees_its_copy(void **state)
{
    (void)state;
    for (int waiting = 0; waiting < 2; waiting++) {
        rig r;
        rig_begin_started(&r, waiting);
        pid_t child = fork();
        if (child == 0) {
            bool refused = pawl_lock_acquire(r.all, 0) == PAWL_ERR_FORKED &&
                           !pawl_lock_is_held(r.all) &&
                           !pawl_lock_is_held(pawl_lock_part(r.all, 1));
            if (waiting) pawl_client_close(r.client);
            pawl_lock_free(r.all);
            if (!waiting) pawl_client_close(r.client);
            _exit(refused ? 0 : 1);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        assert_int_equal(status, 0);
        if (waiting) CHECK_ERR(pawl_lock_release(r.rival), PAWL_OK);
        record_await_done(&r.events, 1);
        CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_OK);
        rig_end(&r);
    }
}

static void detached_leases_outlive_the_client(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, PAWL_LOCK_DETACHED, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    pawl_token tokens[COUNT];
    for (size_t i = 0; i < COUNT; i++) pawl_lock_token(pawl_lock_part(r.all, i), &tokens[i]);
    CHECK_ERR(pawl_lock_detach(r.all), PAWL_OK);
    assert_false(pawl_lock_is_held(r.all));
    r.client = pawl_client_close(r.client);
    for (size_t i = 0; i < COUNT; i++)
        CHECK_ERR(pawl_token_release(r.other, r.names[i], strlen(r.names[i]), tokens[i].text,
                                     PATIENCE_MS),
                  PAWL_OK);
    rig_end(&r);
}

/* ---- With other kinds ------------------------------------------------------------------------ */

static void a_handle_that_counts_counts_for_all(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, PAWL_LOCK_REENTRANT, NULL);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, 0), PAWL_OK);
    CHECK_ERR(pawl_lock_release(r.all), PAWL_OK);
    for (int i = 0; i < COUNT; i++) assert_true(held(&r, r.names[i]));
    CHECK_ERR(pawl_lock_release_wait(r.all, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < COUNT; i++) assert_false(held(&r, r.names[i]));
    rig_end(&r);
}

static void retained_ones_are_taken_again_without_the_store(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = LONG_MS;
    pawl_lock *kept = all_of(r.client, r.names, COUNT, &opts);
    CHECK_ERR(pawl_lock_acquire(kept, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(kept);
    for (int i = 0; i < 3; i++) {
        CHECK_ERR(pawl_lock_release(kept), PAWL_OK);
        assert_false(pawl_lock_is_held(kept));
        CHECK_ERR(pawl_lock_acquire(kept, PATIENCE_MS), PAWL_OK);
        assert_true(pawl_lock_fence(kept) == fence);
    }
    CHECK_ERR(pawl_lock_release(kept), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.rival, PATIENCE_MS), PAWL_OK); /* it is asked for, and given */
    pawl_lock_free(kept);
    rig_end(&r);
}

static bool has_modes(rig *r)
{
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(r->client, PATIENCE_MS, &caps), PAWL_OK);
    return caps.modes & 1u << PAWL_MODE_PERMIT;
}

static void modes_hold_for_each_name(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    if (!has_modes(&r)) {
        rig_end(&r);
        skip_case("this store does not grant all modes");
    }
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_SHARED;
    pawl_lock *one = all_of(r.client, r.names, COUNT, &opts),
              *two = all_of(r.other, r.names, 2, &opts);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(two, 0), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_release_wait(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(two, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(r.all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(r.all, 0), PAWL_ERR_UNSUPPORTED);
    CHECK_ERR(pawl_lock_downgrade(r.all, PAWL_MODE_SHARED), PAWL_OK);
    assert_int_equal(pawl_lock_mode(r.all), PAWL_MODE_SHARED);
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(one);
    pawl_lock_free(two);
    rig_end(&r);
}

static void permits_have_slots_of_each_name(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    if (!has_modes(&r)) {
        rig_end(&r);
        skip_case("this store does not grant all modes");
    }
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_PERMIT;
    opts.capacity = 4;
    opts.units = 2;
    pawl_lock *one = all_of(r.client, r.names, COUNT, &opts),
              *two = all_of(r.other, r.names, COUNT, &opts);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    for (size_t i = 0; i < COUNT; i++) {
        uint16_t slots[2];
        assert_int_equal(pawl_lock_slots(pawl_lock_part(two, i), slots, 2), 2);
        assert_true(slots[0] == 2 && slots[1] == 3);
    }
    assert_int_equal(pawl_lock_slots(one, NULL, 0), 2);
    pawl_lock_free(one);
    pawl_lock_free(two);
    rig_end(&r);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void names_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char room[PAWL_NAMES_MAX + 1][8];
    const char *many[PAWL_NAMES_MAX + 1];
    for (int i = 0; i <= PAWL_NAMES_MAX; i++) {
        snprintf(room[i], sizeof room[i], "n%d", i);
        many[i] = room[i];
    }
    static const char *const twice[] = {"b", "a", "b"}, *const empty[] = {"a", ""},
                             *const missing[] = {"a", NULL};
    char long_name[PAWL_NAME_MAX + 2];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    const char *const too_long[] = {"a", long_name};
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new_all(client, many, 0, NULL, &lock), PAWL_ERR_NAMES);
    CHECK_ERR(pawl_lock_new_all(client, many, PAWL_NAMES_MAX + 1, NULL, &lock), PAWL_ERR_NAMES);
    CHECK_ERR(pawl_lock_new_all(client, twice, 3, NULL, &lock), PAWL_ERR_NAMES);
    CHECK_ERR(pawl_lock_new_all(client, empty, 2, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new_all(client, missing, 2, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new_all(client, too_long, 2, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new_all(client, NULL, 2, NULL, &lock), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_new_all(NULL, many, 2, NULL, &lock), PAWL_ERR_ARGUMENT);
    assert_null(lock);
    lock = all_of(client, many, PAWL_NAMES_MAX, NULL);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    lock = all_of(client, many, 1, NULL);
    assert_int_equal(pawl_lock_count(lock), 1);
    assert_true(pawl_lock_part(lock, 0) == lock && pawl_lock_part(lock, 1) == NULL);
    pawl_lock_free(lock);
    assert_int_equal(pawl_lock_count(NULL), 0);
    pawl_client_close(client);
}

/* ---- Many at once ---------------------------------------------------------------------------- */

#define USERS  6
#define ROUNDS 60

typedef struct user {
    rig *r;
    pawl_client *client;
    int number;
    _Atomic int *inside; /* of each name */
    bool overlapped;
} user;

/* The names in another order for each user, and only two of them for some. */
static void *take_in_some_order(void *arg)
{
    user *u = arg;
    const char *names[COUNT];
    int which[COUNT];
    size_t count = u->number % 3 == 0 ? 2 : COUNT;
    for (size_t i = 0; i < count; i++) {
        which[i] = (int)(i * (size_t)(1 + u->number % 2) + (size_t)u->number) % COUNT;
        names[i] = u->r->names[which[i]];
    }
    pawl_lock *lock = all_of(u->client, names, count, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
        for (size_t i = 0; i < count; i++)
            if (atomic_fetch_add(&u->inside[which[i]], 1) != 0) u->overlapped = true;
        for (size_t i = 0; i < count; i++) atomic_fetch_sub(&u->inside[which[i]], 1);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    pawl_lock_free(lock);
    return NULL;
}

static void orders_do_not_lock_each_other_out(void **state)
{
    (void)state;
    rig r;
    rig_begin(&r, LONG_MS, 0, NULL);
    _Atomic int inside[COUNT] = {0};
    pthread_t threads[USERS];
    user users[USERS];
    for (int i = 0; i < USERS; i++) {
        users[i] =
            (user){.r = &r, .client = i % 2 ? r.client : r.other, .number = i, .inside = inside};
        CHECK(pthread_create(&threads[i], NULL, take_in_some_order, &users[i]) == 0);
    }
    for (int i = 0; i < USERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(users[i].overlapped);
    }
    await_all_free(&r);
    rig_end(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_has_all_of_them_with_a_fence_each),
        cmocka_unit_test(one_that_is_busy_leaves_none),
        cmocka_unit_test(who_waits_has_only_what_comes_before),
        cmocka_unit_test(the_earliest_deadline_is_that_of_all),
        cmocka_unit_test(a_cancel_gives_back_what_was_taken),
        cmocka_unit_test(the_ends_are_told_to_callbacks),
        cmocka_unit_test(the_loss_of_one_is_the_loss_of_all),
        cmocka_unit_test(a_release_that_waits_hears_of_the_loss_of_any),
        cmocka_unit_test(what_is_lost_on_the_way_is_taken_again),
        cmocka_unit_test(a_yield_of_one_is_told),
        cmocka_unit_test(all_are_renewed),
        cmocka_unit_test(freeing_gives_all_back),
        cmocka_unit_test(a_close_gives_all_back),
        cmocka_unit_test(a_child_of_a_fork_frees_its_copy),
        cmocka_unit_test(detached_leases_outlive_the_client),
        cmocka_unit_test(a_handle_that_counts_counts_for_all),
        cmocka_unit_test(retained_ones_are_taken_again_without_the_store),
        cmocka_unit_test(modes_hold_for_each_name),
        cmocka_unit_test(permits_have_slots_of_each_name),
        cmocka_unit_test(names_that_do_not_fit_are_refused),
        cmocka_unit_test(orders_do_not_lock_each_other_out),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
