/* SPDX-License-Identifier: MIT */
/* One setup from the first process to the last: the faults, the calm, the end. */
#include "../canary.h"
#include "../faults/faults.h"
#include "../worker/resource.h"
#include "deck.h"
#include "program.h"
#include "rig.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define TICK_NS         (3 * TORTURE_MS)
#define TICK_MOST_NS    (50 * TORTURE_MS) /* of our patience: what is longer stood still */
#define MEMBER_LIVES_MS 300               /* one that ends by itself is not started more often */
#define OVERTIME_MS     30000             /* how long we wait for a fault that has not come yet */
#define ELECTIONS       15    /* that a fault of a cluster may have to wait for as well */
#define UP_MS           30000 /* until all workers have opened their clients */
#define LEAVE_MS        10000 /* until the last worker has closed its client */
#define WARM_MS         1000  /* before the first fault; a tenth of the run if that is longer */
#define CALL_SLACK_MS   2000  /* of a call, beyond its own limit, while anything is hurt */
#define AFTERMATH_MS                                                                               \
    2500 /* the longest pause between two tries to connect, and some time to do it */
#define CALM_SLACK_MS 400 /* the same without faults, on two busy cores */

/* ---- What ends, and what is started again ---------------------------------------------------- */

static void reap(torture_rig *rig)
{
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (torture_worker_ended(rig, pid, status)) continue;
        for (int i = 0; i < TORTURE_SERVERS_MAX; i++) {
            if (rig->servers[i].pid == pid) rig->servers[i].pid = 0;
        }
        if (torture_proxy_ended(rig, pid)) rig->broken = true;
    }
}

/* Nobody waits for it: it may need others that are down as well. */
static void tend_members(torture_rig *rig)
{
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) {
        torture_server *server = &rig->servers[i];
        if (server->pid || server->stays_down) continue;
        if (torture_now() - server->begun_at < MEMBER_LIVES_MS * TORTURE_MS) continue;
        torture_server_launch(rig, server);
    }
}

/* We stopped it, or it ended because its disk was full: it is started as soon as it may. */
static void tend_server(torture_rig *rig, const torture_deck *deck)
{
    if (rig->setup->has & TORTURE_CLUSTER) tend_members(rig);
    if (!(rig->setup->has & TORTURE_SERVER) || torture_primary(rig)->pid) return;
    if (torture_primary(rig)->stays_down || torture_deck_has_active(deck, &torture_fault_promote) ||
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

/* Of our patience nothing goes by while the machine stands still. */
static int64_t spent_since(int64_t before)
{
    int64_t span = torture_now() - before;
    return span < TICK_MOST_NS ? span : TICK_MOST_NS;
}

/* ---- Phases -------------------------------------------------------------------------------- */

static int64_t ttl_max_ms(const torture_rig *rig)
{
    return 2 * rig->options->ttl_ms;
}

static bool all_are_up(const torture_rig *rig)
{
    for (int slot = 0; slot < rig->options->workers; slot++)
        if (!atomic_load(&rig->board->up[slot])) return false;
    return true;
}

/* The first of them make the tables of a database, and the others wait for it. */
static void wait_for_workers(torture_rig *rig, torture_deck *deck)
{
    int64_t until = torture_now() + UP_MS * TORTURE_MS;
    while (may_go_on(rig) && !all_are_up(rig) && torture_now() < until) tick(rig, deck);
}

/* How fast it is without faults: the judge compares with this. A server that has just begun has
 * its guard first. */
static void warm_up(torture_rig *rig, torture_deck *deck)
{
    int64_t tenth_ms = rig->options->seconds * 100;
    int64_t guard_ms =
        rig->setup->program && rig->setup->guard ? ttl_max_ms(rig) + rig->setup->linger_ms : 0;
    wait_for_workers(rig, deck);
    int64_t until =
        torture_now() + (guard_ms + (tenth_ms > WARM_MS ? tenth_ms : WARM_MS)) * TORTURE_MS;
    while (may_go_on(rig) && torture_now() < until) tick(rig, deck);
    torture_note_phase(rig, "hurt");
}

static void hurt(torture_rig *rig, torture_deck *deck)
{
    int64_t begin = torture_now(), span = rig->options->seconds * 1000 * TORTURE_MS;
    int64_t until = begin + span,
            latest = until + (OVERTIME_MS + ELECTIONS * rig->setup->elects_ms) * TORTURE_MS;
    while (may_go_on(rig)) {
        int64_t now = torture_now();
        if (now >= latest || (now >= until && torture_deck_all_fired(deck))) break;
        torture_deck_deal(rig, deck);
        tick(rig, deck);
    }
    torture_deck_end_due(rig, deck, true);
    tend_server(rig, deck);
    if ((rig->setup->has & TORTURE_CLUSTER) && may_go_on(rig)) torture_cluster_await(rig);
}

/* Without a queue nobody is promised a turn: then it is enough that each lock was had. */
static int wanted_each(const torture_rig *rig)
{
    return rig->setup->has_no_queue ? 1 : (int)rig->options->workers;
}

/* What is still wanted: how many slots, over all locks. */
static int still_wanted(const torture_rig *rig)
{
    int sum = 0;
    for (int lock = 0; lock < rig->board->locks; lock++) {
        int wanted = wanted_each(rig);
        for (int slot = 0; slot < rig->options->workers; slot++)
            wanted -= atomic_load(&rig->board->had[slot][lock]) != 0;
        if (wanted > 0) sum += wanted;
    }
    return sum;
}

/* Until the leases of the dead have run out. */
static int64_t leases_ms(const torture_rig *rig)
{
    return ttl_max_ms(rig) + rig->setup->linger_ms;
}

/* Long enough for that, and for a client to connect again. */
static int64_t recover_ms(const torture_rig *rig)
{
    return 2 * leases_ms(rig) + rig->setup->elects_ms + 4000;
}

static void calm_down(torture_rig *rig, torture_deck *deck)
{
    torture_note_phase(rig, "calm");
    int64_t least = torture_now() + leases_ms(rig) * TORTURE_MS,
            patience = recover_ms(rig) * TORTURE_MS;
    atomic_store(&rig->board->phase, TORTURE_CALM);
    int wanted = still_wanted(rig);
    while (may_go_on(rig) && patience > 0) {
        int64_t before = torture_now();
        int now_wanted = still_wanted(rig);
        if (before > least && !now_wanted) break;
        if (now_wanted < wanted) patience = recover_ms(rig) * TORTURE_MS;
        wanted = now_wanted;
        tick(rig, deck);
        patience -= spent_since(before);
    }
}

static void leave(torture_rig *rig)
{
    int64_t patience = LEAVE_MS * TORTURE_MS, stood_ns = torture_stood_ns();
    atomic_store(&rig->board->phase, TORTURE_LEAVE);
    while (may_go_on(rig) && torture_workers_running(rig) && patience > 0) {
        int64_t before = torture_now();
        torture_sleep_ns(TICK_NS);
        reap(rig);
        patience -= spent_since(before);
    }
    /* A close whose time went by while nothing ran has given nothing back: that runs out. */
    if (torture_stood_ns() > stood_ns) torture_sleep_ns(leases_ms(rig) * TORTURE_MS);
}

/* ---- A campaign ---------------------------------------------------------------------------- */

static void note_kinds(torture_rig *rig)
{
    torture_note_fact(rig, "locks", "%d", rig->board->locks);
    torture_note_fact(rig, "capacity", "%d", TORTURE_CAPACITY);
    for (int lock = 0; lock < rig->board->locks; lock++) {
        torture_kind kind = rig->board->kinds[lock];
        if (kind == TORTURE_MODES) torture_note_fact(rig, "modes_lock", "%d", lock);
        if (kind == TORTURE_PERMITS) torture_note_fact(rig, "permits_lock", "%d", lock);
    }
}

static void note_facts(torture_rig *rig)
{
    const torture_options *o = rig->options;
    torture_note_fact(rig, "setup", "%s", rig->setup->name);
    torture_note_fact(rig, "algorithm", "%s", o->tutorial ? "tutorial" : "pawl");
    torture_note_fact(rig, "no_fences", "%d", o->tutorial);
    torture_note_fact(rig, "no_queue", "%d", rig->setup->has_no_queue);
    torture_note_fact(rig, "seed", "%" PRId64, o->seed);
    torture_note_fact(rig, "workers", "%" PRId64, o->workers);
    note_kinds(rig);
    torture_note_fact(rig, "ttl_max_ms", "%" PRId64, ttl_max_ms(rig));
    torture_note_fact(rig, "grants_min", "%" PRId64, o->grants_min);
    torture_note_fact(rig, "recover_ms", "%" PRId64, recover_ms(rig));
    torture_note_fact(rig, "call_slack_ms", "%d", CALL_SLACK_MS);
    torture_note_fact(rig, "calm_slack_ms", "%d", CALM_SLACK_MS);
    torture_note_fact(rig, "aftermath_ms", "%" PRId64, AFTERMATH_MS + rig->setup->elects_ms);
    torture_note_fact(rig, "begun_at", "%" PRId64, torture_now());
}

/* The tutorial's lock knows one way to hold a name. */
static bool is_listed(const torture_options *o, torture_kind kind)
{
    if (o->tutorial) return kind == TORTURE_EXCLUSIVE;
    return !o->kinds || torture_list_has(o->kinds, torture_kind_words[kind]);
}

/* What is built on locks stands beside names that are held: those of the first kind, if no other.
 */
static void list_names(const torture_options *o, unsigned kinds, torture_board *board)
{
    board->composed = is_listed(o, TORTURE_COMPOSED) && (!kinds || kinds & 1u << TORTURE_COMPOSED);
    bool nothing_else = o->kinds && !strcmp(o->kinds, torture_kind_words[TORTURE_COMPOSED]);
    for (int kind = 0; kind < TORTURE_COMPOSED; kind++) {
        if (kinds && !(kinds & 1u << kind)) continue;
        if (!is_listed(o, (torture_kind)kind) && !(nothing_else && kind == TORTURE_EXCLUSIVE))
            continue;
        for (int i = 0; i < (kind == TORTURE_EXCLUSIVE ? o->locks : 1); i++)
            board->kinds[board->locks++] = (torture_kind)kind;
    }
}

static bool open_board(torture_rig *rig)
{
    torture_board *board = torture_board_map(rig->board_path, true);
    rig->board = board;
    if (!board) return false;
    board->tutorial = rig->options->tutorial;
    board->modes_stay = rig->setup->modes_stay;
    board->two_users = rig->setup->has & TORTURE_USERS;
    list_names(rig->options, rig->setup->kinds, board);
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
        if (rig->setup->program) {
            rig->setup->program->url(rig, rig->url, sizeof rig->url);
            return setenv("PAWL_STORE", rig->url, 1) == 0;
        }
        const char *guard = rig->setup->guard ? rig->setup->guard : "off";
        snprintf(rig->url, sizeof rig->url, "redis://:%s@127.0.0.1:%d?guard=%s&guard_ms=%" PRId64,
                 rig->password, rig->proxies[0].port, guard, ttl_max_ms(rig));
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
