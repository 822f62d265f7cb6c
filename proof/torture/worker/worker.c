/* SPDX-License-Identifier: MIT */
/* Acquires locks, works under them, releases; and writes down each thing that it is told. */
#include "worker.h"

#include "../canary.h"
#include "algorithm.h"
#include "diary.h"
#include "resource.h"
#include "write_stop.h"

#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pawl/types.h>

#define PARTED_WORD_MS   1000 /* of a release by token */
#define SAY_MS           500
#define CHILD_PATIENCE_S 20
#define COMPOSED_SHARE   30 /* rounds in 100 after which something is used that is built on locks */
#define OTHER_USER       65534 /* nobody's */

typedef struct worker {
    torture_board *board;
    const torture_algorithm *algorithm;
    torture_resource *resource;
    torture_rng rng;
    int slot, life, turn;
    bool has_values;
    int64_t said; /* how many values */
} worker;

static void on_stood(int64_t at, int64_t span_ns)
{
    torture_log_at(at, TORTURE_STOOD, 0, 0, span_ns);
}

static void on_told(int lock, uint64_t fence, int err)
{
    torture_log(TORTURE_TOLD, lock, fence, err);
}

/* ---- A round ------------------------------------------------------------------------------ */

/* What one round is to be like. */
typedef struct plan {
    int lock;
    int variant; /* the mode, or the number of permits less one */
    int64_t wait_ms, give_up_ms, hold_ms, word_ms;
    bool late_write; /* writes though it was told that it has lost: the resource must refuse */
} plan;

/* Half of those who want a lock in any mode read; of a semaphore most want one permit. */
static int draw_variant(worker *w, int lock)
{
    static const int of_modes[] = {PAWL_MODE_SHARED, PAWL_MODE_SHARED, PAWL_MODE_UPDATE,
                                   PAWL_MODE_EXCLUSIVE},
                     of_permits[] = {0, 0, 1, 2};
    torture_kind kind = w->board->kinds[lock];
    int64_t lot = torture_between(&w->rng, 0, 3);
    if (kind == TORTURE_EXCLUSIVE) return 0;
    if (kind == TORTURE_MODES && w->board->modes_stay && of_modes[lot] == PAWL_MODE_UPDATE)
        return PAWL_MODE_SHARED;
    return kind == TORTURE_MODES ? of_modes[lot] : of_permits[lot];
}

static plan draw_plan(worker *w)
{
    torture_rng *rng = &w->rng;
    int64_t ttl = w->board->ttl_ms, kind = torture_between(rng, 1, 100);
    plan p = {.lock = (int)torture_between(rng, 0, w->board->locks - 1),
              .wait_ms = 5000,
              .give_up_ms = -1,
              .word_ms = torture_chance(rng, 50) ? 1000 : -1,
              .late_write = torture_chance(rng, 80)};
    if (kind <= 15) p.wait_ms = 0;
    if (kind > 15 && kind <= 30) p.wait_ms = torture_between(rng, 1, ttl);
    if (kind > 30 && kind <= 40) p.give_up_ms = torture_between(rng, 0, ttl);

    kind = torture_between(rng, 1, 100);
    p.hold_ms = torture_between(rng, 0, 10);
    if (kind > 75) p.hold_ms = torture_between(rng, 10, ttl / 3);
    if (kind > 90) p.hold_ms = torture_between(rng, ttl / 2, 2 * ttl); /* renewed, perhaps lost */
    if (kind > 97) p.hold_ms = 3 * ttl;
    p.variant = draw_variant(w, p.lock);
    return p;
}

/* In the calm everybody wants everything once, soon, and without haste. */
static plan calm_plan(worker *w)
{
    plan p = {.lock = w->turn++ % w->board->locks,
              .wait_ms = 5000,
              .give_up_ms = -1,
              .hold_ms = 1,
              .word_ms = 1000};
    p.variant = draw_variant(w, p.lock);
    return p;
}

/* Whether we are told that we hold. The instants never make the promise longer than it was. */
static bool look(worker *w, int lock, uint64_t fence)
{
    int64_t before = torture_now();
    if (w->algorithm->is_held(lock)) {
        torture_log_at(before, TORTURE_HELD, lock, fence, w->algorithm->remaining_ms(lock));
        return true;
    }
    torture_log(TORTURE_GONE, lock, fence, 0);
    return false;
}

/* ---- Values beside names ------------------------------------------------------------------ */

/* No two values of a run are the same. */
static void say(worker *w, int lock, uint64_t fence)
{
    int64_t value = (++w->said << 24) + ((int64_t)w->life << 8) + w->slot;
    torture_log(TORTURE_SAY, lock, fence, value);
    torture_log(TORTURE_SAID, lock, fence, w->algorithm->say(lock, value, SAY_MS));
}

static void listen_to(worker *w, int lock)
{
    int64_t value = 0;
    uint64_t fence = 0;
    torture_log(TORTURE_LISTEN, lock, 0, 0);
    int err = w->algorithm->listen(lock, &value, &fence);
    torture_log(TORTURE_HEARD, lock, err ? 0 : fence, err ? 0 : value);
}

/* Names of several holders show the value of one of them: of exclusive ones it is the leader's. */
static bool has_a_leader(const worker *w, int lock)
{
    return w->has_values && w->board->kinds[lock] == TORTURE_EXCLUSIVE;
}

static bool work(worker *w, const plan *p, uint64_t fence)
{
    int64_t until = torture_now() + p->hold_ms * TORTURE_MS;
    bool held = true;
    while (held && torture_now() < until) {
        torture_sleep_ns(torture_between(&w->rng, 200, 4000) * 1000);
        if (has_a_leader(w, p->lock) && torture_chance(&w->rng, 25)) say(w, p->lock, fence);
        if (has_a_leader(w, p->lock) && torture_chance(&w->rng, 25)) listen_to(w, p->lock);
        held = look(w, p->lock, fence);
    }
    return held;
}

static void write_fenced(worker *w, int lock, uint64_t fence, int64_t value)
{
    static const torture_note outcomes[] = {
        [TORTURE_DONE] = TORTURE_ADDED,
        [TORTURE_LATE] = TORTURE_REFUSED,
        [TORTURE_UNSURE] = TORTURE_FAILED,
    };
    torture_log(TORTURE_ADD, lock, fence, value);
    torture_log(outcomes[torture_resource_write(w->resource, lock, fence, value)], lock, fence,
                value);
}

/* Reads, works, writes one more: once with the fence, once without. */
static void use(worker *w, const plan *p, uint64_t fence)
{
    int64_t fenced = 0, plain = 0;
    torture_outcome read = TORTURE_UNSURE;
    bool fences = !w->board->tutorial;
    if (fences) read = torture_resource_read(w->resource, p->lock, fence, &fenced);
    if (read == TORTURE_DONE) torture_log(TORTURE_READ, p->lock, fence, fenced);
    if (read == TORTURE_LATE) torture_log(TORTURE_REFUSED, p->lock, fence, 0);
    bool plain_read = torture_resource_read_plain(w->resource, p->lock, &plain) == TORTURE_DONE;

    bool held = work(w, p, fence);
    if (held && plain_read) torture_resource_write_plain(w->resource, p->lock, fence, plain + 1);
    if (read == TORTURE_DONE && (held || p->late_write)) {
        write_fenced(w, p->lock, fence, fenced + 1);
    }
}

/* ---- Modes and permits -------------------------------------------------------------------- */

/* Notes the mode that will be asked for, unless it is exclusive. */
static void choose(worker *w, int lock, int variant)
{
    torture_kind kind = w->board->kinds[lock];
    if (kind == TORTURE_EXCLUSIVE) return;
    w->algorithm->choose(lock, variant);
    bool permits = kind == TORTURE_PERMITS;
    torture_log(TORTURE_AS, lock, permits ? (uint64_t)variant + 1 : 0,
                permits ? PAWL_MODE_PERMIT : variant);
}

static void note_slots(worker *w, int lock, uint64_t fence)
{
    if (w->board->kinds[lock] != TORTURE_PERMITS) return;
    torture_log(TORTURE_SLOTS, lock, fence, w->algorithm->slots(lock));
}

/* Sometimes upgrades from update to exclusive. Returns the fence that it has then. */
static uint64_t raise_mode(worker *w, const plan *p, uint64_t fence, bool *ret_exclusive)
{
    const int64_t waits[] = {0, w->board->ttl_ms, 5000};
    *ret_exclusive = false;
    if (torture_chance(&w->rng, 30)) return fence;
    int64_t wait_ms = waits[torture_between(&w->rng, 0, 2)];
    torture_log(TORTURE_RAISE, p->lock, fence, wait_ms);
    int err = w->algorithm->raise(p->lock, wait_ms);
    int64_t at = torture_now();
    if (!err) fence = w->algorithm->fence(p->lock);
    torture_log_at(at, TORTURE_RAISED, p->lock, fence, err);
    *ret_exclusive = !err;
    return fence;
}

/* Sometimes downgrades to update or shared, and goes on reading for a while. */
static void lower_mode(worker *w, const plan *p, uint64_t fence, int from)
{
    int mode = from == PAWL_MODE_EXCLUSIVE && torture_chance(&w->rng, 50) ? PAWL_MODE_UPDATE
                                                                          : PAWL_MODE_SHARED;
    if (torture_chance(&w->rng, 60) || w->board->modes_stay) return;
    torture_log(TORTURE_LOWER, p->lock, fence, mode);
    int err = w->algorithm->lower(p->lock, mode);
    torture_log(TORTURE_LOWERED, p->lock, fence, err);
    if (!err) work(w, p, fence);
}

/* Uses what it has got as its mode allows; returns the fence that it has in the end. */
static uint64_t use_as_it_may(worker *w, const plan *p, uint64_t fence)
{
    bool modes = w->board->kinds[p->lock] == TORTURE_MODES;
    bool exclusive = w->board->kinds[p->lock] == TORTURE_EXCLUSIVE ||
                     (modes && p->variant == PAWL_MODE_EXCLUSIVE);
    bool update = modes && p->variant == PAWL_MODE_UPDATE;
    if (!exclusive) work(w, p, fence);
    if (update) fence = raise_mode(w, p, fence, &exclusive);
    if (exclusive) use(w, p, fence);
    if (modes && (exclusive || update)) {
        lower_mode(w, p, fence, exclusive ? PAWL_MODE_EXCLUSIVE : PAWL_MODE_UPDATE);
    }
    return fence;
}

static void let_go(worker *w, const plan *p, uint64_t fence)
{
    torture_log(TORTURE_LETGO, p->lock, fence, p->word_ms);
    int err = w->algorithm->release(p->lock, p->word_ms);
    torture_log(TORTURE_FREED, p->lock, fence, err);
}

/* ---- What is done beside ---------------------------------------------------------------- */

/* Detaches the lease. Its token releases it a moment later, or it runs out. */
static void part(worker *w, const plan *p, uint64_t fence)
{
    int64_t before = torture_now();
    torture_log_at(before, TORTURE_PARTED, p->lock, fence, w->algorithm->remaining_ms(p->lock));
    if (w->algorithm->part(p->lock) != 0) { /* lost */
        let_go(w, p, fence);
        return;
    }
    if (torture_chance(&w->rng, 50)) return;
    torture_sleep_ns(torture_between(&w->rng, 0, 20) * TORTURE_MS);
    torture_log(TORTURE_LETGO, p->lock, fence, PARTED_WORD_MS);
    torture_log(TORTURE_FREED, p->lock, fence,
                w->algorithm->release_parted(p->lock, PARTED_WORD_MS));
}

/* Breaks a lock, whoever holds it. */
static void break_something(worker *w)
{
    int lock = (int)torture_between(&w->rng, 0, w->board->locks - 1);
    uint64_t fence = w->algorithm->see(lock);
    if (!fence) return;
    torture_log(TORTURE_BREAK, lock, fence, 0);
    torture_log(TORTURE_BROKE, lock, fence, w->algorithm->break_it(lock, fence));
}

static void fork_child(worker *w, int lock, uint64_t fence)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(CHILD_PATIENCE_S);
        _exit(w->algorithm->child(lock));
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return; /* one of our own limits */
    torture_log(TORTURE_CHILD, lock, fence, status);
}

/* While it holds the lock. */
static void do_beside(worker *w, int lock, uint64_t fence)
{
    if (!w->algorithm->child) return;
    if (torture_chance(&w->rng, 3)) fork_child(w, lock, fence);
    if (torture_chance(&w->rng, 5))
        torture_log(TORTURE_RIVAL, lock, fence, w->algorithm->rival(lock));
    if (w->board->kinds[lock] == TORTURE_PERMITS && torture_chance(&w->rng, 20))
        torture_log(TORTURE_AGAIN, lock, fence, w->algorithm->again(lock));
}

/* Not in the calm, in which the last detached lease must run out. */
static bool is_hurt(const worker *w)
{
    return atomic_load(&w->board->phase) == TORTURE_HURT;
}

static bool may_part(const worker *w, int lock)
{
    return w->algorithm->may_part && w->algorithm->may_part(lock);
}

static void play(worker *w, const plan *p, bool calm)
{
    choose(w, p->lock, p->variant);
    torture_log(TORTURE_ASK, p->lock, 0, p->wait_ms);
    int err = w->algorithm->acquire(p->lock, p->wait_ms, p->give_up_ms);
    int64_t at = torture_now();
    if (err) {
        torture_log_at(at, TORTURE_NOT, p->lock, 0, err);
        /* Had, and lost before the call returned: the handle says so until it is given back. */
        if (err == PAWL_ERR_LOST) (void)w->algorithm->release(p->lock, -1);
        torture_sleep_ns(torture_between(&w->rng, 1, 30) * TORTURE_MS);
        return;
    }
    uint64_t fence = w->algorithm->fence(p->lock);
    note_slots(w, p->lock, fence);
    torture_log_at(at, TORTURE_GOT, p->lock, fence, w->algorithm->remaining_ms(p->lock));
    if (calm) atomic_store(&w->board->had[w->slot][p->lock], true);
    if (!calm) do_beside(w, p->lock, fence);
    fence = use_as_it_may(w, p, fence);
    if (is_hurt(w) && may_part(w, p->lock) && torture_chance(&w->rng, 20))
        part(w, p, fence);
    else
        let_go(w, p, fence);
}

/* ---- A life -------------------------------------------------------------------------------- */

/* Who frees a handle hears no more of it, not even of a loss that is under way. */
static void close_all(worker *w)
{
    torture_log(TORTURE_CLOSES, 0, 0, 0);
    w->algorithm->close();
}

/* Closes, sometimes while it holds a lock, and comes back as a new client. */
static void open_again(worker *w, bool with_lock)
{
    int lock = (int)torture_between(&w->rng, 0, w->board->locks - 1);
    uint64_t fence = 0;
    choose(w, lock, draw_variant(w, lock));
    torture_log(TORTURE_ASK, lock, 0, 0);
    int err = w->algorithm->acquire(lock, 0, -1);
    int64_t at = torture_now();
    if (err) {
        torture_log_at(at, TORTURE_NOT, lock, 0, err);
    } else {
        fence = w->algorithm->fence(lock);
        note_slots(w, lock, fence);
        torture_log_at(at, TORTURE_GOT, lock, fence, w->algorithm->remaining_ms(lock));
        torture_log(TORTURE_LETGO, lock, fence, -1);
        if (!with_lock) err = w->algorithm->release(lock, -1);
    }
    close_all(w);
    if (fence) torture_log(TORTURE_FREED, lock, fence, with_lock ? TORTURE_NO_WORD : err);
    w->algorithm->open(w->board, &w->rng, on_told);
}

/* What is built on locks needs values beside names. */
static bool composes(const worker *w)
{
    return w->has_values && w->board->composed && w->algorithm->compose;
}

static void live(worker *w)
{
    int phase;
    while ((phase = atomic_load(&w->board->phase)) != TORTURE_LEAVE) {
        plan p = phase == TORTURE_CALM ? calm_plan(w) : draw_plan(w);
        play(w, &p, phase == TORTURE_CALM);
        if (phase != TORTURE_CALM && has_a_leader(w, p.lock)) listen_to(w, p.lock);
        if (phase != TORTURE_CALM && composes(w) && torture_chance(&w->rng, COMPOSED_SHARE))
            w->algorithm->compose(w->board, &w->rng);
        if (phase == TORTURE_HURT && torture_chance(&w->rng, 1)) {
            open_again(w, torture_chance(&w->rng, 50));
        }
        if (is_hurt(w) && w->algorithm->see && torture_chance(&w->rng, 1)) {
            break_something(w);
        }
        torture_sleep_ns(torture_between(&w->rng, 0, 8) * TORTURE_MS);
    }
}

/* Everything that only root may open is open by now. */
static bool become_other_user(worker *w)
{
    int64_t value;
    torture_resource_read_plain(w->resource, 0, &value); /* SQLite has all its files, too */
    if (setgroups(0, NULL) != 0 || setgid(OTHER_USER) != 0 || setuid(OTHER_USER) != 0) return false;
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0; /* setuid has cleared it */
}

int torture_worker_main(const char *board_path, const char *slot, const char *life)
{
    char who[32];
    worker w = {.slot = (int)strtol(slot, NULL, 10),
                .life = (int)strtol(life, NULL, 10),
                .board = torture_board_map(board_path, false)};
    if (!w.board) return TORTURE_SYSTEM;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(who, sizeof who, "%s.%s", slot, life);
    w.rng = torture_rng_make(w.board->seed, (unsigned)w.slot * 1000000 + (unsigned)w.life);
    w.algorithm = w.board->tutorial ? &torture_tutorial : &torture_pawl;
    torture_write_stop_install(w.board, w.slot);
    torture_diary_open(w.board->history, who);
    w.resource = torture_resource_open(w.board->resource, who);
    if (!w.resource) return TORTURE_SYSTEM;
    if (w.board->two_users && w.slot % 2 && !become_other_user(&w)) return TORTURE_SYSTEM;
    if (!torture_canary_start(on_stood)) return TORTURE_SYSTEM;
    w.algorithm->open(w.board, &w.rng, on_told);
    w.has_values = w.algorithm->has_values && w.algorithm->has_values();
    torture_log(TORTURE_UP, 0, 0, getpid());
    atomic_store(&w.board->up[w.slot], true);
    live(&w);
    close_all(&w);
    torture_resource_close(w.resource);
    torture_log(TORTURE_DOWN, 0, 0, 0);
    return 0;
}
