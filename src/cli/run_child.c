/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "exit_codes.h"
#include "job_control.h"
#include "message.h"

/* ---- Birth -------------------------------------------------------------------- */

int run_child_prepare(run_child *ret_child, const guardian_adopted *adopted)
{
    *ret_child = (run_child){.tty = -1};
    return guardian_prepare(&ret_child->guardian, adopted);
}

void run_child_set_times(run_child *child, int64_t deadline_ms, int64_t start_by_ms,
                         int64_t kill_at_ms)
{
    guardian_board *board = child->guardian.board;
    if (!board) return;
    atomic_store(&board->deadline_ms, deadline_ms);
    atomic_store(&board->start_by_ms, start_by_ms);
    atomic_store(&board->kill_at_ms, kill_at_ms);
}

/* In the guardian's process. */
static void guardian_says(void *userdata, const char *event, int64_t remaining_ms,
                          const char *reason)
{
    run_report_event_bare(userdata, event, remaining_ms, reason);
}

/* An adopted command keeps its group and its terminal. */
static void choose_group(run_child *child, const run_child_opts *opts)
{
    if (opts->adopted) return;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    child->own_group = tty < 0 || opts->foreground;
    child->tty = child->own_group ? tty : -1;
    if (!child->own_group) close(tty);
}

int run_child_start(run_child *child, const run_child_opts *opts, const cli_signals *signals)
{
    child->opts = *opts;
    choose_group(child, opts);
    guardian_opts for_guardian = {
        .adopted = opts->adopted,
        .argv = opts->argv,
        .envp = opts->envp,
        .shown_key = opts->shown_key,
        .own_group = child->own_group,
        .tty = child->tty,
        .whole_tree = opts->whole_tree,
        .grace_ms = opts->grace_ms,
        .events_fd = opts->events_fd,
        .events_as_fd = opts->events_as_fd,
        .said_to_fd = opts->report->json_fd,
        .say = guardian_says,
        .say_userdata = opts->report,
    };
    run_report_prepare_bare(opts->report);
    int code = guardian_start(&child->guardian, &for_guardian, signals);
    child->family = (descendants){
        .keepers = {getpid(), child->guardian.pid},
        .daemons_too = opts->whole_tree,
    };
    if (opts->adopted) (void)descendants_adopt(&child->family, opts->adopted->pid);
    return code;
}

pid_t run_child_pid(const run_child *child)
{
    return child->guardian.board ? atomic_load(&child->guardian.board->command) : 0;
}

bool run_child_is_alive(const run_child *child)
{
    return child->state == RUN_CHILD_STARTING || child->state == RUN_CHILD_RUNNING;
}

bool run_child_was_too_late(const run_child *child)
{
    return child->state == RUN_CHILD_FAILED &&
           atomic_load(&child->guardian.board->why) == GUARDIAN_TOO_LATE;
}

int run_child_say_failure(const run_child *child)
{
    int why = atomic_load(&child->guardian.board->why);
    const char *command = child->opts.argv[0];
    char *safe = cli_escape(command, strlen(command));
    cli_error("cannot run %s: %s", safe, strerror(why));
    free(safe);
    return why == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}

/* ---- Terminal ------------------------------------------------------------------- */

bool run_child_shares_terminal(const run_child *child)
{
    return !child->own_group;
}

void run_child_take_terminal(const run_child *child)
{
    if (child->tty >= 0) cli_tty_take(child->tty, run_child_pid(child), getpgrp());
}

bool run_child_give_terminal(const run_child *child)
{
    if (child->tty < 0 || !cli_tty_is_of(child->tty, getpgrp())) return false;
    cli_tty_give(child->tty, run_child_pid(child));
    return true;
}

/* ---- News ---------------------------------------------------------------------------- */

static void note_end(run_child *child, int wait_status)
{
    child->state = RUN_CHILD_ENDED;
    child->wait_status = wait_status;
}

static void read_board(run_child *child)
{
    const guardian_board *board = child->guardian.board;
    if (!run_child_is_alive(child)) return;
    guardian_phase phase = (guardian_phase)atomic_load(&board->phase);
    if (phase == GUARDIAN_RUNNING) child->state = RUN_CHILD_RUNNING;
    if (phase == GUARDIAN_FAILED) child->state = RUN_CHILD_FAILED;
    if (phase == GUARDIAN_ENDED) note_end(child, atomic_load(&board->wait_status));
}

/*
 * The guardian was killed: the command is our own child now. If the guardian had collected it
 * without having told us, how it ended is unknown.
 */
static void lose_guardian(run_child *child)
{
    child->guardian.pid = child->family.keepers[1] = 0;
    read_board(child);
    if (!run_child_is_alive(child)) return;
    cli_warn("%s: the guardian of the command was killed", child->opts.shown_key);
    child->state = RUN_CHILD_RUNNING;
    if (child->opts.adopted) return; /* its end is seen as before */
    siginfo_t info;
    pid_t pid = run_child_pid(child);
    bool ours = pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
    if (!ours) note_end(child, CLI_EXIT_INTERNAL << 8);
}

/* If the guardian is gone, other children come to us, too. */
static void reap(run_child *child)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid < 0 && errno == EINTR) continue;
        if (pid <= 0) return;
        if (pid == child->guardian.pid) {
            lose_guardian(child);
        } else if (pid == run_child_pid(child) && run_child_is_alive(child)) {
            note_end(child, status);
        }
    }
}

/* The guardian may have been killed, so we look ourselves, too. */
static void look_at_adopted(run_child *child)
{
    const guardian_adopted *adopted = child->opts.adopted;
    if (adopted && child->state == RUN_CHILD_RUNNING && guardian_adopted_ended(adopted))
        note_end(child, 0);
}

static void relay(const run_child *child, int number)
{
    pid_t pid = run_child_pid(child);
    if (!run_child_is_alive(child)) return;
    if (atomic_load(&child->guardian.board->phase) == GUARDIAN_ENDED) return;
    if (child->opts.adopted)
        (void)pidfd_send_signal(child->opts.adopted->pidfd, number, NULL, 0);
    else
        kill(child->own_group ? -pid : pid, number);
}

static void relay_kept(run_child *child)
{
    if (!child->kept_signals || run_child_pid(child) <= 0) return;
    for (int number = 1; number < 64; number++) {
        if (child->kept_signals & UINT64_C(1) << number) relay(child, number);
    }
    child->kept_signals = 0;
}

void run_child_look(run_child *child)
{
    uint64_t news;
    while (read(child->guardian.news_fd, &news, sizeof news) == (ssize_t)sizeof news) {
    }
    read_board(child);
    reap(child);
    look_at_adopted(child);
    relay_kept(child);
}

bool run_child_was_stopped(run_child *child)
{
    unsigned stops = atomic_load(&child->guardian.board->stops);
    bool stopped = stops != child->stops_seen;
    child->stops_seen = stops;
    return stopped;
}

/* ---- Signals ----------------------------------------------------------------------- */

/* The group's number is ours to use only as long as its leader has not been collected. */
static bool leads_group(const run_child *child)
{
    if (!child->own_group || !run_child_is_alive(child) || run_child_pid(child) <= 0) return false;
    return atomic_load(&child->guardian.board->phase) != GUARDIAN_ENDED;
}

void run_child_relay(run_child *child, int number)
{
    if (run_child_pid(child) > 0) {
        relay(child, number);
    } else if (number < 64) {
        child->kept_signals |= UINT64_C(1) << number;
    }
}

void run_child_note_daemons(run_child *child)
{
    child->family.command = run_child_pid(child);
    atomic_store(&child->guardian.board->stopping, true);
    descendants_note_daemons(&child->family);
}

void run_child_forget_daemons(run_child *child)
{
    child->family.noted = false;
    atomic_store(&child->guardian.board->stopping, false);
}

static descendants_count signal_all(run_child *child, int number)
{
    descendants_spared spared = {0};
    descendants_count count = {0};
    pid_t pid = run_child_pid(child);
    child->family.command = pid;
    if (!child->family.noted) descendants_note_daemons(&child->family);
    /* One call signals the whole group, so that no process is missed between two calls. */
    if (number != 0 && leads_group(child) && kill(-pid, number) == 0) spared.group = pid;
    bool seen = descendants_signal(&child->family, number, spared, &count);
    bool unseen = !seen && run_child_is_alive(child) && pid > 0;
    if (unseen && child->opts.adopted)
        count.reached = pidfd_send_signal(child->opts.adopted->pidfd, number, NULL, 0) == 0;
    else if (unseen)
        count.reached = kill(pid, number) == 0;
    return count;
}

void run_child_signal_all(run_child *child, int number)
{
    (void)signal_all(child, number);
}

static void say_survivors(const run_child *child, const descendants_count *left)
{
    if (left->denied) {
        cli_error("%s: may not stop process %d, which the command has started: it lives on",
                  child->opts.shown_key, (int)left->denied_pid);
    } else {
        cli_error("%s: some of the command's processes do not die of SIGKILL",
                  child->opts.shown_key);
    }
}

/*
 * A process may have forked just before it was killed: the next round finds its children. There is
 * a last round, because even SIGKILL cannot end some processes (a dead network disk).
 */
void run_child_kill_all(run_child *child)
{
    descendants_count left = {0};
    for (int round = 0; round < 50; round++) {
        (void)signal_all(child, SIGKILL);
        left = signal_all(child, 0);
        if (left.reached == 0) break;
        struct timespec moment = {.tv_nsec = 1000000};
        nanosleep(&moment, NULL);
    }
    run_child_look(child);
    if (left.reached + left.denied > 0) say_survivors(child, &left);
}

/* ---- End ----------------------------------------------------------------------------- */

bool run_child_is_gone(run_child *child)
{
    if (run_child_is_alive(child)) return false;
    if (child->guardian.pid && atomic_load(&child->guardian.board->childless)) return true;
    descendants_count left = signal_all(child, 0);
    return left.reached + left.denied == 0;
}

void run_child_done(run_child *child)
{
    guardian_end(&child->guardian);
    if (child->tty >= 0) close(child->tty);
    child->tty = -1;
}

int run_child_exit_code(const run_child *child)
{
    if (WIFSIGNALED(child->wait_status)) return CLI_EXIT_SIGNAL_BASE + WTERMSIG(child->wait_status);
    return WEXITSTATUS(child->wait_status);
}
