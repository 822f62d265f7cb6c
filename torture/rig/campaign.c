/* SPDX-License-Identifier: MIT */
/* One setup from the first process to the last: the faults, the calm, the end. */
#include "../faults/faults.h"
#include "../worker/resource.h"
#include "rig.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_NS       (3 * TORTURE_MS)
#define QUIET_MS      200 /* before the first fault */
#define DEAL_MIN_MS   20  /* between two faults; the most is drawn for each round */
#define GAP_MIN_MS    40
#define GAP_DOUBLINGS 6
#define OVERTIME      4 /* a fault that never came is waited for, but not for ever */
#define OVERTIME_MS   10000
#define LEAVE_MS      10000 /* until the last worker has closed its client */
#define CALL_SLACK_MS 2000  /* of a call, beyond its own limit: two cores, all of them busy */

/* A deck: every fault is dealt once before any is dealt again. */
typedef struct deck {
    const torture_fault *faults[TORTURE_FAULT_COUNT];
    torture_active active[TORTURE_FAULT_COUNT];
    bool fired[TORTURE_FAULT_COUNT];
    size_t count, next;
    int64_t deal_at, gap_max_ms;
} deck;

/* ---- The deck ----------------------------------------------------------------------------- */

static void shuffle(torture_rig *rig, deck *d)
{
    for (size_t i = d->count; i-- > 1;) { /* Fisher and Yates; what is under way goes along */
        size_t k = (size_t)torture_between(&rig->rng, 0, (int64_t)i);
        const torture_fault *fault = d->faults[i];
        torture_active active = d->active[i];
        bool fired = d->fired[i];
        d->faults[i] = d->faults[k], d->active[i] = d->active[k], d->fired[i] = d->fired[k];
        d->faults[k] = fault, d->active[k] = active, d->fired[k] = fired;
    }
    d->next = 0;
    /* Storms, and times in which one fault has ended before the next; a short run has no time. */
    int64_t most = d->count ? rig->options->seconds * 1000 / (int64_t)d->count : 0;
    d->gap_max_ms = GAP_MIN_MS << torture_between(&rig->rng, 0, GAP_DOUBLINGS);
    if (d->gap_max_ms > most) d->gap_max_ms = most > GAP_MIN_MS ? most : GAP_MIN_MS;
}

static void fill_deck(torture_rig *rig, deck *d)
{
    for (int i = 0; i < TORTURE_FAULT_COUNT; i++) {
        const torture_fault *fault = torture_faults[i];
        bool chosen = !rig->options->faults || torture_list_has(rig->options->faults, fault->name);
        if (!chosen || (fault->needs & ~rig->setup->has)) continue;
        if (fault->small_disk && !rig->small_disk) {
            torture_note_fact(rig, "skipped", "%s: no small disk can be mounted here", fault->name);
            if (!rig->options->faults) continue;
        } else {
            d->faults[d->count++] = fault;
        }
        torture_note_fact(rig, "fault", "%s", fault->name);
    }
}

static void deal(torture_rig *rig, deck *d)
{
    int64_t now = torture_now();
    if (now < d->deal_at || !d->count) return;
    if (d->next >= d->count) shuffle(rig, d);
    size_t i = d->next++;
    const torture_fault *fault = d->faults[i];
    torture_active *active = &d->active[i];
    d->deal_at = now + 5 * TORTURE_MS;
    if (active->is || !fault->begin(rig, active)) return;
    active->is = fault->end != NULL;
    d->fired[i] = true;
    d->deal_at = now + torture_between(&rig->rng, DEAL_MIN_MS, d->gap_max_ms) * TORTURE_MS;
}

static void end_due(torture_rig *rig, deck *d, bool all)
{
    for (size_t i = 0; i < d->count; i++) {
        torture_active *active = &d->active[i];
        if (!active->is || (!all && torture_now() < active->until)) continue;
        active->is = false;
        d->faults[i]->end(rig, active);
    }
}

static bool all_fired(const deck *d)
{
    for (size_t i = 0; i < d->count; i++) {
        if (!d->fired[i]) return false;
    }
    return true;
}

static bool is_active(const deck *d, const torture_fault *fault)
{
    for (size_t i = 0; i < d->count; i++) {
        if (d->faults[i] == fault && d->active[i].is) return true;
    }
    return false;
}

/* ---- What ends, and what is started again ---------------------------------------------------- */

static void reap(torture_rig *rig)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (torture_worker_ended(rig, pid, status)) continue;
        for (int i = 0; i < 2; i++) {
            if (rig->servers[i].pid == pid) rig->servers[i].pid = 0;
        }
        if (rig->proxy != pid) continue;
        rig->proxy = 0;
        rig->broken = true;
    }
}

/* Restarted by us, or ended by itself because its disk was full: up again once it may. */
static void tend_server(torture_rig *rig, const deck *d)
{
    if (!(rig->setup->has & TORTURE_REDIS) || torture_primary(rig)->pid) return;
    if (is_active(d, &torture_fault_restart_server) || is_active(d, &torture_fault_promote) ||
        is_active(d, &torture_fault_disk_full)) {
        return;
    }
    torture_server_start(rig, torture_primary(rig));
}

static bool may_go_on(const torture_rig *rig)
{
    return !rig->broken && !torture_interrupted;
}

static void tick(torture_rig *rig, deck *d)
{
    torture_sleep_ns(TICK_NS);
    reap(rig);
    end_due(rig, d, false);
    tend_server(rig, d);
    torture_workers_start_due(rig);
}

/* ---- Phases -------------------------------------------------------------------------------- */

static void hurt(torture_rig *rig, deck *d)
{
    int64_t begin = torture_now(), span = rig->options->seconds * 1000 * TORTURE_MS;
    int64_t until = begin + span, latest = until + (OVERTIME - 1) * span + OVERTIME_MS * TORTURE_MS;
    d->deal_at = begin + QUIET_MS * TORTURE_MS;
    while (may_go_on(rig)) {
        int64_t now = torture_now();
        if (now >= latest || (now >= until && all_fired(d))) break;
        deal(rig, d);
        tick(rig, d);
    }
    end_due(rig, d, true);
    tend_server(rig, d);
}

static bool all_had(const torture_rig *rig)
{
    for (int slot = 0; slot < rig->options->workers; slot++) {
        for (int lock = 0; lock < rig->options->locks; lock++) {
            if (!atomic_load(&rig->board->had[slot][lock])) return false;
        }
    }
    return true;
}

static int64_t ttl_max_ms(const torture_rig *rig)
{
    return 2 * rig->options->ttl_ms;
}

/* Long enough for the leases of the dead to run out, and for a client to connect again. */
static int64_t recover_ms(const torture_rig *rig)
{
    return 2 * ttl_max_ms(rig) + 4000;
}

static void calm_down(torture_rig *rig, deck *d)
{
    torture_note_calm(rig);
    int64_t begin = torture_now(), least = begin + ttl_max_ms(rig) * TORTURE_MS;
    int64_t most = begin + recover_ms(rig) * TORTURE_MS;
    atomic_store(&rig->board->phase, TORTURE_CALM);
    while (may_go_on(rig) && torture_now() < most) {
        if (torture_now() > least && all_had(rig)) break;
        tick(rig, d);
    }
}

static void leave(torture_rig *rig)
{
    int64_t patience = torture_now() + LEAVE_MS * TORTURE_MS;
    atomic_store(&rig->board->phase, TORTURE_LEAVE);
    while (may_go_on(rig) && torture_workers_running(rig) && torture_now() < patience) {
        torture_sleep_ns(TICK_NS);
        reap(rig);
    }
}

/* ---- A campaign ---------------------------------------------------------------------------- */

static void note_facts(torture_rig *rig)
{
    const torture_options *o = rig->options;
    torture_note_fact(rig, "setup", "%s", rig->setup->name);
    torture_note_fact(rig, "algorithm", "%s", o->tutorial ? "tutorial" : "pawl");
    torture_note_fact(rig, "no_fences", "%d", o->tutorial);
    torture_note_fact(rig, "seed", "%" PRId64, o->seed);
    torture_note_fact(rig, "workers", "%" PRId64, o->workers);
    torture_note_fact(rig, "locks", "%" PRId64, o->locks);
    torture_note_fact(rig, "ttl_max_ms", "%" PRId64, ttl_max_ms(rig));
    torture_note_fact(rig, "grants_min", "%" PRId64, o->grants_min);
    torture_note_fact(rig, "recover_ms", "%" PRId64, recover_ms(rig));
    torture_note_fact(rig, "call_slack_ms", "%d", CALL_SLACK_MS);
    torture_note_fact(rig, "begun_at", "%" PRId64, torture_now());
}

static bool open_board(torture_rig *rig)
{
    torture_board *board = torture_board_map(rig->board_path, true);
    rig->board = board;
    if (!board) return false;
    board->tutorial = rig->options->tutorial;
    board->locks = (int)rig->options->locks;
    board->ttl_ms = rig->options->ttl_ms;
    board->seed = (uint64_t)rig->options->seed;
    snprintf(board->history, sizeof board->history, "%s", rig->history);
    torture_path(board->resource, rig->dir, "resource.db");
    return torture_resource_create(board->resource, board->locks);
}

static bool open_store(torture_rig *rig)
{
    if (rig->setup->has & TORTURE_SQLITE) {
        snprintf(rig->url, sizeof rig->url, "sqlite:%.*s/pawl.db", TORTURE_PATH_MAX, rig->disk);
    } else {
        if (!torture_servers_open(rig) || !torture_proxy_open(rig)) return false;
        snprintf(rig->url, sizeof rig->url, "redis://:%s@127.0.0.1:%d", rig->password,
                 rig->proxy_port);
    }
    return setenv("PAWL_STORE", rig->url, 1) == 0; /* in the environment: others read arguments */
}

static void close_all(torture_rig *rig)
{
    torture_workers_close(rig);
    torture_proxy_close(rig);
    torture_servers_close(rig);
}

int torture_campaign(torture_rig *rig)
{
    deck d = {0};
    rig->proxy_fd = -1;
    bool fine = torture_notes_open(rig) && open_board(rig) && open_store(rig);
    if (fine) {
        note_facts(rig);
        fill_deck(rig, &d);
        torture_workers_open(rig);
        shuffle(rig, &d);
        hurt(rig, &d);
        if (may_go_on(rig)) calm_down(rig, &d);
        if (may_go_on(rig)) leave(rig);
        if (may_go_on(rig)) torture_look_for_leftovers(rig);
        torture_note_fact(rig, "ended_at", "%" PRId64, torture_now());
    }
    close_all(rig);
    char path[TORTURE_FILE_MAX];
    if (fine && may_go_on(rig)) {
        fine = torture_resource_dump(rig->board->resource,
                                     torture_path(path, rig->history, "resource"));
    }
    if (torture_interrupted) return TORTURE_SIGNAL_BASE + torture_interrupted;
    return fine && !rig->broken ? TORTURE_OK : TORTURE_UNAVAILABLE;
}
