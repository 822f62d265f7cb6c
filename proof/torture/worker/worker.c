/* SPDX-License-Identifier: MIT */
/* Wants locks, works under them, lets go; and writes down each word that it was told. */
#include "worker.h"

#include "../history.h"
#include "algorithm.h"
#include "resource.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARTED_WORD_MS   1000 /* of a release by token */
#define CHILD_PATIENCE_S 20
#define OTHER_USER       65534 /* nobody's */

typedef struct worker {
    torture_board *board;
    const torture_algorithm *algorithm;
    torture_resource *resource;
    torture_rng rng;
    int slot, turn;
} worker;

/* ---- The history ------------------------------------------------------------------------ */

static int log_fd = -1;

/* One write per line: a line is there or not, whoever else writes and whenever we die. */
static void note_at(int64_t at, torture_note what, int lock, uint64_t fence, int64_t number)
{
    char line[128];
    int len = snprintf(line, sizeof line, "%" PRId64 " %s %d %" PRIu64 " %" PRId64 "\n", at,
                       torture_note_words[what], lock, fence, number);
    if (write(log_fd, line, (size_t)len) != len) _exit(TORTURE_SYSTEM);
}

static void note(torture_note what, int lock, uint64_t fence, int64_t number)
{
    note_at(torture_now(), what, lock, fence, number);
}

static void on_told(int lock, uint64_t fence, int err)
{
    note(TORTURE_TOLD, lock, fence, err);
}

static void open_history(const char *dir, const char *who)
{
    char name[64], path[TORTURE_FILE_MAX];
    snprintf(name, sizeof name, "worker-%s", who);
    log_fd = open(torture_path(path, dir, name), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC,
                  0600);
    if (log_fd < 0) {
        perror(path);
        _exit(TORTURE_SYSTEM);
    }
}

/* ---- A round ------------------------------------------------------------------------------ */

/* What one round is to be like. */
typedef struct plan {
    int lock;
    int64_t wait_ms, give_up_ms, hold_ms, word_ms;
    bool late_write; /* writes though it was told that it has lost: the resource must refuse */
} plan;

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
    return p;
}

/* Whether we are told that it is ours. The instants make the promise no longer than it was. */
static bool look(worker *w, int lock, uint64_t fence)
{
    int64_t before = torture_now();
    if (w->algorithm->is_held(lock)) {
        note_at(before, TORTURE_HELD, lock, fence, w->algorithm->remaining_ms(lock));
        return true;
    }
    note(TORTURE_GONE, lock, fence, 0);
    return false;
}

static bool work(worker *w, const plan *p, uint64_t fence)
{
    int64_t until = torture_now() + p->hold_ms * TORTURE_MS;
    bool held = true;
    while (held && torture_now() < until) {
        torture_sleep_ns(torture_between(&w->rng, 200, 4000) * 1000);
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
    note(TORTURE_ADD, lock, fence, value);
    note(outcomes[torture_resource_write(w->resource, lock, fence, value)], lock, fence, value);
}

/* Reads, works, writes one more: under the fence, and beside it without. */
static void use(worker *w, const plan *p, uint64_t fence)
{
    int64_t fenced = 0, plain = 0;
    torture_outcome read = TORTURE_UNSURE;
    bool fences = !w->board->tutorial;
    if (fences) read = torture_resource_read(w->resource, p->lock, fence, &fenced);
    if (read == TORTURE_DONE) note(TORTURE_READ, p->lock, fence, fenced);
    if (read == TORTURE_LATE) note(TORTURE_REFUSED, p->lock, fence, 0);
    bool plain_read = torture_resource_read_plain(w->resource, p->lock, &plain) == TORTURE_DONE;

    bool held = work(w, p, fence);
    if (held && plain_read) torture_resource_write_plain(w->resource, p->lock, fence, plain + 1);
    if (read == TORTURE_DONE && (held || p->late_write)) {
        write_fenced(w, p->lock, fence, fenced + 1);
    }
}

static void let_go(worker *w, const plan *p, uint64_t fence)
{
    note(TORTURE_LETGO, p->lock, fence, p->word_ms);
    int err = w->algorithm->release(p->lock, p->word_ms);
    note(TORTURE_FREED, p->lock, fence, err);
}

/* ---- What is done beside ---------------------------------------------------------------- */

/* Leaves the lease to its token: that releases it a moment later, or nobody does. */
static void part(worker *w, const plan *p, uint64_t fence)
{
    int64_t before = torture_now();
    note_at(before, TORTURE_PARTED, p->lock, fence, w->algorithm->remaining_ms(p->lock));
    if (w->algorithm->part(p->lock) != 0) { /* lost */
        let_go(w, p, fence);
        return;
    }
    if (torture_chance(&w->rng, 50)) return;
    torture_sleep_ns(torture_between(&w->rng, 0, 20) * TORTURE_MS);
    note(TORTURE_LETGO, p->lock, fence, PARTED_WORD_MS);
    note(TORTURE_FREED, p->lock, fence, w->algorithm->release_parted(p->lock, PARTED_WORD_MS));
}

/* Takes a lock from whoever has it. */
static void break_something(worker *w)
{
    int lock = (int)torture_between(&w->rng, 0, w->board->locks - 1);
    uint64_t fence = w->algorithm->see(lock);
    if (!fence) return;
    note(TORTURE_BREAK, lock, fence, 0);
    note(TORTURE_BROKE, lock, fence, w->algorithm->break_it(lock, fence));
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
    if (pid < 0 || waitpid(pid, &status, 0) != pid) return; /* a limit of ours */
    note(TORTURE_CHILD, lock, fence, status);
}

/* With the lock in its hands. */
static void do_beside(worker *w, int lock, uint64_t fence)
{
    if (!w->algorithm->child) return;
    if (torture_chance(&w->rng, 3)) fork_child(w, lock, fence);
    if (torture_chance(&w->rng, 5)) note(TORTURE_RIVAL, lock, fence, w->algorithm->rival(lock));
}

/* Not yet the calm, in which the last detached lease runs out. */
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
    note(TORTURE_ASK, p->lock, 0, p->wait_ms);
    int err = w->algorithm->acquire(p->lock, p->wait_ms, p->give_up_ms);
    int64_t at = torture_now();
    if (err) {
        note_at(at, TORTURE_NOT, p->lock, 0, err);
        torture_sleep_ns(torture_between(&w->rng, 1, 30) * TORTURE_MS);
        return;
    }
    uint64_t fence = w->algorithm->fence(p->lock);
    note_at(at, TORTURE_GOT, p->lock, fence, w->algorithm->remaining_ms(p->lock));
    if (calm) atomic_store(&w->board->had[w->slot][p->lock], true);
    if (!calm) do_beside(w, p->lock, fence);
    use(w, p, fence);
    if (is_hurt(w) && may_part(w, p->lock) && torture_chance(&w->rng, 20))
        part(w, p, fence);
    else
        let_go(w, p, fence);
}

/* ---- A life -------------------------------------------------------------------------------- */

/* Goes, sometimes with a lock in its hands, and comes back as a new client. */
static void open_again(worker *w, bool with_lock)
{
    int lock = (int)torture_between(&w->rng, 0, w->board->locks - 1);
    uint64_t fence = 0;
    note(TORTURE_ASK, lock, 0, 0);
    int err = w->algorithm->acquire(lock, 0, -1);
    int64_t at = torture_now();
    if (err) {
        note_at(at, TORTURE_NOT, lock, 0, err);
    } else {
        fence = w->algorithm->fence(lock);
        note_at(at, TORTURE_GOT, lock, fence, w->algorithm->remaining_ms(lock));
        note(TORTURE_LETGO, lock, fence, -1);
        if (!with_lock) err = w->algorithm->release(lock, -1);
    }
    w->algorithm->close();
    if (fence) note(TORTURE_FREED, lock, fence, with_lock ? TORTURE_NO_WORD : err);
    w->algorithm->open(w->board, &w->rng, on_told);
}

static void live(worker *w)
{
    int phase;
    while ((phase = atomic_load(&w->board->phase)) != TORTURE_LEAVE) {
        plan p = phase == TORTURE_CALM ? calm_plan(w) : draw_plan(w);
        play(w, &p, phase == TORTURE_CALM);
        if (phase == TORTURE_HURT && torture_chance(&w->rng, 1)) {
            open_again(w, torture_chance(&w->rng, 50));
        }
        if (is_hurt(w) && w->algorithm->see && torture_chance(&w->rng, 1)) {
            break_something(w);
        }
        torture_sleep_ns(torture_between(&w->rng, 0, 8) * TORTURE_MS);
    }
}

/* What root alone may open is open by now. */
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
    worker w = {.slot = (int)strtol(slot, NULL, 10), .board = torture_board_map(board_path, false)};
    if (!w.board) return TORTURE_SYSTEM;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    snprintf(who, sizeof who, "%s.%s", slot, life);
    w.rng = torture_rng_make(w.board->seed,
                             (unsigned)w.slot * 1000000 + (unsigned)strtol(life, NULL, 10));
    w.algorithm = w.board->tutorial ? &torture_tutorial : &torture_pawl;
    open_history(w.board->history, who);
    w.resource = torture_resource_open(w.board->resource, who);
    if (!w.resource) return TORTURE_SYSTEM;
    if (w.board->two_users && w.slot % 2 && !become_other_user(&w)) return TORTURE_SYSTEM;
    w.algorithm->open(w.board, &w.rng, on_told);
    note(TORTURE_UP, 0, 0, getpid());
    atomic_store(&w.board->up[w.slot], true);
    live(&w);
    w.algorithm->close();
    torture_resource_close(w.resource);
    note(TORTURE_DOWN, 0, 0, 0);
    return 0;
}
