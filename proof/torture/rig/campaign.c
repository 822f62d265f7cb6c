/* SPDX-License-Identifier: MIT */
/* One setup from the first process to the last: the faults, the calm, the end. */
#include "../faults/faults.h"
#include "../worker/resource.h"
#include "deck.h"
#include "rig.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_NS       (3 * TORTURE_MS)
#define OVERTIME_MS   30000 /* a fault that never came is waited for, but not for ever */
#define LEAVE_MS      10000 /* until the last worker has closed its client */
#define WARM_MS       1000  /* before the first fault; a tenth of the run if that is longer */
#define CALL_SLACK_MS 2000  /* of a call, beyond its own limit, while anything is hurt */
#define AFTERMATH_MS                                                                               \
    2500 /* the longest pause between two tries to connect, and some time to do it */
#define CALM_SLACK_MS 400 /* the same while nothing is: two cores, all of them busy */

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
static void tend_server(torture_rig *rig, const torture_deck *deck)
{
    if (!(rig->setup->has & TORTURE_REDIS) || torture_primary(rig)->pid) return;
    if (torture_deck_has_active(deck, &torture_fault_restart_server) ||
        torture_deck_has_active(deck, &torture_fault_promote) ||
        torture_deck_has_active(deck, &torture_fault_disk_full)) {
        return;
    }
    torture_server_start(rig, torture_primary(rig));
}

static bool may_go_on(const torture_rig *rig)
{
    return !rig->broken && !torture_interrupted;
}

static void tick(torture_rig *rig, torture_deck *deck)
{
    torture_sleep_ns(TICK_NS);
    reap(rig);
    torture_deck_end_due(rig, deck, false);
    tend_server(rig, deck);
    torture_workers_start_due(rig);
}

/* ---- Phases -------------------------------------------------------------------------------- */

/* How fast it goes while nothing is hurt: the judge compares with this. */
static void warm_up(torture_rig *rig, torture_deck *deck)
{
    int64_t tenth_ms = rig->options->seconds * 100;
    int64_t until = torture_now() + (tenth_ms > WARM_MS ? tenth_ms : WARM_MS) * TORTURE_MS;
    while (may_go_on(rig) && torture_now() < until) tick(rig, deck);
    torture_note_phase(rig, "hurt");
}

static void hurt(torture_rig *rig, torture_deck *deck)
{
    int64_t begin = torture_now(), span = rig->options->seconds * 1000 * TORTURE_MS;
    int64_t until = begin + span, latest = until + OVERTIME_MS * TORTURE_MS;
    while (may_go_on(rig)) {
        int64_t now = torture_now();
        if (now >= latest || (now >= until && torture_deck_all_fired(deck))) break;
        torture_deck_deal(rig, deck);
        tick(rig, deck);
    }
    torture_deck_end_due(rig, deck, true);
    tend_server(rig, deck);
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

static void calm_down(torture_rig *rig, torture_deck *deck)
{
    torture_note_phase(rig, "calm");
    int64_t begin = torture_now(), least = begin + ttl_max_ms(rig) * TORTURE_MS;
    int64_t most = begin + recover_ms(rig) * TORTURE_MS;
    atomic_store(&rig->board->phase, TORTURE_CALM);
    while (may_go_on(rig) && torture_now() < most) {
        if (torture_now() > least && all_had(rig)) break;
        tick(rig, deck);
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
    torture_note_fact(rig, "calm_slack_ms", "%d", CALM_SLACK_MS);
    torture_note_fact(rig, "aftermath_ms", "%d", AFTERMATH_MS);
    torture_note_fact(rig, "begun_at", "%" PRId64, torture_now());
}

static bool open_board(torture_rig *rig)
{
    torture_board *board = torture_board_map(rig->board_path, true);
    rig->board = board;
    if (!board) return false;
    board->tutorial = rig->options->tutorial;
    board->two_users = rig->setup->has & TORTURE_USERS;
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
        bool hostile = rig->setup->has & TORTURE_HOSTILE, users = rig->setup->has & TORTURE_USERS;
        torture_path(rig->hostile_file, rig->dir, "hostile");
        snprintf(rig->url, sizeof rig->url, "%ssqlite:%.*s/pawl.db%s%.*s",
                 hostile ? "hostile+" : "", TORTURE_PATH_MAX / 2, rig->disk,
                 hostile ? "?while="
                 : users ? "?mode=666"
                         : "",
                 TORTURE_PATH_MAX / 4, hostile ? rig->hostile_file : "");
    } else {
        if (!torture_servers_open(rig) || !torture_proxy_open(rig)) return false;
        const char *guard = rig->setup->guard ? rig->setup->guard : "off";
        snprintf(rig->url, sizeof rig->url, "redis://:%s@127.0.0.1:%d?guard=%s&guard_ms=%" PRId64,
                 rig->password, rig->proxy_port, guard, ttl_max_ms(rig));
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
    torture_deck deck = {0};
    rig->proxy_fd = -1;
    bool fine = torture_notes_open(rig) && open_board(rig) && open_store(rig);
    if (fine) {
        note_facts(rig);
        torture_deck_fill(rig, &deck);
        torture_workers_open(rig);
        warm_up(rig, &deck);
        hurt(rig, &deck);
        if (may_go_on(rig)) calm_down(rig, &deck);
        if (may_go_on(rig)) leave(rig);
        if (may_go_on(rig)) torture_note_phase(rig, "over");
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
