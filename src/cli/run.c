/* SPDX-License-Identifier: MIT */
/* The order of things in a run. */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"
#include "fence_file.h"
#include "message.h"
#include "metrics_endpoint.h"
#include "metrics_file.h"
#include "notify.h"
#include "reenter.h"
#include "run_env.h"
#include "run_require.h"

const run_opts run_opts_default = {
    .common = CLI_COMMON_DEFAULTS,
    .wait_ms = PAWL_WAIT_FOREVER,
    .busy_code = CLI_EXIT_BUSY,
    .lost_code = CLI_EXIT_LOST,
    .ttl_ms = PAWL_TTL_DEFAULT_MS,
    .grace_ms = -1,
    .json_fd = -1,
    .say_busy = true,
};

#define FRESH_LOOK_MS 20
#define NOT_OURS      "the store says that it was not ours until the end"

static const int watched_signals[] = {
    SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH, SIGCHLD, 0,
};

void run_shell_argv(const char *command, char *ret_argv[4])
{
    const char *shell = getenv("SHELL");
    ret_argv[0] = (char *)(shell && *shell ? shell : "/bin/sh");
    ret_argv[1] = (char *)"-c";
    ret_argv[2] = (char *)command;
    ret_argv[3] = NULL;
}

/* ---- Inside a run of the same key ------------------------------------------------ */

static bool is_inside(const run *r, const char *key)
{
    if (!run_env_is_held_by_ancestor(key, pawl_client_url(r->session.client))) return false;
    return r->opts->reentrant || cli_is_around(&r->session, r->opts, key);
}

static int inside_itself(run *r, char *const *argv)
{
    if (r->opts->reentrant) return cli_reenter(&r->session, r->opts, argv);
    bool has_option = strcmp(cli_program, "pawl") == 0; /* pawl-flock has flock's options alone */
    cli_error("%s: already held by an ancestor of this process: waiting would never end%s",
              r->session.shown_key, has_option ? "; see --reentrant" : "");
    return (int)r->opts->busy_code;
}

/* ---- While it is held ---------------------------------------------------------------- */

static int start_command(run *r, char *const *argv)
{
    run_env_opts env_opts = {
        .ttl_ms = r->plan->ttl_ms,
        .events_fd = r->report.pipe_number,
        .no_token = r->opts->no_token,
    };
    char **env = run_env_make(&r->session, &env_opts);
    if (!env) {
        cli_error("out of memory");
        return CLI_EXIT_SYSTEM;
    }
    run_child_opts child_opts = {
        .adopted = r->opts->adopted,
        .argv = argv,
        .envp = env,
        .shown_key = r->session.shown_key,
        .foreground = r->opts->foreground,
        .whole_tree = r->opts->hold_descendants,
        .grace_ms = r->opts->on_lost == RUN_LOST_KILL ? 0 : r->plan->grace_ms,
        .events_fd = r->report.pipe_read,
        .events_as_fd = r->report.pipe_number,
        .report = &r->report,
    };
    run_report_tell(&r->report, "held %lld", (long long)run_remaining_ms(r));
    int code = run_child_start(&r->child, &child_opts, &r->session.signals);
    run_env_free(env);
    run_report_close_read(&r->report);
    return code;
}

static void report_reason(run *r, const char *event, const char *reason)
{
    json_t *details = run_report_details(&r->report);
    json_object_set_new(details, "reason", json_string(reason));
    run_report_event(&r->report, event, details);
}

static bool protection_failed(const run *r)
{
    return (r->lost || r->stopped_it) && r->opts->on_lost != RUN_LOST_IGNORE;
}

/*
 * The command starts only if its whole grace is left, and time for an answer or two. Something may
 * have used the lease up since the lock was taken: --fence-file on a slow disk, or a stop of pawl.
 */
static bool is_fresh(run *r)
{
    for (;;) {
        int64_t remaining = run_look_at_clock(r);
        if (remaining > r->plan->start_ms) return true;
        if (remaining <= 0) break;
        int64_t soon = remaining < FRESH_LOOK_MS ? remaining : FRESH_LOOK_MS;
        if (pawl_client_wait(r->session.client, -1, soon) < 0) break; /* this renews */
    }
    r->lost = true;
    return false;
}

static void say_too_late(run *r)
{
    r->stopped_it = true;
    cli_warn("%s: lost before the command was started, which was not: %s", r->session.shown_key,
             run_loss_reason(r));
    report_reason(r, "lost", run_loss_reason(r));
}

static void report_acquired(run *r)
{
    json_t *details = run_report_details(&r->report);
    json_object_set_new(details, "fence",
                        json_integer((json_int_t)pawl_lock_fence(r->session.lock)));
    json_object_set_new(details, "ttl_ms", json_integer(r->plan->ttl_ms));
    json_t *fences = r->session.key_count > 1 && details ? json_array() : NULL;
    for (size_t i = 0; fences && i < r->session.key_count; i++) {
        uint64_t fence = pawl_lock_fence(pawl_lock_part(r->session.lock, i));
        json_array_append_new(fences, json_integer((json_int_t)fence));
    }
    if (fences) json_object_set_new(details, "fences", fences);
    run_report_event(&r->report, "acquired", details);
}

static int end_of_command(run *r)
{
    if (run_child_was_too_late(&r->child)) {
        say_too_late(r);
        return CLI_EXIT_LOST;
    }
    if (r->child.state == RUN_CHILD_FAILED) return run_child_say_failure(&r->child);
    int code = run_child_is_alive(&r->child) ? CLI_EXIT_INTERNAL : run_child_exit_code(&r->child);
    json_t *details = run_report_details(&r->report);
    bool is_known = !r->opts->adopted;
    json_object_set_new(details, "code", is_known ? json_integer(code) : json_null());
    run_report_event(&r->report, "exited", details);
    return code;
}

static int run_command(run *r, char *const *argv)
{
    int code = start_command(r, argv);
    if (code) return code;
    cli_messages_never_block();
    code = run_supervise(r);
    if (code) {
        run_child_kill_all(&r->child); /* it must not run without supervision */
        return code;
    }
    return end_of_command(r);
}

static void write_metrics(const run *r)
{
    const run_opts *opts = r->opts;
    if (opts->metrics_to && cli_endpoint_kind_of(opts->metrics_to) == CLI_ENDPOINT_FILE)
        cli_metrics_write(opts->common.metrics, opts->metrics_to);
}

static void serve_metrics(run *r)
{
    const run_opts *opts = r->opts;
    if (opts->metrics_to && cli_endpoint_kind_of(opts->metrics_to) == CLI_ENDPOINT_ADDRESS)
        cli_session_serve_metrics(&r->session, opts->metrics_to, opts->common.metrics);
}

/* Others must know our value before the command begins to lead. */
static int proclaim(run *r)
{
    const char *value = r->opts->value ? r->opts->value : "";
    int err = pawl_election_proclaim(r->session.lock, value, strlen(value),
                                     pawl_lock_remaining_ms(r->session.lock) / 2);
    if (!err) return 0;
    if (err == PAWL_ERR_LOST) r->lost = true;
    return cli_fail(r->session.client, "lead", r->session.key, err);
}

/* Runs the command under the lock. Returns its exit code or ours. */
static int run_held(run *r, char *const *argv)
{
    int64_t held_since = cli_now_ms();
    report_acquired(r);
    write_metrics(r);
    int code = run_child_prepare(&r->child, r->opts->adopted);
    if (!code && r->opts->fence_file) {
        code = cli_fence_file_write(r->opts->fence_file, pawl_lock_fence(r->session.lock));
    }
    if (!code && !is_fresh(r)) {
        say_too_late(r);
        code = CLI_EXIT_LOST;
    }
    if (!code && r->opts->leads) code = proclaim(r);
    if (!code) code = run_command(r, argv);
    bool ran = r->child.state == RUN_CHILD_ENDED;
    if (r->opts->ret_end) r->opts->ret_end->ended = ran;
    run_child_done(&r->child);
    if (ran && r->opts->at_least_ms && !r->lost) run_linger(r, held_since + r->opts->at_least_ms);
    return code;
}

/* After an unclean end the lease runs out by itself, so that late work of the command is over. */
static bool leaves_lease(const run *r)
{
    return r->plan->delay_ms && (r->lost || r->stopped_it);
}

static bool leave_lease(run *r)
{
    bool left = leaves_lease(r) && pawl_lock_detach(r->session.lock) == PAWL_OK;
    if (left) report_reason(r, "left", "the lock stays taken for --lock-delay");
    return left;
}

/* The command may have ended so late that nobody saw the deadline pass: then the store said
 * nothing. */
static const char *late_loss_reason(const run *r)
{
    bool is_known = r->lost_reason[0] || r->doubt_reason[0] || cli_now_ms() >= r->deadline_ms;
    return is_known ? run_loss_reason(r) : NOT_OURS;
}

/* Releases; the store may know of a loss that we do not know of yet. */
static void let_go(run *r)
{
    if (leave_lease(r)) return;
    int err = cli_session_release(&r->session);
    if (err == PAWL_ERR_LOST && !r->lost) {
        r->lost = true;
        report_reason(r, "lost", late_loss_reason(r));
        cli_warn("%s: lost: %s", r->session.shown_key, late_loss_reason(r));
        return;
    }
    if (err == PAWL_ERR_UNKNOWN) {
        cli_warn("%s: the store has not confirmed the release; if it did not hear of it, "
                 "the lease runs out within its ttl",
                 r->session.shown_key);
    }
    if (!err) run_report_event(&r->report, "released", NULL);
}

static int does_not_count(const run *r, const char *why)
{
    cli_warn("%s: %s: the run does not count, and another one may run in this period",
             r->session.shown_key, why);
    return (int)r->opts->lost_code;
}

/*
 * Publishes how the run went before the lock is released. If we stopped the run because of the
 * lock, nothing is published, even if the lock is held again; the end of the session releases it.
 */
static int end_once(run *r, int code)
{
    if (leave_lease(r) || protection_failed(r))
        return does_not_count(r, r->lost ? "lost" : "stopped");
    int err = cli_session_release(&r->session);
    if (err == PAWL_ERR_LOST || err == PAWL_ERR_NOT_HELD) return does_not_count(r, "lost");
    if (!err) {
        run_report_event(&r->report, "released", NULL);
        return code;
    }
    cli_warn("%s: the store has not said whether it knows how the run went: %s; if it does not, "
             "the job runs again in this period",
             r->session.shown_key, pawl_err_text(err));
    return code ? code : cli_exit_of_err(err);
}

/* An adopted command has one end already. */
static int open_pipe(run *r)
{
    const guardian_adopted *adopted = r->opts->adopted;
    if (r->opts->close_fds) return 0;
    if (!adopted) return run_report_open_pipe(&r->report);
    r->report.pipe_read = adopted->pipe_read;
    r->report.pipe_write = adopted->pipe_write;
    r->report.pipe_number = adopted->pipe_number;
    return 0;
}

static int run_with_session(run *r, char *const *argv)
{
    const run_opts *opts = r->opts;
    if (opts->adopted && !cli_session_end_with(&r->session, opts->adopted->pidfd)) {
        cli_error("epoll: %s", strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    for (size_t i = 0; i < r->session.key_count; i++)
        if (is_inside(r, r->session.keys[i])) return inside_itself(r, argv);
    if (opts->require) {
        int code =
            run_require_check(r->session.client, opts->require, opts->common.store_timeout_ms);
        if (code) return code;
    }
    int code = open_pipe(r);
    if (code) return code;

    run_report_event(&r->report, "waiting", NULL);
    bool held = cli_session_acquire(&r->session, opts->wait_ms, (int)opts->busy_code,
                                    opts->say_busy, &code);
    if (!held) {
        bool busy = pawl_err_class_of(r->session.result) == PAWL_CLASS_BUSY;
        report_reason(r, busy ? "busy" : "failed", r->session.reason);
        return code;
    }
    if (opts->ret_end) opts->ret_end->held = true;
    r->session.leads = opts->leads;
    code = run_held(r, argv);
    r->session.succeeded = code == 0 && !protection_failed(r);
    if (!protection_failed(r)) /* of a loss is told already */
        cli_notify(opts->leads ? CLI_NOTIFY_STATUS : CLI_NOTIFY_STOPPING, "gives %s back",
                   r->session.shown_key);
    if (r->session.once) return end_once(r, code);
    let_go(r);
    return protection_failed(r) ? (int)opts->lost_code : code;
}

static int open_session(run *r, const char *key, const pawl_lock_opts *lock_opts)
{
    const run_opts *opts = r->opts;
    if (opts->keys.count > 1)
        return cli_session_open_all(&r->session, &opts->common, watched_signals, opts->keys.items,
                                    (size_t)opts->keys.count, lock_opts);
    if (!opts->every_ms)
        return cli_session_open(&r->session, &opts->common, watched_signals, key, lock_opts);
    pawl_once_opts once_opts;
    pawl_once_opts_init(&once_opts);
    once_opts.every_ms = opts->every_ms;
    once_opts.flags = opts->keep_on_failure ? PAWL_ONCE_KEEP_ON_FAILURE : 0;
    once_opts.lock = lock_opts;
    return cli_session_open_once(&r->session, &opts->common, watched_signals, key, &once_opts);
}

int run_execute(const run_opts *opts, const run_plan *plan, const char *key, char *const *argv)
{
    run r = {.opts = opts, .plan = plan, .report = RUN_REPORT_NONE};
    r.report.key = key;
    if (opts->keys.count > 1) r.report.keys = &opts->keys;
    if (opts->json_fd >= 0 && !run_report_open_json(&r.report, (int)opts->json_fd)) {
        cli_error("run: --json-events %d: no such open file to write to", (int)opts->json_fd);
        return CLI_EXIT_USAGE;
    }
    cli_notify_open(opts->pass_notify);
    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.ttl_ms = plan->ttl_ms;
    /* The delay counts after our death, so the store must not end the lease when we die. */
    if (plan->delay_ms) lock_opts.flags = PAWL_LOCK_DETACHED;
    lock_opts.on_event = run_on_event;
    lock_opts.event_userdata = &r;
    lock_opts.mode = (pawl_mode)opts->mode;
    if (opts->slots) {
        lock_opts.capacity = (uint32_t)opts->slots;
        lock_opts.units = (uint32_t)opts->units;
    }

    /* The label of a holder should name the command: "ann@db1 4711 backup.sh". */
    program_invocation_short_name = basename(argv[0]);
    int code = open_session(&r, key, &lock_opts);
    if (!code) serve_metrics(&r);
    if (!code) code = run_with_session(&r, argv);
    if (opts->ret_end) {
        opts->ret_end->lost = r.lost || r.stopped_it;
        opts->ret_end->by_signal = r.asked_to_end ? r.asked_to_end : r.session.ended_by;
    }
    cli_session_close(&r.session);
    write_metrics(&r); /* with its end counted, and no lock held */
    run_report_close(&r.report);
    return code;
}
