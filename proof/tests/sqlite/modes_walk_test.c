/* SPDX-License-Identifier: MIT */
/*
 * The transactions of the SQLite store beside the memory model: random requests in all modes, and
 * processes that die, go to both, and both must answer, grant and tell the same. The processes are
 * played: each has a byte of the live file locked as long as it lives, and does what an engine does
 * with letters. Whoever is granted something by a death must have it because somebody who lives
 * watched the dead one. No lease ends by its ttl; that has its own tests.
 */
#define _GNU_SOURCE
#include "place.h"

#include "../support/beside_model.h"
#include "stores/memory/memory_model.h"
#include "stores/sqlite/sqlite_lease.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROCESSES = 8, STEPS = 300, SEEDS = 60, NEWS_MAX = 256, MARKS_MAX = 32 };

#define LONG_MS    PAWL_TTL_MAX_MS
#define FIRST_BYTE 100000 /* of the live file; far from the one that the database has */

typedef struct process {
    char token[PAWL_TOKEN_LEN + 1];
    char client[PAWL__CLIENT_ID_LEN + 1];
    char label[2];
    int64_t byte; /* also its pid: each life has one of its own */
    bool waits, upgrades, holds;
    bool orphaned; /* its lease outlived an earlier process: nobody hears what is told about it */
    pawl_request wish; /* a token asks for the same as long as it lives */
    uint32_t change;
    int64_t watched[MARKS_MAX]; /* pids */
    int watched_count;
    bool told_to_look;
} process;

typedef struct news {
    pawl_push_kind kind;
    int who;
    uint64_t fence;
    bool waiting;
    uint32_t slots; /* a bit for each */
} news;

typedef struct box {
    news items[NEWS_MAX];
    int count;
} box;

typedef struct walk {
    pawl__sqlite_db db;
    pawl__outbox outbox;
    pawl__memory *memory;
    int kernel; /* our descriptor of the live file: its locks are the processes' */
    int64_t last_byte;
    uint64_t seed, random;
    int step, tokens_made;
    bool permits;
    process processes[PROCESSES];
    fence_pairs fences;
    box real, modelled;
    pawl_holder_info holders[PROCESSES * 2]; /* of the model's report */
    size_t holder_count, waiter_count;
} walk;

static struct {
    unsigned deaths, grants_by_death, groups, upgrades, rechecks;
    unsigned outcomes[PAWL_UNKNOWN + 1];
} total;

static uint64_t draw(walk *w, uint64_t below)
{
    return draw_below(&w->random, below);
}

#define AGREE(w, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %" PRIu64 ", step %d: %s (line %d)", (w)->seed, (w)->step, #condition,  \
                     __LINE__);                                                                    \
    } while (0)

/* ---- Processes ------------------------------------------------------------------- */

static void lock_byte(const walk *w, int64_t byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    assert_int_equal(fcntl(w->kernel, F_OFD_SETLK, &lock), 0);
}

static void new_token(walk *w, process *p)
{
    snprintf(p->token, sizeof(p->token), "%040d", ++w->tokens_made);
    p->change = 0;
    p->orphaned = p->waits = p->upgrades = p->holds = p->told_to_look = false;
    p->watched_count = 0;
    p->wish = draw_wish(&w->random, w->permits);
    if (draw(w, 8) == 0) p->wish.flags = PAWL_ASK_DETACHED;
}

static void be_born(walk *w, process *p)
{
    p->byte = FIRST_BYTE + ++w->last_byte;
    lock_byte(w, p->byte, F_WRLCK);
}

static int process_of(const walk *w, const char *token)
{
    for (int i = 0; i < PROCESSES; i++)
        if (strcmp(w->processes[i].token, token) == 0) return i;
    return -1;
}

/* ---- What is told ------------------------------------------------------------------ */

static void put_news(box *to, news item)
{
    assert_true(to->count < NEWS_MAX);
    to->items[to->count++] = item;
}

static void on_push(void *ctx, void *whom, const pawl_push *push)
{
    walk *w = ctx;
    news item = {.kind = push->kind,
                 .who = (int)((process *)whom - w->processes),
                 .fence = push->fence,
                 .waiting = push->waiting};
    if (push->kind == PAWL_PUSH_RECHECK) return; /* a hint: the store has reasons of its own */
    for (size_t i = 0; i < push->slot_count; i++) item.slots |= 1u << push->slots[i];
    put_news(&w->modelled, item);
}

static uint32_t bits_of(const pawl__slots *slots)
{
    for (size_t i = 1; i < PAWL__SLOT_BYTES; i++) assert_int_equal(slots->bits[i], 0);
    return slots->bits[0];
}

static void open_letter(walk *w, const pawl__mail *mail)
{
    char token[PAWL_TOKEN_LEN + 1] = "";
    const pawl__letter *letter = &mail->letter;
    memcpy(token, letter->token, PAWL_TOKEN_LEN);
    if (letter->kind == PAWL_PUSH_RECHECK) {
        for (int i = 0; i < PROCESSES; i++)
            if (strcmp(w->processes[i].client, mail->to) == 0) w->processes[i].told_to_look = true;
        total.rechecks++;
        return;
    }
    int who = process_of(w, token);
    if (who < 0) return; /* it is dead */
    process *p = &w->processes[who];
    AGREE(w, strcmp(p->client, mail->to) == 0);
    if (p->orphaned) return;
    if (letter->kind == PAWL_PUSH_GRANT) {
        p->waits = p->upgrades = false;
        p->holds = true;
        p->watched_count = 0;
    }
    put_news(&w->real, (news){.kind = (pawl_push_kind)letter->kind,
                              .who = who,
                              .fence = letter->fence,
                              .waiting = letter->waiting,
                              .slots = bits_of(&letter->slots)});
}

static void open_letters(walk *w)
{
    for (size_t i = 0; i < w->outbox.count; i++) open_letter(w, &w->outbox.mails[i]);
    w->outbox.count = 0;
}

static void same_fence(walk *w, uint64_t real, uint64_t modelled)
{
    AGREE(w, fences_agree(&w->fences, real, modelled));
}

/* Grants in their order, what is said to holders in any. */
static int by_kind_and_fence(const void *one, const void *other)
{
    const news *x = one, *y = other;
    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    if (x->kind == PAWL_PUSH_GRANT) return x->fence < y->fence ? -1 : x->fence > y->fence;
    return x->who - y->who;
}

static void same_news(walk *w)
{
    if (w->real.count != w->modelled.count)
        fail_msg("seed %" PRIu64 ", step %d: told %d, the model %d", w->seed, w->step,
                 w->real.count, w->modelled.count);
    qsort(w->real.items, (size_t)w->real.count, sizeof(news), by_kind_and_fence);
    qsort(w->modelled.items, (size_t)w->modelled.count, sizeof(news), by_kind_and_fence);
    int grants = 0;
    for (int i = 0; i < w->real.count; i++) {
        const news *x = &w->real.items[i], *y = &w->modelled.items[i];
        AGREE(w, x->kind == y->kind && x->who == y->who);
        if (x->kind != PAWL_PUSH_GRANT) continue;
        AGREE(w, x->waiting == y->waiting && x->slots == y->slots);
        same_fence(w, x->fence, y->fence);
        grants++;
    }
    if (grants > 2) total.groups++;
    w->real.count = w->modelled.count = 0;
}

/* ---- Asking both --------------------------------------------------------------------- */

static void carry_out(walk *w, const process *p, const pawl_request *request,
                      pawl__answer *ret_answer)
{
    pawl__sqlite_db *db = &w->db;
    int64_t own = db->live.offset;
    int rc;
    do {
        w->outbox.count = 0;
        assert_int_equal(pawl__sqlite_begin_write(db), SQLITE_OK);
        db->live.offset = p->byte; /* we are that process now */
        db->pid = p->byte;
        rc = pawl__lease_carry_out(db, request, p->client, &w->outbox, ret_answer);
        db->live.offset = own;
        if (rc != PAWL__SQLITE_NEEDS_CEILING) break;
        pawl__sqlite_rollback(db);
    } while (pawl__sqlite_raise_ceiling(db, db->fence_wanted) == SQLITE_OK);
    if (rc != SQLITE_OK) fail_msg("seed %" PRIu64 ", step %d: %d", w->seed, w->step, rc);
    assert_int_equal(pawl__sqlite_commit(db), SQLITE_OK);
    open_letters(w);
}

static void on_row(void *ctx, const pawl_info *info)
{
    walk *w = ctx;
    w->holder_count = info->holder_count;
    w->waiter_count = info->waiter_count;
    for (size_t i = 0; i < info->holders_shown; i++) w->holders[i] = info->holders[i];
}

/* The model's clock stands still, so no lease ends; its fences grow by ones. */
static const pawl__memory_time standing = {.now = 1, .wall_us = 1};

static void model(walk *w, process *p, const pawl_request *request, pawl_reply *ret_reply)
{
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    pawl__memory_apply(w->memory, &standing, p, request, &out, ret_reply);
}

static void note_outcome(process *p, const pawl_request *request, const pawl__answer *answer)
{
    bool is_acquire = request->verb == PAWL_VERB_ACQUIRE;
    if (!is_acquire && request->verb != PAWL_VERB_RELEASE && request->verb != PAWL_VERB_CHANGE)
        return;
    if (answer->outcome == PAWL_FAILED) return;
    if (request->verb == PAWL_VERB_CHANGE && answer->outcome == PAWL_NOT_OWNER) return;
    bool queued = answer->outcome == PAWL_QUEUED;
    p->waits = queued && is_acquire;
    if (request->verb != PAWL_VERB_ACQUIRE) p->upgrades = queued;
    if (is_acquire) p->holds = answer->outcome == PAWL_GRANTED;
    if (request->verb == PAWL_VERB_RELEASE) p->holds = false;
    if (is_acquire && (p->holds || queued)) p->orphaned = false;
    if (p->upgrades && queued) total.upgrades++;
    p->watched_count = 0;
    if (!queued && !p->upgrades) return;
    if (answer->watch.live > 0) p->watched[p->watched_count++] = answer->watch.pid;
    assert_true(answer->more_count < MARKS_MAX);
    for (size_t i = 0; i < answer->more_count; i++)
        p->watched[p->watched_count++] = answer->more_watches[i].pid;
}

static void same_answer(walk *w, const pawl__answer *real, const pawl_reply *modelled)
{
    uint32_t slots = 0;
    if (real->outcome != modelled->outcome || real->fault.err != modelled->err)
        fail_msg("seed %" PRIu64 ", step %d: outcome %d %s, the model says %d %s", w->seed, w->step,
                 (int)real->outcome, pawl_err_name(real->fault.err), (int)modelled->outcome,
                 pawl_err_name(modelled->err));
    total.outcomes[real->outcome]++;
    if (real->outcome == PAWL_QUEUED) AGREE(w, real->position >= modelled->position);
    if (real->outcome != PAWL_GRANTED && real->outcome != PAWL_CONFIRMED) return;
    AGREE(w, real->waiting == modelled->waiting);
    for (size_t i = 0; i < modelled->slot_count; i++) slots |= 1u << modelled->slots[i];
    AGREE(w, bits_of(&real->slots) == slots);
    same_fence(w, real->fence, modelled->fence);
}

/* The living holders, in order of their fences, and how many living ones wait. */
static void same_rows(walk *w)
{
    pawl_request look = {.verb = PAWL_VERB_INSPECT, .name = "x", .name_len = 1};
    pawl_reply reply;
    pawl__name name = {"x", 1};
    pawl__lock_row lock;
    pawl__hold_row holder;
    pawl__wait_row waiter = {.seq = 0};
    size_t holders = 0, waiters = 0;
    int64_t now = pawl__sqlite_clock_now(&w->db.clock);
    model(w, NULL, &look, &reply);
    assert_int_equal(pawl__lock_get(&w->db, name, &lock), SQLITE_OK);
    holder = pawl__holder_of_lock(&lock);
    bool is_alone = pawl__lock_is_live(&w->db, &lock, now);
    if (!is_alone) holder.fence = 0;
    for (;; holders++) {
        if (!is_alone) {
            if (!lock.many) break;
            assert_int_equal(pawl__hold_after(&w->db, name, holder.fence, &holder), SQLITE_OK);
            if (!holder.found) break;
            if (!pawl__hold_is_live(&w->db, &holder, now)) {
                holders--;
                continue;
            }
        } else if (holders == 1) {
            break;
        }
        AGREE(w, holders < w->holder_count);
        const pawl_holder_info *said = &w->holders[holders];
        AGREE(w, strcmp(said->owner, holder.owner.label) == 0 && said->mode == holder.mode);
        AGREE(w, said->units == holder.units);
        same_fence(w, holder.fence, said->fence);
    }
    AGREE(w, holders == w->holder_count);
    for (;;) {
        assert_int_equal(pawl__wait_first(&w->db, name, waiter.seq, &waiter), SQLITE_OK);
        if (!waiter.found) break;
        waiters += pawl__wait_is_live(&w->db, &waiter, now);
    }
    AGREE(w, waiters == w->waiter_count);
}

static pawl_outcome ask(walk *w, process *p, pawl_request request, const pawl_request *modelled)
{
    static pawl__answer answer;
    pawl_reply reply;
    request.name = "x";
    request.name_len = 1;
    request.token = p->token;
    request.owner = p->label;
    request.ttl_ms = LONG_MS;
    pawl_request same = request;
    if (modelled) same.fence = modelled->fence;
    carry_out(w, p, &request, &answer);
    model(w, p, &same, &reply);
    same_answer(w, &answer, &reply);
    note_outcome(p, &request, &answer);
    pawl_outcome outcome = answer.outcome;
    pawl__answer_done(&answer);
    return outcome;
}

/* As an engine does. */
static void look_again(walk *w, process *p)
{
    p->told_to_look = false;
    if (p->waits) {
        pawl_request again = p->wish;
        again.verb = PAWL_VERB_ACQUIRE;
        again.flags |= PAWL_ASK_QUEUE;
        (void)ask(w, p, again, NULL);
    } else if (p->upgrades) {
        (void)ask(w, p,
                  (pawl_request){.verb = PAWL_VERB_CHANGE,
                                 .mode = PAWL_MODE_EXCLUSIVE,
                                 .flags = PAWL_ASK_QUEUE,
                                 .change = p->change},
                  NULL);
    } else if (p->holds) {
        (void)ask(w, p, (pawl_request){.verb = PAWL_VERB_RENEW}, NULL);
    }
}

static void all_look_again(walk *w)
{
    bool any = true;
    for (int rounds = 0; any; rounds++) {
        AGREE(w, rounds < 50); /* letters that cause each other */
        any = false;
        for (int i = 0; i < PROCESSES; i++) {
            if (!w->processes[i].told_to_look) continue;
            look_again(w, &w->processes[i]);
            any = true;
        }
    }
}

/* ---- Steps --------------------------------------------------------------------------- */

static pawl_request draw_step(walk *w, process *p)
{
    pawl_request r = draw_request(&w->random, w->permits, &p->wish);
    if (r.verb == PAWL_VERB_CHANGE) {
        if (draw(w, 2)) r.mode = PAWL_MODE_EXCLUSIVE;
        if (draw(w, 4)) p->change++;
        r.change = p->change;
        if (draw(w, 8) == 0) r.change = 1;
    }
    return r;
}

static void ask_something(walk *w, process *p)
{
    pawl_request request = draw_step(w, p), modelled = request;
    if (request.verb == PAWL_VERB_BREAK) {
        const fence_pair *fence = draw_fence(&w->fences, &w->random);
        if (!fence) return;
        request.fence = fence->real;
        modelled.fence = fence->modelled;
    }
    pawl_outcome outcome = ask(w, p, request, &modelled);
    if (request.verb == PAWL_VERB_RELEASE && outcome == PAWL_RELEASED && draw(w, 2))
        new_token(w, p);
}

static bool is_watched(const walk *w, int64_t pid)
{
    for (int i = 0; i < PROCESSES; i++)
        for (int k = 0; k < w->processes[i].watched_count; k++)
            if (w->processes[i].watched[k] == pid) return true;
    return false;
}

/* As the store does when a letter finds nobody. */
static void reap(walk *w)
{
    assert_int_equal(pawl__sqlite_begin_write(&w->db), SQLITE_OK);
    assert_int_equal(pawl__lease_reap(&w->db, (pawl__name){"x", 1}, &w->outbox), SQLITE_OK);
    assert_int_equal(pawl__sqlite_commit(&w->db), SQLITE_OK);
    open_letters(w);
}

/* kill -9: its byte is free. Those who watch it ask. */
static void die(walk *w, process *p)
{
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    int64_t pid = p->byte;
    total.deaths++;
    lock_byte(w, p->byte, F_UNLCK);
    pawl__memory_leave(w->memory, &standing, p, &out);
    bool survives = false;
    pawl_request renew = {.verb = PAWL_VERB_INSPECT, .name = "x", .name_len = 1};
    pawl_reply reply;
    model(w, NULL, &renew, &reply);
    for (size_t i = 0; i < w->holder_count; i++)
        survives |= strcmp(w->holders[i].owner, p->label) == 0;
    be_born(w, p); /* the next one of that name */
    if (survives) {
        p->orphaned = true;
        p->waits = p->upgrades = false;
        p->watched_count = 0;
    } else {
        new_token(w, p);
    }
    if (w->modelled.count > 0) {
        AGREE(w, is_watched(w, pid));
        total.grants_by_death++;
    }
    for (int i = 0; i < PROCESSES; i++)
        for (int k = 0; k < w->processes[i].watched_count; k++)
            if (w->processes[i].watched[k] == pid) w->processes[i].told_to_look = true;
    /* A slot of a dead one is free, and a lease without a process is upgraded, when somebody comes
     * across it: for the model that is now. */
    bool is_lazy = w->permits;
    for (int i = 0; i < PROCESSES; i++)
        is_lazy |= w->processes[i].orphaned || w->processes[i].wish.mode == PAWL_MODE_PERMIT;
    if (is_lazy) reap(w);
}

static void take_step(walk *w)
{
    process *p = &w->processes[draw(w, PROCESSES)];
    if (draw(w, 8) == 0)
        die(w, p);
    else
        ask_something(w, p);
    all_look_again(w);
    same_news(w);
    same_rows(w);
}

static void open_walk(walk *w)
{
    static atomic_bool stop;
    pawl__sqlite_fault fault;
    char live[160];
    pawl__sqlite_db_init(&w->db, &stop);
    if (!pawl__sqlite_db_open(&w->db, path, 0, &fault)) fail_msg("%s", fault.message);
    beside(live, "-live");
    w->kernel = open(live, O_RDWR | O_CLOEXEC);
    assert_true(w->kernel >= 0);
}

static void begin_walk(walk *w, uint64_t seed)
{
    static const char clear[] =
        "DELETE FROM lock; DELETE FROM hold; DELETE FROM wait; DELETE FROM broken";
    assert_int_equal(sqlite3_exec(w->db.handle, clear, NULL, NULL, NULL), SQLITE_OK);
    pawl__sqlite_checkpoint(&w->db);
    w->seed = w->random = seed;
    w->permits = seed % 3 == 0;
    w->fences.count = w->real.count = w->modelled.count = 0;
    w->memory = pawl__memory_new(seed, 0);
    for (int i = 0; i < PROCESSES; i++) {
        process *p = &w->processes[i];
        snprintf(p->client, sizeof(p->client), "%032x", i);
        p->label[0] = (char)('a' + i);
        be_born(w, p);
        new_token(w, p);
    }
}

static void check_was_no_idle_walk(void)
{
    printf("deaths %u, grants by them %u, groups %u, upgrades that waited %u, letters to look %u\n",
           total.deaths, total.grants_by_death, total.groups, total.upgrades, total.rechecks);
    static const pawl_outcome all[] = {PAWL_GRANTED,  PAWL_QUEUED, PAWL_BUSY,      PAWL_CONFIRMED,
                                       PAWL_RELEASED, PAWL_LEFT,   PAWL_NOT_OWNER, PAWL_FAILED};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_true(total.outcomes[all[i]] > SEEDS);
    assert_true(total.deaths > SEEDS && total.grants_by_death > SEEDS);
    assert_true(total.upgrades > SEEDS / 2 && total.rechecks > SEEDS);
    assert_true(total.groups > SEEDS / 10);
}

static void test_the_store_does_what_the_model_does(void **state)
{
    static walk w;
    (void)state;
    open_walk(&w);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin_walk(&w, seed);
        for (w.step = 0; w.step < STEPS; w.step++) take_step(&w);
        for (int i = 0; i < PROCESSES; i++) lock_byte(&w, w.processes[i].byte, F_UNLCK);
        pawl__memory_free(w.memory);
    }
    free(w.outbox.mails);
    pawl__sqlite_db_close(&w.db);
    pawl__sqlite_live_close(&w.db.live);
    close(w.kernel);
    check_was_no_idle_walk();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_store_does_what_the_model_does),
    };
    return cmocka_run_group_tests_name("sqlite and the model of all modes", tests, NULL, NULL);
}
