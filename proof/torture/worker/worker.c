/* SPDX-License-Identifier: MIT */
/* Wants locks, works under them, lets go; and writes down each word that it was told. */
#include "worker.h"

#include "../history.h"
#include "algorithm.h"
#include "resource.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

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
    use(w, p, fence);
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
        torture_sleep_ns(torture_between(&w->rng, 0, 8) * TORTURE_MS);
    }
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
    w.algorithm->open(w.board, &w.rng, on_told);
    note(TORTURE_UP, 0, 0, getpid());
    atomic_store(&w.board->up[w.slot], true);
    live(&w);
    w.algorithm->close();
    torture_resource_close(w.resource);
    note(TORTURE_DOWN, 0, 0, 0);
    return 0;
}
